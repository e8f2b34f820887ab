"""GetResourcePolicy: the resource-based policy of a table, and its revision."""

from __future__ import annotations

import msgspec

from varley.api.constraints import NOT_NULL, Length, Members, check
from varley.api.named_table import named_table
from varley.api.requests import Request, decoder
from varley.api.resource_policy import no_policy, policy_table, shown
from varley.api.services import Services
from varley.http.call import Call


class GetResourcePolicyRequest(Request):
    resource_arn: str | None = None


_decode = decoder(GetResourcePolicyRequest)
_GET_RESOURCE_POLICY = Members(resource_arn=(NOT_NULL, Length(1, 1283)))


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_GET_RESOURCE_POLICY, request)
    assert request.resource_arn is not None
    table = named_table(services, policy_table(request.resource_arn)).table
    if table.resource_policy is None:
        raise no_policy(request.resource_arn)
    return msgspec.json.encode(
        {"Policy": shown(table.resource_policy), "RevisionId": str(table.resource_policy_revision)}
    )
