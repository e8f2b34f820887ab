"""How the views of one process follow the store: one watch of everything, told to each of them in turn.

One watch, not one each: what a compare_and_set has done to a table and to the members of its groups is told to all
views in the same turn of the event loop, in the order of the store. So the order of `views` matters and is the
caller's: members and nodes before the catalog, whose listener then finds both. (The catalog alone may take it in later:
when nobody here changes tables, see Catalog.see.)
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Protocol

from varley.metadata.store import Store, Told


class View(Protocol):
    def see(self, told: Told) -> None:
        """Take in what a watch of the whole store tells. Raises WorldError if it is not what was written."""


async def follow(store: Store, views: Sequence[View]) -> None:
    """Runs until cancelled. While the store is away the views stay as they are.

    Raises WorldError: what the store tells cannot be. From then on the views stay as they are, until a restart: say so
    where operators look, and go on serving.
    """
    async with aclosing(store.watch("")) as watch:
        async for told in watch:
            for view in views:
                view.see(told)
