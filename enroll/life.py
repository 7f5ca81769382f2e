"""A certificate's life as its records tell it, and what it says of itself but of nobody else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import AuthorityInformationAccessOID

from jpki.ports import CertificateRecord, JournalEntry
from jpki.revocation import Reason, State
from jpki.text import Text


@dataclass(frozen=True, slots=True)
class Passage:
    """One point of a certificate's life; its end lies ahead as long as nothing ends it before."""

    at: datetime
    state: State | None
    """None at the end of its validity."""
    words: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a certificate says that tells nothing of its holder (rule R21)."""

    issuer: str
    key: str
    signature: str
    policies: Sequence[str]
    crl_urls: Sequence[str]
    ocsp_urls: Sequence[str]
    fingerprint: bytes
    """SHA-256 of its DER."""


def passages(record: CertificateRecord, changes: Sequence[JournalEntry]) -> Iterator[Passage]:
    """Yield a certificate's life from its issue on, the earliest first; `changes` are its own, in order."""
    yield Passage(record.validity.not_before, State.ISSUED, _ISSUED)
    before = State.ISSUED
    for entry in changes:
        yield Passage(entry.effective_at, entry.state, _words(entry, before))
        before = entry.state
    if before is not State.REVOKED:
        yield Passage(record.validity.not_after, None, _ENDS)


def _words(entry: JournalEntry, before: State) -> Text:
    if entry.state is State.REVOKED:
        reason = entry.reason or Reason.UNSPECIFIED
        return Text(f"失効しました（{reason.text.ja}）。", f"It was revoked: {reason.text.en}.")
    if entry.state is State.HELD:
        return _HELD
    return _RELEASED if before is State.HELD else _DELIVERED


def said_by(certificate: x509.Certificate) -> Said:
    """Return what a certificate of ours says of itself."""
    extensions = certificate.extensions
    policies = extensions.get_extension_for_class(x509.CertificatePolicies).value
    points = extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    access = extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    named = [name for point in points for name in point.full_name or []]
    return Said(
        issuer=certificate.issuer.rfc4514_string(),
        key=_key(certificate),
        signature=certificate.signature_algorithm_oid.dotted_string,
        policies=[each.policy_identifier.dotted_string for each in policies],
        crl_urls=[each.value for each in named if isinstance(each, x509.UniformResourceIdentifier)],
        ocsp_urls=[
            each.access_location.value for each in access if each.access_method == AuthorityInformationAccessOID.OCSP
        ],
        fingerprint=certificate.fingerprint(SHA256()),
    )


def _key(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, RSAPublicKey):
        return f"RSA {key.key_size}"
    assert isinstance(key, EllipticCurvePublicKey)  # noqa: S101 - the key policy takes no other kind
    return f"EC {key.curve.name}"


_ISSUED = Text("発行されました。", "It was issued.")
_DELIVERED = Text("交付され、使えるようになりました。", "It was handed over and came to life.")
_HELD = Text("一時停止しました。", "It was put on hold.")
_RELEASED = Text("一時停止が解除され、また使えるようになりました。", "The hold was lifted.")
_ENDS = Text("有効期限", "Its last second")
