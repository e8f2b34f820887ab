"""Where a cluster's etcd is, as one URL: what `--cluster` is given.

    etcd://h1:2379,h2:2379,h3:2379/music             the cluster "music": all its keys begin with music/
    etcd://varley:s%3Acret@h1,h2,h3/music            a user of etcd and its password, percent-encoded; port 2379
    etcds://h1,h2,h3/music?ca=/etc/ca.pem            TLS; `ca`: whom to trust, instead of the system's authorities
    etcds://h1/music?ca=…&cert=…&key=…               and a certificate of ours, where etcd wants one

Several clusters may share an etcd: each has a prefix of its own. Without one it is "varley".
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from varley.errors import BadSettings

PORT: Final = 2379
DEFAULT_PREFIX: Final = "varley"
_FORM: Final = "It looks like etcd://h1:2379,h2:2379,h3:2379/name or etcds://user:password@h1,h2,h3/name?ca=/path"


@dataclass(frozen=True, slots=True)
class EtcdAddress:
    endpoints: tuple[tuple[str, int], ...]    # (host, port); at least one
    prefix: str    # without the slash that follows it in keys
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, compare=False)

    def __str__(self) -> str:
        """For operators: without the password."""
        user = "" if self.user is None else f"{self.user}@"
        hosts = ",".join(shown(host, port) for host, port in self.endpoints)
        return f"etcd{'' if self.tls is None else 's'}://{user}{hosts}/{self.prefix}"


def is_etcd_url(url: str) -> bool:
    return url.startswith(("etcd://", "etcds://"))


def parse(url: str) -> EtcdAddress:
    """Raises BadSettings, the operator's fault; its text does not have the password."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _wrong(str(error)) from error
    if parts.scheme not in ("etcd", "etcds"):
        raise _wrong(f"its scheme is {parts.scheme!r}")
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, has_password, password = credentials.partition(":")
    if credentials and not (user and has_password):
        raise _wrong("it has a user without a password, or a password without a user")
    prefix = unquote(parts.path).strip("/") or DEFAULT_PREFIX
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = options.keys() - {"ca", "cert", "key"}
    if unknown or parts.fragment:
        raise _wrong(f"it has {', '.join(sorted(unknown)) or 'a fragment'}, which means nothing here")
    if options and parts.scheme == "etcd":
        raise _wrong("ca, cert and key are for TLS, and TLS is etcds://")
    return EtcdAddress(
        tuple(_endpoint(each) for each in hosts.split(",")),
        prefix,
        unquote(user) or None,
        unquote(password) if credentials else None,
        _tls(options) if parts.scheme == "etcds" else None,
    )


def shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _endpoint(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _wrong(f"{text!r} is not host:port") from error
    if not host:
        raise _wrong("a host is missing")
    return host, PORT if port is None else port


def _tls(options: dict[str, str]) -> ssl.SSLContext:
    if ("cert" in options) != ("key" in options):
        raise _wrong("cert and key belong together")
    try:
        context = ssl.create_default_context(cafile=options.get("ca"))
        if "cert" in options:
            context.load_cert_chain(options["cert"], options["key"])
    except (OSError, ssl.SSLError) as error:
        raise BadSettings(
            f"The certificates for etcd cannot be used: {error}", path=", ".join(options.values()), operation="load",
            hint="All are files in PEM format, and the key belongs to the certificate",
        ) from error  # fmt: skip
    return context


def _wrong(why: str) -> BadSettings:
    return BadSettings(f"The address of the cluster's etcd cannot be read: {why}", hint=_FORM)
