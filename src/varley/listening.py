"""Ports and addresses: why a port could not be opened, in words an operator can act on; how others reach this host."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from typing import Any

from varley.errors import WorldError


def cannot_listen(error: OSError, host: str, port: int, setting: str = "port") -> WorldError:
    """The error to raise when listening on `host`:`port` failed; `setting` is the one that names the port."""
    flag = "--" + setting.replace("_", "-")
    if error.errno == errno.EADDRINUSE:
        problem = f"Port {port} is in use"
        hint = f"Stop what listens there, or choose another with {flag}; {flag} 0 takes a free one"
    elif error.errno == errno.EACCES:
        problem = f"Port {port} may not be used by this user"
        hint = f"Ports below 1024 are usually for root; choose another with {flag}"
    else:
        # Addresses of other machines, and names that mean nothing: their numbers are not the system's but the
        # resolver's, below zero. The event loop's own text would name the address a second time.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        problem = f"The server cannot listen: {reason}"
        hint = f"{flag.replace('port', 'host')} is an address or a name of this machine"
    return WorldError(problem, path=f"{host}:{port}", operation="listen on", hint=hint)


def reserve(host: str, port: int) -> tuple[Sequence[socket.socket], int]:
    """Keep a port for processes that will listen on it together (SO_REUSEPORT), while none of them does.

    (sockets that are bound and do not listen, the port; `port` 0 takes a free one). The kernel hands connections to
    those only that listen. Raises OSError: somebody else has it, also another who shares it among its own.
    """
    reserved: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            if reserved and port == 0:
                break    # each address would get a port of its own
            _refuse_taken(family, kind, protocol, address)
            reserved.append(_bound(family, kind, protocol, address))
    except BaseException:
        for each in reserved:
            each.close()
        raise
    return reserved, reserved[0].getsockname()[1]


def _refuse_taken(family: int, kind: int, protocol: int, address: Any) -> None:
    """Without SO_REUSEPORT: two who share a port of the same user would not notice each other."""
    with _made(family, kind, protocol) as each:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        each.bind(address)
        each.listen(1)


def _bound(family: int, kind: int, protocol: int, address: Any) -> socket.socket:
    each = _made(family, kind, protocol)
    try:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            each.bind(address)    # without SO_REUSEADDR: _refuse_taken of another then sees it
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            # What is left of connections to a server that has just ended.
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind(address)
    except BaseException:
        each.close()
        raise
    return each


def _made(family: int, kind: int, protocol: int) -> socket.socket:
    made = socket.socket(family, kind, protocol)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)    # as the event loop does: [::] is not 0.0.0.0
    return made


def reachable(host: str) -> str:
    """A server on all addresses of its machine is known by the machine's name."""
    return socket.gethostname() if host in ("0.0.0.0", "::", "") else host


def in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
