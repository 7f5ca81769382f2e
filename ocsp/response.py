"""Writing an OCSPResponse (RFC 6960 4.2.1)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from functools import lru_cache
from itertools import count
from typing import NamedTuple

from jpki import der, oids
from jpki.der import context
from jpki.revocation import Reason
from jpki.signature import sign
from ocsp.cert_id import CertId
from ocsp.issuers import Issuer
from ocsp.question import extension
from ocsp.question import nonce as nonce_extension

_BASIC = der.object_identifier(oids.OCSP_BASIC)
_SAMPLE = 16
"""Of the answers to a nonce one in so many has its signature checked; no client chooses which."""
_drawn = count()


class ResponseStatus(IntEnum):
    """OCSPResponseStatus: what became of the question. Only SUCCESSFUL comes with a signed answer."""

    SUCCESSFUL = 0
    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    UNAUTHORIZED = 6


@dataclass(frozen=True, slots=True)
class Good:
    """The certificate lives."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """We know of no such certificate."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """The certificate is revoked or on hold, since `at`."""

    at: datetime
    reason: Reason


@dataclass(frozen=True, slots=True)
class NotIssued:
    """We know of no such certificate, said as "revoked" for clients that take "unknown" for alive (RFC 6960 2.2)."""


CertStatus = Good | Revoked | Unknown | NotIssued
"""What an answer says of one certificate (RFC 6960 2.2)."""


class SingleAnswer(NamedTuple):
    """What is said of one certificate; with an archive cutoff, since when such as have expired are told of."""

    asked: CertId
    status: CertStatus
    archive_cutoff: datetime | None = None


_GOOD = Good()


@dataclass(frozen=True, slots=True)
class Period:
    """From when to when an answer holds, both at whole seconds: thisUpdate (and producedAt), and nextUpdate."""

    this_update: datetime
    next_update: datetime
    this_update_der: bytes = field(init=False, repr=False)
    next_update_der: bytes = field(init=False, repr=False)
    """As an answer has them, the second with its tag; all answers of one second share them."""

    def __post_init__(self) -> None:
        """Encode both once."""
        next_update = der.tlv(context(0), der.generalized_time(self.next_update))
        object.__setattr__(self, "this_update_der", der.generalized_time(self.this_update))
        object.__setattr__(self, "next_update_der", next_update)


def refusal(status: ResponseStatus) -> bytes:
    """Return the DER of an unsigned response that says why there is no answer."""
    return der.sequence(der.enumerated(status))


def signed_response(issuer: Issuer, period: Period, answers: Sequence[SingleAnswer], nonce: bytes | None) -> bytes:
    """Return the DER of a successful response, signed by the issuer's responder.

    A signature is checked, but of those for one client alone only a sample: a check costs three times a signature.

    Raises:
        JpkiError: of the responder's key: UNAVAILABLE, or INTERNAL `signature-faulty`.
    """
    data = _response_data(issuer, period, answers, nonce)
    checked = nonce is None or next(_drawn) % _SAMPLE == 0
    signature = sign(issuer.key, data) if checked else issuer.sign_unchecked(data)
    rest = issuer.algorithm_der + der.bit_string(signature) + issuer.certificates_der
    return _opening(len(data), len(rest)) + data + rest


@lru_cache(maxsize=256)
def _opening(data_octets: int, rest_octets: int) -> bytes:
    """Return what stands before the ResponseData, of so many octets, that so many more follow."""
    basic = der.header(der.Tag.SEQUENCE, data_octets + rest_octets)
    whole = len(basic) + data_octets + rest_octets
    response_bytes = _BASIC + der.header(der.Tag.OCTET_STRING, whole)
    whole += len(response_bytes)
    tagged = der.header(der.Tag.SEQUENCE, whole)
    whole += len(tagged)
    fields = der.enumerated(ResponseStatus.SUCCESSFUL) + der.header(context(0), whole)
    return der.header(der.Tag.SEQUENCE, len(fields) + whole) + fields + tagged + response_bytes + basic


def _response_data(issuer: Issuer, period: Period, answers: Sequence[SingleAnswer], nonce: bytes | None) -> bytes:
    this_update, next_update = period.this_update_der, period.next_update_der
    sole = answers[0] if len(answers) == 1 else None
    if sole is not None and isinstance(sole.status, Good) and sole.archive_cutoff is None and nonce is not None:
        asked = sole.asked.raw
        before, after = _good_to_nonce(issuer.responder_id_der, this_update, next_update, len(asked), len(nonce))
        return before + asked + after + nonce
    return der.sequence(
        issuer.responder_id_der,
        this_update,  # producedAt
        der.sequence(*(_single(each, this_update, next_update) for each in answers)),
        _extensions(answers, nonce),
    )


@lru_cache(maxsize=256)
def _good_to_nonce(
    responder_id: bytes, this_update: bytes, next_update: bytes, asked_octets: int, nonce_octets: int
) -> tuple[bytes, bytes]:
    """Return what the answers of one second that say "good" to a nonce have in common: all before and after the CertID.

    Most answers to one client alone are such, and differ in nothing else.
    """
    status = _cert_status(_GOOD) + this_update + next_update
    extensions = der.tlv(context(1), der.sequence(nonce_extension(bytes(nonce_octets))))
    single = der.header(der.Tag.SEQUENCE, asked_octets + len(status))
    singles = der.header(der.Tag.SEQUENCE, len(single) + asked_octets + len(status)) + single
    before = responder_id + this_update + singles
    data = der.header(der.Tag.SEQUENCE, len(before) + asked_octets + len(status) + len(extensions))
    return data + before, status + extensions[:-nonce_octets]


def _single(answer: SingleAnswer, this_update: bytes, next_update: bytes) -> bytes:
    cutoff = answer.archive_cutoff
    extensions = b"" if cutoff is None else der.tlv(context(1), der.sequence(_archive_cutoff(cutoff)))
    return der.sequence(answer.asked.raw, _cert_status(answer.status), this_update, next_update, extensions)


def _extensions(answers: Sequence[SingleAnswer], nonce: bytes | None) -> bytes:
    """Return responseExtensions, or nothing where there are none."""
    extensions = b"" if nonce is None else nonce_extension(nonce)
    if any(isinstance(each.status, NotIssued) for each in answers):
        extensions += _EXTENDED_REVOKE
    return der.tlv(context(1), der.sequence(extensions)) if extensions else b""


def _cert_status(status: CertStatus) -> bytes:
    match status:
        case Good():
            return der.tlv(context(0, constructed=False))
        case Revoked():
            return der.tlv(context(1), der.generalized_time(status.at), _reason(status.reason))
        case Unknown():
            return der.tlv(context(2, constructed=False))
        case NotIssued():
            return _NEVER


def _reason(reason: Reason) -> bytes:
    """Return revocationReason; `unspecified` is said by leaving it out (rule R10)."""
    return b"" if reason is Reason.UNSPECIFIED else der.tlv(context(0), der.enumerated(reason.number))


def _archive_cutoff(cutoff: datetime) -> bytes:
    """Return the extension of RFC 6960 4.4.4."""
    return extension(oids.OCSP_ARCHIVE_CUTOFF, der.generalized_time(cutoff))


_EXTENDED_REVOKE = extension(oids.OCSP_EXTENDED_REVOKE, der.tlv(der.Tag.NULL))
"""It says that "revoked" may be said of what was never issued (RFC 6960 4.4.8)."""
_NEVER = der.tlv(context(1), der.generalized_time(datetime(1970, 1, 1, tzinfo=UTC)), _reason(Reason.CERTIFICATE_HOLD))
"""How RFC 6960 2.2 would have it said of what was never issued."""
