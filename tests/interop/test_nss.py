"""What NSS, by poppler's pdfsig, makes of a signed PDF: signature, trust and revocation."""

from pathlib import Path

import pytest

from signing.samples import tax_return_pdf
from tests.interop.authority import Authority, Card, Town, enrol, found, serving
from tests.interop.conftest import HANAKO
from tests.interop.programs import run

pytestmark = pytest.mark.slow

TRUSTED = "Certificate Validation: Certificate is Trusted."
REVOKED = "Certificate Validation: Certificate has been Revoked."
UNDECIDED = "Certificate Validation: Unknown issue with Certificate or corrupted data."
FORMATS = pytest.mark.parametrize("form", ["pdf", "pades"])


def signed(authority: Authority, card: Card, form: str, directory: Path) -> Path:
    unsigned, out = directory / "unsigned.pdf", directory / f"signed-{form}.pdf"
    unsigned.write_bytes(tax_return_pdf(["Income 3000000"]))
    done = authority.sign(unsigned, card, out, "--format", form)
    assert done.code == 0, done.text
    return out


def judged(document: Path, root: Card, directory: Path, *options: str) -> str:
    """Return what pdfsig says with this root, and no other, in an NSS database of its own."""
    database = directory / f"nss-{root.directory.name}"
    if not database.exists():
        database.mkdir()
        assert run("certutil", "-N", "-d", f"sql:{database}", "--empty-password").code == 0
        added = ("-A", "-d", f"sql:{database}", "-n", "root", "-t", "C,C,C", "-i", root.chain)
        assert run("certutil", *added).code == 0
    done = run("pdfsig", "-nssdir", f"sql:{database}", *options, document)
    assert done.text.count("Signature is Valid.") == 1, done.text
    return done.text


@FORMATS
def test_nss_trusts_a_living_certificate_under_its_root(town: Town, tmp_path: Path, form: str) -> None:
    card = town.hanako.signing
    assert TRUSTED in judged(signed(town.authority, card, form, tmp_path), card, tmp_path)


@FORMATS
def test_nss_finds_the_revoked_certificate_revoked_by_ocsp(town: Town, tmp_path: Path, form: str) -> None:
    card = town.taro.signing
    assert REVOKED in judged(signed(town.authority, card, form, tmp_path), card, tmp_path)


def test_nss_trusts_nothing_under_the_other_root(town: Town, tmp_path: Path) -> None:
    document = signed(town.authority, town.hanako.signing, "pdf", tmp_path)
    said = judged(document, town.hanako.authentication, tmp_path)
    assert "Certificate Validation: " in said
    assert TRUSTED not in said


def test_without_ocsp_nss_is_undecided_about_both(town: Town, tmp_path: Path) -> None:
    for card in (town.hanako.signing, town.taro.signing):
        document = signed(town.authority, card, "pdf", tmp_path)
        assert UNDECIDED in judged(document, card, tmp_path, "-no-ocsp")
        document.unlink()


def test_nss_trusts_nothing_while_the_responder_is_away(tmp_path: Path) -> None:
    """So the words above are the responder's."""
    authority = found(tmp_path)
    card = enrol(authority, HANAKO).signing
    document = signed(authority, card, "pdf", tmp_path)
    assert UNDECIDED in judged(document, card, tmp_path)
    with serving(authority):
        assert TRUSTED in judged(document, card, tmp_path)
