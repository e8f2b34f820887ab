"""CloudWatch Contributor Insights, as clients see them: whether they are on, in which mode, with which rules.

There is no CloudWatch here, so nothing is counted; what is kept is what was asked for, because tools ask for it,
read it back, and want it to be so. A change is done before its answer goes out, although the answer itself says
ENABLING or DISABLING, as clients expect.

The names of the rules: one for partition keys (PK) and one for whole keys (SK), if there is a sort key; each for
the keys that are used most (C) and for those that are throttled most (T); then the resource, and the time at which
they were enabled in milliseconds. Sources: "CloudWatch Contributor Insights for DynamoDB" in the Developer Guide;
what changes when: observed in us-west-2 by users of the service, October 2026.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from varley.api.absences import no_index
from varley.errors import ValidationError
from varley.table.schema import ContributorInsights, ContributorInsightsMode, GlobalIndex, Table

_TABLE: Final = ""    # in place of an index's name


def check_index(table: Table, index_name: str | None, *, is_enabling: bool = False) -> None:
    """Raises ResourceNotFound if there is no such global index; ValidationError if it is not in use yet, or no more."""
    if index_name is None:
        return
    index = _index(table, index_name)
    if index is None:
        raise no_index(table.name, index_name)
    if is_enabling and index.status != "ACTIVE":
        raise ValidationError(
            "Table or Index is not in a valid state to update Key Access Insights: IndexStatus must be ACTIVE to "
            "enable ContributorInsights."
        )


def without_insights(table: Table, index_name: str) -> Table:
    """Of an index that goes: one that comes under its name has none."""
    every = {name: each for name, each in table.contributor_insights.items() if name != index_name}
    return msgspec.structs.replace(table, contributor_insights=every)


def insights_of(table: Table, index_name: str | None) -> ContributorInsights | None:
    return table.contributor_insights.get(index_name or _TABLE)


def with_insights(
    table: Table, index_name: str | None, *, enable: bool, mode: ContributorInsightsMode | None, now: float
) -> Table:
    """`table` with them on or off. `now` is epoch seconds; `mode` is that of the request, which may have none."""
    before = insights_of(table, index_name)
    after = _enabled(before, mode or "ACCESSED_AND_THROTTLED_KEYS", now) if enable else _disabled(before, now)
    if after is None or after == before:
        return table
    every = {**table.contributor_insights, (index_name or _TABLE): after}
    return msgspec.structs.replace(table, contributor_insights=every)


def _enabled(before: ContributorInsights | None, mode: ContributorInsightsMode, now: float) -> ContributorInsights:
    if before is None or not before.enabled:
        return ContributorInsights(enabled=True, mode=mode, updated_at=now, rules_since=now)
    if before.mode == mode:
        return before
    return msgspec.structs.replace(before, mode=mode, updated_at=now)


def _disabled(before: ContributorInsights | None, now: float) -> ContributorInsights | None:
    """The mode of the request does not matter: the one that was in force stays."""
    if before is None or not before.enabled:
        return before
    return msgspec.structs.replace(before, enabled=False, updated_at=now)


def description(table: Table, index_name: str | None) -> dict[str, Any]:
    """What DescribeContributorInsights shows."""
    insights = insights_of(table, index_name)
    shown = _resource(table, index_name)
    if insights is not None and insights.enabled:
        shown["ContributorInsightsRuleList"] = rule_names(table, index_name, insights)
    shown["ContributorInsightsStatus"] = _status(insights)
    if insights is not None:
        shown["LastUpdateDateTime"] = round(insights.updated_at, 3)
        shown["ContributorInsightsMode"] = insights.mode
    return shown


def description_when_updated(before: Table, after: Table, index_name: str | None) -> dict[str, Any]:
    """What UpdateContributorInsights answers."""
    insights = insights_of(after, index_name)
    status = _status(insights)
    if insights != insights_of(before, index_name):
        status = {"ENABLED": "ENABLING", "DISABLED": "DISABLING"}[status]
    shown = _resource(after, index_name)
    shown["ContributorInsightsStatus"] = status
    if insights is not None:
        shown["ContributorInsightsMode"] = insights.mode
    return shown


def summaries(table: Table) -> list[dict[str, Any]]:
    """What ListContributorInsights shows: those that are on, the table's first, then those of indexes by name."""
    return [
        {
            **_resource(table, index_name),
            "ContributorInsightsStatus": _status(insights),
            "ContributorInsightsMode": insights.mode,
        }
        for index_name, insights in sorted(table.contributor_insights.items())
        if insights.enabled
    ]


def rule_names(table: Table, index_name: str | None, insights: ContributorInsights) -> list[str]:
    """In the order in which they are shown."""
    index = None if index_name is None else _index(table, index_name)
    has_sort_key = table.key_schema.range_name is not None if index is None else bool(index.range_keys)
    of_keys = ["PK", "SK"] if has_sort_key else ["PK"]
    kinds = ["T"] if insights.mode == "THROTTLED_KEYS" else ["C", "T"]
    resource = f"{table.name}-{index_name}" if index_name else table.name
    since = round(insights.rules_since * 1000)
    return [f"DynamoDBContributorInsights-{keys}{kind}-{resource}-{since}" for kind in kinds for keys in of_keys]


def _index(table: Table, name: str) -> GlobalIndex | None:
    return next((index for index in table.global_indexes if index.name == name), None)


def _resource(table: Table, index_name: str | None) -> dict[str, Any]:
    return {"TableName": table.name, **({"IndexName": index_name} if index_name else {})}


def _status(insights: ContributorInsights | None) -> str:
    return "ENABLED" if insights is not None and insights.enabled else "DISABLED"
