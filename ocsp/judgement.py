"""Whether an OCSP response may be believed: the criteria of RFC 6960 3.2, and 4.2.2.2 for delegated responders."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import HashAlgorithm
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from jpki.certificate import Validity
from jpki.clock import whole_second
from jpki.revocation import Finding, Reason, RevocationEvidence
from jpki.text import Text

SKEW = timedelta(seconds=60)
"""How far a responder's clock may run before ours."""

_STRONG_HASHES = ("sha256", "sha384", "sha512")


class Unusable(Exception):  # noqa: N818 - a judgement on an answer; it stays within this room
    """The response may not be believed; `reason` says which criterion it fails."""

    def __init__(self, reason: Text) -> None:
        super().__init__(reason.en)
        self.reason = reason


_FROM_THE_FUTURE = Text("thisUpdateが未来の日時", "thisUpdate lies in the future")
MALFORMED = Text("形式の誤り", "malformed")

UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What pyca raises on a malformed response. It reads the parts on demand, so any access to one may raise them."""


def is_strong(response: ocsp.OCSPResponse) -> bool:
    """Tell whether the response, and the certificates it brings along, are signed over strong hashes."""
    try:
        hashes = [certificate.signature_hash_algorithm for certificate in response.certificates]
        hashes.append(response.signature_hash_algorithm)
    except UNREADABLE:
        return False
    return all(algorithm is not None and algorithm.name in _STRONG_HASHES for algorithm in hashes)


def judge(
    response: ocsp.OCSPResponse, request: ocsp.OCSPRequest, issuer: x509.Certificate, now: datetime
) -> RevocationEvidence:
    """Return what a successful `response` says about the one certificate that `request` asks for.

    A responder that omits the nonce is believed, as most do, if its answer ends. The status of a delegated
    responder's certificate is not asked for, whether it carries id-pkix-ocsp-nocheck or not. The strength of
    the hash functions is the caller's to judge.

    Raises:
        Unusable: a criterion fails, or the response cannot be read to its end.
    """
    try:
        _require_signature(response, issuer, now)
        single = _single(response, request)
        _require_fresh(single, now, with_nonce=_nonce_matches(response, request))
        return _evidence(single)
    except UNREADABLE as error:
        raise Unusable(MALFORMED) from error


def judge_stored(
    response: ocsp.OCSPResponse, certificate: x509.Certificate, issuer: x509.Certificate, moment: datetime
) -> RevocationEvidence | None:
    """Return what a successful `response`, known to have existed at `moment`, says; None if nothing of `certificate`.

    Its promise may be long over: the caller judges how old it is.

    Raises:
        Unusable: it was not signed by who might sign it then, or is of the future.
        UNREADABLE: the response cannot be read to its end.
    """
    single = next((each for each in response.responses if _is_about(each, certificate, issuer)), None)
    if single is None:
        return None
    _require_signature(response, issuer, moment)
    if single.this_update_utc > moment + SKEW:
        raise Unusable(_FROM_THE_FUTURE)
    return _evidence(single)


def _is_about(single: ocsp.OCSPSingleResponse, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, single.hash_algorithm).build()
    return _cert_id(single) == _cert_id(asked)


def _require_signature(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> None:
    for signer in _signers(response, issuer, now):
        if signed_by(response, signer):
            return
    raise Unusable(
        Text("発行者またはその指定レスポンダの署名ではない", "not signed by the issuer or by a responder of its own")
    )


def _signers(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> Iterator[x509.Certificate]:
    """Return who may have signed: the certificates that the responderID names and that the issuer's word covers."""
    if is_named(response, issuer):
        yield issuer
    for certificate in response.certificates:
        if is_named(response, certificate) and _is_delegated(certificate, issuer, now):
            yield certificate


def is_named(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    """Tell whether `certificate` is whom the responderID names, by name or by key."""
    if response.responder_name is not None:
        return response.responder_name == certificate.subject
    return response.responder_key_hash == x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest


def _is_delegated(certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    validity = Validity(certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    return validity.holds(now) and issued_by(certificate, issuer) and may_answer(certificate)


def may_answer(certificate: x509.Certificate) -> bool:
    """Tell whether `certificate` bears the extended key usage OCSPSigning (RFC 6960 4.2.2.2)."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in usage


def is_ca(certificate: x509.Certificate) -> bool:
    """Tell whether `certificate` is that of a CA, which no responder's may be (rule R14)."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def is_spared(certificate: x509.Certificate) -> bool:
    """Tell whether id-pkix-ocsp-nocheck spares clients to ask about `certificate` itself (RFC 6960 4.2.2.2.1)."""
    try:
        certificate.extensions.get_extension_for_class(x509.OCSPNoCheck)
    except x509.ExtensionNotFound:
        return False
    return True


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether `issuer` itself signed `certificate`, under its own name."""
    if certificate.issuer != issuer.subject:
        return False
    hash_algorithm = certificate.signature_hash_algorithm
    return _verifies(issuer, certificate.signature, certificate.tbs_certificate_bytes, hash_algorithm)


def signed_by(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    """Tell whether the signature of `response` is that of `signer`'s key."""
    hash_algorithm = response.signature_hash_algorithm
    return _verifies(signer, response.signature, response.tbs_response_bytes, hash_algorithm)


def _verifies(signer: x509.Certificate, signature: bytes, message: bytes, hash_algorithm: HashAlgorithm | None) -> bool:
    if hash_algorithm is None:
        return False
    try:
        match signer.public_key():
            case rsa.RSAPublicKey() as key:
                key.verify(signature, message, PKCS1v15(), hash_algorithm)
            case ec.EllipticCurvePublicKey() as key:
                key.verify(signature, message, ec.ECDSA(hash_algorithm))
            case _:
                return False
    except InvalidSignature:
        return False
    return True


def _single(response: ocsp.OCSPResponse, request: ocsp.OCSPRequest) -> ocsp.OCSPSingleResponse:
    asked = _cert_id(request)
    answers = [single for single in response.responses if _cert_id(single) == asked]
    if len(answers) != 1:
        raise Unusable(Text("問い合わせた証明書への回答が1件に定まらない", "does not answer the question exactly once"))
    return answers[0]


def _cert_id(named: ocsp.OCSPRequest | ocsp.OCSPSingleResponse) -> tuple[str, bytes, bytes, int]:
    return named.hash_algorithm.name, named.issuer_name_hash, named.issuer_key_hash, named.serial_number


def _nonce_matches(response: ocsp.OCSPResponse, request: ocsp.OCSPRequest) -> bool:
    """Tell whether the response repeats the request's nonce; False if it holds none."""
    sent = request.extensions.get_extension_for_class(x509.OCSPNonce).value
    try:
        echoed = response.extensions.get_extension_for_class(x509.OCSPNonce).value
    except x509.ExtensionNotFound:
        return False
    if echoed != sent:
        raise Unusable(Text("ノンスの不一致", "repeats another nonce"))
    return True


def _require_fresh(single: ocsp.OCSPSingleResponse, now: datetime, *, with_nonce: bool) -> None:
    if single.this_update_utc > now + SKEW:
        raise Unusable(_FROM_THE_FUTURE)
    if single.next_update_utc is None and not with_nonce:
        raise Unusable(
            Text(
                "期限もノンスもなく、いつの回答か分からない",
                "neither ends nor repeats the nonce, so it may be of any age",
            )
        )
    if single.next_update_utc is not None and single.next_update_utc < whole_second(now):
        raise Unusable(Text("nextUpdateを経過", "nextUpdate has passed"))


def _evidence(single: ocsp.OCSPSingleResponse) -> RevocationEvidence:
    reason = _reason(single) if single.certificate_status is ocsp.OCSPCertStatus.REVOKED else None
    return RevocationEvidence(
        finding=_finding(single.certificate_status, reason),
        source="ocsp",
        as_of=single.this_update_utc,
        fresh_until=single.next_update_utc,
        revoked_at=single.revocation_time_utc,
        reason=reason,
    )


def _finding(status: ocsp.OCSPCertStatus, reason: Reason | None) -> Finding:
    match status:
        case ocsp.OCSPCertStatus.GOOD:
            return Finding.GOOD
        case ocsp.OCSPCertStatus.REVOKED:
            return Finding.HELD if reason is Reason.CERTIFICATE_HOLD else Finding.REVOKED
        case ocsp.OCSPCertStatus.UNKNOWN:
            return Finding.UNKNOWN


def _reason(single: ocsp.OCSPSingleResponse) -> Reason:
    """Return the reason, `unspecified` where none is given or the house has no word for it."""
    given = single.revocation_reason
    known = {reason.value for reason in Reason}
    return Reason(given.value) if given is not None and given.value in known else Reason.UNSPECIFIED
