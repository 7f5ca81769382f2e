"""Fetching a list that somebody named by its URL: bounded in time and octets, and nowhere else than there."""

from http import HTTPStatus
from http.client import HTTPException
from typing import BinaryIO
from urllib.parse import SplitResult

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from ocsp.http_client import Ask, answered, split_address

LARGEST = 1 << 30
"""Octets; a list of twenty million entries fits."""
_SECONDS = 300.0
_BLOCK = 1 << 18


def fetch_list(url: str, file: BinaryIO, seconds: float = _SECONDS, largest: int = LARGEST) -> None:
    """Write what is at `url` to `file`: no proxies, no redirects, no cookies.

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
        _fetch(url, address, file, seconds, largest)
    except (OSError, HTTPException, ValueError) as error:
        raise _unreachable(url) from error


def _fetch(url: str, address: SplitResult, file: BinaryIO, seconds: float, largest: int) -> None:
    with answered(address, Ask("GET", {"Accept": "application/pkix-crl"}, seconds)) as response:
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
