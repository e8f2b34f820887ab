"""ListTagsOfResource: the tags of a table. All fit in one answer, so there is no next page; a token is ignored."""

from __future__ import annotations

import msgspec

from varley.api.constraints import NOT_NULL, Length, Members, check
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.api.tags import no_such_resource, tagged_table
from varley.http.call import Call


class ListTagsOfResourceRequest(Request):
    resource_arn: str | None = None
    next_token: str | None = None


_decode = decoder(ListTagsOfResourceRequest)
_LIST_TAGS_OF_RESOURCE = Members(resource_arn=(NOT_NULL, Length(1, 1283)))


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_LIST_TAGS_OF_RESOURCE, request)
    assert request.resource_arn is not None
    described = services.catalog.get(tagged_table(request.resource_arn))
    if described is None:
        raise no_such_resource(request.resource_arn)
    tags = [{"Key": key, "Value": value} for key, value in described.table.tags.items()]
    return msgspec.json.encode({"Tags": tags})
