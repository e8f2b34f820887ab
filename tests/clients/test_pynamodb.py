# Why: PynamoDB is the mapper that Python programs use. It writes conditions, projections and paging by itself, reads
# the table's description to know its keys, and checks answers for what it asked, each in its own way.

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pynamodb.attributes import (
    BinaryAttribute,
    BooleanAttribute,
    JSONAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    NumberSetAttribute,
    TTLAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
    UTCDateTimeAttribute,
    VersionAttribute,
)
from pynamodb.connection import Connection
from pynamodb.exceptions import DeleteError, PutError, TransactWriteError, UpdateError
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, KeysOnlyProjection, LocalSecondaryIndex
from pynamodb.models import Model
from pynamodb.transactions import TransactGet, TransactWrite

from .conftest import REGION, Eventually

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_environment")]


class ByViews(LocalSecondaryIndex["Thread"]):
    class Meta:
        index_name = "by-views"
        projection = AllProjection()

    forum = UnicodeAttribute(hash_key=True)
    views = NumberAttribute(range_key=True)


class ByAuthor(GlobalSecondaryIndex["Thread"]):
    class Meta:
        index_name = "by-author"
        projection = KeysOnlyProjection()

    author = UnicodeAttribute(hash_key=True)
    posted = UTCDateTimeAttribute(range_key=True)


class Settings(MapAttribute[str, Any]):
    locked = BooleanAttribute(default=False)
    moderators: ListAttribute[str] = ListAttribute(of=UnicodeAttribute, default=list)


class Thread(Model):
    class Meta:
        table_name = f"varley-pynamodb-threads-{uuid.uuid4().hex[:12]}"
        billing_mode = "PAY_PER_REQUEST"
        region = REGION

    forum = UnicodeAttribute(hash_key=True)
    subject = UnicodeAttribute(range_key=True)
    views = NumberAttribute(default=0)
    author = UnicodeAttribute(null=True)
    posted = UTCDateTimeAttribute(null=True)
    tags = UnicodeSetAttribute(null=True)
    votes = NumberSetAttribute(null=True)
    picture = BinaryAttribute(null=True, legacy_encoding=False)
    settings = Settings(default=Settings)
    extra = JSONAttribute(null=True)
    by_views = ByViews()
    by_author = ByAuthor()


class Draft(Model):
    class Meta:
        table_name = f"varley-pynamodb-drafts-{uuid.uuid4().hex[:12]}"
        read_capacity_units = 5
        write_capacity_units = 5
        region = REGION

    id = UnicodeAttribute(hash_key=True)
    text = UnicodeAttribute(null=True)
    version = VersionAttribute()
    expires = TTLAttribute(null=True)


@pytest.fixture(scope="module", autouse=True)
def tables(in_environment: None) -> Iterator[None]:
    for model in (Thread, Draft):
        model.create_table(wait=True)
    yield
    for model in (Thread, Draft):
        model.delete_table()


def test_models_have_made_their_tables() -> None:
    assert Thread.exists()
    thread, draft = Thread.describe_table(), Draft.describe_table()
    assert thread["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert [index["IndexName"] for index in thread["LocalSecondaryIndexes"]] == ["by-views"]
    assert [index["IndexName"] for index in thread["GlobalSecondaryIndexes"]] == ["by-author"]
    assert draft["ProvisionedThroughput"]["ReadCapacityUnits"] == 5


def test_every_attribute_comes_back_as_it_went() -> None:
    posted = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
    Thread(
        "types",
        "one",
        views=3,
        author="ada",
        posted=posted,
        tags={"a", "b"},
        votes={1, 2.5},
        picture=b"\x00\xff",
        settings=Settings(locked=True, moderators=["eve"]),
        extra={"k": [1, None]},
    ).save()
    read = Thread.get("types", "one", consistent_read=True)
    assert (read.views, read.posted, read.tags, read.votes) == (3, posted, {"a", "b"}, {1, 2.5})
    assert (read.picture, read.extra) == (b"\x00\xff", {"k": [1, None]})
    assert (read.settings.locked, read.settings.moderators) == (True, ["eve"])
    assert Thread.get("types", "one", attributes_to_get=["views"]).author is None


def test_updates_by_action_and_condition() -> None:
    thread = Thread("actions", "one", tags={"a"}, settings=Settings(moderators=["eve"]))
    thread.save(Thread.forum.does_not_exist())
    with pytest.raises(PutError) as put:
        Thread("actions", "one").save(Thread.forum.does_not_exist())
    assert put.value.cause_response_code == "ConditionalCheckFailedException"
    thread.update(
        actions=[
            Thread.views.set(Thread.views + 5),
            Thread.tags.add({"b"}),
            Thread.author.set(Thread.author | "somebody"),
            Thread.settings.moderators.set(Thread.settings.moderators.append(["bob"])),
            Thread.extra.remove(),
        ],
        condition=(Thread.views == 0) & Thread.tags.contains("a") & (Thread.subject.startswith("o")),
    )
    assert (thread.views, thread.tags, thread.author) == (5, {"a", "b"}, "somebody")
    assert thread.settings.moderators == ["eve", "bob"]
    with pytest.raises(UpdateError):
        thread.update(actions=[Thread.views.set(0)], condition=Thread.views.is_in(1, 2, 3))
    with pytest.raises(DeleteError):
        thread.delete(Thread.author == "nobody")
    thread.delete(Thread.views > 4)
    with pytest.raises(Thread.DoesNotExist):
        Thread.get("actions", "one")


def test_a_version_refuses_the_one_who_read_before() -> None:
    Draft("v1", text="first").save()
    mine, theirs = Draft.get("v1"), Draft.get("v1")
    theirs.text = "theirs"
    theirs.save()
    mine.text = "mine"
    with pytest.raises(PutError) as refused:
        mine.save()
    assert refused.value.cause_response_code == "ConditionalCheckFailedException"
    mine.refresh(consistent_read=True)
    assert (mine.text, mine.version) == ("theirs", 2)
    mine.update(actions=[Draft.text.set("mine")])
    assert Draft.get("v1").version == 3
    mine.delete()


def test_batches_and_pages() -> None:
    with Thread.batch_write() as batch:
        for n in range(60):
            batch.save(Thread("pages", f"s{n:02}", views=(n * 7) % 60))
    subjects = [thread.subject for thread in Thread.query("pages", page_size=9, consistent_read=True)]
    assert subjects == [f"s{n:02}" for n in range(60)]
    first = Thread.query("pages", Thread.subject.between("s10", "s50"), limit=12, scan_index_forward=False)
    assert [thread.subject for thread in first] == [f"s{n}" for n in range(50, 38, -1)]
    rest = Thread.query(
        "pages",
        Thread.subject.between("s10", "s50"),
        scan_index_forward=False,
        last_evaluated_key=first.last_evaluated_key,
    )
    assert [thread.subject for thread in rest] == [f"s{n}" for n in range(38, 9, -1)]
    assert Thread.count("pages", filter_condition=Thread.views >= 30) == 30
    keys = [("pages", f"s{n:02}") for n in range(0, 60, 2)] + [("pages", "nothing")]
    assert len(list(Thread.batch_get(keys, consistent_read=True))) == 30
    scanned = Thread.scan(Thread.forum == "pages", segment=0, total_segments=1, page_size=25, consistent_read=True)
    assert sum(1 for _ in scanned) == 60
    with Thread.batch_write() as batch:
        for n in range(60):
            batch.delete(Thread("pages", f"s{n:02}"))
    assert Thread.count("pages", consistent_read=True) == 0


def test_a_local_index() -> None:
    with Thread.batch_write() as batch:
        for n, views in enumerate([40, 10, 30, 20]):
            batch.save(Thread("local", f"s{n}", views=views))
    found = Thread.by_views.query("local", Thread.views > 10, consistent_read=True)
    assert [(thread.subject, thread.views) for thread in found] == [("s3", 20), ("s2", 30), ("s0", 40)]
    assert Thread.by_views.count("local") == 4


def test_a_global_index(eventually: Eventually) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with Thread.batch_write() as batch:
        for n in range(9):
            batch.save(Thread(f"f{n % 3}", f"by-ada-{n}", author="ada2", posted=start + timedelta(days=n)))
        batch.save(Thread("f0", "no author"))

    def newest() -> list[str]:
        condition = Thread.posted >= start + timedelta(days=3)
        found = Thread.by_author.query("ada2", condition, page_size=2, scan_index_forward=False)
        return [thread.subject for thread in found]

    assert eventually(newest, lambda subjects: len(subjects) == 6) == [f"by-ada-{n}" for n in range(8, 2, -1)]
    assert {thread.author for thread in Thread.by_author.scan()} >= {"ada2"}


def test_transactions() -> None:
    connection = Connection(region=REGION)
    Thread("tx", "counter", views=1).save()
    counter, draft = Thread("tx", "counter"), Draft("tx-draft", text="new")
    with TransactWrite(connection=connection, client_request_token=uuid.uuid4().hex) as transaction:
        transaction.update(counter, actions=[Thread.views.add(1)], condition=Thread.views == 1)
        transaction.save(draft)
    with pytest.raises(TransactWriteError) as refused, TransactWrite(connection=connection) as transaction:
        transaction.update(counter, actions=[Thread.views.add(1)])
        transaction.condition_check(Draft, "tx-draft", condition=Draft.text == "old")
    assert refused.value.cause_response_code == "TransactionCanceledException"
    checked, updated = refused.value.cancellation_reasons    # PynamoDB sends checks first
    assert checked is not None
    assert (checked.code, updated) == ("ConditionalCheckFailed", None)
    with TransactGet(connection=connection) as transaction:
        read_counter = transaction.get(Thread, "tx", "counter")
        read_draft = transaction.get(Draft, "tx-draft")
    assert (read_counter.get().views, read_draft.get().text, read_draft.get().version) == (2, "new", 1)


def test_an_attribute_of_expiry() -> None:
    client = Connection(region=REGION).client       # the model has turned it on with its table
    told = client.describe_time_to_live(TableName=Draft.Meta.table_name)["TimeToLiveDescription"]
    assert told["AttributeName"] == "expires"
    assert told["TimeToLiveStatus"] in ("ENABLING", "ENABLED")
    draft = Draft("ttl", expires=timedelta(hours=1))
    draft.save()
    read = Draft.get("ttl")
    assert read.expires is not None
    assert abs(read.expires - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=1)
