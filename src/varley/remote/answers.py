"""What this node answers to others about the rows of its own replicas: service ROWS.

    an eventual read    any replica that is here, at once
    a strong read       the leader: wait until what is undecided is decided, read, and only then ask whether this node
                        has led all the time (`may_answer`). If that is not sure, ask a quorum, and read again

So nobody gets a strong answer from a node that was a leader once and does not know that it is none any more: it may
have been stopped between reading and answering, and time went on without it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Final

from varley.item.key_bytes import TALLY_SPACE
from varley.item.stored import item_size
from varley.limits import BATCH_GET_BYTES_MAX, PAGE_BYTES_MAX
from varley.node.partition import Partition
from varley.node.settled import when_settled
from varley.remote import messages
from varley.remote.hosted import Hosted
from varley.remote.journey import ANSWER, not_here
from varley.remote.memds_node import MemdsNode
from varley.remote.messages import RangeFound, RangeWanted, RowsQuestion, SumsWanted, ValuesWanted

ROWS_MAX: Final = 1000    # in one answer: about a millisecond of the loop's time

Answer = Callable[[bytes], None]


class RowsAnswers:
    """Used from the event loop only."""

    def __init__(self, hosted: Hosted, memds: MemdsNode) -> None:
        self._hosted = hosted
        self._memds = memds

    def asked(self, sender: str, payload: bytes, answer: Answer) -> None:
        question = messages.decode_rows_question(payload)
        if not isinstance(question, SumsWanted) and question.strong:
            self._strong(question, answer)
            return
        partition = self._hosted.copy(question.group)
        if partition is None or _is_another_s(partition, question):
            answer(self._not_here(question.group))
        else:
            answer(ANSWER + _found(partition, question))

    def _not_here(self, group: int) -> bytes:
        return not_here(self._memds.find(group))

    def _strong(self, question: RangeWanted | ValuesWanted, answer: Answer, *, is_confirmed: bool = False) -> None:
        found = self._hosted.partitions.get(question.group)
        if found is None or not found[1].is_leading:
            answer(self._not_here(question.group))
            return
        partition, lead = found
        ballot = lead.ballot
        if isinstance(question, ValuesWanted):
            waited_for = [each for key in question.keys if (each := partition.undecided(key)) is not None]
        else:
            newest = partition.undecided_range()
            waited_for = [] if newest is None else [newest]

        def settled(error: BaseException | None) -> None:
            if error is not None:    # the outcome of what it waited for is unknown, and so is who leads
                answer(self._not_here(question.group))
                return
            if _is_another_s(partition, question):
                answer(self._not_here(question.group))
                return
            body = _found(partition, question)
            if is_confirmed or lead.may_answer(ballot):
                answer(ANSWER + body)
            else:
                lead.confirm(confirmed)

        def confirmed(error: BaseException | None) -> None:
            if error is None:
                self._strong(question, answer, is_confirmed=True)
            else:
                answer(self._not_here(question.group))

        if waited_for:
            when_settled(waited_for, settled)
        else:
            settled(None)


def _is_another_s(partition: Partition, question: RowsQuestion) -> bool:
    """Whether some of it is about what another partition has since this one was split: who asks has an old map."""
    end = partition.tree.end
    if end is None:
        return False
    match question:
        case RangeWanted(low=low, high=high):
            # A bound that is a space alone is the end of the space before.
            return low[1:] >= end.at or high is None or len(high) == 1 or high[1:] > end.at
        case ValuesWanted(keys=keys):
            return any(key[1:] >= end.at for key in keys)
        case SumsWanted():
            return False


def _found(partition: Partition, question: RowsQuestion) -> bytes:
    match question:
        case RangeWanted():
            return messages.encode(_range(partition, question))
        case ValuesWanted():
            return messages.encode(_values(partition, question.keys))
        case SumsWanted():
            tree = partition.tree
            return messages.encode((tree.item_count, tree.size_bytes, partition.get(TALLY_SPACE) or b""))


def _range(partition: Partition, question: RangeWanted) -> RangeFound:
    rows: list[tuple[bytes, bytes]] = []
    size = 0
    rows_max = min(question.rows_max, ROWS_MAX)
    found = partition.tree.scan(question.low, question.high, reverse=question.reverse)
    for row in islice(found, rows_max):
        rows.append(row)
        size += item_size(row[1])
        if size >= PAGE_BYTES_MAX:    # the row that crosses it still belongs to a page
            return RangeFound(rows, False)
    return RangeFound(rows, len(rows) < rows_max)


def _values(partition: Partition, keys: list[bytes]) -> list[bytes | None]:
    """Values behind 16 MB are left out, as nil: BatchGetItem, in the same order, has no place for them either."""
    values: list[bytes | None] = []
    size = 0
    for key in keys:
        value = None if size > BATCH_GET_BYTES_MAX else partition.get(key)
        size += 0 if value is None else item_size(value)
        values.append(value)
    return values
