"""Our roots beside the six real ones: field by field, and only the stated differences."""

from pathlib import Path

import pytest
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import JST
from tests.ca.world import authority

REAL_EXTENSIONS = [
    ("key_usage", True),
    ("subject_alt_name", False),
    ("basic_constraints", True),
    ("crl_distribution_points", False),
    ("key_identifier", False),
]
REAL_NAME_TYPES = [
    ("country_name", "PrintableString"),
    ("organization_name", "UTF8String"),
    ("organizational_unit_name", "UTF8String"),
    ("organizational_unit_name", "UTF8String"),
]
FINGERPRINTS = {
    "signing-2015": "19645405A1FE14377434BD55957628AC4038557C542403A2243F21C706FC9355",
    "signing-2019": "79679C33E4CC9319440F1AD120A597FF1844E2EF217063ADB176966FD5E6FBEB",
    "signing-2023": "D227F6CDE11D35C5252178F106F843D24651944975413B539FA2FB68DBFA365F",
    "authentication-2015": "4DCFC4CA0AAF9FB2A3081B3F0C991C320B3ACC008667A341EEAEC5AF1D58CA7D",
    "authentication-2019": "0D98DE47FC11B7F67126874B7028B6026A803D2638D6EDFE53176953961FADE6",
    "authentication-2023": "64114F29620C24ED2631D46476A040E7EE740D956089C00B036A6A8118C322B5",
}


def anatomy(der: bytes) -> dict[str, object]:
    """Everything of a root that is form and not content."""
    certificate = asn1.Certificate.load(der)
    body = certificate["tbs_certificate"]
    extensions = {each["extn_id"].native: each for each in body["extensions"]}
    usage = extensions["key_usage"]["extn_value"].parsed
    constraints = extensions["basic_constraints"]["extn_value"].parsed
    points = extensions["crl_distribution_points"]["extn_value"].parsed
    alternative = extensions["subject_alt_name"]["extn_value"].parsed
    return {
        "version": body["version"].native,
        "signature": (body["signature"]["algorithm"].native, certificate["signature_algorithm"]["algorithm"].native),
        "key": (body["subject_public_key_info"].algorithm, body["subject_public_key_info"].bit_size),
        "issuer is subject": body["issuer"].dump() == body["subject"].dump(),
        "name": name_types(body["subject"]),
        "time types": [body["validity"][each].name for each in ("not_before", "not_after")],
        "extensions": [(each["extn_id"].native, each["critical"].native) for each in body["extensions"]],
        "key usage": usage.native,
        "path length": constraints["path_len_constraint"].native,
        "alternative name": [(each.name, name_types(each.chosen)) for each in alternative],
        "distribution point is own name": [
            [each.chosen.dump() == body["subject"].dump() for each in point["distribution_point"].chosen]
            for point in points
        ],
        "point fields": [[point[name].native for name in ("reasons", "crl_issuer")] for point in points],
    }


def name_types(name: asn1.Name) -> list[tuple[str, str]]:
    return [
        (
            attribute["type"].native,
            type(attribute["value"].chosen if hasattr(attribute["value"], "chosen") else attribute["value"]).__name__,
        )
        for rdn in name.chosen
        for attribute in rdn
    ]


@pytest.mark.parametrize("which", FINGERPRINTS)
@pytest.mark.parametrize("purpose", HOLDER_PURPOSES)
def test_our_roots_are_built_like_the_real_ones(which: str, purpose: Purpose, shared: Path) -> None:
    real = (shared / "jpki-roots" / f"{which}.der").read_bytes()
    ours, _ = authority(purpose)
    assert x509.load_der_x509_certificate(real).fingerprint(SHA256()).hex().upper() == FINGERPRINTS[which]
    assert anatomy(ours.certificate.public_bytes(Encoding.DER)) == anatomy(real)


@pytest.mark.parametrize("purpose", HOLDER_PURPOSES)
def test_our_roots_hold_the_real_form_without_the_real_files(purpose: Purpose) -> None:
    ours, _ = authority(purpose)
    form = anatomy(ours.certificate.public_bytes(Encoding.DER))
    assert form["extensions"] == REAL_EXTENSIONS
    assert form["name"] == REAL_NAME_TYPES
    assert form["key"] == ("rsa", 2048)
    assert form["path length"] is None


@pytest.mark.parametrize("purpose", HOLDER_PURPOSES)
def test_the_stated_differences_are_serial_and_names(purpose: Purpose) -> None:
    ours, _ = authority(purpose)
    assert ours.certificate.serial_number >> 126 == 1
    organization = ours.certificate.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
    assert [each.value for each in organization] == ["JPKI-LAB"]


@pytest.mark.parametrize("which", FINGERPRINTS)
def test_a_root_ends_the_day_before_its_tenth_anniversary_at_235959_in_japan(which: str, shared: Path) -> None:
    real = x509.load_der_x509_certificate((shared / "jpki-roots" / f"{which}.der").read_bytes())
    ours, _ = authority(Purpose.SIGNING)
    for root in (real, ours.certificate):
        begin, end = root.not_valid_before_utc.astimezone(JST), root.not_valid_after_utc.astimezone(JST)
        assert end.strftime("%H:%M:%S") == "23:59:59"
        assert (end.year - begin.year, end.month, end.toordinal() - begin.replace(year=end.year).toordinal()) == (
            10,
            end.month,
            -1,
        )


@pytest.mark.parametrize("purpose", HOLDER_PURPOSES)
def test_the_key_identifier_is_sha1_of_the_key_bits(purpose: Purpose) -> None:
    ours, _ = authority(purpose)
    identifier = ours.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert identifier == asn1.Certificate.load(ours.certificate.public_bytes(Encoding.DER)).public_key.sha1
