"""Whether a server on this machine says that it is ready: its admin port is asked."""

from __future__ import annotations

import urllib.request


def is_ready(admin_host: str, admin_port: int) -> bool:
    """Blocks, for two seconds at most."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))    # HTTP_PROXY is for the world outside
    try:
        with opener.open(f"http://{admin_host}:{admin_port}/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:    # that includes all that is not 200
        return False
