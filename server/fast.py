"""The fast door: OCSP alone, with /livez and /readyz, by a gunicorn worker of our own (docs/adr/0015)."""

import asyncio
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from gunicorn.workers.gasgi import ASGIWorker

from jpki.ids import Serial
from ocsp.fields import fields
from ocsp.request import MAX_REQUEST_OCTETS
from ocsp.responder import Answer, Responder
from server.app import Door, checks, clients_of
from server.clients import Clients
from server.health import Check, readiness
from server.http1 import LINGER_SECONDS, REQUEST_SECONDS, Connection, Hub, Request, refusal
from server.metrics import CONTENT_TYPE, Metrics
from server.tally import HEALTH, OTHER
from server.watch import Exchange, Watch
from server.wiring import Rooms

_OCSP = b"/ocsp"
_WAITING = {b"/readyz", b"/metrics"}
_HEALTH = {b"/livez", *_WAITING}
_SECOND = 1.0


class FastDoor:
    """See `server.http1.Service`."""

    most_body_octets = MAX_REQUEST_OCTETS

    def __init__(
        self, responder: Responder, clients: Clients, health: Mapping[str, Check], metrics: Metrics, watch: Watch
    ) -> None:
        self._responder = responder
        self.clients = clients
        self._health = health
        self._metrics = metrics
        self.watch = watch
        self._count = watch.tally.count

    @classmethod
    def of(cls, rooms: Rooms, watch: Watch) -> "FastDoor":
        """Return the door of a home."""
        needed = checks(rooms, [Door.OCSP])
        clients = clients_of(rooms, [Door.OCSP])
        clients.keep_up()
        return cls(rooms.responder, clients, needed, Metrics.of(rooms, needed, watch.tally.board), watch)

    def client(self, certificate: bytes) -> Serial | None:
        """Return the serial of a verifier's certificate."""
        known = self.clients.bearer(certificate)
        return None if known is None else known[1]

    def at_once(self, request: Request) -> Answer | None:
        """Answer what is known already."""
        path = _path(request.target)
        if _is_ocsp(path):
            return self._responder.answer_at_once(*_question(request, path))
        return None if path in _WAITING else _for_method(request, _beside(path))

    def in_time(self, request: Request) -> Answer:
        """Answer what needs the ledger, or a key in a token."""
        path = _path(request.target)
        if path == b"/readyz":
            status, told = readiness(self._health)
            body = json.dumps(told, ensure_ascii=False).encode()
            return _for_method(request, _plain(status, "application/json", body))
        if path == b"/metrics":
            return _for_method(request, _plain(HTTPStatus.OK, CONTENT_TYPE, self._metrics.exposition()))
        return self._responder.answer(*_question(request, path))

    def busy(self) -> Answer:
        """Return OCSP's word for it."""
        return self._responder.busy()

    def answered(self, request: Request | None, answer: Answer, seconds: float, address: str) -> None:
        """Count the answer, and log one in a hundred."""
        door = "ocsp"
        if answer.outcome is None:
            door = OTHER if request is None else _door(_path(request.target))
        if self._count(door, answer.status, answer.outcome, seconds):
            self.watch.log(_exchange(door, request, answer, seconds, address))


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
        seeing: asyncio.Future[None] | None = None
        with suppress(asyncio.CancelledError):
            while self.alive and self.ppid == os.getppid():
                self.notify()
                if tls and (seeing is None or seeing.done()):
                    seeing = self.loop.run_in_executor(None, door.clients.keep_up)
                door.watch.tally.connections(len(hub.open))
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


def _is_ocsp(path: bytes) -> bool:
    return path == _OCSP or path.startswith(b"/ocsp/")


def _door(path: bytes) -> str:
    if _is_ocsp(path):
        return "ocsp"
    return HEALTH if path in _HEALTH else OTHER


def _exchange(door: str, request: Request | None, answer: Answer, seconds: float, address: str) -> Exchange:
    path = b"" if request is None else _path(request.target)
    return Exchange(
        door=door,
        route="/ocsp" if door == "ocsp" else path.decode() if path in _HEALTH else OTHER,
        method="" if request is None else request.method,
        status=answer.status,
        octets=len(answer.body),
        seconds=seconds,
        outcome=answer.outcome,
        client=address,
    )


def _question(request: Request, path: bytes) -> tuple[str, str, Mapping[str, str], bytes, Serial | None]:
    return request.method, path[len(_OCSP) + 1 :].decode("latin-1"), request.headers, request.body, request.client


def _beside(path: bytes) -> Answer:
    return _plain(HTTPStatus.OK, "text/plain", b"ok\n") if path == b"/livez" else refusal(HTTPStatus.NOT_FOUND)


def _plain(status: int, content_type: str, body: bytes) -> Answer:
    return Answer(status, fields({"Content-Type": content_type, "Content-Length": str(len(body))}), body)


def _for_method(request: Request, answer: Answer) -> Answer:
    return answer._replace(body=b"") if request.method == "HEAD" else answer
