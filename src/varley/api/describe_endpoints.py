"""DescribeEndpoints: where to send requests, which is where this one was sent."""

from __future__ import annotations

import msgspec

from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.http.call import Call

_CACHE_MINUTES = 1440    # what the service says


class DescribeEndpointsRequest(Request):
    pass


_decode = decoder(DescribeEndpointsRequest)


def run(services: Services, call: Call) -> bytes:
    _decode(call.body)
    # Without a Host header (HTTP/1.0), the only address we know is the one we were told to listen on.
    host = call.headers.get(b"host")
    address = f"{services.settings.host}:{services.settings.port}" if host is None else host.decode("latin-1")
    return msgspec.json.encode(
        {"Endpoints": [{"Address": address, "CachePeriodInMinutes": _CACHE_MINUTES}]}
    )
