"""Signing keys in a token as pyca's own types: the digest is made here, the token signs it raw."""

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo, Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, Hash, HashAlgorithm
from cryptography.utils import Buffer

from hsm_adapter.keys import ECSigningKey, RSASigningKey
from jpki import der, oids
from jpki.signature import PrivateKey, PublicKey

Raw = Callable[[bytes], bytes]
"""Signs raw: a DigestInfo by PKCS#1 v1.5, or a digest by ECDSA with r and s one after the other."""

_HASHES = {SHA256.name: oids.SHA256, SHA384.name: oids.SHA384, SHA512.name: oids.SHA512}
_BY_SIZE = {32: oids.SHA256, 48: oids.SHA384, 64: oids.SHA512}


def token_key(public: PublicKey, raw: Raw) -> PrivateKey:
    """Return the key whose public half this is and which signs by `raw`."""
    return _rsa_key(public, raw) if isinstance(public, rsa.RSAPublicKey) else _ec_key(public, raw)


def _rsa_key(public: rsa.RSAPublicKey, raw: Raw) -> RSASigningKey:
    def sign(data: bytes, padding: AsymmetricPadding, algorithm: Prehashed | HashAlgorithm | NoDigestInfo) -> bytes:
        if not isinstance(padding, PKCS1v15) or isinstance(algorithm, NoDigestInfo):
            raise TypeError("only PKCS#1 v1.5 with a hash")
        identifier, digest = _digest(data, algorithm)
        null = der.tlv(der.Tag.NULL)
        return raw(der.sequence(der.sequence(der.object_identifier(identifier), null), der.octet_string(digest)))

    return RSASigningKey(public, sign)


def _ec_key(public: ec.EllipticCurvePublicKey, raw: Raw) -> ECSigningKey:
    def sign(data: Buffer, algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        _, digest = _digest(bytes(data), algorithm.algorithm)
        both = raw(digest)
        half = len(both) // 2
        return encode_dss_signature(int.from_bytes(both[:half]), int.from_bytes(both[half:]))

    return ECSigningKey(public, sign)


def _digest(data: bytes, algorithm: Prehashed | HashAlgorithm) -> tuple[str, bytes]:
    """Return the hash's OID and the digest: the token gets a digest, never the document."""
    if isinstance(algorithm, Prehashed):
        return _BY_SIZE[len(data)], data
    hashing = Hash(algorithm)
    hashing.update(data)
    return _HASHES[algorithm.name], hashing.finalize()
