"""The way to one HTTP server that somebody named: bounded in time, however it drips, and nowhere else than there."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from io import BufferedReader, RawIOBase
from socket import socket
from ssl import SSLContext
from typing import TYPE_CHECKING, cast
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


_SECONDS_TO_CONNECT = 10.0


def split_address(url: str) -> SplitResult:
    """Return the parts of a URL that is http or https, with a host and without a user.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(url)
    named = bool(parts.hostname) and parts.port != 0 and parts.username is None
    if parts.scheme not in {"http", "https"} or not named or not url.isascii():
        raise ValueError("no address of an HTTP server")
    return parts


def _connection_to(address: SplitResult, timeout: float, tls: SSLContext | None) -> HTTPConnection:
    """Return a connection to be made, without proxies; `timeout` bounds in seconds the way there."""
    if address.scheme == "https":
        return HTTPSConnection(address.hostname or "", address.port, timeout=timeout, context=tls)
    return HTTPConnection(address.hostname or "", address.port, timeout=timeout)


def _target_of(address: SplitResult) -> str:
    """Return what a request for this address asks for."""
    return (address.path or "/") + (f"?{address.query}" if address.query else "")


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: its method, headers and body, and how many seconds all that comes back may take."""

    method: str
    headers: Mapping[str, str]
    seconds: float
    body: bytes | None = None


@contextmanager
def answered(address: SplitResult, ask: Ask, tls: SSLContext | None = None) -> Iterator[HTTPResponse]:
    """Send a request over a connection of its own, and yield what comes back, its status and headers read.

    `tls` says for https which servers are believed and what certificate is shown; without it the machine's own trust.

    Raises:
        OSError, http.client.HTTPException, ValueError: nothing came back, or no HTTP.
    """
    connection = _connection_to(address, min(ask.seconds, _SECONDS_TO_CONNECT), tls)
    try:
        connection.request(ask.method, _target_of(address), ask.body, {"Connection": "close", **ask.headers})
        connected, until = cast("socket", connection.sock), time.monotonic() + ask.seconds
        with _TimedResponse(connected, ask.method, until) as response:
            response.begin()
            yield response
    finally:
        connection.close()


class _TimedResponse(HTTPResponse):
    """A response that must be whole at a moment: a timeout of the socket alone begins anew with every octet.

    `until` is a moment of the monotonic clock; whoever reads past it gets a TimeoutError.
    """

    def __init__(self, connected: socket, method: str, until: float) -> None:
        super().__init__(connected, method=method)
        self.fp = BufferedReader(_Until(self.fp.detach(), connected, until))


class _Until(RawIOBase):
    """The octets of a socket until a moment of the monotonic clock."""

    def __init__(self, octets: RawIOBase, connected: socket, until: float) -> None:
        self._octets = octets
        self._connected = connected
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connected.settimeout(left)
        return self._octets.readinto(buffer)

    def close(self) -> None:
        self._octets.close()
        super().close()
