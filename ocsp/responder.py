"""The responder: one pure function from an HTTP request to an HTTP answer (RFC 6960 appendix A.1, RFC 5019).

Flask and any other door are thin adapters of it.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from email.utils import format_datetime

from jpki.clock import Clock
from jpki.errors import JpkiError, Kind
from jpki.ports import StatusSource
from ocsp.issuers import ForeignIssuer, Issuer, issuer_asked
from ocsp.live import LiveSource, SignedAnswer
from ocsp.request import MalformedRequest, octets_in_path, parse_request
from ocsp.response import ResponseStatus, refusal

_log = logging.getLogger(__name__)

CACHE_LIFE = timedelta(seconds=60)
"""How long HTTP caches keep an answer: much shorter than its nextUpdate, so that a revocation shows soon."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Responder:
    """Answers for all generations that `issuers` returns; it is asked anew each time, for responders change."""

    def __init__(self, issuers: Callable[[], Sequence[Issuer]], status: StatusSource, clock: Clock) -> None:
        self._issuers = issuers
        self._live = LiveSource(status, clock)

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one HTTP request; nothing that a client sends raises or gives a 5xx.

        `path` is what follows `/ocsp/`, with or without its escapes; `headers` have lower-case names; `body` may
        be cut after `MAX_REQUEST_OCTETS` + 1. Content-Type and Accept play no part: the octets tell what they
        are, and clients in the field send all sorts.
        """
        if method not in {"GET", "HEAD", "POST"}:
            return Answer(405, {"Allow": "GET, HEAD, POST", "Content-Length": "0"}, b"")
        answer = self._ocsp_answer(method, path, body)
        if method == "POST":
            return answer
        return _read(answer, headers.get("if-none-match", ""), head=method == "HEAD")

    def _ocsp_answer(self, method: str, path: str, body: bytes) -> Answer:
        try:
            request = parse_request(body if method == "POST" else octets_in_path(path))
            signed = self._live.answer(issuer_asked(self._issuers(), request), request)
        except MalformedRequest:
            return _refused(ResponseStatus.MALFORMED_REQUEST)
        except ForeignIssuer:
            return _refused(ResponseStatus.UNAUTHORIZED)
        except JpkiError as error:
            _log.error("no OCSP answer: %s", error.code)
            outage = error.kind is Kind.UNAVAILABLE
            return _refused(ResponseStatus.TRY_LATER if outage else ResponseStatus.INTERNAL_ERROR)
        return _successful(signed, cacheable=request.nonce is None)


def _refused(status: ResponseStatus) -> Answer:
    return _answer(refusal(status), {"Cache-Control": "no-store"})


def _successful(signed: SignedAnswer, *, cacheable: bool) -> Answer:
    # An answer to a nonce is of use to the one client that drew it.
    return _answer(signed.der, _caching(signed) if cacheable else {"Cache-Control": "no-store"})


def _answer(body: bytes, headers: Mapping[str, str]) -> Answer:
    fixed = {"Content-Type": "application/ocsp-response", "Content-Length": str(len(body))}
    return Answer(200, {**fixed, **headers}, body)


def _caching(signed: SignedAnswer) -> dict[str, str]:
    """Return the headers of RFC 5019 6.2; Expires says the same as max-age, for caches that know only one."""
    produced = signed.period.this_update
    life = min(CACHE_LIFE, signed.period.next_update - produced)
    return {
        "ETag": f'"{hashlib.sha256(signed.der).hexdigest()}"',
        "Last-Modified": format_datetime(produced, usegmt=True),
        "Expires": format_datetime(produced + life, usegmt=True),
        "Cache-Control": f"max-age={int(life.total_seconds())}, public, no-transform, must-revalidate",
    }


def _read(answer: Answer, if_none_match: str, *, head: bool) -> Answer:
    """Return what GET and HEAD give of `answer`: all, only headers, or "not modified" (RFC 9110 13.1.2)."""
    known = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    if answer.headers.get("ETag") in known:
        kept = {name: value for name, value in answer.headers.items() if not name.startswith("Content-")}
        return Answer(304, kept, b"")
    return replace(answer, body=b"") if head else answer
