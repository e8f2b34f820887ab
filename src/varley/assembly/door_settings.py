"""A front door's settings, as a node's settings have them: for DynamoDB's API and for the ring's."""

from __future__ import annotations

import ssl

from varley.errors import BadSettings
from varley.http.reception import FrontDoorSettings
from varley.settings import NodeSettings


def door_settings(settings: NodeSettings) -> FrontDoorSettings:
    """Raises BadSettings: the certificate cannot be used."""
    return FrontDoorSettings(
        connections_max=settings.max_connections,
        head_seconds=settings.head_timeout_seconds,
        body_seconds=settings.body_timeout_seconds,
        idle_seconds=settings.idle_timeout_seconds,
        cors_origins=tuple(origin.strip() for origin in settings.cors.split(",") if origin.strip()),
        tls=_tls(settings),
    )


def _tls(settings: NodeSettings) -> ssl.SSLContext | None:
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise BadSettings(
            f"The TLS certificate or its key cannot be used: {error}",
            path=f"{settings.tls_cert}, {settings.tls_key}",
            operation="load",
            hint="Both are files in PEM format, and the key belongs to the certificate",
        ) from error
    return context
