"""`jpki sign --timestamp` and what `jpki verify` makes of it, with a home's own authority and its OCSP at hand."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_crl

from jpki.certificate import Purpose
from jpki.clock import iso, system_clock
from server.app import create_app
from server.demo.outside import served
from server.home import Home
from server.wiring import open_rooms
from signing.samples import tax_return_pdf, tax_return_xtx
from tests.ocsp.servers import replying
from tests.server.conftest import Town, serial_in
from tests.server.console import Jpki, Word
from tests.server.test_cli_documents import ACCEPT, REFUSE, UNDECIDED, credential, list_of

FORMS = {"pdf": "pades", "xtx": "xml", "txt": "cms"}


@dataclass(frozen=True, slots=True)
class Served:
    """A town, its URL, and its infrastructure root in a file."""

    town: Town
    url: str
    root: Path

    def sign(self, form: str, out: Path, *words: Word) -> tuple[Word, ...]:
        """Return the command that signs a document of a form with a time-stamp."""
        document = out.with_name(f"unsigned.{form}")
        content = {"pdf": tax_return_pdf(["Income"]), "xtx": tax_return_xtx("見本　花子", 2025), "txt": b"text"}
        document.write_bytes(content[form])
        options = ("--out", out, "--timestamp", f"{self.url}/tsa", *words)
        return ("sign", document, *credential(self.town.signing), *options)

    @property
    def keeping(self) -> tuple[Word, ...]:
        """The options that a signature needs to be kept."""
        chain = self.town.signing / "chain.pem"
        return ("--timestamp-trust", self.root, "--chain", chain, "--ocsp", f"{self.url}/ocsp")


@pytest.fixture
def house(town: Town) -> Iterator[Served]:
    with closing(open_rooms(Home(town.home))) as rooms:
        rooms.units.open()
        root = town.folder / "infrastructure.pem"
        root.write_bytes(rooms.living(Purpose.INFRASTRUCTURE)[0].certificate.public_bytes(Encoding.PEM))
        with served(create_app(rooms)) as url:
            yield Served(town, url, root)


def next_second() -> None:
    """Let the second pass in which a stamp was made."""
    begun = system_clock().replace(microsecond=0)
    while system_clock().replace(microsecond=0) == begun:
        time.sleep(0.02)


def the_signature(verdict: dict[str, object]) -> dict[str, object]:
    files: list[dict[str, list[dict[str, object]]]] = verdict["files"]  # type: ignore[assignment]
    ((signature,),) = [file["signatures"] for file in files]
    return signature


@pytest.mark.slow
@pytest.mark.parametrize("form", list(FORMS))
def test_a_stamped_signature_stands_after_the_revocation(jpki: Jpki, house: Served, tmp_path: Path, form: str) -> None:
    out = tmp_path / "signed"
    begun = system_clock().replace(microsecond=0)
    made = jpki.done(*house.sign(form, out, "--timestamp-trust", house.root))
    assert made == {"schema": "jpki.sign/1", "file": str(out), "format": FORMS[form], "level": "t"}
    plain = tmp_path / "plain"
    jpki.done(*house.sign(form, plain)[:-4], "--out", plain)
    next_second()
    jpki.done("revoke", serial_in(house.town.signing), "--home", house.town.home, "--reason", "keyCompromise")
    signature = the_signature(jpki.judged(ACCEPT, "verify", out, "--home", house.town.home))
    signed_at = signature["signed_at"]
    assert isinstance(signed_at, dict)
    assert signed_at["evidence"] == "timestamp"
    assert iso(begun) <= signed_at["time"] <= iso(system_clock())
    assert "after it was signed" in str(signature["sentence"])
    jpki.judged(REFUSE, "verify", plain, "--home", house.town.home)
    assert "証明する時刻" in jpki("verify", out, "--home", house.town.home, "--lang", "ja").out
    # Whoever does not trust the authority judges as if there were no stamp.
    jpki.judged(REFUSE, "verify", out, "--home", house.town.home, "--timestamp-trust", house.town.signing / "chain.pem")
    # What is stamped after the revocation is refused.
    late = tmp_path / "late"
    jpki.done(*house.sign(form, late))
    refused = the_signature(jpki.judged(REFUSE, "verify", late, "--home", house.town.home))
    assert refused["sub_indication"] == "REVOKED"


@pytest.mark.slow
@pytest.mark.parametrize("level", ["lt", "lta"])
def test_a_kept_pdf_is_judged_without_home_and_network(jpki: Jpki, house: Served, tmp_path: Path, level: str) -> None:
    out = tmp_path / "kept.pdf"
    made = jpki.done(*house.sign("pdf", out, "--level", level, *house.keeping))
    assert (made["format"], made["level"]) == ("pades", level)
    trust = ("--trust", house.town.signing / "chain.pem", "--timestamp-trust", house.root)
    next_second()
    jpki.judged(ACCEPT, "verify", out, *trust)
    jpki.judged(UNDECIDED, "verify", out, *trust[:2])
    stamped = tmp_path / "stamped.pdf"
    jpki.done(*house.sign("pdf", stamped))
    jpki.judged(UNDECIDED, "verify", stamped, *trust)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["t", "lta"])
def test_a_pdf_is_preserved_and_then_judged_without_home_and_network(
    jpki: Jpki, house: Served, tmp_path: Path, level: str
) -> None:
    signed, out = tmp_path / "signed.pdf", tmp_path / "preserved.pdf"
    keeping = house.keeping if level == "lta" else house.keeping[:2]
    jpki.done(*house.sign("pdf", signed, "--level", level, *keeping))
    next_second()
    options = house.keeping if level == "t" else house.keeping[:2]
    words = ("preserve", signed, "--timestamp", f"{house.url}/tsa", *options, "--out", out)
    assert jpki.done(*words) == {"schema": "jpki.preserve/1", "file": str(out)}
    next_second()
    trust = ("--trust", house.town.signing / "chain.pem", "--timestamp-trust", house.root)
    signature = the_signature(jpki.judged(ACCEPT, "verify", out, *trust))
    (check,) = [check for check in signature["checks"] if check["name"] == "timestamp"]  # type: ignore[attr-defined]
    assert (check["evidence"]["stamps"], check["evidence"]["counting"]) == ((3, 3) if level == "lta" else (2, 2))
    refused = jpki.refused(*words)
    assert (refused.exit, refused.code) == (1, "file-exists")
    alone = jpki.refused("preserve", signed, "--timestamp", f"{house.url}/tsa", "--out", tmp_path / "never")
    assert alone.exit == 64  # nobody would know whom to believe
    assert not (tmp_path / "never").exists()


def test_a_list_that_is_made_after_the_stamp_can_be_kept_and_an_older_one_not(
    jpki: Jpki, house: Served, tmp_path: Path
) -> None:
    status = jpki.done("status", serial_in(house.town.signing), "--home", house.town.home)
    older, words = list_of(house.town, status), house.keeping[:4]
    made_at = load_der_x509_crl(older.read_bytes()).last_update_utc
    # Times are whole seconds: within the same one the list is no older than the stamp.
    time.sleep(max(0.0, (made_at + timedelta(seconds=1) - system_clock()).total_seconds()))
    command = house.sign("pdf", tmp_path / "kept.pdf", "--level", "lt", *words, "--crl", older)
    refused = jpki.refused(*command)
    assert (refused.exit, refused.code) == (1, "revocation-data-old")
    assert not (tmp_path / "kept.pdf").exists()


def test_what_the_settings_name_is_believed_besides_the_own_root(
    jpki: Jpki, house: Served, town: Town, tmp_path: Path
) -> None:
    out = tmp_path / "signed"
    jpki.done(*house.sign("txt", out))
    verdict = the_signature(jpki.judged(ACCEPT, "verify", out, "--home", house.town.home))
    assert "proves" in str(verdict["sentence"])
    settings = town.home / "jpki.toml"
    named = town.folder / "others.pem"
    named.write_bytes((town.signing / "chain.pem").read_bytes())
    settings.write_text(settings.read_text("utf-8") + f'\ntimestamp_trust = ["{named}"]\n', "utf-8")
    jpki.judged(ACCEPT, "verify", out, "--home", house.town.home)
    named.unlink()
    assert jpki.refused("verify", out, "--home", house.town.home).code == "certificate-unreadable"
    settings.write_text(settings.read_text("utf-8").replace(f'"{named}"', '"others.pem"'), "utf-8")
    assert jpki.refused("verify", out, "--home", house.town.home).code == "settings-invalid"


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_an_untrusted_authority_leaves_no_file(jpki: Jpki, house: Served, tmp_path: Path) -> None:
    out = tmp_path / "signed.pdf"
    trust = ("--timestamp-trust", house.town.signing / "chain.pem")
    refused = jpki.refused(*house.sign("pdf", out, *trust))
    assert (refused.exit, refused.code) == (1, "tsa-untrusted")
    assert not out.exists()
    said = jpki(*house.sign("pdf", out), "--lang", "en")
    assert "whether its authority is to be trusted was not checked" in said.out


@pytest.mark.parametrize("form", list(FORMS))
def test_an_authority_that_talks_nonsense_or_is_away_leaves_no_file(
    jpki: Jpki, town: Town, tmp_path: Path, form: str
) -> None:
    out = tmp_path / "signed"
    with replying(lambda _: (200, {"Content-Type": "application/timestamp-reply"}, b"nonsense")) as url:
        refused = jpki.refused(*Served(town, url.rstrip("/"), out).sign(form, out))
    assert (refused.exit, refused.code) == (1, "tsa-answer-malformed")
    with replying(lambda _: (500, {}, b"")) as url:
        refused = jpki.refused(*Served(town, url.rstrip("/"), out).sign(form, out))
    assert (refused.exit, refused.code) == (75, "tsa-unreachable")
    refused = jpki.refused(*Served(town, url.rstrip("/"), out).sign(form, out))
    assert (refused.exit, refused.code) == (75, "tsa-unreachable")
    assert not out.exists()


def test_a_url_that_is_none_is_refused(jpki: Jpki, town: Town, tmp_path: Path) -> None:
    refused = jpki.refused(*Served(town, "ftp://tsa.example", tmp_path).sign("txt", tmp_path / "out"))
    assert refused.code == "tsa-url-malformed"


@pytest.mark.parametrize(
    "words",
    [
        ("--level", "t"),
        ("--timestamp-trust", "chain.pem"),
        ("--timestamp", "http://127.0.0.1:9/tsa", "--level", "lt"),
        ("--timestamp", "http://127.0.0.1:9/tsa", "--level", "b"),
        ("--timestamp", "http://127.0.0.1:9/tsa", "--ocsp", "http://127.0.0.1:9/ocsp"),
        ("--ocsp", "http://127.0.0.1:9/ocsp"),
    ],
    ids=["level alone", "trust alone", "kept without trust", "no such level", "ocsp for t", "ocsp alone"],
)
def test_options_that_do_not_go_together_are_wrong_usage(
    jpki: Jpki, town: Town, tmp_path: Path, words: tuple[str, ...]
) -> None:
    document = tmp_path / "document"
    document.write_bytes(b"text")
    given = [town.signing / word if word.endswith(".pem") else word for word in words]
    command = ("sign", document, *credential(town.signing), "--out", tmp_path / "out", *given)
    assert jpki.refused(*command).exit == 64
    assert not (tmp_path / "out").exists()


def test_only_a_pdf_can_be_kept(jpki: Jpki, house: Served, tmp_path: Path) -> None:
    refused = jpki.refused(*house.sign("xtx", tmp_path / "out", "--level", "lta", *house.keeping))
    assert (refused.exit, refused.code) == (1, "level-of-pdf-only")
    assert not (tmp_path / "out").exists()
