"""Who we answer for: each generation of ours with its responder, and the filter that tells ours from foreign."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from jpki import der
from jpki.certificate import Validity
from jpki.der import context
from jpki.generation import Generation
from jpki.signature import PrivateKey, algorithm_for, unchecked
from jpki.text import Text
from ocsp.cert_id import IssuerHashes, hashes_of
from ocsp.request import MalformedRequest, OcspRequest


class ForeignIssuer(Exception):  # noqa: N818 - a fact about the question, and no error of ours
    """The question names an issuer that is not ours; it stays within this room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """A generation, and the delegated responder that speaks for it (RFC 6960 4.2.2.2).

    Make it once and keep it: what every answer needs is computed here and not per request.
    """

    generation: Generation
    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    hashes: frozenset[IssuerHashes] = field(init=False, repr=False)
    validity: Validity = field(init=False, repr=False)
    """From when to when the responder may speak."""
    responder_id_der: bytes = field(init=False, repr=False)
    """ResponderID byKey: SHA-1 of the responder's key (RFC 6960 4.2.1)."""
    algorithm_der: bytes = field(init=False, repr=False)
    """The AlgorithmIdentifier with which the responder signs."""
    sign_unchecked: Callable[[bytes], bytes] = field(init=False, repr=False, compare=False)
    """Signs for the responder; whoever calls it checks the signatures, or a sample of them."""
    certificates_der: bytes = field(init=False, repr=False)
    """The certificates that come with an answer: the responder's."""

    def __post_init__(self) -> None:
        generation, certificate = self.generation, self.certificate
        key_identifier = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
        object.__setattr__(self, "hashes", hashes_of(generation.name_der, generation.key_bits))
        validity = Validity(certificate.not_valid_before_utc, certificate.not_valid_after_utc)
        certificates = der.sequence(certificate.public_bytes(Encoding.DER))
        object.__setattr__(self, "validity", validity)
        object.__setattr__(self, "responder_id_der", der.tlv(context(2), der.octet_string(key_identifier.digest)))
        object.__setattr__(self, "algorithm_der", algorithm_for(self.key.public_key()).identifier)
        object.__setattr__(self, "sign_unchecked", unchecked(self.key))
        object.__setattr__(self, "certificates_der", der.tlv(context(0), certificates))


def issuer_asked(issuers: Sequence[Issuer], request: OcspRequest) -> Issuer:
    """Return the one issuer that all CertIDs of `request` name (rules R15, R23).

    Raises:
        ForeignIssuer: a CertID names none of ours, or by a hash function that we do not know.
        MalformedRequest: the CertIDs name several of ours; no one responder can sign for two keys.
    """
    first, *others = [_named(issuers, cert_id.issuer) for cert_id in request.cert_ids]
    if any(other is not first for other in others):
        raise MalformedRequest(Text("CertIDが複数の世代にまたがる", "CertIDs name several generations"))
    return first


def _named(issuers: Sequence[Issuer], hashes: IssuerHashes) -> Issuer:
    for issuer in issuers:
        if hashes in issuer.hashes:
            return issuer
    raise ForeignIssuer
