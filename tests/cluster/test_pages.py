"""What the admin port of a cluster's node does with links, told by what it asks of them."""

from __future__ import annotations

from typing import Any

import pytest

from varley.admin.pages import Page, Request
from varley.cluster.pages import ClusterPages


class Links:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def is_up(self, name: str) -> bool:
        return True

    def cut(self, name: str, *, outgoing: bool, incoming: bool) -> None:
        self.told.append((name, outgoing, incoming))

    def mend(self, name: str) -> None:
        self.told.append(name)


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b'{"cut": "n2"}', 200, [("n2", True, True)]),
        (b'{"cut": "n2", "only": "outgoing"}', 200, [("n2", True, False)]),
        (b'{"cut": "n2", "only": "incoming"}', 200, [("n2", False, True)]),
        (b'{"mend": "n2"}', 200, ["n2"]),
        (b'{"cut": "n2", "only": "sideways"}', 400, []),
        (b'{"cut": "n3"}', 400, []),
        (b"{}", 400, []),
    ],
)
def test_links_are_cut_in_one_direction_or_both(body: bytes, status: int, told: list[Any]) -> None:
    links = Links()
    pages: Any = ClusterPages(None, links, ["n2"], is_development=True).pages()  # type: ignore[arg-type]
    answer = pages["/links"]["POST"](Request("POST", "/links", {}, body))
    assert isinstance(answer, Page)
    assert (answer.status, links.told) == (status, told)
