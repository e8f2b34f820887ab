"""Every error that Varley raises on purpose, except those of one operation or of HTTP alone, which stand with them.

Three kinds, never mixed:

    ApiError                             the client is wrong: AWS's type and AWS's words; nothing was written
    ├── ValidationError                      the request breaks a rule of the API
    ├── SerializationError                   the body is not JSON of the right shape
    ├── ConditionalCheckFailed               the item is not as the caller's condition wants it
    ├── DuplicateItem                        PartiQL's INSERT found an item with this key
    ├── TransactionConflict                  a transaction that is under way has the item
    ├── TransactionCanceled                  a transaction was not done: says of each action why, or that it was not it
    ├── TransactionInProgress                the same transaction, by its token, is under way
    ├── IdempotentParameterMismatch          the token belongs to another transaction
    ├── ResourceNotFound, TableNotFound      no such thing
    ├── ResourceInUse                        it is there, and not in the right state
    ├── LimitExceeded, ItemCollectionSizeLimitExceeded, DuplicateItem
    ├── Throttling                           more than this server can take now; a retry may work
    ├── ProvisionedThroughputExceeded        more than was provisioned; a retry may work
    ├── UnknownOperation, MissingAuthenticationToken, IncompleteSignature, AccessDenied, …
    └── InternalServerError                  the one ApiError that is not the client's fault: what a client is
                                             told when the world failed (HTTP 500: the outcome may be unknown)
    WorldError                           the world failed: says path, operation and what to do about it
    ├── DiskFull, ReadOnly                   writes are refused, reads go on; a retry may work
    ├── Exhausted                            no more file descriptors or memory; a retry may work
    ├── LogFailed                            a write or fdatasync failed: this node takes no more writes
    ├── NotLeading                           another node may lead this group: surely nothing happened
    ├── NodesMissing                         the cluster has too few nodes for it; a retry may work
    ├── Unreachable                          metadata's store does not answer; nothing was changed; a retry may work
    ├── OutcomeUnknown                       a change of metadata was sent, and nobody knows what became of it
    │   └── LeaderReplaced                   the same of a write, whose leader was replaced before it was decided
    ├── LeaseEnded                           what was to be kept under a lease was not, since the lease is over
    ├── Damaged                              bytes on disk are not those that were written
    ├── DataFolderLocked                     another server has this folder open
    └── BadSettings                          a flag, variable or file entry that cannot be
    AssertionError                       we are wrong

Where AWS answers with a code, the class is named for that code without its "Exception".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

_DYNAMODB = "com.amazonaws.dynamodb.v20120810#"
_CORAL_SERVICE = "com.amazon.coral.service#"
_CORAL_VALIDATE = "com.amazon.coral.validate#"


class ApiError(Exception):
    """An answer to the client that is not a success.

    `code` is the bare AWS code, `namespace` what precedes it in `__type`, `status` the HTTP status,
    `message_key` the JSON member that carries the text (coral's own errors spell it "Message").
    """

    code: ClassVar[str]
    namespace: ClassVar[str] = _DYNAMODB
    status: ClassVar[int] = 400
    message_key: ClassVar[str] = "message"

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def members(self) -> dict[str, Any]:
        """The JSON members of the error's body, `__type` first."""
        body: dict[str, Any] = {"__type": self.namespace + self.code}
        if self.message:
            body[self.message_key] = self.message
        return body


class ValidationError(ApiError):
    code = "ValidationException"
    namespace = _CORAL_VALIDATE


class SerializationError(ApiError):
    code = "SerializationException"
    namespace = _CORAL_SERVICE
    message_key = "Message"


class UnknownOperation(ApiError):
    code = "UnknownOperationException"
    namespace = _CORAL_SERVICE


class MissingAuthenticationToken(ApiError):
    code = "MissingAuthenticationTokenException"
    namespace = _CORAL_SERVICE


class IncompleteSignature(ApiError):
    code = "IncompleteSignatureException"
    namespace = _CORAL_SERVICE


class InvalidSignature(ApiError):
    code = "InvalidSignatureException"
    namespace = _CORAL_SERVICE


class UnrecognizedClient(ApiError):
    code = "UnrecognizedClientException"
    namespace = _CORAL_SERVICE


class AccessDenied(ApiError):
    code = "AccessDeniedException"
    namespace = _CORAL_SERVICE
    message_key = "Message"


class ConditionalCheckFailed(ApiError):
    """`item` is the item as it is, for ReturnValuesOnConditionCheckFailure=ALL_OLD; else None."""

    code = "ConditionalCheckFailedException"

    def __init__(self, item: Any = None) -> None:
        super().__init__("The conditional request failed")
        self.item = item

    def members(self) -> dict[str, Any]:
        body = super().members()
        if self.item is not None:
            body["Item"] = self.item
        return body


class DuplicateItem(ApiError):
    """`item` is the item that is there; only a batch can show it."""

    code = "DuplicateItemException"

    def __init__(self, item: Any = None) -> None:
        super().__init__("Duplicate primary key exists in table")
        self.item = item


class TransactionConflict(ApiError):
    code = "TransactionConflictException"

    def __init__(self) -> None:
        super().__init__("Transaction is ongoing for the item")


class TransactionCanceled(ApiError):
    """`reasons`: for each action of the transaction, in order, a CancellationReason as the client gets it."""

    code = "TransactionCanceledException"
    message_key = "Message"

    def __init__(self, reasons: Sequence[Mapping[str, Any]]) -> None:
        codes = ", ".join(reason["Code"] for reason in reasons)
        super().__init__(
            f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
        )
        self.reasons = reasons

    def members(self) -> dict[str, Any]:
        body = super().members()
        message = body.pop(self.message_key)
        return {**body, "CancellationReasons": self.reasons, self.message_key: message}


class TransactionInProgress(ApiError):
    code = "TransactionInProgressException"
    message_key = "Message"

    def __init__(self) -> None:
        super().__init__("The transaction with the given request token is already in progress.")


class IdempotentParameterMismatch(ApiError):
    code = "IdempotentParameterMismatchException"
    message_key = "Message"

    def __init__(self) -> None:
        super().__init__(
            "Specified idempotent token was used with different request parameters within the idempotency window"
        )


class ResourceNotFound(ApiError):
    code = "ResourceNotFoundException"


class ResourceInUse(ApiError):
    code = "ResourceInUseException"


class TableNotFound(ApiError):
    code = "TableNotFoundException"


class LimitExceeded(ApiError):
    code = "LimitExceededException"


class ItemCollectionSizeLimitExceeded(ApiError):
    code = "ItemCollectionSizeLimitExceededException"


class Throttling(ApiError):
    code = "ThrottlingException"


class ProvisionedThroughputExceeded(ApiError):
    code = "ProvisionedThroughputExceededException"


class InternalServerError(ApiError):
    """The world failed while this request was under way. For a write the outcome may be unknown."""

    code = "InternalServerError"
    status = 500


class ServiceUnavailable(ApiError):
    """The request surely did nothing: there are too many connections, or the server is stopping. Retryable."""

    code = "ServiceUnavailable"
    status = 503


class WorldError(Exception):
    """The world failed. `retryable`: the same call may work later without anybody's help."""

    retryable: ClassVar[bool] = False

    def __init__(self, problem: str, *, path: str = "", operation: str = "", hint: str = "") -> None:
        self.problem = problem
        self.path = path
        self.operation = operation
        self.hint = hint
        where = " ".join(word for word in (operation, path) if word)
        where = f" ({where})" if where else ""
        super().__init__(f"{problem}{where}{'. ' + hint if hint else ''}")


class DiskFull(WorldError):
    retryable = True


class ReadOnly(WorldError):
    retryable = True


class Exhausted(WorldError):
    """The system has no more of something for this process: file descriptors, memory."""

    retryable = True


class LogFailed(WorldError):
    pass


class NotLeading(WorldError):
    """This node does not lead `group`: what was asked for surely did not happen, and may be asked of `leader`, the name
    of a node, if that is known."""

    retryable = True

    def __init__(self, group: int, leader: str | None) -> None:
        self.group = group
        self.leader = leader
        super().__init__(f"group {group} is led by {leader or 'a node that is not known'}")


class NodesMissing(WorldError):
    """There are too few nodes in the cluster for what was asked for; when more have come it may work."""

    retryable = True


class Unreachable(WorldError):
    """The store of metadata cannot be reached, or cannot decide. What was asked for surely was not done."""

    retryable = True


class OutcomeUnknown(WorldError):
    """A change was sent to the store of metadata, which may make it, also later. Whoever wants to know reads it."""


class LeaderReplaced(OutcomeUnknown):
    """This node led `group` when it proposed this, and leads it no longer: it may happen, or not."""

    def __init__(self, group: int) -> None:
        self.group = group
        super().__init__(f"the leader of group {group} was replaced before this was decided")


class LeaseEnded(WorldError):
    pass


class Damaged(WorldError):
    """Bytes on disk are not those that were written. `offset` in the file; `group` if it is known."""

    def __init__(
        self,
        problem: str,
        *,
        path: str,
        operation: str = "read",
        offset: int | None = None,
        group: int | None = None,
        hint: str = "",
    ) -> None:
        self.offset = offset
        self.group = group
        at = "" if offset is None else f" at byte {offset}"
        of = "" if group is None else f" (group {group})"
        super().__init__(f"{problem}{at}{of}", path=path, operation=operation, hint=hint)


class DataFolderLocked(WorldError):
    pass


class BadSettings(WorldError):
    pass
