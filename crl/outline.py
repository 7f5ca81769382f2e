"""Where the parts of a list lie in its file, however long that is (RFC 5280 5.1)."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from jpki import der
from jpki.signature import PublicKey, algorithm_for, check_digest, hashing

_BLOCK = 1 << 20
_SMALL = 1 << 16
_LONGEST_HEADER = 6
_TIMES = (der.Tag.UTC_TIME, der.Tag.GENERALIZED_TIME)
_FIELDS = ((der.Tag.INTEGER,), (der.Tag.SEQUENCE,), (der.Tag.SEQUENCE,), _TIMES, _TIMES)
"""What a tbsCertList of version 2 begins with; then follow revokedCertificates, if any, and the extensions."""


@dataclass(frozen=True, slots=True)
class _Element:
    tag: int
    begin: int
    content: int
    end: int


@dataclass(frozen=True, slots=True)
class Outline:
    """A list's outline: where the octets that are signed lie, and those of its entries, and all else as it reads.

    `frame` is the list as it would be without entries: its signature is the true one and fits the true octets only.
    """

    to_be_signed: range
    entries: range
    frame: x509.CertificateRevocationList
    _before: bytes
    _after: bytes
    _signature: bytes

    def around(self, entries: bytes) -> x509.CertificateRevocationList:
        """Return the frame with some of the entries in it, so that cryptography reads them.

        Raises:
            ValueError: they are not whole entries.
        """
        return _list(self._before, entries, self._after, self._signature)

    def algorithms(self) -> list[bytes]:
        """Return the AlgorithmIdentifiers inside and outside of what is signed."""
        fields, signature = der.Reader(self._before), der.Reader(self._signature)
        fields.read(der.Tag.INTEGER)
        return [fields.read_element(der.Tag.SEQUENCE), signature.read_element(der.Tag.SEQUENCE)]


def outline(file: BinaryIO) -> Outline:
    """Read the outline of a list in DER.

    Raises:
        ValueError: it is none, or not of version 2 with a nextUpdate and extensions.
    """
    size = os.fstat(file.fileno()).st_size
    (whole,) = _elements(file, 0, size)
    to_be_signed, *signature = _elements(file, whole.content, whole.end)
    fields = list(_elements(file, to_be_signed.content, to_be_signed.end))
    revoked, extensions = (fields[5] if len(fields) == len(_FIELDS) + 2 else None), fields[-1]
    if (
        whole.tag != der.Tag.SEQUENCE
        or to_be_signed.tag != der.Tag.SEQUENCE
        or len(signature) != 2
        or len(fields) not in (len(_FIELDS) + 1, len(_FIELDS) + 2)
        or not all(field.tag in tags for field, tags in zip(fields, _FIELDS, strict=False))
        or (revoked is not None and (revoked.tag != der.Tag.SEQUENCE or revoked.content == revoked.end))
        or extensions.tag != der.context(0)
    ):
        raise ValueError("not a certificate list")
    before = _small(file, to_be_signed.content, fields[4].end)
    after = _small(file, extensions.begin, extensions.end)
    signed = _small(file, to_be_signed.end, whole.end)
    return Outline(
        to_be_signed=range(to_be_signed.begin, to_be_signed.end),
        entries=range(fields[4].end, fields[4].end) if revoked is None else range(revoked.content, revoked.end),
        frame=_list(before, b"", after, signed),
        _before=before,
        _after=after,
        _signature=signed,
    )


def number_of(parsed: x509.CertificateRevocationList) -> int:
    """Return the cRLNumber (RFC 5280 5.2.3).

    Raises:
        ValueError: there is none, or the extensions cannot be read.
    """
    try:
        return parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound as error:
        raise ValueError("no cRLNumber") from error


def require_algorithm(found: Outline, key: PublicKey) -> None:
    """Require that the list names the algorithm that this key signs with, in both places.

    Raises:
        InvalidSignature: of pyca, when it does not.
    """
    if found.algorithms() != [algorithm_for(key).identifier] * 2:
        raise InvalidSignature


def require_signed(file: BinaryIO, found: Outline, key: PublicKey) -> None:
    """Require that this key signed the list.

    Raises:
        InvalidSignature: of pyca, when it did not.
        ValueError: the file ends before the list does.
    """
    require_algorithm(found, key)
    hashed = hashing(key)
    for block in octets_of(file, found.to_be_signed):
        hashed.update(block)
    check_digest(key, hashed.finalize(), found.frame.signature)


def octets_of(file: BinaryIO, part: range) -> Iterator[bytes]:
    """Yield the octets of a part of the file in blocks.

    Raises:
        ValueError: the file ends before.
    """
    at = part.start
    while at < part.stop:
        block = os.pread(file.fileno(), min(_BLOCK, part.stop - at), at)
        if not block:
            raise ValueError("the file ends within the list")
        at += len(block)
        yield block


def _list(before: bytes, entries: bytes, after: bytes, signature: bytes) -> x509.CertificateRevocationList:
    revoked = der.sequence(entries) if entries else b""
    return x509.load_der_x509_crl(der.sequence(der.sequence(before, revoked, after), signature))


def _elements(file: BinaryIO, at: int, end: int) -> Iterator[_Element]:
    """Yield the elements that fill these octets exactly."""
    while at < end:
        head = os.pread(file.fileno(), _LONGEST_HEADER, at)
        element = _element(head, at)
        if element.end > end:
            raise ValueError("an element is longer than what it lies in")
        yield element
        at = element.end


def _element(head: bytes, at: int) -> _Element:
    if len(head) < 2:
        raise ValueError("the file ends within an element")
    tag, length, count = head[0], head[1], 0
    if length & 0x80:
        count = length & 0x7F
        length = int.from_bytes(head[2 : 2 + count])
        if not 0 < count <= _LONGEST_HEADER - 2 or head[: 2 + count] != der.header(tag, length):
            raise ValueError("a length is not minimal and definite")
    return _Element(tag, at, at + 2 + count, at + 2 + count + length)


def _small(file: BinaryIO, begin: int, end: int) -> bytes:
    if end - begin > _SMALL:
        raise ValueError("a part of the list is longer than any of ours")
    return os.pread(file.fileno(), end - begin, begin)
