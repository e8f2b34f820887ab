"""The handler behind a ring node's front door: each operation is one method of this table.

    RingGet  GET key     RingPut  PUT key     RingDelete  DELETE key    RingFetch  GET key?replica: this node's own copy
    RingStatus, RingPlacement, RingJoin, RingLeave

Nothing is decided here: a request is parsed (request.py), the service answers, the answer is written (answer.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec

from varley.errors import BadSettings, WorldError
from varley.http.call import Call
from varley.http.routes import PlainResponse
from varley.http.visit import Visit
from varley.ring_api import request as requests
from varley.ring_api.answer import (
    RETRY_SECONDS,
    error_of,
    error_response,
    got_response,
    json_response,
    problem_response,
    put_response,
)
from varley.ring_api.request import HttpError
from varley.ring_api.resources import methods_of
from varley.ring_node.service import Got, PlacementView, Put, RingError, RingService
from varley.ring_node.settings import CAPACITY_MAX

PLACEMENT_HEADER: Final = "X-Varley-Placement"
Spawn = Callable[[Coroutine[Any, Any, None]], None]


class RingHandler:
    """`spawn` runs what waits, and keeps it: only joining and leaving do."""

    def __init__(self, service: RingService, spawn: Spawn) -> None:
        self._service = service
        self._spawn = spawn
        self._placement: tuple[str, bytes] = ("", b"")      # version -> its page: clients ask for it every few seconds
        self._operations: Final[dict[str, Callable[[Visit], None]]] = {
            "RingGet": self._get,
            "RingPut": self._put,
            "RingDelete": self._delete,
            "RingStatus": self._status,
            "RingPlacement": self._give_placement,
            "RingJoin": self._join,
            "RingLeave": self._leave,
            "RingUnknown": self._unknown,
        }

    def __call__(self, call: Call) -> bytes | None:
        assert isinstance(call, Visit), "this door has resources only"
        try:
            self._operations[call.operation](call)
        except HttpError as error:
            call.respond(problem_response(error), error=error.type)
        return None

    # ---- Keys

    def _get(self, visit: Visit) -> None:
        place = requests.place_of(visit.request.path)
        parameters = requests.parameters_of(visit.request, ("r", "replica"))
        if "replica" in parameters:
            self._fetch(visit, place)
            return
        as_bytes = requests.wants_bytes(visit.request)

        def then(answer: Got | RingError) -> None:
            if isinstance(answer, RingError):
                _fail(visit, answer)
            else:
                error = None if answer.values else "NotFound"
                visit.respond(got_response(answer, as_bytes=as_bytes), error=error)

        self._service.get(place.bucket, place.key, r=requests.quorum_of(parameters, "r"), then=then)

    def _fetch(self, visit: Visit, place: requests.Place) -> None:
        visit.operation = "RingFetch"

        def then(answer: bytes | RingError) -> None:
            if isinstance(answer, RingError):
                _fail(visit, answer)
            else:
                visit.respond(PlainResponse(200, answer, requests.BYTES.encode(), self._other_placement(visit)))

        self._service.fetch(place.bucket, place.key, then)

    def _put(self, visit: Visit) -> None:
        place = requests.place_of(visit.request.path)
        parameters = requests.parameters_of(visit.request, ("w",))
        context, value = requests.put_of(visit.request)
        self._write(visit, place, context, value, parameters)

    def _delete(self, visit: Visit) -> None:
        place = requests.place_of(visit.request.path)
        parameters = requests.parameters_of(visit.request, ("w", "context"))
        self._write(visit, place, requests.delete_of(visit.request, parameters), None, parameters)

    def _write(
        self,
        visit: Visit,
        place: requests.Place,
        context: bytes | None,
        value: bytes | None,
        parameters: dict[str, str],
    ) -> None:
        def then(answer: Put | RingError) -> None:
            if isinstance(answer, RingError):
                _fail(visit, answer)
            else:
                visit.respond(put_response(answer, self._other_placement(visit)))

        w = requests.quorum_of(parameters, "w")
        self._service.put(place.bucket, place.key, context, value, w=w, then=then)

    def _other_placement(self, visit: Visit) -> dict[str, str]:
        """For a client that said which placement it goes by: which it is here, if it is another."""
        known = visit.headers.get(PLACEMENT_HEADER.lower().encode())
        if known is None:
            return {}
        version = self._service.placement().version
        return {} if known.decode("latin-1") == version else {PLACEMENT_HEADER: version}

    # ---- The ring

    def _status(self, visit: Visit) -> None:
        requests.parameters_of(visit.request, ())
        visit.respond(json_response(200, dataclasses.asdict(self._service.status())))

    def _give_placement(self, visit: Visit) -> None:
        """`?version=…`: 304 without a body if it is that one still."""
        known = requests.parameters_of(visit.request, ("version",)).get("version")
        placement = self._service.placement()
        if placement.version == known:
            visit.respond(PlainResponse(304))
            return
        if self._placement[0] != placement.version:
            self._placement = (placement.version, msgspec.json.encode(placement_members(placement)))
        visit.respond(PlainResponse(200, self._placement[1], requests.JSON.encode()))

    def _join(self, visit: Visit) -> None:
        _refuse_web_pages(visit)
        body = requests.decoded(visit.request, requests.JoinBody, '{"zone": "…" or null, "capacity": 1.0 or null}')
        if body.capacity is not None and not 0 < body.capacity <= CAPACITY_MAX:
            raise requests.bad(f"The capacity of a node is above 0 and at most {CAPACITY_MAX:g}")
        self._spawn(self._change(visit, self._service.join(zone=body.zone, capacity=body.capacity)))

    def _leave(self, visit: Visit) -> None:
        _refuse_web_pages(visit)
        body = requests.decoded(visit.request, requests.LeaveBody, '{"name": "<of a member>"}')
        self._spawn(self._change(visit, self._service.leave(body.name)))

    async def _change(self, visit: Visit, change: Coroutine[Any, Any, None]) -> None:
        try:
            await change
        except KeyError as error:
            name = error.args[0] if error.args else ""
            visit.respond(problem_response(HttpError(404, "NoMember", f"There is no member {name}")), error="NoMember")
        except BadSettings as error:
            visit.respond(problem_response(HttpError(409, "SettingsDiffer", str(error))), error="SettingsDiffer")
        except WorldError as error:
            headers = {"Retry-After": str(RETRY_SECONDS)}
            problem = HttpError(503, "Unavailable", str(error), headers)
            visit.respond(problem_response(problem), error="Unavailable")
        except Exception as error:
            visit.fail(error)
        else:
            visit.respond(json_response(200, {"version": self._service.placement().version}))

    def _unknown(self, visit: Visit) -> None:
        methods = methods_of(visit.request.path)
        if not methods:
            raise HttpError(404, "NotFound", "There is no such path. Keys are under /ring/v1/{bucket}/{key}")
        raise HttpError(
            405,
            "MethodNotAllowed",
            f"{visit.request.method} is not offered here; {', '.join(methods)} {'is' if len(methods) == 1 else 'are'}",
            {"Allow": ", ".join([*methods, "OPTIONS"])},
        )


def _fail(visit: Visit, error: RingError) -> None:
    visit.respond(error_response(error), error=error_of(error)[1])


def _refuse_web_pages(visit: Visit) -> None:
    """A page that an administrator has open must not change who is a member."""
    if b"origin" in visit.headers:
        raise HttpError(403, "Forbidden", "A web page may not change the ring")


def placement_members(placement: PlacementView) -> dict[str, Any]:
    """JSON has no integers of 128 bits that all readers take: positions are hexadecimal."""
    members = dataclasses.asdict(placement)
    if placement.positions is not None:
        members["positions"] = [f"{position:032x}" for position in placement.positions]
    return members
