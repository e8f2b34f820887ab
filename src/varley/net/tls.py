"""Nodes that show one another certificates.

Both sides do: a node that could be talked to without one would take messages of a replica group from anybody. Whoever
holds a certificate of the cluster's authority is still not any node that it likes to be: the name that it says in its
hello must be one of those in its certificate. Host names are not checked; a node may move to another address, and is
the same node there.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from varley.errors import BadSettings


@dataclass(frozen=True, slots=True)
class LinkTls:
    """Files in PEM format."""

    cert: str    # this node's certificate, then those between it and the authority's
    key: str
    ca: str      # of the authority that signs the nodes of this cluster

    def contexts(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        """(for connections that are accepted, for those that are dialled). Raises BadSettings."""
        accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        dialling = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        dialling.check_hostname = False
        for context in (accepting, dialling):
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.verify_mode = ssl.CERT_REQUIRED
            self._load(context)
        return accepting, dialling

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self.cert, self.key)
            context.load_verify_locations(self.ca)
        except OSError as error:    # ssl.SSLError is one
            raise BadSettings(
                f"The TLS files of the links between nodes cannot be used: {error}",
                path=f"{self.cert}, {self.key}, {self.ca}",
                operation="load",
                hint="All are files in PEM format, and the key belongs to the certificate",
            ) from error


def names_in(certificate: Mapping[str, Any]) -> set[str]:
    """The names that a certificate is for, as `SSLSocket.getpeercert` gives it: SAN (DNS) and common name."""
    names = {value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"}
    common = {value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"}
    return names | common
