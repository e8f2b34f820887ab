"""What the admin port of a cluster's node answers beside the pages of every server.

    GET  /cluster     nodes, zones, groups, leaders, who is behind: see status.py
    POST /hand-over   {"group": 7} or {"group": 7, "to": "n2"}: let another member lead;
                      {"node": "n2"}: the same of all that n2 leads
    GET  /links       {"n2": {"up": true, "cut": false}, …}
    POST /links       {"cut": "n2"} or {"mend": "n2"}: lose all that goes to n2 and comes from it, and the end of that;
                      with "only": "outgoing" or "incoming", one direction; 403 unless the clock may be moved too: both
                      are for development (admin/pages.py)

Cutting is for trying out what becomes of a cluster whose network is broken: nobody is told, connections fall silent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from varley.admin.pages import Page, PageMaker, Request, json_page, problem_page
from varley.cluster.neighbours import Neighbours
from varley.cluster.status import Status
from varley.net.links import Links


class _HandOver(msgspec.Struct, forbid_unknown_fields=True):
    group: int | None = None
    to: str | None = None
    node: str | None = None


class _Trouble(msgspec.Struct, forbid_unknown_fields=True):
    cut: str | None = None
    mend: str | None = None
    only: Literal["outgoing", "incoming"] | None = None


class ClusterPages:
    """Used from the event loop only."""

    def __init__(self, status: Status, links: Links, neighbours: Neighbours, *, is_development: bool) -> None:
        self._status = status
        self._links = links
        self._neighbours = neighbours
        self._is_development = is_development
        self._cut: set[str] = set()

    def pages(self) -> Mapping[str, Mapping[str, PageMaker]]:
        return {
            "/cluster": {"GET": self._cluster},
            "/hand-over": {"POST": self._hand_over},
            "/links": {"GET": lambda request: self._state(), "POST": self._make_trouble},
        }

    async def _cluster(self, request: Request) -> Page:
        return json_page(200, await self._status.of_cluster())

    async def _hand_over(self, request: Request) -> Page:
        if "origin" in request.headers:
            return problem_page(403, "A web page may not do that")
        try:
            wish = msgspec.json.decode(request.body, type=_HandOver)
        except msgspec.DecodeError as error:
            return problem_page(400, str(error))
        if (wish.group is None) == (wish.node is None):
            return problem_page(400, 'Send {"group": 7}, {"group": 7, "to": "n2"} or {"node": "n2"}')
        groups = [wish.group] if wish.group is not None else self._status.led_by(wish.node or "")
        refused = {}
        for group in groups:
            why = await self._status.hand_over(group, wish.to)
            if why is not None:
                refused[str(group)] = why
        return json_page(409 if refused else 200, {"groups": groups, "refused": refused})

    def _state(self) -> Page:
        links = {name: {"up": self._links.is_up(name), "cut": name in self._cut} for name in self._neighbours}
        return json_page(200, links)

    def _make_trouble(self, request: Request) -> Page:
        if not self._is_development:
            return problem_page(403, "Links are cut in development only; start it with --development-clock")
        if "origin" in request.headers:
            return problem_page(403, "A web page may not cut links")
        try:
            wish = msgspec.json.decode(request.body, type=_Trouble)
        except msgspec.DecodeError as error:
            return problem_page(400, str(error))
        name = wish.cut or wish.mend or ""
        if name not in self._neighbours or (wish.cut is None) == (wish.mend is None):
            return problem_page(400, f'There are {", ".join(self._neighbours)}. Send {{"cut": NODE}}')
        if wish.cut is not None:
            self._links.cut(wish.cut, outgoing=wish.only != "incoming", incoming=wish.only != "outgoing")
            self._cut.add(wish.cut)
        else:
            self._links.mend(name)
            self._cut.discard(name)
        return self._state()
