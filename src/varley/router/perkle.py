"""The Perkle tree: all routing metadata in one ordered map of bytes that can be compared with another's.

A Patricia tree (keys that begin alike share the path to where they part) whose nodes carry hashes as a Merkle tree's
do. The first gives what an ordered map has: the entry with the greatest key that is not beyond the one asked for
(`floor`), everything below a prefix, ranges in order. (DynamoDB finds a row's partition by `floor`; here routes do
that, by bisection: decision 0112.) The second tells two nodes, in one comparison of 16 bytes, that they know the same,
and otherwise leads to what one of them missed in as many steps as the tree is deep.

    {"album", "alto", "arm"}          ""
                                      └── "a"
                                          ├── "l"
                                          │   ├── "bum" *
                                          │   └── "to" *
                                          └── "rm" *

A tree never changes: a change gives another tree, which shares all nodes with the old one except those on the path.
So a comparison that takes many round trips sees one moment while changes go on, an older version costs what differs
from it, and two versions are compared without hashing anything, since what they share is the same object. The price
is a copy of the path for each change, some microseconds; metadata change a few times a second. (A tree that changes
in place would be faster to build and would need a copy for each comparison.)

The hash of a node covers what is *below* the place where it ends: its value, and its children's labels and hashes,
not its own label. Whether a path is one edge or two then makes no difference to what hangs at its end, so trees of
different shape still compare equal where they hold the same. Hashes are computed when they are asked for, once for
each node.

Rejected: a sorted list with bisection (floor is faster, but comparing means sending everything); a Merkle tree over
fixed ranges (`ring/hash_tree.py`: fit for rows that are spread evenly by a hash, which names of tables are not).

Source: Amazon DynamoDB (ATC 2022), section 6.6, which names the operations. How two are compared is ours.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from struct import Struct
from typing import Final, NamedTuple

DIGEST_BYTES: Final = 16

_size = Struct("<I")
_NO_VALUE: Final = b"\0"
_VALUE: Final = b"\1"

Entry = tuple[bytes, bytes]    # (key, value)


class Difference(NamedTuple):
    """A key at which two trees are not the same."""

    key: bytes
    mine: bytes | None      # the value there; None: it has no such key
    theirs: bytes | None


class Edge(NamedTuple):
    """What goes on below a place, as another node is told of it."""

    label: bytes            # never empty; no two edges of one place begin with the same byte
    entries: int            # how many are below it
    digest: bytes           # of what is below its end


class Place(NamedTuple):
    """What a tree has at a prefix, and directly below it. A prefix that leads nowhere has neither value nor edges."""

    value: bytes | None
    edges: tuple[Edge, ...]


class Findings(NamedTuple):
    """What a place of the own tree and the same place of another's say about each other."""

    value_differs: bool         # at the prefix itself
    deeper: list[bytes]         # prefixes below which they differ, to be looked at next; both have something there
    only_mine: list[bytes]      # prefixes below which the other has nothing
    only_theirs: list[bytes]    # prefixes below which this one has nothing: fetch all


class _Node:
    """Never changes, except that its digest is filled in."""

    __slots__ = ("_digest", "children", "count", "firsts", "key", "label", "value")

    label: bytes                    # of the edge that leads here; empty only at the root
    key: bytes | None               # the whole key, if there is an entry here
    value: bytes | None             # None exactly if `key` is. Without: two children or more, or this is the root
    children: tuple[_Node, ...]     # ascending by the first byte of their labels, which all differ
    firsts: bytes                   # those first bytes
    count: int                      # entries here and below
    _digest: bytes | None

    def __init__(
        self,
        label: bytes,
        key: bytes | None,
        value: bytes | None,
        children: tuple[_Node, ...],
        firsts: bytes,
        count: int,
    ) -> None:
        self.label = label
        self.key = key
        self.value = value
        self.children = children
        self.firsts = firsts
        self.count = count
        self._digest = None

    def labelled(self, label: bytes) -> _Node:
        """The same, at the end of another edge."""
        node = _Node(label, self.key, self.value, self.children, self.firsts, self.count)
        node._digest = self._digest
        return node

    def with_child(self, at: int, child: _Node) -> _Node:
        """With this one in place of another that begins with the same byte."""
        children = (*self.children[:at], child, *self.children[at + 1 :])
        count = self.count - self.children[at].count + child.count
        return _Node(self.label, self.key, self.value, children, self.firsts, count)

    @property
    def digest(self) -> bytes:
        if self._digest is None:
            _fill_in_digests(self)
        assert self._digest is not None
        return self._digest

    def edge(self) -> Edge:
        return Edge(self.label, self.count, self.digest)


def _node(label: bytes, key: bytes | None, value: bytes | None, children: tuple[_Node, ...]) -> _Node:
    firsts = bytes([child.label[0] for child in children])
    return _Node(label, key, value, children, firsts, (value is not None) + sum([child.count for child in children]))


_EMPTY: Final = _node(b"", None, None, ())


class Perkle:
    """See the top of the file. Keys and values are bytes; the empty key is one too."""

    __slots__ = ("_root",)

    def __init__(self, _root: _Node = _EMPTY) -> None:
        self._root = _root

    def __len__(self) -> int:
        return self._root.count

    def __iter__(self) -> Iterator[Entry]:
        """All entries in the order of their keys."""
        return _ascending(self._root)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Perkle) and (self._root is other._root or self.digest == other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def digest(self) -> bytes:
        """16 bytes: the same for the same entries, however the tree came about."""
        return self._root.digest

    # ---- changes

    def insert(self, key: bytes, value: bytes) -> Perkle:
        """With this value at this key, whatever was there. The same object if it was this."""
        path: list[tuple[_Node, int]] = []
        node = self._root
        at = 0
        while at < len(key):
            index = node.firsts.find(key[at])
            if index < 0:
                index = bisect_left(node.firsts, key[at])
                leaf = _node(key[at:], key, value, ())
                node = _node(
                    node.label, node.key, node.value, (*node.children[:index], leaf, *node.children[index:])
                )
                break
            child = node.children[index]
            shared = _shared_bytes(child.label, key, at)
            path.append((node, index))
            at += shared
            if shared < len(child.label):
                node = _split(child, shared, key, at, value)
                break
            node = child
        else:
            if node.value == value:
                return self
            node = _node(node.label, key, value, node.children)
        for parent, index in reversed(path):
            node = parent.with_child(index, node)
        return Perkle(node)

    def remove(self, key: bytes) -> Perkle:
        """Without this key. The same object if it was not there."""
        path: list[tuple[_Node, int]] = []
        node = self._root
        at = 0
        while at < len(key):
            index = node.firsts.find(key[at])
            if index < 0 or not key.startswith(node.children[index].label, at):
                return self
            path.append((node, index))
            node = node.children[index]
            at += len(node.label)
        if node.value is None:
            return self
        left = _joined(node.label, None, None, node.children)
        for parent, index in reversed(path):
            below = (*parent.children[:index], *left, *parent.children[index + 1 :])
            left = _joined(parent.label, parent.key, parent.value, below)
        return Perkle(left[0] if left and not left[0].label else _node(b"", None, None, left))

    # ---- look-ups

    def get(self, key: bytes) -> bytes | None:
        node = self._root
        at = 0
        while at < len(key):
            index = node.firsts.find(key[at])
            if index < 0:
                return None
            node = node.children[index]
            if not key.startswith(node.label, at):
                return None
            at += len(node.label)
        return node.value

    def floor(self, key: bytes) -> Entry | None:
        """The entry with the greatest key that is not greater than this; None if there is none."""
        node = self._root
        at = 0
        before: _Node | None = None    # all below it is less than `key`, and greater than anything found earlier
        exact: _Node | None = None     # its own entry is what was found last
        while True:
            if node.value is not None:
                exact = node
                before = None
            if at == len(key):
                break
            index = bisect_right(node.firsts, key[at]) - 1
            if index < 0:
                break
            child = node.children[index]
            if key.startswith(child.label, at):
                if index:
                    before = node.children[index - 1]
                node = child
                at += len(child.label)
                continue
            if child.label < key[at : at + len(child.label)]:
                before = child
            elif index:
                before = node.children[index - 1]
            break
        if before is not None:
            while before.children:
                before = before.children[-1]
            exact = before
        return None if exact is None else _entry(exact)

    def ceiling(self, key: bytes) -> Entry | None:
        """The entry with the smallest key that is not less than this; None if there is none."""
        node = self._root
        at = 0
        behind: _Node | None = None    # all below it is greater than `key`, and less than anything found earlier
        while True:
            if at == len(key):
                behind = node if node.count else None
                break
            index = bisect_left(node.firsts, key[at])
            if index == len(node.firsts):
                break
            child = node.children[index]
            if key.startswith(child.label, at):
                if index + 1 < len(node.children):
                    behind = node.children[index + 1]
                node = child
                at += len(child.label)
                continue
            if child.label > key[at : at + len(child.label)]:
                behind = child
            elif index + 1 < len(node.children):
                behind = node.children[index + 1]
            break
        if behind is None:
            return None
        while behind.value is None:
            behind = behind.children[0]
        return _entry(behind)

    def prefix(self, prefix: bytes) -> Iterator[Entry]:
        """The entries whose keys begin with this, in order."""
        node = self._node_at(prefix)
        return iter(()) if node is None else _ascending(node)

    def between(self, low: bytes, high: bytes | None) -> Iterator[Entry]:
        """The entries with low <= key < high, in order. `high` None: to the end."""
        return _between(self._root, low, high)

    def less_than(self, key: bytes) -> Iterator[Entry]:
        """The entries before this key, in order."""
        return _between(self._root, b"", key)

    def greater_than(self, key: bytes) -> Iterator[Entry]:
        """The entries behind this key, in order."""
        return _between(self._root, key + b"\0", None)

    # ---- comparison

    def differences(self, other: Perkle) -> Iterator[Difference]:
        """Where two trees that are both at hand differ, in the order of the keys. What they share is not looked at."""
        return _differences(self._root, other._root)

    def place(self, prefix: bytes) -> Place:
        """What is here at a prefix, for another node to compare with. A few hundred bytes at most places."""
        node = self._node_at(prefix)
        if node is None:
            return Place(None, ())
        if node.label:    # the prefix ends inside its edge
            return Place(None, (node.edge(),))
        return Place(node.value, tuple(child.edge() for child in node.children))

    def compare(self, prefix: bytes, theirs: Place) -> Findings:
        """What another node's tree has at this prefix, against what this one has.

        Beginning with the empty prefix, and going on with all that is `deeper`, finds all differences.
        """
        mine = self.place(prefix)
        findings = Findings(mine.value != theirs.value, [], [], [])
        others = {edge.label[0]: edge for edge in theirs.edges}
        for edge in mine.edges:
            other = others.pop(edge.label[0], None)
            if other is None:
                findings.only_mine.append(prefix + edge.label)
            elif edge != other:
                shared = _shared_bytes(edge.label, other.label, 0)
                findings.deeper.append(prefix + edge.label[:shared])
        findings.only_theirs.extend(prefix + edge.label for edge in others.values())
        return findings

    def _node_at(self, prefix: bytes) -> _Node | None:
        """What is below a prefix, as a node whose label is what is left of the edge that the prefix ends in."""
        node = self._root
        at = 0
        while at < len(prefix):
            index = node.firsts.find(prefix[at])
            if index < 0:
                return None
            node = node.children[index]
            shared = _shared_bytes(node.label, prefix, at)
            at += shared
            if at == len(prefix):
                return node.labelled(node.label[shared:])
            if shared < len(node.label):
                return None
        return node


def _split(child: _Node, shared: int, key: bytes, at: int, value: bytes) -> _Node:
    """A node in the middle of the edge to `child`, from which `key` (whose byte `at` is next) goes another way."""
    lower = child.labelled(child.label[shared:])
    upper = child.label[:shared]
    if at == len(key):
        return _node(upper, key, value, (lower,))
    leaf = _node(key[at:], key, value, ())
    return _node(upper, None, None, (leaf, lower) if leaf.label < lower.label else (lower, leaf))


def _joined(label: bytes, key: bytes | None, value: bytes | None, children: tuple[_Node, ...]) -> tuple[_Node, ...]:
    """The node with these, if it is still needed; the only child at the end of a longer edge; or nothing."""
    if value is not None or len(children) > 1:
        return (_node(label, key, value, children),)
    if not label or not children:    # the root stays as it is: whoever asked puts the child under one
        return children
    (child,) = children
    return (child.labelled(label + child.label),)


def _shared_bytes(label: bytes, key: bytes, at: int) -> int:
    """How many bytes of `label` are those of `key` from `at` on."""
    if key.startswith(label, at):
        return len(label)
    shared = 0
    for mine, other in zip(label, key[at : at + len(label)], strict=False):
        if mine != other:
            break
        shared += 1
    return shared


def _entry(node: _Node) -> Entry:
    assert node.key is not None and node.value is not None
    return node.key, node.value


def _ascending(top: _Node) -> Iterator[Entry]:
    # Not recursive: a client may name things such that a tree is as deep as its longest key.
    stack = [top]
    while stack:
        node = stack.pop()
        if node.value is not None:
            yield _entry(node)
        stack.extend(reversed(node.children))


def _between(root: _Node, low: bytes, high: bytes | None) -> Iterator[Entry]:
    # (node, where its label begins in the keys, whether all below it is known to be at or behind `low`)
    stack: list[tuple[_Node, int, bool]] = [(root, 0, not low)]
    while stack:
        node, at, is_behind = stack.pop()
        if not is_behind:
            end = at + len(node.label)
            bound = low[at:end]
            if node.label < bound:
                if not bound.startswith(node.label):
                    continue
            elif node.label > bound or end >= len(low):
                is_behind = True
        if node.value is not None:
            assert node.key is not None
            if high is not None and node.key >= high:
                return
            if node.key >= low:
                yield node.key, node.value
        below = at + len(node.label)
        stack.extend([(child, below, is_behind) for child in reversed(node.children)])


def _fill_in_digests(top: _Node) -> None:
    stack = [top]
    while stack:
        node = stack[-1]
        missing = [child for child in node.children if child._digest is None]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        whole = [_NO_VALUE] if node.value is None else [_VALUE, _size.pack(len(node.value)), node.value]
        for child in node.children:
            assert child._digest is not None
            whole += (_size.pack(len(child.label)), child.label, child._digest)
        node._digest = blake2b(b"".join(whole), digest_size=DIGEST_BYTES).digest()


def _differences(mine: _Node | None, theirs: _Node | None) -> Iterator[Difference]:
    # Pairs of nodes whose labels begin at the same place.
    stack: list[tuple[_Node | None, _Node | None]] = [(mine, theirs)]
    while stack:
        mine, theirs = stack.pop()
        if mine is theirs:
            continue
        if mine is None or theirs is None:
            if mine is not None:
                yield from (Difference(key, value, None) for key, value in _ascending(mine))
            if theirs is not None:
                yield from (Difference(key, None, value) for key, value in _ascending(theirs))
            continue
        shared = _shared_bytes(mine.label, theirs.label, 0)
        if shared < len(mine.label) and shared < len(theirs.label):
            first = (mine, None) if mine.label < theirs.label else (None, theirs)
            second = (None, theirs) if mine.label < theirs.label else (mine, None)
            stack += (second, first)
            continue
        if len(mine.label) == len(theirs.label) and mine.digest == theirs.digest:
            continue
        my_value, my_children = _from(mine, shared)
        their_value, their_children = _from(theirs, shared)
        if my_value != their_value:
            key = mine.key if my_value is not None else theirs.key
            assert key is not None
            yield Difference(key, my_value, their_value)
        stack.extend(reversed(_pairs(my_children, their_children)))


def _from(node: _Node, shared: int) -> tuple[bytes | None, Sequence[_Node]]:
    """What is at, and directly below, the place so many bytes along the edge to this node."""
    if shared == len(node.label):
        return node.value, node.children
    return None, (node.labelled(node.label[shared:]),)


def _pairs(mine: Sequence[_Node], theirs: Sequence[_Node]) -> list[tuple[_Node | None, _Node | None]]:
    """Those that begin with the same byte together, in the order of that byte."""
    here = {child.label[0]: child for child in mine}
    there = {child.label[0]: child for child in theirs}
    return [(here.get(first), there.get(first)) for first in sorted(here.keys() | there.keys())]
