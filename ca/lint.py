"""The last look before a key is touched: what will be signed, read back from its octets and held against the order.

What many certificates have in common is read once, by another library than the one that wrote it (`lint_template`);
what is a certificate's own is read each time (`lint`), and the attributes are held against the holder by a way of their
own.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from cryptography import x509
from cryptography.x509.oid import ExtensionOID as Oid

from ca.draft import Draft
from ca.extensions import key_usage
from ca.holder_names import GENDERS, birth_date
from ca.profile import Profile
from ca.template import Template
from jpki import der, oids
from jpki.certificate import Purpose
from jpki.der import Reader, Tag
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.partition import Partition
from jpki.signature import algorithm_for
from jpki.text import Text

_FIXED_ORDER = [
    (Oid.KEY_USAGE, True),
    (Oid.ISSUER_ALTERNATIVE_NAME, False),
    (Oid.CERTIFICATE_POLICIES, True),
    (Oid.CRL_DISTRIBUTION_POINTS, False),
    (Oid.AUTHORITY_INFORMATION_ACCESS, False),
    (Oid.AUTHORITY_KEY_IDENTIFIER, False),
]


def lint_template(template: Template) -> None:
    """Require that the fixed octets say what the profile, the generation and the partition ask for.

    Raises:
        JpkiError: INTERNAL `lint-failed`, naming the rules broken; nothing was signed.
    """
    _require(_broken_fixed_rules(_fixed_extensions(template), template))


def lint(to_be_signed: bytes, draft: Draft) -> None:
    """Require that the octets are the certificate that the draft asks for, around a template that passed its lint.

    Raises:
        JpkiError: INTERNAL `lint-failed`, naming the rules broken; nothing was signed.
    """
    try:
        read = _read(to_be_signed, signing=draft.purpose is Purpose.SIGNING)
        broken = [*_broken_field_rules(read, draft), *_broken_rules(read.certificate, draft)]
    except (der.DerError, ValueError, x509.InvalidVersion):
        broken = ["malformed"]
    _require(broken)


class LintedTemplates:
    """The templates made so far, each linted before its first use."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], Template] = {}

    def of(self, profile: Profile, generation: Generation, partition: Partition, base_url: str) -> Template:
        """Return the template of these four.

        Raises:
            JpkiError: INTERNAL `lint-failed`.
        """
        name = (profile.name, generation.id, partition.id, partition.base_urls, base_url)
        if name not in self._made:
            template = Template(profile=profile, generation=generation, partition=partition, base_url=base_url)
            lint_template(template)
            self._made[name] = template
        return self._made[name]


def _require(broken: Iterable[str]) -> None:
    if names := list(broken):
        raise JpkiError(
            Kind.INTERNAL,
            "lint-failed",
            Text(
                f"証明書の下書きが次の規則に反するため、署名しませんでした：{'、'.join(names)}",
                f"The draft breaks these rules, so it was not signed: {', '.join(names)}",
            ),
            Text("不具合として報告してください。", "Report this as a defect."),
        )


# --- a certificate's own fields ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """The parts of a TBSCertificate, each as the octets of its element; extensions as they stand one after another."""

    certificate: x509.Certificate
    signature_and_issuer: tuple[bytes, bytes]
    subject: bytes
    key: bytes
    usage: bytes
    alternative_name: bytes
    rest: bytes


def _read(to_be_signed: bytes, *, signing: bool) -> _Read:
    fields = Reader(Reader(to_be_signed).read(Tag.SEQUENCE))
    fields.read(der.context(0))
    fields.read(Tag.INTEGER)
    algorithm, issuer = fields.read_element(Tag.SEQUENCE), fields.read_element(Tag.SEQUENCE)
    fields.read(Tag.SEQUENCE)
    subject, key = fields.read_element(Tag.SEQUENCE), fields.read_element(Tag.SEQUENCE)
    extensions = Reader(Reader(fields.read(der.context(3))).read(Tag.SEQUENCE))
    fields.finish()
    return _Read(
        certificate=x509.load_der_x509_certificate(der.sequence(to_be_signed, algorithm, der.bit_string(b""))),
        signature_and_issuer=(algorithm, issuer),
        subject=subject,
        key=key,
        usage=extensions.read_element(Tag.SEQUENCE),
        alternative_name=extensions.read_element(Tag.SEQUENCE) if signing else b"",
        rest=extensions.rest(),
    )


def _broken_field_rules(read: _Read, draft: Draft) -> Iterator[str]:
    template = draft.template
    rules = {
        "issuer": read.signature_and_issuer == template.signature_and_issuer,
        "subject": read.subject == draft.subject.public_bytes(),
        "public-key": read.key == draft.key.info,
        "key-usage": read.usage == template.usage,
        "attributes": _disclosed(read.alternative_name) == _attributes(draft),
        "extensions": read.rest.startswith(template.between),
        "subject-key": read.rest[len(template.between) :] == _subject_key_identifier(draft),
    }
    yield from (name for name, held in rules.items() if not held)


def _broken_rules(certificate: x509.Certificate, draft: Draft) -> Iterator[str]:
    issuer = draft.template.generation
    not_before, not_after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    rules = {
        "version": certificate.version is x509.Version.v3,
        "serial": certificate.serial_number == draft.serial and certificate.serial_number >> 126 == 1,
        "validity": (not_before, not_after) == (draft.validity.not_before, draft.validity.not_after),
        "outlives-issuer": issuer.not_before <= not_before and not_after <= issuer.not_after,
        "longest-validity": not_after - not_before <= timedelta(days=draft.template.profile.longest_days),
    }
    yield from (name for name, held in rules.items() if not held)


def _disclosed(extension: bytes) -> list[tuple[str, str]]:
    """Return what the certificate will tell of its holder, read from its octets, in order of appearance."""
    if not extension:
        return []
    fields = Reader(Reader(extension).read(Tag.SEQUENCE))
    if fields.read_element(Tag.OBJECT_IDENTIFIER) != _ALTERNATIVE_NAME:
        return []
    names = Reader(Reader(fields.read(Tag.OCTET_STRING)).read(Tag.SEQUENCE))
    fields.finish()
    told = []
    while names.peek() is not None:
        name = Reader(names.read(der.context(0)))
        oid = name.read_element(Tag.OBJECT_IDENTIFIER)
        value = Reader(name.read(der.context(0)))
        told.append((_FIELDS.get(oid, ""), value.read(Tag.UTF8_STRING).decode()))
        value.finish()
        name.finish()
    return told


_ALTERNATIVE_NAME = der.object_identifier(Oid.SUBJECT_ALTERNATIVE_NAME.dotted_string)
_FIELDS = {
    der.object_identifier(oid): oid
    for oid in (
        oids.NAME,
        oids.BIRTH_DATE,
        oids.GENDER,
        oids.ADDRESS,
        oids.NAME_SUBSTITUTES,
        oids.ADDRESS_SUBSTITUTES,
    )
}


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


def _subject_key_identifier(draft: Draft) -> bytes:
    value = x509.SubjectKeyIdentifier.from_public_key(draft.key.public_key).public_bytes()
    return der.sequence(_SUBJECT_KEY, der.octet_string(value))


_SUBJECT_KEY = der.object_identifier(Oid.SUBJECT_KEY_IDENTIFIER.dotted_string)


# --- what a template's certificates have in common -----------------------------------------------------------------


def _fixed_extensions(template: Template) -> x509.Extensions:
    """Return the template's extensions as cryptography reads them, in a certificate with nothing else in it."""
    extensions = der.tlv(der.context(3), der.sequence(template.usage, template.between))
    issuer = Reader(Reader(template.generation.certificate.tbs_certificate_bytes).read(Tag.SEQUENCE))
    version, serial = issuer.read_element(der.context(0)), issuer.read_element(Tag.INTEGER)
    algorithm, name, validity, subject, key = (issuer.read_element(Tag.SEQUENCE) for _ in range(5))
    body = der.sequence(version, serial, algorithm, name, validity, subject, key, extensions)
    return x509.load_der_x509_certificate(der.sequence(body, algorithm, der.bit_string(b""))).extensions


def _broken_fixed_rules(extensions: x509.Extensions, template: Template) -> Iterator[str]:
    if [(each.oid, each.critical) for each in extensions] != _FIXED_ORDER:
        yield "extensions"
        return
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    policies = extensions.get_extension_for_class(x509.CertificatePolicies).value
    points = extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    authority_key = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    generation = template.generation
    rules = {
        "values": [each.value for each in extensions]
        == [value for value, _ in (template.key_usage(), *template.fixed_extensions())],
        "key-usage": usage == key_usage(digital_signature=True, non_repudiation=generation.purpose is Purpose.SIGNING),
        "policy": [policy.policy_identifier.dotted_string for policy in policies]
        == [template.profile.policy(generation.purpose)],
        "distribution-point": [point.full_name for point in points]
        == [template.partition.distribution_names(generation.id)],
        "authority-key": authority_key.key_identifier == generation.key_identifier,
        "algorithm": template.signature_and_issuer
        == (algorithm_for(generation.public_key).identifier, generation.certificate.subject.public_bytes()),
    }
    yield from (name for name, held in rules.items() if not held)
