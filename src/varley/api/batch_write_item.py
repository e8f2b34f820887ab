"""BatchWriteItem: up to 25 puts and deletes, each by itself: some may be done when others are not.

All are checked before any is done. Each goes to its own partition and takes its own slot; the answer waits for the
last of them, and since all are in one group commit more often than not, that costs one fdatasync. What meets an item
that a transaction has prepared is told as unprocessed; so is what is throttled, unless everything is: then the request
is ([API]).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from varley.api import capacity, constraints
from varley.api.delete_item import Delete
from varley.api.put_item import Put
from varley.api.requests import Attributes, Request, Structure, decoder
from varley.api.services import Services
from varley.api.writes import Terms
from varley.errors import (
    ApiError,
    ProvisionedThroughputExceeded,
    ServiceUnavailable,
    Throttling,
    TransactionConflict,
    ValidationError,
)
from varley.http.call import Call
from varley.item.units import write_units_of
from varley.item.value import Item, check_item
from varley.limits import BATCH_WRITE_BYTES_MAX, BATCH_WRITE_REQUESTS_MAX, ITEM_BYTES_MAX
from varley.node.elsewhere import Elsewhere, Need
from varley.node.partition import Partition
from varley.node.settled import Told, after_calls, reply_when_settled
from varley.remote.peers import Peers
from varley.router.routes import Route

_encode = msgspec.json.encode

_Write = tuple[Partition, Put | Delete, str, "WriteRequest"]    # where, what, the table as named, what was asked

# The service's own words, though they are about another kind of thing.
_NOT_ONE = (
    "Supplied AttributeValue has more than one datatypes set, "
    "must contain exactly one of the supported datatypes"
)


class PutRequest(Structure):
    item: Attributes | None = None


class DeleteRequest(Structure):
    key: Attributes | None = None


class WriteRequest(Structure):
    put_request: PutRequest | None = None
    delete_request: DeleteRequest | None = None


class BatchWriteItemRequest(Request):
    request_items: dict[str, list[WriteRequest]] | None = None
    return_consumed_capacity: str | None = None
    return_item_collection_metrics: str | None = None


_decode = decoder(BatchWriteItemRequest)


class Tally:
    """What the writes of a batch come to together: the answer's ConsumedCapacity and ItemCollectionMetrics."""

    __slots__ = ("collections", "index_members", "index_units", "units", "unprocessed")

    def __init__(self) -> None:
        self.units: dict[str, float] = {}    # by table
        self.index_units: dict[str, dict[str, float]] = {}    # by table and index
        self.index_members: dict[str, Mapping[str, str]] = {}    # by table and index: see Route
        self.collections: dict[str, dict[bytes, dict[str, Any]]] = {}    # by table and partition key; the newest
        self.unprocessed: dict[str, list[dict[str, Any]]] = {}    # by table as it was named: to be sent again

    def add(
        self,
        table: str,
        route: Route,
        units: float,
        index_units: Mapping[str, float] | None,
        metrics: dict[str, Any] | None,
    ) -> None:
        self.units[table] = self.units.get(table, 0.0) + units
        if index_units:
            self.index_members[table] = route.index_members
            indexes = self.index_units.setdefault(table, {})
            for index, each in index_units.items():
                indexes[index] = indexes.get(index, 0.0) + each
        if metrics is not None:
            self.collections.setdefault(table, {})[_encode(metrics["ItemCollectionKey"])] = metrics

    def answer(self, capacity_mode: str | None) -> bytes:
        members: dict[str, Any] = {"UnprocessedItems": self.unprocessed}
        if self.collections:
            members["ItemCollectionMetrics"] = {
                table: list(collections.values()) for table, collections in self.collections.items()
            }
        if capacity_mode is not None and capacity_mode != "NONE":
            members["ConsumedCapacity"] = [
                capacity.consumed(
                    table, units, capacity_mode, self.index_units.get(table), self.index_members.get(table, {})
                )
                for table, units in self.units.items()
            ]
        return _encode(members)


class BatchTerms(Terms):
    """The terms of one write of a batch: what it comes to is added to the tally, and has no answer of its own."""

    __slots__ = ("_tally",)

    def __init__(
        self, table: str, route: Route, tally: Tally, metrics_mode: str | None = None, key: Item | None = None
    ) -> None:
        super().__init__(route, "BatchWriteItem", metrics_mode=metrics_mode, key=key, table=table)
        self._tally = tally

    def answer(
        self,
        attributes: bytes,
        old: bytes | None,
        new: bytes | None,
        index_units: Mapping[str, float] | None = None,
        metrics: dict[str, Any] | None = None,
    ) -> bytes:
        units = write_units_of(old, new)
        self._tally.add(self.table, self.route, units, index_units, metrics)
        return b""


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    constraints.check(constraints.BATCH_WRITE_ITEM, request)
    assert request.request_items is not None
    total = 0
    sizes: dict[str, list[int]] = {}
    for table, wants in request.request_items.items():
        if not wants:
            raise ValidationError(f"The batch write request list for a table cannot be null or empty: {table}")
        sizes[table] = []
        for want in wants:
            size = _check(want)
            total += size
            sizes[table].append(size)
    if sum(map(len, sizes.values())) > BATCH_WRITE_REQUESTS_MAX:
        raise ValidationError("Too many items requested for the BatchWriteItem call")
    if total > BATCH_WRITE_BYTES_MAX:
        raise ValidationError("Batch write request size has exceeded the maximum allowed size")
    writes: list[_Write] = []
    tally = Tally()
    metrics_mode = request.return_item_collection_metrics
    seen: set[tuple[str, bytes]] = set()    # a table may be named twice: by its name and by its ARN
    for table, wants in request.request_items.items():
        route = services.router.route(table)
        consequences = route.consequences
        terms = BatchTerms(table, route, tally)
        for want, size in zip(wants, sizes[table], strict=True):
            write: Put | Delete
            if want.put_request is not None:
                item = want.put_request.item
                assert item is not None
                key = route.keys.row_key_of_item(item)
                if consequences is not None:
                    consequences.check_item(item)
                    terms = BatchTerms(table, route, tally, metrics_mode, item)
                write = Put(key, _encode(item), size, None, terms)
            else:
                assert want.delete_request is not None and want.delete_request.key is not None
                key = route.keys.row_key(want.delete_request.key)
                if consequences is not None:
                    terms = BatchTerms(table, route, tally, metrics_mode, want.delete_request.key)
                write = Delete(key, None, terms)
            if (route.name, key) in seen:
                raise ValidationError("Provided list of item keys contains duplicates")
            seen.add((route.name, key))
            writes.append((route.partition_of(key), write, table, want))
    peers = call.elsewhere
    if peers is not None and not all(peers.is_here(partition.group, Need.WRITE) for partition, _, _, _ in writes):
        _Parts(call, peers, request, tally, writes).begin()
        return None
    done = after_calls(len(writes), reply_when_settled(call, lambda: tally.answer(request.return_consumed_capacity)))
    each_settled = Told(done)    # the first failure decides, once all are settled
    again: list[tuple[str, WriteRequest]] = []    # by table as it was named
    throttled: list[ApiError] = []
    for partition, write, table, want in writes:
        try:
            answer = partition.write(write, each_settled)
        except TransactionConflict:
            # The operation has no such error ([API]); what is tried again later may be done then.
            again.append((table, want))
        except (Throttling, ProvisionedThroughputExceeded) as refusal:
            again.append((table, want))
            throttled.append(refusal)
        except Elsewhere:    # in the very moment in which its partition is split
            again.append((table, want))
            throttled.append(partition.overload())
        except ApiError as refusal:
            done(refusal)
        else:
            if answer is not None:
                done(None)
    if len(throttled) == len(writes):
        raise throttled[0]
    for table, want in again:
        tally.unprocessed.setdefault(table, []).append(_again(want))
        done(None)
    return None


class _Parts:
    """A batch of which some partitions are led elsewhere: each write becomes a batch of its own, led here or not.

    So what each comes to is told by whoever did it, and what all come to is put together in the order of the request,
    whatever the order in which the parts are answered. What surely was not done is told as unprocessed.
    """

    def __init__(
        self, call: Call, peers: Peers, request: BatchWriteItemRequest, tally: Tally, writes: Sequence[_Write]
    ) -> None:
        self._call = call
        self._peers = peers
        self._request = request
        self._tally = tally
        self._writes = writes
        self._answers: list[bytes | ApiError] = [b""] * len(writes)
        self._left = len(writes)

    def begin(self) -> None:
        options = {"ReturnConsumedCapacity": "INDEXES"}
        if self._request.return_item_collection_metrics is not None:
            options["ReturnItemCollectionMetrics"] = self._request.return_item_collection_metrics
        for number, (partition, _, table, want) in enumerate(self._writes):
            body = _encode({"RequestItems": {table: [_again(want)]}, **options})

            def heard(answer: bytes | ApiError, number: int = number) -> None:
                self._answers[number] = answer
                self._left -= 1
                if not self._left:
                    self._finish()

            self._peers.part(self._call, partition.group, Need.WRITE, "BatchWriteItem", body, heard)

    def _finish(self) -> None:
        throttled: list[ApiError] = []
        for (_, write, table, want), answer in zip(self._writes, self._answers, strict=True):
            if isinstance(answer, ApiError):
                if answer.code not in _NOT_DONE:
                    self._call.fail(answer)
                    return
                throttled.append(answer)
                self._tally.unprocessed.setdefault(table, []).append(_again(want))
                continue
            told = _decode_told(answer)
            if told.unprocessed:
                self._tally.unprocessed.setdefault(table, []).append(_again(want))
                continue
            [consumed] = told.consumed
            units, index_units = capacity.told(consumed)
            metrics = [each for collections in told.metrics.values() for each in collections]
            terms = write.terms
            self._tally.add(terms.table, terms.route, units, index_units, metrics[0] if metrics else None)
        if len(throttled) == len(self._writes):
            self._call.fail(throttled[0])
        else:
            self._call.reply(self._tally.answer(self._request.return_consumed_capacity))


class _Told(msgspec.Struct):
    """What one part answers."""

    unprocessed: dict[str, Any] = msgspec.field(name="UnprocessedItems")
    consumed: list[dict[str, Any]] = msgspec.field(name="ConsumedCapacity", default_factory=list)
    metrics: dict[str, list[dict[str, Any]]] = msgspec.field(name="ItemCollectionMetrics", default_factory=dict)


_decode_told = msgspec.json.Decoder(_Told).decode

# The codes of refusals by who surely did nothing, and may do it when it is asked again.
_NOT_DONE: Final = (Throttling.code, ProvisionedThroughputExceeded.code, ServiceUnavailable.code)


def _again(want: WriteRequest) -> dict[str, Any]:
    """What the client sends again, ready to be used in RequestItems."""
    if want.put_request is not None:
        return {"PutRequest": {"Item": want.put_request.item}}
    assert want.delete_request is not None
    return {"DeleteRequest": {"Key": want.delete_request.key}}


def _check(want: WriteRequest) -> int:
    """The size of what is put, or 0 for a delete. Raises ValidationError."""
    put, delete = want.put_request, want.delete_request
    if put is not None and delete is not None:
        raise ValidationError(_NOT_ONE)
    if put is not None:
        assert put.item is not None
        size = check_item(put.item)
        if size > ITEM_BYTES_MAX:
            raise ValidationError("Item size has exceeded the maximum allowed size")
        return size
    if delete is not None:
        assert delete.key is not None
        check_item(delete.key)
        return 0
    raise ValidationError(_NOT_ONE)
