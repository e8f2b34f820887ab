"""The definition of a table: what was asked for when it was created, and changed since.

A definition is a frozen value. It is kept as JSON under a key of its own in the metadata store, one key per
table, so that damage to one costs one (a table list kept as one file has cost others every table). The JSON
holds what clients asked for and when, never what can be computed: counts, ARNs and effective defaults are
added when a table is shown (description.py). How one version of Varley reads what another wrote:
stored_format.py.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from varley.table.stored_format import Stored, stored_decoder

FORMAT_VERSION: Final = 1

ScalarKind = Literal["S", "N", "B"]
BillingMode = Literal["PROVISIONED", "PAY_PER_REQUEST"]
TableClass = Literal["STANDARD", "STANDARD_INFREQUENT_ACCESS"]
ProjectionKind = Literal["ALL", "INCLUDE", "KEYS_ONLY"]
TableStatus = Literal["CREATING", "ACTIVE", "UPDATING", "DELETING"]
IndexStatus = Literal["CREATING", "ACTIVE", "UPDATING", "DELETING"]
DistanceFunction = Literal["COSINE", "DOT_PRODUCT", "EUCLIDEAN"]
StreamView = Literal["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"]
ContributorInsightsMode = Literal["ACCESSED_AND_THROTTLED_KEYS", "THROTTLED_KEYS"]

_DAY_SECONDS: Final = 86_400


class AttributeDefinition(Stored, frozen=True, kw_only=True):
    """An attribute that is part of a key, and its kind."""

    name: str
    kind: ScalarKind


class KeySchema(Stored, frozen=True, kw_only=True):
    """The primary key of a table."""

    hash_name: str
    hash_kind: ScalarKind
    range_name: str | None = None    # None: no sort key
    range_kind: ScalarKind | None = None    # None exactly if range_name is

    def __post_init__(self) -> None:
        assert (self.range_name is None) == (self.range_kind is None)
        assert self.hash_name != self.range_name

    @property
    def names(self) -> tuple[str, ...]:
        """The key attributes, partition key first."""
        return (self.hash_name,) if self.range_name is None else (self.hash_name, self.range_name)


class Projection(Stored, frozen=True, kw_only=True):
    """Which attributes an index has beside the keys."""

    kind: ProjectionKind
    names: tuple[str, ...] = ()    # what INCLUDE includes, as it was given

    def __post_init__(self) -> None:
        assert (self.kind == "INCLUDE") == bool(self.names)


class LocalIndex(Stored, frozen=True, kw_only=True):
    """A local index: the table's items by its own partition key and another sort key."""

    name: str
    range_name: str
    range_kind: ScalarKind
    projection: Projection


class Provisioned(Stored, frozen=True, kw_only=True):
    """Provisioned throughput in capacity units per second; 0 and 0 while a table is on demand."""

    read_units: int = 0
    write_units: int = 0
    increased_at: float | None = None    # epoch seconds; None: never
    decreased_at: float | None = None
    decreases: int = 0    # on the UTC day of `decreased_at`

    def decreases_on(self, now: float) -> int:
        """How often it was decreased on the UTC day of `now` (epoch seconds)."""
        if self.decreased_at is None or self.decreased_at // _DAY_SECONDS != now // _DAY_SECONDS:
            return 0
        return self.decreases

    def changed_to(self, read_units: int, write_units: int, now: float) -> Provisioned:
        """A change that raises one kind of units and lowers the other is an increase and a decrease."""
        increased = read_units > self.read_units or write_units > self.write_units
        decreased = read_units < self.read_units or write_units < self.write_units
        return Provisioned(
            read_units=read_units,
            write_units=write_units,
            increased_at=now if increased else self.increased_at,
            decreased_at=now if decreased else self.decreased_at,
            decreases=self.decreases_on(now) + 1 if decreased else self.decreases,
        )


class OnDemandThroughput(Stored, frozen=True, kw_only=True):
    """Caps of a table on demand, in request units per second; None: no cap."""

    max_read_units: int | None = None
    max_write_units: int | None = None


class WarmThroughput(Stored, frozen=True, kw_only=True):
    """What a table can take at once, in units per second. Never lowered."""

    read_units: int
    write_units: int

    def raised_to(self, other: WarmThroughput) -> WarmThroughput:
        return WarmThroughput(
            read_units=max(self.read_units, other.read_units),
            write_units=max(self.write_units, other.write_units),
        )


# What a table on demand can take from its first second. [DG] "Initial throughput for on-demand capacity mode"
ON_DEMAND_WARM: Final = WarmThroughput(read_units=12_000, write_units=4_000)


class GlobalIndex(Stored, frozen=True, kw_only=True):
    """A global index: the table's items by other keys, in partitions of its own."""

    name: str
    id: str    # a UUID: its partitions are kept under it; an index that is created again has another
    hash_keys: tuple[AttributeDefinition, ...]    # 1 to 4: hashed together
    range_keys: tuple[AttributeDefinition, ...] = ()    # up to 4: the order is by the first, then the next
    projection: Projection
    status: IndexStatus = "ACTIVE"
    is_backfilling: bool = False    # only while CREATING: items written before it was defined are being added
    provisioned: Provisioned = Provisioned()    # 0 and 0 while the table is on demand
    on_demand: OnDemandThroughput | None = None
    warm: WarmThroughput

    def __post_init__(self) -> None:
        assert 1 <= len(self.hash_keys) <= 4
        assert len(self.range_keys) <= 4
        assert not self.is_backfilling or self.status == "CREATING"

    @property
    def key_names(self) -> tuple[str, ...]:
        """The key attributes, those that are hashed first."""
        return tuple(each.name for each in (*self.hash_keys, *self.range_keys))


class VectorIndex(Stored, frozen=True, kw_only=True):
    """A vector index: the table's items by how near one of their attributes is to a vector. It has no rows."""

    name: str
    id: str    # a UUID; an index that is created again has another
    attribute: str    # a list of numbers
    dimensions: int
    distance: DistanceFunction
    hash_name: str | None = None    # an attribute that a search must name a value of
    filter_names: tuple[str, ...] = ()    # others that it may
    projection: Projection

    @property
    def search_names(self) -> tuple[str, ...]:
        """The attributes that a search may ask for by value."""
        return self.filter_names if self.hash_name is None else (self.hash_name, *self.filter_names)


class Stream(Stored, frozen=True, kw_only=True):
    """A stream of a table's changes, enabled or not any more. Times are epoch seconds."""

    label: str    # "2026-11-21T14:03:05.123": when it was enabled; the last part of its ARN
    view: StreamView
    enabled_at: float
    disabled_at: float | None = None    # None: it still takes changes; else it can be read for 24 hours


class Encryption(Stored, frozen=True, kw_only=True):
    """The key that was asked for in place of the service's own."""

    key: str | None = None    # id, alias or ARN as the client gave it; None: the account's default key


class ContributorInsights(Stored, frozen=True, kw_only=True):
    """What was last asked of CloudWatch Contributor Insights for a table, or for one of its indexes."""

    enabled: bool
    mode: ContributorInsightsMode    # kept when they are disabled
    updated_at: float    # epoch seconds
    rules_since: float    # when they were last enabled; the names of the rules end in it


class Table(Stored, frozen=True, kw_only=True):
    """One table. Times are epoch seconds."""

    format_version: int    # has no default, so that it is always written
    name: str
    id: str    # a UUID; a table that is created again has another
    created_at: float
    attribute_definitions: tuple[AttributeDefinition, ...]    # of the keys, as they were given
    key_schema: KeySchema
    local_indexes: tuple[LocalIndex, ...] = ()    # never changes; the place of an index here names its row space
    global_indexes: tuple[GlobalIndex, ...] = ()
    vector_indexes: tuple[VectorIndex, ...] = ()
    streams: tuple[Stream, ...] = ()    # oldest first; all but the last are disabled
    billing_mode: BillingMode
    warm: WarmThroughput    # at least `provisioned`; at least ON_DEMAND_WARM once the table was on demand
    on_demand_since: float | None = None    # the last change to PAY_PER_REQUEST; kept when it changes back
    provisioned: Provisioned = Provisioned()
    on_demand: OnDemandThroughput | None = None    # only while billing_mode is PAY_PER_REQUEST
    status: TableStatus = "ACTIVE"
    table_class: TableClass | None = None    # None: nobody chose, which means STANDARD
    table_class_changed_at: float | None = None
    deletion_protection: bool = False
    encryption: Encryption | None = None
    tags: dict[str, str] = {}    # noqa: RUF012 - a Struct copies its defaults
    time_to_live_attribute: str | None = None    # None: items do not expire
    time_to_live_changed_at: float | None = None    # the last time they began or ceased to; None: never
    time_to_live_revision: int = 0    # how often that was; partitions say for which one their rows are (expiry.py)
    resource_policy: str | None = None    # JSON, as api/resource_policy.py writes it
    resource_policy_revision: int = 0    # of the last change of the policy, its removal too; only ever grows
    contributor_insights: dict[str, ContributorInsights] = {}    # noqa: RUF012 - by index; "" is the table itself

    def __post_init__(self) -> None:
        search_names = {name for index in self.vector_indexes for name in index.search_names}
        assert {each.name for each in self.attribute_definitions} == self.key_names | search_names
        assert all(stream.disabled_at is not None for stream in self.streams[:-1])
        assert not self.local_indexes or self.key_schema.range_name is not None
        assert (self.billing_mode == "PAY_PER_REQUEST") == (self.provisioned.read_units == 0)
        assert self.on_demand is None or self.billing_mode == "PAY_PER_REQUEST"
        assert self.warm.read_units >= self.provisioned.read_units
        assert self.warm.write_units >= self.provisioned.write_units
        assert self.time_to_live_attribute is None or self.time_to_live_changed_at is not None
        assert self.resource_policy is None or self.resource_policy_revision > 0

    @property
    def key_names(self) -> frozenset[str]:
        """The attributes that are in the key of the table or of an index."""
        names = {*self.key_schema.names, *(index.range_name for index in self.local_indexes)}
        return frozenset(names.union(*(index.key_names for index in self.global_indexes)))

    @property
    def stream(self) -> Stream | None:
        """The stream that takes changes now; None: the table has none."""
        return self.streams[-1] if self.streams and self.streams[-1].disabled_at is None else None


def to_json(table: Table) -> bytes:
    return msgspec.json.encode(table)


from_json = stored_decoder(Table, FORMAT_VERSION)


def changed(table: Table, **changes: Any) -> Table:
    """`table` with some members replaced; its invariants are checked again."""
    return msgspec.structs.replace(table, **changes)
