"""The certificates of holders: what docs/profile.md says, with the stated deviations and no others."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from asn1crypto import core
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID as Oid
from hypothesis import given
from hypothesis import strategies as st

from ca.draft import Draft
from ca.holder_names import birth_date
from ca.lint import lint
from jpki import oids
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.errors import JpkiError
from jpki.holder import Gender
from jpki.signature import signed
from tests.ca.world import BASE_URL, HANAKO, authority, draft


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
    generation = wanted.generation.id
    assert [point.full_name for point in points] == [
        [
            x509.DirectoryName(wanted.partition.name),
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
    others = {
        "serial": draft(purpose),
        "validity": replace(
            wanted, validity=replace(wanted.validity, not_after=wanted.validity.not_after + timedelta(1))
        ),
        "subject": replace(wanted, common_name="X" * 22),
        "distribution-point": replace(wanted, partition=replace(wanted.partition, base_urls=("http://other",))),
        "policy": replace(
            wanted, profile=replace(wanted.profile, signing_policy="1.2.3", authentication_policy="1.2.3")
        ),
    }
    for rule, other in others.items():
        with pytest.raises(JpkiError) as refused:
            lint(other.to_be_signed(), wanted)
        assert refused.value.code == "lint-failed"
        assert rule in refused.value.problem.en


def test_r25_a_draft_that_outlives_its_issuer_is_refused() -> None:
    wanted = draft(Purpose.SIGNING)
    end = wanted.generation.not_after + timedelta(seconds=1)
    too_long = replace(wanted, validity=replace(wanted.validity, not_after=end))
    with pytest.raises(JpkiError) as refused:
        lint(too_long.to_be_signed(), too_long)
    assert "outlives-issuer" in refused.value.problem.en


def test_r17_a_draft_with_another_key_is_refused() -> None:
    wanted = draft(Purpose.SIGNING)
    other = replace(wanted, public_key=wanted.generation.public_key)
    with pytest.raises(JpkiError) as refused:
        lint(other.to_be_signed(), wanted)
    assert "public-key" in refused.value.problem.en


def test_the_profile_names_itself_by_its_contents() -> None:
    profile = draft(Purpose.SIGNING).profile
    assert len(profile.hash) == 64
    assert replace(profile, renewal_months=4).hash != profile.hash
