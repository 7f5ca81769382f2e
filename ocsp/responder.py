"""The responder: one pure function from an HTTP request to an HTTP answer (RFC 6960 appendix A.1, RFC 5019).

Flask and any other door are thin adapters of it.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from math import ceil
from typing import NamedTuple

from jpki.clock import Clock
from jpki.errors import JpkiError, Kind
from jpki.ids import Serial
from jpki.ports import Admission, StatusSource
from jpki.revocation import Status
from jpki.text import Text
from jpki.verifier import VerifierId
from ocsp.cache import Cache, Standing
from ocsp.fields import by_name, fields, http_date
from ocsp.follower import Follower, Heard
from ocsp.issuers import ForeignIssuer, Issuer, issuer_asked
from ocsp.live import CONTENT_TYPE, LiveSource, SignedAnswer
from ocsp.request import MalformedRequest, OcspRequest, octets_in_path, parse_request, sole_cert_id
from ocsp.response import CertStatus, ResponseStatus, Unknown, refusal

_log = logging.getLogger(__name__)

_UNKNOWN = Unknown()

CACHE_SECONDS = 60
"""How long HTTP caches keep an answer: much shorter than its nextUpdate, so that a revocation shows soon."""
_CACHE_LIFE = timedelta(seconds=CACHE_SECONDS)


class Outcome(StrEnum):
    """How an answer came about, or by which status of OCSP the question was refused."""

    KEPT = "kept"
    """It had been signed before."""
    SIGNED = "signed"
    MALFORMED_REQUEST = "malformedRequest"
    INTERNAL_ERROR = "internalError"
    TRY_LATER = "tryLater"
    UNAUTHORIZED = "unauthorized"


# To look up a member of an enum costs a call in Python 3.11, which counts where answers are given again.
_KEPT, _SIGNED = Outcome.KEPT, Outcome.SIGNED

_REFUSALS = {
    ResponseStatus.MALFORMED_REQUEST: Outcome.MALFORMED_REQUEST,
    ResponseStatus.INTERNAL_ERROR: Outcome.INTERNAL_ERROR,
    ResponseStatus.TRY_LATER: Outcome.TRY_LATER,
    ResponseStatus.UNAUTHORIZED: Outcome.UNAUTHORIZED,
}


class Answer(NamedTuple):
    """An HTTP answer, its header fields as they are sent; without an `outcome` it is none of OCSP."""

    status: int
    fields: bytes
    body: bytes
    outcome: Outcome | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields by name."""
        return by_name(self.fields)


class Responder:
    """Answers for all generations that `issuers` returns; it is asked anew each time, for responders change.

    With a `follower` answers are given again until the ledger's journal tells of a change; `start` it in each process.
    `signs_at_once` tells that a key signs as fast as it can be computed, and never waits for a token; `not_issued` is
    what is said of a serial that we never issued. With an `admission` only those are answered that it admits.
    """

    def __init__(
        self,
        issuers: Callable[[], Sequence[Issuer]],
        status: StatusSource,
        clock: Clock,
        follower: Follower | None = None,
        *,
        signs_at_once: bool = True,
        not_issued: CertStatus = _UNKNOWN,
        admission: Admission | None = None,
    ) -> None:
        self._issuers = issuers
        self._status = status
        self._clock = clock
        self._follower = follower
        self._admission = admission
        standing = (lambda: Standing.UNFOLLOWED) if follower is None else follower.standing
        self._cache = Cache(standing)
        self._live = LiveSource(self._looked_up, clock, not_issued)
        self._kept = LiveSource(self._known if signs_at_once else _known_to_nobody, clock, not_issued)

    def start(self, heard: Heard = lambda *_: None) -> None:
        """Follow the journal in this process, which is not forked any more, and tell `heard` how far."""
        if self._follower is not None:
            self._follower.start(self._cache, heard)

    def close(self) -> None:
        """Follow no more."""
        if self._follower is not None:
            self._follower.stop()

    def require_current(self) -> None:
        """Require that this process hears of every change, if it was started.

        Raises:
            JpkiError: UNAVAILABLE `journal-behind`.
        """
        if self._follower is not None:
            self._follower.require_current()

    def answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, client: Serial | None = None
    ) -> Answer:
        """Answer one HTTP request; nothing that a client sends raises or gives a 5xx.

        `path` is what follows `/ocsp/`, with or without its escapes; `headers` have lower-case names; `body` may
        be cut after `MAX_REQUEST_OCTETS` + 1. Content-Type and Accept play no part: the octets tell what they
        are, and clients in the field send all sorts. `client` is the serial of the client certificate, which TLS
        has verified.
        """
        return self._answer(self._live, method, path, headers, body, client)

    def answer_at_once(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, client: Serial | None = None
    ) -> Answer | None:
        """Answer as `answer` does, but return None where that would wait for the ledger or for a token's key."""
        try:
            return self._answer(self._kept, method, path, headers, body, client)
        except _NotKept:
            return None

    def busy(self) -> Answer:
        """Return the answer to a question for which there is no room now."""
        return _refused(ResponseStatus.TRY_LATER)

    def _answer(
        self,
        source: LiveSource,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        client: Serial | None,
    ) -> Answer:
        if method not in {"GET", "HEAD", "POST"}:
            return Answer(405, fields({"Allow": "GET, HEAD, POST", "Content-Length": "0"}), b"")
        answer = self._ocsp_answer(source, method, path, body, client)
        if method == "POST":
            return answer
        return _read(answer, headers.get("if-none-match", ""), head=method == "HEAD")

    def _ocsp_answer(self, source: LiveSource, method: str, path: str, body: bytes, client: Serial | None) -> Answer:
        verifier = None
        try:
            if self._admission is not None:
                verifier = self._admission.admit(client)
            question = body if method == "POST" else octets_in_path(path)
            sole, now = sole_cert_id(question), self._clock()
            kept = None if sole is None else self._cache.answer(sole, now)
            if kept is not None:
                return self._reusable(kept, verifier, now, _KEPT)
            request = parse_request(question)
            signed, outcome = self._signed(source, issuer_asked(self._issuers(), request), request)
        except _NotKept:
            raise
        except Exception as error:  # noqa: BLE001 - a defect of ours is answered in OCSP's own words as well
            return _refused(_refusal_for(error))
        if request.nonce is None:
            return self._reusable(signed, verifier, self._clock(), outcome)
        # An answer to a nonce is of use to the one client that drew it.
        self._note(signed, verifier)
        return _uncached(signed.der, outcome)

    def _signed(self, source: LiveSource, issuer: Issuer, request: OcspRequest) -> tuple[SignedAnswer, Outcome]:
        """Return a kept answer or a new one.

        While the ledger is away a client's nonce is left out: RFC 9654 lets a responder do so, and the client decides.
        """
        asked = request.cert_ids[0]
        reusable = len(request.cert_ids) == 1 and (request.nonce is None or self._cache.is_away)
        kept = self._cache.answer(asked.raw, self._clock()) if reusable else None
        if kept is not None:
            return kept, _KEPT
        mark = self._cache.mark()
        signed = source.answer(issuer, request)
        if reusable and request.nonce is None and signed.knows_all:
            self._cache.keep_answer(asked, signed, mark)
        return signed, _SIGNED

    def _looked_up(self, serial: Serial) -> Status | None:
        """Return the status, of the ledger where it is not known.

        Raises:
            JpkiError: UNAVAILABLE `status-away`, or what the ledger raises.
        """
        kept = self._cache.status(serial)
        if kept is not None:
            return kept
        if self._cache.is_away:
            raise _away()
        mark = self._cache.mark()
        found = self._status(serial)
        if found is not None:
            self._cache.keep_status(found, mark)
        return found

    def _known(self, serial: Serial) -> Status:
        kept = self._cache.status(serial)
        if kept is not None:
            return kept
        if self._cache.is_away:
            raise _away()
        raise _NotKept

    def _reusable(self, signed: SignedAnswer, verifier: VerifierId | None, now: datetime, outcome: Outcome) -> Answer:
        """Return what HTTP caches may keep, with the headers of RFC 5019 6.2."""
        self._note(signed, verifier)
        left = signed.period.next_update - now
        life = CACHE_SECONDS if left >= _CACHE_LIFE else ceil(left.total_seconds())
        # The next who asks is to be known, too.
        audience = "public" if verifier is None else "private"
        return Answer(200, signed.fields + _freshness(int(now.timestamp()), life, audience), signed.der, outcome)

    def _note(self, signed: SignedAnswer, verifier: VerifierId | None) -> None:
        if verifier is not None and self._admission is not None:
            self._admission.note(verifier, signed.told)


def _refusal_for(error: Exception) -> ResponseStatus:
    match error:
        case MalformedRequest():
            return ResponseStatus.MALFORMED_REQUEST
        case ForeignIssuer() | JpkiError(kind=Kind.FORBIDDEN, code="verifier-unregistered"):
            return ResponseStatus.UNAUTHORIZED
        case JpkiError(kind=Kind.LIMITED):
            return ResponseStatus.TRY_LATER
        case JpkiError():
            _log.error("no OCSP answer: %s", error.code)
            return ResponseStatus.TRY_LATER if error.kind is Kind.UNAVAILABLE else ResponseStatus.INTERNAL_ERROR
    # Its text may hold what was being worked on (rule R21).
    _log.error("no OCSP answer: unexpected %s", type(error).__name__)
    return ResponseStatus.INTERNAL_ERROR


def _refused(status: ResponseStatus) -> Answer:
    return _uncached(refusal(status), _REFUSALS[status])


def _uncached(body: bytes, outcome: Outcome) -> Answer:
    return Answer(200, _UNCACHED % len(body), body, outcome)


_UNCACHED = fields({"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store", "Content-Length": "%d"})


@lru_cache(maxsize=256)
def _freshness(second: int, life: int, audience: str) -> bytes:
    """Return the fields that answers of one second share; Expires is for caches that do not know max-age."""
    cache_control = f"max-age={life}, {audience}, no-transform, must-revalidate"
    return fields({"Expires": http_date(second + life), "Cache-Control": cache_control})


def _read(answer: Answer, if_none_match: str, *, head: bool) -> Answer:
    """Return what GET and HEAD give of `answer`: all, only headers, or "not modified" (RFC 9110 13.1.2)."""
    if if_none_match:
        known = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
        headers = answer.headers
        if headers.get("ETag") in known:
            kept = {name: value for name, value in headers.items() if not name.startswith("Content-")}
            return Answer(304, fields(kept), b"", answer.outcome)
    return answer._replace(body=b"") if head else answer


class _NotKept(Exception):  # noqa: N818 - a fact about the question, and no error of ours
    """The answer needs the ledger."""


def _known_to_nobody(_: Serial) -> Status:
    raise _NotKept


def _away() -> JpkiError:
    return JpkiError(
        Kind.UNAVAILABLE,
        "status-away",
        Text("台帳に接続できません。", "The ledger cannot be reached."),
        Text("しばらくしてからもう一度問い合わせてください。", "Ask again in a while."),
    )
