"""The four attributes as the signing certificate's subjectAltName carries them, written and read (docs/profile.md)."""

from datetime import date

from jpki import der, oids
from jpki.der import Tag
from jpki.holder import Gender, Holder

_ERAS = (
    (date(2019, 5, 1), "5"),  # Reiwa
    (date(1989, 1, 8), "4"),  # Heisei
    (date(1926, 12, 25), "3"),  # Showa
    (date(1912, 7, 30), "2"),  # Taisho
    (date(1868, 1, 25), "1"),  # Meiji
)
GENDERS = {Gender.MALE: "1", Gender.FEMALE: "2", Gender.UNSPECIFIED: "9"}


_ORDER = (
    oids.NAME,
    oids.BIRTH_DATE,
    oids.GENDER,
    oids.ADDRESS,
    oids.NAME_SUBSTITUTES,
    oids.ADDRESS_SUBSTITUTES,
)
"""1, 4, 3, 5, 2, 6 of the arc, as in real certificates."""
_ENCODED = tuple(map(der.object_identifier, _ORDER))
_FIELDS = dict(zip(_ENCODED, _ORDER, strict=True))
_OTHER_NAME = _VALUE = der.context(0)


def general_names(holder: Holder) -> bytes:
    """Return GeneralNames with the six otherNames in the order of real certificates."""
    values = (
        holder.name,
        birth_date(holder.birth_date),
        GENDERS[holder.gender],
        holder.address,
        holder.name_substitutes,
        holder.address_substitutes,
    )
    return der.sequence(*map(_other_name, _ENCODED, values))


def _other_name(oid: bytes, value: str) -> bytes:
    """Return an otherName whose value is a UTF8String (RFC 5280 4.2.1.6)."""
    string = der.utf8_string(value)
    explicit = der.header(_VALUE, len(string)) + string
    return der.header(_OTHER_NAME, len(oid) + len(explicit)) + oid + explicit


def read_general_names(octets: bytes) -> list[tuple[str, str]]:
    """Return OID and text of each otherName in GeneralNames, in order of appearance; an OID of no field of ours is "".

    Raises:
        DerError, UnicodeDecodeError: when they are not otherNames with a UTF8String each.
    """
    at, end = der.span(octets, 0, Tag.SEQUENCE)
    told = []
    while at < end:
        inside, at = der.span(octets, at, _OTHER_NAME)
        _, behind = der.span(octets, inside, Tag.OBJECT_IDENTIFIER)
        explicit, value_end = der.span(octets, behind, _VALUE)
        text, text_end = der.span(octets, explicit, Tag.UTF8_STRING)
        if not text_end == value_end == at <= end:
            raise der.DerError("octets follow a name")
        told.append((_FIELDS.get(octets[inside:behind], ""), octets[text:at].decode()))
    if end != len(octets):
        raise der.DerError("octets follow the names")
    return told


def birth_date(day: date) -> str:
    """Return the era's digit and the Gregorian date: 3 February 1980, in Showa, is `319800203`."""
    era = next((digit for begin, digit in _ERAS if day >= begin), "0")
    return f"{era}{day.isoformat().replace('-', '')}"
