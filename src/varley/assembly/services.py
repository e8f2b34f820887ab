"""What operations may use (api/services.py), out of the parts of a server: alone or in a cluster."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from varley.api.services import Services
from varley.assembly.background import Background
from varley.clock import Clock
from varley.http.call import Call
from varley.metadata.catalog import Catalog
from varley.router.routes import Router
from varley.settings import ClusterSettings, NodeSettings
from varley.vectors.search import VectorSearch


def services(
    settings: NodeSettings,
    cluster: ClusterSettings,
    clock: Clock,
    random: Random,
    *,
    catalog: Catalog,
    router: Router,
    background: Background,
    spawn: Callable[[Coroutine[Any, Any, bytes], Call], None],
) -> Services:
    return Services(
        settings=settings,
        cluster=cluster,
        clock=clock,
        random=random,
        catalog=catalog,
        router=router,
        sweeper=background.sweeper,
        bulk=background.bulk,
        vectors=VectorSearch(bytes_max=settings.vector_cache_bytes),
        streams=background.streams,
        transactions=background.transactions,
        indexes=background.indexes,
        spawn=spawn,
    )
