"""What a transaction's actions are on this node, from the JSON in which another node asks for them."""

from __future__ import annotations

from collections.abc import Sequence

from varley.api import execute_transaction, transact_write_items
from varley.api.services import Services
from varley.transactions.action import Action


def bind(services: Services, operation: str, actions: bytes) -> Sequence[Action]:
    """`actions`: a JSON array, as the request of `operation` has them. Raises ApiError."""
    if operation == "ExecuteTransaction":
        return execute_transaction.actions_of(services, actions)
    assert operation == "TransactWriteItems"
    return transact_write_items.actions_of(services, actions)
