# Why: pydynox is the AWS SDK for Rust with Python on top: its HTTP client, its retries, its reading of errors and its
# signatures are those of every Rust program that uses DynamoDB. It also makes indexes whose keys have several
# attributes, which few mappers do.

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from pydynox import DynamoDBClient, Model, ModelConfig, SyncBatchWriter, SyncTransaction
from pydynox.attributes import (
    BinaryAttribute,
    BooleanAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    StringAttribute,
    StringSetAttribute,
    TTLAttribute,
    VersionAttribute,
)
from pydynox.exceptions import (
    ConditionalCheckFailedException,
    ResourceInUseException,
    ResourceNotFoundException,
    TransactionCanceledException,
    ValidationException,
)
from pydynox.indexes import GlobalSecondaryIndex, LocalSecondaryIndex

from .conftest import Eventually

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_environment")]

NAME = f"varley-pydynox-{uuid.uuid4().hex[:12]}"


class Match(Model):
    model_config = ModelConfig(table=NAME)

    player = StringAttribute(partition_key=True)
    at = NumberAttribute(sort_key=True)
    tournament = StringAttribute()
    region = StringAttribute()
    round = StringAttribute()
    points = NumberAttribute()
    won = BooleanAttribute()
    tags = StringSetAttribute()
    moves: ListAttribute = ListAttribute()
    clock: MapAttribute = MapAttribute()
    board = BinaryAttribute()
    version = VersionAttribute()
    expires = TTLAttribute()

    by_points = LocalSecondaryIndex(index_name="by-points", sort_key="points")
    of_tournament = GlobalSecondaryIndex(
        index_name="of-tournament", partition_key=["tournament", "region"], sort_key=["round", "player"]
    )


@pytest.fixture(scope="module", autouse=True)
def client(in_environment: None, environment: dict[str, str]) -> Iterator[DynamoDBClient]:
    client = DynamoDBClient(endpoint_url=environment["AWS_ENDPOINT_URL_DYNAMODB"])
    Match.model_config.client = client
    Match.sync_create_table(wait=True)
    yield client
    Match.sync_delete_table()
    client.sync_wait_for_table_deleted(NAME)


def test_a_table_that_is_there_is_not_made_again(client: DynamoDBClient) -> None:
    assert Match.sync_table_exists()
    with pytest.raises(ResourceInUseException):
        Match.sync_create_table()
    with pytest.raises(ResourceNotFoundException):
        client.sync_get_item(f"{NAME}-none", {"player": "ada"})


def test_items_conditions_and_versions() -> None:
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    match = Match(
        player="ada", at=1, points=3, won=True, tags={"a", "b"}, moves=["e4", 5, None], clock={"left": {"s": 7}},
        board=b"\x00\xff", expires=expires,
    )  # fmt: skip
    match.sync_save(condition=Match.player.not_exists())
    with pytest.raises(ConditionalCheckFailedException):
        Match(player="ada", at=1).sync_save(condition=Match.player.not_exists())
    read = Match.sync_get(player="ada", at=1, consistent_read=True)
    assert read is not None
    assert (read.points, read.won, read.tags, read.board) == (3, True, {"a", "b"}, b"\x00\xff")
    assert (read.moves, read.clock, read.expires, read.version) == (["e4", 5, None], {"left": {"s": 7}}, expires, 1)
    read.sync_update(atomic=[Match.points.add(2), Match.moves.append(["Nf3"])], condition=Match.points == 3)
    other = Match.sync_get(player="ada", at=1, consistent_read=True)
    assert other is not None
    assert (other.points, other.moves[-1]) == (5, "Nf3")
    other.sync_save()
    with pytest.raises(ConditionalCheckFailedException):
        match.sync_save()       # it has the first version still
    other.sync_delete(condition=Match.points >= 5)
    assert Match.sync_get(player="ada", at=1, consistent_read=True) is None
    with pytest.raises(ValidationException):
        Match.model_config.client.sync_get_item(NAME, {"player": "ada"})  # type: ignore[union-attr]


def test_batches_pages_and_a_local_index(client: DynamoDBClient) -> None:
    with SyncBatchWriter(client, NAME) as batch:
        for at in range(60):
            batch.put({"player": "batch", "at": at, "points": (at * 7) % 60})
    found = Match.sync_query(
        partition_key="batch", sort_key_condition=Match.at.between(10, 49), page_size=9, scan_index_forward=False,
        consistent_read=True,
    )  # fmt: skip
    assert [match.at for match in found] == list(range(49, 9, -1))
    best = Match.by_points.sync_query(partition_key="batch", sort_key_condition=Match.points >= 55)
    assert [match.points for match in best] == [55, 56, 57, 58, 59]
    scanned = [match.at for match in Match.sync_scan(filter_condition=Match.player == "batch", page_size=25)]
    assert sorted(scanned) == list(range(60))
    matches, _ = Match.sync_parallel_scan(total_segments=3, filter_condition=Match.player == "batch")
    assert sorted(match.at for match in matches) == list(range(60))
    got = Match.sync_batch_get([{"player": "batch", "at": at} for at in (1, 2, 99)])
    assert sorted(match.at for match in got) == [1, 2]


def test_a_global_index_of_four_attributes(client: DynamoDBClient, eventually: Eventually) -> None:
    rounds = [("final", "eve"), ("final", "bob"), ("first", "eve"), ("first", "ada"), ("second", "eve")]
    for at, (name, player) in enumerate(rounds):
        Match(player=player, at=100 + at, tournament="open", region="eu", round=name).sync_save()
    Match(player="dan", at=100, tournament="open", region="us", round="final").sync_save()
    Match(player="dan", at=101, tournament="open", region="eu").sync_save()     # no round: not in the index

    def of_europe() -> list[tuple[str, str]]:
        found = Match.of_tournament.sync_query(tournament="open", region="eu", page_size=2)
        return [(match.round, match.player) for match in found]

    assert eventually(of_europe, lambda found: len(found) == 5) == sorted(rounds)
    first = Match.of_tournament.sync_query(
        tournament="open", region="eu", sort_key_condition=Match.round == "first", scan_index_forward=False
    )
    assert [match.player for match in first] == ["eve", "ada"]


def test_transactions(client: DynamoDBClient) -> None:
    Match(player="tx", at=1, points=1).sync_save()
    with SyncTransaction(client, client_request_token=uuid.uuid4().hex) as transaction:
        transaction.put(NAME, {"player": "tx", "at": 2, "points": 0})
        transaction.update(
            NAME, {"player": "tx", "at": 1}, "ADD points :one", expression_attribute_values={":one": 1}
        )
    with pytest.raises(TransactionCanceledException), SyncTransaction(client) as transaction:
        transaction.delete(NAME, {"player": "tx", "at": 2})
        transaction.condition_check(
            NAME, {"player": "tx", "at": 1}, "points > :two", expression_attribute_values={":two": 2}
        )
    read = client.sync_transact_get([{"table": NAME, "key": {"player": "tx", "at": at}} for at in (1, 2, 3)])
    assert [item and item["points"] for item in read] == [2, 0, None]


def test_statements(client: DynamoDBClient) -> None:
    client.sync_put_item(NAME, {"player": "partiql", "at": 1, "points": 7})
    found = client.sync_execute_statement(
        f'SELECT points FROM "{NAME}" WHERE player = ? AND "at" = ?', parameters=["partiql", 1], consistent_read=True
    )
    assert [item["points"] for item in found] == [7]
