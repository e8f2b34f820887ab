"""Which operation a method and a path are.

    GET PUT DELETE  /ring/v1/{bucket}/{key}     bucket and key percent-encoded; the key may have slashes as they are
    GET             /ring/v1                    status
    GET             /ring/v1/placement          who stores what, for clients that find it out themselves
    POST            /ring/v1/join  /ring/v1/leave

A bucket has no page of its own: the ring finds keys by their hash and keeps no list of them.
"""

from __future__ import annotations

from typing import Final

ROOT: Final = "/ring/v1"
BELOW: Final = ROOT + "/"

OPERATIONS: Final = (
    "RingGet", "RingPut", "RingDelete", "RingFetch", "RingStatus", "RingPlacement", "RingJoin", "RingLeave",
    "RingUnknown",
)  # fmt: skip

KEY_METHODS: Final = {b"GET": "RingGet", b"HEAD": "RingGet", b"PUT": "RingPut", b"DELETE": "RingDelete"}
_STATUS: Final = {b"GET": "RingStatus", b"HEAD": "RingStatus"}
_PLACEMENT: Final = {b"GET": "RingPlacement", b"HEAD": "RingPlacement"}
_PAGES: Final = {
    ROOT: _STATUS,
    BELOW: _STATUS,
    BELOW + "placement": _PLACEMENT,
    BELOW + "join": {b"POST": "RingJoin"},
    BELOW + "leave": {b"POST": "RingLeave"},
}


def operation_of(method: bytes, path: str) -> str | None:
    """Everything below the root has one, "RingUnknown" in the end; None elsewhere, and for what browsers ask first."""
    if method == b"OPTIONS" or not path.startswith(ROOT):
        return None
    if _is_key(path):
        return KEY_METHODS.get(method, "RingUnknown")
    return _PAGES.get(path, {}).get(method, "RingUnknown")


def methods_of(path: str) -> tuple[str, ...]:
    """What may be asked of a path; nothing if there is no such resource."""
    methods = KEY_METHODS if _is_key(path) else _PAGES.get(path, {})
    return tuple(method.decode() for method in methods)


def _is_key(path: str) -> bool:
    return path.startswith(BELOW) and "/" in path[len(BELOW) :]
