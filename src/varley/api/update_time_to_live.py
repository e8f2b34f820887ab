"""UpdateTimeToLive: name the attribute that says when an item expires, or name none any more.

    now          asked for       answer
    ---          ---------       ------
    none         enable a        a
    none         disable         TimeToLive is already disabled
    a            enable a        TimeToLive is already enabled
    a            enable b        TimeToLive is active on a different AttributeName: …
    a            disable b       the same
    a            disable a       none

So another attribute takes two changes. The service refuses a change for up to an hour after the last one (about 31
minutes were observed); here it may follow at once: nothing is under way that would have to end first.

The answer goes out when the partitions are ready for the change (expiry/amendment.py), or after a second: of a table
with millions of items DescribeTimeToLive then says ENABLING or DISABLING for a while, as the service does always.

Texts and the order of checks: observed in us-west-2 by users of the service, October 2026. A key attribute may be
named too.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from varley.api.constraints import NOT_NULL, TABLE_NAME, Length, Members, check
from varley.api.named_table import named_table
from varley.api.requests import Request, Structure, decoder
from varley.api.services import Services
from varley.errors import ValidationError
from varley.http.call import Call
from varley.table.schema import Table, changed

_READY_SECONDS_MAX: Final = 1.0


class TimeToLiveSpecification(Structure):
    enabled: bool | None = None
    attribute_name: str | None = None


class UpdateTimeToLiveRequest(Request):
    table_name: str | None = None
    time_to_live_specification: TimeToLiveSpecification | None = None


_decode = decoder(UpdateTimeToLiveRequest)
_UPDATE_TIME_TO_LIVE = Members(
    table_name=TABLE_NAME,
    time_to_live_specification=(
        NOT_NULL,
        Members(enabled=(NOT_NULL,), attribute_name=(NOT_NULL, Length(1, 255))),
    ),
)


def run(services: Services, call: Call) -> None:
    request = _decode(call.body)
    check_request(request)
    table = named_table(services, request.table_name).table
    with_time_to_live(table, request, now=services.clock.time())
    services.spawn(_update(services, request, table.name), call)


async def _update(services: Services, request: UpdateTimeToLiveRequest, name: str) -> bytes:
    async with services.catalog.changes:
        _, after = await services.catalog.change(
            name, lambda table: with_time_to_live(table, request, now=services.clock.time())
        )
        await services.router.update(after)
        ready = services.sweeper.redefine(after)
    await asyncio.wait([ready], timeout=_READY_SECONDS_MAX)
    asked = request.time_to_live_specification
    assert asked is not None
    return msgspec.json.encode(
        {"TimeToLiveSpecification": {"Enabled": asked.enabled, "AttributeName": asked.attribute_name}}
    )


def check_request(request: UpdateTimeToLiveRequest) -> None:
    """All that can be said of a request without looking at the table. Raises ValidationError."""
    check(_UPDATE_TIME_TO_LIVE, request)


def with_time_to_live(table: Table, request: UpdateTimeToLiveRequest, *, now: float) -> Table:
    """`table` as `request`, which was checked, wants it; `now` is epoch seconds.

    Raises ValidationError, the client's fault.
    """
    asked = request.time_to_live_specification
    assert asked is not None
    assert asked.attribute_name is not None
    current = table.time_to_live_attribute
    if current is None and not asked.enabled:
        raise ValidationError("TimeToLive is already disabled")
    if current is not None and current != asked.attribute_name:
        raise ValidationError(
            f"TimeToLive is active on a different AttributeName: current AttributeName is {current}"
        )
    if current is not None and asked.enabled:
        raise ValidationError("TimeToLive is already enabled")
    return changed(
        table,
        time_to_live_attribute=asked.attribute_name if asked.enabled else None,
        time_to_live_changed_at=now,
        time_to_live_revision=table.time_to_live_revision + 1,
    )
