"""Outside judges of what is signed here, and their documents judged here: pdfsig, pdftotext, OpenSSL, xmlsec1."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from lxml import etree

from signing.credential import Credential
from signing.intake import Format
from signing.samples import tax_return_pdf, tax_return_xtx
from signing.sign import sign
from signing.verdict import Decision
from signing.verify import verify
from tests.signing.conftest import Judge
from tests.signing.town import NOW, Town

pytestmark = pytest.mark.slow

SIGNERS = ["holder", "accountant", "visitor"]
LINES = ["Income tax return (sample)", "Income 3000000"]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    program = str(command[0])
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=60)


def _signer(town: Town, name: str) -> Credential:
    credential: Credential = getattr(town, name)
    return credential


@pytest.mark.parametrize(
    ("form", "sub_filter"), [(Format.PDF, "adbe.pkcs7.detached"), (Format.PADES, "ETSI.CAdES.detached")]
)
@pytest.mark.parametrize("signer", SIGNERS)
def test_pdfsig_finds_every_signature_valid(
    town: Town, tmp_path: Path, signer: str, form: Format, sub_filter: str
) -> None:
    document = tmp_path / "signed.pdf"
    once = sign(tax_return_pdf(LINES), town.holder, form, NOW)
    document.write_bytes(sign(once, _signer(town, signer), form, NOW))
    answer = run("pdfsig", "-nocert", document)
    assert answer.stdout.count("Signature is Valid.") == 2, answer.stdout
    assert "Total document signed" in answer.stdout
    assert answer.stdout.count(sub_filter) == 2


def test_the_sample_pdf_shows_its_lines(tmp_path: Path) -> None:
    document = tmp_path / "sample.pdf"
    document.write_bytes(tax_return_pdf([*LINES, r"a (b) \ c"]))
    answer = run("pdftotext", document, "-")
    assert [line for line in answer.stdout.split("\n") if line.strip("\f")] == [*LINES, r"a (b) \ c"]
    assert answer.stderr == ""


@pytest.mark.parametrize("signer", SIGNERS)
def test_openssl_verifies_the_attached_cms(town: Town, tmp_path: Path, signer: str) -> None:
    roots, message = tmp_path / "roots.pem", tmp_path / "message.p7m"
    roots.write_bytes(b"".join(root.certificate.public_bytes(Encoding.PEM) for root in (town.root, town.next_root)))
    message.write_bytes(sign(b"content", _signer(town, signer), Format.CMS, NOW))
    answer = run(
        "openssl", "cms", "-verify", "-inform", "DER", "-in", message, "-CAfile", roots, "-purpose", "any",
        "-attime", str(int(NOW.timestamp())),
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "content"


def test_openssl_verifies_the_cms_cut_from_the_pdf(town: Town, tmp_path: Path) -> None:
    signed = sign(tax_return_pdf(LINES), town.holder, Format.PDF, NOW)
    range_text = signed.split(b"/ByteRange ", 1)[1].split(b"]")[0].strip(b"[ ")
    _, length, start, rest = (int(number) for number in range_text.split())
    message, content, root = (tmp_path / name for name in ("message.der", "content", "root.pem"))
    message.write_bytes(bytes.fromhex(signed[length + 1 : start - 1].decode()).rstrip(b"\0"))
    content.write_bytes(signed[:length] + signed[start : start + rest])
    root.write_bytes(town.root.certificate.public_bytes(Encoding.PEM))
    answer = run(
        "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", message, "-content", content,
        "-CAfile", root, "-purpose", "any", "-attime", str(int(NOW.timestamp())), "-out", tmp_path / "out",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    printed = run("openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", message).stdout
    signed_attributes = printed.split("signedAttrs:")[1].split("signatureAlgorithm:")[0]
    assert signed_attributes.count("object:") == 3
    assert "signingCertificate" not in signed_attributes


@pytest.mark.parametrize("stream", [[], ["-stream"]], ids=["der", "ber"])
@pytest.mark.parametrize("attributes", [[], ["-noattr"]], ids=["attributes", "no-attributes"])
def test_openssls_own_cms_is_accepted(
    town: Town, judge: Judge, tmp_path: Path, stream: list[str], attributes: list[str]
) -> None:
    key, certificate, content, message = (tmp_path / name for name in ("key", "certificate", "content", "message"))
    key.write_bytes(town.holder.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    certificate.write_bytes(town.holder.certificate.public_bytes(Encoding.PEM))
    content.write_bytes(b"content" * 5000)
    answer = run(
        "openssl", "cms", "-sign", "-binary", "-nodetach", "-md", "sha256", "-outform", "DER", *stream, *attributes,
        "-signer", certificate, "-inkey", key, "-in", content, "-out", message,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert judge(message.read_bytes(), town.validation()).decision is Decision.ACCEPT


@pytest.mark.parametrize("signer", SIGNERS)
def test_openssl_and_we_agree_on_signatures_beside_the_document(town: Town, tmp_path: Path, signer: str) -> None:
    names = ("key", "certificate", "content", "ours", "theirs", "roots")
    key, certificate, content, ours, theirs, roots = (tmp_path / name for name in names)
    roots.write_bytes(b"".join(root.certificate.public_bytes(Encoding.PEM) for root in (town.root, town.next_root)))
    credential = _signer(town, signer)
    key.write_bytes(credential.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    certificate.write_bytes(credential.certificate.public_bytes(Encoding.PEM))
    content.write_bytes(b"content\r\n" * 5000)
    ours.write_bytes(sign(content.read_bytes(), credential, Format.CMS, NOW, detached=True))
    answer = run(
        "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", ours, "-content", content, "-CAfile", roots,
        "-purpose", "any", "-attime", str(int(NOW.timestamp())), "-out", tmp_path / "out",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    answer = run(
        "openssl", "cms", "-sign", "-binary", "-md", "sha256", "-outform", "DER",
        "-signer", certificate, "-inkey", key, "-in", content, "-out", theirs,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert verify(theirs, town.validation(), content=content).decision is Decision.ACCEPT


@pytest.mark.parametrize("signer", SIGNERS)
def test_xmlsec_verifies_every_signature_of_an_xtx(town: Town, tmp_path: Path, signer: str) -> None:
    signed = sign(tax_return_xtx("見本　花子", 2025), town.holder, Format.XML, NOW)
    signed = sign(signed, _signer(town, signer), Format.XML, NOW)
    for number, path in ((1, "first"), (2, "second")):
        document = tmp_path / path
        document.write_bytes(signed)
        answer = run(
            "xmlsec1", "--verify", "--insecure", "--id-attr:id", "RKO0010",
            "--node-xpath", f"/*/*[local-name()='Signature'][{number}]", document,
        )  # fmt: skip
        assert answer.returncode == 0, answer.stderr
    altered = tmp_path / "altered"
    altered.write_bytes(signed.replace(b"3000000", b"1000000"))
    assert run("xmlsec1", "--verify", "--insecure", "--id-attr:id", "RKO0010", altered).returncode != 0


def test_a_return_of_awkward_whitespace_and_namespaces_agrees_with_xmlsec(
    town: Town, judge: Judge, tmp_path: Path
) -> None:
    awkward = (
        b'<?xml version="1.0"?>\r\n<DATA xmlns="urn:a" xmlns:unused="urn:u" id="DATA">\r\n\t<p:RKO0010 xmlns:p="urn:p"'
        b' b="2"  a=\'1\' id="RKO0010"><!-- said --><x xmlns=""/>&#13;&lt;&#x9;<?pi x?></p:RKO0010>\n</DATA>'
    )
    signed = sign(awkward, town.holder, Format.XML, NOW)
    assert judge(signed, town.validation()).decision is Decision.ACCEPT
    document = tmp_path / "awkward.xtx"
    document.write_bytes(signed)
    answer = run(
        "xmlsec1", "--verify", "--insecure", "--id-attr:id", "urn:p:RKO0010", "--id-attr:id", "RKO0010", document
    )
    assert answer.returncode == 0, answer.stderr
    assert etree.fromstring(signed).tag == "{urn:a}DATA"
