"""Writing an OCSPResponse (RFC 6960 4.2.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from functools import lru_cache

from jpki import der, oids
from jpki.der import context
from jpki.revocation import Reason
from jpki.signature import sign, sign_unchecked
from ocsp.cert_id import CertId
from ocsp.issuers import Issuer

_BASIC = der.object_identifier(oids.OCSP_BASIC)
_NONCE = der.object_identifier(oids.OCSP_NONCE)
_SAMPLE = 16
"""Of the answers to a nonce one in so many has its signature checked, as the client's random octets choose."""


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


CertStatus = Good | Revoked | Unknown
"""What an answer says of one certificate (RFC 6960 2.2)."""


@dataclass(frozen=True, slots=True)
class Period:
    """From when to when an answer holds, both at whole seconds: thisUpdate (and producedAt), and nextUpdate."""

    this_update: datetime
    next_update: datetime


def refusal(status: ResponseStatus) -> bytes:
    """Return the DER of an unsigned response that says why there is no answer."""
    return der.sequence(der.enumerated(status))


def signed_response(
    issuer: Issuer, period: Period, answers: Sequence[tuple[CertId, CertStatus]], nonce: bytes | None
) -> bytes:
    """Return the DER of a successful response, signed by the issuer's responder.

    A signature is checked, but of those for one client alone only a sample: a check costs three times a signature.

    Raises:
        JpkiError: of the responder's key: UNAVAILABLE, or INTERNAL `signature-faulty`.
    """
    data = _response_data(issuer, period, answers, nonce)
    checked = nonce is None or nonce[-1] % _SAMPLE == 0
    signature = (sign if checked else sign_unchecked)(issuer.key, data)
    basic = der.sequence(
        data,
        issuer.algorithm_der,
        der.bit_string(signature),
        issuer.certificates_der,
    )
    response_bytes = der.sequence(_BASIC, der.octet_string(basic))
    return der.sequence(der.enumerated(ResponseStatus.SUCCESSFUL), der.tlv(context(0), response_bytes))


def _response_data(
    issuer: Issuer, period: Period, answers: Sequence[tuple[CertId, CertStatus]], nonce: bytes | None
) -> bytes:
    this_update, next_update = _times(period)
    return der.sequence(
        issuer.responder_id_der,
        this_update,  # producedAt
        der.sequence(
            *(der.sequence(asked.raw, _cert_status(status), this_update, next_update) for asked, status in answers)
        ),
        b"" if nonce is None else der.tlv(context(1), der.sequence(_nonce_extension(nonce))),
    )


@lru_cache(maxsize=64)
def _times(period: Period) -> tuple[bytes, bytes]:
    """Return thisUpdate and nextUpdate, which all answers of one second share."""
    this_update, next_update = der.generalized_time(period.this_update), der.generalized_time(period.next_update)
    return this_update, der.tlv(context(0), next_update)


def _cert_status(status: CertStatus) -> bytes:
    match status:
        case Good():
            return der.tlv(context(0, constructed=False))
        case Revoked():
            return der.tlv(context(1), der.generalized_time(status.at), _reason(status.reason))
        case Unknown():
            return der.tlv(context(2, constructed=False))


def _reason(reason: Reason) -> bytes:
    """Return revocationReason; `unspecified` is said by leaving it out (rule R10)."""
    return b"" if reason is Reason.UNSPECIFIED else der.tlv(context(0), der.enumerated(reason.number))


def _nonce_extension(nonce: bytes) -> bytes:
    """Return the nonce as the client sent it (RFC 9654 2.1)."""
    return der.sequence(_NONCE, der.octet_string(der.octet_string(nonce)))
