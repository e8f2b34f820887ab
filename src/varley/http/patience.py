"""How long a connection may take for what it does. No timer exists per request: the door's sweep asks once a second.

    idle        nothing has begun to arrive, nothing is to be answered       closed after idle_seconds
    receiving   a message has arrived in part                               408 after head_seconds, body_seconds
    waiting     a call has no answer yet                                    no limit here: the handler has its own
    unsent      the client does not take what we write                      cut off after write_seconds without a byte
    ending      the last answer is written                                  cut off after linger_seconds, or
                                                                            write_seconds if it was no refusal
    draining    the server stops, and a message has arrived in part         cut off after drain_seconds
"""

from __future__ import annotations

from typing import Literal

from varley.http.reception import FrontDoorSettings
from varley.http.request_reader import RequestReader

Verdict = Literal["patience", "close", "cut off", "refuse"]


class Patience:
    """The times of one connection. `now` is the door's coarse time, seconds."""

    __slots__ = ("_settings", "_unsent_bytes", "since", "unsent_since")

    since: float                    # at the last request or late answer: idle time counts from here
    unsent_since: float | None      # when the client was last seen to take a byte of a full buffer; None: not full
    _unsent_bytes: int              # in that buffer, then

    def __init__(self, settings: FrontDoorSettings, now: float) -> None:
        self._settings = settings
        self.since = now
        self.unsent_since = None
        self._unsent_bytes = 0

    def buffer_is_full(self, now: float, unsent_bytes: int) -> None:
        """The client does not read; until `buffer_has_room`."""
        self.unsent_since = now
        self._unsent_bytes = unsent_bytes

    def buffer_has_room(self) -> None:
        self.unsent_since = None

    def with_unsent(self, now: float, unsent_bytes: int) -> Verdict:
        """While the buffer is full: as long as the client takes some of it, it may."""
        assert self.unsent_since is not None
        patience = self._settings.write_seconds
        if unsent_bytes < self._unsent_bytes:
            self.unsent_since = now
        elif now - self.unsent_since > patience:
            return "cut off"
        self._unsent_bytes = unsent_bytes
        return "patience"

    def with_ending(self, now: float, *, is_lingering: bool) -> Verdict:
        """After the last answer. `is_lingering`: it was a refusal."""
        settings = self._settings
        return self._after(settings.linger_seconds if is_lingering else settings.write_seconds, now, "cut off")

    def with_request(self, now: float, reader: RequestReader, *, is_draining: bool) -> Verdict:
        """While a message arrives, or none does."""
        settings = self._settings
        began = reader.began
        if began is None:
            return self._after(settings.idle_seconds, now, "close")
        if is_draining:
            return "cut off" if now - began > settings.drain_seconds else "patience"
        seconds = settings.head_seconds
        if reader.head is not None:
            seconds = settings.body_seconds + reader.body_bytes / settings.body_bytes_per_second_min
        return "refuse" if now - began > seconds else "patience"

    def _after(self, seconds: float, now: float, verdict: Verdict) -> Verdict:
        return verdict if now - self.since > seconds else "patience"
