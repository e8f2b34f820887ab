"""Nodes that talk over real sockets: what arrives, what is certain, what happens when connections end."""

from __future__ import annotations

import asyncio
import socket
from itertools import pairwise

import pytest

from tests.net.linked_nodes import CHANNEL, ECHO, SILENT, Node, World, run, soon
from varley.net.connection import Connection
from varley.net.counters import LinkCounters
from varley.net.frame import ALIVE, encode_frame
from varley.net.link import OUTGOING_BYTES_MAX
from varley.net.links import Links
from varley.net.outcome import Answer, NoAnswer, NotSent, Outcome


def counters(node: Node, peer: str) -> LinkCounters:
    return dict(node.links.counters())[peer]


def test_a_message_arrives_with_the_name_of_its_sender() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.pair()
        one.links.send("n2", CHANNEL, b"there")
        await two.until(lambda: bool(two.inbox))
        two.links.send("n1", CHANNEL, b"and back, on the connection that n1 dialled")
        await one.until(lambda: bool(one.inbox))
        assert two.inbox == [("n1", b"there")]
        assert one.inbox == [("n2", b"and back, on the connection that n1 dialled")]

    run(scenario)


def test_messages_arrive_in_the_order_in_which_they_were_sent_and_once() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.pair()
        for number in range(3000):
            one.links.send("n2", CHANNEL, number.to_bytes(2, "little") * (number % 500))
            if number % 1000 == 0:
                await asyncio.sleep(0)
        await two.until(lambda: len(two.inbox) == 3000)
        assert [payload for _, payload in two.inbox] == [
            number.to_bytes(2, "little") * (number % 500) for number in range(3000)
        ]

    run(scenario)


def test_all_messages_of_one_turn_of_the_loop_leave_in_one_frame() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.pair()
        before = counters(one, "n2").frames_sent
        for number in range(100):
            one.links.send("n2", CHANNEL, b"%d" % number)
        answer = one.ask("n2", b"and this request too")
        await soon(answer)
        assert len(two.inbox) == 100
        assert counters(one, "n2").frames_sent == before + 1

    run(scenario)


@pytest.mark.slow
def test_a_large_payload_arrives_whole() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.pair()
        large = bytes(range(256)) * (33 * 4096)    # 33 MiB: more than what may wait for a peer
        assert len(large) > OUTGOING_BYTES_MAX
        assert await soon(one.ask("n2", large)) == large
        assert two.asked == [("n1", large)]

    run(scenario)


@pytest.mark.slow
def test_a_large_payload_arrives_also_behind_a_small_one() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.pair()
        large = bytes(OUTGOING_BYTES_MAX + 1)
        one.links.send("n2", CHANNEL, b"small")
        one.links.send("n2", CHANNEL, large)
        await two.until(lambda: len(two.inbox) == 2)
        assert two.inbox == [("n1", b"small"), ("n1", large)]

    run(scenario)


def test_what_is_said_while_the_connection_is_on_its_way_waits_for_it() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.node("n1"), await world.node("n2")
        one.knows(two)
        await asyncio.sleep(0)    # it dials
        assert not one.links.is_up("n2")
        one.links.send("n2", CHANNEL, b"early")
        assert await soon(one.ask("n2", b"early too")) == b"early too"
        assert two.inbox == [("n1", b"early")]

    run(scenario)


def test_an_answer_may_come_later_and_answers_need_no_order() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.pair()
        first, second = one.ask("n2", b"1", service=SILENT), one.ask("n2", b"2", service=SILENT)
        await two.until(lambda: len(two.unanswered) == 2)
        two.unanswered[1](b"second")
        two.unanswered[0](b"first")
        assert await soon(second) == b"second"
        assert await soon(first) == b"first"
        with pytest.raises(AssertionError):
            two.unanswered[0](b"again")

    run(scenario)


# What is certain


def test_nothing_is_sent_to_a_peer_whose_address_is_not_known() -> None:
    async def scenario(world: World) -> None:
        one = await world.node("n1")
        one.links.send("n2", CHANNEL, b"to nobody")
        assert await soon(one.ask("n2", b"to nobody")) == NotSent("n2 is not connected")
        assert counters(one, "n2").messages_dropped == 1
        assert counters(one, "n2").requests_not_sent == 1

    run(scenario)


def test_a_request_to_a_port_where_nobody_listens_was_not_sent() -> None:
    async def scenario(world: World) -> None:
        one = await world.node("n1")
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            one.links.set_address("n2", "127.0.0.1", closed.getsockname()[1])
            await asyncio.sleep(0)
            outcome = await soon(one.ask("n2", b"?"))
        assert isinstance(outcome, NotSent)
        assert "n2" in outcome.why

    run(scenario)


def test_a_service_that_the_peer_does_not_have_was_surely_not_asked() -> None:
    async def scenario(world: World) -> None:
        one, _ = await world.pair()
        assert await soon(one.ask("n2", b"?", service=99)) == NotSent("n2 has no service 99")

    run(scenario)


def test_a_handler_that_fails_may_have_acted() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.pair()

        def fail(sender: str, payload: bytes, answer: Answer) -> None:
            raise RuntimeError("half way")

        two.links.serve_requests(50, fail)
        assert await soon(one.ask("n2", b"?", service=50)) == NoAnswer("n2 failed: RuntimeError('half way')")
        assert await soon(one.ask("n2", b"the connection goes on")) == b"the connection goes on"

    run(scenario)


def test_a_request_that_is_not_answered_in_time_may_have_been_acted_on() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.pair()
        outcome = one.ask("n2", b"?", service=SILENT, timeout=1.0)
        await two.until(lambda: bool(two.asked))
        world.pass_time(0.95)
        assert not outcome.done()
        world.pass_time(0.1)
        assert await soon(outcome) == NoAnswer("n2 has not answered in time")
        assert counters(one, "n2").requests_unanswered == 1
        two.unanswered[0](b"too late, and ignored")
        assert await soon(one.ask("n2", b"next")) == b"next"

    run(scenario)


def test_when_the_peer_goes_what_went_out_is_unknown_and_what_did_not_was_not_sent() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.pair()
        went_out = one.ask("n2", b"1", service=SILENT)
        await two.until(lambda: bool(two.asked))
        await two.links.close()
        await one.until(lambda: not one.links.is_up("n2"))
        assert isinstance(await soon(went_out), NoAnswer)
        assert isinstance(await soon(one.ask("n2", b"2")), NotSent)

    run(scenario)


def test_a_request_of_the_turn_in_which_the_connection_is_lost_was_not_sent() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.pair()
        waiting = one.ask("n2", b"1")
        one.links._links["n2"].was_lost(one.links._links["n2"].connection, "the cable")    # before the turn ends
        assert await soon(waiting) == NotSent("the connection with n2 was lost: the cable")
        assert two.asked == []

    run(scenario)


def test_a_peer_that_takes_nothing_costs_no_more_memory_than_allowed() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.pair()
        await asyncio.sleep(0)
        transport = _connection(two, "n1")._transport
        transport.pause_reading()    # as a process that hangs
        megabyte = bytes(1024 * 1024)
        for _ in range(60):
            one.links.send("n2", CHANNEL, megabyte)
            await asyncio.sleep(0)
        assert counters(one, "n2").messages_dropped > 0
        assert one.links.outgoing_bytes("n2") <= OUTGOING_BYTES_MAX
        outcome = await soon(one.ask("n2", megabyte))
        assert outcome == NotSent("n2 does not take what it is sent")
        stuck = one.ask("n2", b"small", timeout=0.5)    # waits, and never gets to the socket
        world.pass_time(0.6)
        assert await soon(stuck) == NotSent("n2 has not answered in time")
        dropped = counters(one, "n2").messages_dropped
        transport.resume_reading()
        await two.until(lambda: len(two.inbox) == 60 - dropped)
        assert await soon(one.ask("n2", b"and on")) == b"and on"
        assert [payload for _, payload in two.asked] == [b"and on"]

    run(scenario)


def _connection(node: Node, peer: str) -> Connection:
    connection = node.links._links[peer].connection
    assert connection is not None
    return connection


# One connection for each pair


@pytest.mark.parametrize("delay", range(8))
def test_two_that_dial_at_once_end_up_with_one_connection_and_lose_nothing(delay: int) -> None:
    """Whatever the moment: the second dials so many turns of the loop after the first."""

    async def scenario(world: World) -> None:
        one, two = await world.node("n1"), await world.node("n2")
        first, second = (one, two) if delay % 2 else (two, one)
        first.knows(second)
        for _ in range(delay // 2):
            await asyncio.sleep(0)
        second.knows(first)
        await asyncio.sleep(0)
        asked = [one.ask("n2", b"%d" % number) for number in range(3)]
        asked += [two.ask("n1", b"%d" % number) for number in range(3)]
        assert [await soon(each) for each in asked] == [b"0", b"1", b"2"] * 2
        # The loser is closed; its end takes a few turns.
        await world.pass_time_until(lambda: len(one.links._connections) == len(two.links._connections) == 1)
        assert (counters(one, "n2").connections, counters(two, "n1").connections) == (1, 1)
        assert (counters(one, "n2").connections_lost, counters(two, "n1").connections_lost) == (0, 0)

    run(scenario)


def test_a_peer_that_started_again_replaces_the_connection_that_nobody_knew_to_be_dead() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.node("n1"), await world.node("n2")
        two.knows(one)
        await one.until(lambda: one.links.is_up("n2"))
        unanswered = one.ask("n2", b"?", service=SILENT)
        await two.until(lambda: bool(two.asked))
        # The old n2 is gone without a word: from one's side the old connection still stands.
        again = await world.node("n2")
        again.knows(one)
        await again.until(lambda: again.links.is_up("n1"))
        assert isinstance(await soon(unanswered), NoAnswer)
        one.links.send("n2", CHANNEL, b"to the new one")
        await again.until(lambda: bool(again.inbox))
        assert two.inbox == []
        assert one.changes == [("n2", True)]
        await two.links.close()

    run(scenario)


def test_a_lost_connection_is_made_again() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.pair()
        _connection(two, "n1").cut_off()
        await one.until(lambda: not one.links.is_up("n2"))
        await world.pass_time_until(lambda: one.links.is_up("n2") and two.links.is_up("n1"))
        assert await soon(one.ask("n2", b"again")) == b"again"
        assert one.changes == [("n2", True), ("n2", False), ("n2", True)]
        assert counters(one, "n2").connections == 2

    run(scenario)


def test_pauses_between_attempts_grow_and_are_not_the_same_for_all() -> None:
    async def scenario(world: World) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            attempts: dict[str, list[float]] = {}
            for name in ("n1", "n2"):
                node = await world.node(name)
                attempts[name] = []
                node.links.set_address("n9", "127.0.0.1", closed.getsockname()[1])
                for number in range(8):
                    await world.pass_time_until(lambda node=node, n=number: counters(node, "n9").dials_failed > n)
                    attempts[name].append(world.seconds)
        pauses = {name: [b - a for a, b in pairwise(at)] for name, at in attempts.items()}
        for some in pauses.values():
            assert some[0] < some[3] < some[6]
            assert max(some) < 1.3
        assert pauses["n1"] != pauses["n2"]

    run(scenario)


def test_a_silent_peer_is_noticed_within_about_two_seconds() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.pair()
        del world.nodes["n2"]    # its timer stands still, and so it gives no sign of life
        before = world.seconds
        unanswered = one.ask("n2", b"?", service=SILENT, timeout=60.0)
        await two.until(lambda: bool(two.asked))
        await world.pass_time_until(lambda: not one.links.is_up("n2"))
        assert 1.9 < world.seconds - before < 2.2
        assert isinstance(await soon(unanswered), NoAnswer)
        await two.links.close()

    run(scenario)


def test_signs_of_life_keep_a_connection_on_which_nothing_is_said() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.pair()
        start = world.seconds
        await world.pass_time_until(lambda: world.seconds > start + 5)
        assert one.links.is_up("n2")
        assert two.links.is_up("n1")
        assert counters(one, "n2").connections == 1

    run(scenario)


def test_who_stood_still_does_not_take_its_peers_for_silent() -> None:
    async def scenario(world: World) -> None:
        one, _ = await world.pair()
        world.seconds += 30    # one leap: the process was stopped
        one.links.tick()
        assert one.links.is_up("n2")

    run(scenario)


def test_who_was_forgotten_is_not_dialled_again() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.pair()
        unanswered = one.ask("n2", b"?", service=SILENT)
        await two.until(lambda: bool(two.asked))
        one.links.forget("n2")
        assert isinstance(await soon(unanswered), NoAnswer)
        await two.until(lambda: not two.links.is_up("n1"))
        world.pass_time(5)
        assert not one.links.is_up("n2")
        assert await soon(one.ask("n2", b"?")) == NotSent("n2 is not connected")

    run(scenario)


def test_a_peer_that_moved_is_found_at_its_new_address() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.pair()
        await two.links.close()
        moved = await world.node("n2")
        one.knows(moved)
        await world.pass_time_until(lambda: one.links.is_up("n2"))
        assert await soon(one.ask("n2", b"here?")) == b"here?"

    run(scenario)


# Who may connect


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"cluster": "films"}, "cluster"),
        ({"name": "n3"}, "n3"),
        ({"versions": (2, 2)}, "versions"),
    ],
    ids=["another cluster", "another node than the one that was dialled", "no version in common"],
)
def test_who_is_refused(changes: dict, problem: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        one = await world.node("n1")
        other = await world.node(**({"name": "n2"} | changes))
        one.links.set_address("n2", "127.0.0.1", other.port)
        await asyncio.sleep(0)
        outcome = await soon(one.ask("n2", b"?"))
        assert isinstance(outcome, NotSent)
        assert problem in outcome.why
        assert other.asked == []
        assert problem in caplog.text

    run(scenario)


def test_another_node_of_the_same_name_is_refused() -> None:
    async def scenario(world: World) -> None:
        one = await world.node("n1")
        impostor = await world.node("n1")
        impostor.links.set_address("n2", "127.0.0.1", one.port)
        await asyncio.sleep(0)
        assert isinstance(await soon(impostor.ask("n2", b"?")), NotSent)
        await one.links.close()

    run(scenario)


def test_a_frame_that_was_changed_on_the_way_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        one, two = await world.pair()
        unanswered = one.ask("n2", b"?", service=SILENT)
        await two.until(lambda: bool(two.asked))
        _connection(two, "n1").write(encode_frame(ALIVE)[:-1] + b"!")
        assert isinstance(await soon(unanswered), NoAnswer)
        assert "n2 sent what it should not: the checksum of a frame of 0 bytes is wrong" in caplog.text
        await world.pass_time_until(lambda: one.links.is_up("n2") and two.links.is_up("n1"))

    run(scenario)


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\n\r\n", encode_frame(ALIVE), b""], ids=["HTTP", "a frame", "nothing"]
)
def test_who_does_not_say_who_it_is_is_shown_the_door(first: bytes) -> None:
    async def scenario(world: World) -> None:
        one = await world.node("n1")
        reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
        writer.write(first)
        end = asyncio.ensure_future(reader.read())
        await world.pass_time_until(end.done)
        assert end.exception() is not None or end.result() == b""
        writer.close()

    run(scenario)


@pytest.mark.parametrize(
    ("mine", "theirs", "spoken"),
    [((1, 1), (1, 2), 1), ((1, 2), (1, 1), 1), ((1, 2), (1, 2), 2), ((1, 2), (2, 3), 2)],
)
def test_a_node_speaks_the_highest_version_that_both_know(
    mine: tuple[int, int], theirs: tuple[int, int], spoken: int
) -> None:
    """Version 2 is pretended: nodes are replaced one after the other, and each talks with both kinds meanwhile."""

    async def scenario(world: World) -> None:
        one, two = await world.node("n1", versions=mine), await world.node("n2", versions=theirs)
        one.knows(two)
        await one.until(lambda: one.links.is_up("n2"))
        assert await soon(one.ask("n2", b"hello")) == b"hello"
        assert await soon(two.ask("n1", b"hello")) == b"hello"
        assert (_connection(one, "n2").version, _connection(two, "n1").version) == (spoken, spoken)

    run(scenario)


# Trouble on purpose


def test_a_cut_loses_everything_and_tells_nobody_until_it_is_mended() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.pair()
        one.links.cut("n2")
        outcome = one.ask("n2", b"lost", timeout=1.0)
        two.links.send("n1", CHANNEL, b"lost too")
        await world.pass_time_until(outcome.done)
        assert isinstance(outcome.result(), NoAnswer)
        await world.pass_time_until(lambda: not one.links.is_up("n2") and not two.links.is_up("n1"))
        world.pass_time(10)
        assert not one.links.is_up("n2")
        one.links.mend("n2")
        await world.pass_time_until(lambda: one.links.is_up("n2") and two.links.is_up("n1"))
        assert await soon(one.ask("n2", b"mended")) == b"mended"
        assert [payload for _, payload in two.asked] == [b"mended"]
        assert one.inbox == []

    run(scenario)


def test_a_cut_in_one_direction_leaves_the_other() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.pair()
        one.links.cut("n2", incoming=False)
        one.links.send("n2", CHANNEL, b"lost")
        two.links.send("n1", CHANNEL, b"arrives")
        await one.until(lambda: bool(one.inbox))
        one.links.mend("n2")
        assert await soon(one.ask("n2", b"mended before silence was noticed")) != b""
        assert two.inbox == []
        assert counters(one, "n2").connections == 1

    run(scenario)


# To oneself


def test_what_a_node_says_to_itself_arrives_in_a_later_turn() -> None:
    async def scenario(world: World) -> None:
        one = await world.node("n1")
        one.links.send("n1", CHANNEL, b"note")
        assert one.inbox == []
        outcome = one.ask("n1", b"?")
        assert one.asked == []
        assert await soon(outcome) == b"?"
        assert one.inbox == [("n1", b"note")]
        assert one.links.is_up("n1")
        assert await soon(one.ask("n1", b"?", service=99)) == NotSent("n1 has no service 99")

    run(scenario)


def test_a_request_to_oneself_has_its_time_too() -> None:
    async def scenario(world: World) -> None:
        one = await world.node("n1")
        outcome = one.ask("n1", b"?", service=SILENT, timeout=1.0)
        await one.until(lambda: bool(one.asked))
        world.pass_time(1.1)
        assert isinstance(await soon(outcome), NoAnswer)
        one.unanswered[0](b"too late")
        assert await soon(one.ask("n1", b"next")) == b"next"

    run(scenario)


def test_a_callback_that_fails_takes_nothing_with_it() -> None:
    async def scenario(world: World) -> None:
        one, _ = await world.pair()
        told: list[Outcome] = []

        def fail(outcome: Outcome) -> None:
            told.append(outcome)
            raise RuntimeError("of the caller")

        one.links.request("n2", ECHO, b"?", fail, timeout_seconds=1.0)
        assert await soon(one.ask("n2", b"next")) == b"next"
        assert told == [b"?"]

    run(scenario)


def test_closing_tells_all_who_wait_and_may_be_repeated() -> None:
    async def scenario(world: World) -> None:
        one, two = await world.pair()
        to_other = one.ask("n2", b"?", service=SILENT, timeout=60)
        to_itself = one.ask("n1", b"?", service=SILENT, timeout=60)
        await two.until(lambda: bool(two.asked))
        one.links.send("n2", CHANNEL, b"the last")
        await one.links.close()
        await one.links.close()
        assert isinstance(await soon(to_other), NoAnswer)
        assert isinstance(await soon(to_itself), NoAnswer)
        await two.until(lambda: not two.links.is_up("n1"))
        assert two.inbox == [("n1", b"the last")]

    run(scenario)


def test_a_name_has_a_length() -> None:
    async def scenario(world: World) -> None:
        for name in ("", "n" * 256):
            with pytest.raises(ValueError, match="1 to 255 bytes"):
                Links(asyncio.get_running_loop(), name, cluster="music")

    run(scenario)
