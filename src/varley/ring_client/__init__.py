"""Clients of the ring: `varley.ring.Client` and `varley.ring.AsyncClient`.

    found       what a get finds; how siblings become one value
    outcomes    what can become of a request, and the errors that say so
    protocol    requests as bytes, answers as values
    connection  one keep-alive connection to one node
    pool        connections to all nodes; which of them did not answer lately
    placement   who stores a key, as the client knows it
    directing   which node a request goes to, and what happens if it fails
    async_client, client

Standard library and httptools, which the server needs anyway: a request is a head of five lines, and an HTTP library
would cost more than all of the ring's own work for it.
"""

from varley.ring_client.async_client import AsyncClient
from varley.ring_client.client import Client
from varley.ring_client.found import Found, Sibling, last_write_wins, merging
from varley.ring_client.outcomes import OutcomeUnknown, RingClientError, RingRefused, RingUnavailable

__all__ = [
    "AsyncClient",
    "Client",
    "Found",
    "OutcomeUnknown",
    "RingClientError",
    "RingRefused",
    "RingUnavailable",
    "Sibling",
    "last_write_wins",
    "merging",
]
