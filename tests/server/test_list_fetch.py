"""Fetching a list by its URL: it ends in time and in octets, whatever the other side does."""

import socket
import time
from collections.abc import Callable
from io import BytesIO
from itertools import repeat
from threading import Thread

import pytest

from jpki.errors import JpkiError, Kind
from server.list_fetch import fetch_list
from tests.ocsp.servers import talking

SOON = 0.3
OK = b"HTTP/1.1 200 OK\r\n"
LIST = bytes(range(256)) * 4096


def fetched(url: str, largest: int = 2 * len(LIST)) -> bytes:
    file = BytesIO()
    fetch_list(url, file, SOON, largest)
    return file.getvalue()


def saying(*parts: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(b"".join(parts))


def endlessly(first: bytes, then: bytes, pause: float = 0) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.sendall(first)
        for octets in repeat(then):
            connection.sendall(octets)
            time.sleep(pause)

    return talk


def refused(url: str, largest: int = 2 * len(LIST)) -> JpkiError:
    with pytest.raises(JpkiError) as caught:
        fetched(url, largest)
    return caught.value


def test_what_is_there_comes_whole() -> None:
    length = f"Content-Length: {len(LIST)}\r\n\r\n".encode()
    for head in (OK + length, OK + b"\r\n"):
        with talking(saying(head, LIST)) as url:
            assert fetched(url + "list.crl?of=p0001") == LIST
    with talking(saying(OK, b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n\r\n")) as url:
        assert fetched(url) == b"half"


def test_the_path_and_query_are_asked_for_as_they_are_written() -> None:
    heard: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        connection.sendall(OK + b"Content-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                heard.append(connection.recv(65536))
                talk(connection)

        thread = Thread(target=serve)
        thread.start()
        fetched(f"http://127.0.0.1:{port}/crl/a%20b.crl?x=1")
        thread.join()
    assert heard[0].startswith(b"GET /crl/a%20b.crl?x=1 HTTP/1.1\r\n")
    assert b"Cookie" not in heard[0]


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(endlessly(OK + b"\r\n", b"0", 0.02), id="a body that drips"),
        pytest.param(endlessly(OK + b"X: ", b"0", 0.02), id="a header that drips"),
        pytest.param(lambda _: time.sleep(2 * SOON), id="silence"),
    ],
)
def test_who_never_ends_is_left_in_time(talk: Callable[[socket.socket], object]) -> None:
    with talking(talk) as url:
        begun = time.monotonic()
        error = refused(url)
        assert time.monotonic() - begun < 4 * SOON
    assert (error.kind, error.code) == (Kind.UNAVAILABLE, "crl-unreachable")


def test_an_endless_body_is_not_kept() -> None:
    with talking(endlessly(OK + b"\r\n", b"0" * 4096)) as url:
        error = refused(url, 10_000)
    assert (error.kind, error.code) == (Kind.TOO_LARGE, "crl-too-large")


def test_the_largest_that_is_taken_is_taken() -> None:
    with talking(saying(OK, b"\r\n", LIST)) as url:
        assert fetched(url, len(LIST)) == LIST
    with talking(saying(OK, b"\r\n", LIST)) as url:
        assert refused(url, len(LIST) - 1).code == "crl-too-large"


@pytest.mark.parametrize(
    "answer",
    [OK + b"Content-Length: 100\r\n\r\nhalf", OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", b"no HTTP\r\n"],
    ids=["cut short", "a chunk too few", "no HTTP"],
)
def test_half_a_list_is_none(answer: bytes) -> None:
    with talking(saying(answer)) as url:
        assert refused(url).code == "crl-unreachable"


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (301, Kind.UNPROCESSABLE, "crl-not-there"),
        (404, Kind.UNPROCESSABLE, "crl-not-there"),
        (503, Kind.UNAVAILABLE, "crl-unreachable"),
    ],
)
def test_another_status_than_200_is_told(status: int, kind: Kind, code: str) -> None:
    head = f"HTTP/1.1 {status} No\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".encode()
    with talking(saying(head)) as url:
        error = refused(url)
    assert (error.kind, error.code) == (kind, code)
    assert code != "crl-not-there" or str(status) in error.problem.en


@pytest.mark.parametrize(
    "url",
    ["ftp://a.test/x", "http://", "http://user@a.test/", "http://a.test:0/", "http://a.test:x/", "http://ä.test/"],
)
def test_what_is_no_address_is_malformed(url: str) -> None:
    error = refused(url)
    assert (error.kind, error.code) == (Kind.MALFORMED, "crl-url-malformed")


def test_nobody_there_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert refused(f"http://127.0.0.1:{port}/").code == "crl-unreachable"
