"""Paths and signatures that nobody in this project made: NIST PKITS, x509-limbo, Wycheproof; broken certificates."""

# mypy: allow-untyped-calls
# asn1crypto bears no types.

import base64
import csv
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import algos, cms
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key
from lxml import etree

from crl.reader import CrlFile
from jpki.der import Reader, Tag, context
from jpki.errors import JpkiError
from signing.certificate_checks import check_kind, check_validity
from signing.intake import Format
from signing.report import Outcome, Step
from signing.revocation_check import Moment, check_revocation
from signing.samples import tax_return_xtx
from signing.sign import sign
from signing.trust import find_chain, permits
from signing.validation import TrustAnchor
from signing.verdict import Cause, Decision
from signing.verify import judge
from tests.signing.town import NOW, ROOT_NAME, Town
from tests.soft_cases import our_answers, soft_cases

FOLDER = Path(os.environ.get("JPKI_SHARED", Path(__file__).parents[3] / "shared")) / "conformance"
if not (FOLDER / "expected.csv").exists():
    pytest.skip("the outside cases (JPKI_SHARED/conformance) are not here", allow_module_level=True)

ANY_POLICY = frozenset({"any_policy"})
Case = dict[str, Any]


@cache
def _rows(suite: str) -> dict[str, dict[str, str]]:
    with (FOLDER / "expected.csv").open(encoding="utf-8", newline="") as stream:
        return {row["case"]: row for row in csv.DictReader(stream) if row["suite"] == suite}


def _id(case: Case) -> str:
    return str(case["case"])


def _path_is_valid(
    leaf: x509.Certificate,
    others: list[x509.Certificate],
    anchors: list[x509.Certificate],
    lists: list[bytes],
    at: datetime,
    *,
    revocation_is_needed: bool,
) -> bool:
    """Judge a path as a signer's, but for what JPKI asks of a signer's certificate."""
    trusted = [TrustAnchor(certificate=each, domain="configured") for each in anchors]
    chain = find_chain(leaf, others, trusted, at)
    if chain is None or check_validity(chain, at).cause is not None:
        return False
    check_kind(leaf)
    moment = Moment(at=at, now=at, is_given=True)
    found = check_revocation(chain, [CrlFile(BytesIO(each)) for each in lists], moment).cause
    return found is None or (found is Cause.REVOCATION_UNCHECKED and not revocation_is_needed)


# --- PKITS ---------------------------------------------------------------------------------------------------------

PKITS = FOLDER / "pkits"
AT = datetime(2022, 5, 1, tzinfo=UTC)

STRICTER = {
    "40104": "DSA",
    "40105": "DSA",
    "40303": "names are compared octet by octet",
    "40304": "names are compared octet by octet",
    "40310": "names are compared octet by octet",
    "40506": "a list is signed by the key that signed the certificate",
    "40615": "a list is signed by the key that signed the certificate",
    "40617": "a list is signed by the key that signed the certificate",
    "41207": "a list is signed by the key that signed the certificate",
    "41209": "a list is signed by the key that signed the certificate",
    "41419": "lists for some reasons only say nothing",
    "41422": "indirect lists are not believed",
    "41425": "indirect lists are not believed",
    "41428": "indirect lists are not believed",
    "41430": "indirect lists are not believed",
    "41505": "a delta is not looked at: removeFromCRL comes with the next list",
}
"""Cases that PKITS calls valid and this house does not, and why: it fails closed."""
LAXER = {
    "41504": "a delta is not looked at: the list that it adds to is within its nextUpdate (RFC 5280 5.2.4)",
}
POLICY_IS_ALWAYS_ASKED = {"40801.5"}
"""A set of policies without the wish for one of them: this room has no such wish."""


def _pkits() -> list[Case]:
    return list(json.loads((PKITS / "cases.json").read_text("utf-8")))


def _certificate(name: str) -> x509.Certificate:
    return x509.load_der_x509_certificate((PKITS / "certs" / name).read_bytes())


def _pkits_is_valid(case: Case) -> bool:
    try:
        leaf, others = _certificate(case["cert"]), [_certificate(name) for name in case["other_certs"] or ()]
    except ValueError:
        return False
    root = _certificate("TrustAnchorRootCertificate.crt")
    lists = [(PKITS / "crls" / name).read_bytes() for name in (*(case["crls"] or ()), "TrustAnchorRootCRL.crl")]
    needed = case["revocation"] is not False
    if not _path_is_valid(leaf, others, [root], lists, AT, revocation_is_needed=needed):
        return False
    if not case["params"]:
        return True
    chain = find_chain(leaf, others, [TrustAnchor(certificate=root, domain="configured")], AT)
    asked = frozenset(case["params"].get("user_initial_policy_set", ANY_POLICY))
    return chain is not None and permits(chain, asked, AT)


@pytest.mark.parametrize("case", _pkits(), ids=_id)
def test_a_path_of_pkits_comes_out_as_expected_or_stricter(case: Case) -> None:
    number = case["case"]
    try:
        valid = _pkits_is_valid(case)
    except (JpkiError, ValueError):
        valid = False
    expected = case["expected"] == "valid"
    if number in STRICTER or number in POLICY_IS_ALWAYS_ASKED:
        assert (valid, expected) == (False, True)
    elif number in LAXER:
        assert (valid, expected) == (True, False)
    else:
        assert valid is expected


# --- limbo ---------------------------------------------------------------------------------------------------------


@cache
def _limbo() -> dict[str, Case]:
    return {case["id"]: case for case in json.loads((FOLDER / "limbo" / "limbo.json").read_text("utf-8"))["testcases"]}


def _limbo_is_valid(case: Case) -> bool:
    row = _rows("limbo")[case["id"]]
    at = NOW if row["time"] in {"", "now"} else datetime.fromisoformat(row["time"])
    try:
        leaf = x509.load_pem_x509_certificate(case["peer_certificate"].encode())
        others, anchors = (
            [x509.load_pem_x509_certificate(each.encode()) for each in case[side]]
            for side in ("untrusted_intermediates", "trusted_certs")
        )
        lists = [each.encode() for each in case["crls"] or ()]
        return _path_is_valid(leaf, others, anchors, lists, at, revocation_is_needed=bool(lists))
    except (JpkiError, ValueError, x509.DuplicateExtension, RecursionError):
        return False


@pytest.mark.parametrize("name", [name for name, row in _rows("limbo").items() if row["hard"] == "yes"])
def test_a_path_of_limbo_comes_out_as_expected_and_in_time(name: str) -> None:
    begun = time.monotonic()
    valid = _limbo_is_valid(_limbo()[name])
    assert time.monotonic() - begun < 5
    assert valid is (_rows("limbo")[name]["expected"] == "valid")


# --- where tools may differ ----------------------------------------------------------------------------------------


def test_a_soft_path_is_answered_as_the_list_says() -> None:
    pkits = {case["case"]: case for case in _pkits()}
    for suite, name in soft_cases(FOLDER, "pkits", "limbo"):
        valid = _limbo_is_valid(_limbo()[name]) if suite == "limbo" else _pkits_is_valid(pkits[name[:5]])
        assert our_answers()[suite, name][1] == ("valid" if valid else "invalid"), name


# --- Wycheproof ----------------------------------------------------------------------------------------------------

_PSS = {
    "hash_algorithm": {"algorithm": "sha256"},
    "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": {"algorithm": "sha256"}},
    "salt_length": 32,
}
MECHANISMS = {
    "ecdsa_secp256r1_sha256_test": {"algorithm": "sha256_ecdsa"},
    "rsa_signature_2048_sha256_test": {"algorithm": "sha256_rsa"},
    "rsa_pss_2048_sha256_mgf1_32_test": {"algorithm": "rsassa_pss", "parameters": algos.RSASSAPSSParams(_PSS)},
}


def _certified(pem: str) -> asn1_x509.Certificate:
    """Return a certificate for somebody else's public key."""
    key = ec.derive_private_key(1, ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ROOT_NAME)
        .public_key(load_pem_public_key(pem.encode()))  # type: ignore[arg-type] # RSA or EC
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
    )
    loaded: asn1_x509.Certificate = asn1_x509.Certificate.load(builder.sign(key, SHA256()).public_bytes(Encoding.DER))
    return loaded


def _messages(name: str) -> Iterator[tuple[str, str, bytes]]:
    """Yield each vector's number, its result, and it as CMS without signed attributes."""
    for group in json.loads((FOLDER / "wycheproof" / f"{name}.json").read_text("utf-8"))["testGroups"]:
        certificate = _certified(group["publicKeyPem"])
        for vector in group["tests"]:
            signer = {
                "version": "v1",
                "sid": {"issuer_and_serial_number": {"issuer": certificate.issuer, "serial_number": 1}},
                "digest_algorithm": {"algorithm": "sha256"},
                "signature_algorithm": MECHANISMS[name],
                "signature": bytes.fromhex(vector["sig"]),
            }
            signed_data = {
                "version": "v1",
                "digest_algorithms": [{"algorithm": "sha256"}],
                "encap_content_info": {"content_type": "data", "content": bytes.fromhex(vector["msg"])},
                "certificates": [certificate],
                "signer_infos": [cms.SignerInfo(signer)],
            }
            info = cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(signed_data)})
            yield str(vector["tcId"]), vector["result"], bytes(info.dump())


@pytest.mark.parametrize("name", MECHANISMS)
def test_the_mathematics_are_those_of_wycheproof(town: Town, name: str) -> None:
    wrong = []
    for number, expected, message in _messages(name):
        verdict = judge(BytesIO(message), town.validation())
        passed = [
            check.outcome is Outcome.PASSED
            for one in verdict.signatures
            for check in one.checks
            if check.name is Step.INTEGRITY
        ]
        if expected != "acceptable" and passed != [expected == "valid"]:
            wrong.append((number, expected, verdict.sentence.en))
    assert not wrong


# --- broken certificates -------------------------------------------------------------------------------------------


def _with_certificates(message: bytes, certificates: bytes) -> bytes:
    """Return CMS with these octets where its certificates were; its outer layers get indefinite lengths."""
    fields = Reader(Reader(message).read(Tag.SEQUENCE))
    kind = fields.read_element(Tag.OBJECT_IDENTIFIER)
    inner = Reader(Reader(fields.read(context(0))).read(Tag.SEQUENCE))
    head = inner.read_element(Tag.INTEGER) + inner.read_element(Tag.SET) + inner.read_element(Tag.SEQUENCE)
    inner.read(context(0))
    signed_data = head + b"\xa0\x80" + certificates + b"\0\0" + inner.read_element(Tag.SET)
    return b"\x30\x80" + kind + b"\xa0\x80\x30\x80" + signed_data + b"\0\0" * 3


@pytest.mark.parametrize("case", _rows("fuzz-x509").values(), ids=_id)
def test_a_broken_certificate_is_a_verdict(town: Town, case: Case) -> None:
    broken, holder = (FOLDER / case["path"]).read_bytes(), town.holder.certificate.public_bytes(Encoding.DER)
    message = sign(b"content", town.holder, Format.CMS, NOW)
    assert judge(BytesIO(_with_certificates(message, holder)), town.validation()).decision is Decision.ACCEPT
    root = etree.fromstring(sign(tax_return_xtx("見本", 2025), town.holder, Format.XML, NOW))
    shown = root.find(".//{*}X509Certificate")
    assert shown is not None
    shown.text = base64.b64encode(broken).decode("ascii")
    begun = time.monotonic()
    for document in (_with_certificates(message, broken), etree.tostring(root)):
        assert judge(BytesIO(document), town.validation()).decision is not Decision.ACCEPT
    judge(BytesIO(_with_certificates(message, holder + broken)), town.validation())
    assert time.monotonic() - begun < 3
