"""`varley ring get`, `put` and `delete`: keys from the command line, with siblings and contexts in plain sight."""

from __future__ import annotations

import base64
import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from varley.cli.ring_endpoint import endpoint_option, endpoints_of, json_option, unreachable
from varley.errors import WorldError

if TYPE_CHECKING:
    from varley.ring_client import Client, Found

_SHOWN_CHARS_MAX: Final = 2000

_arguments = [click.Argument(["bucket"]), click.Argument(["key"])]
_hex_option = click.Option(["--hex-key"], is_flag=True, help="KEY is in hexadecimal digits: a key is any bytes.")
_context_help: Final = "What was read: from the output of get or put. What it has seen is replaced, and nothing else."


# ---- get


def run_get(
    bucket: str, key: str, hex_key: bool, r: int | None, raw: bool, endpoints: tuple[str, ...], as_json: bool
) -> int:
    found = _with_client(endpoints, lambda ring: ring.get(bucket, _key(key, hex_key), r=r))
    if as_json:
        click.echo(json.dumps(_found_members(found)))
    elif raw:
        return _write_raw(found)
    else:
        click.echo(shown(found))
    return 0 if found.siblings else 1


def _write_raw(found: Found) -> int:
    if len(found.siblings) > 1:
        raise WorldError(
            f"There are {len(found.siblings)} values, and --raw writes one",
            hint="Look at them without --raw, and put one in their place with the context that is shown",
        )
    for value in found.values:
        sys.stdout.buffer.write(value)
    sys.stdout.buffer.flush()
    return 0 if found.siblings else 1


def shown(found: Found) -> str:
    if not found.siblings:
        if found.context is None:
            return "There is nothing under this key, and never was as far as the nodes know."
        return f"What was under this key is deleted.\ncontext   {found.context}"
    lines = []
    for number, sibling in enumerate(found.siblings, 1):
        name = "value" if len(found.siblings) == 1 else f"sibling {number}"
        when = datetime.fromtimestamp(sibling.modified).astimezone().isoformat(" ", "milliseconds")
        lines.append(f"{name:9} {_as_text(sibling.value)}    ({len(sibling.value)} bytes, {when})")
    lines.append(f"context   {found.context}")
    if len(found.siblings) > 1:
        lines.append("They were put without knowing of each other. To make one of them, put it with this context.")
    return "\n".join(lines)


def _as_text(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    if not text.isprintable() or (value and not text):
        text = "base64:" + base64.b64encode(value).decode()
    return text if len(text) <= _SHOWN_CHARS_MAX else text[:_SHOWN_CHARS_MAX] + "…"


def _found_members(found: Found) -> dict[str, Any]:
    return {
        "context": found.context,
        "values": [
            {"value": base64.b64encode(sibling.value).decode(), "modified": sibling.modified}
            for sibling in found.siblings
        ],
    }


# ---- put and delete


def run_put(
    bucket: str,
    key: str,
    value: str | None,
    file: str | None,
    hex_key: bool,
    context: str | None,
    w: int | None,
    endpoints: tuple[str, ...],
    as_json: bool,
) -> None:
    if (value is None) == (file is None):
        raise click.UsageError("A value comes from the command line or from --file, - for standard input: one of them.")
    data = value.encode("utf-8", "surrogateescape") if value is not None else _read(file or "-")
    new = _with_client(endpoints, lambda ring: ring.put(bucket, _key(key, hex_key), data, context, w=w))
    _show_written(new, "Written", as_json)


def run_delete(
    bucket: str,
    key: str,
    hex_key: bool,
    context: str | None,
    w: int | None,
    endpoints: tuple[str, ...],
    as_json: bool,
) -> None:
    """Without a context: get, and delete what that has shown."""
    name = _key(key, hex_key)

    def work(ring: Client) -> str | None:
        return ring.delete(bucket, name, context or ring.get(bucket, name).context, w=w)

    _show_written(_with_client(endpoints, work), "Deleted", as_json)


def _show_written(context: str | None, what: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"context": context}))
    elif context is None:
        click.echo(f"{what}. There are siblings that were not seen: get the key, and put with the context it shows.")
    else:
        click.echo(f"{what}.\ncontext   {context}")


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        with open(file, "rb") as opened:
            return opened.read()
    except OSError as error:
        raise WorldError(f"The value cannot be read: {error.strerror}", path=file, operation="open") from None


def _key(key: str, is_hex: bool) -> bytes:
    if not is_hex:
        return key.encode("utf-8", "surrogateescape")
    try:
        return bytes.fromhex(key)
    except ValueError:
        raise click.UsageError(f"With --hex-key, KEY has pairs of hexadecimal digits, unlike {key!r}.") from None


def _with_client(endpoints: tuple[str, ...], work: Any) -> Any:
    """What `work` returns. Raises WorldError in place of the client's own errors."""
    from varley.ring_client import Client, OutcomeUnknown, RingClientError, RingUnavailable  # here: --help needs none

    nodes = endpoints_of(endpoints)
    try:
        with Client(nodes) as ring:
            return work(ring)
    except OutcomeUnknown as error:
        raise WorldError(f"Nobody knows whether it was done: {error}", hint="Get the key, and see") from None
    except RingUnavailable as error:
        if error.type == "NoAnswer":
            raise unreachable(nodes, str(error)) from None
        raise WorldError(
            f"Surely nothing was done: {error}",
            hint="See who is down with `varley ring status`, or wait for fewer nodes with -r or -w",
        ) from None
    except RingClientError as error:
        hint = "It is in the output of get or put; copy all of it" if error.type == "BadContext" else ""
        raise WorldError(str(error), hint=hint) from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None


_r_option = click.Option(["-r"], type=click.IntRange(1), help="Wait for so many nodes.")
_w_option = click.Option(["-w"], type=click.IntRange(1), help="Wait until so many nodes have it.")
_width: Final = {"max_content_width": 110}

get = click.Command(
    "get",
    callback=run_get,
    params=[
        *_arguments,
        _hex_option,
        _r_option,
        click.Option(["--raw"], is_flag=True, help="Write the value as it is, and nothing else."),
        endpoint_option,
        json_option,
    ],
    help="""Show what is under a key: one value, or several that were put without knowing of each other.

The context that is shown goes with the next put or delete. The exit code is 1 if there is nothing.
""",
    context_settings=_width,
)
put = click.Command(
    "put",
    callback=run_put,
    params=[
        *_arguments,
        click.Argument(["value"], required=False),
        click.Option(["--file"], metavar="FILE", help="Take the value from a file; - is standard input."),
        _hex_option,
        click.Option(["--context"], metavar="TEXT", help=_context_help),
        _w_option,
        endpoint_option,
        json_option,
    ],
    help="""Put a value. Without --context it replaces nothing: what is there stays beside it, as a sibling.

\b
Examples:
  varley ring put carts 7 milk
  varley ring put carts 7 'milk, bread' --context AAAA…
  varley ring put photos cat --file cat.jpg
""",
    context_settings=_width,
)
delete = click.Command(
    "delete",
    callback=run_delete,
    params=[
        *_arguments,
        _hex_option,
        click.Option(["--context"], metavar="TEXT", help=_context_help + " Without one: what there is now."),
        _w_option,
        endpoint_option,
        json_option,
    ],
    help="Delete what a context has seen. What was put meanwhile stays.",
    context_settings=_width,
)
