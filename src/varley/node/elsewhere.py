"""What is said of a partition that this node cannot serve, or not in the way that is wanted.

Code that answers requests runs to its end without waiting, and knows partitions by what they are asked. If one of them
is led by another node, what is asked of it raises `Elsewhere`, before anything has been done: whoever called the code
sends the request to where the partition is (remote/, gateway/). On a single machine nothing here is ever raised.

`RowsAway` is for those who read ranges of many rows, perhaps over several partitions: it is raised by the iterator that
has come to the end of what is here, it knows how to get more, and the reading goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum


class Need(Enum):
    """Which replica of a group can do something."""

    COPY = "copy"           # any: what is read may be a moment old
    LEADER = "leader"       # its leader; nothing becomes different, so it may be asked twice
    WRITE = "write"         # its leader, and once


class Elsewhere(Exception):
    """This node has no such replica of `group`. Nothing has been done."""

    def __init__(self, group: int, need: Need) -> None:
        super().__init__(f"group {group} is led elsewhere")
        self.group = group
        self.need = need


Fetched = Callable[[BaseException | None], None]


class RowsAway(Exception):
    """The next rows of a range are on another node. `fetch(then)`: get some; `then` hears when they are here."""

    def __init__(self, fetch: Callable[[Fetched], None]) -> None:
        super().__init__("the next rows are on another node")
        self.fetch = fetch
