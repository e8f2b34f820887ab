"""What the ledger keeps of a transaction: a row of a table that no client can name.

The key is the transaction's id: 16 bytes, BLAKE2b-128 of the client's token, or drawn by chance without one. So a
repeated request finds what became of the first. The item:

    {"id":{"B":"KioqKioqKioqKioqKioqKg=="},     the id
     "time":{"N":"1735689600000000"},           the transaction's timestamp, in microseconds since the epoch
     "request":{"B":"…"},                       BLAKE2b-128 of what was asked, to know the same request again
     "rows":{"L":[{"S":"Music"},{"B":"…"},…]},  table, row key, table, row key, …: the items, until it is over; then
                                                the first, if all were in one partition
     "state":{"S":"COMMITTED"},                 see coordinator.py
     "over":{"N":"1735689600012345"}}           when it was over; not before it is

A token may be used again after `KEPT_SECONDS`, or once a first attempt was cancelled. Then the id is the same and the
timestamp is later; a record of an earlier time that is over gives way to it, and one that is not stays.

A second row, in a space of its own, says when to look whether the record can go:

    52, seconds since the epoch (8, big-endian), id (16)        {}

Source: [API] TransactWriteItems, ClientRequestToken: valid for 10 minutes after the first request is completed.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from varley.item import number, stored
from varley.item.key_bytes import ITEM_SPACE, PURGE_SPACE, partition_hash
from varley.item.marker import ID_BYTES, Name
from varley.item.size import DOCUMENT_BYTES, ELEMENT_BYTES
from varley.table.schema import FORMAT_VERSION, ON_DEMAND_WARM, AttributeDefinition, KeySchema, Table
from varley.table.table_name import LEDGER_NAME
from varley.transactions.coordinator import FOLLOWS, State

KEPT_SECONDS: Final = 600       # [API]

_decode = msgspec.json.decode


class Record(NamedTuple):
    name: Name
    state: State
    request: bytes                          # 16 bytes
    rows: tuple[tuple[str, bytes], ...]     # table, row key
    over_us: int = 0                        # 0: it is not over

    def is_kept(self, now_us: int) -> bool:
        """Whether a repeated request has to be told what this record says."""
        return not self.state.is_over or now_us < self.over_us + KEPT_SECONDS * 1_000_000

    @property
    def due(self) -> int:
        """When to look whether it can go, in whole seconds since the epoch."""
        return (self.over_us or self.name.timestamp_us) // 1_000_000 + KEPT_SECONDS + 1


def ledger_table(table_id: str, now: float) -> Table:
    """The definition of the ledger. `now`: epoch seconds."""
    return Table(
        format_version=FORMAT_VERSION,
        name=LEDGER_NAME,
        id=table_id,
        created_at=now,
        attribute_definitions=(AttributeDefinition(name="id", kind="B"),),
        key_schema=KeySchema(hash_name="id", hash_kind="B"),
        billing_mode="PAY_PER_REQUEST",
        warm=ON_DEMAND_WARM,
    )


def id_of_token(token: str) -> bytes:
    return blake2b(token.encode(), digest_size=ID_BYTES).digest()


def record_key(transaction: bytes) -> bytes:
    """The row key of a record."""
    return ITEM_SPACE + partition_hash("B", _text(transaction))


def purge_key(due: int, transaction: bytes) -> bytes:
    return PURGE_SPACE + due.to_bytes(8, "big") + transaction


def parse_purge_key(key: bytes) -> tuple[int, bytes]:
    """(due, id of the transaction)"""
    return int.from_bytes(key[1:9], "big"), key[9:]


def pack(record: Record, timestamp_us: int) -> bytes:
    """The stored value of a record that is written now.

    Written out, and not encoded from a dict that was measured: each transaction does this, and it takes a fifth.
    """
    name, state, request, rows, over_us = record
    time = str(name.timestamp_us)
    size = _SIZE + number.size(time) + len(state.value)
    row_texts = []
    for table, key in rows:
        row_texts.append(f'{{"S":"{table}"}},{{"B":"{_text(key)}"}}')
        size += 2 * ELEMENT_BYTES + len(table) + len(key)
    over = ""
    if over_us:
        over = f',"over":{{"N":"{over_us}"}}'
        size += len("over") + number.size(str(over_us))
    text = (
        f'{{"id":{{"B":"{_text(name.id)}"}},"time":{{"N":"{time}"}},"request":{{"B":"{_text(request)}"}},'
        f'"rows":{{"L":[{",".join(row_texts)}]}},"state":{{"S":"{state.value}"}}{over}}}'
    )
    return stored.pack(text.encode(), size, timestamp_us)


# Of what every record has, but for the time and the state.
_SIZE: Final = len("idtimerequestrowsstate") + 2 * ID_BYTES + DOCUMENT_BYTES


def unpack(value: bytes) -> Record:
    item = _decode(value[stored.HEADER_BYTES :])
    rows = item["rows"]["L"]
    return Record(
        Name(a2b_base64(item["id"]["B"]), int(item["time"]["N"])),
        State(item["state"]["S"]),
        a2b_base64(item["request"]["B"]),
        tuple((table["S"], a2b_base64(key["B"])) for table, key in zip(rows[::2], rows[1::2], strict=True)),
        int(item["over"]["N"]) if "over" in item else 0,
    )


def pack_token(name: Name, request: bytes) -> bytes:
    """The stored value of a row that says that a transaction of one partition was done; see node/participant.py."""
    time = str(name.timestamp_us)
    text = f'{{"time":{{"N":"{time}"}},"request":{{"B":"{_text(request)}"}}}}'
    size = len("timerequest") + number.size(time) + ID_BYTES
    return stored.pack(text.encode(), size, name.timestamp_us)


def unpack_token(value: bytes) -> tuple[int, bytes]:
    """(the transaction's timestamp, the hash of the request)"""
    item = _decode(value[stored.HEADER_BYTES :])
    return int(item["time"]["N"]), a2b_base64(item["request"]["B"])


def is_token_kept(value: bytes, now_us: int) -> bool:
    """Whether a repeated request has to be told what this row of a token says. One that is older may still be there."""
    return now_us < unpack_token(value)[0] + KEPT_SECONDS * 1_000_000


def holds_after(found: Record | None, wanted: Record) -> Record | None:
    """What the ledger holds once somebody wants `wanted` and it holds `found`; that stays if it may not be followed."""
    before = None if found is None else found.state
    if found is not None and found.name != wanted.name:
        if wanted.name.timestamp_us < found.name.timestamp_us or not found.state.is_over:
            return found
        before = None    # an earlier transaction with the same token gives way
    return wanted if wanted.state in FOLLOWS[before] else found


def _text(content: bytes) -> str:
    return b2a_base64(content, newline=False).decode("ascii")
