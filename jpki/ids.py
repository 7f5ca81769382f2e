"""Identifiers, each a type of its own so that one is never taken for another."""

import re
from typing import NewType

from jpki.errors import JpkiError, Kind
from jpki.randomness import Randomness
from jpki.text import Text

Serial = NewType("Serial", int)
"""Certificate serial number; ours are 126 random bits in 16 octets (docs/adr/0004)."""
HolderCode = NewType("HolderCode", str)
"""The opaque dedicated code of a holder. It is not the My Number, which has no place in this system."""
GenerationId = NewType("GenerationId", str)
"""One key of one CA, such as `s1`; never reused, part of public URLs."""
PartitionId = NewType("PartitionId", str)
"""One partition of a CRL, such as `p0615`; opaque, never reused, part of public URLs."""
KeyUri = NewType("KeyUri", str)
"""Where a private key lives: `software:<label>`, or `pkcs11:…` (RFC 7512)."""

SERIAL_OCTETS = 16


def new_serial(randomness: Randomness) -> Serial:
    """Draw a serial: 16 octets whose top bits are 01, the other 126 bits random.

    The top bits keep it positive and its DER length fixed (RFC 5280 4.1.2.2; rule R1).
    """
    octets = bytearray(randomness(SERIAL_OCTETS))
    octets[0] = octets[0] & 0x3F | 0x40
    return Serial(int.from_bytes(octets))


def format_serial(serial: Serial) -> str:
    """Return the serial as 32 lower-case hexadecimal digits."""
    return f"{serial:032x}"


def parse_serial(text: str) -> Serial:
    """Read a serial as people write it (docs/contract.md).

    `0x…`, colons, or 32 hexadecimal digits are hexadecimal; only digits otherwise are decimal. Anything that
    could be both is refused with both readings.

    Raises:
        JpkiError: MALFORMED `serial-malformed` or `serial-ambiguous`.
    """
    plain = text.strip().lower()
    marked = plain.startswith("0x") or ":" in plain
    digits = plain.removeprefix("0x").replace(":", "")
    looks_hexadecimal = re.fullmatch(r"[0-9a-f]+", digits) is not None
    looks_decimal = re.fullmatch(r"[0-9]+", digits) is not None
    full_length = len(digits) == 2 * SERIAL_OCTETS
    if looks_hexadecimal and len(digits) <= 40 and (marked or (full_length and not looks_decimal)):
        return Serial(int(digits, 16))
    if looks_decimal and full_length and not marked:
        raise JpkiError(
            Kind.MALFORMED,
            "serial-ambiguous",
            Text(
                f"発行番号「{text}」は16進（0x{digits}）とも10進（16進では 0x{int(digits):x}）とも読めます。",
                f"Serial '{text}' can be read as hexadecimal (0x{digits}) or as decimal (0x{int(digits):x}).",
            ),
            Text(
                f"16進なら 0x{digits}、10進なら 0x{int(digits):x} と書いてください。",
                f"If you mean hexadecimal write 0x{digits}, if decimal 0x{int(digits):x}.",
            ),
        )
    if looks_decimal and not marked and len(digits) <= 49:
        return Serial(int(digits))
    raise JpkiError(
        Kind.MALFORMED,
        "serial-malformed",
        Text(f"「{text}」は発行番号ではありません。", f"'{text}' is not a serial number."),
        Text(
            "16進32桁、0x付きまたはコロン区切りの16進、または10進で入力してください。",
            "Give 32 hexadecimal digits, hexadecimal with 0x or colons, or decimal.",
        ),
    )
