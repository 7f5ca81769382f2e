"""Where the parts of a list lie in its file, however long that is, and all of it but its entries (RFC 5280 5.1).

Publisher, self-check, copies, door and verifiers read lists by this outline alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from jpki import der
from jpki.der import DerError, Tag
from jpki.signature import PublicKey, algorithm_for

UNREADABLE = (
    DerError,
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What is raised where octets are not DER, or not what RFC 5280 describes: by us, and by cryptography."""
_BLOCK = 1 << 20
_LONGEST_HEADER = 6
_LONGEST_PART = 1 << 20
"""Octets of a name, of all extensions, of a signature: what is read as a whole."""
_TIMES = (Tag.UTC_TIME, Tag.GENERALIZED_TIME)


@dataclass(frozen=True, slots=True)
class Outline:
    """A list's outline: where its entries lie among its `octets`, and all else as it was read.

    `head` is the list as it would be without entries: its signature is the true one and fits the true octets only.
    What is signed is `before`, the entries, and `after`; `algorithms` are the AlgorithmIdentifiers inside and outside
    of that.
    """

    octets: int
    entries: range
    head: x509.CertificateRevocationList
    before: bytes
    after: bytes
    algorithms: Sequence[bytes]


def outline(file: BinaryIO) -> Outline:
    """Read the outline of a list in DER, which is all that the file holds; entries are passed over.

    Raises:
        UNREADABLE: it is none.
    """
    parts = _Parts(file)
    _, length = parts.header(Tag.SEQUENCE)
    end_of_file = parts.at + length
    header, length = parts.header(Tag.SEQUENCE)
    end = parts.at + length
    fields = _first_fields(parts)
    before, after = header + b"".join(fields), b""
    entries = range(parts.at, parts.at)
    if parts.at < end and parts.peek() == Tag.SEQUENCE:
        header, length = parts.header(Tag.SEQUENCE)
        before += header
        entries = range(parts.at, parts.at + length)
        parts.at = entries.stop
    if parts.at < end:
        after = parts.element(der.context(0))
    if parts.at != end:
        raise DerError("the list is longer or shorter than it says")
    algorithm, signature = parts.element(Tag.SEQUENCE), parts.element(Tag.BIT_STRING)
    if parts.at != end_of_file or parts.peek() is not None:
        raise DerError("the file is longer or shorter than it says")
    # cryptography refuses an algorithm that is not the one of the TBSCertList (RFC 5280 5.1.1.2).
    head = x509.load_der_x509_crl(der.sequence(der.sequence(*fields, after), algorithm, signature))
    inside = next(each for each in fields if each[0] == Tag.SEQUENCE)
    return Outline(end_of_file, entries, head, before, after, (inside, algorithm))


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
    if found.algorithms != (algorithm_for(key).identifier,) * 2:
        raise InvalidSignature


def signed_octets(file: BinaryIO, found: Outline, take: Callable[[bytes], int]) -> Iterator[bytes]:
    """Yield what is signed in blocks, each octet once, and read from the file once.

    `take` is given octets that begin with an entry as they pass by, and returns how many it took: whole entries.
    What a signature over all this covers is what was taken, whatever becomes of the file.

    Raises:
        DerError: the file ends before the list does, or the last entry is cut short; and whatever `take` raises.
    """
    yield found.before
    left = b""
    for block in octets_of(file, found.entries):
        yield block
        left += block
        left = left[take(left) :]
    if left:
        raise DerError("the last entry is cut short")
    yield found.after


def octets_of(file: BinaryIO, part: range) -> Iterator[bytes]:
    """Yield the octets of a part of the file in blocks.

    Raises:
        DerError: the file ends before.
    """
    at = part.start
    while at < part.stop:
        file.seek(at)
        block = file.read(min(_BLOCK, part.stop - at))
        if not block:
            raise DerError("the file ends within the list")
        at += len(block)
        yield block


class _Parts:
    """The elements of a file, one after another; `at` is where the next one begins."""

    def __init__(self, file: BinaryIO) -> None:
        self.at = 0
        self._file = file

    def peek(self) -> int | None:
        """Return the next element's tag, None at the end."""
        octets = self._octets(1)
        return octets[0] if octets else None

    def header(self, tag: int) -> tuple[bytes, int]:
        """Take the header of the next element, which must bear `tag`; return it and the content's length."""
        header = self._octets(_LONGEST_HEADER)
        count = header[1] & 0x7F if len(header) > 1 and header[1] & 0x80 else 0
        length = int.from_bytes(header[2 : 2 + count]) if count else header[1] if len(header) > 1 else 0
        if der.header(tag, length) != header[: 2 + count]:
            raise DerError("not the tag that was expected, or no minimal definite length")
        self.at += 2 + count
        return header[: 2 + count], length

    def element(self, tag: int) -> bytes:
        """Take the next element, which must bear `tag`, whole."""
        header, length = self.header(tag)
        if length > _LONGEST_PART:
            raise DerError("a part is beyond all measure")
        content = self._octets(length)
        if len(content) < length:
            raise DerError("cut short")
        self.at += length
        return header + content

    def _octets(self, count: int) -> bytes:
        """Return the next octets, so many or as many as there are."""
        self._file.seek(self.at)
        octets = b""
        while len(octets) < count and (more := self._file.read(count - len(octets))):
            octets += more
        return octets


def _first_fields(parts: _Parts) -> list[bytes]:
    """Take the TBSCertList's fields before the entries, each whole."""
    fields = [parts.element(Tag.INTEGER)] if parts.peek() == Tag.INTEGER else []
    # signature, issuer, thisUpdate, nextUpdate
    fields += [parts.element(Tag.SEQUENCE), parts.element(Tag.SEQUENCE), parts.element(_time(parts.peek()))]
    if parts.peek() in _TIMES:
        fields.append(parts.element(_time(parts.peek())))
    return fields


def _time(tag: int | None) -> Tag:
    return Tag.GENERALIZED_TIME if tag == Tag.GENERALIZED_TIME else Tag.UTC_TIME
