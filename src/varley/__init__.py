"""DynamoDB that anyone can run.

`varley serve` starts a server; `varley.Server` is one inside a program or a test:

    with varley.Server(in_memory=True) as server:
        table = server.resource().create_table(...)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from varley.testing import Server

__version__ = "0.1.0"
__all__ = ["Server", "__version__"]


def __getattr__(name: str) -> Any:
    """`varley.Server` is loaded at its first use: the command line and the pytest plugin start without it."""
    if name != "Server":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from varley.testing import Server

    return Server
