"""What an operation may use: the parts of this server, wired by server.py."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from varley.bulk.runner import BulkRunner
from varley.clock import Clock
from varley.expiry.sweeper import Sweeper
from varley.http.call import Call
from varley.indexes.indexes import Indexes
from varley.metadata.catalog import Catalog
from varley.router.routes import Router
from varley.settings import ClusterSettings, NodeSettings
from varley.streams.streams import Streams
from varley.table.description import View
from varley.transactions.transactions import Transactions
from varley.vectors.search import VectorSearch


@dataclass(frozen=True, slots=True)
class Services:
    settings: NodeSettings
    cluster: ClusterSettings
    clock: Clock
    random: random.Random    # table ids; seeded in tests
    catalog: Catalog
    router: Router
    sweeper: Sweeper
    bulk: BulkRunner
    vectors: VectorSearch
    transactions: Transactions
    indexes: Indexes    # global ones: they come and go, and are filled
    streams: Streams
    spawn: Callable[[Coroutine[Any, Any, bytes], Call], None]    # run, then answer the call with what it returns


def view_of(services: Services, call: Call) -> View:
    """For whom and when `call` is answered: account and Region of ARNs. Raises what Call.identity raises."""
    identity = call.identity()
    return View(identity.account, identity.region or services.settings.region, services.clock.time())
