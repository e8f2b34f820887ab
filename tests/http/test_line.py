"""Answers leave in the order of the requests."""

from __future__ import annotations

from varley.http.call import Call
from varley.http.line import Line


class _Nobody:
    def success(self, call: Call, body: bytes) -> bytes:
        return body

    def failure(self, call: Call, error: BaseException) -> bytes:
        return b""

    def settle(self, call: Call) -> None:
        pass


def waiting_calls(line: Line, number: int) -> list[Call]:
    calls = [Call(_Nobody(), "GetItem", b"", {}, None, 0.0) for _ in range(number)]
    line.waiting.extend(calls)
    return calls


def settle(line: Line, call: Call, answer: bytes) -> bool:
    call.reply(answer)
    return line.settle(call, answer)


def test_an_answer_waits_for_those_before_it() -> None:
    line = Line()
    first, second, third = waiting_calls(line, 3)
    line.stand_behind(b"4")
    assert not settle(line, third, b"333")
    assert not settle(line, second, b"22")
    assert line.out == []
    assert line.behind_bytes == len(b"333224")
    assert settle(line, first, b"1")
    assert line.out == [b"1", b"22", b"333", b"4"]
    assert not line.waiting
    assert line.behind_bytes == 0


def test_answers_leave_up_to_the_next_call_that_has_none() -> None:
    line = Line()
    first, second, third = waiting_calls(line, 3)
    settle(line, third, b"3")
    assert settle(line, first, b"1")
    assert line.out == [b"1"]
    assert list(line.waiting) == [second, third]
    assert line.behind_bytes == 1


def test_nothing_is_left_of_a_client_that_has_gone() -> None:
    line = Line()
    waiting_calls(line, 2)
    line.out.append(b"unsent")
    line.clear()
    assert not line.waiting
    assert line.out == []
