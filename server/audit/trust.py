"""Whose heads an auditor believes: the keys that the auditor was given, and audit certificates that they signed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from re import DOTALL, findall

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from jpki import oids
from jpki.errors import JpkiError, Kind
from jpki.signature import PublicKey, check
from jpki.text import Text

_UNUSABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.UnsupportedGeneralNameType,
)
"""What pyca raises at a certificate from a stranger."""
_BLOCK = rb"(-----BEGIN ([A-Z ]+)-----.*?-----END \2-----)"


@dataclass(frozen=True, slots=True)
class Trust:
    """The public keys that are believed: audit keys themselves, or the infrastructure root's that certifies them."""

    keys: tuple[PublicKey, ...]

    @classmethod
    def of_certificates(cls, certificates: Iterable[x509.Certificate]) -> "Trust":
        """Believe the keys of these certificates."""
        return cls(tuple(_supported(each.public_key()) for each in certificates))

    @classmethod
    def of_pem(cls, text: bytes) -> "Trust":
        """Believe the public keys, and the keys of the certificates, in a PEM file.

        Raises:
            JpkiError: UNPROCESSABLE `audit-key-unreadable`.
        """
        try:
            keys = tuple(_keys_in(text))
        except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
            raise _unreadable() from error
        if not keys:
            raise _unreadable()
        return cls(keys)

    def key_of(self, certificate: x509.Certificate) -> PublicKey | None:
        """Return the key of an audit certificate, None where it is not believed.

        The infrastructure root certifies clerks too: only a certificate made for the audit signs heads.
        """
        try:
            key = _supported(certificate.public_key())
            if key in self.keys or (
                _is_for_audit(certificate) and any(_signed(certificate, each) for each in self.keys)
            ):
                return key
        except _UNUSABLE:
            return None
        return None


def _keys_in(text: bytes) -> Iterator[PublicKey]:
    for block, kind in findall(_BLOCK, text, DOTALL):
        if kind == b"CERTIFICATE":
            yield _supported(x509.load_pem_x509_certificate(block).public_key())
        elif kind == b"PUBLIC KEY":
            yield _supported(load_pem_public_key(block))


def _supported(key: object) -> PublicKey:
    if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return key
    raise ValueError("not a kind of key that the house signs with")


def _is_for_audit(certificate: x509.Certificate) -> bool:
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    return x509.ObjectIdentifier(oids.LAB_AUDIT_SIGNING) in usage


def _signed(certificate: x509.Certificate, issuer: PublicKey) -> bool:
    try:
        check(issuer, certificate.tbs_certificate_bytes, certificate.signature)
    except InvalidSignature:
        return False
    return True


def _unreadable() -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "audit-key-unreadable",
        Text(
            "PEM形式の公開鍵又は証明書がありません。",
            "The file holds no public key or certificate in PEM that we can use.",
        ),
        Text(
            "jpki audit key の出力、又は監査用証明書を指定してください。",
            "Give what `jpki audit key` printed, or the audit signing certificate.",
        ),
    )
