"""Calls of etcd: which of its servers is asked, what is asked again, and what its errors mean.

All servers of one etcd give the same answers, so any will do; one that gave none is asked after all others. A call that
may be made twice is made again, at the next server, until one has answered or the caller's patience is over. A call
that may not is made again only where the first surely was not acted on; otherwise it raises NoAnswer, and the caller
must find out (etcd.py does). What etcd says counts as little as silence where it leaves that open: "request timed out"
and "leader changed" are told of proposals that are made all the same [etcd-io/etcd server/etcdserver/v3_server.go,
processInternalRaftRequestOnce].
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any, Final, TypeVar

import msgspec

from varley.errors import DiskFull, Unreachable, WorldError
from varley.metadata.etcd_address import EtcdAddress
from varley.metadata.etcd_http import Endpoint, NoAnswer, NotSent, Stream

ATTEMPT_SECONDS: Final = 2.0    # for one server to answer; etcd itself elects within about one
PATIENCE_SECONDS: Final = 8.0    # for a call, with all its attempts
_PAUSE_SECONDS: Final = 0.1    # after all servers were asked in vain

# Codes of gRPC.
_RESOURCE_EXHAUSTED: Final = 8
_UNAUTHENTICATED: Final = 16
INVALID_ARGUMENT: Final = 3
NOT_FOUND: Final = 5
OUT_OF_RANGE: Final = 11
_MAY_PASS: Final = frozenset({1, 2, 4, 10, 13, 14})    # cancelled, unknown, deadline, aborted, internal, unavailable
_SURELY_NOTHING: Final = ("no leader", "too many requests", "not ready", "learner")

T = TypeVar("T")


class Header(msgspec.Struct):
    cluster_id: int = 0
    revision: int = 0


class Failure(msgspec.Struct):
    """What etcd says instead of an answer; `code` is gRPC's."""

    message: str = ""
    code: int = 2


class _InStream(msgspec.Struct):
    message: str = ""
    grpc_code: int | None = None
    code: int = 2


class _StreamFailure(msgspec.Struct):
    error: _InStream


class _Authenticated(msgspec.Struct):
    token: str


class Refused(WorldError):
    """What etcd will not do, however often it is asked. `code` is gRPC's."""

    def __init__(self, code: int, message: str, endpoint: str, hint: str = "") -> None:
        self.code = code
        super().__init__(f"etcd refuses: {message}", path=endpoint, operation="ask", hint=hint)


class EtcdClient:
    """Used from the event loop only."""

    def __init__(self, address: EtcdAddress, *, attempt_seconds: float, patience_seconds: float) -> None:
        self.address = address
        self.attempt_seconds = attempt_seconds
        self._patience_seconds = patience_seconds
        self._endpoints = [Endpoint(host, port, address.tls) for host, port in address.endpoints]
        self._token = ""    # of the user, if there is one
        self._is_closed = False

    async def call(
        self, path: str, message: Any, kind: type[T], *, is_repeatable: bool = True, patience: float | None = None
    ) -> T:
        """The answer to `message` at /v3/`path`.

        Raises Unreachable: nobody could be asked (or, if it is repeatable, nobody has answered); NoAnswer, if it is
        not repeatable: it may have been acted on, or be later; Refused, DiskFull: surely not.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (self._patience_seconds if patience is None else patience)
        body = msgspec.json.encode(message)
        has_new_token = False
        while True:
            trouble = ""
            for endpoint in list(self._endpoints):
                seconds = min(self.attempt_seconds, max(deadline - loop.time(), 0.05))
                try:
                    if self.address.user is not None and not self._token:
                        await self._authenticate(endpoint, seconds)
                    status, answer = await endpoint.post(path, body, self._token, seconds)
                except NotSent as error:
                    trouble = f"{endpoint.name}: {error}"
                    self._ask_last(endpoint)
                    continue
                except NoAnswer as error:
                    trouble = f"{endpoint.name}: {error}"
                    self._ask_last(endpoint)
                    if is_repeatable:
                        continue
                    raise NoAnswer(trouble) from error
                if status == 200:
                    return msgspec.json.decode(answer, type=kind, strict=False)
                failure = error_of(status, answer)
                trouble = f"{endpoint.name}: {failure.message}"
                if is_about_token(failure) and self.address.user is not None and not has_new_token:
                    self._token = ""
                    has_new_token = True
                    break
                surely_nothing = any(text in failure.message for text in _SURELY_NOTHING)
                if failure.code not in _MAY_PASS and not surely_nothing:
                    raise refusal(failure, endpoint.name)
                if not (is_repeatable or surely_nothing):
                    raise NoAnswer(trouble)
                self._ask_last(endpoint)
            if loop.time() >= deadline:
                raise self.unreachable(trouble)
            await asyncio.sleep(_PAUSE_SECONDS)

    @contextlib.asynccontextmanager
    async def stream(self, path: str, message: Any) -> AsyncGenerator[tuple[Stream, Endpoint], None]:
        """Lines in answer to `message`, from one server, which is the other part of the answer.

        Raises NotSent or NoAnswer, and asks another server the next time.
        """
        endpoint = self._endpoints[0]
        try:
            if self.address.user is not None and not self._token:
                await self._authenticate(endpoint, self.attempt_seconds)
            body = msgspec.json.encode(message)
            async with endpoint.stream(path, body, self._token, self.attempt_seconds) as stream:
                yield stream, endpoint
        except (NotSent, NoAnswer):
            self._ask_last(endpoint)
            raise

    async def call_at(self, endpoint: Endpoint, path: str, message: Any, kind: type[T]) -> T:
        """Ask this server, once. Raises NotSent or NoAnswer, also if it answers with an error."""
        status, answer = await endpoint.post(path, msgspec.json.encode(message), self._token, self.attempt_seconds)
        if status != 200:
            raise NoAnswer(error_of(status, answer).message)
        return msgspec.json.decode(answer, type=kind, strict=False)

    def forget_token(self) -> None:
        self._token = ""

    def close(self) -> None:
        for endpoint in self._endpoints:
            endpoint.close()

    def unreachable(self, trouble: str) -> Unreachable:
        return Unreachable(
            f"The cluster's metadata cannot be reached. {trouble}", path=str(self.address), operation="ask etcd",
            hint="Tables go on as they are; changes of tables and members wait until most servers of etcd answer",
        )  # fmt: skip

    def _ask_last(self, endpoint: Endpoint) -> None:
        self._endpoints.remove(endpoint)
        self._endpoints.append(endpoint)

    async def _authenticate(self, endpoint: Endpoint, seconds: float) -> None:
        """Raises NotSent also where the server had no answer: whatever follows was not sent."""
        body = msgspec.json.encode({"name": self.address.user, "password": self.address.password})
        try:
            status, answer = await endpoint.post("auth/authenticate", body, "", seconds)
        except NoAnswer as error:
            raise NotSent(str(error)) from error
        if status == 200:
            self._token = msgspec.json.decode(answer, type=_Authenticated).token
            return
        failure = error_of(status, answer)
        if failure.code in _MAY_PASS:
            raise NotSent(failure.message)
        raise Refused(
            failure.code, failure.message, endpoint.name,
            "Check user and password in the cluster's URL, and that etcd has authentication enabled",
        )  # fmt: skip


def error_of(status: int, answer: bytes) -> Failure:
    """Of an answer that is none. Its shape depends on etcd's version, and on whether a stream had begun."""
    try:
        failure = msgspec.json.decode(answer, type=Failure)
        if failure.message:
            return failure
        told = msgspec.json.decode(answer, type=_StreamFailure).error
        return Failure(told.message, told.code if told.grpc_code is None else told.grpc_code)
    except msgspec.DecodeError:
        # Not etcd's own words: a proxy before it, or an etcd without the gateway.
        code = 14 if status >= 500 else 12
        return Failure(f"HTTP status {status}: {answer[:100]!r}", code)


def is_about_token(failure: Failure) -> bool:
    return failure.code == _UNAUTHENTICATED or "auth token" in failure.message or "auth store" in failure.message


def refusal(failure: Failure, endpoint: str) -> WorldError:
    message = failure.message
    if failure.code == _RESOURCE_EXHAUSTED:
        return DiskFull(
            f"etcd has no more room: {message}", path=endpoint, operation="write",
            hint="Compact and defragment it, or raise its --quota-backend-bytes; then disarm its alarm",
        )  # fmt: skip
    hint = ""
    if "too many operations" in message:
        hint = "A table with many partitions is one transaction: start etcd with --max-txn-ops=4096"
    elif failure.code == 12 or "page not found" in message:
        hint = "This must be etcd 3.4 or newer with its gRPC gateway (--enable-grpc-gateway=true, the default)"
    elif failure.code in (7, _UNAUTHENTICATED) or "user name is empty" in message:
        hint = "Give the user of the cluster's URL a role that may read and write all keys with its prefix"
    return Refused(failure.code, message, endpoint, hint)
