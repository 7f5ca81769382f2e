"""The certificates of holders: what docs/profile.md says, with the stated deviations and no others."""

from dataclasses import FrozenInstanceError, fields, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache

import pytest
from asn1crypto import core
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID as Oid
from hypothesis import given
from hypothesis import strategies as st

from ca.draft import Draft
from ca.holder_names import GENDERS, birth_date, read_general_names
from ca.key_policy import HolderKey
from ca.lint import lint, lint_template
from ca.profile import CARD_V1, CARD_V2, MOBILE_V1, MOBILE_V2, Profile
from hsm_adapter.software import generate
from jpki import der, oids
from jpki.certificate import HOLDER_PURPOSES, Purpose, Validity
from jpki.errors import JpkiError
from jpki.holder import Gender, Holder
from jpki.signature import KeySpec, PublicKey, algorithm_for, signed
from tests.ca.world import BASE_URL, HANAKO, authority, draft, holder_key, template


def certificate(wanted: Draft) -> x509.Certificate:
    generation, keys = authority(wanted.purpose)
    return x509.load_der_x509_certificate(signed(keys.signer(generation.key), wanted.to_be_signed()))


def test_a_signing_certificate_has_its_extensions_in_order_and_criticality() -> None:
    found = [(each.oid, each.critical) for each in certificate(draft(Purpose.SIGNING)).extensions]
    assert found == [
        (Oid.KEY_USAGE, True),
        (Oid.SUBJECT_ALTERNATIVE_NAME, False),
        (Oid.ISSUER_ALTERNATIVE_NAME, False),
        (Oid.CERTIFICATE_POLICIES, True),
        (Oid.CRL_DISTRIBUTION_POINTS, False),
        (Oid.AUTHORITY_INFORMATION_ACCESS, False),
        (Oid.AUTHORITY_KEY_IDENTIFIER, False),
        (Oid.SUBJECT_KEY_IDENTIFIER, False),
    ]


def test_the_four_attributes_stand_in_the_real_order_as_utf8_strings() -> None:
    names = certificate(draft(Purpose.SIGNING)).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    found = [
        (each.type_id.dotted_string, core.UTF8String.load(each.value, strict=True).native)
        for each in names
        if isinstance(each, x509.OtherName)
    ]
    assert found == [
        (oids.NAME, "日本　花子"),
        (oids.BIRTH_DATE, "419900401"),
        (oids.GENDER, "2"),
        (oids.ADDRESS, HANAKO.address),
        (oids.NAME_SUBSTITUTES, "00010"),
        (oids.ADDRESS_SUBSTITUTES, "0" * 16),
    ]


def test_an_authentication_certificate_discloses_nothing() -> None:
    found = certificate(draft(Purpose.AUTHENTICATION))
    assert [each.oid for each in found.subject] == [x509.NameOID.COUNTRY_NAME, x509.NameOID.COMMON_NAME]
    assert Oid.SUBJECT_ALTERNATIVE_NAME not in [each.oid for each in found.extensions]
    for attribute in (HANAKO.name, HANAKO.address, "Chiyoda", "Tokyo", "1990"):
        assert attribute.encode() not in found.tbs_certificate_bytes.replace(b"Chiyoda-ku CRLDP", b"")


def test_subjects_are_written_as_real_ones_are() -> None:
    common_name = draft(Purpose.SIGNING).common_name
    assert common_name[:14].isdigit()
    assert len(common_name) == 26
    body = asn1.Certificate.load(certificate(draft(Purpose.SIGNING)).public_bytes(Encoding.DER))["tbs_certificate"]
    found = [
        (each["type"].native, each["value"].name, each["value"].native)
        for rdn in body["subject"].chosen
        for each in rdn
    ]
    assert found[:3] == [
        ("country_name", "printable_string", "JP"),
        ("locality_name", "utf8_string", "Tokyo-to"),
        ("locality_name", "utf8_string", "Chiyoda-ku"),
    ]
    assert found[3][:2] == ("common_name", "utf8_string")


@pytest.mark.parametrize("purpose", HOLDER_PURPOSES)
def test_one_critical_policy_with_the_practice_statement(purpose: Purpose) -> None:
    policies = certificate(draft(purpose)).extensions.get_extension_for_class(x509.CertificatePolicies)
    wanted = oids.LAB_SIGNING_POLICY if purpose is Purpose.SIGNING else oids.LAB_AUTHENTICATION_POLICY
    assert policies.critical
    assert [each.policy_identifier.dotted_string for each in policies.value] == [wanted]
    assert policies.value[0].policy_qualifiers == [f"{BASE_URL}/cps"]


@pytest.mark.parametrize("purpose", HOLDER_PURPOSES)
def test_the_distribution_point_has_the_directory_name_and_the_url(purpose: Purpose) -> None:
    wanted = draft(purpose)
    points = certificate(wanted).extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    generation = wanted.template.generation.id
    assert [point.full_name for point in points] == [
        [
            x509.DirectoryName(wanted.template.partition.name),
            x509.UniformResourceIdentifier(f"{BASE_URL}/crl/{purpose}/{generation}/p0615.crl"),
        ]
    ]


@pytest.mark.parametrize(
    ("day", "written"),
    [
        (date(1912, 7, 29), "119120729"),
        (date(1912, 7, 30), "219120730"),
        (date(1926, 12, 24), "219261224"),
        (date(1926, 12, 25), "319261225"),
        (date(1980, 2, 17), "319800217"),
        (date(1989, 1, 7), "319890107"),
        (date(1989, 1, 8), "419890108"),
        (date(2019, 4, 30), "420190430"),
        (date(2019, 5, 1), "520190501"),
    ],
)
def test_birth_dates_carry_their_era(day: date, written: str) -> None:
    assert birth_date(day) == written


@given(
    name=st.text(
        st.characters(min_codepoint=0x3040, max_codepoint=0x2FA1F, exclude_categories=["Cs", "Cn", "Co"]),
        min_size=1,
        max_size=40,
    ),
    born=st.dates(date(1900, 1, 1), date(2010, 1, 1)),
    gender=st.sampled_from(Gender),
)
def test_every_draft_of_any_holder_passes_the_lint(name: str, born: date, gender: Gender) -> None:
    holder = replace(HANAKO, name=name, name_substitutes="0" * len(name), birth_date=born, gender=gender)
    wanted = draft(Purpose.SIGNING, holder)
    lint(wanted.to_be_signed(), wanted)


@pytest.mark.parametrize("purpose", HOLDER_PURPOSES)
def test_the_lint_refuses_a_draft_that_is_not_what_was_asked(purpose: Purpose) -> None:
    wanted = draft(purpose)
    elsewhere = replace(wanted.template, partition=replace(wanted.template.partition, base_urls=("http://other",)))
    others = {
        "serial": draft(purpose),
        "validity": replace(
            wanted, validity=replace(wanted.validity, not_after=wanted.validity.not_after + timedelta(1))
        ),
        "subject": replace(wanted, common_name="X" * 22),
        "extensions": replace(wanted, template=elsewhere),
    }
    for rule, other in others.items():
        assert rule in broken_rules(other.to_be_signed(), wanted)


@pytest.mark.parametrize("change", ["name", "address", "birth_date", "gender", "name_substitutes"])
def test_the_lint_refuses_attributes_of_another(change: str) -> None:
    other = replace(
        HANAKO,
        name="日本　太郎",
        address="x",
        birth_date=date(1990, 4, 2),
        gender=Gender.MALE,
        name_substitutes="0" * 5,
    )
    wanted = draft(Purpose.SIGNING)
    mixed = replace(HANAKO, **{change: getattr(other, change)})
    assert broken_rules(draft(Purpose.SIGNING, mixed).to_be_signed(), replace(wanted)) >= {"attributes"}


@given(st.data())
def test_the_lint_refuses_any_octet_that_was_changed(data: st.DataObject) -> None:
    wanted = draft(data.draw(st.sampled_from(HOLDER_PURPOSES)))
    octets = bytearray(wanted.to_be_signed())
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert broken_rules(bytes(octets), wanted)


@pytest.mark.parametrize(
    ("tag", "text", "rules"),
    [
        (der.Tag.UTC_TIME, "261231235959Z", {"validity"}),
        (der.Tag.UTC_TIME, "501231235959Z", {"validity"}),
        (der.Tag.GENERALIZED_TIME, "20501231235959Z", {"validity", "outlives-issuer", "longest-validity"}),
        (der.Tag.GENERALIZED_TIME, "20310401145959Z", {"malformed"}),
        (der.Tag.UTC_TIME, "310401145959+0000", {"malformed"}),
        (der.Tag.UTC_TIME, "3104011459Z", {"malformed"}),
        (der.Tag.UTC_TIME, "310432145959Z", {"malformed"}),
    ],
)
def test_the_lint_reads_times_as_rfc_5280_has_them(tag: der.Tag, text: str, rules: set[str]) -> None:
    wanted = draft(Purpose.AUTHENTICATION)
    octets, begin = wanted.to_be_signed(), der.time(wanted.validity.not_before)
    written = der.sequence(begin, der.time(wanted.validity.not_after))
    content = (
        der.Reader(octets).read(der.Tag.SEQUENCE).replace(written, der.sequence(begin, der.tlv(tag, text.encode())))
    )
    assert broken_rules(der.sequence(content), wanted) == rules


def test_octets_that_follow_where_nothing_may_are_refused() -> None:
    wanted, more = draft(Purpose.SIGNING), der.tlv(der.Tag.NULL)
    assert broken_rules(wanted.to_be_signed() + more, wanted) == {"malformed"}
    explicit, oid, text = der.context(0), der.object_identifier(oids.NAME), der.utf8_string("x")
    right = der.tlv(explicit, oid, der.tlv(explicit, text))
    assert read_general_names(der.sequence(right)) == [(oids.NAME, "x")]
    for wrong in (
        der.sequence(right) + more,
        der.sequence(right, more),
        der.sequence(der.tlv(explicit, oid, der.tlv(explicit, text), more)),
        der.sequence(der.tlv(explicit, oid, der.tlv(explicit, text, more))),
    ):
        with pytest.raises(der.DerError):
            read_general_names(wrong)


def broken_rules(to_be_signed: bytes, wanted: Draft) -> set[str]:
    with pytest.raises(JpkiError) as refused:
        lint(to_be_signed, wanted)
    assert refused.value.code == "lint-failed"
    return set(refused.value.problem.en.partition(": ")[2].split(", "))


@pytest.mark.parametrize("purpose", HOLDER_PURPOSES)
def test_a_template_of_another_profile_generation_or_place_is_refused(purpose: Purpose) -> None:
    right = template(purpose)
    lint_template(right)
    other_purpose = Purpose.AUTHENTICATION if purpose is Purpose.SIGNING else Purpose.SIGNING
    wrong = {
        "policy": replace(right, profile=replace(CARD_V1, signing_policy="1.2.3", authentication_policy="1.2.3")),
        "distribution-point": replace(right, partition=replace(right.partition, base_urls=("http://other",))),
        "authority-key": template(other_purpose),
        "values": replace(right, base_url="http://other"),
    }
    for rule, other in wrong.items():
        # The octets of the other, under the name of the right one.
        for octets in ("usage", "between", "signature_and_issuer"):
            object.__setattr__(mixed := replace(right), octets, getattr(other, octets))
            if getattr(other, octets) != getattr(right, octets):
                with pytest.raises(JpkiError):
                    lint_template(mixed)
        object.__setattr__(mixed := replace(right), "between", other.between)
        with pytest.raises(JpkiError) as refused:
            lint_template(mixed)
        assert rule in refused.value.problem.en


# --- octet for octet what cryptography's builder makes -------------------------------------------------------------


def built(wanted: Draft) -> bytes:
    """The TBSCertificate as cryptography's builder writes it."""
    fixed = wanted.template
    generation, keys = authority(wanted.purpose)
    builder = (
        x509.CertificateBuilder()
        .serial_number(wanted.serial)
        .issuer_name(generation.certificate.subject)
        .subject_name(wanted.subject)
        .not_valid_before(wanted.validity.not_before)
        .not_valid_after(wanted.validity.not_after)
        .public_key(wanted.key.public_key)
    )
    holder = wanted.disclosed
    alternative = [] if holder is None else [(x509.SubjectAlternativeName(other_names(holder)), False)]
    key = x509.SubjectKeyIdentifier.from_public_key(wanted.key.public_key)
    for value, critical in (fixed.key_usage(), *alternative, *fixed.fixed_extensions(), (key, False)):
        builder = builder.add_extension(value, critical)
    signer = keys.signer(generation.key)
    return builder.sign(signer, algorithm_for(signer.public_key()).hash).tbs_certificate_bytes


def other_names(holder: Holder) -> list[x509.GeneralName]:
    fields = {
        oids.NAME: holder.name,
        oids.BIRTH_DATE: birth_date(holder.birth_date),
        oids.GENDER: GENDERS[holder.gender],
        oids.ADDRESS: holder.address,
        oids.NAME_SUBSTITUTES: holder.name_substitutes,
        oids.ADDRESS_SUBSTITUTES: holder.address_substitutes,
    }
    return [x509.OtherName(x509.ObjectIdentifier(oid), core.UTF8String(value).dump()) for oid, value in fields.items()]


def public_key(spec: KeySpec) -> PublicKey:
    return holder_key().public_key() if spec is KeySpec.RSA_2048 else _curve_key(spec).public_key()


_curve_key = cache(generate)


@given(
    purpose=st.sampled_from(HOLDER_PURPOSES),
    profile=st.sampled_from([CARD_V1, CARD_V2, MOBILE_V1, MOBILE_V2]),
    name=st.text(
        st.one_of(
            st.characters(min_codepoint=0x3040, max_codepoint=0x9FFF, exclude_categories=["Cn"]),
            st.sampled_from("𠮷𠀋𡈽𡌛𩸽髙﨑"),  # outside the basic plane, or beside their common forms
        ),
        min_size=1,
        max_size=200,
    ),
    born=st.one_of(st.dates(date(1870, 1, 1), date(2026, 1, 1)), st.just(date(2000, 2, 29))),
    begin=st.datetimes(datetime(2026, 10, 1, 4), datetime(2049, 12, 31)),  # noqa: DTZ001 - hypothesis adds the zone
    days=st.integers(1, 4000),
    base_url=st.sampled_from(["http://127.0.0.1:8080", "https://jpki.example.jp/lab"]),
)
def test_a_draft_is_octet_for_octet_what_the_builder_makes(
    purpose: Purpose, profile: Profile, name: str, born: date, begin: datetime, days: int, base_url: str
) -> None:
    fixed = replace(template(purpose), profile=profile, base_url=base_url)
    lint_template(fixed)
    start = begin.replace(microsecond=0, tzinfo=UTC)
    wanted = replace(
        draft(purpose, replace(HANAKO, name=name, name_substitutes="0" * len(name), birth_date=born)),
        template=fixed,
        validity=Validity(start, start + timedelta(days=days)),
        key=HolderKey(public_key(profile.key), profile.key),
    )
    assert wanted.to_be_signed() == built(wanted)


def test_r25_a_draft_that_outlives_its_issuer_is_refused() -> None:
    wanted = draft(Purpose.SIGNING)
    end = wanted.template.generation.not_after + timedelta(seconds=1)
    too_long = replace(wanted, validity=replace(wanted.validity, not_after=end))
    with pytest.raises(JpkiError) as refused:
        lint(too_long.to_be_signed(), too_long)
    assert "outlives-issuer" in refused.value.problem.en


def test_r17_a_draft_with_another_key_is_refused() -> None:
    wanted = draft(Purpose.SIGNING)
    other = replace(wanted, key=HolderKey(wanted.template.generation.public_key, wanted.key.spec))
    with pytest.raises(JpkiError) as refused:
        lint(other.to_be_signed(), wanted)
    assert "public-key" in refused.value.problem.en


KNOWN = {
    CARD_V1: "41207e6383a2b23fd31ffee12e6d2e0c7c68a8581bfc39f65ff074e8d6ced45d",
    CARD_V2: "2b89b619ea5c0871402dd152eccb7dfdbf369c9614bd00af2274e8b6afa1a0ba",
    MOBILE_V1: "414d76f8c4082c786b0668fb6e7dff045ef37b21d8579fbd5f734ea94647ea2a",
    MOBILE_V2: "7f47a0f356ac04f4d6728d3491af966f2bc5b691364b2ab5d04810de9b2f2beb",
}
"""What the records of certificates name: a profile that is to be another gets another name."""


@pytest.mark.parametrize("profile", KNOWN, ids=lambda profile: profile.name)
def test_r08_a_profile_is_what_it_was_and_cannot_be_changed(profile: Profile) -> None:
    assert profile.hash == KNOWN[profile]
    with pytest.raises(FrozenInstanceError):
        profile.birthdays = 6  # type: ignore[misc]


@pytest.mark.parametrize("name", [each.name for each in fields(Profile)])
def test_r08_whatever_is_changed_in_a_profile_its_hash_tells(name: str) -> None:
    assert replace(CARD_V1, **{name: getattr(CARD_V2, name) * 2}).hash != CARD_V1.hash
