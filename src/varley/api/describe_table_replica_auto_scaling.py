"""DescribeTableReplicaAutoScaling: of a table's replicas in other Regions, and no table has any."""

from __future__ import annotations

from varley.api.absences import no_replicas
from varley.api.constraints import TABLE_NAME, Members, check
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.http.call import Call
from varley.table.table_name import table_name


class DescribeTableReplicaAutoScalingRequest(Request):
    table_name: str | None = None


_decode = decoder(DescribeTableReplicaAutoScalingRequest)
_DESCRIBE_TABLE_REPLICA_AUTO_SCALING = Members(table_name=TABLE_NAME)


def run(_services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_DESCRIBE_TABLE_REPLICA_AUTO_SCALING, request)
    assert request.table_name is not None
    raise no_replicas(table_name(request.table_name))
