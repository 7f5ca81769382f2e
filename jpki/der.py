"""DER, written and strictly read (X.690 10): the few shapes that certificates, CRLs and OCSP are made of."""

from datetime import UTC, datetime
from enum import IntEnum
from functools import cache, lru_cache


class DerError(Exception):
    """The octets are not the DER that was expected. The room that reads translates it into its own answer."""


class Tag(IntEnum):
    """Universal tags, with the constructed bit where DER sets it (X.680 8.4)."""

    BOOLEAN = 0x01
    INTEGER = 0x02
    BIT_STRING = 0x03
    OCTET_STRING = 0x04
    NULL = 0x05
    OBJECT_IDENTIFIER = 0x06
    ENUMERATED = 0x0A
    UTF8_STRING = 0x0C
    PRINTABLE_STRING = 0x13
    IA5_STRING = 0x16
    UTC_TIME = 0x17
    GENERALIZED_TIME = 0x18
    SEQUENCE = 0x30
    SET = 0x31


def context(number: int, *, constructed: bool = True) -> int:
    """Return the context-specific tag `[number]`, below 31."""
    return 0x80 | number | (0x20 if constructed else 0)


@lru_cache(maxsize=1024)
def header(tag: int, length: int) -> bytes:
    """Return tag and minimal length octets for a content of `length` octets (X.690 10.1)."""
    if length < 0x80:
        return bytes((tag, length))
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets


def tlv(tag: int, *contents: bytes) -> bytes:
    """Return one element: `tag`, length, and the concatenated contents."""
    content = b"".join(contents)
    return header(tag, len(content)) + content


def sequence(*elements: bytes) -> bytes:
    """Return a SEQUENCE of encoded elements."""
    content = b"".join(elements)
    return header(Tag.SEQUENCE, len(content)) + content


def integer(value: int) -> bytes:
    """Return an INTEGER of a non-negative value, minimal (X.690 8.3)."""
    length = value.bit_length() // 8 + 1
    return header(Tag.INTEGER, length) + value.to_bytes(length)


def enumerated(value: int) -> bytes:
    """Return an ENUMERATED of a small non-negative value."""
    return tlv(Tag.ENUMERATED, value.to_bytes(value.bit_length() // 8 + 1))


def boolean(value: bool) -> bytes:  # noqa: FBT001 - it is the value itself
    """Return a BOOLEAN; DER's true is FF (X.690 11.1)."""
    return tlv(Tag.BOOLEAN, b"\xff" if value else b"\x00")


def octet_string(content: bytes) -> bytes:
    """Return an OCTET STRING."""
    return header(Tag.OCTET_STRING, len(content)) + content


def bit_string(content: bytes) -> bytes:
    """Return a BIT STRING of whole octets."""
    return tlv(Tag.BIT_STRING, b"\x00", content)


def utf8_string(text: str) -> bytes:
    """Return a UTF8String."""
    octets = text.encode()
    return header(Tag.UTF8_STRING, len(octets)) + octets


@cache
def object_identifier(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER from its dotted form (X.690 8.19)."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return tlv(Tag.OBJECT_IDENTIFIER, *(_base128(arc) for arc in (first * 40 + second, *rest)))


def _base128(arc: int) -> bytes:
    octets = [arc & 0x7F]
    while arc := arc >> 7:
        octets.append(arc & 0x7F | 0x80)
    return bytes(reversed(octets))


def generalized_time(moment: datetime) -> bytes:
    """Return a GeneralizedTime in UTC with seconds and without fractions (RFC 5280 4.1.2.5.2)."""
    return tlv(Tag.GENERALIZED_TIME, moment.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode())


_GENERALIZED_FROM = 2050


@lru_cache(maxsize=4096)
def time(moment: datetime) -> bytes:
    """Return a Time: UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280 4.1.2.5).

    Kept, for many begin at one moment and end on birthdays.
    """
    in_utc = moment.astimezone(UTC)
    if in_utc.year >= _GENERALIZED_FROM:
        return generalized_time(in_utc)
    return tlv(Tag.UTC_TIME, in_utc.strftime("%y%m%d%H%M%SZ").encode())


def span(data: bytes, at: int, tag: int) -> tuple[int, int]:
    """Return where the content begins and ends of the element at `at`, which must bear `tag`.

    Raises:
        DerError: it bears another, is cut short, or its length is not definite and minimal.
    """
    try:
        if data[at] != tag:
            raise DerError(f"expected tag {tag:#04x}")
        length = data[at + 1]
    except IndexError:
        raise DerError(f"expected tag {tag:#04x}" if at >= len(data) else "no length") from None
    start = at + 2
    if length & 0x80:
        count = length & 0x7F
        octets = data[start : start + count]
        if not 0 < count <= 4 or len(octets) != count or octets[0] == 0:
            raise DerError("length is not minimal and definite")
        length = int.from_bytes(octets)
        if length < 0x80:
            raise DerError("length is not minimal")
        start += count
    end = start + length
    if end > len(data):
        raise DerError("content is cut short")
    return start, end


class Reader:
    """Reads elements one after another from octets; definite minimal lengths and single-octet tags only."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def peek(self) -> int | None:
        """Return the next element's tag, or None at the end."""
        return self._data[self._position] if self._position < len(self._data) else None

    def read(self, tag: int) -> bytes:
        """Read the next element, which must bear `tag`, and return its content."""
        start, self._position = span(self._data, self._position, tag)
        return self._data[start : self._position]

    def read_element(self, tag: int) -> bytes:
        """Read the next element, which must bear `tag`, and return it whole, tag and length included."""
        begin = self._position
        _, self._position = span(self._data, begin, tag)
        return self._data[begin : self._position]

    def read_optional(self, tag: int) -> bytes | None:
        """Read the next element if it bears `tag`, and return its content, else None."""
        return self.read(tag) if self.peek() == tag else None

    def rest(self) -> bytes:
        """Return all that was not read yet."""
        return self._data[self._position :]

    def finish(self) -> None:
        """Require that nothing is left.

        Raises:
            DerError: octets follow the last expected element.
        """
        if self._position != len(self._data):
            raise DerError("octets follow the last element")


def read_integer(content: bytes) -> int:
    """Return the value of an INTEGER's content.

    Raises:
        DerError: no octets, or not minimal (X.690 8.3.2).
    """
    if not content or (len(content) > 1 and (content[0], content[1] >> 7) in {(0x00, 0), (0xFF, 1)}):
        raise DerError("integer is empty or not minimal")
    return int.from_bytes(content, signed=True)
