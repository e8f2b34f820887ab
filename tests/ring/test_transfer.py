from __future__ import annotations

from varley.ring.transfer import Accept, Effects, Finished, Incoming, Offer, Outgoing, Reason, Refuse

OFFER = Offer(3)


def test_one_donor_is_accepted_and_the_others_are_not() -> None:
    incoming = Incoming(silence_us_max=100)
    assert incoming.offered("a", OFFER, is_home=True, now_us=0) == Accept(3)
    assert incoming.offered("b", OFFER, is_home=True, now_us=50) == Refuse(3, Reason.BUSY)
    assert incoming.offered("a", OFFER, is_home=True, now_us=60) == Accept(3), "the offer was repeated"
    incoming.finished("b", Finished(3))
    incoming.finished("a", Finished(3))
    assert incoming.offered("b", OFFER, is_home=True, now_us=70) == Refuse(3, Reason.HAVE)


def test_a_donor_that_falls_silent_is_replaced() -> None:
    incoming = Incoming(silence_us_max=100)
    incoming.offered("a", OFFER, is_home=True, now_us=0)
    incoming.heard("a", 3, 80)
    assert incoming.offered("b", OFFER, is_home=True, now_us=150) == Refuse(3, Reason.BUSY)
    assert incoming.offered("b", OFFER, is_home=True, now_us=181) == Accept(3)
    incoming.heard("a", 3, 500)
    incoming.finished("a", Finished(3))
    assert incoming.offered("c", OFFER, is_home=True, now_us=300) == Accept(3), "b is silent, and a's end meant nothing"


def test_who_is_no_home_takes_nothing_and_forgets_what_it_had() -> None:
    incoming = Incoming(silence_us_max=100)
    assert incoming.offered("a", OFFER, is_home=False, now_us=0) == Refuse(3, Reason.NOT_MINE)
    incoming.offered("a", OFFER, is_home=True, now_us=0)
    incoming.finished("a", Finished(3))
    incoming.no_longer_home(3)
    assert incoming.offered("b", OFFER, is_home=True, now_us=1) == Accept(3)


def test_rows_go_in_a_window_and_the_end_is_told_once() -> None:
    outgoing = Outgoing(3, [b"1", b"2", b"3"], window=2)
    assert outgoing.accepted() == Effects(rows=(b"1", b"2"))
    assert outgoing.acknowledged(b"2") == Effects(rows=(b"3",))
    assert outgoing.unanswered() == Effects(rows=(b"1", b"3"))
    assert outgoing.acknowledged(b"2") == Effects(), "told twice"
    assert outgoing.acknowledged(b"1") == Effects()
    assert outgoing.acknowledged(b"3") == Effects(finished=Finished(3))
    assert outgoing.is_over


def test_an_empty_partition_is_finished_at_once() -> None:
    assert Outgoing(3, []).accepted() == Effects(finished=Finished(3))
