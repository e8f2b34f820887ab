"""Names in requests that speak of Amazon S3: exports to it and imports from it. Nobody here goes there."""

from __future__ import annotations

from typing import Final

from varley.api.constraints import Length, Pattern
from varley.api.java_pattern import JavaPattern

S3_BUCKET: Final = (
    Length(high=255),
    JavaPattern(r"^[a-z0-9A-Z]+[\.\-\w]*[a-z0-9A-Z]+$", r"[a-z0-9A-Z][.\-\w]*[a-z0-9A-Z]"),
)
S3_BUCKET_OWNER: Final = (Pattern("[0-9]{12}"),)
S3_PREFIX: Final = (Length(high=1024),)
CLIENT_TOKEN: Final = (Pattern(r"^[^\$]+$"),)
