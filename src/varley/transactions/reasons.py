"""Why a transaction was cancelled, as the client gets it: for each action a code, and a text if it was at fault. And
why one was refused that is too large, which no action is to blame for.

Source: [API] TransactionCanceledException, whose codes are not those that the same errors have elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from varley.errors import ApiError, TransactionCanceled, TransactionConflict, ValidationError

# Where a code is not that of the error without "Exception".
_CODES: Final = {"ValidationException": "ValidationError", "ThrottlingException": "ThrottlingError"}


def canceled(refusals: Iterable[ApiError | None]) -> TransactionCanceled:
    """`refusals`: by action; None: it was not at fault."""
    return TransactionCanceled([_reason(refusal) for refusal in refusals])


def conflicts(conflicting: Sequence[bool]) -> TransactionCanceled:
    """`conflicting`: by item, whether somebody else is writing it."""
    return canceled(TransactionConflict() if each else None for each in conflicting)


def _reason(refusal: ApiError | None) -> dict[str, Any]:
    if refusal is None:
        return {"Code": "None"}
    reason: dict[str, Any] = {"Code": _CODES.get(refusal.code, refusal.code.removesuffix("Exception"))}
    item = getattr(refusal, "item", None)
    if item is not None:
        reason["Item"] = item
    reason["Message"] = refusal.message
    return reason


def payload_too_large(size: int) -> ValidationError:
    """`size`: of its items together, in DynamoDB bytes."""
    return ValidationError(f"Transaction payload size cannot exceed 4MB. Payload Size: {size}")
