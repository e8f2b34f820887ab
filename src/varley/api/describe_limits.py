"""DescribeLimits: the default quotas of an account, which CreateTable and UpdateTable hold tables to."""

from __future__ import annotations

import msgspec

from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.http.call import Call
from varley.limits import ACCOUNT_CAPACITY_UNITS_MAX, TABLE_CAPACITY_UNITS_MAX


class DescribeLimitsRequest(Request):
    pass


_decode = decoder(DescribeLimitsRequest)
_ANSWER = msgspec.json.encode(
    {
        "AccountMaxReadCapacityUnits": ACCOUNT_CAPACITY_UNITS_MAX,
        "AccountMaxWriteCapacityUnits": ACCOUNT_CAPACITY_UNITS_MAX,
        "TableMaxReadCapacityUnits": TABLE_CAPACITY_UNITS_MAX,
        "TableMaxWriteCapacityUnits": TABLE_CAPACITY_UNITS_MAX,
    }
)


def run(_services: Services, call: Call) -> bytes:
    _decode(call.body)
    return _ANSWER
