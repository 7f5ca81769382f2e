"""The fast application: the OCSP door for ASGI, with /livez and /readyz beside it."""

import asyncio
import json
from collections.abc import Mapping

import ocsp.asgi
from ocsp.asgi import Application, Message, Receive, Send
from server import problems
from server.app import Door, checks
from server.health import Check, readiness
from server.wiring import Rooms


def create_app(rooms: Rooms) -> Application:
    """Return the application."""
    answer, health = ocsp.asgi.make_app(rooms.responder), checks(rooms, [Door.OCSP])

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        path: bytes = scope["raw_path"]
        if path == ocsp.asgi.PATH or path.startswith(ocsp.asgi.PATH + b"/"):
            await answer(scope, receive, send)
        else:
            await _send(send, *await asyncio.to_thread(_beside, path, health))

    return app


def _beside(path: bytes, health: Mapping[str, Check]) -> tuple[int, str, bytes]:
    """Return status, content type and body of what is not OCSP."""
    if path == b"/livez":
        return 200, "text/plain", b"ok\n"
    if path == b"/readyz":
        status, fields = readiness(health)
        return status, "application/json", json.dumps(fields, ensure_ascii=False).encode()
    return 404, "application/problem+json", problems.no_such().get_data()


async def _send(send: Send, status: int, content_type: str, body: bytes) -> None:
    headers = {"content-type": content_type, "content-length": str(len(body)), "cache-control": "no-store"}
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
