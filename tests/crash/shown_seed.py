"""So that no seed is lost: what fails is raised again by the name of the command that does the same once more.

The name stands in the exception, which is in every report of a failure, the shortest too; what was printed is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def shown_seed(how: str) -> Iterator[None]:
    """`how`: what to set in the environment for the same run."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{how}: {error!r}") from error
