"""A refusal that another node has given, to be given to the client as it is."""

from __future__ import annotations

from typing import Any

import msgspec

from varley.errors import ApiError
from varley.remote.messages import CallAnswered


class RemoteError(ApiError):
    """Has the code, the status and the body of the error that was answered there."""

    code = "RemoteError"    # of the class; each has its own

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        namespace, _, code = str(body.get("__type", "")).rpartition("#")
        super().__init__(str(body.get("message", body.get("Message", ""))))
        self._body = body
        self.status = status  # type: ignore[misc]
        self.code = code  # type: ignore[misc]
        self.namespace = f"{namespace}#" if namespace else ""  # type: ignore[misc]
        self.item: Any = body.get("Item")

    def members(self) -> dict[str, Any]:
        return self._body


def remote_error(answered: CallAnswered) -> RemoteError:
    return RemoteError(answered.status, msgspec.json.decode(answered.body))
