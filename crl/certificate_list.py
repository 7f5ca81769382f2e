"""A CertificateList of any size, read from a file as evidence (RFC 5280 5.1).

Its octets pass by in blocks, each digested and indexed from the same memory: what the signature covers is what is
looked up, whatever becomes of the file. Never is the whole list in memory, but one in PEM, out of a pipe, or signed
with EdDSA.
"""

import base64
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.x509.oid import SignatureAlgorithmOID

from crl.outline import UNREADABLE, outline, signed_octets
from jpki.der import DerError, Tag
from jpki.errors import JpkiError, Kind
from jpki.text import Text

if TYPE_CHECKING:
    from crl.entry_index import EntryIndex

_BLOCK = 1 << 20
_STRONG = (
    hashes.SHA224,
    hashes.SHA256,
    hashes.SHA384,
    hashes.SHA512,
    hashes.SHA3_224,
    hashes.SHA3_256,
    hashes.SHA3_384,
    hashes.SHA3_512,
)
"""Not MD5 and SHA-1: whoever finds a collision could have signed it."""


@dataclass(frozen=True, slots=True)
class CertificateList:
    """A list that was read; `head` is all of it but its entries, `octets` the size of its DER.

    `signed` is what the signature is over: the digest of the TBSCertList, with EdDSA its octets, and None where the
    algorithm is weak or unknown.
    """

    head: x509.CertificateRevocationList
    entries: "EntryIndex"
    octets: int
    signed: bytes | None

    def is_signed_by(self, key: CertificatePublicKeyTypes) -> bool:
        """Tell whether the signature over all that was read is of this key."""
        if self.signed is None:
            return False
        try:
            _verify(key, self.head, self.signed)
        except (InvalidSignature, *UNREADABLE):
            return False
        return True


def _verify(key: CertificatePublicKeyTypes, head: x509.CertificateRevocationList, signed: bytes) -> None:
    """Raise InvalidSignature where the signature is not of this key, or the key of another kind."""
    algorithm, parameters = head.signature_hash_algorithm, head.signature_algorithm_parameters
    match key:
        case rsa.RSAPublicKey() if algorithm and isinstance(parameters, (PKCS1v15, PSS)):
            key.verify(head.signature, signed, parameters, Prehashed(algorithm))
        case ec.EllipticCurvePublicKey() if algorithm and isinstance(parameters, ec.ECDSA):
            key.verify(head.signature, signed, ec.ECDSA(Prehashed(algorithm)))
        case ed25519.Ed25519PublicKey() if head.signature_algorithm_oid == SignatureAlgorithmOID.ED25519:
            key.verify(head.signature, signed)
        case ed448.Ed448PublicKey() if head.signature_algorithm_oid == SignatureAlgorithmOID.ED448:
            key.verify(head.signature, signed)
        case _:
            raise InvalidSignature


def read_list(file: BinaryIO) -> CertificateList:
    """Read a list, DER or PEM, which is all that the file holds.

    Raises:
        JpkiError: UNPROCESSABLE `crl-unreadable`.
    """
    from crl.entry_index import EntryReader

    try:
        octets, reader = _in_der(file), EntryReader()
        found = outline(octets)
        digest = _digest_of(found.head)
        for block in signed_octets(octets, found, reader.take):
            digest.update(block)
        return CertificateList(found.head, reader.entries(), found.octets, digest.finalize())
    except UNREADABLE as error:
        raise unreadable() from error


def _in_der(file: BinaryIO) -> BinaryIO:
    """Return the file itself where it holds DER that can be read at any place, else DER in memory."""
    if not file.seekable():
        file = BytesIO(_all_of(file))
    file.seek(0)
    if _is_der(file.read(1) + file.read(1)):
        return file
    file.seek(0)
    return BytesIO(_der_in(_all_of(file)))


def _all_of(file: BinaryIO) -> bytes:
    return b"".join(iter(lambda: file.read(_BLOCK), b""))


def _is_der(begin: bytes) -> bool:
    """Tell DER from text: no list is so short that the second octet of its DER could be a character."""
    return begin[:1] == bytes((Tag.SEQUENCE,)) and begin[1:2] >= b"\x80"


_PEM_BEGIN, _PEM_END = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"


def _der_in(text: bytes) -> bytes:
    _, begin, rest = text.partition(_PEM_BEGIN)
    content, end, _ = rest.partition(_PEM_END)
    if not (begin and end):
        raise DerError("neither DER nor PEM of a list")
    return base64.b64decode(b"".join(content.split()), validate=True)


# --- what is signed --------------------------------------------------------------------------------------------


class _Digest:
    """Takes the TBSCertList as it passes by."""

    def __init__(self, algorithm: hashes.HashAlgorithm) -> None:
        self._hash = hashes.Hash(algorithm)

    def update(self, octets: bytes) -> None:
        self._hash.update(octets)

    def finalize(self) -> bytes | None:
        return self._hash.finalize()


class _Whole(_Digest):
    """Keeps the TBSCertList, which EdDSA hashes twice (RFC 8032 5.1.6)."""

    def __init__(self) -> None:
        self._octets = bytearray()

    def update(self, octets: bytes) -> None:
        self._octets += octets

    def finalize(self) -> bytes | None:
        return bytes(self._octets)


class _Nothing(_Digest):
    """Nobody can believe a signature by a weak or unknown algorithm."""

    def __init__(self) -> None:
        pass

    def update(self, octets: bytes) -> None:
        pass

    def finalize(self) -> bytes | None:
        return None


def _digest_of(head: x509.CertificateRevocationList) -> _Digest:
    if head.signature_algorithm_oid in {SignatureAlgorithmOID.ED25519, SignatureAlgorithmOID.ED448}:
        return _Whole()
    try:
        algorithm = head.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return _Nothing()
    return _Digest(algorithm) if isinstance(algorithm, _STRONG) else _Nothing()


def unreadable() -> JpkiError:
    """Return the error of what is no list: UNPROCESSABLE `crl-unreadable`."""
    return JpkiError(
        Kind.UNPROCESSABLE,
        "crl-unreadable",
        Text("失効リスト（CRL）として読めません。", "This cannot be read as a certificate revocation list."),
        Text("PEMまたはDER形式のCRLを指定してください。", "Give a CRL in PEM or DER."),
    )
