"""Policies for tests, and the names of what they are attached to."""

from __future__ import annotations

import json
from typing import Any

from .table import Table


def arn_of(dynamodb: Any, table: Table) -> str:
    arn: str = dynamodb.describe_table(TableName=table.name)["Table"]["TableArn"]
    return arn


def policy(arn: str, action: str = "dynamodb:GetItem", **members: Any) -> str:
    """One that lets the table's own account do `action`, in the form in which it is shown."""
    statement = {
        "Sid": "mine",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{arn.split(':')[4]}:root"},
        "Action": action,
        "Resource": arn,
        **members,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))


def put(dynamodb: Any, arn: str, document: str, **more: Any) -> str:
    """Attach `document`; returns its revision."""
    revision: str = dynamodb.put_resource_policy(ResourceArn=arn, Policy=document, **more)["RevisionId"]
    return revision


def no_policy(what: str) -> str:
    return f"Resource-based policy not found for the provided ResourceArn: {what}"
