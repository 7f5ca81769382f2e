"""Responders made of parts, each of which a test may spoil, behind the same door as a real one."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from jpki import der, oids
from jpki.clock import whole_second
from jpki.ids import Serial
from ocsp.cert_id import CertId, IssuerHashes
from ocsp.fetch import Call, Fetch, Reply
from ocsp.issuers import Issuer
from ocsp.request import MalformedRequest, OcspRequest, octets_in_path, parse_request
from ocsp.responder import Responder
from ocsp.response import CertStatus, Good, Period, ResponseStatus, SingleAnswer, Unknown, refusal, signed_response
from tests.ocsp.authority import BIRTH, END, GOOD, NOW, holder_certificate, issuer, ledger, root, rsa_responder_key

THIS_UPDATE = whole_second(NOW)
LIFE = timedelta(minutes=15)
HEADERS = {"content-type": "application/ocsp-response", "cache-control": "no-store"}


def ours(signer: Issuer | None = None) -> Responder:
    return Responder(lambda: [issuer("s2"), signer or issuer()], ledger().get, lambda: NOW)


def behind(responder: Responder) -> Fetch:
    """The way to a responder in this process."""

    def fetch(call: Call) -> Reply:
        headers = {name.lower(): value for name, value in call.headers.items()}
        answer = responder.answer(call.method, call.path, headers, call.body or b"")
        return Reply(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.body)

    return fetch


def ours_but(change: Callable[[Call, Reply], Reply]) -> Fetch:
    """The way to our responder, with something changed on the way back."""
    return lambda call: change(call, behind(ours())(call))


def ours_but_for_the_plain_question(body: bytes) -> Fetch:
    """The way to our responder, which answers the plain question by POST with other octets."""
    plain = plain_question()
    return ours_but(lambda call, reply: replace(reply, body=body) if call.body == plain else reply)


def plain_question() -> bytes:
    """The question that any client asks about the good certificate."""
    request = ocsp.OCSPRequestBuilder().add_certificate(
        holder_certificate(GOOD),
        root("s1").generation.certificate,
        SHA1(),  # noqa: S303 - as clients ask
    )
    return request.build().public_bytes(Encoding.DER)


def refused(status: ResponseStatus) -> Reply:
    return Reply(200, HEADERS, refusal(status))


def question_of(call: Call) -> bytes:
    return call.body or b"" if call.method == "POST" else octets_in_path(call.path)


def read(call: Call) -> OcspRequest | None:
    """The request in a call, if it is one."""
    try:
        return parse_request(question_of(call))
    except MalformedRequest:
        return None


def _status(serial: Serial) -> CertStatus:
    return Good() if serial == GOOD else Unknown()


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeOfParts:
    """A responder that signs whatever its parts say."""

    signer: Issuer = field(default_factory=issuer)
    status: Callable[[Serial], CertStatus] = _status
    speaks_for: Callable[[IssuerHashes], bool] = lambda hashes: hashes in issuer().hashes
    named: Callable[[CertId], CertId] = lambda asked: asked
    nonce: Callable[[bytes], bytes | None] = lambda sent: sent
    period: Period = field(default=Period(THIS_UPDATE, THIS_UPDATE + LIFE))
    answers_at_most: int = 20

    def __call__(self, call: Call) -> Reply:
        request = read(call)
        if request is None:
            return refused(ResponseStatus.MALFORMED_REQUEST)
        if not all(self.speaks_for(each.issuer) for each in request.cert_ids):
            return refused(ResponseStatus.UNAUTHORIZED)
        return Reply(200, HEADERS, self.signed(request))

    def signed(self, request: OcspRequest) -> bytes:
        asked = request.cert_ids[: self.answers_at_most]
        answers = [SingleAnswer(self.named(each), self.status(each.serial)) for each in asked]
        nonce = None if request.nonce is None else self.nonce(request.nonce)
        return signed_response(self.signer, self.period, answers, nonce)


def certificate_for(key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType) -> x509.Certificate:
    signer = root("s1")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "responder")])
    builder = x509.CertificateBuilder(signer.generation.certificate.subject, name, key.public_key(), 7, BIRTH, END)
    for each in extensions:
        builder = builder.add_extension(each, critical=False)
    return builder.sign(signer.key, SHA256())


def with_certificate(*extensions: x509.ExtensionType) -> Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    return Issuer(generation=root("s1").generation, certificate=certificate_for(key, *extensions), key=key)


def signed_over_sha1(body: bytes) -> bytes:
    """The same response, signed anew by the same key."""
    response, key = ocsp.load_der_ocsp_response(body), rsa_responder_key()
    (certificate,) = response.certificates
    weak = der.sequence(der.object_identifier("1.2.840.113549.1.1.5"), der.tlv(der.Tag.NULL))
    signature = key.sign(response.tbs_response_bytes, PKCS1v15(), SHA1())  # noqa: S303 - it is the point
    certificates = der.tlv(der.context(0), der.sequence(certificate.public_bytes(Encoding.DER)))
    basic = der.sequence(response.tbs_response_bytes, weak, der.bit_string(signature), certificates)
    answer = der.sequence(der.object_identifier(oids.OCSP_BASIC), der.octet_string(basic))
    return der.sequence(der.enumerated(0), der.tlv(der.context(0), answer))
