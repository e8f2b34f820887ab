"""Requests as bytes, for what no AWS client would send: bad JSON, wrong types, odd headers, huge bodies."""

from __future__ import annotations

import http.client
import json
import zlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

TARGET_PREFIX = "DynamoDB_20120810."
CONTENT_TYPE = "application/x-amz-json-1.0"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's name without its namespace, as every SDK reads it."""
        return str(self.json["__type"]).rpartition("#")[2]

    @property
    def message(self) -> str:
        """The error's text. Errors of the service framework spell the member with a capital."""
        document = self.json
        return str(document.get("message", document.get("Message", "")))

    def assert_checksum(self) -> None:
        """x-amz-crc32, if it is sent, is that of the body as sent."""
        if "x-amz-crc32" in self.headers:
            assert int(self.headers["x-amz-crc32"]) == zlib.crc32(self.body)


class Wire:
    """One request per connection, so that a refused one cannot harm the next."""

    def __init__(self, endpoint: str, credentials: ReadOnlyCredentials, region: str) -> None:
        self.endpoint = endpoint
        self.credentials = credentials
        self.region = region

    def call(self, operation: str, body: Any, **more: Any) -> Reply:
        """POST one operation. `body` is bytes as they are, or something to write as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send(data, {"X-Amz-Target": TARGET_PREFIX + operation}, **more)

    def send(
        self,
        data: bytes,
        headers: dict[str, str],
        *,
        method: str = "POST",
        path: str = "/",
        signed: bool = True,
        after_signing: dict[str, str] | None = None,
    ) -> Reply:
        """One request. A Content-Type is added unless given; `after_signing` headers are not signed."""
        headers = {"Content-Type": CONTENT_TYPE, **headers}
        if signed:
            headers = self.sign(method, path, data, headers)
        headers.update(after_signing or {})
        connection = self.connect()
        try:
            connection.request(method, path, body=data, headers=headers)
            response = connection.getresponse()
            return Reply(
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                response.read(),
            )
        finally:
            connection.close()

    def connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.endpoint)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(parts.hostname or "", parts.port, timeout=60)

    def sign(self, method: str, path: str, data: bytes, headers: dict[str, str]) -> dict[str, str]:
        request = AWSRequest(method=method, url=self.endpoint + path, data=data, headers=headers)
        SigV4Auth(self.credentials, "dynamodb", self.region).add_auth(request)
        return dict(request.headers.items())
