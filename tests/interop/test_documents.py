"""Documents signed by `jpki sign`, before outside judges and before our own over HTTP."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from signing.samples import tax_return_pdf, tax_return_xtx
from tests.interop.authority import Authority, Card, Resident, Town
from tests.interop.programs import curl, openssl, run

pytestmark = pytest.mark.slow

YEAR = 2025
FORMATS = pytest.mark.parametrize("form", ["pdf", "xtx", "p7m"])
_OPTIONS: dict[str, tuple[str, ...]] = {"pdf": (), "xtx": (), "p7m": ("--format", "cms")}
_ALTERATIONS = {
    "pdf": (b"Income 3000000", b"Income 1000000"),
    "xtx": (b">3000000<", b">1000000<"),
    "p7m": (b"content", b"context"),
}


@dataclass(frozen=True, slots=True)
class Desk:
    """Where documents of a resident are signed, and altered."""

    authority: Authority
    directory: Path

    def signed(self, form: str, who: Resident) -> Path:
        """Return a signed document, made once."""
        unsigned, out = self.directory / f"unsigned.{form}", self.directory / f"{who.data['code']}.{form}"
        if not out.exists():
            unsigned.write_bytes(_content(form, who))
            done = self.authority.sign(unsigned, who.signing, out, *_OPTIONS[form])
            assert done.code == 0, done.text
        return out

    def altered(self, form: str, who: Resident) -> Path:
        """Return the same document with other content."""
        original, out = self.signed(form, who).read_bytes(), self.directory / f"altered.{form}"
        old, new = _ALTERATIONS[form]
        assert original.count(old) == 1
        out.write_bytes(original.replace(old, new))
        return out


def _content(form: str, who: Resident) -> bytes:
    if form == "pdf":
        return tax_return_pdf(["Income tax return (sample)", "Income 3000000"])
    return tax_return_xtx(who.data["name"], YEAR) if form == "xtx" else b"content"


@pytest.fixture(scope="module")
def desk(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(town.authority, tmp_path_factory.mktemp("documents"))


# --- outside judges ----------------------------------------------------------------------------------------------


def test_pdfsig_finds_the_pdf_valid(town: Town, desk: Desk) -> None:
    said = run("pdfsig", "-nocert", desk.signed("pdf", town.hanako)).text
    assert said.count("Signature is Valid.") == 1, said
    assert "Total document signed" in said
    assert "Digest Mismatch" in run("pdfsig", "-nocert", desk.altered("pdf", town.hanako)).text


def cut_from_pdf(document: Path, directory: Path) -> tuple[Path, Path]:
    """Return the CMS of a signed PDF, and what it signs (ISO 32000-1, 12.8.1)."""
    octets = document.read_bytes()
    start, length, rest, rest_length = map(int, octets.split(b"/ByteRange", 1)[1].split(b"]")[0].strip(b" [").split())
    message, content = directory / "message.der", directory / "content"
    message.write_bytes(bytes.fromhex(octets[start + length + 1 : rest - 1].decode()).rstrip(b"\0"))
    content.write_bytes(octets[start : start + length] + octets[rest : rest + rest_length])
    return message, content


def test_openssl_verifies_the_cms_cut_from_the_pdf(town: Town, desk: Desk, tmp_path: Path) -> None:
    chain = town.hanako.signing.chain
    for document, good in ((desk.signed("pdf", town.hanako), True), (desk.altered("pdf", town.hanako), False)):
        message, content = cut_from_pdf(document, tmp_path)
        done = openssl(
            "cms", "-verify", "-binary", "-inform", "DER", "-in", message, "-content", content, "-CAfile", chain,
            "-out", tmp_path / "out",
        )  # fmt: skip
        assert (done.code == 0) == good, done.text


def cms_verify(message: Path, root: Card) -> tuple[int, bytes]:
    done = openssl("cms", "-verify", "-inform", "DER", "-in", message, "-CAfile", root.chain)
    return done.code, done.out


def test_openssl_verifies_the_p7m_under_the_signing_ca_only(town: Town, desk: Desk) -> None:
    message = desk.signed("p7m", town.hanako)
    assert cms_verify(message, town.hanako.signing) == (0, b"content")
    assert cms_verify(message, town.hanako.authentication)[0] != 0
    assert cms_verify(desk.altered("p7m", town.hanako), town.hanako.signing)[0] != 0


def xmlsec(document: Path, root: Card) -> int:
    return run("xmlsec1", "--verify", "--id-attr:id", "RKO0010", "--trusted-pem", root.chain, document).code


def test_xmlsec_verifies_the_xtx_under_the_signing_ca_only(town: Town, desk: Desk) -> None:
    document = desk.signed("xtx", town.hanako)
    assert xmlsec(document, town.hanako.signing) == 0
    assert xmlsec(document, town.hanako.authentication) != 0
    assert xmlsec(desk.altered("xtx", town.hanako), town.hanako.signing) != 0


# --- POST /api/v1/verifications ----------------------------------------------------------------------------------


def verified(town: Town, document: Path) -> Any:  # noqa: ANN401 - JSON
    reply = curl(f"{town.authority.url}/api/v1/verifications", "--form", f"file=@{document}")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
    return json.loads(reply.body)


@FORMATS
def test_a_good_document_is_accepted(town: Town, desk: Desk, form: str) -> None:
    verdict = verified(town, desk.signed(form, town.hanako))
    assert (verdict["schema"], verdict["decision"]) == ("jpki.verify/1", "accept")
    (signature,) = verdict["files"][0]["signatures"]
    assert signature["indication"] == "TOTAL-PASSED"
    assert f"0x{signature['signer']['serial']}" == town.hanako.signing.serial


@FORMATS
def test_an_altered_document_is_refused(town: Town, desk: Desk, form: str) -> None:
    verdict = verified(town, desk.altered(form, town.hanako))
    assert verdict["decision"] == "refuse"
    assert verdict["files"][0]["signatures"][0]["sub_indication"] == "HASH_FAILURE"


@FORMATS
def test_a_document_of_a_revoked_certificate_is_refused(town: Town, desk: Desk, form: str) -> None:
    verdict = verified(town, desk.signed(form, town.taro))
    assert verdict["decision"] == "refuse"
    (revocation,) = [each for each in verdict["files"][0]["signatures"][0]["checks"] if each["name"] == "revocation"]
    assert (revocation["outcome"], revocation["evidence"]["reason"]) == ("failed", "keyCompromise")


def test_what_is_no_signed_document_is_unreadable(town: Town, tmp_path: Path) -> None:
    document = tmp_path / "letter.txt"
    document.write_text("拝啓", "utf-8")
    assert verified(town, document)["decision"] == "unreadable"


@FORMATS
def test_r21_a_verdict_over_http_tells_no_attribute_of_the_holder(town: Town, desk: Desk, form: str) -> None:
    """The command line can show them: so the document holds them, and the door keeps them back."""
    holder = town.hanako.data
    attributes = [*holder["name"].split("\u3000"), holder["address"], "1990-04-02", "19900402", holder["gender"]]
    shown = town.authority.run("verify", desk.signed(form, town.hanako), "--show-attributes").out.decode()
    assert holder["name"] in shown
    assert holder["address"] in shown
    for document in (desk.signed(form, town.hanako), desk.altered(form, town.hanako)):
        said = json.dumps(verified(town, document), ensure_ascii=False)
        assert [each for each in attributes if each in said] == []
