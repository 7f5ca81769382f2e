"""The signer as a report shows it: masked, unless the caller asked for the attributes (rule R21)."""

from collections.abc import Iterator, Mapping

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from jpki import oids
from jpki.der import DerError, Reader, Tag
from jpki.ids import Serial, format_serial
from signing.certificate_checks import is_for_signing
from signing.report import Signer

ATTRIBUTES: Mapping[str, str] = {
    oids.NAME: "name",
    oids.NAME_SUBSTITUTES: "name_substitutes",
    oids.GENDER: "gender",
    oids.BIRTH_DATE: "birth_date",
    oids.ADDRESS: "address",
    oids.ADDRESS_SUBSTITUTES: "address_substitutes",
}
"""What a report calls the otherNames of a signer's subjectAltName."""


def describe(certificate: x509.Certificate, trust_domain: str | None, *, show_attributes: bool) -> Signer:
    """Return who signed; `trust_domain` is None where no chain ends at an anchor.

    What an untrusted certificate says of its kind and its subject is not repeated.
    """
    return Signer(
        serial=format_serial(Serial(certificate.serial_number)),
        sha256=certificate.fingerprint(SHA256()).hex(),
        kind=_kind(certificate) if trust_domain else None,
        identifier=_identifier(certificate) if trust_domain else None,
        trust_domain=trust_domain,
        attributes=_attributes(certificate) if show_attributes else None,
    )


def _kind(certificate: x509.Certificate) -> str:
    return "signing" if is_for_signing(certificate) else "other"


def _identifier(certificate: x509.Certificate) -> str | None:
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else None


def _attributes(certificate: x509.Certificate) -> dict[str, str]:
    """Return the otherNames by name; one of an unknown type keeps its OID as its name and is never dropped."""
    return {ATTRIBUTES.get(oid, oid): value for oid, value in other_names(certificate)}


def other_names(certificate: x509.Certificate) -> Iterator[tuple[str, str]]:
    """Yield the OIDs and the texts of the subjectAltName's otherNames, which are the attributes of its holder."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    for name in names:
        if isinstance(name, x509.OtherName):
            yield name.type_id.dotted_string, _text(name.value)


def _text(value: bytes) -> str:
    """Return the text of a UTF8String; anything else in hexadecimal."""
    try:
        return Reader(value).read(Tag.UTF8_STRING).decode()
    except (DerError, UnicodeDecodeError):
        return value.hex()
