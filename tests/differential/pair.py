"""Varley and DynamoDB Local side by side: each request goes to both, and their answers are compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .accepted import is_said_otherwise
from .cases import Case
from .comparison import Difference, difference, outline
from .mending import mended
from .tables import PREFIX
from .talk import Answer, Body, Server
from .world import BY_NAME, TABLES

_PAGES_MAX = 4
_LOOKS = 100    # at what takes a while, until it is as at the other server
_WRITES = frozenset(
    ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "ExecuteStatement", "BatchExecuteStatement",
     "TransactWriteItems", "ExecuteTransaction")
)  # fmt: skip

T = TypeVar("T")
IsAccepted = Callable[[Difference], bool]


class Pair:
    """Both servers with the tables of the world. `requests` counts what was compared."""

    def __init__(self, ours: Server, theirs: Server) -> None:
        self.ours = ours
        self.theirs = theirs
        self.requests = 0
        self.refused = False    # the last request, by DynamoDB Local
        for table in TABLES:
            for server in (ours, theirs):
                answer = server.ask("CreateTable", table.definition())
                assert not answer.is_refusal, answer

    def run(self, case: Case, is_accepted: IsAccepted) -> list[Difference]:
        """What is found in a case, up to the first difference that nobody has accepted. Both are as before then."""
        found = []
        try:
            for operation, body in case:
                found += self._step(operation, body, is_accepted)
                if not all(map(is_accepted, found)):
                    return found
                if operation in _WRITES and any(one.ours.is_refusal or one.theirs.is_refusal for one in found):
                    return found    # they may not be as each other any more
                if any(one.is_one_sided for one in found):
                    return found
                if operation == "BatchExecuteStatement" and self.refused:
                    return found    # DynamoDB Local has done it all the same
            for name in sorted(_touched(case)):
                found += self._step("Scan", {"TableName": name, "ConsistentRead": True}, is_accepted)
            return found
        finally:
            for name in _touched(case):
                self._empty(name)
            for name in sorted({name for _, body in case if (name := str(body.get("TableName"))).startswith(PREFIX)}):
                self._delete(name)

    def _delete(self, name: str) -> None:
        for server in (self.ours, self.theirs):
            for _ in range(_LOOKS):
                answer = server.ask("DeleteTable", {"TableName": name})
                if answer.code == "ResourceNotFoundException":
                    break
                server.ask("UpdateTable", {"TableName": name, "DeletionProtectionEnabled": False})

    def _step(self, operation: str, body: Body, is_accepted: IsAccepted) -> list[Difference]:
        """One request and, as long as both agree where the next page begins, the pages after it."""
        found = []
        for _ in range(_PAGES_MAX):
            ours, theirs = self._ask(operation, body)
            self.refused = theirs.is_refusal
            one = difference(operation, body, ours, theirs)
            if one is not None and (operation == "DescribeTable" or _is_of_global_index(body)):
                one = self._settled(one, is_accepted)
            if one is not None:
                found.append(one)
            key = ours.body.get("LastEvaluatedKey")
            if one is not None or key is None or operation not in ("Query", "Scan"):
                break
            body = {**body, "ExclusiveStartKey": key}
        return found

    def _settled(self, found: Difference, is_accepted: IsAccepted) -> Difference | None:
        """What is left of a difference when global indexes have caught up, are made, are gone: it takes a while."""
        one: Difference | None = found
        for _ in range(_LOOKS):
            if one is None or is_accepted(one):
                break
            ours, theirs = self._ask(found.operation, found.body)
            one = difference(found.operation, found.body, ours, theirs)
        return one

    def _ask(self, operation: str, body: Body) -> tuple[Answer, Answer]:
        self.requests += 1
        return self.ours.ask(operation, body), self.theirs.ask(operation, body)

    def _empty(self, name: str) -> None:
        table = BY_NAME[name]
        for server in (self.ours, self.theirs):
            items = server.ask("Scan", {"TableName": name}).body["Items"]
            for item in items:
                key = {each: item[each] for each in table.key_names}
                answer = server.ask("DeleteItem", {"TableName": name, "Key": key})
                assert not answer.is_refusal, answer


    def tells_another_mistake(self, case: Case, found: Difference) -> bool:
        """Whether the request that both refuse has two mistakes, and each server tells another of them.

        Then, with some parts of the request mended, both tell the mistake that Varley told; and with others mended,
        the one that DynamoDB Local told. `found` is of the last step of `case`.
        """
        if not (found.ours.is_refusal and found.theirs.is_refusal):
            return False
        told = {outline(found.ours): False, outline(found.theirs): False}
        try:
            for operation, body in case[:-1]:
                self._ask(operation, body)
            for body in mended(found.body):
                ours, theirs = self._ask(found.operation, body)
                if ours.is_refusal and theirs.is_refusal:
                    rest = difference(found.operation, body, ours, theirs)
                    if rest is None or outline(ours) == outline(theirs) or is_said_otherwise(rest):
                        told |= {outline(each): True for each in (ours, theirs) if outline(each) in told}
            return all(told.values())
        finally:
            for name in _touched(case):
                self._empty(name)


def _is_of_global_index(body: Body) -> bool:
    if str(body.get("TableName")).startswith(PREFIX):
        return "IndexName" in body
    table = BY_NAME.get(str(body.get("TableName")))
    return table is not None and table.is_global(body.get("IndexName"))


def _touched(case: Case) -> set[str]:
    """The tables of the world that a case may have written to."""
    found: set[str] = set()
    for operation, body in case:
        if operation in _WRITES:
            text = str(body)
            found |= {name for name in BY_NAME if name in text}
    return found


def smaller(value: T, is_still: Callable[[T], bool]) -> T:
    """A case or a body with as much taken out as can be while `is_still` holds: steps, members, elements, words."""
    shrunk = True
    while shrunk:
        shrunk = False
        for candidate in _candidates(value):
            if is_still(candidate):
                value = candidate
                shrunk = True
                break
    return value


def _candidates(value: Any) -> Any:
    """Everything that is one step smaller than a JSON value, the biggest steps first."""
    if isinstance(value, list | tuple):
        for at in range(len(value)):
            yield type(value)((*value[:at], *value[at + 1 :]))
        for at, element in enumerate(value):
            for each in _candidates(element):
                yield type(value)((*value[:at], each, *value[at + 1 :]))
    elif isinstance(value, dict):
        for name in value:
            yield {other: member for other, member in value.items() if other != name}
        for name, member in value.items():
            for each in () if name == "TableName" else _candidates(member):
                yield {**value, name: each}
    elif isinstance(value, str) and len(value) > 1:
        half = len(value) // 2
        yield value[:half]
        yield value[half:]
        words = value.split(" ")
        for width in (8, 4, 2, 1):
            if len(words) > width:
                for at in range(len(words) - width + 1):
                    yield " ".join((*words[:at], *words[at + width :]))
