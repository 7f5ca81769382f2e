"""Time-stamps: which prove a time, which are broken, and what that time decides (docs/adr/0021)."""

# mypy: allow-untyped-calls
# asn1crypto bears no types.

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from asn1crypto import cms
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from pyhanko.sign.general import as_signing_certificate, as_signing_certificate_v2, simple_cms_attribute

from jpki import der, signature
from jpki.der import Reader, Tag
from jpki.revocation import Finding, Reason, RevocationEvidence
from signing.cms_writer import write_bound
from signing.intake import Format
from signing.report import FileVerdict, Outcome, SignedAt, Step, TimeProof
from signing.time_stamper import StampDigest
from signing.verdict import Cause, Decision, Indication, SubIndication
from tests.signing import odd_cms
from tests.signing.conftest import Judge
from tests.signing.expect import causes
from tests.signing.stamps import (
    DAY,
    DOCUMENTS,
    STAMPED_FORMATS,
    STAMPING,
    About,
    Clockhouse,
    make_clockhouse,
    make_unit,
    signed,
    terms,
)
from tests.signing.town import NOW, Town, good, make_certificate, revoked

FORMATS = pytest.mark.parametrize("form", STAMPED_FORMATS)
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="session")
def house() -> Clockhouse:
    return make_clockhouse()


def stamp_check(verdict: FileVerdict) -> tuple[Outcome, object]:
    (signature,) = verdict.signatures
    (check,) = [each for each in signature.checks if each.name is Step.TIME_STAMP]
    return check.outcome, check.evidence.get("why")


def basis(verdict: FileVerdict) -> object:
    (check,) = [each for each in verdict.signatures[0].checks if each.name is Step.TIME]
    return check.evidence["basis"]


# --- what a stamp decides --------------------------------------------------------------------------------------------


@FORMATS
@pytest.mark.parametrize("signer", ["holder", "accountant", "visitor"])
def test_a_stamp_proves_the_time(town: Town, judge: Judge, house: Clockhouse, form: Format, signer: str) -> None:
    verdict = judge(signed(form, getattr(town, signer), house.stamp(NOW - DAY)), terms(town, house))
    assert causes(verdict) == [set()]
    (signature,) = verdict.signatures
    assert signature.signed_at == SignedAt(NOW - DAY, TimeProof.TIME_STAMP)
    assert signature.as_json()["signed_at"] == {"time": "2026-11-22T03:00:00Z", "evidence": "timestamp"}
    assert signature.indication is Indication.TOTAL_PASSED
    assert "proves that it was made by 2026-11-22T03:00:00Z" in signature.sentence.en
    assert "2026-11-22T03:00:00Z" in signature.sentence.ja


@FORMATS
def test_a_stamp_goes_before_the_given_time(town: Town, judge: Judge, house: Clockhouse, form: Format) -> None:
    document = signed(form, town.holder, house.stamp(NOW - DAY))
    for at in (NOW - 2 * DAY, NOW - DAY / 2, NOW + DAY):
        verdict = judge(document, terms(town, house, at=at, sources=[revoked(NOW - DAY + SECOND)]))
        assert (verdict.decision, basis(verdict)) == (Decision.ACCEPT, "timestamp")
    assert basis(judge(signed(form, town.holder, None), terms(town, house, at=NOW - DAY))) == "given"


@FORMATS
@pytest.mark.parametrize("finding", [Finding.REVOKED, Finding.HELD])
def test_revoked_after_the_stamp_is_accepted_and_before_it_refused(
    town: Town, judge: Judge, house: Clockhouse, form: Format, finding: Finding
) -> None:
    document = signed(form, town.holder, house.stamp(NOW - DAY))
    after = judge(document, terms(town, house, sources=[revoked(NOW - DAY + SECOND, finding)]))
    assert after.decision is Decision.ACCEPT
    assert "revoked at 2026-11-22T03:00:01Z, after it was signed" in after.sentence.en
    before = judge(document, terms(town, house, sources=[revoked(NOW - DAY, finding)]))
    assert before.decision is Decision.REFUSE
    assert before.signatures[0].indication is Indication.TOTAL_FAILED
    assert before.signatures[0].sub_indication is SubIndication.REVOKED


@FORMATS
def test_the_stamp_tells_whether_a_certificate_that_has_ended_was_valid(
    town: Town, judge: Judge, house: Clockhouse, form: Format
) -> None:
    ended = town.credential(make_certificate(town.holder.key, town.root, not_after=NOW - 10 * DAY))
    in_time = judge(signed(form, ended, house.stamp(NOW - 10 * DAY)), terms(town, house))
    assert in_time.decision is Decision.ACCEPT
    late = judge(signed(form, ended, house.stamp(NOW - 10 * DAY + SECOND)), terms(town, house))
    assert causes(late) == [{Cause.EXPIRED}]
    young = town.credential(make_certificate(town.holder.key, town.root, not_before=NOW - DAY))
    early = judge(signed(form, young, house.stamp(NOW - DAY - SECOND)), terms(town, house))
    assert causes(early) == [{Cause.NOT_YET_VALID}]


# --- stamps that are broken ------------------------------------------------------------------------------------------


def cut(token: bytes) -> bytes:
    """Cut a token's end off within its outer frame."""
    return der.sequence(Reader(token).read(Tag.SEQUENCE)[:-40])


def flipped(token: bytes) -> bytes:
    """Change the last octet, of the signature value."""
    return token[:-1] + bytes((token[-1] ^ 1,))


def of_another_kind(token: bytes) -> bytes:
    """Make the SignedData one of plain data."""
    stamp_type = der.object_identifier("1.2.840.113549.1.9.16.1.4")
    return token.replace(stamp_type, stamp_type[:-1] + b"\x05")


BREAKAGES: dict[str, Callable[[StampDigest], StampDigest]] = {
    "other content": lambda stamp: lambda _: stamp(hashlib.sha256(b"other").digest()),
    "cut": lambda stamp: lambda digest: cut(stamp(digest)),
    "flipped": lambda stamp: lambda digest: flipped(stamp(digest)),
    "another kind": lambda stamp: lambda digest: of_another_kind(stamp(digest)),
    "no signature": lambda _: lambda __: der.sequence(der.object_identifier("1.2.840.113549.1.7.2")),
}


@FORMATS
@pytest.mark.parametrize("breakage", list(BREAKAGES))
@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
def test_a_broken_stamp_is_refused_whoever_made_it(
    town: Town, judge: Judge, house: Clockhouse, form: Format, breakage: str, *, trusted: bool
) -> None:
    document = signed(form, town.holder, BREAKAGES[breakage](house.stamp()))
    verdict = judge(document, terms(town, *([house] if trusted else [])))
    assert causes(verdict) == [{Cause.TIME_STAMP_BROKEN}]
    assert verdict.decision is Decision.REFUSE
    assert verdict.signatures[0].sub_indication is SubIndication.SIG_CONSTRAINTS_FAILURE
    assert basis(verdict) == "now"


def with_binding(token: bytes, house: Clockhouse, *bindings: cms.CMSAttribute) -> bytes:
    """Sign a token anew that names its signer's certificate in another way, or not at all."""
    message = cms.ContentInfo.load(token)
    (signer,) = message["content"]["signer_infos"]
    kept = [each for each in signer["signed_attrs"] if each["type"].native != "signing_certificate_v2"]
    attributes = cms.CMSAttributes([*kept, *bindings])
    signer["signed_attrs"], signer["signature"] = attributes, signature.sign(house.unit.key, attributes.dump())
    return bytes(message.dump())


def test_a_stamp_names_its_signers_certificate(town: Town, judge: Judge, house: Clockhouse) -> None:
    """RFC 5816 2.2.1; by SHA-1 alone it is weak, as for signers."""

    def judged(*bindings: cms.CMSAttribute) -> FileVerdict:
        def stamp(digest: bytes) -> bytes:
            return with_binding(house.token(NOW, digest), house, *bindings)

        return judge(signed(Format.CMS, town.holder, stamp), terms(town, house))

    own, other = (
        asn1_x509.Certificate.load(each.certificate.public_bytes(Encoding.DER)) for each in (house.unit, town.holder)
    )
    sound = judged(simple_cms_attribute("signing_certificate_v2", as_signing_certificate_v2(own)))
    assert stamp_check(sound) == (Outcome.PASSED, None)
    assert causes(judged()) == [{Cause.TIME_STAMP_BROKEN}]
    mistaken = judged(simple_cms_attribute("signing_certificate_v2", as_signing_certificate_v2(other)))
    assert causes(mistaken) == [{Cause.TIME_STAMP_BROKEN}]
    weak = judged(simple_cms_attribute("signing_certificate", as_signing_certificate(own)))
    assert stamp_check(weak) == (Outcome.NOT_APPLICABLE, "weak")


WRONG_USAGES = {
    "none": (None, True),
    "another": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), True),
    "two": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CLIENT_AUTH]), True),
    "uncritical": (STAMPING, False),
}


@FORMATS
@pytest.mark.parametrize("usage", list(WRONG_USAGES))
def test_a_certificate_of_the_root_that_is_not_for_time_stamping_proves_nothing_and_is_misused(
    town: Town, judge: Judge, house: Clockhouse, form: Format, usage: str
) -> None:
    value, critical = WRONG_USAGES[usage]
    misused = house.with_unit(usage=value, critical=critical)
    document = signed(form, town.holder, misused.stamp(NOW - DAY))
    verdict = judge(document, terms(town, house, sources=[revoked(NOW - DAY / 2)]))
    assert causes(verdict) == [{Cause.TIME_STAMP_MISUSED, Cause.REVOKED_UNPROVEN_TIME}]
    assert verdict.decision is Decision.REFUSE
    untrusted = judge(document, terms(town))
    assert causes(untrusted) == [set()]


# --- stamps that do not count ----------------------------------------------------------------------------------------


@FORMATS
def test_an_untrusted_stamp_is_as_good_as_none(town: Town, judge: Judge, house: Clockhouse, form: Format) -> None:
    document = signed(form, town.holder, house.stamp(NOW - DAY))
    alive = judge(document, terms(town))
    assert alive.decision is Decision.ACCEPT
    assert (stamp_check(alive), basis(alive)) == ((Outcome.NOT_APPLICABLE, "untrusted"), "now")
    assert alive.signatures[0].signed_at == SignedAt(NOW, TimeProof.CLAIMED)
    dead = judge(document, terms(town, sources=[revoked(NOW - DAY / 2)]))
    assert causes(dead) == [{Cause.REVOKED_UNPROVEN_TIME}]
    # Neither do the signers' own authorities stamp.
    own = Clockhouse(town.root, house.unit).with_unit()
    document = signed(form, town.holder, own.stamp(NOW - DAY))
    assert stamp_check(judge(document, terms(town, house))) == (Outcome.NOT_APPLICABLE, "untrusted")


def test_an_anchor_for_time_stamps_vouches_for_no_signer(town: Town, judge: Judge, house: Clockhouse) -> None:
    stranger = town.credential(make_certificate(town.holder.key, house.root))
    verdict = judge(signed(Format.CMS, stranger, house.stamp()), terms(town, house))
    assert causes(verdict) == [{Cause.NO_TRUSTED_CHAIN}]


@FORMATS
@pytest.mark.parametrize(
    ("unit", "at", "why"),
    [
        ({"not_after": NOW - SECOND}, NOW - DAY, "expired"),
        ({"not_after": NOW}, NOW - DAY, None),
        ({"not_before": NOW - DAY + SECOND}, NOW - DAY, "not-yet-valid"),
        ({}, NOW + timedelta(seconds=61), "from-the-future"),
        ({}, NOW + timedelta(seconds=60), None),
        ({"list_url": "http://127.0.0.1/tsa.crl"}, NOW - DAY, "revocation-unchecked"),
    ],
    ids=["ended", "ends now", "began later", "of the future", "a fast clock", "unchecked"],
)
def test_a_stamp_counts_only_while_its_authority_can_be_relied_on(
    town: Town, judge: Judge, house: Clockhouse, form: Format, unit: dict[str, object], at: datetime, why: str | None
) -> None:
    verdict = judge(signed(form, town.holder, house.with_unit(**unit).stamp(at)), terms(town, house))
    assert stamp_check(verdict) == (Outcome.NOT_APPLICABLE if why else Outcome.PASSED, why)
    assert basis(verdict) == ("now" if why else "timestamp")
    assert verdict.decision is Decision.ACCEPT or why is None


@pytest.mark.parametrize(
    ("reason", "since", "why"),
    [
        (Reason.SUPERSEDED, NOW - DAY + SECOND, None),
        (Reason.SUPERSEDED, NOW - DAY, "revoked"),
        (Reason.KEY_COMPROMISE, NOW - DAY + SECOND, "revoked"),
        (Reason.UNSPECIFIED, NOW, "revoked"),
        (Reason.KEY_COMPROMISE, NOW + SECOND, None),
    ],
)
def test_a_revoked_authoritys_stamp_stands_only_if_its_key_was_not_lost(
    town: Town, judge: Judge, house: Clockhouse, reason: Reason, since: datetime, why: str | None
) -> None:
    evidence = RevocationEvidence(finding=Finding.REVOKED, source="crl", as_of=NOW, revoked_at=since, reason=reason)
    document = signed(Format.CMS, town.holder, house.stamp(NOW - DAY))
    verdict = judge(document, terms(town, house, of_units=[About(house.unit.certificate, evidence)]))
    assert stamp_check(verdict)[1] == why


@pytest.mark.parametrize(
    ("promised", "expected"), [(NOW - SECOND, False), (NOW, True)], ids=["ended", "the latest yet"]
)
def test_a_list_from_before_the_stamp_counts_only_while_there_is_no_newer_one(
    town: Town, judge: Judge, house: Clockhouse, promised: datetime, *, expected: bool
) -> None:
    older = good(NOW - 2 * DAY, "crl", promised)
    document = signed(Format.CMS, town.holder, house.stamp(NOW - DAY))
    found = causes(judge(document, terms(town, house, sources=[older])))
    assert found == [set() if expected else {Cause.REVOCATION_STALE}]
    listing = house.with_unit(list_url="http://127.0.0.1/tsa.crl")
    stamped = judge(signed(Format.CMS, town.holder, listing.stamp(NOW - DAY)), terms(town, listing, of_units=[older]))
    assert (stamp_check(stamped)[1] is None) is expected


def test_a_stamp_rests_on_strong_keys_only(town: Town, judge: Judge, house: Clockhouse) -> None:
    weak = Clockhouse(house.root, make_unit(ec.generate_private_key(ec.SECP224R1()), house.root))
    verdict = judge(signed(Format.CMS, town.holder, weak.stamp(NOW - DAY)), terms(town, house))
    assert stamp_check(verdict) == (Outcome.NOT_APPLICABLE, "weak")


# --- several ---------------------------------------------------------------------------------------------------------


def twice_stamped(town: Town, first: StampDigest, second: StampDigest) -> bytes:
    message = cms.ContentInfo.load(signed(Format.CMS, town.holder, first))
    (signer,) = message["content"]["signer_infos"]
    token = second(hashlib.sha256(signer["signature"].native).digest())
    kind = der.object_identifier("1.2.840.113549.1.9.16.2.14")
    attribute = cms.CMSAttribute.load(der.sequence(kind, der.tlv(Tag.SET, token)))
    signer["unsigned_attrs"] = cms.CMSAttributes([*signer["unsigned_attrs"], attribute])
    return bytes(message.dump())


def test_of_several_stamps_the_earliest_that_counts_does_and_a_broken_one_spoils_all(
    town: Town, judge: Judge, house: Clockhouse
) -> None:
    other = make_clockhouse()
    document = twice_stamped(town, house.stamp(NOW - DAY), other.stamp(NOW - 2 * DAY))
    for believed, earliest in (([house, other], 2), ([house], 1), ([other], 2)):
        verdict = judge(document, terms(town, *believed))
        assert verdict.signatures[0].signed_at == SignedAt(NOW - earliest * DAY, TimeProof.TIME_STAMP)
        assert verdict.decision is Decision.ACCEPT
    spoilt = twice_stamped(town, house.stamp(NOW - DAY), lambda digest: flipped(house.token(NOW, digest)))
    assert causes(judge(spoilt, terms(town, house))) == [{Cause.TIME_STAMP_BROKEN}]


def test_a_stamp_in_a_plain_pdf_signature_counts_too(town: Town, judge: Judge, house: Clockhouse) -> None:
    """Adobe's software stamps adbe.pkcs7.detached as well."""
    document = odd_cms.embed(
        DOCUMENTS[Format.PADES], SHA256(), lambda digest: write_bound(digest, town.holder, house.stamp(NOW - DAY))
    )
    verdict = judge(document, terms(town, house))
    assert (verdict.decision, basis(verdict)) == (Decision.ACCEPT, "timestamp")
