"""PutResourcePolicy: attach a resource-based policy to a table, in place of the one that it has.

The document is judged before anybody looks whether there is such a table.
"""

from __future__ import annotations

import msgspec

from varley.api.constraints import NOT_NULL, Length, Members, check
from varley.api.requests import Request, decoder
from varley.api.resource_policy import check_access_is_kept, document_of, policy_table, with_policy
from varley.api.services import Services
from varley.http.call import Call


class PutResourcePolicyRequest(Request):
    resource_arn: str | None = None
    policy: str | None = None
    expected_revision_id: str | None = None
    confirm_remove_self_resource_access: bool | None = None


_decode = decoder(PutResourcePolicyRequest)
_PUT_RESOURCE_POLICY = Members(
    resource_arn=(NOT_NULL, Length(1, 1283)),
    policy=(NOT_NULL,),
    expected_revision_id=(Length(1, 255),),
)


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    check(_PUT_RESOURCE_POLICY, request)
    assert request.resource_arn is not None
    assert request.policy is not None
    name = policy_table(request.resource_arn)
    document = document_of(request.policy)
    if not request.confirm_remove_self_resource_access:
        check_access_is_kept(document, request.resource_arn)
    services.spawn(_put(services, name, document, request.expected_revision_id), call)
    return None


async def _put(services: Services, name: str, document: str, expected_revision: str | None) -> bytes:
    now = services.clock.time()
    async with services.catalog.changes:
        _, after = await services.catalog.change(
            name, lambda table: with_policy(table, document, expected_revision=expected_revision, now=now)
        )
    return msgspec.json.encode({"RevisionId": str(after.table.resource_policy_revision)})
