"""What is particular to metadata in etcd: lost answers; servers that die, freeze or forget; several; users; TLS."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import uuid
from contextlib import aclosing
from pathlib import Path
from random import Random

import pytest

from tests.etcd_server import EtcdServer
from tests.metadata.lossy_proxy import Fate, LossyProxy
from varley.clock import MovableClock, StoppedClock
from varley.errors import DiskFull, OutcomeUnknown, Unreachable, WorldError
from varley.metadata import etcd as etcd_module
from varley.metadata.etcd import EtcdLease, EtcdStore
from varley.metadata.etcd_client import Failure, Header, Refused, error_of, refusal
from varley.metadata.store import ABSENT, Change, Changed, Entry, Listed

QUICK = {"attempt_seconds": 1.0, "patience_seconds": 2.0, "silence_seconds": 0.5}
PATIENT = {"attempt_seconds": 1.0, "patience_seconds": 60.0, "silence_seconds": 0.3}


def a_prefix() -> str:
    return uuid.uuid4().hex


async def increment(store: EtcdStore, key: str = "n") -> int:
    """Returns the version; what others do meanwhile is counted in."""
    while True:
        entry = await store.get(key)
        version, number = (ABSENT, 0) if entry is None else (entry.version, int(entry.value))
        made = await store.compare_and_set([Change(key, version, str(number + 1).encode())])
        if made is not None:
            return made


# Keys


def test_the_cluster_has_its_prefix_and_nobody_sees_what_is_the_stores_own(etcd: EtcdServer) -> None:
    async def scenario() -> None:
        prefix = a_prefix()
        one, other = await EtcdStore.open(etcd.url(prefix)), await EtcdStore.open(etcd.url(prefix + "x"))
        async with aclosing(one.watch("")) as watch:
            assert (await anext(watch)).entries == []    # type: ignore[union-attr]
            assert await other.compare_and_set([Change("a", ABSENT, b"other")])
            version = await one.compare_and_set([Change("a", ABSENT, b"one")])
            assert version is not None
            assert await anext(watch) == Changed(version, [Entry("a", b"one", version)], [])
        assert await one.list("") == [Entry("a", b"one", version)]
        assert [entry.value for entry in await other.list("")] == [b"other"]
        raw = await EtcdStore.open(etcd.url("").replace("/?", "/"))
        assert (await raw.get("a")) is None    # its prefix is "varley"
        for store in (one, other, raw):
            await store.close()

    asyncio.run(scenario())


def test_long_lists_come_in_pages_that_belong_together(etcd: EtcdServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        store = await EtcdStore.open(etcd.url(a_prefix()))
        monkeypatch.setattr(etcd_module, "_PAGE", 2)
        made = await store.compare_and_set([Change(f"k/{number}", ABSENT, b"") for number in range(7)])
        listed = await store.snapshot("k/")
        assert [entry.key for entry in listed.entries] == [f"k/{number}" for number in range(7)]
        assert listed.version == made
        await store.close()

    asyncio.run(scenario())


# Lost answers


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_no_change_is_lost_or_made_twice_however_the_network_is(etcd: EtcdServer, seed: int) -> None:
    async def scenario() -> None:
        random = Random(seed)
        async with LossyProxy(etcd.port).running() as proxy:
            late: set[asyncio.Task[None]] = set()

            def fate(path: str) -> Fate:
                if path != "kv/txn":
                    return Fate.PASS
                if random.random() < 0.2:
                    task = asyncio.ensure_future(proxy.deliver())
                    late.add(task)
                    task.add_done_callback(late.discard)
                return random.choices(list(Fate), weights=[5, 1, 2, 2])[0]

            prefix = a_prefix()
            url = etcd.url(prefix, port=proxy.port)
            stores = [await EtcdStore.open(url, **PATIENT) for _ in range(3)]
            proxy.fate = fate

            async def work(store: EtcdStore) -> list[int]:
                return [await increment(store) for _ in range(12)]

            versions = [version for each in await asyncio.gather(*map(work, stores)) for version in each]
            proxy.fate = lambda _path: Fate.PASS
            await proxy.deliver()
            await asyncio.gather(*late)
            entry = await stores[0].get("n")
            assert entry is not None
            assert int(entry.value) == len(versions) == 36
            assert len(set(versions)) == 36
            assert entry.version == max(versions)
            for store in stores:
                await store.close()

    asyncio.run(scenario())


def test_a_change_that_was_made_although_its_answer_was_lost_is_made(etcd: EtcdServer) -> None:
    async def scenario() -> None:
        async with LossyProxy(etcd.port).running() as proxy:
            store = await EtcdStore.open(etcd.url(a_prefix(), port=proxy.port))
            first = await store.compare_and_set([Change("a", ABSENT, b"1")])
            assert first is not None
            fates = iter([Fate.LOSE_ANSWER, Fate.PASS])
            proxy.fate = lambda path: next(fates) if path == "kv/txn" else Fate.PASS
            second = await store.compare_and_set([Change("a", first, b"2")])
            assert await store.get("a") == Entry("a", b"2", second or 0)
            await store.close()

    asyncio.run(scenario())


def test_a_change_that_arrives_after_it_was_given_up_is_not_made(etcd: EtcdServer) -> None:
    """Also if all keys are as it expects: the key that must not be there has come and gone."""

    async def scenario() -> None:
        async with LossyProxy(etcd.port).running() as proxy:
            prefix = a_prefix()
            store = await EtcdStore.open(etcd.url(prefix, port=proxy.port))
            assert await store.compare_and_set([Change("other", ABSENT, b"")])
            fates = iter([Fate.DELAY, Fate.PASS, Fate.PASS])
            proxy.fate = lambda path: next(fates) if path == "kv/txn" else Fate.PASS
            made = await store.compare_and_set([Change("a", ABSENT, b"1")])    # at the third attempt
            assert made is not None
            proxy.fate = lambda _path: Fate.PASS
            assert await store.compare_and_set([Change("a", made, None)])
            assert len(proxy.delayed) == 1
            await proxy.deliver()
            assert await store.get("a") is None
            await store.close()

    asyncio.run(scenario())


def test_an_outcome_that_nobody_can_find_out_is_told_as_unknown(etcd: EtcdServer) -> None:
    async def scenario() -> None:
        async with LossyProxy(etcd.port).running() as proxy:
            store = await EtcdStore.open(etcd.url(a_prefix(), port=proxy.port), **QUICK)
            first = await store.compare_and_set([Change("a", ABSENT, b"1")])
            assert first is not None
            proxy.fate = lambda path: Fate.DELAY if path == "kv/txn" else Fate.PASS
            with pytest.raises(OutcomeUnknown, match="nobody knows") as unknown:
                await store.compare_and_set([Change("a", first, b"2")])
            assert f"127.0.0.1:{proxy.port}" in str(unknown.value)
            proxy.fate = lambda _path: Fate.PASS
            assert await store.get("a") == Entry("a", b"1", first)
            del proxy.delayed[1:]    # of those that ask, none arrives
            await proxy.deliver()
            entry = await store.get("a")
            assert entry is not None and entry.value == b"2", "it may be made late, and that is what was said"
            assert await store.compare_and_set([Change("a", entry.version, b"3")])
            await store.close()

    asyncio.run(scenario())


def test_what_was_never_sent_is_surely_not_made() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with pytest.raises(Unreachable, match=f"127.0.0.1:{port}.*refused") as refusal:
            await EtcdStore.open(f"etcd://somebody:secret@127.0.0.1:{port}/a", **QUICK)
        assert refusal.value.retryable
        assert "Tables go on as they are" in refusal.value.hint
        assert "secret" not in str(refusal.value)

    asyncio.run(scenario())


# Leases


class RefusingClient:
    """Renewals are refused so often, and then done."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.lease: EtcdLease | None = None
        self.has_refused = asyncio.Event()

    async def call(self, path: str, request: object, kind: object, *, patience: float) -> object:
        self.refusals -= 1
        if self.refusals >= 0:
            self.has_refused.set()
            raise Refused(14, "etcdserver: no leader", "127.0.0.1:2379")
        assert self.lease is not None
        self.lease.lost.set()       # that is enough: `keep` ends
        return etcd_module._KeptAlive(etcd_module._Granted(ID=1, TTL=60))


@pytest.mark.parametrize(("refusals", "renewed"), [(3, True), (10**9, False)])
def test_a_renewal_that_is_refused_is_tried_again_while_the_lease_may_run(
    refusals: int, renewed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Story: etcd has no quorum for a moment, and says so. Whoever has a lease is not to fail of that."""
    monkeypatch.setattr(etcd_module, "_PAUSE_SECONDS", 0.0)
    clock = MovableClock(StoppedClock())

    async def scenario() -> None:
        client = RefusingClient(refusals)
        lease = EtcdLease(client, clock, etcd_module._Granted(ID=1, TTL=60), 60.0)    # type: ignore[arg-type]
        client.lease = lease
        keeping = asyncio.ensure_future(lease.keep())
        await client.has_refused.wait()
        clock.advance(0 if renewed else 60)
        await keeping
        assert lease.lost.is_set() and (client.refusals < 0) == renewed

    asyncio.run(scenario())


# Servers that die, freeze, or forget


@pytest.mark.slow
def test_a_watch_and_a_lease_survive_a_server_that_is_killed(own_etcd: EtcdServer) -> None:
    async def scenario() -> None:
        store = await EtcdStore.open(own_etcd.url("a"), **PATIENT)
        lease = await store.lease(30)
        async with aclosing(store.watch("")) as watch, asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(lease.keep())
            await anext(watch)
            assert await store.compare_and_set([Change("leased", ABSENT, b"", lease)])
            await anext(watch)
            own_etcd.kill()
            change = tasks.create_task(store.compare_and_set([Change("a", ABSENT, b"1")]))
            told = tasks.create_task(anext(watch))    # type: ignore[arg-type]
            await asyncio.to_thread(own_etcd.start)
            version = await change
            assert version is not None
            assert await told == Changed(version, [Entry("a", b"1", version)], [])
            second = await store.compare_and_set([Change("a", version, b"2")])
            assert await anext(watch) == Changed(second or 0, [Entry("a", b"2", second or 0)], [])
            assert await lease.renew()
            assert [entry.key for entry in await store.list("")] == ["a", "leased"]
            keeping.cancel()
        await store.close()

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_frozen_server_is_told_from_a_silent_one(own_etcd: EtcdServer) -> None:
    async def scenario() -> None:
        store = await EtcdStore.open(own_etcd.url("a"), **QUICK)
        first = await store.compare_and_set([Change("a", ABSENT, b"1")])
        assert first is not None
        lease = await store.lease(2)
        assert await store.compare_and_set([Change("leased", ABSENT, b"", lease)])
        async with aclosing(store.watch("")) as watch:
            await anext(watch)
            told = asyncio.ensure_future(anext(watch))
            own_etcd.freeze()
            with pytest.raises(Unreachable, match=f"127.0.0.1:{own_etcd.port}: no answer within"):
                await store.get("a")
            with pytest.raises(OutcomeUnknown):
                await store.compare_and_set([Change("a", first, b"2")])
            with pytest.raises(Unreachable):    # a new writer is needed first, and cannot be had: surely nothing
                await store.compare_and_set([Change("b", ABSENT, b"")])
            await lease.keep()    # returns when it must be counted as lost
            assert lease.lost.is_set()
            assert isinstance(store.trouble, Unreachable)
            assert not told.done()
            own_etcd.thaw()
            view = {"a": b"1", "leased": b""}
            changed = await told
            while True:    # whether the change in its hands was made is its business; the key under the lease goes
                assert isinstance(changed, Changed)
                view |= {entry.key: entry.value for entry in changed.written}
                for key in changed.deleted:
                    del view[key]
                if "leased" not in view:
                    break
                changed = await anext(watch)
            assert store.trouble is None
        patient = await EtcdStore.open(own_etcd.url("a"), **PATIENT)
        await increment(patient)
        own_etcd.freeze()
        asyncio.get_running_loop().call_later(1.5, own_etcd.thaw)
        await increment(patient)    # sent while it is frozen, decided when it is not
        entry = await patient.get("n")
        assert entry is not None and entry.value == b"2"
        assert await patient.get("b") is None
        await store.close()
        await patient.close()

    asyncio.run(scenario())


@pytest.mark.slow
def test_an_etcd_that_has_forgotten_is_not_believed(own_etcd: EtcdServer) -> None:
    async def scenario() -> None:
        store = await EtcdStore.open(own_etcd.url("a"), **PATIENT)
        for _ in range(10):
            await increment(store)
        async with aclosing(store.watch("")) as watch:
            assert len((await anext(watch)).entries) == 1    # type: ignore[union-attr]
            told = asyncio.ensure_future(anext(watch))
            own_etcd.kill()
            own_etcd.forget_everything()
            await asyncio.to_thread(own_etcd.start)
            with pytest.raises(WorldError, match="restored from a copy"):
                await told
            with pytest.raises(WorldError, match="restored from a copy"):
                await store.compare_and_set([Change("b", ABSENT, b"")])
            with pytest.raises(WorldError, match="restored from a copy"):
                await store.lease(10)
            assert await store.list("") == []
        await store.close()

    asyncio.run(scenario())


def test_a_watch_whose_past_was_compacted_tells_everything_anew(etcd: EtcdServer) -> None:
    async def scenario() -> None:
        prefix = a_prefix()
        direct = await EtcdStore.open(etcd.url(prefix))
        async with LossyProxy(etcd.port).running() as proxy:
            store = await EtcdStore.open(etcd.url(prefix, port=proxy.port), **PATIENT)
            async with aclosing(store.watch("")) as watch:
                await anext(watch)
                first = await increment(direct)
                await anext(watch)
                proxy.fate = lambda _path: Fate.LOSE_REQUEST
                proxy.break_all()
                told = asyncio.ensure_future(anext(watch))
                for _ in range(3):
                    version = await increment(direct)
                await direct._client.call("kv/compaction", {"revision": version}, _Compaction)
                proxy.fate = lambda _path: Fate.PASS
                again = await told
                assert isinstance(again, Listed)
                assert again.entries == [Entry("n", b"4", version)]
                assert again.version >= version > first
            await store.close()
        await direct.close()

    asyncio.run(scenario())


class _Compaction(Header):
    pass


def test_a_watch_that_breaks_goes_on_where_it_was(etcd: EtcdServer) -> None:
    async def scenario() -> None:
        prefix = a_prefix()
        direct = await EtcdStore.open(etcd.url(prefix))
        async with LossyProxy(etcd.port).running() as proxy:
            store = await EtcdStore.open(etcd.url(prefix, port=proxy.port), **PATIENT)
            async with aclosing(store.watch("")) as watch:
                await anext(watch)
                for _ in range(5):
                    proxy.break_all()
                    versions = [await increment(direct), await increment(direct)]
                    assert [(await anext(watch)).version for _ in range(2)] == versions
            await store.close()
        await direct.close()

    asyncio.run(scenario())


# Several servers


def test_another_server_is_asked_when_one_is_gone_or_silent(etcd: EtcdServer) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as free:
            free_port = free.getsockname()[1]
            free.close()
            hosts = f"127.0.0.1:{free_port},127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{etcd.port}"
            store = await EtcdStore.open(f"etcd://{hosts}/{a_prefix()}", **PATIENT)
            async with aclosing(store.watch("")) as watch:
                await anext(watch)
                version = await increment(store)
                assert (await anext(watch)).version == version
            await store.close()

    asyncio.run(scenario())


def test_a_change_is_not_sent_to_a_second_server_before_the_first_is_decided(etcd: EtcdServer) -> None:
    async def scenario() -> None:
        prefix = a_prefix()
        async with LossyProxy(etcd.port).running() as proxy:
            store = await EtcdStore.open(
                f"etcd://127.0.0.1:{proxy.port},127.0.0.1:{etcd.port}/{prefix}", **PATIENT
            )
            await increment(store)
            proxy.fate = lambda path: Fate.DELAY if path == "kv/txn" else Fate.PASS
            await increment(store)
            await proxy.deliver()
            entry = await store.get("n")
            assert entry is not None and entry.value == b"2"
            await store.close()

    asyncio.run(scenario())


@pytest.mark.slow
def test_changes_go_on_and_none_is_made_twice_while_servers_die_and_freeze(three_etcds: list[EtcdServer]) -> None:
    """One server after the other, so the leader among them, is killed or frozen, while two processes count."""

    async def count(store: EtcdStore, done: asyncio.Event) -> int:
        made = 0
        while not done.is_set():
            await increment(store)
            made += 1
        return made

    async def watched(store: EtcdStore) -> list[int]:
        numbers: list[int] = []
        async with aclosing(store.watch("n")) as watch:
            async for told in watch:
                numbers += [int(entry.value) for entry in (told.entries if isinstance(told, Listed) else told.written)]
                if await store.get("end") is not None:
                    return numbers
        return numbers

    async def scenario() -> None:
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in three_etcds)
        stores = [await EtcdStore.open(f"etcd://{hosts}/a", **PATIENT) for _ in range(3)]
        done = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watched(stores[2]))
            counting = [tasks.create_task(count(store, done)) for store in stores[:2]]
            for number, server in enumerate(three_etcds):
                if number % 2:
                    server.freeze()
                else:
                    server.kill()
                for _ in range(5):
                    await increment(stores[2])    # two servers are enough, whichever they are
                if number % 2:
                    server.thaw()
                else:
                    await asyncio.to_thread(server.start)
            done.set()
            made = sum([await task for task in counting]) + 15
            assert await stores[2].compare_and_set([Change("end", ABSENT, b"")])
            await increment(stores[2])
            entry = await stores[2].get("n")
            assert entry is not None
            assert int(entry.value) == made + 1
            numbers = await watching
        assert numbers == list(range(numbers[0], numbers[-1] + 1)), "a change was told twice, or not at all"
        for store in stores:
            await store.close()

    asyncio.run(scenario())


# What etcd refuses


@pytest.mark.parametrize(
    ("status", "answer", "failure"),
    [
        pytest.param(404, b'{"error":"m","message":"m","code":5}', Failure("m", 5), id="3.4 and 3.5"),
        pytest.param(404, b'{"code":5,"message":"m","details":[]}', Failure("m", 5), id="3.6"),
        pytest.param(
            200, b'{"error":{"grpc_code":14,"http_code":503,"message":"m","http_status":""}}', Failure("m", 14),
            id="in a stream of 3.4 and 3.5",
        ),
        pytest.param(200, b'{"error":{"code":14,"message":"m","details":[]}}', Failure("m", 14), id="in one of 3.6"),
        pytest.param(404, b"404 page not found\n", Failure("HTTP status 404: b'404 page not found\\n'", 12), id="none"),
        pytest.param(502, b"<html>", Failure("HTTP status 502: b'<html>'", 14), id="a proxy"),
        pytest.param(502, b"{}", Failure("HTTP status 502: b'{}'", 14), id="nothing"),
    ],
)  # fmt: skip
def test_errors_of_all_versions_are_read(status: int, answer: bytes, failure: Failure) -> None:
    assert error_of(status, answer) == failure


@pytest.mark.parametrize(
    ("failure", "hint"),
    [
        (Failure("Not Found", 12), "--enable-grpc-gateway"),
        (Failure("etcdserver: too many operations in txn request", 3), "--max-txn-ops"),
        (Failure("etcdserver: permission denied", 7), "role"),
    ],
)
def test_a_refusal_says_what_to_do(failure: Failure, hint: str) -> None:
    error = refusal(failure, "h1:2379")
    assert isinstance(error, Refused)
    assert hint in error.hint
    assert error.path == "h1:2379"


def test_a_change_of_too_many_keys_says_which_setting_is_meant(own_etcd: EtcdServer) -> None:
    async def scenario() -> None:
        store = await EtcdStore.open(own_etcd.url("a"))
        with pytest.raises(Refused, match="max-txn-ops") as refusal:
            await store.compare_and_set([Change(str(number), ABSENT, b"") for number in range(5000)])
        assert not refusal.value.retryable
        assert await store.list("") == []
        await store.close()

    asyncio.run(scenario())


@pytest.mark.slow
@pytest.mark.usefixtures("etcd_program")
def test_an_etcd_without_room_is_a_full_disk(tmp_path: Path) -> None:
    async def scenario(server: EtcdServer) -> None:
        store = await EtcdStore.open(server.url("a"))
        with pytest.raises(DiskFull, match="quota-backend-bytes"):
            for number in range(100):
                assert await store.compare_and_set([Change(f"k/{number}", ABSENT, bytes(1_000_000))])
        await store.close()

    server = EtcdServer(tmp_path, "--quota-backend-bytes=8000000").start()
    try:
        asyncio.run(scenario(server))
    finally:
        server.stop()


@pytest.mark.slow
def test_users_and_their_passwords(own_etcd: EtcdServer) -> None:
    async def enable(store: EtcdStore) -> None:
        key = b"mine/"
        role = {"name": "r", "perm": {"permType": "READWRITE", "key": key, "range_end": b"mine0"}}
        for path, message in (
            ("auth/user/add", {"name": "root", "password": "rootpw"}),
            ("auth/role/add", {"name": "root"}),
            ("auth/user/grant", {"user": "root", "role": "root"}),
            ("auth/user/add", {"name": "v", "password": "p:ss"}),
            ("auth/role/add", {"name": "r"}),
            ("auth/role/grant", role),
            ("auth/user/grant", {"user": "v", "role": "r"}),
            ("auth/enable", {}),
        ):
            try:
                await store._client.call(path, message, _Compaction)
            except Refused as refusal:    # by a slow server, which was asked twice
                if "already exists" not in refusal.problem:
                    raise

    async def scenario() -> None:
        open_store = await EtcdStore.open(own_etcd.url("mine"))
        await enable(open_store)
        store = await EtcdStore.open(own_etcd.url("mine", credentials="v:p%3Ass@"), **PATIENT)
        async with aclosing(store.watch("")) as watch:
            await anext(watch)
            version = await increment(store)
            assert (await anext(watch)).version == version
            own_etcd.kill()
            await asyncio.to_thread(own_etcd.start)    # has forgotten the token
            version = await increment(store)
            assert (await anext(watch)).version == version
        with pytest.raises(Refused, match="user and password") as refusal:
            await EtcdStore.open(own_etcd.url("mine", credentials="v:wrongpw@"))
        assert "wrongpw" not in repr(refusal.value)
        with pytest.raises(Refused, match="role"):
            await EtcdStore.open(own_etcd.url("theirs", credentials="v:p%3Ass@"))
        with pytest.raises(Refused, match="role"):
            await EtcdStore.open(own_etcd.url("mine"))
        await store.close()

    asyncio.run(scenario())


@pytest.mark.slow
@pytest.mark.usefixtures("etcd_program")
def test_tls(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=varley test",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "etcd").mkdir()
    server = EtcdServer(
        tmp_path / "etcd", f"--cert-file={certificate}", f"--key-file={key}", "--client-cert-auth",
        f"--trusted-ca-file={certificate}", tls=True,
    )  # fmt: skip

    async def scenario() -> None:
        address = f"etcds://127.0.0.1:{server.port}/a"
        store = await EtcdStore.open(f"{address}?ca={certificate}&cert={certificate}&key={key}")
        await increment(store)
        async with aclosing(store.watch("")) as watch:
            await anext(watch)
            version = await increment(store)
            assert (await anext(watch)).version == version
        await store.close()
        with pytest.raises(Unreachable, match=r"(?i)certificate.verify.failed"):
            await EtcdStore.open(address, **QUICK)
        with pytest.raises(Unreachable):
            await EtcdStore.open(f"etcd://127.0.0.1:{server.port}/a", **QUICK)

    server.start()
    try:
        asyncio.run(scenario())
    finally:
        server.stop()
