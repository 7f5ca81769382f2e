"""HTTP/1.1 for the fast door: httptools reads it, and every limit on a client is kept here (docs/adr/0015)."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from functools import lru_cache, partial
from http import HTTPStatus
from time import perf_counter
from typing import NamedTuple, Protocol, cast

import httptools

from jpki.ids import Serial
from ocsp.fields import fields
from ocsp.responder import Answer
from server import problems

MOST_HEAD_OCTETS = 16_384
"""Of a request line and its headers; the longest question in a URL has about 13,400."""
MOST_OCTETS = 131_072
"""Of a whole request: a body in chunks of one octet takes six times its length, and the parser keeps its trailer."""
MOST_CONNECTIONS = 2_000
"""Of one worker; one more is closed."""
REQUEST_SECONDS = 10.0
"""From a connection's or a request's first octet to its last, and how long a client may leave answers unread."""
IDLE_SECONDS = 15.0
"""Between two requests."""
LINGER_SECONDS = 2.0
"""For a client that sends on after its answer."""
_MOST_QUEUED = 16
"""Requests of one connection that wait their turn; more are not read yet."""
_MOST_WAITING = 256
"""Requests of one worker that wait for a thread; one more is told that it is busy."""
_THREADS = 8


class Request(NamedTuple):
    """A request as it came: the target with its escapes, the headers that matter by lower-case name."""

    method: str
    target: bytes
    headers: dict[str, str]
    body: bytes
    client: Serial | None
    """The serial of the client's certificate, if it showed one that is trusted still."""


class Service(Protocol):
    """What answers requests. No method raises."""

    most_body_octets: int
    """A longer body is cut after one octet more, and its connection closed."""

    def client(self, certificate: bytes) -> Serial | None:
        """Return the serial of a client's certificate, None where it is nobody's; without waiting for anything."""
        ...

    def at_once(self, request: Request) -> Answer | None:
        """Answer without waiting for anything, or return None."""
        ...

    def in_time(self, request: Request) -> Answer:
        """Answer, in a thread that may wait."""
        ...

    def busy(self) -> Answer:
        """Return the answer where there is no thread for one more."""
        ...

    def answered(self, request: Request | None, answer: Answer, seconds: float, address: str) -> None:
        """Take note of an answer, what it took, and the client's address; in the event loop, before it is sent.

        Without a request it is the answer to what is none.
        """
        ...


class Hub:
    """All connections of one worker, and the threads that serve those requests that wait."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self.service = service
        self.loop = loop
        self.open: set[Connection] = set()
        self.ended = asyncio.Event()
        """Set while no connection is open."""
        self.ended.set()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="door")
        self._waiting = 0

    def answer_in_time(self, request: Request, then: Callable[[Answer], object]) -> None:
        """Have the request answered in a thread; `then` gets the answer in the event loop."""
        if self._waiting >= _MOST_WAITING:
            then(self.service.busy())
            return
        self._waiting += 1

        def done(future: asyncio.Future[Answer]) -> None:
            self._waiting -= 1
            if not future.cancelled():
                then(future.result())

        self.loop.run_in_executor(self._threads, self.service.in_time, request).add_done_callback(done)

    def close_overdue(self) -> None:
        """Close every connection whose client let its time pass; call it about every second."""
        now = self.loop.time()
        for connection in [each for each in self.open if each.deadline < now]:
            connection.abort()

    def finish(self) -> None:
        """Read nothing more; what is asked already is answered."""
        for connection in list(self.open):
            connection.finish()


class Connection(asyncio.Protocol):
    """One client. Requests that it sends ahead are answered in their order."""

    def __init__(self, hub: Hub) -> None:
        self.deadline: float
        """By the loop's clock; then `Hub.close_overdue` closes the connection."""
        self._hub = hub
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[tuple[Request, bool]] = deque()
        self._busy = False
        self._unread = False
        self._paused = False
        self._last = False
        self._lingers = False
        self._ended = False
        self._in_head = True
        self._octets = 0
        self.on_message_begin()

    # --- what the transport tells ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        tls = transport.get_extra_info("ssl_object")
        self._certificate: bytes | None = None if tls is None else tls.getpeercert(binary_form=True)
        peer = transport.get_extra_info("peername")
        self._address: str = peer[0] if peer else ""
        if len(self._hub.open) >= MOST_CONNECTIONS:
            self._last = True
            self._transport.abort()
        else:
            self._hub.open.add(self)
            self._hub.ended.clear()

    def connection_lost(self, _: Exception | None) -> None:
        """End: what is queued is asked by nobody any more."""
        self._last = True
        self._queue.clear()
        self._hub.open.discard(self)
        if not self._hub.open:
            self._hub.ended.set()

    def data_received(self, data: bytes) -> None:
        """Read what came."""
        if self._last:
            return
        self._octets += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Whoever offers another protocol is answered in this one, and nothing after it is read.
            self.finish()
        except httptools.HttpParserCallbackError:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        except httptools.HttpParserError:
            self._refuse(HTTPStatus.BAD_REQUEST)
        else:
            if self._octets > (MOST_HEAD_OCTETS if self._in_head else MOST_OCTETS):
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def eof_received(self) -> bool:
        """Read no more; what is owed is still sent."""
        self._lingers = False
        self.finish()
        return True

    def pause_writing(self) -> None:
        """Read nothing while the client leaves answers unread, and not for long."""
        self._unread = True
        self.deadline = self._hub.loop.time() + REQUEST_SECONDS
        self._rest()

    def resume_writing(self) -> None:
        """Go on reading."""
        self._unread = False
        self._rest()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def finish(self) -> None:
        """Read nothing more, and close when all is answered."""
        self._last = True
        self._rest()

    # --- what the parser tells -------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._target = b""
        self._headers: dict[str, str] = {}
        self._head_octets = 0
        self._expects = False
        self._body = b""
        self.deadline = self._hub.loop.time() + REQUEST_SECONDS

    def on_url(self, part: bytes) -> None:
        """Take a part of the target."""
        self._target += part
        self._count(len(part))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._count(len(name) + len(value))
        name = name.lower()
        if name == b"if-none-match":
            self._headers["if-none-match"] = value.decode("latin-1")
        elif name == b"expect":
            self._expects = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        """Let the client send the body, if it asked."""
        self._in_head = False
        if self._expects and not self._queue and not self._busy:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        """Take a part of the body, and no more of it than an answer needs."""
        if self._last:
            return
        most = self._hub.service.most_body_octets + 1
        self._body += part[: most - len(self._body)]
        if len(self._body) == most:
            self._lingers = True
            self._ask(keep=False)

    def on_message_complete(self) -> None:
        """Ask."""
        self._in_head = True
        self._octets = 0
        if not self._last:
            self._ask(keep=self._parser.should_keep_alive())

    def _count(self, octets: int) -> None:
        self._head_octets += octets
        if self._head_octets > MOST_HEAD_OCTETS:
            raise ValueError

    # --- answers ---------------------------------------------------------------------------------------------------

    def _ask(self, *, keep: bool) -> None:
        self._last = not keep
        method = self._parser.get_method().decode("latin-1")
        client = None if self._certificate is None else self._hub.service.client(self._certificate)
        request = Request(method, self._target, self._headers, self._body, client)
        if self._busy:
            self._queue.append((request, keep))
        else:
            self._answer(request, keep=keep)
        self._rest()

    def _answer(self, request: Request, *, keep: bool) -> None:
        begun = perf_counter()
        answer = self._hub.service.at_once(request)
        if answer is None:
            self._busy = True
            self._hub.answer_in_time(request, partial(self._answered, request, keep, begun))
        else:
            self._give(request, answer, begun, keep=keep)

    def _answered(self, request: Request, keep: bool, begun: float, answer: Answer) -> None:  # noqa: FBT001 - for `partial`
        self._busy = False
        self._give(request, answer, begun, keep=keep)
        while self._queue and not self._busy:
            request, keep = self._queue.popleft()
            self._answer(request, keep=keep)
        self._rest()

    def _rest(self) -> None:
        """Wait for what comes next: the next request, a thread's answer, or the end."""
        if self._busy:
            self.deadline = float("inf")
        elif self._last and not self._queue:
            self._end()
        elif not self._unread:
            self.deadline = self._hub.loop.time() + IDLE_SECONDS
        pause = self._unread or len(self._queue) > _MOST_QUEUED
        if pause != self._paused:
            self._paused = pause
            (self._transport.pause_reading if pause else self._transport.resume_reading)()

    def _end(self) -> None:
        """Close. A client that still sends would lose the answer by that: it is let send on, unread, for a while."""
        if not self._lingers or not self._transport.can_write_eof():
            self._transport.close()
        elif not self._ended:
            self._ended = True
            self._transport.write_eof()
            self.deadline = self._hub.loop.time() + LINGER_SECONDS

    def _give(self, request: Request | None, answer: Answer, begun: float, *, keep: bool) -> None:
        hub, transport = self._hub, self._transport
        hub.service.answered(request, answer, perf_counter() - begun, self._address)
        if not transport.is_closing():
            head = _head(answer.status, int(hub.loop.time()), keep)
            transport.write(b"".join((head, answer.fields, b"\r\n", answer.body)))

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer what is no HTTP request of a bearable size, without a word of it (rule R21)."""
        self._queue.clear()
        if not self._busy:
            self._give(None, refusal(status), perf_counter(), keep=False)
        self._last = self._lingers = True
        self._rest()


@lru_cache(maxsize=64)
def _head(status: int, _: int, keep: bool) -> bytes:  # noqa: FBT001 - a positional call costs less
    """Return the status line and the fields that all such answers of one second share.

    HTTP/1.0 must be told that a connection is kept, and HTTP/1.1 may be (RFC 9112 9.3).
    """
    named = {"Date": formatdate(usegmt=True), "Connection": "keep-alive" if keep else "close"}
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode() + fields(named)


def refusal(status: HTTPStatus) -> Answer:
    """Return the answer to what is no HTTP request that can be served: a problem without a word of the client's."""
    code = status.phrase.lower().replace(" ", "-")
    body = problems.document(status, code, problems.NO_SUCH, problems.CHECK)
    headers = {
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
    }
    return Answer(status, fields(headers), body)
