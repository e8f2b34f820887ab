"""How often provisioned throughput may be lowered: of a table and of each global index on its own.

Source: [DG] "Service, account, and table quotas", decreasing provisioned throughput.
"""

from __future__ import annotations

import datetime
from typing import Final

from varley.errors import LimitExceeded
from varley.table.schema import Provisioned

_FREE_DECREASES: Final = 4    # a day
_SECONDS_BETWEEN_DECREASES: Final = 3600    # after those
_DAY_SECONDS: Final = 86_400


def check_decreases(provisioned: Provisioned, now: float) -> None:
    """Raises LimitExceeded if throughput may not be lowered now."""
    decreases = provisioned.decreases_on(now)
    if decreases < _FREE_DECREASES:
        return
    assert provisioned.decreased_at is not None
    next_at = min(
        provisioned.decreased_at + _SECONDS_BETWEEN_DECREASES, (now // _DAY_SECONDS + 1) * _DAY_SECONDS
    )
    if now >= next_at:
        return
    raise LimitExceeded(
        "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. After "
        f"the first {_FREE_DECREASES} decreases, each subsequent decrease in the same UTC day can be performed "
        f"at most once every {_SECONDS_BETWEEN_DECREASES} seconds. Number of decreases today: {decreases}. "
        f"Last decrease at {_long_time(provisioned.decreased_at)}. "
        f"Next decrease can be made at {_long_time(next_at)}."
    )


def _long_time(epoch_seconds: float) -> str:
    """ "Thursday, October 8, 2026 at 11:20:48 PM Coordinated Universal Time"."""
    time = datetime.datetime.fromtimestamp(epoch_seconds, datetime.UTC)
    return f"{time:%A, %B} {time.day}, {time:%Y} at {time:%I:%M:%S %p} Coordinated Universal Time"
