"""What the admin port of a cluster's node answers about where replicas are.

    GET  /repairs     what the active one last said, drains and moves that are in force
    POST /drain       {"node": "n2"}: take everything from it; {"node": "n2", "cancel": true}: take that back
    POST /move        {"group": 7, "source": "n1", "target": "n4"}; {"group": 7, "cancel": true}

Any node can be asked: an order is written into the metadata, and the active one finds it there (varley.autoadmin).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from varley.admin.pages import Page, PageMaker, Request, json_page, problem_page
from varley.autoadmin.keeper import Keeper
from varley.autoadmin.view import MoveOrder
from varley.errors import WorldError


class _Drain(msgspec.Struct, forbid_unknown_fields=True):
    node: str
    cancel: bool = False


class _Move(msgspec.Struct, forbid_unknown_fields=True):
    group: int
    source: str = ""
    target: str = ""
    cancel: bool = False


class PlacingPages:
    """Used from the event loop only."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def pages(self) -> Mapping[str, Mapping[str, PageMaker]]:
        return {
            "/repairs": {"GET": self._repairs},
            "/drain": {"POST": lambda request: self._ordered(request, self._drain)},
            "/move": {"POST": lambda request: self._ordered(request, self._move)},
        }

    async def _repairs(self, request: Request) -> Page:
        try:
            state = await self._keeper.state()
        except WorldError as error:
            return problem_page(503, str(error))
        orders = self._keeper.orders
        return json_page(
            200,
            {
                "state": state,
                "drains": sorted(orders.draining),
                "moves": [each.move for _, each in sorted(orders.moves.items())],
            },
        )

    async def _ordered(
        self, request: Request, order: Callable[[bytes], Coroutine[Any, Any, str | None]]
    ) -> Page:
        if "origin" in request.headers:
            return problem_page(403, "A web page may not do that")
        try:
            refusal = await order(request.body)
        except msgspec.DecodeError as error:
            return problem_page(400, str(error))
        except WorldError as error:
            return problem_page(503, str(error))
        return json_page(200 if refusal is None else 409, {"refused": refusal})

    async def _drain(self, body: bytes) -> str | None:
        wish = msgspec.json.decode(body, type=_Drain)
        return await (self._keeper.keep(wish.node) if wish.cancel else self._keeper.drain(wish.node))

    async def _move(self, body: bytes) -> str | None:
        wish = msgspec.json.decode(body, type=_Move)
        if wish.cancel:
            return await self._keeper.stay(wish.group)
        return await self._keeper.move(MoveOrder(wish.group, wish.source, wish.target))
