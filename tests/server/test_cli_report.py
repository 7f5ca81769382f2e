"""`jpki verify --report`: the page beside the verdict."""

import stat
from pathlib import Path

import pytest

from server.cli.frame import run
from signing.samples import tax_return_pdf
from tests.server.conftest import Town
from tests.server.console import Jpki

ACCEPT, REFUSE, USAGE = 0, 1, 64
HANAKO = "日本　花子"


@pytest.fixture(scope="module")
def signed(issued_town: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reported")
    (folder / "plain.pdf").write_bytes(tax_return_pdf(["Income 3000000"]))
    card, out = issued_town / "signing", folder / "signed.pdf"
    words = ["sign", folder / "plain.pdf", "--certificate", card / "certificate.pem", "--key", card / "key.pem"]
    assert run([str(word) for word in (*words, "--out", out)]) == 0
    return out


def test_the_page_holds_the_verdict_on_each_file(jpki: Jpki, town: Town, signed: Path, tmp_path: Path) -> None:
    altered = tmp_path / "altered.pdf"
    altered.write_bytes(signed.read_bytes().replace(b"3000000", b"9000000"))
    report = tmp_path / "report.html"
    told = jpki.judged(REFUSE, "verify", signed, altered, "--home", town.home, "--report", report)
    page = report.read_text("utf-8")
    for file in told["files"]:
        assert file["path"] in page
        for signature in file["signatures"]:
            assert signature["sentence"]["ja"] in page
            assert signature["signer"]["serial"] in page
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


def test_the_page_is_told_of_in_words_and_named_by_its_policy(
    jpki: Jpki, town: Town, signed: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    words = ("verify", signed, "--home", town.home, "--policy", "e-tax", "--report", report, "--lang", "en")
    said = jpki(*words)
    assert said.code == ACCEPT
    assert f"report: {report}" in said.out
    assert "receipt by e-Tax" in report.read_text("utf-8")


def test_r21_the_page_shows_attributes_only_when_asked(jpki: Jpki, town: Town, signed: Path, tmp_path: Path) -> None:
    for name, more in (("masked", ()), ("shown", ("--show-attributes",))):
        jpki.judged(ACCEPT, "verify", signed, "--home", town.home, "--report", tmp_path / name, *more)
    assert HANAKO not in (tmp_path / "masked").read_text("utf-8")
    assert HANAKO in (tmp_path / "shown").read_text("utf-8")


def test_no_file_is_written_over_and_that_is_no_verdict(jpki: Jpki, town: Town, signed: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text("mine", "utf-8")
    words = ("verify", signed, "--home", town.home, "--report")
    refused = jpki.refused(*words, report)
    assert (refused.exit, refused.code) == (USAGE, "usage")  # before anything is judged
    assert report.read_text("utf-8") == "mine"
    assert jpki.refused(*words, report / "below").exit == USAGE
