"""Asking one OCSP responder over HTTP, whatever it answers: bounded in time and octets, and nowhere else than there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from urllib.parse import SplitResult

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from ocsp.http_client import Ask, answered, split_address

MAX_RESPONSE_OCTETS = 64 * 1024
"""No more is read; a longer response is cut, and so malformed."""

REQUEST_TYPE = "application/ocsp-request"
RESPONSE_TYPE = "application/ocsp-response"


@dataclass(frozen=True, slots=True)
class Call:
    """An HTTP request; `path` is put after the responder's address exactly as it is written (RFC 6960 A.1)."""

    method: str
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, with lower-case names of its headers; a redirect is one like any other."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoReply(Exception):  # noqa: N818 - a fact about the responder, which each caller judges; it stays in this room
    """Nothing came back that is HTTP, or not in time; `hung_up` if the other side took the call and ended it."""

    def __init__(self, *, hung_up: bool) -> None:
        super().__init__()
        self.hung_up = hung_up


Fetch = Callable[[Call], Reply]
"""Sends a call to the one address that it was made for, and returns what comes back, or raises `NoReply`."""


def post(question: bytes) -> Call:
    """Return the call that asks by POST."""
    headers = {"Content-Type": REQUEST_TYPE, "Accept": RESPONSE_TYPE}
    return Call("POST", headers=headers, body=question)


def fetcher(url: str, timeout: float = 5.0) -> Fetch:
    """Return the way to the responder at `url`: no proxies, no redirects, no cookies, a new connection each time.

    `timeout` bounds, in seconds, the way there, and then all that comes back, however slowly it drips.

    Raises:
        JpkiError: MALFORMED `ocsp-url-malformed` if `url` is not http or https with a host.
    """
    address = _checked(url)

    def fetch(call: Call) -> Reply:
        try:
            with answered(_address(address, call), Ask(call.method, call.headers, timeout, call.body)) as response:
                body = response.read(MAX_RESPONSE_OCTETS)
        except (OSError, HTTPException, ValueError) as error:
            ended = isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError)
            raise NoReply(hung_up=ended) from error
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, body)

    return fetch


def _address(address: SplitResult, call: Call) -> SplitResult:
    return address._replace(path=f"{address.path.rstrip('/')}/{call.path}", query="") if call.path else address


def _checked(url: str) -> SplitResult:
    try:
        return split_address(url)
    except ValueError as error:
        raise JpkiError(
            Kind.MALFORMED,
            "ocsp-url-malformed",
            Text("OCSPの接続先として使えないURLです。", "The URL cannot be the address of an OCSP responder."),
            Text(
                "http:// または https:// で始まるURLを、ユーザー名を含めずに指定してください。",
                "Give a URL that begins with http:// or https:// and holds no user name.",
            ),
        ) from error


def unreachable(url: str) -> JpkiError:
    """Return the error of a responder that gave no answer: UNAVAILABLE `ocsp-unreachable`."""
    return JpkiError(
        Kind.UNAVAILABLE,
        "ocsp-unreachable",
        Text(
            f"OCSPレスポンダ {url} から回答を得られませんでした。",
            f"The OCSP responder {url} could not give an answer.",
        ),
        Text(
            "接続先を確認し、しばらくしてからもう一度試してください。", "Check the address, and try again in a while."
        ),
    )
