"""Two answers to one request: are they the same?

The same means: HTTP status, error name, error text, and the whole body, after what cannot be equal is taken out (times,
identifiers) and what has no order is put into one (sets, the answers of a batch, a Scan that shows everything).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .talk import Answer, Body


@dataclass(frozen=True)
class Difference:
    """One request that two servers answer differently."""

    operation: str
    body: Body
    ours: Answer
    theirs: Answer

    @property
    def signature(self) -> tuple[str, ...]:
        """What is the same for two differences of one cause, as far as one can tell."""
        if self.ours.is_refusal or self.theirs.is_refusal:
            return (self.operation, outline(self.ours), outline(self.theirs))
        return (self.operation, "answers", *self.members)

    @property
    def is_one_sided(self) -> bool:
        """Whether only one of them may have done what it was asked."""
        return self.ours.is_refusal != self.theirs.is_refusal or self.theirs.status >= 500

    @property
    def members(self) -> list[str]:
        """What differs in the bodies."""
        ours = plain(self.operation, self.body, self.ours)
        return unlike(ours, plain(self.operation, self.body, self.theirs, is_local=True))

    def __str__(self) -> str:
        answers = f"Varley          {_shown(self.ours)}\n    DynamoDB Local  {_shown(self.theirs)}"
        return f"{self.operation} {self.body}\n    {answers}"


def _shown(answer: Answer) -> str:
    return f"{answer.status} {answer.code}: {answer.message}" if answer.is_refusal else str(answer.body)


def outline(answer: Answer) -> str:
    """A refusal without what stands in quotes and brackets and without numbers."""
    if not answer.is_refusal:
        return "answers"
    text = re.sub(r"'[^']*'|\"[^\"]*\"|\[.*\]|\{.*\}|[:#]\w+", "…", answer.message)
    return f"{answer.status} {answer.code}: {re.sub(r'-?[0-9]+', '0', text)[:150]}"


def difference(operation: str, body: Body, ours: Answer, theirs: Answer) -> Difference | None:
    if ours.status != theirs.status or (ours.code, ours.message) != (theirs.code, theirs.message):
        return Difference(operation, body, ours, theirs)
    if plain(operation, body, ours) != plain(operation, body, theirs, is_local=True):
        return Difference(operation, body, ours, theirs)
    return None


_ABSENT = object()
_NOT_COMPARED = {"message", "Message", "__type"}    # of refusals: compared by themselves


def plain(operation: str, request: Body, answer: Answer, *, is_local: bool = False) -> Any:
    """What is compared of a body; `is_local` if DynamoDB Local gave it, which does not normalise every number."""
    body = {name: value for name, value in answer.body.items() if name not in _NOT_COMPARED}
    if is_local:
        body = _with_plain_numbers(body)
    is_scan = operation == "Scan" or (operation == "ExecuteStatement" and " = " not in request.get("Statement", ""))
    if is_scan and "LastEvaluatedKey" not in body and "Items" in body:
        body["Items"] = sorted(body["Items"], key=_text)
    if operation == "BatchGetItem":
        body["Responses"] = {
            name: sorted(items, key=_text) for name, items in body.get("Responses", {}).items()
        }
    if isinstance(body.get("ConsumedCapacity"), list):
        body["ConsumedCapacity"] = sorted(body["ConsumedCapacity"], key=lambda each: str(each["TableName"]))
    # What changes a table answers with it on its way, which takes no time at one of the two: DescribeTable tells.
    body.pop("TableDescription", None)
    if isinstance(body.get("Table"), dict):
        body["Table"] = _description(body["Table"])
    return _normal(body)


def _description(table: Body) -> Body:
    """A table's description without times, identifiers, and what only one of the two knows."""
    kept = {name: member for name, member in table.items() if name not in _OF_ITS_OWN}
    for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
        if kind in kept:
            indexes = [_description(index) for index in kept[kind] if index.get("IndexStatus") != "DELETING"]
            kept[kind] = sorted(indexes, key=lambda index: str(index["IndexName"]))
    if not kept.get("GlobalSecondaryIndexes", True):
        del kept["GlobalSecondaryIndexes"]
    for name, member in kept.items():
        if name == "ProvisionedThroughput":
            kept[name] = {unit: count for unit, count in member.items() if not unit.endswith("DateTime")}
        if name == "BillingModeSummary":
            kept[name] = {"BillingMode": member["BillingMode"]}
        if name == "AttributeDefinitions":
            kept[name] = sorted(member, key=lambda each: str(each["AttributeName"]))
    return kept


_OF_ITS_OWN = frozenset(
    ("TableId", "TableArn", "IndexArn", "CreationDateTime", "TableStatus", "IndexStatus", "Backfilling",
     "LatestStreamLabel", "LatestStreamArn", "WarmThroughput")
)  # fmt: skip


def _with_plain_numbers(value: Any) -> Any:
    """Numbers as DynamoDB writes them. DynamoDB Local keeps those inside documents as they were written."""
    if isinstance(value, dict):
        if len(value) == 1:
            [(kind, content)] = value.items()
            if kind == "N" and isinstance(content, str):
                return {"N": _plain_number(content)}
            if kind == "NS" and isinstance(content, list):
                return {"NS": [_plain_number(each) for each in content]}
        return {name: _with_plain_numbers(member) for name, member in value.items()}
    return [_with_plain_numbers(element) for element in value] if isinstance(value, list) else value


def _plain_number(text: str) -> str:
    number = Decimal(text)
    written = format(number, "f") if number else "0"
    return written.rstrip("0").rstrip(".") if "." in written else written


def _normal(value: Any) -> Any:
    if isinstance(value, dict):
        if len(value) == 1:
            [(kind, content)] = value.items()
            if kind in ("SS", "NS", "BS") and isinstance(content, list):
                return {kind: sorted(content)}
        return {name: _normal(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_normal(element) for element in value]
    return value


def _text(value: Any) -> str:
    """For sorting: the same for equal values, whatever the order of their members."""
    return str(_sorted(_normal(value)))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((name, _sorted(member)) for name, member in value.items())
    if isinstance(value, list):
        return [_sorted(element) for element in value]
    return value


def unlike(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """The outermost members that differ, and how: ["ConsumedCapacity.Table missing here"]."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found = []
        for name in sorted({*ours, *theirs}):
            a, b = ours.get(name, _ABSENT), theirs.get(name, _ABSENT)
            where = f"{path}.{name}" if path else name
            if a is _ABSENT or b is _ABSENT:
                found.append(f"{where} {'there' if a is _ABSENT else 'here'} only")
            elif a != b:
                found += unlike(a, b, where) if name not in ("Items", "Attributes", "Item") else [where]
        return found
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return sorted({each for a, b in zip(ours, theirs, strict=True) if a != b for each in unlike(a, b, f"{path}[]")})
    return [path]
