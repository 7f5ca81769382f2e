"""What a signer signs with, and the refusal to sign with a certificate that is not meant for it."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from jpki.errors import JpkiError, Kind
from jpki.signature import PrivateKey
from jpki.text import Text
from signing.certificate_checks import is_for_signing, policies
from signing.validation import SIGNING_POLICIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A certificate, its private key (which may be one that only signs), and the certificates above it.

    Raises:
        JpkiError: UNPROCESSABLE `key-mismatch` when the key is not the certificate's.
    """

    certificate: x509.Certificate
    key: PrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    def __post_init__(self) -> None:
        public, certified = self.key.public_key(), self.certificate.public_key()
        spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if public.public_bytes(*spki) != certified.public_bytes(*spki):
            raise JpkiError(
                Kind.UNPROCESSABLE,
                "key-mismatch",
                Text("秘密鍵が証明書の公開鍵と一致しません。", "The private key does not belong to the certificate."),
                Text("証明書に対応する秘密鍵を指定してください。", "Give the certificate's own private key."),
            )


def refuse_unless_signing(certificate: x509.Certificate) -> None:
    """Refuse a certificate that is not for signing documents, such as an authentication certificate.

    Raises:
        JpkiError: FORBIDDEN `not-a-signing-certificate`.
    """
    if is_for_signing(certificate) and policies(certificate) & SIGNING_POLICIES:
        return
    raise JpkiError(
        Kind.FORBIDDEN,
        "not-a-signing-certificate",
        Text(
            "この証明書は署名用電子証明書ではありません。署名しても検証で拒否されます。",
            "This is not a signing certificate; verifiers would refuse the signature.",
        ),
        Text(
            "署名用電子証明書を指定してください。試験のため署名する場合は --force を付けてください。",
            "Give a signing certificate, or --force for a trial.",
        ),
    )
