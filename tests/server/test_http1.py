"""The fast door's connections: requests in pieces and in heaps, and clients that take their time or send too much."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jpki.ids import Serial
from ocsp.fields import fields
from ocsp.responder import Answer
from server import http1
from server.http1 import MOST_HEAD_OCTETS, Connection, Hub, Request


@dataclass
class Echo:
    """Says what it was asked; what begins with /slow takes its time."""

    most_body_octets: int = 100
    asked: list[Request] = field(default_factory=list)
    pause: float = 0.05
    noted: list[tuple[bytes | None, int, float, str]] = field(default_factory=list)

    def client(self, certificate: bytes) -> Serial | None:
        raise NotImplementedError

    def at_once(self, request: Request) -> Answer | None:
        return None if request.target.startswith(b"/slow") else self.in_time(request, 0)

    def in_time(self, request: Request, pause: float | None = None) -> Answer:
        time.sleep(self.pause if pause is None else pause)
        self.asked.append(request)
        body = b"%b %d" % (request.target, len(request.body))
        return Answer(200, fields({"Content-Length": str(len(body))}), body)

    def busy(self) -> Answer:
        return Answer(503, fields({"Content-Length": "0"}), b"")

    def answered(self, request: Request | None, answer: Answer, seconds: float, address: str) -> None:
        self.noted.append((None if request is None else request.target, answer.status, seconds, address))


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Hub], Coroutine[Any, Any, bytes]]


def talk(with_it: Talk, service: Echo | None = None) -> bytes:
    """Run a hub on a socket of its own, and return what one client made of it."""

    async def run() -> bytes:
        loop = asyncio.get_running_loop()
        hub = Hub(service or Echo(), loop)
        server = await loop.create_server(lambda: Connection(hub), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            return await asyncio.wait_for(with_it(reader, writer, hub), 20)
        finally:
            writer.close()
            server.close()
            hub.finish()
            await asyncio.wait_for(hub.ended.wait(), 10)

    return asyncio.run(run())


def sent(*pieces: bytes, service: Echo | None = None) -> bytes:
    """Send pieces, each by itself, and return all that comes until the other side closes."""

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Hub) -> bytes:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        return await reader.read()

    return talk(send, service)


def bodies(answers: bytes) -> list[bytes]:
    return [each.partition(b"\r\n\r\n")[2] for each in answers.split(b"HTTP/1.1 ")[1:]]


GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345"
SLOW = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"


def test_requests_of_a_heap_are_answered_in_their_order() -> None:
    assert bodies(sent(GET + POST + SLOW + GET + LAST)) == [b"/a 0", b"/p 5", b"/slow 0", b"/a 0", b"/last 0"]


@given(st.lists(st.integers(0, len(POST + GET + LAST)), max_size=6))
def test_a_request_may_come_in_any_pieces(cuts: list[int]) -> None:
    whole, marks = POST + GET + LAST, [0, *sorted(cuts), len(POST + GET + LAST)]
    pieces = [whole[begin:end] for begin, end in pairwise(marks)]
    assert bodies(sent(*pieces)) == [b"/p 5", b"/a 0", b"/last 0"]


def test_a_chunked_body_is_read() -> None:
    chunked = b"POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    assert bodies(sent(chunked + LAST)) == [b"/p 5", b"/last 0"]


def test_after_a_long_body_was_cut_nothing_more_is_read() -> None:
    service = Echo()
    answers = sent(b"POST /p HTTP/1.1\r\nContent-Length: 500000\r\n\r\n", b"0" * 5000, GET, service=service)
    assert bodies(answers) == [b"/p 101"]
    assert b"Connection: close\r\n" in answers
    assert len(service.asked) == 1


def test_a_long_body_that_came_whole_is_asked_about_once() -> None:
    service = Echo()
    assert bodies(sent(b"POST /p HTTP/1.1\r\nContent-Length: 500\r\n\r\n" + b"0" * 500, service=service)) == [b"/p 101"]
    assert len(service.asked) == 1


def test_after_the_offer_of_another_protocol_nothing_more_is_read() -> None:
    offer = (
        b"GET /a HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    )
    assert bodies(sent(offer, GET)) == [b"/a 0"]


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
        (b"GET / HTTP/1.1\r\nBad Name: x\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabc", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", b"400"),
        (b"GET /" + b"a" * MOST_HEAD_OCTETS + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 4000, b"431"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 3 * MOST_HEAD_OCTETS, b"431"),
    ],
)
def test_what_is_no_bearable_request_is_refused(octets: bytes, status: bytes) -> None:
    answer = sent(octets)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close\r\n" in answer


@pytest.mark.parametrize("name", [b"X: ", b""])
def test_what_follows_a_body_is_bounded_too(name: bytes) -> None:
    """A trailer of one endless line, or of many: it is refused, and neither kept nor waited for."""
    chunked = b"POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
    more = [b"y" * 10_000 if name else b"A: b\r\n" * 1_666] * 40
    assert sent(chunked + name, *more).startswith(b"HTTP/1.1 431 ")


def test_http_1_0_is_kept_only_where_it_asks() -> None:
    kept = b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    answers = sent(kept + b"GET /b HTTP/1.0\r\n\r\n" + GET)
    assert bodies(answers) == [b"/a 0", b"/b 0"]
    assert answers.count(b"Connection: keep-alive\r\n") == 1


def test_a_client_that_waits_for_leave_to_send_gets_it() -> None:
    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Hub) -> bytes:
        writer.write(b"POST /p HTTP/1.1\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n")
        leave = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"ab")
        return leave + await reader.read()

    assert talk(ask).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_a_client_that_shuts_its_side_gets_what_it_is_owed() -> None:
    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Hub) -> bytes:
        writer.write(SLOW + GET)
        writer.write_eof()
        return await reader.read()

    assert bodies(talk(ask)) == [b"/slow 0", b"/a 0"]


def test_a_client_that_sends_on_after_its_answer_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "LINGER_SECONDS", 0.1)

    async def send_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hub: Hub) -> bytes:
        writer.write(b"no HTTP\r\n\r\n")
        answer = await reader.read()
        for _ in range(200):
            writer.write(b"more" * 1000)
            await asyncio.sleep(0.01)
            hub.close_overdue()
            if not hub.open:
                return answer
        return b"open"

    assert talk(send_on).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("octets", [b"", b"GET /a HT", b"POST /p HTTP/1.1\r\nContent-Length: 5\r\n\r\n12", GET])
def test_a_client_that_takes_its_time_is_closed(octets: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "REQUEST_SECONDS", 0.05)
    monkeypatch.setattr(http1, "IDLE_SECONDS", 0.05)

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hub: Hub) -> bytes:
        writer.write(octets)
        await asyncio.sleep(0.02)
        hub.close_overdue()
        assert hub.open
        await asyncio.sleep(0.2)
        hub.close_overdue()
        await asyncio.wait_for(hub.ended.wait(), 5)
        with suppress(ConnectionResetError):
            await reader.read()
        return b"closed"

    assert talk(wait) == b"closed"


def test_a_drop_at_a_time_does_not_stretch_a_requests_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "REQUEST_SECONDS", 0.2)

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter, hub: Hub) -> bytes:
        begun = asyncio.get_running_loop().time()
        for octet in POST * 100:
            writer.write(bytes([octet]) if octet != POST[-1] else b"")
            await asyncio.sleep(0.02)
            hub.close_overdue()
            await asyncio.sleep(0)
            if not hub.open:
                break
        return b"closed" if asyncio.get_running_loop().time() - begun < 3 else b"open"

    assert talk(drip) == b"closed"


def test_a_second_request_has_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "REQUEST_SECONDS", 0.05)

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hub: Hub) -> bytes:
        writer.write(GET)
        answer = await reader.readuntil(b"/a 0")
        await asyncio.sleep(0.1)
        hub.close_overdue()
        assert hub.open
        writer.write(b"GET /b HT")
        await asyncio.sleep(0.1)
        hub.close_overdue()
        await asyncio.wait_for(hub.ended.wait(), 5)
        return answer

    assert bodies(talk(begin)) == [b"/a 0"]


def test_a_client_that_asks_ahead_is_read_only_so_far() -> None:
    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hub: Hub) -> bytes:
        writer.write(SLOW)
        for _ in range(60):
            writer.write(GET)
            await asyncio.sleep(0.005)
        (connection,) = hub.open
        assert 16 <= len(connection._queue) <= 18  # noqa: SLF001 - nothing outside shows it
        writer.write(LAST)
        return await reader.read()

    assert len(bodies(talk(ask, Echo(pause=0.6)))) == 62


def test_what_is_being_answered_is_not_overdue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "REQUEST_SECONDS", 0.05)
    monkeypatch.setattr(http1, "IDLE_SECONDS", 0.05)

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hub: Hub) -> bytes:
        writer.write(SLOW)
        for _ in range(20):
            await asyncio.sleep(0.01)
            hub.close_overdue()
        return await reader.readuntil(b"/slow 0")

    assert talk(ask, Echo(pause=0.5)).endswith(b"/slow 0")


def test_more_connections_than_there_is_room_for_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "MOST_CONNECTIONS", 1)

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hub: Hub) -> bytes:
        second, other = await asyncio.open_connection(*writer.get_extra_info("peername"))
        try:
            other.write(GET)
            with suppress(ConnectionResetError):
                assert await second.read() == b""
        finally:
            other.close()
        assert len(hub.open) == 1
        writer.write(LAST)
        return await reader.read()

    assert bodies(talk(ask)) == [b"/last 0"]


def test_more_requests_than_threads_can_serve_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "_MOST_WAITING", 0)
    assert sent(SLOW + LAST).startswith(b"HTTP/1.1 503 ")


def test_a_client_that_leaves_answers_unread_is_read_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "REQUEST_SECONDS", 0.1)
    service = Echo()

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter, hub: Hub) -> bytes:
        writer.transport.pause_reading()  # type: ignore[attr-defined] # a stream's transport reads too
        for _attempt in range(300):
            writer.write((b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n") * 20)
            await asyncio.sleep(0.005)
            hub.close_overdue()
            if not hub.open:
                return b"closed"
        return b"open"

    assert talk(flood, service) == b"closed"


def test_a_worker_that_ends_finishes_what_it_was_asked() -> None:
    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hub: Hub) -> bytes:
        writer.write(SLOW)
        await asyncio.sleep(0.02)
        hub.finish()
        return await reader.read()

    assert bodies(talk(ask)) == [b"/slow 0"]


def test_every_answer_is_noted_with_its_time_and_its_clients_address() -> None:
    service = Echo()
    sent(GET + SLOW + LAST, service=service)
    sent(b"no HTTP\r\n\r\n", service=service)
    targets, statuses, seconds, addresses = zip(*service.noted, strict=True)
    assert targets == (b"/a", b"/slow", b"/last", None)
    assert statuses == (200, 200, 200, 400)
    assert 0.05 <= seconds[1] < 5
    assert seconds[0] < seconds[1]
    assert set(addresses) == {"127.0.0.1"}


def test_what_cannot_be_served_at_once_is_noted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "_MOST_WAITING", 0)
    service = Echo()
    sent(SLOW + LAST, service=service)
    assert [(target, status) for target, status, _, _ in service.noted] == [(b"/slow", 503), (b"/last", 200)]
