"""Certificates for links, as the settings of a node name them: of a cluster or of a ring."""

from __future__ import annotations

from varley.net.tls import LinkTls
from varley.settings import MemberSettings, RingFlags


def link_tls(settings: MemberSettings | RingFlags) -> LinkTls | None:
    """None: links are not encrypted. All three files are named or none is: settings.py sees to it."""
    cert, key, ca = settings.link_cert, settings.link_key, settings.link_ca
    if cert is None or key is None or ca is None:
        assert cert is None and key is None and ca is None
        return None
    return LinkTls(cert, key, ca)
