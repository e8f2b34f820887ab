"""Resource-based policies: what may be attached to a table, what becomes of it, and its revisions. Not enforced.

A policy is kept in the form in which it is shown: no white space, members in one order, and a list of one as its
element. Two documents with the same form are the same policy: to put the second is no change, and gives the
revision of the first. An absent Version is shown as 2008-10-17, but is not the same as that.

    {"Statement": {"Action": ["dynamodb:GetItem"], "Effect": "allow", "Resource": "*", "Principal": {"AWS": "…12"}}}
    {"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::…12:root"},"Action":"dynamodb:GetItem",
                   "Resource":"*"}]}

A revision is the time of a change in milliseconds, and greater than all before it even if the clock went back: a
client that saw one revision can never take another policy for it. So the number outlives the policy.

The service also checks that principals exist, makes changes wait 15 seconds for each other, and shows a change a
second or two late. This one does not.

Sources: "Resource-based policy considerations" in the Developer Guide; texts and forms: observed in us-west-2 by
users of the service, October 2026. Where nobody has reported a text for a malformed document, it is that of other
services with such policies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from varley.api.tags import tagged_table
from varley.errors import AccessDenied, ApiError, ResourceNotFound, ValidationError
from varley.table.schema import Table, changed

POLICY_BYTES_MAX: Final = 20 * 1024    # [DG] white space counts
NO_POLICY: Final = "NO_POLICY"    # as an expected revision: there must be none

_INVALID: Final = "One or more parameter values were invalid: "
_VERSION_IF_ABSENT: Final = "2008-10-17"
_VERSIONS: Final = (_VERSION_IF_ABSENT, "2012-10-17")
# Each place in a statement, with the names that it can go by; all must be there but the first and the last.
_PLACES: Final = (
    ("Sid",),
    ("Effect",),
    ("Principal", "NotPrincipal"),
    ("Action", "NotAction"),
    ("Resource", "NotResource"),
    ("Condition",),
)
_OPTIONAL: Final = ("Sid", "Condition")
_STREAM_ACTIONS: Final = frozenset({"describestream", "getrecords", "getsharditerator", "liststreams"})

_stream_in = re.compile(r"arn:aws[a-z-]*:dynamodb:[^:/]*:\d{12}:table/([a-zA-Z0-9_.-]{3,255})/stream/([^/]+)").fullmatch
_is_account = re.compile(r"\d{12}", re.ASCII).fullmatch

Statement = dict[str, Any]


class PolicyNotFound(ApiError):
    code = "PolicyNotFoundException"


def policy_table(resource_arn: str) -> str:
    """The name of the table that a ResourceArn means.

    Raises ValidationError for what is no ARN of a table, ResourceNotFound for the ARN of a stream: there is none.
    """
    stream = _stream_in(resource_arn)
    if stream is not None:
        raise ResourceNotFound(f"Requested resource not found: Stream: {stream[2]} not found for Table: {stream[1]}")
    return tagged_table(resource_arn)


def no_policy(resource_arn: str) -> PolicyNotFound:
    return PolicyNotFound(f"Resource-based policy not found for the provided ResourceArn: {resource_arn}")


# Changes


def with_policy(table: Table, document: str, *, expected_revision: str | None, now: float) -> Table:
    """`table` with the policy `document`, which is in its form; `now` is epoch seconds. Raises PolicyNotFound."""
    _check_revision(table, expected_revision)
    if document == table.resource_policy:
        return table
    return changed(table, resource_policy=document, resource_policy_revision=_next_revision(table, now))


def without_policy(table: Table, *, expected_revision: str | None, now: float) -> Table:
    """`table` without its policy, if it has one. Raises PolicyNotFound."""
    _check_revision(table, expected_revision)
    if table.resource_policy is None:
        return table
    return changed(table, resource_policy=None, resource_policy_revision=_next_revision(table, now))


def _next_revision(table: Table, now: float) -> int:
    return max(round(now * 1000), table.resource_policy_revision + 1)


def _check_revision(table: Table, expected: str | None) -> None:
    revision = table.resource_policy_revision
    if expected is None:
        return
    if expected == NO_POLICY:
        if table.resource_policy is None:
            return
        problem = (
            f"Requested policy update expecting none to be present for table {table.name}, "
            f"but a policy exists with revision id {revision}."
        )
    elif table.resource_policy is not None and expected == str(revision):
        return
    elif revision == 0:
        problem = (
            f"Requested update for policy with revision id {expected}, "
            f"but table {table.name} has no associated policy."
        )
    else:
        problem = (
            f"Requested update for policy with revision id {expected}, "
            f"but the policy associated to target table {table.name} has revision id {revision}."
        )
    raise PolicyNotFound(f"Resource-based policy not found for the provided ResourceArn: {problem}")


# Documents


def document_of(policy: str) -> str:
    """`policy`, as a client sent it, in its form. Raises ValidationError, the client's fault."""
    if len(policy.encode()) > POLICY_BYTES_MAX:
        raise ValidationError(f"{_INVALID}Maximum policy size of {POLICY_BYTES_MAX} bytes exceeded")
    try:
        given = msgspec.json.decode(policy)
    except (msgspec.DecodeError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise _malformed("This policy contains invalid Json")
    if "Version" in given and given["Version"] not in _VERSIONS:
        raise _malformed("The policy must contain a valid version string")
    statements = given.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not statements or not isinstance(statements, list):
        raise _malformed("Could not parse the policy: Statement is empty!")
    written = [_written(each) for each in statements]
    _check_identifiers(written)
    for statement in written:
        _check_actions(statement)
        _check_access_is_bounded(statement)
    head = {name: given[name] for name in ("Version", "Id") if name in given}
    return msgspec.json.encode({**head, "Statement": written}).decode()


def shown(document: str) -> str:
    """A document as GetResourcePolicy shows it."""
    members = msgspec.json.decode(document)
    return msgspec.json.encode({"Version": _VERSION_IF_ABSENT, **members}).decode()


def check_access_is_kept(document: str, resource_arn: str) -> None:
    """Raises AccessDenied if `document` lets nobody change it: that must be confirmed.

    A statement with a condition, or about some principals only, is not judged: nobody here knows who they are.
    """
    for statement in msgspec.json.decode(document)["Statement"]:
        if (
            statement["Effect"] == "Deny"
            and "Condition" not in statement
            and "*" in _principals(statement)
            and any(_covers(each.lower(), "dynamodb:putresourcepolicy") for each in _elements(statement, "Action"))
            and any(_covers(each, resource_arn) for each in _elements(statement, "Resource"))
        ):
            raise AccessDenied(
                "The new resource policy will not allow you to update the resource policy in the future."
            )


def _written(given: Any) -> Statement:
    """A statement with its members in order, each in its shortest form."""
    if not isinstance(given, dict):
        raise _malformed("Could not parse the policy: Statement is empty!")
    statement: Statement = {}
    for names in _PLACES:
        name = next((name for name in names if given.get(name, []) != []), None)
        if name is not None:
            statement[name] = _shortest(given[name])
        elif names[0] not in _OPTIONAL:
            raise _malformed(f"Missing required field {names[0]}")
    effect = statement["Effect"]
    if not isinstance(effect, str) or effect.capitalize() not in ("Allow", "Deny"):
        raise _malformed(f"Invalid effect: {effect}")
    statement["Effect"] = effect.capitalize()
    for name in ("Principal", "NotPrincipal"):
        if name in statement:
            statement[name] = _principal(statement[name])
    return statement


def _shortest(value: Any) -> Any:
    """A list of one is its element; so too inside a condition. Raises ValidationError: lists do not hold lists."""
    if isinstance(value, list):
        if any(isinstance(each, list) for each in value):
            raise _malformed("This policy contains invalid Json")
        return _shortest(value[0]) if len(value) == 1 else [_shortest(each) for each in value]
    if isinstance(value, dict):
        return {name: _shortest(member) for name, member in value.items()}
    return value


def _principal(given: Any) -> Any:
    if given == "*":
        return given
    if not isinstance(given, dict) or not given:
        raise ValidationError(f"{_INVALID}Invalid principal in policy document.")
    principal = dict(given)
    if "AWS" in principal:
        named = principal["AWS"] if isinstance(principal["AWS"], list) else [principal["AWS"]]
        if not all(isinstance(each, str) for each in named):
            raise ValidationError(f"{_INVALID}Invalid principal in policy document.")
        whole = [f"arn:aws:iam::{each}:root" if _is_account(each) else each for each in named]
        principal["AWS"] = _shortest(list(dict.fromkeys(whole)))
    return principal


def _check_identifiers(statements: Sequence[Statement]) -> None:
    identifiers = [statement["Sid"] for statement in statements if "Sid" in statement]
    if not all(isinstance(each, str) for each in identifiers):
        raise _malformed("This policy contains invalid Json")
    if len(set(identifiers)) < len(identifiers):
        raise _malformed("The Statement Ids in the policy are not unique")


def _check_actions(statement: Statement) -> None:
    wrong = [
        action
        for name in ("Action", "NotAction")
        for action in _elements(statement, name)
        if action != "*" and not _is_table_action(action.lower())
    ]
    if wrong:
        named = ", ".join(f'"{action}"' for action in wrong)
        raise _malformed(f"The following action names are invalid: {named}")


def _is_table_action(action: str) -> bool:
    service, _, name = action.partition(":")
    return service == "dynamodb" and bool(name) and name not in _STREAM_ACTIONS


def _check_access_is_bounded(statement: Statement) -> None:
    if statement["Effect"] == "Allow" and "Condition" not in statement and "*" in _principals(statement):
        raise ValidationError(
            "Resource-based policy grants unbounded access in one or more elements. "
            "Please revise the policy to ensure least-privilege form of access"
        )


def _principals(statement: Statement) -> list[str]:
    principal = statement.get("Principal")
    return list(_elements(principal, "AWS")) if isinstance(principal, dict) else ["*"] if principal == "*" else []


def _elements(structure: Statement, name: str) -> Iterator[str]:
    """The texts in a member that is one text or a list of them."""
    value = structure.get(name, [])
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, str):
            raise _malformed("This policy contains invalid Json")
        yield each


def _covers(pattern: str, text: str) -> bool:
    """Whether `text` is one of those that `pattern` means; * is any characters, ? is one.

    Not a regular expression: one of many stars can take for ever, and this comes from a client. Here only the last
    star that was met is ever moved on, which is enough, and takes no longer than the square of the text's length.
    """
    in_pattern = in_text = 0
    star, star_in_text = -1, 0    # the last star met, and what of the text comes after its match
    while in_text < len(text):
        if in_pattern < len(pattern) and pattern[in_pattern] == "*":
            star, star_in_text = in_pattern, in_text
            in_pattern += 1
        elif in_pattern < len(pattern) and pattern[in_pattern] in ("?", text[in_text]):
            in_pattern += 1
            in_text += 1
        elif star >= 0:
            star_in_text += 1
            in_pattern, in_text = star + 1, star_in_text
        else:
            return False
    return not pattern[in_pattern:].strip("*")


def _malformed(problem: str) -> ValidationError:
    return ValidationError(f"{_INVALID}Invalid policy document: {problem}")
