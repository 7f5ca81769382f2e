"""Time-stamps of the served door before outside judges: `openssl ts` and pyHanko's own client and validator."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
from asn1crypto import cms
from asn1crypto.x509 import Certificate
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate
from pyhanko.sign.timestamps import HTTPTimeStamper
from pyhanko.sign.timestamps.common_utils import TimestampRequestError
from pyhanko.sign.validation.generic_cms import validate_tst_signed_data
from pyhanko.sign.validation.status import TimestampSignatureStatus
from pyhanko_certvalidator import ValidationContext

from jpki import oids
from signing.samples import tax_return_pdf, tax_return_xtx
from tests.interop.authority import Town
from tests.interop.programs import curl, openssl

pytestmark = pytest.mark.slow

CONTENT = b"a tax return"
DIGESTS = pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])


# --- openssl ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The infrastructure root, as an auditor gets it."""
    file = tmp_path_factory.mktemp("root") / "root.pem"
    done = town.authority.run("audit", "key")
    assert done.code == 0, done.text
    file.write_bytes(done.out)
    return file


def asked(town: Town, folder: Path, *words: str) -> tuple[Path, Path]:
    """Make a query with openssl, send it with curl, and return query and reply."""
    query, reply = folder / "query.tsq", folder / "reply.tsr"
    (folder / "content").write_bytes(CONTENT)
    made = openssl("ts", "-query", "-data", folder / "content", *words, "-out", query)
    assert made.code == 0, made.text
    options = ("--data-binary", f"@{query}", "--header", "Content-Type: application/timestamp-query")
    given = curl(f"{town.authority.url}/tsa", *options)
    assert (given.status, given.headers["Content-Type"]) == (200, "application/timestamp-reply")
    assert given.headers["Cache-Control"] == "no-store"
    reply.write_bytes(given.body)
    return query, reply


@DIGESTS
def test_openssl_verifies_a_stamp_against_its_query_and_its_content(
    town: Town, root: Path, tmp_path: Path, digest: str
) -> None:
    query, reply = asked(town, tmp_path, f"-{digest}", "-cert")
    for against in (("-queryfile", query), ("-data", tmp_path / "content")):
        said = openssl("ts", "-verify", "-in", reply, *against, "-CAfile", root)
        assert (said.code, "Verification: OK" in said.text) == (0, True), said.text
    text = openssl("ts", "-reply", "-in", reply, "-text").text
    assert "Status: Granted." in text
    assert f"Policy OID: {oids.LAB_TIMESTAMP_POLICY}" in text
    assert "Accuracy: 0x01 seconds" in text


def test_openssl_finds_a_stamp_of_another_content_or_by_another_root_false(
    town: Town, root: Path, tmp_path: Path
) -> None:
    _, reply = asked(town, tmp_path, "-sha256", "-cert")
    (tmp_path / "other").write_bytes(b"another tax return")
    said = openssl("ts", "-verify", "-in", reply, "-data", tmp_path / "other", "-CAfile", root)
    assert "message imprint mismatch" in said.text
    foreign = town.hanako.signing.chain
    said = openssl("ts", "-verify", "-in", reply, "-data", tmp_path / "content", "-CAfile", foreign)
    assert "Verification: FAILED" in said.text


def test_openssl_verifies_a_stamp_without_a_certificate_by_that_of_another(
    town: Town, root: Path, tmp_path: Path
) -> None:
    _, whole = asked(town, tmp_path, "-sha256", "-cert")
    token, certificate = tmp_path / "token.der", tmp_path / "tsa.pem"
    assert openssl("ts", "-reply", "-in", whole, "-token_out", "-out", token).code == 0
    assert openssl("pkcs7", "-inform", "DER", "-in", token, "-print_certs", "-out", certificate).code == 0
    query, reply = asked(town, tmp_path, "-sha256")
    said = openssl("ts", "-verify", "-in", reply, "-queryfile", query, "-CAfile", root, "-untrusted", certificate)
    assert "Verification: OK" in said.text, said.text
    said = openssl("ts", "-verify", "-in", reply, "-queryfile", query, "-CAfile", root)
    assert "Verification: FAILED" in said.text


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("-sha1",), "unrecognized or unsupported algorithm identifier"),
        (("-sha256", "-tspolicy", "1.2.3.4"), "policy is not supported by the TSA"),
    ],
    ids=["SHA-1", "another policy"],
)
def test_openssl_reads_why_a_request_was_refused(
    town: Town, tmp_path: Path, words: tuple[str, ...], reason: str
) -> None:
    _, reply = asked(town, tmp_path, *words)
    text = openssl("ts", "-reply", "-in", reply, "-text").text
    assert "Status: Rejected." in text
    assert reason in text


# --- jpki sign and the verification door ---------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["pdf", "xtx", "p7m"])
def test_a_signature_that_was_stamped_is_proven_over_http(town: Town, root: Path, tmp_path: Path, form: str) -> None:
    document, out = tmp_path / f"unsigned.{form}", tmp_path / f"signed.{form}"
    content = {"pdf": tax_return_pdf(["Income"]), "xtx": tax_return_xtx(town.hanako.data["name"], 2025)}
    document.write_bytes(content.get(form, CONTENT))
    words = ("--timestamp", f"{town.authority.url}/tsa", "--timestamp-trust", str(root))
    done = town.authority.sign(document, town.hanako.signing, out, *words)
    assert done.code == 0, done.text
    reply = curl(f"{town.authority.url}/api/v1/verifications", "--form", f"file=@{out}")
    verdict = json.loads(reply.body)
    assert verdict["decision"] == "accept"
    assert verdict["files"][0]["signatures"][0]["signed_at"]["evidence"] == "timestamp"


# --- pyHanko ------------------------------------------------------------------------------------------------------


def stamped(town: Town, digest: str) -> cms.ContentInfo:
    client = HTTPTimeStamper(f"{town.authority.url}/tsa", timeout=30)
    return asyncio.run(client.async_timestamp(hashlib.new(digest, CONTENT).digest(), digest))


@DIGESTS
def test_pyhanko_asks_and_believes_the_stamp(town: Town, root: Path, digest: str) -> None:
    token = stamped(town, digest)
    anchor = Certificate.load(_der(root))

    def expected(name: str) -> bytes:
        return hashlib.new(name, CONTENT).digest()

    context = ValidationContext(trust_roots=[anchor], allow_fetching=False)
    found = asyncio.run(validate_tst_signed_data(token["content"], context, expected))
    status = TimestampSignatureStatus(**found)
    assert (status.intact, status.valid, status.trusted) == (True, True, True)
    mistaken = asyncio.run(validate_tst_signed_data(token["content"], context, lambda _: b"x" * 32))
    assert not TimestampSignatureStatus(**mistaken).intact


def test_pyhanko_is_refused_sha1(town: Town) -> None:
    # asn1crypto reads no reply without a token, so that pyHanko cannot say what else was in it.
    with pytest.raises((TimestampRequestError, ValueError)):
        stamped(town, "sha1")


def _der(pem: Path) -> bytes:
    return load_pem_x509_certificate(pem.read_bytes()).public_bytes(Encoding.DER)
