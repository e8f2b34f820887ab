"""What a node has forgotten is numbered under another name: an event that is numbered twice is a write that is lost."""

from __future__ import annotations

from dataclasses import replace

from tests.ring_node.pretended import ForgetfulDisk, PretendedRing, settings
from tests.ring_node.test_node import data
from tests.ring_node.test_store import KEY, Machine
from varley.ring.siblings import Mode, Siblings, Stamp, reconcile
from varley.ring.vector_clock import VectorClock
from varley.ring_node.keys import ring_key
from varley.ring_node.service import Put
from varley.ring_node.settings import BucketSettings, RingSettings


def test_a_node_that_starts_with_an_empty_folder_numbers_nothing_again() -> None:
    """1. A stamps (A,2), which A and B have; C is down.  2. A's disk is lost. A is started with an empty folder while
    B is down, and gets (A,1) from C.  3. A stamps: if that were (A,2) again, B would take the two for one."""
    ring = PretendedRing(3, ring=settings(n=3, r=1, w=1))
    first = ring.put("n0", b"k", b"1")
    ring.run(1)
    ring.processes["n2"].kill()
    assert isinstance(ring.put("n0", b"k", b"2", first.context, w=2), Put)
    for name in ("n0", "n1"):
        ring.processes[name].kill()
    ring.processes["n0"].disk = ForgetfulDisk()
    ring.processes["n2"].start()
    ring.processes["n0"].start()
    ring["n0"].join_now(None, None, lambda: None)
    ring.wait(lambda: len(ring["n0"].store.row(ring_key("b", b"k"))) == 1)
    assert isinstance(ring.put("n0", b"k", b"3", first.context, w=2), Put)
    ring.processes["n1"].start()
    ring.wait(lambda: sorted(data(ring.get("n1", b"k", r=3))) == [b"2", b"3"])


def test_an_empty_store_with_a_clock_set_back_numbers_nothing_again() -> None:
    machine = Machine()
    machine.run(100)
    actor = machine.stamp()
    old = machine.store.row(KEY)
    anew = Machine()
    anew.store.merge(KEY, old, None, lambda: None)
    assert anew.stamp() != actor


def test_with_a_clock_that_stands_still_no_actor_is_begun_twice() -> None:
    """A machine's clock was set back, and the node's waits for it. Last write wins drops what it had stamped; another
    node still has that, and must be able to tell it from what is stamped next."""
    machine = Machine()
    machine.store._settings = RingSettings(default=BucketSettings(mode=Mode.LAST_WRITE_WINS))

    def stamp(value: bytes) -> Siblings:
        store = machine.store
        now_us = store.stamp_time_us(1)
        store.stamp(KEY, Stamp("n", VectorClock(), value, now_us, Mode.LAST_WRITE_WINS), None, lambda _: None)
        return store.row(KEY)

    before = stamp(b"1")
    [version] = before
    later = replace(version, dot=version.dot._replace(actor="other~1", time_us=version.dot.time_us + 1))
    machine.store.merge(KEY, Siblings((later,)), None, lambda: None)
    after = stamp(b"3")
    assert reconcile([after, before], Mode.LAST_WRITE_WINS).values == (b"3",)
