"""A port that several processes are to share: kept while nobody listens on it, and refused to others."""

from __future__ import annotations

import socket

import pytest

from varley.listening import reserve

HOST = "127.0.0.1"


def sharing(port: int, *, listens: bool = True) -> socket.socket:
    """As the event loop makes it for a process that shares the port."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind((HOST, port))
    if listens:
        made.listen()
    return made


def test_it_is_kept_and_shared_and_connections_go_to_those_who_listen() -> None:
    [kept], port = reserve(HOST, 0)
    with kept, sharing(port) as first, sharing(port) as second:
        accepted = 0
        for listener in (first, second):
            listener.setblocking(False)
        for _ in range(64):
            with socket.create_connection((HOST, port), timeout=5):
                for listener in (first, second):
                    try:
                        listener.accept()[0].close()
                        accepted += 1
                    except BlockingIOError:
                        pass
        assert accepted == 64


def test_others_cannot_have_it_even_while_nobody_listens() -> None:
    [kept], port = reserve(HOST, 0)
    with kept:
        with pytest.raises(OSError, match="in use"):
            reserve(HOST, port)
        with pytest.raises(OSError, match="in use"):
            socket.create_server((HOST, port))
    again, _ = reserve(HOST, port)
    again[0].close()


@pytest.mark.parametrize("shares", [True, False])
def test_a_port_that_somebody_has_is_refused(shares: bool) -> None:
    with sharing(0) if shares else socket.create_server((HOST, 0)) as taken, pytest.raises(OSError, match="in use"):
        reserve(HOST, taken.getsockname()[1])


def test_after_a_server_that_has_just_ended_it_is_free() -> None:
    """Its connections are not quite gone: the side that has closed first waits for a minute."""
    server = socket.create_server((HOST, 0))
    port = server.getsockname()[1]
    with socket.create_connection((HOST, port)) as client:
        accepted, _ = server.accept()
        accepted.close()
        assert client.recv(1) == b""
    server.close()
    kept, _ = reserve(HOST, port)
    kept[0].close()
