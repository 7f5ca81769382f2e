"""Renewal: when its window is open, and what an old certificate still tells of its holder."""

from datetime import date, datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from ca.holder_names import read_general_names
from ca.profile import Profile
from ca.validity import renewal_opens
from enroll.municipalities import municipalities, successor
from jpki import oids
from jpki.clock import day_in_japan, end_of_day
from jpki.der import Tag, context, object_identifier, span
from jpki.errors import JpkiError, Kind
from jpki.holder import Gender, Holder
from jpki.ids import HolderCode, Serial, format_serial
from jpki.text import Text

_ONE_DAY = timedelta(days=1)
_GENDERS = {"1": Gender.MALE, "2": Gender.FEMALE}


def require_open(profile: Profile, not_after: datetime, now: datetime) -> None:
    """Require that a certificate ending at `not_after` may be renewed now.

    Raises:
        JpkiError: CONFLICT `renewal-closed`, with the first day of the window.
    """
    opens = renewal_opens(profile, not_after)
    if day_in_japan(now) >= opens:
        return
    raise JpkiError(
        Kind.CONFLICT,
        "renewal-closed",
        Text(
            f"更新は有効期限の{profile.renewal_months}か月前（{opens} 以降）から受け付けます。",
            f"Renewal opens {profile.renewal_months} months before the end, on {opens}.",
        ),
        Text("その日以降に申請してください。", "Apply on that day or later."),
    )


def require_not_merged(municipality: str) -> None:
    """Require that an old signing certificate's municipality stands: else its address is of no place any more.

    Raises:
        JpkiError: CONFLICT `municipality-merged`.
    """
    now = successor(municipality)
    if now is not None:
        old = municipalities()[municipality]
        raise JpkiError(
            Kind.CONFLICT,
            "municipality-merged",
            Text(
                f"証明書の住所の{old.name}は合併により{now.name}（{now.code}）になりました。",
                f"{old.name_romaji}, which the certificate tells of, is {now.name_romaji}, {now.code}, by a merger.",
            ),
            Text(
                "住民基本台帳にある今の住所で、窓口で更新してください。",
                "Renew it at the counter, with the address that the register tells now.",
            ),
        )


def last_renewable(profile: Profile, now: datetime) -> date:
    """Return the last day on which a certificate may end that can be renewed now."""
    today = day_in_japan(now)
    last = today
    while renewal_opens(profile, end_of_day(last + _ONE_DAY)) <= today:
        last += _ONE_DAY
    return last


def holder_of(code: HolderCode, certificate: x509.Certificate, municipality: str) -> Holder:
    """Read back the holder that a signing certificate discloses; the register holds the municipality's code."""
    fields = dict(read_general_names(_alternative_names(certificate)))
    return Holder(
        code=code,
        name=fields[oids.NAME],
        name_substitutes=fields[oids.NAME_SUBSTITUTES],
        birth_date=date.fromisoformat(fields[oids.BIRTH_DATE][1:]),
        gender=_GENDERS.get(fields[oids.GENDER], Gender.UNSPECIFIED),
        address=fields[oids.ADDRESS],
        address_substitutes=fields[oids.ADDRESS_SUBSTITUTES],
        municipality=municipalities()[municipality],
    )


def _alternative_names(certificate: x509.Certificate) -> bytes:
    """Return the GeneralNames of the subjectAltName; cryptography would read all other extensions too."""
    octets = certificate.tbs_certificate_bytes
    at, _ = span(octets, 0, Tag.SEQUENCE)
    for tag in _BEFORE_EXTENSIONS:
        _, at = span(octets, at, tag)
    explicit, _ = span(octets, at, context(3))
    after, _ = span(octets, explicit, Tag.SEQUENCE)
    while True:
        inside, after = span(octets, after, Tag.SEQUENCE)
        _, at = span(octets, inside, Tag.OBJECT_IDENTIFIER)
        if octets[inside:at] == _ALTERNATIVE_NAME:
            start, end = span(octets, at, Tag.OCTET_STRING)
            return octets[start:end]


_ALTERNATIVE_NAME = object_identifier(ExtensionOID.SUBJECT_ALTERNATIVE_NAME.dotted_string)
_BEFORE_EXTENSIONS = (context(0), Tag.INTEGER, *[Tag.SEQUENCE] * 5)
"""Version, serial, and from the algorithm to the public key."""


def birthday_of(not_after: datetime) -> date:
    """Return a day with the holder's month and day of birth: every JPKI certificate ends on a birthday.

    It serves where nothing better is known of the holder, since an authentication certificate holds no birth date.
    """
    return day_in_japan(not_after)


def not_renewable(serial: Serial) -> JpkiError:
    """Return the refusal to renew what is not live."""
    return JpkiError(
        Kind.CONFLICT,
        "not-live",
        Text(
            f"証明書 {format_serial(serial)} は有効でないため更新できません。",
            f"Certificate {format_serial(serial)} is not live, so it cannot be renewed.",
        ),
        Text("新しい証明書を発行（issue）してください。", "Issue a new certificate instead."),
    )


def register_disagrees() -> JpkiError:
    """Return the refusal to certify what the register does not say; it repeats neither (rule R21)."""
    return JpkiError(
        Kind.CONFLICT,
        "register-disagrees",
        Text("住民の記録と一致しません。", "The register of residents says something else of this holder."),
        Text(
            "住民の記録を確かめ、窓口で手続きをしてください。",
            "See what the register says, and have it done at a counter.",
        ),
    )
