"""UntagResource: remove tags from a table, by their keys. A key that it does not have is no error."""

from __future__ import annotations

from varley.api.constraints import NOT_NULL, Length, Members, check
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.api.tags import Tags, change_tags, check_count, check_key, check_list_count, tagged_table
from varley.errors import ValidationError
from varley.http.call import Call


class UntagResourceRequest(Request):
    resource_arn: str | None = None
    tag_keys: list[str] | None = None


_decode = decoder(UntagResourceRequest)
_UNTAG_RESOURCE = Members(resource_arn=(NOT_NULL, Length(1, 1283)), tag_keys=(NOT_NULL,))


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    check(_UNTAG_RESOURCE, request)
    assert request.resource_arn is not None
    tagged_table(request.resource_arn)
    if not request.tag_keys:
        raise ValidationError("Atleast one Tag Key needs to be provided as Input.")
    check_list_count(len(request.tag_keys))
    for key in request.tag_keys:
        check_key(key)
    check_count(len(request.tag_keys))
    removed = frozenset(request.tag_keys)

    def without_removed(tags: Tags) -> Tags:
        return {key: value for key, value in tags.items() if key not in removed}

    services.spawn(change_tags(services, request.resource_arn, without_removed), call)
    return None
