from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.table.tables import on_demand_table
from varley.api.resource_policy import (
    POLICY_BYTES_MAX,
    PolicyNotFound,
    _covers,
    check_access_is_kept,
    document_of,
    policy_table,
    shown,
    with_policy,
    without_policy,
)
from varley.errors import AccessDenied, ResourceNotFound, ValidationError
from varley.table import schema
from varley.table.schema import Table

INVALID = "One or more parameter values were invalid: "
ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/Music"
ROOT = "arn:aws:iam::123456789012:root"
NOW = 1_700_000_000.25
REVISION = "1700000000250"


def statement(**members: Any) -> dict[str, Any]:
    """A statement that is right and in its form, with some members changed; None removes one."""
    whole = {
        "Effect": "Allow",
        "Principal": {"AWS": ROOT},
        "Action": "dynamodb:GetItem",
        "Resource": ARN,
        **members,
    }
    return {name: value for name, value in whole.items() if value is not None}


def policy(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def statement_kept(**members: Any) -> Any:
    (kept,) = json.loads(document_of(policy(statement(**members))))["Statement"]
    return kept


def refusal_of(document: str) -> str:
    with pytest.raises(ValidationError) as refusal:
        document_of(document)
    return refusal.value.message


# What a document becomes


def test_a_document_in_its_form_stays_as_it_is() -> None:
    document = (
        '{"Version":"2012-10-17","Id":"mine","Statement":[{"Sid":"one","Effect":"Allow","Principal":{"AWS":"' + ROOT
        + '"},"Action":["dynamodb:Query","dynamodb:GetItem"],"Resource":"' + ARN
        + '","Condition":{"StringEquals":{"aws:PrincipalAccount":"123456789012"}}}]}'
    )  # fmt: skip
    assert document_of(document) == document
    assert shown(document) == document


def test_white_space_and_the_order_of_members_do_not_matter() -> None:
    members = statement(Sid="one", Condition={"Bool": {"aws:SecureTransport": "true"}})
    scrambled = {"Statement": [dict(reversed(members.items()))], "Version": "2012-10-17"}
    assert document_of(json.dumps(scrambled, indent=4)) == document_of(policy(members))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"Action": ["dynamodb:GetItem"]}, {"Action": "dynamodb:GetItem"}),
        ({"Resource": [ARN]}, {"Resource": ARN}),
        (
            {"Condition": {"StringEquals": {"aws:PrincipalAccount": ["1"]}}},
            {"Condition": {"StringEquals": {"aws:PrincipalAccount": "1"}}},
        ),
        ({"Principal": {"AWS": "123456789012"}}, {"Principal": {"AWS": ROOT}}),
        ({"Principal": {"AWS": ["123456789012", ROOT]}}, {"Principal": {"AWS": ROOT}}),
        ({"Effect": "allow"}, {"Effect": "Allow"}),
    ],
)
def test_each_member_has_a_shortest_form(given: dict[str, Any], kept: dict[str, Any]) -> None:
    assert statement_kept(**given) == statement(**kept)


@pytest.mark.parametrize(
    "members",
    [
        {"Action": ["dynamodb:Query", "dynamodb:GetItem"]},
        {"Action": ["dynamodb:GetItem", "dynamodb:GetItem"]},
        {"Action": "dynamodb:getitem"},
        {"Action": None, "NotAction": "dynamodb:DeleteTable"},
        {"Resource": [f"{ARN}/index/*", ARN]},
        {"Principal": None, "NotPrincipal": {"AWS": ROOT}, "Effect": "Deny"},
        {"Principal": {"Service": "backup.amazonaws.com"}},
        {"Effect": "Deny", "Principal": "*"},
        {"Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}},
    ],
)
def test_what_has_no_shorter_form_is_kept_as_it_is(members: dict[str, Any]) -> None:
    assert statement_kept(**members) == statement(**members)


def test_one_statement_needs_no_list() -> None:
    assert document_of(json.dumps({"Version": "2012-10-17", "Statement": statement()})) == document_of(
        policy(statement())
    )


def test_a_missing_version_is_shown_but_stays_missing() -> None:
    document = document_of(json.dumps({"Statement": statement()}))
    assert list(json.loads(document)) == ["Statement"]
    assert json.loads(shown(document))["Version"] == "2008-10-17"
    assert document_of(shown(document)) != document


# What is no policy


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("", "This policy contains invalid Json"),
        ("{not json", "This policy contains invalid Json"),
        ("[]", "This policy contains invalid Json"),
        ("[" * 10_000, "This policy contains invalid Json"),
        ('{"Version":"2012-10-17"}', "Could not parse the policy: Statement is empty!"),
        (policy(), "Could not parse the policy: Statement is empty!"),
        (policy(statement(Resource=None)), "Missing required field Resource"),
        (policy(statement(Action=[])), "Missing required field Action"),
        (policy(statement(Principal=None)), "Missing required field Principal"),
        (policy(statement(Sid="a"), statement(Sid="a")), "The Statement Ids in the policy are not unique"),
        (policy(statement(Effect="Maybe")), "Invalid effect: Maybe"),
        (
            policy(statement(Action=["dynamodb:GetItem", "s3:GetObject", "dynamodb:GetRecords"])),
            'The following action names are invalid: "s3:GetObject", "dynamodb:GetRecords"',
        ),
        (
            json.dumps({"Version": "2024-01-01", "Statement": [statement()]}),
            "The policy must contain a valid version string",
        ),
    ],
)
def test_a_malformed_document_is_refused(document: str, problem: str) -> None:
    assert refusal_of(document) == f"{INVALID}Invalid policy document: {problem}"


@pytest.mark.parametrize("principal", ["123456789012", {}, {"AWS": 1}, {"AWS": [{}]}, 7])
def test_principals_are_named_by_their_kind(principal: Any) -> None:
    assert refusal_of(policy(statement(Principal=principal))) == f"{INVALID}Invalid principal in policy document."


@pytest.mark.parametrize("principal", ["*", {"AWS": "*"}, {"AWS": [ROOT, "*"]}])
def test_nothing_is_allowed_to_everybody(principal: Any) -> None:
    assert refusal_of(policy(statement(Principal=principal))) == (
        "Resource-based policy grants unbounded access in one or more elements. "
        "Please revise the policy to ensure least-privilege form of access"
    )


def test_white_space_counts_as_size() -> None:
    document = policy(statement())
    document_of(document + " " * (POLICY_BYTES_MAX - len(document)))
    too_long = document + " " * (POLICY_BYTES_MAX + 1 - len(document))
    assert refusal_of(too_long) == f"{INVALID}Maximum policy size of 20480 bytes exceeded"


nested = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.just("*"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@example({"Action": [[]]})
@example({"Condition": [{"a": ["x"]}]})
@given(st.dictionaries(st.sampled_from(["Sid", "Effect", "Principal", "Action", "Resource", "Condition"]), nested))
def test_anything_is_either_refused_or_has_a_form_that_stays(members: dict[str, Any]) -> None:
    try:
        document = document_of(policy({**statement(), **members}))
    except ValidationError:
        return
    assert document_of(document) == document
    assert document_of(shown(document)) == document


# Who may change it later


DENIED: dict[str, Any] = {"Effect": "Deny", "Principal": "*"}


@pytest.mark.parametrize(
    "members",
    [
        {"Action": "dynamodb:PutResourcePolicy"},
        {"Action": ["dynamodb:GetItem", "dynamodb:*"], "Principal": {"AWS": "*"}},
        {"Action": "*", "Resource": "*"},
        {"Action": "DynamoDB:put*policy", "Resource": "arn:aws:dynamodb:*:*:table/M?sic"},
    ],
)
def test_a_policy_that_nobody_may_change_must_be_confirmed(members: dict[str, Any]) -> None:
    document = document_of(policy(statement(), statement(**{**DENIED, **members})))
    with pytest.raises(AccessDenied) as refusal:
        check_access_is_kept(document, ARN)
    assert refusal.value.message == (
        "The new resource policy will not allow you to update the resource policy in the future."
    )


@pytest.mark.parametrize(
    "members",
    [
        {"Action": "dynamodb:DeleteResourcePolicy"},
        {"Action": "dynamodb:PutItem"},
        {"Action": "dynamodb:*", "Resource": f"{ARN}/index/*"},
        {"Action": "dynamodb:*", "Principal": {"AWS": ROOT}},
        {"Action": "dynamodb:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
    ],
)
def test_others_need_not(members: dict[str, Any]) -> None:
    check_access_is_kept(document_of(policy(statement(**{**DENIED, **members}))), ARN)


@pytest.mark.parametrize(
    ("pattern", "text", "covered"),
    [
        ("", "", True),
        ("*", "", True),
        ("?", "", False),
        ("a*c", "abbbc", True),
        ("a*c", "abbcd", False),
        ("*a*b", "xaab", True),
        ("a?c", "a*c", True),
        ("*" * 5000, "x", True),
        ("*a" * 5000, "a" * 400, False),
        ("[a]", "a", False),
    ],
)
def test_stars_and_question_marks(pattern: str, text: str, covered: bool) -> None:
    assert _covers(pattern, text) is covered


# Revisions


def expected_of(table: Table, expected: str) -> str:
    with pytest.raises(PolicyNotFound) as refusal:
        with_policy(table, "{}", expected_revision=expected, now=NOW)
    text = refusal.value.message
    with pytest.raises(PolicyNotFound) as refusal:
        without_policy(table, expected_revision=expected, now=NOW)
    assert refusal.value.message == text
    return text.removeprefix("Resource-based policy not found for the provided ResourceArn: ")


def put(table: Table, document: str, *, expected: str | None = None, now: float = NOW) -> Table:
    return with_policy(table, document, expected_revision=expected, now=now)


def test_a_revision_is_the_time_of_the_change() -> None:
    table = put(on_demand_table(), '{"a":1}')
    assert str(table.resource_policy_revision) == REVISION
    assert schema.from_json(schema.to_json(table)) == table


def test_the_same_policy_again_is_no_change() -> None:
    table = put(on_demand_table(), '{"a":1}')
    assert put(table, '{"a":1}', now=NOW + 60) is table


def test_no_revision_comes_twice_also_when_the_clock_goes_back() -> None:
    table = put(on_demand_table(), '{"a":1}')
    revisions = [table.resource_policy_revision]
    for document in ('{"a":2}', '{"a":1}'):
        table = put(table, document, now=NOW - 60)
        revisions.append(table.resource_policy_revision)
    table = without_policy(table, expected_revision=None, now=NOW - 60)
    revisions.append(table.resource_policy_revision)
    revisions.append(put(table, '{"a":1}', now=NOW - 60).resource_policy_revision)
    assert revisions == sorted(set(revisions))


def test_the_policy_must_be_the_expected_one() -> None:
    table = put(on_demand_table("Music"), '{"a":1}')
    assert put(table, '{"a":2}', expected=REVISION).resource_policy == '{"a":2}'
    assert without_policy(table, expected_revision=REVISION, now=NOW).resource_policy is None
    assert expected_of(table, "1") == (
        "Requested update for policy with revision id 1, "
        f"but the policy associated to target table Music has revision id {REVISION}."
    )
    assert expected_of(table, "NO_POLICY") == (
        "Requested policy update expecting none to be present for table Music, "
        f"but a policy exists with revision id {REVISION}."
    )


def test_where_there_is_none_there_is_none_to_expect() -> None:
    never = on_demand_table("Music")
    assert expected_of(never, "1") == (
        "Requested update for policy with revision id 1, but table Music has no associated policy."
    )
    assert put(never, '{"a":1}', expected="NO_POLICY").resource_policy == '{"a":1}'
    gone = without_policy(put(never, '{"a":1}'), expected_revision=None, now=NOW)
    assert "the policy associated to target table Music has revision id" in expected_of(gone, REVISION)
    assert put(gone, '{"a":1}', expected="NO_POLICY").resource_policy == '{"a":1}'


def test_to_remove_nothing_changes_nothing() -> None:
    table = on_demand_table()
    assert without_policy(table, expected_revision=None, now=NOW) is table


# Resources


def test_a_table_is_named_by_its_arn() -> None:
    assert policy_table(ARN) == "Music"


def test_a_stream_is_not_there() -> None:
    with pytest.raises(ResourceNotFound) as refusal:
        policy_table(f"{ARN}/stream/2024-01-01T00:00:00.000")
    assert refusal.value.message == (
        "Requested resource not found: Stream: 2024-01-01T00:00:00.000 not found for Table: Music"
    )


@pytest.mark.parametrize("arn", ["Music", "arn:aws:s3:::bucket", f"{ARN}/index/ByYear", f"{ARN}/backup/1"])
def test_other_things_have_no_policy(arn: str) -> None:
    with pytest.raises(ValidationError):
        policy_table(arn)
