"""The OCSP door for an ASGI server, the fast one: a thin adapter of `Responder`."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ocsp.request import MAX_REQUEST_OCTETS
from ocsp.responder import Answer, Responder

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]
"""An ASGI 3 application."""

PATH = b"/ocsp"
_THREADS = 8
_MOST_WAITING = 256
"""How many questions may wait for the ledger or a key; to one more the answer is tryLater."""


def make_app(responder: Responder) -> Application:
    """Return the application that serves POST /ocsp and GET /ocsp/<base64>.

    What can be answered without waiting is answered in the event loop, all else in a few threads.
    """
    return _Door(responder)


class _Door:
    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="ocsp")
        self._waiting = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        method: str = scope["method"]
        encoded = scope["raw_path"][len(PATH) + 1 :].decode("latin-1")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = await _body(receive) if method == "POST" else b""
        answer = self._responder.answer_at_once(method, encoded, headers, body)
        if answer is None:
            answer = await self._waited_for(method, encoded, headers, body)
        fields = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": fields})
        await send({"type": "http.response.body", "body": answer.body})

    async def _waited_for(self, *question: Any) -> Answer:  # noqa: ANN401 - the arguments of `Responder.answer`
        if self._waiting == _MOST_WAITING:
            return self._responder.busy()
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._responder.answer, *question)
        finally:
            self._waiting -= 1


async def _body(receive: Receive) -> bytes:
    """Return the request's body, cut where it is longer than any question."""
    body = b""
    while len(body) <= MAX_REQUEST_OCTETS:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return body
