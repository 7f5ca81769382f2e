"""Asking a time-stamp authority over HTTP: it ends in time and in octets, whatever the other side does."""

import socket
import time
from collections.abc import Callable
from itertools import repeat
from threading import Thread

import pytest

from jpki.errors import JpkiError, Kind
from server.stamp_fetch import LARGEST, stamp_fetcher
from tests.ocsp.servers import talking

SOON = 0.3
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\n"
Talk = Callable[[socket.socket], None]


def refused(url: str) -> JpkiError:
    with pytest.raises(JpkiError) as caught:
        stamp_fetcher(url, SOON)(b"a request")
    return caught.value


def saying(octets: bytes) -> Talk:
    return lambda connection: connection.sendall(octets)


def dripping(connection: socket.socket) -> None:
    connection.sendall(OK + b"\r\n")
    for octet in repeat(b"."):
        connection.sendall(octet)
        time.sleep(0.05)


def endless(connection: socket.socket) -> None:
    connection.sendall(OK + b"\r\n")
    while True:
        connection.sendall(bytes(65536))


def silent(connection: socket.socket) -> None:
    connection.recv(1)
    time.sleep(2 * SOON)


def test_the_request_goes_out_as_rfc_3161_has_it() -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                while b"a request" not in b"".join(heard):
                    heard.append(connection.recv(65536))
                connection.sendall(OK + b"Content-Length: 6\r\n\r\nanswer")

        thread = Thread(target=serve)
        thread.start()
        assert stamp_fetcher(f"http://127.0.0.1:{port}/tsa?a=b")(b"a request") == b"answer"
        thread.join()
    octets = b"".join(heard)
    assert octets.startswith(b"POST /tsa?a=b HTTP/1.1\r\n")
    assert b"Content-Type: application/timestamp-query\r\n" in octets
    assert b"Cookie" not in octets


@pytest.mark.parametrize(
    "talk",
    [
        saying(b""),
        saying(b"garbage\r\n\r\n"),
        saying(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"),
        saying(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nlate"),
        saying(OK + b"Content-Length: 10\r\n\r\ncut"),
        dripping,
        silent,
    ],
    ids=["closed", "garbage", "redirect", "503", "cut", "dripping", "silent"],
)
def test_what_gives_no_answer_is_away(talk: Talk) -> None:
    begin = time.monotonic()
    with talking(talk) as url:
        error = refused(url)
    assert (error.kind, error.code) == (Kind.UNAVAILABLE, "tsa-unreachable")
    assert url in error.problem.en
    assert url in error.problem.ja
    assert time.monotonic() - begin < 3 * SOON + 1


def test_no_more_is_read_than_the_cap() -> None:
    with talking(endless) as url:
        assert len(stamp_fetcher(url, SOON)(b"a request")) == LARGEST


def test_where_nobody_listens_nobody_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert refused(f"http://127.0.0.1:{port}/tsa").code == "tsa-unreachable"


@pytest.mark.parametrize("url", ["", "tsa.example", "ftp://tsa.example", "http://user@tsa.example", "http:///tsa"])
def test_what_is_no_url_is_never_asked(url: str) -> None:
    with pytest.raises(JpkiError) as caught:
        stamp_fetcher(url)
    assert (caught.value.kind, caught.value.code) == (Kind.MALFORMED, "tsa-url-malformed")
