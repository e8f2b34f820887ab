"""One request as JSON to a server, and its answer: no client library in between that would mend either."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]

_HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    # Neither server verifies it.
    "Authorization": "AWS4-HMAC-SHA256 Credential=differential/20260101/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host, Signature=0",
    "X-Amz-Date": "20260101T000000Z",
}


@dataclass(frozen=True)
class Answer:
    status: int
    body: Body

    @property
    def is_refusal(self) -> bool:
        return self.status != 200

    @property
    def code(self) -> str:
        """The error's name, "" if it is none."""
        return str(self.body.get("__type", "")).rpartition("#")[2]

    @property
    def message(self) -> str:
        """The error's text, "" if there is none."""
        return str(self.body.get("message", self.body.get("Message", "")))


class Server:
    """Keeps its connection; asks again on a new one if it was closed in between."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, operation: str, body: Body) -> Answer:
        data = json.dumps(body).encode()
        headers = {**_HEADERS, "X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        try:
            self._connection.request("POST", "/", data, headers)
            response = self._connection.getresponse()
        except (http.client.HTTPException, OSError):
            self._connection.close()
            self._connection.request("POST", "/", data, headers)
            response = self._connection.getresponse()
        content = response.read()
        try:
            return Answer(response.status, json.loads(content))
        except ValueError:
            return Answer(response.status, {"message": content.decode(errors="replace")})
