# Why: capacity tools ask for the account's limits before they raise a table's throughput, and divide by them.

from typing import Any


def test_the_limits_of_the_account_and_of_a_table(dynamodb: Any) -> None:
    answer = dynamodb.describe_limits()
    answer.pop("ResponseMetadata")
    assert set(answer) == {
        "AccountMaxReadCapacityUnits",
        "AccountMaxWriteCapacityUnits",
        "TableMaxReadCapacityUnits",
        "TableMaxWriteCapacityUnits",
    }
    assert answer["AccountMaxReadCapacityUnits"] >= answer["TableMaxReadCapacityUnits"] >= 1
    assert answer["AccountMaxWriteCapacityUnits"] >= answer["TableMaxWriteCapacityUnits"] >= 1


def test_the_limits_are_the_services_defaults(dynamodb: Any, endpoint_kind: str) -> None:
    answer = dynamodb.describe_limits()
    if endpoint_kind == "aws":  # an account may have had its limits raised
        assert answer["TableMaxReadCapacityUnits"] >= 40_000
        return
    assert answer["TableMaxReadCapacityUnits"] == answer["TableMaxWriteCapacityUnits"] == 40_000
    assert answer["AccountMaxReadCapacityUnits"] == answer["AccountMaxWriteCapacityUnits"] == 80_000
