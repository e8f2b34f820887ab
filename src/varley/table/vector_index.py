"""One vector index of a table: which items are in it, with which vector, and what may be written.

An item is in the index if it has, in the index's vector attribute, a list of as many numbers as the index has
dimensions, each within the range of a 32-bit float; and, if the index is partitioned, the attribute that it is
partitioned by. Such an item's vector is those numbers as 32-bit floats. Writes of items whose vector attribute is
anything else, or whose partition or filter attributes are of another type than defined, are refused. Items that were
there before the index was are simply not in it.

There are no rows: the index is a way to look at the items ([decision 0047], vectors/search.py). What is told of its
size, and of what a write costs it, is as large as what the service would keep: four bytes for each number of the
vector, and what else is projected as items are measured.

Sources: documentation of PutItem, VectorIndex and SearchVectors in the service model 2012-08-10 of botocore 1.44.5;
[DG] "Working with vector indexes", "Troubleshooting vector indexes". The texts of refusals of writes are not known in
full; they are ours. [DG] "Monitoring vector index capacity": what is told of a write scales with what is replicated,
and is nothing if no indexed attribute changes; its example of 4125 bytes goes with 1024 dimensions.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping
from operator import mul
from typing import Any, Final

import msgspec

from varley.errors import ValidationError
from varley.item.size import item_size, name_size
from varley.item.value import Item
from varley.table.consequences import Following, Get, ItemWrite, Scan
from varley.table.keys import KeyCodec
from varley.table.schema import DistanceFunction, Table, VectorIndex

_INVALID: Final = "One or more parameter values were invalid: "
_FLOAT_MAX: Final = 3.4028234663852886e38
_FLOAT_BYTES: Final = 4
_encode = msgspec.json.encode

Vector = array    # of type "f"


class VectorIndexCodec:
    """One index of a table with these keys and attribute definitions."""

    __slots__ = (
        "_kinds", "_projected", "attribute", "dimensions", "distance", "filter_names", "hash_name", "id", "name",
    )  # fmt: skip

    def __init__(self, index: VectorIndex, keys: KeyCodec, kinds: Mapping[str, str]) -> None:
        """`kinds`: of all attributes that the table defines."""
        self.id = index.id
        self.name = index.name
        self.attribute = index.attribute
        self.dimensions = index.dimensions
        self.distance = index.distance
        self.hash_name = index.hash_name
        self.filter_names = index.filter_names
        self._kinds = {name: kinds[name] for name in index.search_names}
        projected = dict.fromkeys((*keys.names, *index.search_names, index.attribute, *index.projection.names))
        # The attributes that a search may give of an item; None: all.
        self._projected = None if index.projection.kind == "ALL" else tuple(projected)

    @property
    def search_names(self) -> tuple[str, ...]:
        """The attributes that a search may ask for by value."""
        return tuple(self._kinds)

    def kind_of(self, name: str) -> str:
        """Of one of `search_names`."""
        return self._kinds[name]

    def vector_of(self, item: Item) -> Vector[float] | None:
        """The item's vector; None: the item is not in the index."""
        value = item.get(self.attribute)
        if value is None or "L" not in value or len(value["L"]) != self.dimensions:
            return None
        if self.hash_name is not None and self._kinds[self.hash_name] not in item.get(self.hash_name, ()):
            return None
        try:
            vector = array("f", [float(each["N"]) for each in value["L"]])
        except KeyError:
            return None
        return None if math.inf in vector or -math.inf in vector else vector

    def search_values(self, item: Item) -> dict[str, Any]:
        """What a search may ask for of an item."""
        return {name: item[name] for name in self._kinds if name in item}

    def project(self, item: Item) -> Item:
        """What a search gives of an item."""
        if self._projected is None:
            return item
        return {name: item[name] for name in self._projected if name in item}

    def entry_size(self, item: Item) -> int:
        """In DynamoDB bytes, what the index has of an item that is in it."""
        rest = {name: value for name, value in self.project(item).items() if name != self.attribute}
        return item_size(rest) + name_size(self.attribute) + _FLOAT_BYTES * self.dimensions

    def written_bytes(self, old: Item | None, new: Item | None) -> int:
        """What a write is told to have replicated to the index; 0: it changes nothing there."""
        before = None if old is None or self.vector_of(old) is None else self.project(old)
        after = None if new is None or self.vector_of(new) is None else self.project(new)
        if before == after:
            return 0
        return max(0 if each is None else self.entry_size(each) for each in (before, after))

    def check_item(self, item: Item) -> None:
        """Raise ValidationError, the client's fault, if an item that is written does not fit the index."""
        for name, kind in self._kinds.items():
            value = item.get(name)
            if value is not None and kind not in value:
                [actual] = value
                raise ValidationError(
                    f"{_INVALID}Type mismatch for Index Key {name} Expected: {kind} Actual: {actual} "
                    f"IndexName: {self.name}"
                )
        value = item.get(self.attribute)
        if value is not None:
            check_vector(value, self.dimensions, f"{self.attribute}", f" IndexName: {self.name}")


def check_vector(value: dict[str, Any], dimensions: int, name: str, where: str = "") -> None:
    """Raise ValidationError if an attribute value is not a vector of so many dimensions; `name` of what it is."""
    [(kind, elements)] = value.items()
    if kind != "L":
        raise ValidationError(f"{_INVALID}Invalid type for parameter {name} Expected: L Actual: {kind}{where}")
    if len(elements) != dimensions:
        raise ValidationError(
            f"{_INVALID}Invalid number of dimensions for parameter {name} Expected: {dimensions} "
            f"Actual: {len(elements)}{where}"
        )
    for number, element in enumerate(elements):
        [(kind, text)] = element.items()
        if kind != "N":
            raise ValidationError(
                f"{_INVALID}Invalid type for parameter {name}[{number}] Expected: N Actual: {kind}{where}"
            )
        if not abs(float(text)) <= _FLOAT_MAX:
            raise ValidationError(
                f"{_INVALID}Value of parameter {name}[{number}] is out of the range of a 32-bit float{where}"
            )


class Distance:
    """From one vector to others, as one function of the service measures it.

    A *rank* is smaller the nearer two vectors are, whatever the function; the score is what clients are shown.
    """

    __slots__ = ("_function", "_length", "_query")

    def __init__(self, function: DistanceFunction, query: Vector[float]) -> None:
        self._function = function
        self._query = query
        self._length = length_of(query)

    def rank(self, vector: Vector[float], length: float) -> float:
        """Of a vector of this length, which who compares it often need not find out each time."""
        if self._function == "DOT_PRODUCT":
            return -_dot(self._query, vector)
        if self._function == "EUCLIDEAN":
            return math.dist(self._query, vector)
        lengths = self._length * length
        if lengths == 0.0:
            return 1.0    # no direction: neither like nor opposite
        return min(max(1.0 - _dot(self._query, vector) / lengths, 0.0), 2.0)

    def score(self, rank: float) -> float:
        return -rank if self._function == "DOT_PRODUCT" else rank


def length_of(vector: Vector[float]) -> float:
    return math.sqrt(_dot(vector, vector))


def _dot(one: Vector[float], other: Vector[float]) -> float:
    product: float = sum(map(mul, one, other))
    return product


class VectorIndexFollower:
    """The vector indexes of one table, as writes meet them: they check, are told of, and leave no rows."""

    __slots__ = ("indexes",)

    def __init__(self, table: Table, keys: KeyCodec) -> None:
        kinds = {each.name: each.kind for each in table.attribute_definitions}
        self.indexes = tuple(VectorIndexCodec(index, keys, kinds) for index in table.vector_indexes)

    def check_item(self, item: Item) -> None:
        for index in self.indexes:
            index.check_item(item)

    check_updated = check_item

    def follow(self, write: ItemWrite, following: Following) -> None:
        """No rows; only what is told of them."""
        old = None if write.old is None else write.old.item
        new = None if write.new is None else write.new.item
        for index in self.indexes:
            size = index.written_bytes(old, new)
            if size:
                following.index_units[index.name] = float(size)

    def problems(self, get: Get, scan: Scan) -> Iterator[tuple[bytes, str]]:
        return iter(())
