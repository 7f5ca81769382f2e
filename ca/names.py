"""Distinguished names of the CAs and of everything below them, in the real service's string types (docs/profile.md).

Country is a PrintableString, all else UTF8String, one attribute per RDN; so the six real roots have it. The
organization is the laboratory's: ours and the real service's names never mix.
"""

from collections.abc import Sequence

from cryptography import x509
from cryptography.x509.oid import NameOID

from jpki.certificate import Purpose
from jpki.holder import Municipality

ORGANIZATION = "JPKI-LAB"
_UNITS = {
    Purpose.SIGNING: "JPKI for digital signature",
    Purpose.AUTHENTICATION: "JPKI for user authentication",
    Purpose.INFRASTRUCTURE: "JPKI infrastructure",
}
_AGENCY = "Japan Agency for Local Authority Information Systems"

_JAPANESE_ORGANIZATION = "公的個人認証サービス試験環境"
_JAPANESE_UNITS = {
    Purpose.SIGNING: "公的個人認証サービス署名用",
    Purpose.AUTHENTICATION: "公的個人認証サービス利用者証明用",
    Purpose.INFRASTRUCTURE: "公的個人認証サービス運用基盤",
}
_JAPANESE_AGENCY = "地方公共団体情報システム機構"


def name(*attributes: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    """Return a name with one attribute per RDN; pyca picks PrintableString for the country, else UTF8String."""
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])


def root(purpose: Purpose) -> list[x509.NameAttribute[str]]:
    """Return the attributes that every name of this CA's world begins with: country, organization, unit."""
    return [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "JP"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, _UNITS[purpose]),
    ]


def authority(purpose: Purpose) -> x509.Name:
    """Return the CA's one name, the same for all its generations."""
    return x509.Name([*root(purpose), x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, _AGENCY)])


def authority_in_japanese(purpose: Purpose) -> x509.Name:
    """Return the CA's name as the subjectAltName of its root and the issuerAltName of its certificates give it."""
    return name(
        (NameOID.COUNTRY_NAME, "JP"),
        (NameOID.ORGANIZATION_NAME, _JAPANESE_ORGANIZATION),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, _JAPANESE_UNITS[purpose]),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, _JAPANESE_AGENCY),
    )


def subject(municipality: Municipality | None, *identifier: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    """Return a holder's subject: for a signing certificate prefecture and municipality in romaji, and an identifier.

    It holds no name; without a `municipality`, as in an authentication certificate, it says nothing of its holder.
    """
    place = (
        ()
        if municipality is None
        else (
            (NameOID.LOCALITY_NAME, municipality.prefecture_romaji),
            (NameOID.LOCALITY_NAME, municipality.name_romaji),
        )
    )
    return name((NameOID.COUNTRY_NAME, "JP"), *place, *identifier)


def below_root(purpose: Purpose, *more: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    """Return a name below the CA's organization and unit, as responders and clerks bear."""
    return x509.Name([*root(purpose), *(x509.NameAttribute(oid, value) for oid, value in more)])


def directory(names: Sequence[x509.Name]) -> list[x509.GeneralName]:
    """Return the names as directoryName GeneralNames."""
    return [x509.DirectoryName(each) for each in names]
