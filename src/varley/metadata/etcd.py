"""Metadata of a cluster, in etcd.

    <prefix>/table/Music         what the seam's users keep; the value is theirs, byte for byte
    <prefix>/.writers/<id>       of this store: what the newest change of one process was, see below

A version is etcd's mod revision: it ascends over the whole etcd, also with what others keep there. compare_and_set is
one transaction that compares mod revisions.

A change whose answer is lost
=============================

A transaction was sent, and the connection broke, or time ran out, or etcd itself said that it does not know. It may
have been made, or not, or be made in a minute: by a server that was stopped with the request in its hands. To read the
keys does not decide that: what they have may be somebody else's change, and what they do not have may come yet. So:

1. Every process has a key of its own, its *writer*, and makes one change at a time. Each change also compares the
   writer's mod revision with what the change before left, and writes the change's number into it.
2. After a lost answer it sends another transaction, as often as needed: if the writer is still as before, write
   "n closed" into it; else read it. Whatever happens, afterwards the writer has a new revision, so the lost change, if
   it was not made, never will be: its compare fails for ever.
3. The writer says which it was. "n": it was made, and the key's revision is its version. "n closed": it was not, and
   is simply made again.

If nobody answers until patience is over, the outcome is unknown and told as such (OutcomeUnknown); the writer is given
up, and the next change takes a new one. Writers are under leases of an hour, each for the changes of half an hour, so
what dead processes leave goes by itself.

Rejected: to repeat the transaction and look whether the keys have our values (two processes may write the same
ones); a marker of its own for each change (one more key for each, and nothing that stops a late one from being made).

Watches
=======

A list at one revision, then etcd's watch from the next. A connection that breaks is made anew from where the last was.
Silence proves nothing: a server that is cut off from the others, or stopped, says nothing either. So after some seconds
of it the same server is asked to read something, which it can answer only together with the others; if it does not,
another one is taken. If the revision has been compacted away, everything is listed again.

If etcd is older than what it has told already, or is another cluster of etcd, it was restored from a copy, or somebody
has mistaken the address. Then nothing that it tells is news, and revisions mean something else: a table that was made
after the copy would look deleted, and a compare might hold by chance. So the watch raises WorldError instead, and this
store makes no more changes. Whoever holds a Catalog goes on with what it has, until the operator has decided.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

import msgspec

from varley.clock import Clock, SystemClock
from varley.errors import DiskFull, LeaseEnded, OutcomeUnknown, Unreachable, WorldError
from varley.metadata import etcd_address
from varley.metadata.etcd_address import EtcdAddress
from varley.metadata.etcd_client import (
    ATTEMPT_SECONDS,
    NOT_FOUND,
    PATIENCE_SECONDS,
    EtcdClient,
    Header,
    Refused,
    error_of,
    is_about_token,
)
from varley.metadata.etcd_http import NoAnswer, NotSent
from varley.metadata.store import ABSENT, Change, Changed, Entry, Lease, Listed, Told

_WRITERS: Final = ".writers/"    # no key of the seam's users begins so
_WRITER_LEASE_SECONDS: Final = 3600
_PAGE: Final = 500    # entries of one answer to a list
_SILENCE_SECONDS: Final = 5.0    # of a watch, before its server is asked whether it is still one of etcd
_RENEWALS: Final = 3    # in the length of a lease: two may be lost
_PAUSE_SECONDS: Final = 0.2    # before a watch that was lost is begun again


class _KeyValue(msgspec.Struct):
    key: bytes
    value: bytes = b""
    mod_revision: int = 0


class _Range(msgspec.Struct):
    header: Header
    kvs: tuple[_KeyValue, ...] = ()
    more: bool = False


class _RangeOfTransaction(msgspec.Struct):
    kvs: tuple[_KeyValue, ...] = ()


class _Response(msgspec.Struct):
    response_range: _RangeOfTransaction = msgspec.field(default_factory=_RangeOfTransaction)


class _Transaction(msgspec.Struct):
    header: Header
    succeeded: bool = False
    responses: tuple[_Response, ...] = ()

    @property
    def found(self) -> tuple[_KeyValue, ...]:
        """What the range, the only operation of its failure, has read."""
        assert not self.succeeded
        return self.responses[0].response_range.kvs


class _Event(msgspec.Struct):
    kv: _KeyValue
    type: str = "PUT"


class _Watched(msgspec.Struct):
    header: Header
    created: bool = False
    canceled: bool = False
    compact_revision: int = 0
    cancel_reason: str = ""
    events: tuple[_Event, ...] = ()


class _WatchLine(msgspec.Struct):
    result: _Watched | None = None


class _Granted(msgspec.Struct):
    ID: int
    TTL: int = 0


class _KeptAlive(msgspec.Struct):
    result: _Granted


class _Compacted(Exception):
    """The revision that a watch should begin from is gone."""


class _NotMade(Exception):
    """A change was surely not made, and may be tried again."""


class _Writer:
    """The key that tells of this process's changes whether they were made."""

    def __init__(self, key: bytes, version: int, lease: int, until: float) -> None:
        self.key = key
        self.version = version    # its mod revision, which the next change expects
        self.lease = lease
        self.until = until    # on the monotonic clock: after that no change is begun with it
        self.number = 0    # of the newest change


class EtcdStore:
    """See store.Store. Made by `open`."""

    def __init__(
        self,
        address: EtcdAddress,
        clock: Clock | None = None,
        *,
        attempt_seconds: float = ATTEMPT_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        silence_seconds: float = _SILENCE_SECONDS,
    ) -> None:
        self.address = address
        self.trouble: WorldError | None = None    # why watches are told nothing at the moment
        self._clock = SystemClock() if clock is None else clock
        self._client = EtcdClient(address, attempt_seconds=attempt_seconds, patience_seconds=patience_seconds)
        self._patience_seconds = patience_seconds
        self._silence_seconds = silence_seconds
        self._root = f"{address.prefix}/".encode()
        self._cluster_id = 0    # etcd's own; 0: not known yet
        self._told_before = 0   # the revision that was told before this process began, if it relies on that
        self._distrusted: WorldError | None = None    # why no more changes are made; set once
        self._writing = asyncio.Lock()    # one change at a time: the writer tells of one
        self._writer: _Writer | None = None

    @classmethod
    def at(cls, url: str, clock: Clock | None = None, **patience: float) -> EtcdStore:
        """The store that `url` names (see etcd_address.py), which has not been asked anything. Raises BadSettings."""
        return cls(etcd_address.parse(url), clock, **patience)

    @classmethod
    async def open(cls, url: str, clock: Clock | None = None, **patience: float) -> EtcdStore:
        """The same, once it has answered.

        Raises BadSettings; Unreachable; Refused if etcd does not let us in.
        """
        store = cls.at(url, clock, **patience)
        try:
            await store.get("groups")
        except BaseException:
            await store.close()
            raise
        return store

    @property
    def etcd(self) -> int:
        """Its id; 0: it has not been heard of yet."""
        return self._cluster_id

    def has_told(self, etcd: int, version: int) -> None:
        """An etcd of this id has told this node all up to this version, in an earlier life that it goes on with: an
        older one is not trusted."""
        self._cluster_id, self._told_before = etcd, version

    async def get(self, key: str) -> Entry | None:
        found = (await self._client.call("kv/range", {"key": self._raw(key)}, _Range)).kvs
        return self._entry(found[0]) if found else None

    async def list(self, prefix: str) -> Sequence[Entry]:
        return (await self.snapshot(prefix)).entries

    async def snapshot(self, prefix: str) -> Listed:
        """In pages, all as of the revision of the first."""
        low, high = self._raw(prefix), end_of_prefix(self._raw(prefix))
        entries: list[Entry] = []
        revision = 0
        while True:
            wanted = {"key": low, "range_end": high, "limit": _PAGE, "revision": revision}
            try:
                page = await self._client.call("kv/range", wanted, _Range)
            except Refused as error:
                if revision and "compacted" in error.problem:
                    return await self.snapshot(prefix)
                raise
            revision = revision or page.header.revision
            entries += [self._entry(found) for found in page.kvs if not self._is_writer(found)]
            if not page.more:
                return Listed(entries, revision)
            low = page.kvs[-1].key + b"\0"

    async def compare_and_set(self, changes: Sequence[Change]) -> int | None:
        assert len({change.key for change in changes}) == len(changes) > 0
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience_seconds
        async with self._writing:
            while True:
                if self._distrusted is not None:
                    raise self._distrusted
                try:
                    return await self._attempt(changes, await self._ready_writer())
                except _NotMade as error:
                    if loop.time() > deadline:
                        raise self._client.unreachable(str(error)) from error
                except asyncio.CancelledError:
                    self._writer = None    # nobody is left who would find out
                    raise

    async def watch(self, prefix: str) -> AsyncGenerator[Told, None]:
        version: int | None = None    # of what was told last; None: nothing, or nothing that could be gone on from
        newest = self._told_before    # that was ever told
        while True:
            try:
                self._trust((await self._client.call("kv/range", self._nothing(), _Range)).header, newest)
                if version is None:
                    listed = await self.snapshot(prefix)
                    self.trouble = None
                    yield listed
                    version = newest = listed.version
                async for seen, changed in self._changes(prefix, version + 1):
                    self.trouble = None
                    if changed is not None:
                        yield changed
                    version = newest = max(version, seen)
            except _Compacted:
                version = None
            except (Unreachable, Refused, DiskFull) as error:    # refused: a role that was taken away, say
                self.trouble = error
                await asyncio.sleep(_PAUSE_SECONDS)
            except (NotSent, NoAnswer) as error:
                self.trouble = self._client.unreachable(str(error))
                await asyncio.sleep(_PAUSE_SECONDS)

    async def lease(self, seconds: float) -> Lease:
        if self._distrusted is not None:
            raise self._distrusted
        granted, ends_at = await self._grant(seconds)
        return EtcdLease(self._client, self._clock, granted, ends_at)

    async def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                await self._client.call("lease/revoke", {"ID": writer.lease}, Header, patience=0.0)
            except WorldError:
                pass    # it goes by itself
        self._client.close()

    # Keys

    def _raw(self, key: str) -> bytes:
        assert not key.startswith(_WRITERS)
        return self._root + key.encode()

    def _entry(self, found: _KeyValue) -> Entry:
        return Entry(found.key[len(self._root) :].decode(), found.value, found.mod_revision)

    def _is_writer(self, found: _KeyValue) -> bool:
        return found.key.startswith(self._root + _WRITERS.encode())

    def _nothing(self) -> dict[str, Any]:
        """A read that needs most of etcd's servers and returns nothing: for the revision in its header."""
        return {"key": self._root, "count_only": True}

    # Changes

    async def _attempt(self, changes: Sequence[Change], writer: _Writer) -> int | None:
        """The version, or None if a key is not as expected.

        Raises _NotMade, and what else says that surely nothing was changed; OutcomeUnknown.
        """
        writer.number += 1
        number = str(writer.number).encode()
        compares = [_compare(self._raw(change.key), change.expected_version) for change in changes]
        message = {
            "compare": [*compares, _compare(writer.key, writer.version)],
            "success": [*map(self._operation, changes), _put(writer.key, number, writer.lease)],
            "failure": [{"request_range": {"key": writer.key}}],
        }
        try:
            answer = await self._client.call("kv/txn", message, _Transaction, is_repeatable=False)
        except NoAnswer as error:
            return await self._decide(writer, number, str(error))
        except Refused as error:
            if error.code != NOT_FOUND:
                raise
            raise self._without_lease(changes, writer) from error
        if answer.succeeded:
            writer.version = answer.header.revision
            return writer.version
        if [found.mod_revision for found in answer.found] != [writer.version]:
            self._writer = None
            raise _NotMade("the lease of this process's writer is over")
        return None

    async def _decide(self, writer: _Writer, number: bytes, why: str) -> int:
        """The version that a change has made whose answer was lost.

        Raises _NotMade: it was not made, and never will be. Raises OutcomeUnknown.
        """
        closed = number + b" closed"
        message = {
            "compare": [_compare(writer.key, writer.version)],
            "success": [_put(writer.key, closed, writer.lease)],
            "failure": [{"request_range": {"key": writer.key}}],
        }
        try:
            answer = await self._client.call("kv/txn", message, _Transaction)
        except WorldError as error:
            self._writer = None
            raise self._unknown(str(error)) from error
        if answer.succeeded:
            writer.version = answer.header.revision
            raise _NotMade(why)
        if not answer.found:
            self._writer = None
            raise self._unknown("etcd was away for so long that it does not remember")
        [found] = answer.found
        assert found.value in (number, closed), "nobody else writes this key"
        writer.version = found.mod_revision
        if found.value == closed:
            raise _NotMade(why)
        return found.mod_revision

    async def _ready_writer(self) -> _Writer:
        """Raises Unreachable and the like: nothing was changed."""
        if self._writer is None or self._clock.monotonic() > self._writer.until:
            granted, _ = await self._grant(_WRITER_LEASE_SECONDS)
            until = self._clock.monotonic() + _WRITER_LEASE_SECONDS / 2
            while True:
                key = self._root + _WRITERS.encode() + uuid.uuid4().hex.encode()
                message = {"compare": [_compare(key, ABSENT)], "success": [_put(key, b"0", granted.ID)]}
                try:
                    answer = await self._client.call("kv/txn", message, _Transaction, is_repeatable=False)
                    break
                except NoAnswer as error:    # under another key, since that one may be written at any time
                    if self._clock.monotonic() > until:
                        raise self._client.unreachable(str(error)) from error
            self._writer = _Writer(key, answer.header.revision, granted.ID, until)
        return self._writer

    def _operation(self, change: Change) -> dict[str, Any]:
        key = self._raw(change.key)
        if change.value is None:
            return {"request_delete_range": {"key": key}}
        lease = 0
        if change.lease is not None:
            assert isinstance(change.lease, EtcdLease)
            lease = change.lease.id
        return _put(key, change.value, lease)

    def _without_lease(self, changes: Sequence[Change], writer: _Writer) -> Exception:
        """A lease that the transaction named is gone, so nothing was changed. Which one? Not that of a new writer."""
        named = [change for change in changes if change.lease is not None]
        if not named or writer.number > 1:
            self._writer = None
            return _NotMade("the lease of this process's writer is over")
        for change in named:
            assert isinstance(change.lease, EtcdLease)
            change.lease.lost.set()
        return LeaseEnded("The lease has ended", path=named[0].key, operation="write", hint="Take a new one")

    def _unknown(self, why: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"A change of metadata was sent to etcd, and nobody knows what became of it. {why}",
            path=str(self.address), operation="write", hint="Look whether it was made, and make it again if not",
        )  # fmt: skip

    # Watches

    async def _changes(self, prefix: str, revision: int) -> AsyncGenerator[tuple[int, Changed | None], None]:
        """(up to which revision nothing is missing, what has changed), from `revision` on, from one server.

        Raises NotSent, NoAnswer, _Compacted.
        """
        raw = self._raw(prefix)
        wanted = {"key": raw, "range_end": end_of_prefix(raw), "start_revision": revision, "progress_notify": True}
        async with self._client.stream("watch", {"create_request": wanted}) as (stream, endpoint):
            while True:
                line = await stream.line(self._silence_seconds)
                if line is None:
                    await self._client.call_at(endpoint, "kv/range", self._nothing(), _Range)
                    continue
                watched = msgspec.json.decode(line, type=_WatchLine, strict=False).result
                if watched is None or stream.status != 200:
                    failure = error_of(stream.status, line)
                    if is_about_token(failure):
                        self._client.forget_token()
                    raise NoAnswer(failure.message)
                if watched.compact_revision:
                    raise _Compacted
                if watched.canceled:
                    self._client.forget_token()    # the usual reason; another one is told again
                    raise NoAnswer(f"the watch was cancelled: {watched.cancel_reason}")
                self._trust(watched.header, 0)    # its server may be behind the one that was asked before
                for changed in self._told(watched.events):
                    yield changed.version, changed if changed.written or changed.deleted else None
                if not watched.events and not watched.created:
                    yield watched.header.revision, None

    def _told(self, events: Sequence[_Event]) -> Sequence[Changed]:
        """One for each revision: etcd never divides one between two answers."""
        by_revision: dict[int, _Lists] = {}
        for event in events:
            written, deleted = by_revision.setdefault(event.kv.mod_revision, ([], []))
            if self._is_writer(event.kv):
                continue
            entry = self._entry(event.kv)
            if event.type == "DELETE":
                deleted.append(entry.key)
            else:
                written.append(entry)
        return [Changed(revision, *by_revision[revision]) for revision in sorted(by_revision)]

    def _trust(self, header: Header, told: int) -> None:
        """Raises WorldError if this is not the etcd that has told of revision `told`."""
        if self._cluster_id == 0:
            self._cluster_id = header.cluster_id
        if header.revision >= told and header.cluster_id == self._cluster_id:
            return
        self._distrusted = WorldError(
            f"etcd {header.cluster_id:x} is at revision {header.revision}; before, etcd {self._cluster_id:x} has told "
            f"of revision {told}: it was restored from a copy, or is another one",
            path=str(self.address),
            operation="watch",
            hint="Tables go on, and cannot be changed. Make sure that it is the right etcd, then restart the nodes",
        )
        raise self._distrusted

    # Leases

    async def _grant(self, seconds: float) -> tuple[_Granted, float]:
        """A new lease, and when it ends if it is not renewed: counted from before the request was sent."""
        begun = self._clock.monotonic()
        granted = await self._client.call("lease/grant", {"TTL": max(1, round(seconds))}, _Granted)
        return granted, begun + granted.TTL


class EtcdLease:
    """See store.Lease. etcd counts in whole seconds, and gives no lease shorter than an election of its own."""

    def __init__(self, client: EtcdClient, clock: Clock, granted: _Granted, ends_at: float) -> None:
        self.id = granted.ID
        self.seconds = float(granted.TTL)
        self.lost = asyncio.Event()
        self._client = client
        self._clock = clock
        self._ends_at = ends_at    # for etcd not before: counted from when the last renewal was sent

    async def renew(self) -> bool:
        if self.lost.is_set():
            return False
        begun = self._clock.monotonic()
        try:
            kept = await self._client.call(
                "lease/keepalive", {"ID": self.id}, _KeptAlive, patience=min(self.seconds / _RENEWALS, self._left())
            )
        except WorldError:
            if self._left() > 0:
                raise
            self.lost.set()
            return False
        if kept.result.TTL <= 0 or self._left() <= 0:
            self.lost.set()
            return False
        self._ends_at = begun + kept.result.TTL
        return True

    async def keep(self) -> None:
        while not self.lost.is_set():
            try:
                if not await self.renew():
                    return
                pause = self.seconds / _RENEWALS
            except WorldError:      # unreachable, or it refuses for now: it has no quorum, no space
                pause = min(_PAUSE_SECONDS, self._left())
            try:
                async with asyncio.timeout(pause):
                    await self.lost.wait()
            except TimeoutError:
                pass

    async def end(self) -> None:
        self.lost.set()
        try:
            await self._client.call("lease/revoke", {"ID": self.id}, Header, patience=0.0)
        except WorldError:
            pass    # it is gone already, or goes when its time is over

    def _left(self) -> float:
        return max(0.0, self._ends_at - self._clock.monotonic())


_Lists = tuple[list[Entry], list[str]]    # written and deleted


def end_of_prefix(prefix: bytes) -> bytes:
    """The first key after all that begin with `prefix`, which ends in no byte of 255s: keys are UTF-8."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def _compare(key: bytes, version: int) -> dict[str, Any]:
    return {"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": version}


def _put(key: bytes, value: bytes, lease: int) -> dict[str, Any]:
    return {"request_put": {"key": key, "value": value, "lease": lease}}
