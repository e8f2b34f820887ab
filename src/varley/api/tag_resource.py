"""TagResource: add tags to a table, or give other values to tags that it has."""

from __future__ import annotations

from varley.api.constraints import NOT_NULL, Length, Members, check
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.api.tags import Tag, change_tags, tagged_table, tags_of
from varley.errors import ValidationError
from varley.http.call import Call


class TagResourceRequest(Request):
    resource_arn: str | None = None
    tags: list[Tag] | None = None


_decode = decoder(TagResourceRequest)
_TAG_RESOURCE = Members(resource_arn=(NOT_NULL, Length(1, 1283)), tags=(NOT_NULL,))


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    check(_TAG_RESOURCE, request)
    assert request.resource_arn is not None
    tagged_table(request.resource_arn)
    if not request.tags:
        raise ValidationError("Atleast one Tag needs to be provided as Input.")
    added = tags_of(request.tags)
    services.spawn(change_tags(services, request.resource_arn, lambda tags: {**tags, **added}), call)
    return None
