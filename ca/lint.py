"""The last look before a key is touched: what will be signed, read back from its octets and held against the order.

What many certificates have in common is read once, by another library than the one that wrote it (`lint_template`);
what is a certificate's own is read each time (`lint`), and the attributes are held against the holder by a way of their
own.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache

from cryptography import x509
from cryptography.x509.oid import ExtensionOID as Oid
from cryptography.x509.oid import NameOID

from ca import names
from ca.draft import Draft
from ca.extensions import key_usage
from ca.holder_names import GENDERS, birth_date, read_general_names
from ca.profile import Profile
from ca.template import Template
from jpki import der, oids
from jpki.certificate import Purpose
from jpki.der import Reader, Tag
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.holder import Municipality
from jpki.partition import Partition
from jpki.signature import algorithm_for
from jpki.text import Text

_VALIDITIES = 4096
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
        broken = [name for name, held in _rules(_read(to_be_signed, draft.purpose), draft).items() if not held]
    except (der.DerError, ValueError):
        broken = ["malformed"]
    if broken:
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


@dataclass(slots=True)
class _Read:
    """The parts of a TBSCertificate: elements as their octets, and the extensions after the holder's, one by one."""

    version: bytes
    serial: int
    signature_and_issuer: tuple[bytes, bytes]
    validity: tuple[datetime, datetime]
    subject: bytes
    key: bytes
    usage: bytes
    told: list[tuple[str, str]]
    rest: bytes


def _read(to_be_signed: bytes, purpose: Purpose) -> _Read:
    whole = Reader(to_be_signed)
    fields = Reader(whole.read(Tag.SEQUENCE))
    whole.finish()
    version, serial = fields.read(_VERSION), der.read_integer(fields.read(Tag.INTEGER))
    signature_and_issuer = fields.read_element(Tag.SEQUENCE), fields.read_element(Tag.SEQUENCE)
    validity = _validity(fields.read(Tag.SEQUENCE))
    subject, key = fields.read_element(Tag.SEQUENCE), fields.read_element(Tag.SEQUENCE)
    explicit = Reader(fields.read(_EXTENSIONS))
    extensions = Reader(explicit.read(Tag.SEQUENCE))
    fields.finish()
    explicit.finish()
    usage = extensions.read_element(Tag.SEQUENCE)
    told = _disclosed(extensions.read(Tag.SEQUENCE)) if purpose is Purpose.SIGNING else []
    return _Read(version, serial, signature_and_issuer, validity, subject, key, usage, told, extensions.rest())


_VERSION, _EXTENSIONS = der.context(0), der.context(3)
_VERSION_3 = der.integer(2)


def _rules(read: _Read, draft: Draft) -> dict[str, bool]:
    """Return, by the rule's name, which hold."""
    template, validity = draft.template, draft.validity
    issuer, (not_before, not_after) = template.generation, read.validity
    return {
        "version": read.version == _VERSION_3,
        "serial": read.serial == draft.serial and read.serial >> 126 == 1,
        "issuer": read.signature_and_issuer == template.signature_and_issuer,
        "validity": not_before == validity.not_before and not_after == validity.not_after,
        "outlives-issuer": issuer.not_before <= not_before and not_after <= issuer.not_after,
        "longest-validity": not_after - not_before <= timedelta(days=template.profile.longest_days),
        "subject": read.subject == _subject(draft),
        "public-key": read.key == draft.key.info,
        "key-usage": read.usage == template.usage,
        "attributes": read.told == _attributes(draft),
        "extensions": read.rest.startswith(template.between),
        "subject-key": read.rest[len(template.between) :] == _subject_key_identifier(draft),
    }


@lru_cache(_VALIDITIES)
def _validity(content: bytes) -> tuple[datetime, datetime]:
    """Read a Validity's content; kept, for those of a batch begin together and end on birthdays."""
    fields = Reader(content)
    both = _moment(fields), _moment(fields)
    fields.finish()
    return both


def _moment(fields: Reader) -> datetime:
    """Read a Time, of the form that its year asks for (RFC 5280 4.1.2.5)."""
    if fields.peek() == Tag.UTC_TIME:
        short = fields.read(Tag.UTC_TIME).decode("ascii")
        text = ("20" if short < "50" else "19") + short
    else:
        text = fields.read(Tag.GENERALIZED_TIME).decode("ascii")
        if text < "2050":
            raise ValueError(text)
    if len(text) != len("YYYYMMDDhhmmssZ") or not text[:-1].isdigit():
        raise ValueError(text)
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _subject(draft: Draft) -> bytes:
    """Return the subject as cryptography writes it."""
    common_name = draft.common_name.encode()
    municipality = None if draft.disclosed is None else draft.disclosed.municipality
    return _before_common_name(municipality, len(common_name)) + common_name


@cache
def _before_common_name(municipality: Municipality | None, length: int) -> bytes:
    """Return a subject's octets up to a common name of so many octets, which is its last."""
    return names.subject(municipality, (NameOID.COMMON_NAME, "0" * length)).public_bytes()[:-length]


def _disclosed(extension: bytes) -> list[tuple[str, str]]:
    """Return what the certificate will tell of its holder, read from the extension's content."""
    fields = Reader(extension)
    if fields.read_element(Tag.OBJECT_IDENTIFIER) != _ALTERNATIVE_NAME:
        return []
    told = read_general_names(fields.read(Tag.OCTET_STRING))
    fields.finish()
    return told


_ALTERNATIVE_NAME = der.object_identifier(Oid.SUBJECT_ALTERNATIVE_NAME.dotted_string)


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
