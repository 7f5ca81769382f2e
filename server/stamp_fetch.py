"""The way to one time-stamp authority that somebody named: bounded in time and octets, and nowhere else than there."""

from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException
from urllib.parse import SplitResult

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from ocsp.http_client import Ask, answered, split_address

LARGEST = 64 * 1024
"""Octets of an answer; no more is read, and what is cut is no answer."""
_SECONDS = 10.0
_HEADERS = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}


def stamp_fetcher(url: str, seconds: float = _SECONDS) -> Callable[[bytes], bytes]:
    """Return what sends a TimeStampReq to `url` and returns the answer (RFC 3161 3.4): no proxies, no redirects.

    `seconds` bound the way there, and then all that comes back, however slowly it drips. What is returned raises
    UNAVAILABLE `tsa-unreachable`.

    Raises:
        JpkiError: MALFORMED `tsa-url-malformed` if `url` is not http or https with a host.
    """
    try:
        address = split_address(url)
    except ValueError as error:
        raise _malformed() from error

    def ask(request: bytes) -> bytes:
        try:
            return _post(address, request, seconds)
        except (OSError, HTTPException, ValueError) as error:
            raise _unreachable(url) from error

    return ask


def _post(address: SplitResult, request: bytes, seconds: float) -> bytes:
    with answered(address, Ask("POST", _HEADERS, seconds, request)) as response:
        if response.status != HTTPStatus.OK:
            raise ConnectionError(f"HTTP {response.status}")
        answer = response.read(LARGEST)
        if len(answer) < LARGEST and response.length:
            raise ConnectionError("the connection ended before the answer did")
        return answer


def _malformed() -> JpkiError:
    return JpkiError(
        Kind.MALFORMED,
        "tsa-url-malformed",
        Text("時刻認証局の接続先として使えないURLです。", "The URL cannot be the address of a time-stamp authority."),
        Text(
            "http:// または https:// で始まるURLを、ユーザー名を含めずに指定してください。",
            "Give a URL that begins with http:// or https:// and holds no user name.",
        ),
    )


def _unreachable(url: str) -> JpkiError:
    return JpkiError(
        Kind.UNAVAILABLE,
        "tsa-unreachable",
        Text(
            f"時刻認証局 {url} から応答を得られませんでした。文書は署名されていません。",
            f"The time-stamp authority {url} could not give an answer. The document was not signed.",
        ),
        Text(
            "接続先を確認し、しばらくしてからもう一度試してください。", "Check the address, and try again in a while."
        ),
    )
