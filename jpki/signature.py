"""Signing DER with any key of the house: one algorithm per kind of key, each signature checked before it leaves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

from jpki import der, oids
from jpki.digest import Digest
from jpki.errors import JpkiError, Kind
from jpki.text import Text

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
"""A pyca private key; a key provider's own subclass signs and cannot be exported (docs/adr/0002)."""
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class KeySpec(StrEnum):
    """The kinds of key that the house makes."""

    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    P256 = "p-256"
    P384 = "p-384"


_CURVES = {"secp256r1": KeySpec.P256, "secp384r1": KeySpec.P384}


def spec_of(key: PublicKey) -> KeySpec:
    """Return the kind of a key.

    Raises:
        ValueError: when it is none that the house makes.
    """
    return KeySpec(f"rsa-{key.key_size}" if isinstance(key, rsa.RSAPublicKey) else _CURVES.get(key.curve.name, "other"))


class _Given:
    """How pyca is told what a key is given, a message or a digest of one: made once, for OCSP signs many a second."""

    def __init__(self, how: SHA256 | SHA384 | Prehashed) -> None:
        self.hash = how
        self.ecdsa = ec.ECDSA(how)


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A signature algorithm: its hash and its AlgorithmIdentifier's DER."""

    hash: SHA256 | SHA384
    identifier: bytes
    message: _Given = field(init=False, repr=False)
    digest: _Given = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Tell pyca's words for it."""
        object.__setattr__(self, "message", _Given(self.hash))
        object.__setattr__(self, "digest", _Given(Prehashed(self.hash)))


_RSA = Algorithm(SHA256(), der.sequence(der.object_identifier(oids.RSA_SHA256), der.tlv(der.Tag.NULL)))
_P256 = Algorithm(SHA256(), der.sequence(der.object_identifier(oids.ECDSA_SHA256)))
_P384 = Algorithm(SHA384(), der.sequence(der.object_identifier(oids.ECDSA_SHA384)))


def algorithm_for(key: PublicKey | PrivateKey) -> Algorithm:
    """Return the algorithm that a key of this kind signs with: RSA and P-256 with SHA-256, P-384 with SHA-384."""
    if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        return _RSA
    return _P384 if key.curve.name == "secp384r1" else _P256


def sign(key: PrivateKey, message: bytes) -> bytes:
    """Sign `message` and check the signature against the key's public half.

    Raises:
        JpkiError: INTERNAL `signature-faulty` when the check fails: a broken token must not reach a holder.
    """
    return checked(key)(message)


def checked(key: PrivateKey) -> Callable[[bytes], bytes]:
    """Return what signs messages with `key` as `sign` does; what kind of key it is was looked at then."""
    make, verify = unchecked(key), _verifying(key.public_key())

    def signing(message: bytes) -> bytes:
        signature = make(message)
        try:
            verify(message, signature)
        except InvalidSignature:
            raise _faulty() from None
        return signature

    return signing


def _verifying(key: PublicKey) -> Callable[[bytes, bytes], None]:
    how = algorithm_for(key).message
    if isinstance(key, rsa.RSAPublicKey):
        padding = PKCS1v15()
        return lambda message, signature: key.verify(signature, message, padding, how.hash)
    return lambda message, signature: key.verify(signature, message, how.ecdsa)


def unchecked(key: PrivateKey) -> Callable[[bytes], bytes]:
    """Return what signs messages with `key`; whoever asks for it checks the signatures, or a sample of them.

    What kind of key it is was looked at then, and not at each signature: OCSP makes many a second.
    """
    how = algorithm_for(key).message
    if isinstance(key, rsa.RSAPrivateKey):
        padding = PKCS1v15()
        return lambda message: key.sign(message, padding, how.hash)
    return lambda message: key.sign(message, how.ecdsa)


def check(key: PublicKey, message: bytes, signature: bytes) -> None:
    """Verify `signature` over `message` with the algorithm of this kind of key.

    Raises:
        InvalidSignature: of pyca, when it does not fit.
    """
    _check(key, message, signature, algorithm_for(key).message)


def hashing(key: PublicKey) -> Digest:
    """Return a new digest of the kind that this key signs: for a message that is too long to be held."""
    return Digest(algorithm_for(key).hash)


def sign_digest(key: PrivateKey, digest: bytes) -> bytes:
    """Sign a message of which only the digest is at hand, made by `hashing`; else as `sign`."""
    public = key.public_key()
    signature = _signature(key, digest, algorithm_for(public).digest)
    try:
        check_digest(public, digest, signature)
    except InvalidSignature:
        raise _faulty() from None
    return signature


def check_digest(key: PublicKey, digest: bytes, signature: bytes) -> None:
    """Verify `signature` over a message of which only the digest is at hand; else as `check`."""
    _check(key, digest, signature, algorithm_for(key).digest)


def _signature(key: PrivateKey, data: bytes, how: _Given) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, PKCS1v15(), how.hash)
    return key.sign(data, how.ecdsa)


def _check(key: PublicKey, data: bytes, signature: bytes, how: _Given) -> None:
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, data, PKCS1v15(), how.hash)
    else:
        key.verify(signature, data, how.ecdsa)


def _faulty() -> JpkiError:
    return JpkiError(
        Kind.INTERNAL,
        "signature-faulty",
        Text(
            "鍵が誤った署名を返しました。署名は破棄しました。",
            "The key returned a wrong signature; it was discarded.",
        ),
        Text("鍵装置を点検してください。", "Have the key's device inspected."),
    )


def assembled(to_be_signed: bytes, signature: bytes) -> bytes:
    """Return the certificate that a TBSCertificate and its signature make; the octets themselves name the algorithm."""
    at, _ = der.span(to_be_signed, 0, der.Tag.SEQUENCE)
    _, at = der.span(to_be_signed, at, _VERSION)
    _, at = der.span(to_be_signed, at, der.Tag.INTEGER)
    _, end = der.span(to_be_signed, at, der.Tag.SEQUENCE)
    return der.sequence(to_be_signed, to_be_signed[at:end], der.bit_string(signature))


_VERSION = der.context(0)


def signed(key: PrivateKey, to_be_signed: bytes) -> bytes:
    """Return SEQUENCE { to_be_signed, algorithm, signature }: the outer form of certificates, CRLs and OCSP alike."""
    return der.sequence(
        to_be_signed, algorithm_for(key.public_key()).identifier, der.bit_string(sign(key, to_be_signed))
    )
