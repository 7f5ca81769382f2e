"""The fast door: OCSP alone, with /livez and /readyz, by a gunicorn worker of our own (docs/adr/0015)."""

import asyncio
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from gunicorn.workers.gasgi import ASGIWorker

from jpki.ids import Serial
from ocsp.request import MAX_REQUEST_OCTETS
from ocsp.responder import Answer, Responder
from server.app import Door, checks
from server.health import Check, readiness
from server.http1 import LINGER_SECONDS, REQUEST_SECONDS, Connection, Hub, Request, refusal
from server.wiring import Rooms

_OCSP = b"/ocsp"
_SECOND = 1.0


class FastDoor:
    """See `server.http1.Service`."""

    most_body_octets = MAX_REQUEST_OCTETS

    def __init__(self, responder: Responder, health: Mapping[str, Check]) -> None:
        self._responder = responder
        self._health = health

    @classmethod
    def of(cls, rooms: Rooms) -> "FastDoor":
        """Return the door of a home."""
        return cls(rooms.responder, checks(rooms, [Door.OCSP]))

    def at_once(self, request: Request) -> Answer | None:
        """Answer what is known already."""
        path = _path(request.target)
        if path == _OCSP or path.startswith(b"/ocsp/"):
            return self._responder.answer_at_once(*_question(request, path))
        return None if path == b"/readyz" else _for_method(request, _beside(path))

    def in_time(self, request: Request) -> Answer:
        """Answer what needs the ledger, or a key in a token."""
        path = _path(request.target)
        if path == b"/readyz":
            status, fields = readiness(self._health)
            body = json.dumps(fields, ensure_ascii=False).encode()
            return _for_method(request, _plain(status, "application/json", body))
        return self._responder.answer(*_question(request, path))

    def busy(self) -> Answer:
        """Return OCSP's word for it."""
        return self._responder.busy()


class FastWorker(ASGIWorker):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's worker on an event loop, with our own connections in it."""

    async def _serve(self) -> None:
        door: FastDoor = self.asgi
        hub = Hub(door, self.loop)
        tls: dict[str, Any] = {}
        if self.cfg.is_ssl:
            tls = {
                "ssl": self.cfg.ssl_context(self.cfg, None),
                "ssl_handshake_timeout": REQUEST_SECONDS,
                "ssl_shutdown_timeout": LINGER_SECONDS,
            }
        for each in self.sockets:
            self.servers.append(await self.loop.create_server(lambda: Connection(hub), sock=each.sock, **tls))
        with suppress(asyncio.CancelledError):
            while self.alive and self.ppid == os.getppid():
                self.notify()
                hub.close_overdue()
                await asyncio.sleep(_SECOND)
        for server in self.servers:
            server.close()
        hub.finish()
        with suppress(TimeoutError):
            await asyncio.wait_for(hub.ended.wait(), 0 if self._quick_shutdown else self.cfg.graceful_timeout)


def _path(target: bytes) -> bytes:
    """Return the path of a request's target, with its escapes (RFC 9112 3.2)."""
    if not target.startswith(b"/"):
        _, _, rest = target.partition(b"://")
        target = b"/" + rest.partition(b"/")[2]
    return target.partition(b"?")[0]


def _question(request: Request, path: bytes) -> tuple[str, str, Mapping[str, str], bytes, Serial | None]:
    return request.method, path[len(_OCSP) + 1 :].decode("latin-1"), request.headers, request.body, request.client


def _beside(path: bytes) -> Answer:
    return _plain(HTTPStatus.OK, "text/plain", b"ok\n") if path == b"/livez" else refusal(HTTPStatus.NOT_FOUND)


def _plain(status: int, content_type: str, body: bytes) -> Answer:
    return Answer(status, {"Content-Type": content_type, "Content-Length": str(len(body))}, body)


def _for_method(request: Request, answer: Answer) -> Answer:
    return replace(answer, body=b"") if request.method == "HEAD" else answer
