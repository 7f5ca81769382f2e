"""A CertificateList of any size, read from a file in one pass (RFC 5280 5.1).

Its octets pass by in blocks, each digested and indexed from the same memory: what the signature covers is what is
looked up, whatever becomes of the file. Never is the whole list in memory, but one in PEM or signed with EdDSA.
"""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
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

from jpki import der
from jpki.der import DerError, Tag
from jpki.errors import JpkiError, Kind
from jpki.text import Text

if TYPE_CHECKING:
    from crl.entry_index import EntryIndex, EntryReader

UNREADABLE = (
    DerError,
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What is raised where octets are not DER, or not what RFC 5280 describes: by us, and by cryptography."""
_BLOCK = 1 << 19
_LONGEST_ELEMENT = 1 << 20
"""Octets of a name, of all extensions, of a signature: what is read as a whole."""
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
    """Read a list, DER or PEM, to the end of the file.

    Raises:
        JpkiError: UNPROCESSABLE `crl-unreadable`.
    """
    try:
        return _read(_Octets(file))
    except UNREADABLE as error:
        raise unreadable() from error


def next_update(file: BinaryIO) -> datetime | None:
    """Return the nextUpdate of a list in DER, of which no more is read than its beginning.

    Raises:
        JpkiError: UNPROCESSABLE `crl-unreadable`.
    """
    try:
        octets = _Octets(file)
        octets.header(Tag.SEQUENCE)
        octets.header(Tag.SEQUENCE)
        fields = _first_fields(octets)
        return _list_of(fields, _algorithm_in(fields), _NO_SIGNATURE).next_update_utc
    except UNREADABLE as error:
        raise unreadable() from error


class _Octets:
    """The DER of a file, element by element or, where an element is long, block by block."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._buffer = b""
        self._at = 0
        self._passed = 0
        self._fill(2)
        if not _is_der(self._buffer):
            text = b"".join([self._buffer, *iter(lambda: file.read(_BLOCK), b"")])
            self._file, self._buffer = BytesIO(_der_in(text)), b""

    @property
    def position(self) -> int:
        """How many octets were taken."""
        return self._passed + self._at

    def peek(self) -> int | None:
        """Return the next element's tag, None at the end."""
        return self._buffer[self._at] if self._fill(1) else None

    def header(self, tag: int) -> tuple[bytes, int]:
        """Take the header of the next element, which must bear `tag`; return it and the content's length."""
        self._fill(6)
        header = self._buffer[self._at : self._at + 6]
        count = header[1] & 0x7F if len(header) > 1 and header[1] & 0x80 else 0
        length = int.from_bytes(header[2 : 2 + count]) if count else header[1] if len(header) > 1 else 0
        if der.header(tag, length) != header[: 2 + count]:
            raise DerError("not the tag that was expected, or no minimal definite length")
        self._at += 2 + count
        return header[: 2 + count], length

    def element(self, tag: int) -> bytes:
        """Take the next element, which must bear `tag`, whole."""
        header, length = self.header(tag)
        if length > _LONGEST_ELEMENT:
            raise DerError("an element is beyond all measure")
        return header + self.take(length)

    def take(self, length: int) -> bytes:
        """Take so many octets."""
        if not self._fill(length):
            raise DerError("cut short")
        self._at += length
        return self._buffer[self._at - length : self._at]

    def take_some(self, most: int) -> bytes:
        """Take what is at hand, one octet at least and so many at most."""
        self._fill(1)
        return self.take(max(1, min(most, len(self._buffer) - self._at)))

    def _fill(self, length: int) -> bool:
        """Have so many octets at hand if there are so many."""
        while len(self._buffer) - self._at < length and (more := self._file.read(_BLOCK)):
            self._buffer = self._buffer[self._at :] + more
            self._passed += self._at
            self._at = 0
        return len(self._buffer) - self._at >= length


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


# --- the one pass ----------------------------------------------------------------------------------------------


def _read(octets: _Octets) -> CertificateList:
    from crl.entry_index import EntryReader

    _, whole = octets.header(Tag.SEQUENCE)
    end_of_file = octets.position + whole
    tbs_header, length = octets.header(Tag.SEQUENCE)
    end = octets.position + length
    fields = _first_fields(octets)
    digest = _digest_of(_list_of(fields, _algorithm_in(fields), _NO_SIGNATURE))
    digest.update(tbs_header + b"".join(fields))
    reader = EntryReader()
    if octets.position < end and octets.peek() == Tag.SEQUENCE:
        header, length = octets.header(Tag.SEQUENCE)
        digest.update(header)
        for block in _blocks(octets, length, reader):
            digest.update(block)
    if octets.position < end:
        extensions = octets.element(der.context(0))
        digest.update(extensions)
        fields.append(extensions)
    if octets.position != end:
        raise DerError("the list is longer or shorter than it says")
    # cryptography refuses an algorithm that is not the one of the TBSCertList (RFC 5280 5.1.1.2).
    algorithm, signature = octets.element(Tag.SEQUENCE), octets.element(Tag.BIT_STRING)
    if octets.position != end_of_file or octets.peek() is not None:
        raise DerError("the file is longer or shorter than it says")
    head = _list_of(fields, algorithm, signature)
    return CertificateList(head, reader.entries(), octets.position, digest.finalize())


def _first_fields(octets: _Octets) -> list[bytes]:
    """Take the TBSCertList's fields before the entries, each whole."""
    fields = [octets.element(Tag.INTEGER)] if octets.peek() == Tag.INTEGER else []
    # signature, issuer, thisUpdate, nextUpdate
    fields += [octets.element(Tag.SEQUENCE), octets.element(Tag.SEQUENCE), octets.element(_time(octets.peek()))]
    if octets.peek() in _TIMES:
        fields.append(octets.element(_time(octets.peek())))
    return fields


def _algorithm_in(fields: Sequence[bytes]) -> bytes:
    return next(each for each in fields if each[0] == Tag.SEQUENCE)


_TIMES = (Tag.UTC_TIME, Tag.GENERALIZED_TIME)
_NO_SIGNATURE = der.bit_string(b"")


def _time(tag: int | None) -> Tag:
    return Tag.GENERALIZED_TIME if tag == Tag.GENERALIZED_TIME else Tag.UTC_TIME


def _list_of(fields: Sequence[bytes], algorithm: bytes, signature: bytes) -> x509.CertificateRevocationList:
    """Return a list without entries as cryptography reads it."""
    return x509.load_der_x509_crl(der.sequence(der.sequence(*fields), algorithm, signature))


def _blocks(octets: _Octets, length: int, reader: "EntryReader") -> Iterator[bytes]:
    """Yield a content of so many octets, whose entries the reader takes as they pass by."""
    kept = b""
    while length:
        block = octets.take_some(length)
        length -= len(block)
        yield block
        kept += block
        kept = kept[reader.take(kept) :]
    if kept:
        raise DerError("the last entry is cut short")


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
