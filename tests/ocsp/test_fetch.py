"""The one way to a responder: it ends in time and in octets, whatever the other side does."""

import socket
import time
from collections.abc import Callable
from itertools import repeat

import pytest

from jpki.errors import JpkiError
from ocsp.fetch import MAX_RESPONSE_OCTETS, Call, NoReply, Reply, fetcher, post
from tests.ocsp.servers import replying, talking

SOON = 0.3
OK = b"HTTP/1.1 200 OK\r\n"


def fetched(url: str, call: Call | None = None) -> Reply:
    return fetcher(url, SOON)(call or post(b"question"))


def endlessly(first: bytes, then: bytes, pause: float = 0) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.sendall(first)
        for octets in repeat(then):
            connection.sendall(octets)
            time.sleep(pause)

    return talk


def test_a_reply_is_its_status_headers_and_body() -> None:
    with replying(lambda body: (418, {"X-Asked": body.decode()}, b"answer")) as url:
        reply = fetched(url)
    assert (reply.status, reply.headers["x-asked"], reply.body) == (418, "question", b"answer")


def test_an_endless_body_is_cut() -> None:
    with talking(endlessly(OK + b"\r\n", b"0" * 4096)) as url:
        assert len(fetched(url).body) == MAX_RESPONSE_OCTETS


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(endlessly(OK + b"\r\n", b"0", 0.02), id="a body that drips"),
        pytest.param(endlessly(OK + b"X: ", b"0", 0.02), id="a header that drips"),
        pytest.param(endlessly(b"", b"0", 0.02), id="a status line that drips"),
        pytest.param(endlessly(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.02), id="Continue for ever"),
        pytest.param(lambda _: time.sleep(2 * SOON), id="silence"),
    ],
)
def test_who_never_ends_is_left_in_time(talk: Callable[[socket.socket], object]) -> None:
    with talking(talk) as url:
        begun = time.monotonic()
        with pytest.raises(NoReply) as caught:
            fetched(url)
        assert time.monotonic() - begun < 4 * SOON
    assert not caught.value.hung_up


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"garbage\r\n\r\n", id="no HTTP"),
        pytest.param(OK + b"X: 1\r\n" * 200 + b"\r\n", id="too many headers"),
        pytest.param(OK + b"X: " + b"0" * 70_000 + b"\r\n\r\n", id="too long a header"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", id="no chunk"),
    ],
)
def test_what_is_no_http_is_no_reply(said: bytes) -> None:
    with talking(lambda connection: connection.sendall(said)) as url, pytest.raises(NoReply):
        fetched(url)


def test_who_hangs_up_is_told_from_who_is_not_there() -> None:
    with talking(lambda _: None) as url, pytest.raises(NoReply) as caught:
        fetched(url)
    assert caught.value.hung_up
    with pytest.raises(NoReply) as caught:
        fetched(url)
    assert not caught.value.hung_up


def test_a_redirect_is_a_reply_and_is_not_followed() -> None:
    asked: list[bytes] = []

    def never(body: bytes) -> tuple[int, dict[str, str], bytes]:
        asked.append(body)
        return 200, {}, b""

    with replying(never) as target, replying(lambda _: (307, {"Location": target}, b"")) as url:
        assert fetched(url).status == 307
    assert asked == []


@pytest.mark.parametrize(
    ("address", "call", "target"),
    [
        ("", Call("GET", "MEow/A//+w=="), "/MEow/A//+w=="),
        ("/", Call("GET", "MEow%2F"), "/MEow%2F"),
        ("/ocsp", Call("GET", "MEow"), "/ocsp/MEow"),
        ("/ocsp/", Call("GET", "MEow"), "/ocsp/MEow"),
        ("", Call("GET"), "/"),
        ("/ocsp?ca=1", Call("GET"), "/ocsp?ca=1"),
    ],
)
def test_the_path_is_written_as_it_was_given(address: str, call: Call, target: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}{address}"
        listener.settimeout(5)
        with pytest.raises(NoReply):
            fetched(url, call)
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(4096).startswith(f"GET {target} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize("url", ["http://a:99999/", "http://a:0/", "http://a:x/", "ftp://a/", "http://u@a/"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(JpkiError, match="ocsp-url-malformed"):
        fetcher(url)
