"""The live source: each answer is made of the ledger's committed status and signed on the spot."""

import hashlib
from datetime import datetime, timedelta
from typing import NamedTuple

from jpki.clock import Clock, whole_second
from jpki.errors import JpkiError, Kind
from jpki.ids import GenerationId, Serial
from jpki.ports import StatusSource
from jpki.revocation import Finding, Reason, State, Status
from jpki.text import Text
from ocsp.cert_id import CertId
from ocsp.fields import fields, http_date
from ocsp.issuers import Issuer
from ocsp.request import OcspRequest
from ocsp.response import (
    CertStatus,
    Good,
    NotIssued,
    Period,
    Revoked,
    SingleAnswer,
    Unknown,
    signed_response,
)

ANSWER_LIFE = timedelta(minutes=15)
CONTENT_TYPE = "application/ocsp-response"


class SignedAnswer(NamedTuple):
    """A successful response's DER, and how long it holds."""

    der: bytes
    period: Period
    fields: bytes
    """The HTTP header fields that go with it whenever it is given; none of an answer to a nonce, which nobody keeps."""
    told: tuple[tuple[Serial, Finding], ...]
    """What it says of each certificate."""

    @property
    def knows_all(self) -> bool:
        """Whether it knows every certificate that was asked about."""
        return all(finding is not Finding.UNKNOWN for _, finding in self.told)


class LiveSource:
    """Answers questions about one issuer from the ledger."""

    def __init__(self, status: StatusSource, clock: Clock, not_issued: CertStatus) -> None:
        self._status = status
        self._clock = clock
        self._not_issued = not_issued
        self._periods: dict[GenerationId, Period] = {}
        """The last one of each generation, for the answers of the same second."""

    def answer(self, issuer: Issuer, request: OcspRequest) -> SignedAnswer:
        """Return a fresh signed answer to every CertID of `request`; all of them must name `issuer`.

        Raises:
            JpkiError: UNAVAILABLE `responder-expired`, INTERNAL `status-incomplete`, or what the ledger or the
                responder's key raises. Then nothing is signed: there is no answer on doubt (rule R15).
        """
        period = self._period(issuer, whole_second(self._clock()))
        answers = [self._single(issuer, cert_id, period.this_update) for cert_id in request.cert_ids]
        told = tuple((each.asked.serial, _finding(each.status)) for each in answers)
        signed = signed_response(issuer, period, answers, request.nonce)
        return SignedAnswer(signed, period, b"" if request.nonce is not None else _lasting(signed, period), told)

    def _period(self, issuer: Issuer, now: datetime) -> Period:
        """Return the answer's period; it ends with the responder's certificate at the latest (rules R5, R25)."""
        validity, generation = issuer.validity, issuer.generation.id
        if not validity.holds(now):
            raise _responder_expired(generation)
        next_update = min(now + ANSWER_LIFE, validity.not_after)
        kept = self._periods.get(generation)
        if kept is None or kept.this_update != now or kept.next_update != next_update:
            kept = self._periods[generation] = Period(now, next_update)
        return kept

    def _single(self, issuer: Issuer, cert_id: CertId, now: datetime) -> SingleAnswer:
        status = self._status(cert_id.serial)
        # Only the generation that signed a certificate vouches for it (rule R23).
        ours = status if status is not None and status.generation == issuer.generation.id else None
        answer = self._not_issued if ours is None else self._cert_status(ours)
        compromised_at = issuer.generation.compromised_at
        if compromised_at is not None and not isinstance(answer, Revoked):
            # Whoever has the key may have signed any serial with it (RFC 6960 2.7).
            answer = Revoked(compromised_at, Reason.CA_COMPROMISE)
        # The ledger forgets nothing: what expired is told of from the generation's beginning.
        expired = ours is not None and ours.not_after < now
        return SingleAnswer(cert_id, answer, issuer.generation.not_before if expired else None)

    def _cert_status(self, status: Status) -> CertStatus:
        match status.state:
            case State.ACTIVE:
                return Good()
            case State.HELD:
                return _revoked(status, Reason.CERTIFICATE_HOLD)
            case State.REVOKED:
                return _revoked(status, status.reason)
            case State.RESERVED | State.INTENDED | State.ISSUED | State.VOID:
                return self._not_issued


def _lasting(signed: bytes, period: Period) -> bytes:
    return fields(
        {
            "Content-Type": CONTENT_TYPE,
            "Content-Length": str(len(signed)),
            "ETag": f'"{hashlib.sha256(signed).hexdigest()}"',
            "Last-Modified": http_date(int(period.this_update.timestamp())),
        }
    )


def _finding(status: CertStatus) -> Finding:
    match status:
        case Good():
            return Finding.GOOD
        case Revoked():
            return Finding.HELD if status.reason is Reason.CERTIFICATE_HOLD else Finding.REVOKED
        case Unknown() | NotIssued():
            return Finding.UNKNOWN


def _revoked(status: Status, reason: Reason | None) -> Revoked:
    if status.revoked_at is None or reason is None:
        raise JpkiError(
            Kind.INTERNAL,
            "status-incomplete",
            Text(
                "失効または一時停止中の証明書に、日時または理由の記録がありません。",
                "A certificate is recorded as revoked or on hold without a time or a reason.",
            ),
            Text("台帳を `jpki reconcile` で点検してください。", "Check the ledger with `jpki reconcile`."),
        )
    return Revoked(status.revoked_at, reason)


def _responder_expired(generation: GenerationId) -> JpkiError:
    return JpkiError(
        Kind.UNAVAILABLE,
        "responder-expired",
        Text(
            f"世代 {generation} のOCSPレスポンダ証明書が有効期間外です。",
            f"The OCSP responder certificate of generation {generation} is outside its validity.",
        ),
        Text("レスポンダ証明書を更新してください。", "Renew the responder's certificate."),
    )
