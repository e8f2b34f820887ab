"""The entries of a member: what is cut, what is counted."""

from __future__ import annotations

from random import Random

from varley.paxos.log import Log
from varley.paxos.membership import Configuration, Member
from varley.paxos.messages import CONFIGURATION, VALUE, Entry


def entry(size: int, origin: int = 1) -> Entry:
    return Entry(origin, VALUE, b"v" * size)


def test_entries_are_given_up_to_a_number_and_to_so_many_bytes() -> None:
    log = Log()
    log.append([entry(10), entry(20), entry(30), entry(40)])
    assert [len(each.value) for each in log.after(0)] == [10, 20, 30, 40]
    assert [len(each.value) for each in log.after(1, 2)] == [20, 30]
    assert [len(each.value) for each in log.after(0, None, 30)] == [10, 20]
    assert [len(each.value) for each in log.after(0, None, 59)] == [10, 20]
    assert [len(each.value) for each in log.after(0, None, 60)] == [10, 20, 30]
    assert [len(each.value) for each in log.after(0, 1, 1000)] == [10]


def test_the_first_entry_goes_however_large_unless_there_is_no_room_at_all() -> None:
    log = Log()
    log.append([entry(100), entry(1)])
    assert len(log.after(0, None, 5)) == 1
    assert log.after(0, None, 0) == ()
    assert log.after(0, None, -7) == ()


def test_bytes_are_counted_right_whatever_was_cut_and_trimmed() -> None:
    chance = Random(1)
    log = Log()
    sizes: dict[int, int] = {}
    for origin in range(1, 400):
        what = chance.random()
        if what < 0.7:
            new = [entry(chance.randrange(50), origin) for _ in range(chance.randrange(4))]
            sizes.update(enumerate((len(each.value) for each in new), log.last + 1))
            log.append(new)
        elif what < 0.85:
            log.cut(chance.randint(log.base, log.last))
        else:
            slot = chance.randint(log.base, log.last)
            known = log.origin(slot)
            assert known is not None
            log.rebase(slot, known if chance.random() < 0.8 else 10_000 + origin, Configuration())
        low = chance.randint(log.base, log.last)
        high = chance.randint(low, log.last)
        assert log.bytes_between(low, high) == sum(sizes[slot] for slot in range(low + 1, high + 1))
        anywhere = chance.randint(0, log.last + 3)
        behind = range(max(log.base, anywhere) + 1, log.last + 1)
        assert log.bytes_after(anywhere) == sum(sizes[slot] for slot in behind)
        assert [len(each.value) for each in log.after(low)] == [sizes[slot] for slot in range(low + 1, log.last + 1)]


def test_since_when_a_configuration_is_in_force() -> None:
    one, two = Configuration((Member("A", 1),)), Configuration((Member("A", 1), Member("B", 2)))
    log = Log()
    log.rebase(1, 0, one)
    log.append([entry(1), Entry(1, CONFIGURATION, two.encoded()), entry(1)])
    assert log.configuration_since(2) == (1, one)
    assert log.configuration_since(3) == (3, two)
    assert log.configuration_since(4) == (3, two)
