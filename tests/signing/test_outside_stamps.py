"""Outside judges of what is stamped here: OpenSSL, pdfsig, xmlsec1 and pyHanko's own validator."""

# mypy: allow-untyped-calls
# asn1crypto and pyHanko's PDF layer bear no types.

import asyncio
import base64
import re
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from asn1crypto import cms
from asn1crypto.x509 import Certificate
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.ades import ades_lta_validation
from pyhanko.sign.validation.pdf_embedded import async_validate_pdf_timestamp
from pyhanko.sign.validation.policy_decl import (
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.policy_decl import (
    CertRevTrustPolicy,
    RevocationCheckingPolicy,
    RevocationCheckingRule,
)
from pyhanko_certvalidator.registry import SimpleTrustManager

from server.stored_evidence import Collector
from signing import pdf_writer
from signing.credential import Credential
from signing.intake import Format
from signing.sign import sign
from signing.time_stamper import Level, Stamping
from tests.signing.stamps import DAY, DOCUMENTS, Clockhouse, list_of, make_clockhouse, signed
from tests.signing.test_outside import run
from tests.signing.town import NOW, Town

pytestmark = pytest.mark.slow

SIGNERS = pytest.mark.parametrize("signer", ["holder", "accountant", "visitor"])
AT = ("-attime", str(int(NOW.timestamp())))


@pytest.fixture(scope="session")
def house() -> Clockhouse:
    return make_clockhouse()


def pem(path: Path, *certificates: x509.Certificate) -> Path:
    path.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in certificates))
    return path


def openssl_believes(token: bytes, octets: bytes, house: Clockhouse, folder: Path) -> bool:
    """Ask `openssl ts -verify` whether the token is by the house, and over these octets."""
    (folder / "token").write_bytes(token)
    (folder / "octets").write_bytes(octets)
    root = pem(folder / "root.pem", house.root.certificate)
    said = run(
        "openssl", "ts", "-verify", "-token_in", "-in", folder / "token", "-data", folder / "octets", "-CAfile", root,
        *AT,
    )  # fmt: skip
    return "Verification: OK" in said.stdout


# --- CAdES -----------------------------------------------------------------------------------------------------------


@SIGNERS
def test_openssl_verifies_the_cades_and_its_time_stamp(
    town: Town, house: Clockhouse, tmp_path: Path, signer: str
) -> None:
    credential: Credential = getattr(town, signer)
    message = signed(Format.CMS, credential, house.stamp(NOW))
    (tmp_path / "message").write_bytes(message)
    roots = pem(tmp_path / "roots.pem", town.root.certificate, town.next_root.certificate)
    answer = run(
        "openssl", "cms", "-verify", "-cades", "-inform", "DER", "-in", tmp_path / "message", "-CAfile", roots,
        "-purpose", "any", *AT,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.encode() == DOCUMENTS[Format.CMS]
    (signer_info,) = cms.ContentInfo.load(message)["content"]["signer_infos"]
    (attribute,) = signer_info["unsigned_attrs"]
    assert attribute["type"].native == "signature_time_stamp_token"
    token = attribute["values"][0].dump()
    assert openssl_believes(token, signer_info["signature"].native, house, tmp_path)
    assert not openssl_believes(token, b"something else", house, tmp_path)
    names = {each["type"].native for each in signer_info["signed_attrs"]}
    assert names == {"content_type", "message_digest", "signing_time", "signing_certificate_v2"}


# --- XAdES -----------------------------------------------------------------------------------------------------------


@SIGNERS
def test_xmlsec_verifies_both_references_of_each_xades(
    town: Town, house: Clockhouse, tmp_path: Path, signer: str
) -> None:
    once = signed(Format.XML, town.holder, house.stamp(NOW))
    document = tmp_path / "document"
    document.write_bytes(signed(Format.XML, getattr(town, signer), house.stamp(NOW), once))
    ids = ("--id-attr:id", "RKO0010", "--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties")
    for number in (1, 2):
        path = f"/*/*[local-name()='Signature'][{number}]"
        answer = run("xmlsec1", "--verify", "--insecure", *ids, "--node-xpath", path, document)
        assert answer.returncode == 0, answer.stderr
        assert "SignedInfo References (ok/all): 2/2" in answer.stderr
    claimed = document.read_bytes().replace(b"2026-11-23T03:00:00Z", b"2025-11-23T03:00:00Z")
    document.write_bytes(claimed)
    assert run("xmlsec1", "--verify", "--insecure", *ids, document).returncode != 0


def test_openssl_believes_the_time_stamp_over_the_signature_value_as_it_is_canonical(
    town: Town, house: Clockhouse, tmp_path: Path
) -> None:
    """The canonical form is written out by hand: every namespace in scope, sorted by prefix (C14N 1.0, 4.8)."""
    root = etree.fromstring(signed(Format.XML, town.holder, house.stamp(NOW)))
    value = next(root.iter("{*}SignatureValue"))
    scope = {prefix or "": uri for prefix, uri in (root.nsmap | value.nsmap).items()}
    names = "".join(f' xmlns{":" if prefix else ""}{prefix}="{scope[prefix]}"' for prefix in sorted(scope))
    octets = f"<dsig:SignatureValue{names}>{value.text}</dsig:SignatureValue>".encode()
    token = base64.b64decode(next(root.iter("{*}EncapsulatedTimeStamp")).text or "")
    assert openssl_believes(token, octets, house, tmp_path)


# --- PAdES -----------------------------------------------------------------------------------------------------------


def kept(town: Town, house: Clockhouse, level: Level, signer: str = "holder") -> bytes:
    credential: Credential = getattr(town, signer)
    root = town.next_root if signer == "accountant" else town.root
    keeper = Credential(certificate=credential.certificate, key=credential.key, chain=(root.certificate,))
    stamping = Stamping(stamper=house.stamper(), collect=Collector([list_of(root, NOW)], None), level=level)
    return sign(DOCUMENTS[Format.PADES], keeper, Format.PDF, NOW, stamping=stamping)


@SIGNERS
@pytest.mark.parametrize("level", list(Level))
def test_pdfsig_finds_the_signature_valid_at_every_level(
    town: Town, house: Clockhouse, tmp_path: Path, level: Level, signer: str
) -> None:
    document = tmp_path / "signed.pdf"
    document.write_bytes(kept(town, house, level, signer))
    answer = run("pdfsig", "-nocert", document)
    assert answer.stdout.count("Signature is Valid.") == 1, answer.stdout
    assert answer.stdout.count("ETSI.CAdES.detached") == 1
    # It knows no time-stamps of documents, and says so.
    assert answer.stdout.count("Signature has not yet been verified.") == (level is Level.LTA)


def test_openssl_believes_the_time_stamp_over_the_document(town: Town, house: Clockhouse, tmp_path: Path) -> None:
    document = kept(town, house, Level.LTA)
    found = re.findall(rb"/ByteRange \[(\d+) (\d+) (\d+) (\d+)", document)
    start, length, rest, rest_length = map(int, found[-1])
    assert rest + rest_length == len(document)
    token = bytes.fromhex(document[start + length + 1 : rest - 1].decode()).rstrip(b"\0")
    covered = document[start : start + length] + document[rest : rest + rest_length]
    token = cms.ContentInfo.load(token + b"\0").dump()
    assert openssl_believes(token, covered, house, tmp_path)


def trust(*certificates: x509.Certificate) -> list[Certificate]:
    return [Certificate.load(each.public_bytes(Encoding.DER)) for each in certificates]


def test_pyhanko_finds_both_time_stamps_valid(town: Town, house: Clockhouse) -> None:
    reader = PdfFileReader(BytesIO(kept(town, house, Level.LTA)))
    signers, stamps = (
        ValidationContext(trust_roots=trust(root), moment=NOW, allow_fetching=False, revocation_mode="soft-fail")
        for root in (town.root.certificate, house.root.certificate)
    )
    (signature,), (document,) = reader.embedded_regular_signatures, reader.embedded_timestamp_signatures
    status = asyncio.run(async_validate_pdf_signature(signature, signers, ts_validation_context=stamps))
    assert (status.intact, status.valid) == (True, True)
    assert status.timestamp_validity is not None
    assert (status.timestamp_validity.trusted, status.timestamp_validity.timestamp) == (True, NOW)
    stamped = asyncio.run(async_validate_pdf_timestamp(document, stamps))
    assert (stamped.intact, stamped.trusted, stamped.timestamp) == (True, True, NOW)


def policy(root: x509.Certificate, rule: RevocationCheckingRule) -> CertValidationPolicySpec:
    checking = RevocationCheckingPolicy(ee_certificate_rule=rule, intermediate_ca_cert_rule=rule)
    return CertValidationPolicySpec(
        trust_manager=SimpleTrustManager.build(trust(root)),
        revinfo_policy=CertRevTrustPolicy(checking),
        time_tolerance=timedelta(0),
    )


@pytest.mark.parametrize("more", [0, 1])
def test_pyhanko_judges_the_lta_by_what_the_document_holds(town: Town, house: Clockhouse, more: int) -> None:
    """Revocation data is required of the signer, and none is fetched."""
    document = kept(town, house, Level.LTA)
    for _ in range(more):
        document = pdf_writer.add_stamp(document, house.stamp(NOW + DAY / 2))
    moment = NOW + DAY
    (signature,) = PdfFileReader(BytesIO(document)).embedded_regular_signatures
    spec = SignatureValidationSpec(
        cert_validation_policy=policy(town.root.certificate, RevocationCheckingRule.CRL_OR_OCSP_REQUIRED),
        ts_cert_validation_policy=policy(house.root.certificate, RevocationCheckingRule.NO_CHECK),
        revinfo_gathering_policy=RevocationInfoGatheringSpec(RevinfoOnlineFetchingRule.LOCAL_ONLY),
    )
    timing = ValidationTimingInfo(moment, moment, point_in_time_validation=True)
    result = asyncio.run(ades_lta_validation(signature, PdfSignatureValidationSpec(spec), timing))
    assert result.ades_subindic is AdESPassed.OK
