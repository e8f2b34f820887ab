"""Questions and answers are, byte for byte, as docs/formats.md has them."""

from __future__ import annotations

from pathlib import Path

from varley.remote import messages
from varley.remote.journey import ANSWER
from varley.remote.messages import RangeWanted, SumsWanted, ValuesWanted
from varley.router import memds

_PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()


def test_the_examples_are_those_of_the_page() -> None:
    question = messages.encode(ValuesWanted(7, True, [b"\x00\x2a"]))
    answer = ANSWER + messages.encode([None])
    shown = _PAGE.partition("### Questions")[2]
    assert f"    {question.hex(' ')}\n    {answer.hex(' ')}\n" in shown


def test_what_memds_tells_is_as_the_page_has_it() -> None:
    told = memds.Tell((((7).to_bytes(8, "big"), memds.encode(memds.Group(1, ("n1", "n2"), 65538, "n2"))),))
    assert f"    {memds.encode(told).hex(' ')}\n" in _PAGE.partition("### Questions")[2]


def test_questions_come_out_as_they_went_in() -> None:
    for question in (
        ValuesWanted(7, True, [b"\x00\x2a"]),
        RangeWanted(1 << 40, False, b"", None, True, 10),
        RangeWanted(2, True, b"\x00", b"\x01", False, 1000),
        SumsWanted(3),
    ):
        assert messages.decode_rows_question(messages.encode(question)) == question
