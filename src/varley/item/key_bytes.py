"""Row keys: where in a table an item lies.

A replica's tree is ordered by bytes, so the place of an item is the bytes of its key:

    byte 0       the space: 0x00 for items; the other spaces, below, hold what follows from items
    bytes 1..16  BLAKE2b-128 of the partition key: type letter, then the key's bytes as below
    bytes 17..   the sort key, in an encoding whose bytewise order is DynamoDB's order; nothing without one
                     S    its UTF-8 bytes              as [DG] "Query" orders strings
                     B    its bytes                    unsigned, as [DG] says
                     N    `number.key_bytes`           1 to 21 bytes

    partition key {"S": "user#7"}, sort key {"N": "-1.5"}
                 00 | BLAKE2b-128(53 75 73 65 72 23 37) | 3E 99 4A FF

Partitions own ranges of what follows the space byte. The hash spreads partition keys evenly, whoever chose
them: with MD5, which the papers' systems used, a client can craft keys that all fall into one partition.
The type letter is hashed too, so that the same bytes as another type are another place. Two partition keys
with the same hash are taken not to exist: that needs 2**64 keys for an even chance.

Keys were checked before they come here: S and N are text (N in normal form), B is canonical base64 text.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from hashlib import blake2b

from varley.item import number

ITEM_SPACE = b"\x00"

# The other spaces. Rows in them follow from items; they change in the log entry of the item that they follow from.
LOCAL_INDEX_SPACES = (b"\x01", b"\x02", b"\x03", b"\x04", b"\x05")    # one for each local index of a table
TALLY_SPACE = b"\x06"       # how much the local indexes hold, and how large each item collection is
STREAM_SPACE = b"\x20"
EXPIRY_SPACE = b"\x30"
SOURCE_SPACE = b"\x40"      # in a global index: how far each base partition has been applied
DEFINITION_SPACE = b"\x41"  # in a cluster: which definition of the table leaders have followed
MARKER_SPACE = b"\x50"      # what a transaction has prepared for an item: followed by what follows 00 in the item's key
TOKEN_SPACE = b"\x51"       # a transaction of this partition alone that was done: followed by its id
PURGE_SPACE = b"\x52"       # in the ledger of transactions: when each record may go
SPLIT_SPACE = b"\x60"       # of a partition that was split, or came of it: see table/parting.py
OUTGOING_SPACE = b"\xf0"    # never in a tree: what the log carries to global indexes

# First bytes of the rows in a tree that are no items, and not counted as such.
DERIVED_SPACES = frozenset(
    space[0]
    for space in (
        *LOCAL_INDEX_SPACES, TALLY_SPACE, STREAM_SPACE, EXPIRY_SPACE, SOURCE_SPACE, DEFINITION_SPACE,
        MARKER_SPACE, TOKEN_SPACE, PURGE_SPACE, SPLIT_SPACE,
    )
)
PARTITION_HASH_BYTES = 16


def row_key(partition_kind: str, partition: str, sort_kind: str = "", sort: str = "") -> bytes:
    """The row key of an item, 17 to 1041 bytes. `sort_kind` is "" in a table without a sort key."""
    # The common cases of partition_hash and sort_bytes are written out: a call costs a tenth of the whole.
    if partition_kind == "S":
        row = ITEM_SPACE + blake2b(("S" + partition).encode(), digest_size=PARTITION_HASH_BYTES).digest()
    else:
        row = ITEM_SPACE + partition_hash(partition_kind, partition)
    if sort_kind == "S":
        return row + sort.encode()
    if sort_kind == "N":
        return row + number.key_bytes(sort)
    return row + sort_bytes(sort_kind, sort) if sort_kind else row


def partition_hash(kind: str, text: str) -> bytes:
    """The 16 bytes that a partition key is hashed to. `kind` is "S", "N" or "B"."""
    if kind == "S":
        return blake2b(("S" + text).encode(), digest_size=PARTITION_HASH_BYTES).digest()
    return blake2b(kind.encode() + sort_bytes(kind, text), digest_size=PARTITION_HASH_BYTES).digest()


def sort_bytes(kind: str, text: str) -> bytes:
    """The bytes that order a key of this kind ("S", "N" or "B") as DynamoDB orders it."""
    if kind == "S":
        return text.encode()
    if kind == "N":
        return number.key_bytes(text)
    assert kind == "B", f"{kind} cannot be a key"
    return a2b_base64(text)


def key_text(kind: str, key: bytes) -> str:
    """The reverse of `sort_bytes`."""
    if kind == "S":
        return key.decode()
    if kind == "N":
        return number.from_key_bytes(key)
    assert kind == "B", f"{kind} cannot be a key"
    return b2a_base64(key, newline=False).decode("ascii")
