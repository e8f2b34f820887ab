"""How commands reach a ring: the option that names nodes, and one request with an answer in JSON."""

from __future__ import annotations

import json
import os
import ssl
import urllib.error
import urllib.request
from typing import Any, Final

import click

from varley.errors import WorldError

DEFAULT_ENDPOINT: Final = "http://127.0.0.1:8101"
ENDPOINT_VARIABLE: Final = "VARLEY_RING_ENDPOINT"
_SECONDS_MAX: Final = 30

endpoint_option = click.Option(
    ["--endpoint", "endpoints"],
    multiple=True,
    metavar="URL",
    help=f"A node, http://host:port; several by repeating it. [{ENDPOINT_VARIABLE}, or {DEFAULT_ENDPOINT}]",
)
json_option = click.Option(["--json", "as_json"], is_flag=True, help="Answer in JSON, for programs.")


def endpoints_of(given: tuple[str, ...]) -> list[str]:
    """From the command line, or the environment; with a scheme, so that 127.0.0.1:8101 will do."""
    named = given or tuple(os.environ.get(ENDPOINT_VARIABLE, DEFAULT_ENDPOINT).replace(",", " ").split())
    return [each if "://" in each else f"http://{each}" for each in named]


def ask(
    endpoints: list[str], path: str, body: dict[str, Any] | None = None, tls: ssl.SSLContext | None = None
) -> Any:
    """GET, or POST with a body, at the first node that can be reached. Raises WorldError.

    `tls`: for https; without it, authorities are the system's, or in the file that SSL_CERT_FILE names.
    """
    failure = ""
    # No proxies: HTTP_PROXY is for the world outside.
    handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls)]
    opener = urllib.request.build_opener(*handlers)
    for endpoint in endpoints:
        request = urllib.request.Request(endpoint.rstrip("/") + path)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with opener.open(request, timeout=_SECONDS_MAX) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise refused(endpoint, error) from None
        except (OSError, ValueError) as error:
            failure = str(getattr(error, "reason", error))
    raise unreachable(endpoints, failure)


def unreachable(endpoints: list[str], why: str) -> WorldError:
    return WorldError(
        f"No node of the ring can be reached: {why}",
        path=", ".join(endpoints),
        operation="ask",
        hint="Start one with `varley ring up`, or name one with --endpoint http://host:port "
        f"({ENDPOINT_VARIABLE})",
    )


def refused(endpoint: str, error: urllib.error.HTTPError) -> WorldError:
    try:
        problem = json.load(error)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        problem = f"HTTP {error.code}: is this a node of a ring?"
    return WorldError(problem, path=endpoint, operation="ask")
