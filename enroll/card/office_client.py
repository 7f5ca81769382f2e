"""The way from a counter's terminal to the office: its API over TLS, as the clerk who sits there. No PIN comes here."""

import base64
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException

from pydantic import ValidationError

from enroll.messages import CardRead, IssuedTold, Model, Problem, TerminalTold
from enroll.routes import PREFIX
from jpki.card import CardFacts
from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from jpki.text import Text
from ocsp.http_client import Ask, answered, split_address

_SECONDS = 30.0
_LARGEST_ANSWER = 262_144
_KINDS: Mapping[int, Kind] = {
    HTTPStatus.BAD_REQUEST: Kind.MALFORMED,
    HTTPStatus.UNAUTHORIZED: Kind.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: Kind.FORBIDDEN,
    HTTPStatus.NOT_FOUND: Kind.NOT_FOUND,
    HTTPStatus.CONFLICT: Kind.CONFLICT,
    HTTPStatus.UNPROCESSABLE_ENTITY: Kind.UNPROCESSABLE,
    HTTPStatus.TOO_MANY_REQUESTS: Kind.LIMITED,
    HTTPStatus.SERVICE_UNAVAILABLE: Kind.UNAVAILABLE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficeClient:
    """What a terminal asks of the office at `url`; each question goes over a connection of its own.

    All raise JpkiError: what the office refuses, in its own words; UNAVAILABLE `office-away`; INTERNAL
    `office-unreadable`.
    """

    url: str
    tls: ssl.SSLContext | None
    seconds: float = field(default=_SECONDS)

    def wanted(self) -> TerminalTold:
        """Return what is to be done for the case that lies before the clerk."""
        return _read(TerminalTold, self._asked("GET", "/terminal"))

    def present(self, case: str, card: CardFacts) -> None:
        """Tell which card lies in the reader."""
        read = CardRead(number=card.number, not_after=card.not_after, mode=card.mode)
        self._asked("POST", f"/cases/{case}/card", read.model_dump_json().encode())

    def issue(self, case: str, requests: Mapping[Purpose, bytes]) -> Mapping[Purpose, bytes]:
        """Have certificates issued for requests in DER, and return them in DER; a retry gets the same ones."""
        encoded = {purpose: base64.b64encode(each).decode() for purpose, each in requests.items()}
        told = self._asked("POST", f"/cases/{case}/issuance", json.dumps({"requests": encoded}).encode())
        return {purpose: base64.b64decode(each) for purpose, each in _read(IssuedTold, told).certificates.items()}

    def _asked(self, method: str, path: str, body: bytes | None = None) -> bytes:
        headers = {"Accept": "application/json"} | ({} if body is None else {"Content-Type": "application/json"})
        try:
            with answered(
                split_address(f"{self.url}{PREFIX}{path}"), Ask(method, headers, self.seconds, body, self.tls)
            ) as response:
                octets, status = response.read(_LARGEST_ANSWER), response.status
        except (OSError, HTTPException, ValueError) as error:
            raise _away() from error
        if status in (HTTPStatus.OK, HTTPStatus.CREATED):
            return octets
        told = _read(Problem, octets)
        kind = _KINDS.get(status, Kind.INTERNAL)
        raise JpkiError(
            kind,
            told.code,
            Text(told.problem.ja, told.problem.en),
            Text(told.action.ja, told.action.en),
        )


def _read(model: type[Model], octets: bytes) -> Model:
    try:
        return model.model_validate_json(octets)
    except ValidationError:
        raise _unreadable() from None


def _away() -> JpkiError:
    return JpkiError(
        Kind.UNAVAILABLE,
        "office-away",
        Text("登録窓口のサーバーに接続できません。", "The registration office's server does not answer."),
        Text("--url・--root と接続を確認してください。", "Check --url, --root and the network."),
    )


def _unreadable() -> JpkiError:
    return JpkiError(
        Kind.INTERNAL,
        "office-unreadable",
        Text("登録窓口のサーバーの応答を読めません。", "What the registration office's server answers cannot be read."),
        Text("--url が登録窓口のものか確認してください。", "Check that --url is the registration office's."),
    )
