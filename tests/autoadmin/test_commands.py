"""What operators ask for: the pages of the admin port, and how `varley cluster repairs` shows what it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.autoadmin.real_cluster import RealCluster
from varley.admin.pages import Page, Request
from varley.autoadmin.driver import Rules
from varley.cli.cluster_admin import shown
from varley.cluster.placing_pages import PlacingPages


@pytest.fixture
def cluster() -> Iterator[RealCluster]:
    cluster = RealCluster({"a1": "a", "b1": "b", "c1": "c", "a2": "a"}, rules=Rules(balances=False))
    cluster.found(7, "a1", "b1", "c1")
    cluster.write(7, "row", 1)
    cluster.settle(12)
    yield cluster
    cluster.stop()


def ask(cluster: RealCluster, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    method = "GET" if body is None else "POST"
    make = PlacingPages(cluster.machines["a2"].keeper).pages()[path][method]
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def answered() -> Page:
        page = make(Request(method, path, headers, data))
        return page if isinstance(page, Page) else await page

    page = cluster.loop.run(answered())
    return page.status, json.loads(page.body)


def test_orders_are_taken_and_refused_with_a_reason(cluster: RealCluster) -> None:
    for path, body, status, words in (
        ("/drain", {"node": "nobody"}, 409, "there is no node nobody"),
        ("/drain", {"node": "a1", "cancel": True}, 409, "a1 is not being emptied"),
        ("/drain", {"node": "a1"}, 200, None),
        ("/drain", {"node": "a1"}, 409, "a1 is being emptied already"),
        ("/drain", {"node": "a1", "cancel": True}, 200, None),
        ("/move", {"group": 8, "source": "a1", "target": "a2"}, 409, "there is no group 8"),
        ("/move", {"group": 7, "source": "a2", "target": "a1"}, 409, "a2 has no replica of group 7"),
        ("/move", {"group": 7, "source": "a1", "target": "b1"}, 409, "b1 has a replica of group 7"),
        ("/move", {"group": 7, "source": "a1", "target": "d1"}, 409, "there is no node d1, or it is down"),
        ("/move", {"group": 7, "cancel": True}, 409, "no replica of group 7 is being moved"),
        ("/move", {"group": 7, "source": "a1", "target": "a2"}, 200, None),
        ("/move", {"group": 7, "source": "b1", "target": "a2"}, 409, "a replica of group 7 is being moved already"),
        ("/move", {"group": 7, "cancel": True}, 200, None),
    ):
        assert ask(cluster, path, body) == (status, {"refused": words}), (path, body)
    assert ask(cluster, "/drain", b"{")[0] == ask(cluster, "/move", {"group": "x"})[0] == 400
    assert ask(cluster, "/drain", {"node": "a1"}, origin="http://a.web.page")[0] == 403


def test_repairs_are_shown(cluster: RealCluster) -> None:
    cluster.machines["c1"].kill()
    cluster.settle(20)
    assert ask(cluster, "/drain", {"node": "b1"})[0] == 200
    cluster.settle(5)
    status, told = ask(cluster, "/repairs")
    assert status == 200 and told["drains"] == ["b1"] and told["moves"] == []
    text = shown(told)
    assert "1 are not as they should be" in text and "a2#4[log]" in text and "(c1)" in text
    assert "b1" in text and "is being emptied" in text and "away" in text


def test_before_anybody_has_looked_there_is_nothing_to_show() -> None:
    assert shown({"state": None, "drains": [], "moves": []}) == "Nobody has looked after the cluster yet."


def test_a_move_is_shown_with_where_from_and_where_to(cluster: RealCluster) -> None:
    assert ask(cluster, "/move", {"group": 7, "source": "a1", "target": "a2"})[0] == 200
    _, told = ask(cluster, "/repairs")
    assert "a1 -> a2 (operator)" in shown(told)
    assert msgspec.json.decode(msgspec.json.encode(told)) == told
