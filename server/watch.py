"""What is noted of each request: it is counted, and one line tells of every failure and of one in a hundred others."""

import json
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Full, Queue
from time import perf_counter
from typing import TextIO

from flask import Flask, Response, g, request

from jpki.clock import Clock, iso
from ocsp.http import OcspResponse
from ocsp.responder import Outcome
from server.tally import OTHER, Board, Tally

MOST_LINES = 1000
_CLOSE_SECONDS = 1.0
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request and its answer, without a word that the client chose but the method."""

    door: str
    route: str
    """One of our own routes, and never a path."""
    method: str
    status: int
    octets: int
    """Of the answer's body."""
    seconds: float
    outcome: Outcome | None = None
    client: str
    """The address from which the request came."""


class Watch:
    """Notes the requests of one worker; `write` takes the log's lines."""

    def __init__(self, tally: Tally, clock: Clock, write: Callable[[str], object]) -> None:
        self.tally = tally
        self._clock = clock
        self._write = write
        self._lock = threading.Lock()

    @classmethod
    def alone(cls, doors: Sequence[str], clock: Clock) -> "Watch":
        """Return what notes the requests of a process that has no others beside it."""
        return cls(Tally(Board(doors, rows=1)), clock, sys.stderr.write)

    def log(self, exchange: Exchange) -> None:
        """Write an exchange's line. That the log cannot be written stops nobody's answer."""
        fields = {
            "time": iso(self._clock()),
            "door": exchange.door,
            "route": exchange.route,
            # The method is the client's word, and may be anything (rule R21).
            "method": exchange.method if exchange.method in _METHODS else "other",
            "status": int(exchange.status),
            "octets": exchange.octets,
            "seconds": round(exchange.seconds, 6),
            "outcome": exchange.outcome,
            "client": exchange.client,
        }
        with suppress(OSError):
            self._write(f"{json.dumps(fields)}\n")

    def note(self, exchange: Exchange) -> None:
        """Count an exchange, and write its line if it is one to tell of; for any number of threads."""
        with self._lock:
            if self.tally.count(exchange.door, exchange.status, exchange.outcome, exchange.seconds):
                self.log(exchange)


class Lines:
    """Lines on their way to a stream that takes them slowly, or not at all: whoever writes one waits for nothing.

    A thread hands them on. Where `MOST_LINES` wait, more are dropped; a line of its own tells of how many.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._waiting = Queue[str | None](MOST_LINES)
        self._dropped = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._hand_on, name="access-log", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Take a line, or drop it."""
        try:
            self._waiting.put_nowait(line)
        except Full:
            with self._lock:
                self._dropped += 1

    def close(self) -> None:
        """Hand on what waits, if the stream takes it in `_CLOSE_SECONDS`."""
        with suppress(Full):
            self._waiting.put(None, timeout=_CLOSE_SECONDS)
            self._thread.join(_CLOSE_SECONDS)

    def _hand_on(self) -> None:
        while (line := self._waiting.get()) is not None:
            with self._lock:
                dropped, self._dropped = self._dropped, 0
            told = json.dumps({"dropped": dropped}) + "\n" if dropped else ""
            # A stream that is closed, or a full disk, loses this line alone.
            with suppress(OSError, ValueError):
                self._stream.write(f"{told}{line}")
                self._stream.flush()


def register(app: Flask, watch: Watch, doors: Mapping[str, str]) -> None:
    """Make the app note every answer; `doors` tells the door of each blueprint."""

    @app.before_request
    def begin() -> None:
        g.begun = perf_counter()

    @app.after_request
    def end(response: Response) -> Response:
        watch.note(
            Exchange(
                door=doors.get(request.blueprint or "", OTHER),
                route=OTHER if request.url_rule is None else request.url_rule.rule,
                method=request.method,
                status=response.status_code,
                octets=0 if request.method == "HEAD" else response.content_length or 0,
                seconds=perf_counter() - g.begun,
                outcome=response.outcome if isinstance(response, OcspResponse) else None,
                client=request.remote_addr or "",
            )
        )
        return response
