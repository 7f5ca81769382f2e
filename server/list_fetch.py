"""Fetching a list that somebody named by its URL: bounded in time and octets, and nowhere else than there."""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from typing import BinaryIO
from urllib.parse import SplitResult

from cryptography.hazmat.primitives.serialization import Encoding

from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.text import Text
from ocsp.http_client import Ask, answered, split_address
from server.home import Home

LARGEST = 1 << 30
"""Octets; a list of twenty million entries fits."""
_SECONDS = 300.0
_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class NodeFetch:
    """Fetches lists from other nodes: over TLS below the home's own roots, as the verifier that this node is."""

    home: Home
    roots: Callable[[], Sequence[Generation]]

    def __call__(self, url: str, file: BinaryIO) -> None:
        """Write the list at `url` to `file`; raises as `fetch_list`."""
        fetch_list(url, file, tls=self._context(url) if url.startswith("https:") else None)

    def _context(self, url: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for each in self.roots():
            context.load_verify_locations(cadata=each.certificate.public_bytes(Encoding.DER))
        if self.home.node.is_dir():
            try:
                context.load_cert_chain(self.home.node / "certificate.pem", self.home.node / "key.pem")
            except OSError as error:
                raise _unreachable(url) from error
        return context


def fetch_list(
    url: str, file: BinaryIO, seconds: float = _SECONDS, largest: int = LARGEST, tls: ssl.SSLContext | None = None
) -> None:
    """Write what is at `url` to `file`: no proxies, no redirects, no cookies; `tls` is as `Ask` has it.

    Raises:
        JpkiError: MALFORMED `crl-url-malformed`; UNAVAILABLE `crl-unreachable` where nothing came back, not all of
            it, or not in time; UNPROCESSABLE `crl-not-there` where the server has no list there; TOO_LARGE
            `crl-too-large`.
    """
    try:
        address = split_address(url)
    except ValueError as error:
        raise _malformed() from error
    try:
        _fetch(address, Ask("GET", {"Accept": "application/pkix-crl"}, seconds, tls=tls), url, file, largest)
    except (OSError, HTTPException, ValueError) as error:
        raise _unreachable(url) from error


def _fetch(address: SplitResult, ask: Ask, url: str, file: BinaryIO, largest: int) -> None:
    with answered(address, ask) as response:
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _unreachable(url)
        if response.status != HTTPStatus.OK:
            raise _not_there(url, response.status)
        octets = 0
        while block := response.read(_BLOCK):
            octets += len(block)
            if octets > largest:
                raise _too_large(url, largest)
            file.write(block)
        if response.length:
            raise ConnectionError("the connection ended before the list did")


def _malformed() -> JpkiError:
    return JpkiError(
        Kind.MALFORMED,
        "crl-url-malformed",
        Text("失効リストの所在として使えないURLです。", "The URL cannot be the address of a CRL."),
        Text(
            "http:// または https:// で始まるURLを、ユーザー名を含めずに指定してください。",
            "Give a URL that begins with http:// or https:// and holds no user name.",
        ),
    )


def _unreachable(url: str) -> JpkiError:
    return JpkiError(
        Kind.UNAVAILABLE,
        "crl-unreachable",
        Text(f"{url} から失効リストを取得できませんでした。", f"The CRL at {url} could not be fetched."),
        Text(
            "接続先を確認し、しばらくしてからもう一度試してください。", "Check the address, and try again in a while."
        ),
    )


def _not_there(url: str, status: int) -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "crl-not-there",
        Text(f"{url} に失効リストはありません（HTTP {status}）。", f"There is no CRL at {url} (HTTP {status})."),
        Text(
            "証明書のCRL配布点のURLをそのまま使ってください。転送先は追いません。",
            "Use the URL in the certificate's CRL distribution point; redirects are not followed.",
        ),
    )


def _too_large(url: str, largest: int) -> JpkiError:
    return JpkiError(
        Kind.TOO_LARGE,
        "crl-too-large",
        Text(f"{url} は {largest} オクテットを超えています。", f"What is at {url} has more than {largest} octets."),
        Text("ファイルとして取得し、そのファイルを指定してください。", "Download it as a file, and give the file."),
    )
