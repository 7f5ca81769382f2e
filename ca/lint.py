"""The last look before a key is touched: the draft's octets, read back and held against the profile.

It reads what will be signed back from its octets, every field and extension, and holds the attributes against the
holder once more by a way of its own.
"""

from collections.abc import Iterator
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID as Oid

from ca.draft import Draft, key_usage
from ca.holder_names import GENDERS, birth_date
from jpki import der, oids
from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from jpki.signature import algorithm_for
from jpki.text import Text

_ORDER = [
    (Oid.KEY_USAGE, True),
    (Oid.SUBJECT_ALTERNATIVE_NAME, False),
    (Oid.ISSUER_ALTERNATIVE_NAME, False),
    (Oid.CERTIFICATE_POLICIES, True),
    (Oid.CRL_DISTRIBUTION_POINTS, False),
    (Oid.AUTHORITY_INFORMATION_ACCESS, False),
    (Oid.AUTHORITY_KEY_IDENTIFIER, False),
    (Oid.SUBJECT_KEY_IDENTIFIER, False),
]


def lint(to_be_signed: bytes, draft: Draft) -> None:
    """Require that the octets are the certificate that the profile and the draft ask for.

    Raises:
        JpkiError: INTERNAL `lint-failed`, naming the rules broken; nothing was signed.
    """
    algorithm = algorithm_for(draft.generation.public_key).identifier
    certificate = x509.load_der_x509_certificate(der.sequence(to_be_signed, algorithm, der.bit_string(b"")))
    broken = list(_broken_rules(certificate, draft))
    if broken:
        raise JpkiError(
            Kind.INTERNAL,
            "lint-failed",
            Text(
                f"証明書の下書きが次の規則に反するため、署名しませんでした：{'、'.join(broken)}",
                f"The draft breaks these rules, so it was not signed: {', '.join(broken)}",
            ),
            Text("不具合として報告してください。", "Report this as a defect."),
        )


def _broken_rules(certificate: x509.Certificate, draft: Draft) -> Iterator[str]:
    issuer = draft.generation.certificate
    rules = {
        "version": certificate.version is x509.Version.v3,
        "serial": certificate.serial_number == draft.serial and certificate.serial_number >> 126 == 1,
        "issuer": certificate.issuer.public_bytes() == issuer.subject.public_bytes(),
        "subject": certificate.subject == draft.subject,
        "validity": certificate.not_valid_before_utc == draft.validity.not_before
        and certificate.not_valid_after_utc == draft.validity.not_after,
        "outlives-issuer": issuer.not_valid_before_utc <= certificate.not_valid_before_utc
        and certificate.not_valid_after_utc <= issuer.not_valid_after_utc,
        "longest-validity": certificate.not_valid_after_utc - certificate.not_valid_before_utc
        <= timedelta(days=draft.profile.longest_days),
        "public-key": _spki(certificate) == _spki(draft),
    }
    yield from (name for name, held in rules.items() if not held)
    yield from _broken_extension_rules(certificate.extensions, draft)


def _broken_extension_rules(extensions: x509.Extensions, draft: Draft) -> Iterator[str]:
    signing = draft.purpose is Purpose.SIGNING
    expected = [each for each in _ORDER if signing or each[0] != Oid.SUBJECT_ALTERNATIVE_NAME]
    if [(each.oid, each.critical) for each in extensions] != expected:
        yield "extensions"
        return
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    policies = extensions.get_extension_for_class(x509.CertificatePolicies).value
    points = extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    authority_key = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    rules = {
        "values": [each.value for each in extensions] == [value for value, _ in draft.extensions()],
        "key-usage": usage == key_usage(digital_signature=True, non_repudiation=signing),
        "attributes": _disclosed(extensions) == _attributes(draft),
        "policy": [policy.policy_identifier.dotted_string for policy in policies]
        == [draft.profile.policy(draft.purpose)],
        "distribution-point": [point.full_name for point in points]
        == [draft.partition.distribution_names(draft.generation.id)],
        "authority-key": authority_key.key_identifier == draft.generation.key_identifier,
    }
    yield from (name for name, held in rules.items() if not held)


def _disclosed(extensions: x509.Extensions) -> list[tuple[str, str]]:
    """Return what the certificate will tell of its holder, read from its octets."""
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [
        (each.type_id.dotted_string, der.Reader(each.value).read(der.Tag.UTF8_STRING).decode())
        for each in names
        if isinstance(each, x509.OtherName)
    ]


def _attributes(draft: Draft) -> list[tuple[str, str]]:
    """Return what it should tell, from the holder alone."""
    holder = draft.disclosed
    if holder is None:
        return []
    return [
        (oids.NAME, holder.name),
        (oids.BIRTH_DATE, birth_date(holder.birth_date)),
        (oids.GENDER, GENDERS[holder.gender]),
        (oids.ADDRESS, holder.address),
        (oids.NAME_SUBSTITUTES, holder.name_substitutes),
        (oids.ADDRESS_SUBSTITUTES, holder.address_substitutes),
    ]


def _spki(source: x509.Certificate | Draft) -> bytes:
    key = source.public_key() if isinstance(source, x509.Certificate) else source.public_key
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
