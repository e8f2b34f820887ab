"""Why a port could not be opened, in words an operator can act on."""

from __future__ import annotations

import errno

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
        # Name look-ups (no errno of the system) and addresses of other machines end here.
        problem = f"The server cannot listen: {error.strerror or error}"
        hint = f"{flag.replace('port', 'host')} is an address or a name of this machine"
    return WorldError(problem, path=f"{host}:{port}", operation="listen on", hint=hint)
