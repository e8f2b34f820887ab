"""The bytes between nodes, against docs/formats.md and against themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from google_crc32c import value as crc32c
from hypothesis import given
from hypothesis import strategies as st

from varley.net.frame import (
    ALIVE,
    ANSWER,
    FAILED,
    FRAME_BYTES_MAX,
    FRAME_HEAD_BYTES,
    MESSAGE,
    PARCEL,
    PART_HEAD_BYTES,
    REFUSED,
    REQUEST,
    FrameReader,
    Hello,
    Part,
    Verdict,
    WireError,
    decode_hello,
    decode_parts,
    encode_frame,
    encode_hello,
    encode_part_head,
    version_of,
)

FORMATS = Path(__file__).parents[2] / "docs" / "formats.md"

names = st.text(min_size=1, max_size=60)
hellos = st.builds(
    Hello,
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**16 - 1),
    names,
    names,
    names,
    st.sampled_from(Verdict),
    st.text(max_size=300),
)
parts = st.tuples(
    st.sampled_from([MESSAGE, REQUEST, ANSWER, REFUSED, FAILED]),
    st.integers(0, 255),
    st.integers(0, 2**64 - 1),
    st.binary(max_size=300),
)


def pieces_of(some: Sequence[Part]) -> list[bytes]:
    return [
        piece
        for type_, to, number, payload in some
        for piece in (encode_part_head(type_, to, number, len(payload)), payload)
    ]


def documented(title: str) -> bytes:
    """The bytes of the example that stands under this line in docs/formats.md."""
    block = FORMATS.read_text().split(title)[1].split("\n\n")[1]
    return bytes.fromhex(re.sub(r"\s", "", block))


def test_the_examples_of_the_documentation() -> None:
    hello = Hello(1, 1, "music", "n1", "n2")
    assert documented("The hello of `n1` to `n2`") == encode_hello(hello)
    request = [(REQUEST, 1, 42, b"{}")]
    assert documented("request 42 to service 1") == encode_frame(PARCEL, pieces_of([*request, (MESSAGE, 3, 0, b"x")]))
    assert documented("A sign of life") == encode_frame(ALIVE)


@given(hellos, st.binary(max_size=20))
def test_a_hello_comes_back_as_it_was(hello: Hello, behind: bytes) -> None:
    data = encode_hello(hello)
    assert decode_hello(data + behind) == (hello, len(data))
    assert all(decode_hello(data[:size]) is None for size in range(len(data)))


def test_a_long_reason_is_cut_between_two_characters() -> None:
    found = decode_hello(encode_hello(Hello(1, 1, "c", "a", "b", Verdict.REFUSED, "é" * 2000 + "x")))
    assert found is not None
    assert found[0].why == "é" * 512


def test_what_a_later_version_appends_to_a_hello_is_skipped() -> None:
    data = encode_hello(Hello(1, 3, "music", "n1", "n2"))
    body = data[14:] + b"appended"
    longer = data[:8] + crc32c(body).to_bytes(4, "little") + len(body).to_bytes(2, "little") + body
    found = decode_hello(longer)
    assert found == (Hello(1, 3, "music", "n1", "n2"), len(longer))


def test_no_bit_of_a_hello_may_be_another() -> None:
    hello = encode_hello(Hello(1, 1, "music", "n1", "n2"))
    for bit in range(8 * len(hello)):
        data = bytearray(hello)
        data[bit // 8] ^= 1 << bit % 8
        try:
            assert decode_hello(bytes(data)) is None    # it has become longer, and will never be complete as it is
        except WireError:
            pass


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"VARLEYLG"])
def test_other_protocols_are_noticed_at_their_first_bytes(data: bytes) -> None:
    with pytest.raises(WireError, match="does not begin as a Varley node does"):
        decode_hello(data)


@pytest.mark.parametrize(
    "body",
    [b"", b"\1\0\1\0\0\1\0", b"\1\0\1\0\0" + b"\1\0\xff" * 4, b"\1\0\1\0\x09" + b"\1\0a" * 4],
    ids=["empty", "ends inside a name", "not UTF-8", "an unknown verdict"],
)
def test_a_hello_that_is_none_in_spite_of_its_checksum(body: bytes) -> None:
    with pytest.raises(WireError):
        decode_hello(b"VARLEYNT" + crc32c(body).to_bytes(4, "little") + len(body).to_bytes(2, "little") + body)


@pytest.mark.parametrize(
    ("mine", "theirs", "spoken"),
    [((1, 1), (1, 1), 1), ((1, 2), (2, 3), 2), ((2, 3), (1, 2), 2), ((1, 1), (2, 3), None), ((3, 4), (1, 2), None)],
)
def test_the_version_that_two_speak(mine: tuple[int, int], theirs: tuple[int, int], spoken: int | None) -> None:
    assert version_of(*mine, Hello(*theirs, "music", "n2", "n1")) == spoken


@given(st.lists(st.lists(parts, max_size=4), max_size=4), st.data())
def test_frames_come_back_however_the_socket_cuts_them(frames: list[list[Part]], data: st.DataObject) -> None:
    whole = b"".join(encode_frame(PARCEL, pieces_of(some)) for some in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    reader = FrameReader()
    found = [
        list(decode_parts(body))
        for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)
        for kind, body in reader.feed(whole[start:end])
        if kind == PARCEL
    ]
    assert found == frames


@given(st.lists(parts, max_size=3), st.data())
def test_no_bit_of_a_frame_may_be_another(some: list[Part], data: st.DataObject) -> None:
    frame = bytearray(encode_frame(PARCEL, pieces_of(some)))
    bit = data.draw(st.integers(0, 8 * len(frame) - 1))
    frame[bit // 8] ^= 1 << bit % 8
    reader = FrameReader()
    try:
        assert list(reader.feed(bytes(frame))) == []    # its length is greater now, and more would have to come
    except WireError:
        pass


def test_frames_before_a_wrong_one_are_still_given() -> None:
    data = encode_frame(ALIVE) + encode_frame(PARCEL, [b"body"])[:-1] + b"!"
    reader = FrameReader().feed(data)
    assert next(reader) == (ALIVE, b"")
    with pytest.raises(WireError, match="checksum of a frame of 4 bytes"):
        next(reader)


def test_a_frame_of_an_unknown_kind() -> None:
    with pytest.raises(WireError, match="kind 9"):
        list(FrameReader().feed(encode_frame(9)))


def test_a_frame_beyond_the_limit_is_not_waited_for() -> None:
    head = bytes(4) + (FRAME_BYTES_MAX + 1).to_bytes(4, "little") + bytes([PARCEL])
    with pytest.raises(WireError, match=f"{FRAME_BYTES_MAX + 1} bytes"):
        list(FrameReader().feed(head))
    with pytest.raises(WireError, match=f"{FRAME_BYTES_MAX + 1} bytes"):    # the same when it comes byte by byte
        reader = FrameReader()
        for at in range(len(head)):
            list(reader.feed(head[at : at + 1]))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"\1", "inside the head of a part"),
        (encode_part_head(MESSAGE, 1, 0, 5) + b"four", "inside a part"),
        (encode_part_head(77, 1, 0, 0), "a part of type 77"),
    ],
)
def test_a_parcel_that_is_none_in_spite_of_its_checksum(body: bytes, problem: str) -> None:
    with pytest.raises(WireError, match=problem):
        list(decode_parts(body))


def test_the_sizes_that_the_documentation_draws() -> None:
    assert (FRAME_HEAD_BYTES, PART_HEAD_BYTES) == (9, 14)
