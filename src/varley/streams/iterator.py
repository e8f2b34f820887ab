"""Shard iterators: a place in a shard, which a client carries about for up to 15 minutes.

    arn:aws:dynamodb:us-east-1:000000000000:table/Music/stream/2026-11-21T14:03:05.123|1|AQAAAAAHAA…

The stream's ARN, as the client gave it, the version of what follows, and 37 bytes as base64:

    offset  bytes   (little-endian)
         0      1   1
         1      8   group of the partition
         9      8   where the shard begins    } microseconds, as in shard.py
        17      8   position: records after it are still to be read
        25      8   when the iterator was made: milliseconds since the epoch
        33      4   CRC32C of all before it, the ARN too

The server keeps nothing of an iterator, so it may be used again, by anybody, and after a restart. The checksum finds
what was cut or mistyped; it is no protection against forgers, who could read nothing that they may not read anyway.
"""

from __future__ import annotations

import struct
from binascii import a2b_base64, b2a_base64
from typing import Final, NamedTuple

from google_crc32c import value as _crc32c

_VERSION: Final = 1
_FIELDS: Final = struct.Struct("<BQQQQ")
_CRC: Final = struct.Struct("<I")


class ShardIterator(NamedTuple):
    """A place in a shard."""

    stream_arn: str
    group: int          # group and start_us say which shard
    start_us: int
    position_us: int    # the time of the last record that is not to be read any more
    made_ms: int        # by the server's clock

    def __str__(self) -> str:
        fields = _FIELDS.pack(_VERSION, self.group, self.start_us, self.position_us, self.made_ms)
        sealed = fields + _CRC.pack(_crc32c(self.stream_arn.encode() + fields))
        return f"{self.stream_arn}|{_VERSION}|{b2a_base64(sealed, newline=False).decode('ascii')}"


def parse(text: str) -> ShardIterator:
    """The iterator that a client sent. Raises ValueError, the client's fault, if it is not one of ours."""
    arn, bar, rest = text.partition("|")
    version, second_bar, encoded = rest.partition("|")
    if not bar or not second_bar or version != str(_VERSION):
        raise ValueError("not an iterator")
    sealed = a2b_base64(encoded.encode("ascii"), strict_mode=True)    # what it raises are ValueErrors
    fields, crc = sealed[: _FIELDS.size], sealed[_FIELDS.size :]
    if len(crc) != _CRC.size or crc != _CRC.pack(_crc32c(arn.encode() + fields)):
        raise ValueError("not the bytes that were given out")
    _, group, start_us, position_us, made_ms = _FIELDS.unpack(fields)
    return ShardIterator(arn, group, start_us, position_us, made_ms)
