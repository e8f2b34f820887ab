"""DeleteResourcePolicy: take the resource-based policy from a table. If it has none, that is no error.

The answer tells the revision that was removed; of a table without a policy, that of the removal before, if any.
"""

from __future__ import annotations

import msgspec

from varley.api.constraints import NOT_NULL, Length, Members, check
from varley.api.requests import Request, decoder
from varley.api.resource_policy import policy_table, without_policy
from varley.api.services import Services
from varley.http.call import Call


class DeleteResourcePolicyRequest(Request):
    resource_arn: str | None = None
    expected_revision_id: str | None = None


_decode = decoder(DeleteResourcePolicyRequest)
_DELETE_RESOURCE_POLICY = Members(
    resource_arn=(NOT_NULL, Length(1, 1283)), expected_revision_id=(Length(1, 255),)
)


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    check(_DELETE_RESOURCE_POLICY, request)
    assert request.resource_arn is not None
    name = policy_table(request.resource_arn)
    services.spawn(_delete(services, name, request.expected_revision_id), call)
    return None


async def _delete(services: Services, name: str, expected_revision: str | None) -> bytes:
    now = services.clock.time()
    async with services.catalog.changes:
        before, _ = await services.catalog.change(
            name, lambda table: without_policy(table, expected_revision=expected_revision, now=now)
        )
    revision = before.table.resource_policy_revision
    return msgspec.json.encode({"RevisionId": str(revision)} if revision else {})
