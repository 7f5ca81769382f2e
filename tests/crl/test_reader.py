"""What a list that came as a file says about a certificate, and when it has no say."""

import csv
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from crl.builder import Edition
from crl.reader import CrlFile
from jpki import der, oids
from jpki.errors import JpkiError, Kind
from jpki.partition import Partition
from jpki.ports import RevokedEntry
from jpki.revocation import Finding, Reason, RevocationEvidence
from jpki.signature import algorithm_for, signed
from tests.crl.authority import (
    CERTIFICATES_ONLY,
    CHIYODA,
    CHUO,
    NOW,
    SHARED,
    TODAY,
    Leaf,
    certificate,
    generation,
    key_of,
    named_in,
    serial,
)
from tests.crl.writing import list_of
from tests.soft_cases import our_answers, soft_cases

EARLIER = TODAY - timedelta(days=1)
NEXT = TODAY + timedelta(days=2)
LEAF = certificate(Leaf(serial=serial(1), points=named_in(CHIYODA)))
URL = x509.UniformResourceIdentifier(CHIYODA.distribution_names(generation("s1").id)[1].value)
PROBE = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.25.1"), b"\x05\x00")


def ours(
    *entries: RevokedEntry, of: Partition | None = CHIYODA, signer: str = "s1", next_update: datetime = NEXT
) -> bytes:
    edition = Edition(number=1, this_update=TODAY, next_update=next_update)
    return list_of(entries, edition, generation(signer), of, key_of(signer))


def revoked(number: int, reason: Reason = Reason.KEY_COMPROMISE) -> RevokedEntry:
    return RevokedEntry(serial(number), EARLIER, reason)


def theirs(
    *extensions: tuple[x509.ExtensionType, bool],
    entry: Sequence[tuple[x509.ExtensionType, bool]] = (),
    number: int = 2,
) -> bytes:
    """A stranger's list, with one entry for the certificate `number`."""
    issuer = generation("s1").certificate.subject
    line = x509.RevokedCertificateBuilder().serial_number(serial(number)).revocation_date(EARLIER)
    for extension, critical in entry:
        line = line.add_extension(extension, critical=critical)
    builder = x509.CertificateRevocationListBuilder(issuer, TODAY, NEXT).add_revoked_certificate(line.build())
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key_of("s1"), SHA256()).public_bytes(Encoding.DER)


def point(
    *names: x509.GeneralName,
    relative: x509.RelativeDistinguishedName | None = None,
    users: bool = False,
    cas: bool = False,
    attributes: bool = False,
    indirect: bool = False,
    reasons: frozenset[x509.ReasonFlags] | None = None,
) -> tuple[x509.IssuingDistributionPoint, bool]:
    extension = x509.IssuingDistributionPoint(
        full_name=names or None,
        relative_name=relative,
        only_contains_user_certs=users,
        only_contains_ca_certs=cas,
        only_contains_attribute_certs=attributes,
        indirect_crl=indirect,
        only_some_reasons=reasons,
    )
    return extension, True


def word(data: bytes, leaf: x509.Certificate = LEAF, issuer: str = "s1") -> RevocationEvidence | None:
    return CrlFile(BytesIO(data)).evidence(leaf, generation(issuer).certificate, NOW)


def finding(data: bytes, leaf: x509.Certificate = LEAF) -> Finding | None:
    evidence = word(data, leaf)
    return None if evidence is None else evidence.finding


# --- what it says ----------------------------------------------------------------------------------------------


def test_a_certificate_that_is_not_listed_is_good() -> None:
    assert word(ours(revoked(2))) == RevocationEvidence(
        finding=Finding.GOOD, source="crl", as_of=TODAY, fresh_until=NEXT
    )


def test_a_listed_certificate_is_revoked() -> None:
    assert word(ours(revoked(1))) == RevocationEvidence(
        finding=Finding.REVOKED,
        source="crl",
        as_of=TODAY,
        fresh_until=NEXT,
        revoked_at=EARLIER,
        reason=Reason.KEY_COMPROMISE,
    )


def test_a_certificate_on_hold_is_held() -> None:
    evidence = word(ours(revoked(1, Reason.CERTIFICATE_HOLD)))
    assert evidence is not None
    assert (evidence.finding, evidence.reason) == (Finding.HELD, Reason.CERTIFICATE_HOLD)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.CERTIFICATE_HOLD])
def test_every_reason_is_read(reason: Reason) -> None:
    evidence = word(ours(revoked(1, reason)))
    assert evidence is not None
    assert (evidence.finding, evidence.reason) == (Finding.REVOKED, reason)


def test_a_reason_that_is_not_in_our_words_still_revokes() -> None:
    listed = (x509.CRLReason(x509.ReasonFlags.privilege_withdrawn), False)
    evidence = word(theirs(number=1, entry=[listed]))
    assert evidence is not None
    assert (evidence.finding, evidence.reason) == (Finding.REVOKED, None)


def test_pem_is_read_too() -> None:
    pem = x509.load_der_x509_crl(ours(revoked(1))).public_bytes(Encoding.PEM)
    assert finding(b"any text before it\n" + pem) is Finding.REVOKED


def test_a_stale_list_is_judged_by_who_asked() -> None:
    evidence = CrlFile(BytesIO(ours())).evidence(LEAF, generation("s1").certificate, NEXT + timedelta(days=365))
    assert evidence is not None
    assert evidence.fresh_until == NEXT


# --- whose it is -----------------------------------------------------------------------------------------------


def test_r23_a_list_of_another_generation_of_the_same_name_has_no_say() -> None:
    assert generation("s1").certificate.subject == generation("s2").certificate.subject
    assert word(ours(signer="s2")) is None
    assert word(ours(revoked(1), signer="s2")) is None
    assert word(ours(revoked(1)), issuer="s2") is None


def test_a_list_of_another_name_has_no_say() -> None:
    foreign = x509.CertificateRevocationListBuilder(x509.Name([]), TODAY, NEXT).sign(key_of("s1"), SHA256())
    assert word(foreign.public_bytes(Encoding.DER)) is None


def test_a_list_with_a_broken_signature_has_no_say() -> None:
    broken = bytearray(ours())
    broken[-1] ^= 1
    assert word(bytes(broken)) is None


@pytest.mark.parametrize(
    "key",
    [x25519.X25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())],
)
def test_an_issuer_with_another_kind_of_key_did_not_sign_it(
    key: x25519.X25519PrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey,
) -> None:
    assert CrlFile(BytesIO(ours())).evidence(LEAF, issuer_with(key.public_key()), NOW) is None


def test_an_issuer_with_a_key_that_nobody_knows_did_not_sign_it() -> None:
    known, unknown = (der.object_identifier(f"1.2.840.113549.1.1.{last}") for last in (1, 99))
    issuer = x509.load_der_x509_certificate(
        generation("s1").certificate.public_bytes(Encoding.DER).replace(known, unknown)
    )
    assert CrlFile(BytesIO(ours())).evidence(LEAF, issuer, NOW) is None


def test_an_issuer_that_may_not_sign_lists_has_no_say() -> None:
    public = key_of("s1").public_key()
    assert CrlFile(BytesIO(ours())).evidence(LEAF, issuer_with(public, CERTIFICATES_ONLY), NOW) is None
    assert CrlFile(BytesIO(ours())).evidence(LEAF, issuer_with(public), NOW) is not None


@pytest.mark.parametrize(
    ("weak_hash", "oid"),
    [(SHA1(), "1.2.840.113549.1.1.5"), (MD5(), "1.2.840.113549.1.1.4")],  # noqa: S303 - their weakness is the point
)
def test_a_list_signed_over_a_weak_hash_has_no_say(weak_hash: SHA1 | MD5, oid: str) -> None:
    """Whoever finds a collision could have signed it."""
    algorithm = der.sequence(der.object_identifier(oid), der.tlv(der.Tag.NULL))
    strong = x509.load_der_x509_crl(ours()).tbs_certlist_bytes
    weak = strong.replace(algorithm_for(key_of("s1").public_key()).identifier, algorithm)
    signature = key_of("s1").sign(weak, PKCS1v15(), weak_hash)
    assert word(der.sequence(weak, algorithm, der.bit_string(signature))) is None


def issuer_with(key: CertificatePublicKeyTypes, *extensions: x509.ExtensionType) -> x509.Certificate:
    name = generation("s1").certificate.subject
    builder = x509.CertificateBuilder(name, name, key, 1, EARLIER, NEXT)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key_of("s1"), SHA256())


# --- whether it covers the certificate -------------------------------------------------------------------------


def test_another_partition_has_no_say() -> None:
    assert word(ours(revoked(1), of=CHUO)) is None


def test_the_complete_list_covers_every_partition() -> None:
    assert finding(ours(revoked(1), of=None)) is Finding.REVOKED


def test_one_name_in_common_is_enough() -> None:
    other = x509.UniformResourceIdentifier("http://elsewhere.test/list.crl")
    assert finding(theirs(point(x509.DirectoryName(CHIYODA.name)))) is Finding.GOOD
    assert finding(theirs(point(other, URL))) is Finding.GOOD
    assert finding(theirs(point(other))) is None


def test_a_list_for_end_entities_covers_them_and_one_for_cas_does_not() -> None:
    assert finding(theirs(point(URL, users=True))) is Finding.GOOD
    assert finding(theirs(point(URL, cas=True))) is None
    authority = certificate(Leaf(serial=serial(1), points=named_in(CHIYODA), ca=True))
    assert finding(theirs(point(URL, cas=True)), authority) is Finding.GOOD
    assert finding(theirs(point(URL, users=True)), authority) is None


def test_a_list_that_holds_a_part_only_has_no_say() -> None:
    reasons = frozenset({x509.ReasonFlags.key_compromise})
    assert finding(theirs(point(URL, attributes=True))) is None
    assert finding(theirs(point(URL, indirect=True))) is None
    assert finding(theirs(point(URL, reasons=reasons))) is None


def test_a_point_without_a_name_covers_all_and_one_with_a_relative_name_has_no_say() -> None:
    relative = x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.COMMON_NAME, "p0001 CRLDP")])
    assert finding(theirs(point(users=True))) is Finding.GOOD
    assert finding(theirs(point(relative=relative))) is None


def test_a_certificate_without_distribution_point_is_on_its_issuers_own_list() -> None:
    plain = certificate(Leaf(serial=serial(1)))
    assert finding(theirs(point(x509.DirectoryName(plain.issuer))), plain) is Finding.GOOD
    assert finding(ours(), plain) is None
    assert finding(ours(of=None), plain) is Finding.GOOD


@pytest.mark.parametrize(
    ("reasons", "crl_issuer"),
    [(frozenset({x509.ReasonFlags.key_compromise}), None), (None, [x509.DirectoryName(CHUO.name)])],
)
def test_a_distribution_point_that_promises_less_is_not_matched(
    reasons: frozenset[x509.ReasonFlags] | None, crl_issuer: list[x509.GeneralName] | None
) -> None:
    narrow = x509.DistributionPoint(full_name=[URL], relative_name=None, reasons=reasons, crl_issuer=crl_issuer)
    assert finding(ours(), certificate(Leaf(serial=serial(1), points=[narrow]))) is None


@pytest.mark.parametrize("remembered", [2, 4096])
def test_one_list_that_is_asked_again_and_again_answers_each_certificate_for_itself(
    monkeypatch: pytest.MonkeyPatch, remembered: int
) -> None:
    monkeypatch.setattr("crl.reader._MOST_SCOPES", remembered)
    narrow = x509.DistributionPoint(
        full_name=[URL], relative_name=None, reasons=None, crl_issuer=[x509.DirectoryName(CHUO.name)]
    )
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "another")])
    stranger = x509.CertificateBuilder(name, name, key_of("s1").public_key(), serial(1), EARLIER, NEXT)
    leaves = [
        LEAF,
        certificate(Leaf(serial=serial(2), points=named_in(CHIYODA))),
        certificate(Leaf(serial=serial(1), points=named_in(CHUO))),
        certificate(Leaf(serial=serial(1), points=named_in(CHIYODA), ca=True)),
        certificate(Leaf(serial=serial(1), points=[narrow])),
        certificate(Leaf(serial=serial(1))),
        stranger.sign(key_of("s1"), SHA256()),
    ]
    for data in (ours(revoked(1)), ours(revoked(1), of=None), theirs(point(URL, users=True), number=1)):
        source = CrlFile(BytesIO(data))
        for leaf in leaves * 2:
            assert source.evidence(leaf, generation("s1").certificate, NOW) == word(data, leaf)
    assert [finding(ours(revoked(1)), leaf) for leaf in leaves] == [
        Finding.REVOKED, Finding.GOOD, None, Finding.REVOKED, None, None, None,
    ]  # fmt: skip


# --- whether it is understood ----------------------------------------------------------------------------------


@pytest.mark.parametrize("critical", [True, False])
def test_a_delta_list_has_no_say(critical: bool) -> None:  # noqa: FBT001 - the case itself
    assert finding(theirs((x509.DeltaCRLIndicator(1), critical))) is None


def test_an_unknown_extension_matters_when_it_is_critical() -> None:
    assert finding(theirs((PROBE, False))) is Finding.GOOD
    assert finding(theirs((PROBE, True))) is None


def test_an_unknown_critical_extension_in_any_entry_forbids_the_list() -> None:
    assert finding(theirs(entry=[(PROBE, False)])) is Finding.GOOD
    assert finding(theirs(entry=[(PROBE, True)])) is None
    assert finding(theirs(entry=[(x509.CertificateIssuer([x509.DirectoryName(CHUO.name)]), True)])) is None


def test_remove_from_crl_outside_a_delta_means_nothing() -> None:
    listed = (x509.CRLReason(x509.ReasonFlags.remove_from_crl), False)
    assert finding(theirs(number=1, entry=[listed])) is None
    assert finding(theirs(number=2, entry=[listed])) is Finding.GOOD


@pytest.mark.parametrize(
    "data", [b"", b"\x30", b"no list", LEAF.public_bytes(Encoding.PEM), ours()[:-1], ours() + b"\x00"]
)
def test_what_is_no_list_is_refused(data: bytes) -> None:
    with pytest.raises(JpkiError) as error:
        CrlFile(BytesIO(data))
    assert (error.value.kind, error.value.code) == (Kind.UNPROCESSABLE, "crl-unreadable")


NUMBER = der.sequence(der.object_identifier(oids.CRL_NUMBER), der.octet_string(der.integer(1)))
X400_POINT = der.sequence(
    der.object_identifier(oids.ISSUING_DISTRIBUTION_POINT),
    der.octet_string(der.sequence(der.tlv(0xA0, der.tlv(0xA0, der.tlv(0xA3, der.sequence()))))),
)


@pytest.mark.parametrize("extensions", [(NUMBER, NUMBER), (X400_POINT,)], ids=["one twice", "a name of an odd kind"])
def test_a_list_with_extensions_that_cannot_be_read_is_refused(extensions: tuple[bytes, ...]) -> None:
    algorithm = algorithm_for(key_of("s1").public_key()).identifier
    entry = der.sequence(der.integer(1), der.time(EARLIER))
    head = der.integer(1), algorithm, generation("s1").name_der, der.time(TODAY), der.sequence(entry)
    odd = der.sequence(*head, der.tlv(der.context(0), der.sequence(*extensions)))
    with pytest.raises(JpkiError, match="crl-unreadable"):
        CrlFile(BytesIO(signed(key_of("s1"), odd)))


# --- cases that others wrote -----------------------------------------------------------------------------------


def outside_cases(*suites: str) -> list[dict[str, str]]:
    table = SHARED / "conformance" / "expected.csv"
    if not table.exists():
        return []
    return [row for row in csv.DictReader(table.read_text("utf-8").splitlines()) if row["suite"] in suites]


def read_or_none(path: Path) -> CrlFile | None:
    try:
        return CrlFile(BytesIO(path.read_bytes()))
    except JpkiError:
        return None


def test_outside_lists_are_read_or_refused_cleanly() -> None:
    cases = outside_cases("crl-parse", "crl-sig", "fuzz-crl")
    if not cases:
        pytest.skip("no conformance cases in ../shared or JPKI_SHARED")
    issuer = generation("s1").certificate
    for case in cases:
        begin = time.monotonic()
        read = read_or_none(SHARED / "conformance" / case["path"])
        if read is not None:
            read.evidence(LEAF, issuer, NOW)
        assert time.monotonic() - begin < 1, case["case"]
        if case["hard"] == "yes" and case["expected"] != "no-crash":
            assert read is not None, case["case"]
        if case["expected"] == "reject-cleanly":
            assert read is None, case["case"]


def test_a_soft_list_is_answered_as_the_list_of_answers_says(shared: Path) -> None:
    for case, row in soft_cases(shared / "conformance", "crl-parse", "crl-lint").items():
        read = read_or_none(shared / "conformance" / row["path"])
        assert our_answers()[case][1] == ("refused" if read is None else "read"), case


def test_outside_signatures_are_judged_alike() -> None:
    cases = outside_cases("crl-sig")
    if not cases:
        pytest.skip("no conformance cases in ../shared or JPKI_SHARED")
    for case in cases:
        folder = SHARED / "conformance"
        issuer = x509.load_pem_x509_certificate((folder / case["inputs"].partition("=")[2]).read_bytes())
        evidence = CrlFile(BytesIO((folder / case["path"]).read_bytes())).evidence(leaf_of(issuer), issuer, NOW)
        assert (evidence is not None) == (case["expected"] == "valid"), case["case"]


def leaf_of(issuer: x509.Certificate) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    return x509.CertificateBuilder(issuer.subject, x509.Name([]), key.public_key(), 1, EARLIER, NEXT).sign(
        key, SHA256()
    )
