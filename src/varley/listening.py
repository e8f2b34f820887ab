"""Ports and addresses: why a port could not be opened, in words an operator can act on; how others reach this host."""

from __future__ import annotations

import errno
import os
import socket

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


def reachable(host: str) -> str:
    """A server on all addresses of its machine is known by the machine's name."""
    return socket.gethostname() if host in ("0.0.0.0", "::", "") else host


def in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
