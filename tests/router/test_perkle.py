"""The Perkle tree, against a sorted dict."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from varley.router.perkle import Difference, Entry, Perkle, _Node

# Few bytes, so that keys are prefixes of one another; and 0 and 255, where bounds go wrong.
keys = st.lists(st.sampled_from([0, 1, 97, 98, 255]), max_size=6).map(bytes)
values = st.binary(max_size=2)
contents = st.dictionaries(keys, values, max_size=25)


def tree_of(entries: dict[bytes, bytes]) -> Perkle:
    tree = Perkle()
    for key, value in entries.items():
        tree = tree.insert(key, value)
    return tree


def check_shape(tree: Perkle) -> None:
    """Every invariant of `_Node`."""
    stack = [(tree._root, b"")]
    assert tree._root.label == b""
    while stack:
        node, path = stack.pop()
        path += node.label
        assert (node.key is None) == (node.value is None)
        assert node.key in (None, path)
        assert node is tree._root or (node.label and (node.value is not None or len(node.children) > 1))
        assert node.firsts == bytes(sorted({child.label[0] for child in node.children}))
        assert len(node.firsts) == len(node.children)
        assert node.count == (node.value is not None) + sum(child.count for child in node.children)
        stack.extend((child, path) for child in node.children)


class Model(RuleBasedStateMachine):
    """A tree and a dict take the same changes."""

    def __init__(self) -> None:
        super().__init__()
        self.tree = Perkle()
        self.model: dict[bytes, bytes] = {}

    @rule(key=keys, value=values)
    def insert(self, key: bytes, value: bytes) -> None:
        before = list(self.tree)
        tree = self.tree.insert(key, value)
        assert list(self.tree) == before    # the old one is as it was
        assert (tree is self.tree) == (self.model.get(key) == value)
        self.tree = tree
        self.model[key] = value

    @rule(key=keys)
    def remove(self, key: bytes) -> None:
        tree = self.tree.remove(key)
        assert (tree is self.tree) == (key not in self.model)
        self.tree = tree
        self.model.pop(key, None)

    @rule(key=keys, other=keys)
    def look_up(self, key: bytes, other: bytes) -> None:
        ordered = sorted(self.model.items())
        assert self.tree.get(key) == self.model.get(key)
        assert self.tree.floor(key) == max((entry for entry in ordered if entry[0] <= key), default=None)
        assert self.tree.ceiling(key) == min((entry for entry in ordered if entry[0] >= key), default=None)
        assert list(self.tree.prefix(key)) == [entry for entry in ordered if entry[0].startswith(key)]
        assert list(self.tree.less_than(key)) == [entry for entry in ordered if entry[0] < key]
        assert list(self.tree.greater_than(key)) == [entry for entry in ordered if entry[0] > key]
        assert list(self.tree.between(key, other)) == [entry for entry in ordered if key <= entry[0] < other]
        assert list(self.tree.between(key, None)) == [entry for entry in ordered if key <= entry[0]]

    @invariant()
    def is_the_same(self) -> None:
        check_shape(self.tree)
        assert list(self.tree) == sorted(self.model.items())
        assert len(self.tree) == len(self.model)
        # However it came about: the shape and the digest follow from the entries alone.
        assert self.tree.digest == tree_of(dict(sorted(self.model.items(), reverse=True))).digest


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


@given(contents, contents)
def test_trees_are_equal_exactly_if_their_entries_are(mine: dict[bytes, bytes], theirs: dict[bytes, bytes]) -> None:
    assert (tree_of(mine) == tree_of(theirs)) == (mine == theirs)
    assert (tree_of(mine).digest == tree_of(theirs).digest) == (mine == theirs)


@given(contents, contents)
def test_differences_are_all_found_in_order(mine: dict[bytes, bytes], changes: dict[bytes, bytes]) -> None:
    theirs = mine | changes
    for key in list(theirs)[::3]:
        del theirs[key]
    expected = [
        Difference(key, mine.get(key), theirs.get(key))
        for key in sorted(mine.keys() | theirs.keys())
        if mine.get(key) != theirs.get(key)
    ]
    assert list(tree_of(mine).differences(tree_of(theirs))) == expected


@given(contents, contents)
def test_two_nodes_find_all_differences_by_asking(mine: dict[bytes, bytes], theirs: dict[bytes, bytes]) -> None:
    found, _ = ask(tree_of(mine), tree_of(theirs))
    assert found == {key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)}


def ask(mine: Perkle, theirs: Perkle) -> tuple[set[bytes], int]:
    """The keys at which they differ, found by nothing but places; and how many places were asked for."""
    found: set[bytes] = set()
    prefixes = [b""]
    asked = 0
    while prefixes:
        prefix = prefixes.pop()
        asked += 1
        findings = mine.compare(prefix, theirs.place(prefix))
        if findings.value_differs:
            found.add(prefix)
        prefixes += findings.deeper
        for only in findings.only_mine:
            found.update(key for key, _ in mine.prefix(only))
        for only in findings.only_theirs:
            found.update(key for key, _ in theirs.prefix(only))
    return found, asked


def routes(count: int) -> dict[bytes, bytes]:
    """As MemDS has them: a table's number, then the lower end of a partition."""
    chance = Random(7)
    return {
        b"table/%d/" % (number % 50) + chance.randbytes(16): b"group %d" % number for number in range(count)
    }


def test_what_one_missed_is_found_in_a_few_questions() -> None:
    entries = routes(5000)
    whole = tree_of(entries)
    missing = Random(3).sample(sorted(entries), 3)
    part = whole
    for key in missing:
        part = part.remove(key)
    found, asked = ask(part, whole)
    assert found == set(missing)
    assert asked <= 3 * 7    # the tree is some seven places deep


def test_versions_share_what_did_not_change() -> None:
    """Else two versions of a large tree could not be kept, nor compared without hashing."""
    whole = tree_of(routes(2000))
    changed = whole.insert(next(iter(whole))[0], b"another group")
    assert len(nodes(changed) - nodes(whole)) < 10
    assert [difference.theirs for difference in whole.differences(changed)] == [b"another group"]


def nodes(tree: Perkle) -> set[_Node]:
    found: set[_Node] = set()
    stack = [tree._root]
    while stack:
        node = stack.pop()
        found.add(node)
        stack.extend(node.children)
    return found


def test_a_tree_may_be_as_deep_as_a_key_is_long() -> None:
    """Deeper than Python's own stack: each key is a prefix of the next."""
    entries = {b"a" * length: b"%d" % length for length in reversed(range(3000))}    # each is put above the others
    tree = tree_of(entries)
    assert list(tree) == sorted(entries.items())
    assert len(tree.digest) == 16
    assert tree.floor(b"a" * 2500 + b"b") == (b"a" * 2999, b"2999")
    assert tree.floor(b"a" * 2500) == (b"a" * 2500, b"2500")
    other = tree.remove(b"a" * 2000)
    assert [difference.key for difference in tree.differences(other)] == [b"a" * 2000]
    assert list(tree.between(b"a" * 2998, None)) == [(b"a" * 2998, b"2998"), (b"a" * 2999, b"2999")]


def test_the_owner_of_a_row_is_the_floor_of_its_location() -> None:
    lows = (b"", b"\x40", b"\x80", b"\xc0")
    tree = tree_of({b"songs/" + low: b"group %d" % number for number, low in enumerate(lows)})

    def owner(location: bytes) -> Entry | None:
        return tree.floor(b"songs/" + location)

    assert owner(b"\x00" * 16) == (b"songs/", b"group 0")
    assert owner(b"\x80") == (b"songs/\x80", b"group 2")
    assert owner(b"\xff" * 20) == (b"songs/\xc0", b"group 3")
    assert tree.floor(b"a table before all others") is None
