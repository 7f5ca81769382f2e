"""The chain, the certificate's kind and policy, and its validity and revocation at the time that counts."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from jpki import oids
from jpki.revocation import Finding
from signing.credential import Credential
from signing.intake import Format
from signing.jpki_roots import POLICIES
from signing.sign import sign
from signing.trust import find_chain
from signing.validation import LAB_POLICIES, TrustAnchor, Validation
from signing.verdict import Cause, Decision, SubIndication
from tests.signing.conftest import Judge
from tests.signing.expect import causes
from tests.signing.town import (
    NOW,
    Outage,
    Town,
    Word,
    good,
    make_authentication_certificate,
    make_certificate,
    make_intermediate,
    make_root,
    revoked,
    unknown,
)

DAY = timedelta(days=1)
CONTENT = b"content"


def _signed(town: Town, certificate: x509.Certificate, *chain: x509.Certificate) -> bytes:
    return sign(CONTENT, town.credential(certificate, *chain), Format.CMS, NOW, force=True)


def _by_holder(town: Town) -> bytes:
    return sign(CONTENT, town.holder, Format.CMS, NOW)


# --- chain -----------------------------------------------------------------------------------------------------


def test_the_generation_is_told_by_its_key_never_by_its_name(town: Town) -> None:
    anchors = (town.next_root.anchor, town.root.anchor)
    for credential, root in ((town.holder, town.root), (town.accountant, town.next_root)):
        chain = find_chain(credential.certificate, (), anchors, NOW)
        assert chain is not None
        assert chain.anchor.certificate == root.certificate


def test_a_namesake_of_the_root_is_no_anchor(town: Town, judge: Judge) -> None:
    namesake = make_root(town.spare_keys[0])
    validation = Validation(anchors=(namesake.anchor,), revocation=(good(),), clock=lambda: NOW)
    verdict = judge(_by_holder(town), validation)
    assert causes(verdict) == [{Cause.NO_TRUSTED_CHAIN}]
    assert verdict.signatures[0].signer is not None
    assert verdict.signatures[0].signer.trust_domain is None


def test_without_trust_a_wrong_kind_is_undecided_not_refused(town: Town, judge: Judge) -> None:
    misused = _signed(town, make_authentication_certificate(town.holder.key, town.root))
    verdict = judge(misused, Validation(anchors=(), revocation=(), clock=lambda: NOW))
    assert verdict.decision is Decision.UNDECIDED
    assert causes(verdict) == [{Cause.NO_TRUSTED_CHAIN}]


def test_an_intermediate_that_comes_along_is_followed(town: Town, judge: Judge) -> None:
    middle = make_intermediate(town.spare_keys[0], town.root)
    leaf = make_certificate(town.holder.key, middle)
    assert judge(_signed(town, leaf, middle.certificate), town.validation()).decision is Decision.ACCEPT
    assert causes(judge(_signed(town, leaf), town.validation())) == [{Cause.NO_TRUSTED_CHAIN}]


def test_a_critical_extension_that_is_not_known_breaks_the_chain(town: Town, judge: Judge) -> None:
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    leaf = make_certificate(town.holder.key, town.root, critical=[strange])
    assert causes(judge(_signed(town, leaf), town.validation())) == [{Cause.NO_TRUSTED_CHAIN}]


def test_a_broken_certificate_beside_the_signers_does_no_harm(town: Town, judge: Judge) -> None:
    signed = _signed(town, town.holder.certificate, town.root.certificate)
    der = town.root.certificate.public_bytes(Encoding.DER)
    broken = der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020107"), 1)
    assert judge(signed.replace(der, broken), town.validation()).decision is Decision.ACCEPT


def test_a_short_key_is_weak(town: Town, judge: Judge) -> None:
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - the point of the test
    short = Credential(certificate=make_certificate(key, town.root), key=key)
    verdict = judge(sign(CONTENT, short, Format.CMS, NOW), town.validation())
    assert causes(verdict) == [{Cause.WEAK_ALGORITHM}]
    assert verdict.decision is Decision.UNDECIDED


def test_a_holder_is_no_issuer(town: Town, judge: Judge) -> None:
    impostor = make_intermediate(town.spare_keys[0], town.root, ca=False)
    leaf = make_certificate(town.holder.key, impostor)
    verdict = judge(_signed(town, leaf, impostor.certificate), town.validation())
    assert causes(verdict) == [{Cause.NO_TRUSTED_CHAIN}]


_ELSEWHERE = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "XX")]))
_HOSTS = [x509.DNSName("example.jp")]


@pytest.mark.parametrize(
    ("permitted", "excluded", "cause"),
    [
        (_HOSTS, None, None),
        (None, _HOSTS, None),
        (None, [_ELSEWHERE], None),
        ([_ELSEWHERE], None, Cause.NO_TRUSTED_CHAIN),
    ],
    ids=["hosts permitted", "hosts excluded", "elsewhere excluded", "elsewhere permitted"],
)
def test_an_anchors_constraints_bind_the_kinds_of_name_that_they_tell_of(
    town: Town,
    judge: Judge,
    permitted: list[x509.GeneralName] | None,
    excluded: list[x509.GeneralName] | None,
    cause: Cause | None,
) -> None:
    root = make_root(town.root.key, x509.NameConstraints(permitted, excluded))
    verdict = judge(_by_holder(town), Validation(anchors=(root.anchor,), revocation=(good(),), clock=lambda: NOW))
    assert causes(verdict) == [{cause} if cause else set()]


def test_the_trust_domain_is_named(town: Town, judge: Judge) -> None:
    anchor = TrustAnchor(certificate=town.root.certificate, domain="configured", policies=LAB_POLICIES)
    verdict = judge(_by_holder(town), Validation(anchors=(anchor,), revocation=(good(),), clock=lambda: NOW))
    assert verdict.signatures[0].signer is not None
    assert verdict.signatures[0].signer.trust_domain == "configured"


@pytest.mark.parametrize("policy", [oids.REAL_SIGNING_POLICY, oids.LAB_SIGNING_POLICY])
def test_lab_and_real_never_mix(town: Town, judge: Judge, policy: str) -> None:
    """Each domain takes the policies of its own alone, whoever signed the certificate."""
    signed = _signed(town, make_certificate(town.holder.key, town.root, policy=policy))
    for allowed in (POLICIES, LAB_POLICIES):
        anchor = TrustAnchor(certificate=town.root.certificate, domain="configured", policies=allowed)
        verdict = judge(signed, Validation(anchors=(anchor,), revocation=(good(),), clock=lambda: NOW))
        assert causes(verdict) == [set() if policy in allowed else {Cause.WRONG_POLICY}]


# --- policy and period -----------------------------------------------------------------------------------------


def test_a_foreign_policy_is_refused(town: Town, judge: Judge) -> None:
    verdict = judge(_signed(town, make_certificate(town.holder.key, town.root, policy="1.2.3.4")), town.validation())
    assert causes(verdict) == [{Cause.WRONG_POLICY}]
    assert verdict.decision is Decision.REFUSE


@pytest.mark.parametrize(
    ("policy", "cause"), [(None, Cause.WRONG_POLICY), ("1.2.3.4", Cause.WRONG_POLICY), (oids.LAB_SIGNING_POLICY, None)]
)
def test_a_policy_is_the_whole_chains_or_nobodys(
    town: Town, judge: Judge, policy: str | None, cause: Cause | None
) -> None:
    middle = make_intermediate(town.spare_keys[0], town.root, policy=policy)
    signed = _signed(town, make_certificate(town.holder.key, middle), middle.certificate)
    assert causes(judge(signed, town.validation())) == [{cause} if cause else set()]


@pytest.mark.parametrize(
    ("at", "cause"),
    [
        (NOW - 201 * DAY, Cause.NOT_YET_VALID),
        (NOW + 800 * DAY, None),
        (NOW + 800 * DAY + timedelta(seconds=1), Cause.EXPIRED),
    ],
)
def test_r11_validity_counts_its_last_second(town: Town, judge: Judge, at: datetime, cause: Cause | None) -> None:
    verdict = judge(_by_holder(town), town.validation(good(as_of=at), at=at))
    assert causes(verdict) == [{cause} if cause else set()]
    assert verdict.decision is (Decision.UNDECIDED if cause else Decision.ACCEPT)


# --- revocation ------------------------------------------------------------------------------------------------


def test_revoked_before_now_is_refused_and_says_when(town: Town, judge: Judge) -> None:
    verdict = judge(_by_holder(town), town.validation(revoked(NOW - DAY)))
    (signature,) = verdict.signatures
    assert verdict.decision is Decision.REFUSE
    assert signature.sub_indication is SubIndication.REVOKED_NO_POE
    assert "revoked at 2026-11-22T03:00:00Z" in signature.sentence.en
    assert "2026-11-22T03:00:00Z" in signature.sentence.ja


@pytest.mark.parametrize("finding", [Finding.REVOKED, Finding.HELD])
def test_the_given_time_decides_between_revoked_and_valid(town: Town, judge: Judge, finding: Finding) -> None:
    word = revoked(NOW - DAY, finding)
    on_the_second = judge(_by_holder(town), town.validation(word, at=NOW - DAY))
    assert on_the_second.signatures[0].sub_indication is SubIndication.REVOKED
    before = judge(_by_holder(town), town.validation(word, at=NOW - DAY - timedelta(seconds=1)))
    assert before.decision is Decision.ACCEPT
    assert "revoked later, at 2026-11-22T03:00:00Z" in before.sentence.en


def test_revoked_already_by_a_clock_that_ran_ahead_is_refused(town: Town, judge: Judge) -> None:
    """The source says so of now, whatever the date; of a moment before, the date decides."""
    word = revoked(NOW + DAY)
    assert causes(judge(_by_holder(town), town.validation(word))) == [{Cause.REVOKED_UNPROVEN_TIME}]
    before = judge(_by_holder(town), town.validation(word, at=NOW - timedelta(seconds=1)))
    assert before.decision is Decision.ACCEPT


def test_revoked_without_a_time_is_refused(town: Town, judge: Judge) -> None:
    word = revoked(NOW)
    assert word.evidence_given is not None
    timeless = Word(replace(word.evidence_given, revoked_at=None))
    assert judge(_by_holder(town), town.validation(timeless, at=NOW - DAY)).decision is Decision.REFUSE


@pytest.mark.parametrize(
    ("sources", "cause"),
    [
        ((), Cause.REVOCATION_UNCHECKED),
        ((Outage(),), Cause.REVOCATION_UNCHECKED),
        ((Word(None),), Cause.REVOCATION_UNCHECKED),
        ((unknown(), good()), Cause.REVOCATION_UNCHECKED),
        ((good(NOW - DAY),), Cause.REVOCATION_STALE),
        ((good(NOW - 2 * DAY, "crl", NOW - DAY),), Cause.REVOCATION_STALE),
        ((good(NOW - 2 * DAY, "crl", NOW),), None),
        ((Outage(), Word(None), good()), None),
        ((good(NOW - DAY), good()), None),
        ((good(NOW - DAY), revoked(NOW - 3 * DAY)), Cause.REVOKED_UNPROVEN_TIME),
        ((good(), revoked(NOW - 3 * DAY)), None),
    ],
)
def test_sources_are_asked_in_order_until_one_has_a_say(
    town: Town, judge: Judge, sources: tuple[Word | Outage, ...], cause: Cause | None
) -> None:
    validation = Validation(anchors=(town.root.anchor,), revocation=sources, clock=lambda: NOW)
    assert causes(judge(_by_holder(town), validation)) == [{cause} if cause else set()]


def test_a_list_made_after_the_certificates_end_says_nothing(town: Town, judge: Judge) -> None:
    ended = make_certificate(town.holder.key, town.root, not_after=NOW - DAY)
    at = NOW - 2 * DAY
    from_list = judge(_signed(town, ended), town.validation(good(NOW, "crl"), at=at))
    assert causes(from_list) == [{Cause.REVOCATION_STALE}]
    assert judge(_signed(town, ended), town.validation(good(NOW), at=at)).decision is Decision.ACCEPT


@pytest.mark.parametrize(
    ("as_of", "promised", "cause"),
    [
        (NOW - 3 * DAY, NOW - DAY, Cause.REVOCATION_STALE),
        (NOW - 3 * DAY, NOW - timedelta(seconds=1), Cause.REVOCATION_STALE),
        (NOW - 3 * DAY, NOW, None),
        (NOW - 2 * DAY, NOW - DAY, None),
        (NOW - 2 * DAY, None, None),
        (NOW - 2 * DAY - timedelta(seconds=1), None, Cause.REVOCATION_STALE),
    ],
    ids=["ended since", "ended just now", "the latest yet", "of then", "of then alone", "a second older"],
)
def test_a_word_older_than_the_time_that_counts_says_nothing_unless_it_is_the_latest_yet(
    town: Town, judge: Judge, as_of: datetime, promised: datetime | None, cause: Cause | None
) -> None:
    for source in ("crl", "ocsp"):
        terms = town.validation(good(as_of, source, promised), at=NOW - 2 * DAY)
        assert causes(judge(_by_holder(town), terms)) == [{cause} if cause else set()]


# --- who signed ------------------------------------------------------------------------------------------------


def test_r21_attributes_are_masked_unless_asked_for(town: Town, judge: Judge) -> None:
    masked = judge(_by_holder(town), town.validation())
    assert "花子" not in repr(masked) + str(masked.as_json())
    shown = judge(_by_holder(town), town.validation(show=True)).signatures[0].signer
    assert shown is not None
    assert shown.attributes == {"name": "見本　花子", "gender": "2", "1.2.392.200149.8.5.5.99": "未知"}
    assert "花子" not in repr(shown)
