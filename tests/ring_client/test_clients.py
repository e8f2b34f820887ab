"""Clients of the ring: contexts, siblings, nodes that are away, and who coordinates.

Real connections to real front doors; behind them the ring's cores without disks. Each test of what an application sees
runs with both clients and both ways of coordination.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

import varley.ring
from tests.ring_api.doors import SECONDS, Street, street
from tests.ring_api.pretended_ring import PretendedRing
from varley.ring.siblings import Mode
from varley.ring_client import (
    AsyncClient,
    Client,
    OutcomeUnknown,
    RingRefused,
    RingUnavailable,
    last_write_wins,
    merging,
)
from varley.ring_node import service


@pytest.fixture
def doors() -> Iterator[Street]:
    with street(PretendedRing("abcde")) as made:
        yield made


@pytest.fixture(params=["server", "client"])
def ring(doors: Street, request: pytest.FixtureRequest) -> Iterator[Client]:
    with Client(doors.endpoints, coordination=request.param, connect_seconds=2, answer_seconds=5) as client:
        yield client


def test_the_ring_hands_out_its_clients() -> None:
    assert varley.ring.Client is Client
    assert varley.ring.AsyncClient is AsyncClient
    with pytest.raises(AttributeError, match="Cleint"):
        _ = varley.ring.Cleint


# What an application sees


def test_a_value_its_context_and_its_successor(ring: Client) -> None:
    nothing = ring.get("carts", "7")
    assert (nothing.value, nothing.context) == (None, None)
    ring.put("carts", "7", b"1")
    found = ring.get("carts", "7")
    assert found.value == b"1"
    assert found.siblings[0].modified > 1_700_000_000
    context = ring.put("carts", "7", b"2", found.context)
    ring.put("carts", "7", b"3", context)
    assert ring.get("carts", b"7").values == (b"3",)


def test_siblings_are_all_found_and_one_put_takes_their_place(ring: Client) -> None:
    ring.put("carts", "7", b"1")
    assert ring.put("carts", "7", b"2") is None
    found = ring.get("carts", "7")
    assert sorted(found.values) == [b"1", b"2"]
    with pytest.raises(ValueError, match="2 siblings"):
        _ = found.value
    ring.put("carts", "7", b"both", found.context)
    assert ring.get("carts", "7").value == b"both"


def test_what_is_deleted_is_gone_and_has_a_context(ring: Client) -> None:
    ring.put("carts", "7", b"1")
    ring.delete("carts", "7", ring.get("carts", "7").context)
    found = ring.get("carts", "7")
    assert found.values == ()
    assert found.context is not None
    ring.put("carts", "7", b"2", found.context)
    assert ring.get("carts", "7").value == b"2"


def test_values_and_keys_are_bytes(ring: Client) -> None:
    everything = bytes(range(256))
    ring.put("carts", everything, everything * 4096)
    assert ring.get("carts", everything).value == everything * 4096
    ring.put("carts", "..", b"")
    assert ring.get("carts", "..").value == b""


def test_update_reconciles_changes_and_puts(ring: Client) -> None:
    union = merging(lambda one, other: b",".join(sorted({*one.split(b","), *other.split(b",")})))

    def add(item: bytes) -> Callable[[bytes | None], bytes]:
        return lambda cart: item if cart is None else cart + b"," + item

    assert ring.update("carts", "7", add(b"a"), reconcile=union) == b"a"
    ring.put("carts", "7", b"b")
    ring.put("carts", "7", b"c")
    assert ring.update("carts", "7", add(b"d"), reconcile=union) == b"a,b,c,d"
    assert ring.get("carts", "7").value == b"a,b,c,d"
    assert ring.update("carts", "7", lambda cart: None) is None
    assert ring.get("carts", "7").values == ()
    assert ring.update("carts", "8", lambda cart: None) is None


def test_the_last_write_wins_if_the_application_says_so(ring: Client) -> None:
    for value in (b"3", b"1", b"2"):
        ring.put("carts", "7", value)
    found = ring.get("carts", "7")
    assert len(found.siblings) == 3
    assert found.reconciled(last_write_wins) == b"2"


def test_one_value_where_the_bucket_keeps_the_last(ring: Client, doors: Street) -> None:
    doors.ring.modes["sessions"] = Mode.LAST_WRITE_WINS
    ring.put("sessions", "7", b"1")
    ring.put("sessions", "7", b"2")
    assert ring.get("sessions", "7").value == b"2"


def test_what_is_wrong_is_refused(ring: Client) -> None:
    with pytest.raises(RingRefused) as caught:
        ring.put("carts", "7", b"x" * 1048577)
    assert caught.value.type == "TooLarge"
    for context in ("nonsense", "two\r\nlines"):
        with pytest.raises(RingRefused) as caught:
            ring.put("carts", "7", b"1", context)
        assert caught.value.type == "BadContext"
    with pytest.raises(RingRefused):
        ring.get("carts", "7", r=4)
    with pytest.raises(ValueError, match="at least one byte"):
        ring.get("carts", "")


def test_it_goes_on_while_nodes_are_away(ring: Client, doors: Street) -> None:
    ring.put("carts", "7", b"1")
    first = doors.ring.homes("carts", b"7")[0]
    doors.ring.down.add(first)
    doors.shut(first)
    found = ring.get("carts", "7")
    assert found.value == b"1"
    ring.put("carts", "7", b"2", found.context)
    assert ring.get("carts", "7").value == b"2"


def test_too_few_nodes_is_not_the_callers_fault(ring: Client, doors: Street) -> None:
    ring.put("carts", "7", b"1")
    away = set("abcde") - {doors.ring.homes("carts", b"7")[0]}
    doors.ring.down |= away
    for name in away:
        doors.shut(name)
    with pytest.raises(RingUnavailable):
        ring.put("carts", "7", b"2")
    with pytest.raises(RingUnavailable):
        ring.get("carts", "7")
    assert ring.get("carts", "7", r=1).value == b"1"
    ring.put("carts", "7", b"2", ring.get("carts", "7", r=1).context, w=1)
    assert ring.get("carts", "7", r=1).value == b"2"


def test_nobody_is_there(doors: Street) -> None:
    for name in "abcde":
        doors.shut(name)
    for coordination in ("server", "client"):
        with Client([doors.ring.endpoints["a"]], coordination=coordination) as client:
            with pytest.raises(RingUnavailable, match="cannot be reached"):
                client.get("carts", "7")
            with pytest.raises(RingUnavailable, match="cannot be reached"):
                client.put("carts", "7", b"1")


# What is tried again, and what is not


@pytest.mark.parametrize("coordination", ["server", "client"])
@pytest.mark.parametrize("repeats", [0, 2])
def test_a_put_of_unknown_outcome_is_repeated_so_often_and_then_told(
    doors: Street, coordination: str, repeats: int
) -> None:
    doors.ring.silent |= set("abcde")
    with Client(doors.endpoints, coordination=coordination, repeats=repeats) as ring:
        with pytest.raises(OutcomeUnknown):
            ring.put("carts", "7", b"1")
        asked = [node.puts for node in doors.ring.nodes.values() if node.puts]
        assert asked == [1] * (1 + repeats), "each by another node"
        found = ring.get("carts", "7")
        assert found.value == b"1", "all attempts are one value"
        doors.ring.silent.clear()
        assert ring.put("carts", "7", b"2", found.context)
        assert ring.get("carts", "7").value == b"2", "and one context replaces them"


def test_a_repeat_that_succeeds_is_a_success(ring: Client, doors: Street) -> None:
    for name in doors.ring.homes("carts", b"7")[:2]:
        doors.ring.nodes[name].next_error = service.Unknown("1 of 2 nodes is known to have the put", 1, 2)
    context = None
    for value in (b"1", b"2", b"3"):
        context = ring.put("carts", "7", value, context)
        assert context is not None
    assert ring.get("carts", "7").value == b"3"


def test_no_later_answer_closes_what_an_earlier_one_left_open(doors: Street) -> None:
    names = iter(("Unknown", "Refused", "Refused"))

    def answers(name: str) -> service.RingError:
        return service.Unknown("nobody knows", 1, 2) if name == "Unknown" else service.BadContext("it was not")

    with Client([doors.ring.endpoints["a"]], repeats=1) as ring:
        node = doors.ring.nodes["a"]
        node.next_error = answers(next(names))
        refuses = node._refuses

        def refuses_and_prepares(then: Callable[[object], None]) -> bool:
            is_refused = refuses(then)
            node.next_error = answers(next(names))
            return is_refused

        node._refuses = refuses_and_prepares  # type: ignore[method-assign]
        with pytest.raises(OutcomeUnknown, match="nobody knows"):
            ring.put("carts", "7", b"1")
        assert node.puts == 2


def test_what_surely_was_not_done_is_tried_elsewhere(ring: Client, doors: Street) -> None:
    for node in doors.ring.nodes.values():
        node.next_error = service.Unavailable("stopping")
    doors.ring.nodes["e"].next_error = doors.ring.nodes["d"].next_error = None
    ring.put("carts", "7", b"1")
    assert ring.get("carts", "7").value == b"1"


@pytest.fixture
def silent_node() -> Iterator[tuple[str, Callable[[], int]]]:
    """Takes requests and closes without an answer. Its endpoint, and how many there were."""
    listening = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                heard.append(connection.recv(65536))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}", lambda: len(heard)
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(SECONDS)


def test_after_silence_another_node_is_tried(doors: Street, silent_node: tuple[str, Callable[[], int]]) -> None:
    endpoint, heard = silent_node
    with Client([endpoint, doors.ring.endpoints["a"]]) as ring:
        while not heard():      # which of the two is asked first goes by lot
            ring.get("carts", "7")
    with Client([endpoint, doors.ring.endpoints["a"]]) as ring:
        context = None
        while heard() < 2:
            context = ring.put("carts", "7", b"1", context)
    before = heard()
    with Client([endpoint], repeats=0) as ring, pytest.raises(OutcomeUnknown, match="may have been written"):
        ring.put("carts", "7", b"1")
    assert heard() == before + 1
    with Client([endpoint]) as ring, pytest.raises(OutcomeUnknown, match="may have been written"):
        ring.delete("carts", "7", None)
    assert heard() == before + 4, "one endpoint may be a load balancer's"


def test_a_node_that_says_nothing_is_given_up(doors: Street) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:    # the kernel takes the connection, and that is all
        endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with Client([endpoint], answer_seconds=0.05) as ring:
            with pytest.raises(RingUnavailable, match=r"did not answer within 0\.0\d+ s"):
                ring.get("carts", "7")
            with pytest.raises(OutcomeUnknown, match=r"did not answer within 0\.0\d+ s"):
                ring.put("carts", "7", b"1")
        with pytest.raises(ValueError, match="0 or more"):
            Client([endpoint], repeats=-1)


def test_connections_are_kept(doors: Street) -> None:
    with Client([doors.ring.endpoints["a"]]) as ring:
        for _ in range(20):
            ring.put("carts", "7", b"1", ring.get("carts", "7").context)
        assert doors.run(lambda: doors.doors["a"].connections) == 1


# Who coordinates


def client_driven(doors: Street, *names: str) -> Client:
    return Client([doors.ring.endpoints[name] for name in names or ("a",)], coordination="client")


def test_a_get_is_coordinated_by_the_client(doors: Street) -> None:
    with client_driven(doors) as ring:
        ring.put("carts", "7", b"1")
        assert ring.get("carts", "7").value == b"1"
    fetches = {name: node.fetches for name, node in doors.ring.nodes.items()}
    assert fetches == {name: int(name in doors.ring.homes("carts", b"7")) for name in "abcde"}
    assert sum(node.gets for node in doors.ring.nodes.values()) == 0


def test_a_put_goes_to_a_home_and_after_a_get_to_the_one_that_was_fastest(doors: Street) -> None:
    with client_driven(doors) as ring:
        for number in range(30):
            key = f"{number}".encode()
            before = {name: node.puts for name, node in doors.ring.nodes.items()}
            context = ring.put("carts", key, b"1")
            found = ring.get("carts", key)
            ring.put("carts", key, b"2", found.context)
            asked = {name for name, node in doors.ring.nodes.items() if node.puts > before[name]}
            assert asked <= set(doors.ring.homes("carts", key))
            assert context


def test_copies_that_differ_are_repaired_by_a_home(doors: Street) -> None:
    with client_driven(doors) as ring:
        ring.put("carts", "7", b"1")
        late = doors.ring.homes("carts", b"7")[1]
        doors.ring.rows[late].clear()
        assert ring.get("carts", "7", r=3).value == b"1"
        ring.get("carts", "8")      # something else; meanwhile a home was asked to get the key
        for _ in range(1000):
            if late in doors.run(lambda: list(doors.ring.repairs)):
                break
        else:
            raise AssertionError("nobody repaired")


def test_a_node_says_that_the_placement_is_old(doors: Street) -> None:
    with client_driven(doors) as ring:
        ring.get("carts", "7")
        node = doors.run(lambda: doors.ring.add("f"))
        doors.open(node)
        keys = [f"{number}" for number in range(200)]
        gained = [key for key in keys if "f" in doors.ring.homes("carts", key.encode())]
        ring.get("carts", gained[0])    # by the old placement; the answers say that there is another
        for _ in range(1000):
            ring.get("carts", gained[0])
            if node.fetches:
                break
        assert node.fetches


def test_the_placement_is_asked_for_again_from_time_to_time(doors: Street) -> None:
    async def work() -> None:
        async with AsyncClient([doors.ring.endpoints["a"]], coordination="client", placement_seconds=0.02) as ring:
            await ring.get("carts", "7")
            asked = doors.doors["a"].traffic
            for _ in range(10_000):
                if asked.requests("RingPlacement") >= 3:
                    return
                await asyncio.wait_for(ring.get("carts", "7"), SECONDS)
            raise AssertionError("it was not")

    asyncio.run(work())


def test_many_at_a_time(doors: Street) -> None:
    async def work(coordination: str) -> None:
        async with AsyncClient(doors.endpoints, coordination=coordination) as ring:  # type: ignore[arg-type]
            keys = [f"{coordination}-{number}" for number in range(100)]
            await asyncio.gather(*(ring.put("carts", key, key.encode()) for key in keys))
            found = await asyncio.gather(*(ring.get("carts", key) for key in keys))
            assert [each.value for each in found] == [key.encode() for key in keys]

    for coordination in ("server", "client"):
        asyncio.run(work(coordination))


def test_a_client_can_be_closed_while_it_waits(doors: Street) -> None:
    async def work() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            client = AsyncClient([f"http://127.0.0.1:{listening.getsockname()[1]}"])
            getting = asyncio.ensure_future(client.get("carts", "7"))
            putting = asyncio.ensure_future(client.put("carts", "7", b"1"))
            await asyncio.sleep(0)
            await client.close()
            with pytest.raises(RingUnavailable):
                await getting
            with pytest.raises((RingUnavailable, OutcomeUnknown)):
                await putting

    asyncio.run(work())


def test_a_client_made_wrongly_says_so() -> None:
    for endpoints in ([], "http://127.0.0.1:1", ["127.0.0.1:8101"]):
        with pytest.raises(ValueError, match="http://host:port"):
            Client(endpoints)
    with pytest.raises(ValueError, match="coordination"):
        AsyncClient(["http://127.0.0.1:1"], coordination="both")  # type: ignore[arg-type]
