"""Which holder keys are taken: proof of possession, the profile's kind and size, and no key known to be weak.

Of a CSR only the public key is used (rule R17); whatever else it asks for is ignored.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from ca.weak_rsa import rsa_weakness
from jpki.errors import JpkiError, Kind
from jpki.signature import KeySpec, PublicKey
from jpki.text import Text

LARGEST_CSR = 16_384
"""Octets; an honest CSR of a 4096-bit key has about 1,700 in PEM."""
LARGEST_KEY_FILE = 65_536
"""Octets of a certificate, a CSR or a public key."""

_NEW_KEY = Text("カードで鍵ペアを作り直してください。", "Make a new key pair on the card.")


@dataclass(frozen=True, slots=True)
class HolderKey:
    """A public key fit for `spec`, whose holder proved to hold it. Only `holder_key` makes one, after its checks.

    `info` is its SubjectPublicKeyInfo in DER.
    """

    public_key: PublicKey
    spec: KeySpec
    info: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Encode the key once; OpenSSL takes its time for it."""
        object.__setattr__(self, "info", _info(self.public_key))

    @property
    def hash(self) -> bytes:
        """By which a reused or blocked key is found; see `key_hash`."""
        return hashlib.sha256(self.info).digest()


def read_csr(octets: bytes) -> x509.CertificateSigningRequest:
    """Read a PKCS#10 request, PEM or DER.

    Raises:
        JpkiError: TOO_LARGE `csr-too-large`, or MALFORMED `csr-malformed`.
    """
    if len(octets) > LARGEST_CSR:
        raise JpkiError(
            Kind.TOO_LARGE,
            "csr-too-large",
            Text("CSRが大きすぎます。", "The CSR is too large."),
            Text(f"{LARGEST_CSR}バイト以下にしてください。", f"Send at most {LARGEST_CSR} octets."),
        )
    load = x509.load_pem_x509_csr if b"-----BEGIN" in octets else x509.load_der_x509_csr
    try:
        return load(octets)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise JpkiError(
            Kind.MALFORMED,
            "csr-malformed",
            Text("CSRを読めません。", "The CSR cannot be read."),
            Text("PKCS#10（PEM又はDER）のCSRを渡してください。", "Give a PKCS#10 request in PEM or DER."),
        ) from error


def holder_key(csr: x509.CertificateSigningRequest, spec: KeySpec) -> HolderKey:
    """Return the CSR's public key if its holder proved to hold it and it is fit for the profile's `spec`.

    Raises:
        JpkiError: UNPROCESSABLE `key-not-possessed`, `key-wrong-kind` or `key-weak`.
    """
    key = _public_key(csr)
    _require_kind(key, spec)
    _require_possession(csr)
    if isinstance(key, rsa.RSAPublicKey):
        _require_strong(key)
    return HolderKey(key, spec)


def read_public_key(octets: bytes) -> PublicKeyTypes:
    """Read the public key, of whatever kind, in a certificate, a CSR or a public key in PEM.

    Raises:
        JpkiError: TOO_LARGE `key-file-too-large`, or MALFORMED `key-file-malformed`.
    """
    if len(octets) > LARGEST_KEY_FILE:
        raise JpkiError(
            Kind.TOO_LARGE,
            "key-file-too-large",
            Text("ファイルが大きすぎます。", "The file is too large."),
            Text(f"{LARGEST_KEY_FILE}バイト以下にしてください。", f"Give at most {LARGEST_KEY_FILE} octets."),
        )
    label = re.search(rb"-----BEGIN ([A-Z ]+)-----", octets)
    try:
        return _BEARERS[label[1] if label else b""](octets)
    except (KeyError, ValueError, UnsupportedAlgorithm) as error:
        raise JpkiError(
            Kind.MALFORMED,
            "key-file-malformed",
            Text("ファイルから公開鍵を読めません。", "No public key can be read from the file."),
            Text(
                "証明書・CSR・公開鍵のいずれかをPEM形式で渡してください（秘密鍵は openssl pkey -pubout で変換）。",
                "Give a certificate, a CSR or a public key in PEM; `openssl pkey -pubout` makes one of a private key.",
            ),
        ) from error


_BEARERS: dict[bytes, Callable[[bytes], PublicKeyTypes]] = {
    b"CERTIFICATE": lambda octets: x509.load_pem_x509_certificate(octets).public_key(),
    b"CERTIFICATE REQUEST": lambda octets: x509.load_pem_x509_csr(octets).public_key(),
    b"NEW CERTIFICATE REQUEST": lambda octets: x509.load_pem_x509_csr(octets).public_key(),
    b"PUBLIC KEY": load_pem_public_key,
}


def key_hash(key: PublicKeyTypes) -> bytes:
    """Return SHA-256 over the key's SubjectPublicKeyInfo, by which a reused or blocked key is found."""
    return hashlib.sha256(_info(key)).digest()


def _info(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _public_key(csr: x509.CertificateSigningRequest) -> PublicKey:
    try:
        key = csr.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refusal("key-weak", "CSRの公開鍵を読めません。", "The CSR's public key cannot be read.") from error
    if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return key
    raise _refusal("key-wrong-kind", "鍵の種類が使えません。", "This kind of key cannot be used.")


def _require_possession(csr: x509.CertificateSigningRequest) -> None:
    try:
        valid = csr.is_signature_valid
    except (ValueError, InvalidSignature, UnsupportedAlgorithm):
        valid = False
    if not valid:
        raise _refusal(
            "key-not-possessed",
            "CSRの署名が公開鍵と合わず、秘密鍵の所持を確かめられません。",
            "The CSR's signature does not fit its public key, so possession of the key is not proven.",
        )


def _require_kind(key: PublicKey, spec: KeySpec) -> None:
    found = f"rsa-{key.key_size}" if isinstance(key, rsa.RSAPublicKey) else _CURVES.get(key.curve.name, key.curve.name)
    if found != spec:
        raise _refusal(
            "key-wrong-kind",
            f"鍵の種類が {found} です。この証明書には {spec} が必要です。",
            f"The key is {found}; this certificate needs {spec}.",
        )


_CURVES = {"secp256r1": str(KeySpec.P256), "secp384r1": str(KeySpec.P384)}


def _require_strong(key: rsa.RSAPublicKey) -> None:
    weakness = rsa_weakness(key.public_numbers())
    if weakness is not None:
        raise _refusal("key-weak", weakness.ja, weakness.en)


def _refusal(code: str, ja: str, en: str) -> JpkiError:
    return JpkiError(Kind.UNPROCESSABLE, code, Text(ja, en), _NEW_KEY)
