"""One key of one CA: its certificate, where its private key lives, and until when it may issue."""

from dataclasses import dataclass
from datetime import datetime
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from jpki.certificate import Purpose
from jpki.clock import whole_second
from jpki.der import Reader, Tag
from jpki.ids import GenerationId, KeyUri
from jpki.signature import PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A CA's generation. All generations of a CA bear one name; only the key tells them apart (docs/adr/0004).

    `issues_from` is None until the ceremony that makes it has ended; `compromised_at` and `destroyed_at` are None as
    long as its key is safe, and kept (docs/adr/0009).
    """

    id: GenerationId
    purpose: Purpose
    certificate: x509.Certificate
    key: KeyUri
    profile: str
    issue_until: datetime
    issues_from: datetime | None = None
    compromised_at: datetime | None = None
    destroyed_at: datetime | None = None

    @property
    def not_before(self) -> datetime:
        """The beginning of the CA certificate."""
        return self.certificate.not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        """The end of the CA certificate: nothing outlives it (rule R25)."""
        return self.certificate.not_valid_after_utc

    def answers(self, at: datetime) -> bool:
        """Tell whether lists and OCSP answers come from it: to its last second, which no certificate of it outlives.

        A compromised one answers too: what asks it trusts it still, and hears that all it signed is revoked.
        """
        return self.destroyed_at is None and whole_second(at) <= self.not_after

    def is_trusted(self, at: datetime) -> bool:
        """Tell whether its signatures are believed."""
        return self.answers(at) and self.compromised_at is None

    def may_issue(self, at: datetime) -> bool:
        """Tell whether certificates may come from it; until when, `issue_until` says."""
        return self.is_trusted(at) and self.issues_from is not None

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
        return public_key_bits(self.certificate)

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


def public_key_bits(certificate: x509.Certificate) -> bytes:
    """Return the value of a certificate's subjectPublicKey BIT STRING, which OCSP's issuerKeyHash is taken of."""
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    fields = Reader(Reader(spki).read(Tag.SEQUENCE))
    fields.read(Tag.SEQUENCE)
    return fields.read(Tag.BIT_STRING)[1:]
