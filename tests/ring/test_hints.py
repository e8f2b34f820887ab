from __future__ import annotations

from varley.ring.hints import Effects, Hint, HintDelivery, receivers


def hint(number: int) -> Hint:
    return Hint("a", str(number).encode(), bytes([number]) * 16)


def test_a_hint_goes_to_its_home_or_to_who_are_homes_now() -> None:
    assert receivers("a", ("b", "a", "c")) == ("a",)
    assert receivers("a", ("b", "c", "d")) == ("b", "c", "d")


def test_it_is_deleted_when_it_is_delivered_and_not_before() -> None:
    delivery = HintDelivery([(hint(1), ("a",))])
    assert delivery.begin() == Effects(deliver=(("a", hint(1)),))
    assert not delivery.is_over
    assert delivery.delivered("a", hint(1)) == Effects(delete=(hint(1),))
    assert delivery.delivered("a", hint(1)) == Effects(), "told twice"
    assert delivery.is_over


def test_every_receiver_must_have_it() -> None:
    delivery = HintDelivery([(hint(1), ("b", "c"))])
    delivery.begin()
    assert delivery.delivered("b", hint(1)) == Effects()
    assert delivery.delivered("b", hint(1)) == Effects()
    assert delivery.delivered("c", hint(1)).delete == (hint(1),)


def test_no_more_than_the_window_are_under_way() -> None:
    delivery = HintDelivery([(hint(number), ("a",)) for number in range(5)], window=2)
    assert [to.key for _, to in delivery.begin().deliver] == [b"0", b"1"]
    assert delivery.delivered("a", hint(1)).deliver == (("a", hint(2)),)


def test_after_a_failure_nothing_is_sent_and_late_answers_count() -> None:
    delivery = HintDelivery([(hint(number), ("a",)) for number in range(5)], window=2)
    delivery.begin()
    assert delivery.failed() == Effects()
    assert delivery.delivered("a", hint(0)) == Effects(delete=(hint(0),))


def test_without_receivers_it_stays() -> None:
    assert HintDelivery([(hint(1), ())]).is_over
