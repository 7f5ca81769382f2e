"""One key of one CA: its certificate, where its private key lives, and until when it may issue."""

from dataclasses import dataclass
from datetime import datetime
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from jpki.certificate import Purpose
from jpki.der import Reader, Tag
from jpki.ids import GenerationId, KeyUri
from jpki.signature import PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A CA's generation. All generations of a CA bear one name; only the key tells them apart (docs/adr/0004)."""

    id: GenerationId
    purpose: Purpose
    certificate: x509.Certificate
    key: KeyUri
    profile: str
    issue_until: datetime

    @property
    def not_before(self) -> datetime:
        """The beginning of the CA certificate."""
        return self.certificate.not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        """The end of the CA certificate: nothing outlives it (rule R25)."""
        return self.certificate.not_valid_after_utc

    @property
    def public_key(self) -> PublicKey:
        """The CA's public key, of a kind that the house signs with."""
        return cast("PublicKey", self.certificate.public_key())

    @property
    def name_der(self) -> bytes:
        """The subject's DER, as OCSP's issuerNameHash takes it (RFC 6960 4.1.1)."""
        return self.certificate.subject.public_bytes()

    @property
    def key_bits(self) -> bytes:
        """The value of the subjectPublicKey BIT STRING without tag, length and unused bits (RFC 6960 4.1.1)."""
        return _public_key_bits(self.certificate)

    @property
    def key_identifier(self) -> bytes:
        """The subject key identifier: SHA-1 of `key_bits` (RFC 5280 4.2.1.2, method 1)."""
        return x509.SubjectKeyIdentifier.from_public_key(self.certificate.public_key()).digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Responder:
    """A delegated OCSP responder of one generation (RFC 6960 4.2.2.2)."""

    generation: GenerationId
    certificate: x509.Certificate
    key: KeyUri


def _public_key_bits(certificate: x509.Certificate) -> bytes:
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    fields = Reader(Reader(spki).read(Tag.SEQUENCE))
    fields.read(Tag.SEQUENCE)
    return fields.read(Tag.BIT_STRING)[1:]
