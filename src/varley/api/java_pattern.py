r"""Patterns of the service model that Python must be told in other words.

The service shows a pattern as it is in the model, in Java's syntax. Some mean nothing to Python (\p{Print}), and
some take a time that grows with the cube of the text's length, which is harmless behind the service's own limits
and not here, where a broken length does not end the checks.
"""

from __future__ import annotations

import re

from varley.api.constraints import Pattern


class JavaPattern(Pattern):
    """Complains with `java`, as the model has it; matches with `python`."""

    def __init__(self, java: str, python: str) -> None:
        super().__init__(".*")
        self._pattern = java
        self._matches = re.compile(python, re.ASCII).fullmatch
