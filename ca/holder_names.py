"""The four attributes as the signing certificate's subjectAltName carries them (docs/profile.md)."""

from datetime import date

from jpki import der, oids
from jpki.holder import Gender, Holder

_ERAS = (
    (date(2019, 5, 1), "5"),  # Reiwa
    (date(1989, 1, 8), "4"),  # Heisei
    (date(1926, 12, 25), "3"),  # Showa
    (date(1912, 7, 30), "2"),  # Taisho
    (date(1868, 1, 25), "1"),  # Meiji
)
GENDERS = {Gender.MALE: "1", Gender.FEMALE: "2", Gender.UNSPECIFIED: "9"}


def general_names(holder: Holder) -> bytes:
    """Return GeneralNames with the six otherNames in the order of real certificates: 1, 4, 3, 5, 2, 6 of the arc."""
    fields = (
        (oids.NAME, holder.name),
        (oids.BIRTH_DATE, birth_date(holder.birth_date)),
        (oids.GENDER, GENDERS[holder.gender]),
        (oids.ADDRESS, holder.address),
        (oids.NAME_SUBSTITUTES, holder.name_substitutes),
        (oids.ADDRESS_SUBSTITUTES, holder.address_substitutes),
    )
    return der.sequence(*(_other_name(oid, value) for oid, value in fields))


def _other_name(oid: str, value: str) -> bytes:
    """Return an otherName whose value is a UTF8String (RFC 5280 4.2.1.6)."""
    return der.tlv(der.context(0), der.object_identifier(oid), der.tlv(der.context(0), der.utf8_string(value)))


def birth_date(day: date) -> str:
    """Return the era's digit and the Gregorian date: 3 February 1980, in Showa, is `319800203`."""
    era = next((digit for begin, digit in _ERAS if day >= begin), "0")
    return f"{era}{day.isoformat().replace('-', '')}"
