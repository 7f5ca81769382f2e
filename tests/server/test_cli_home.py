"""`jpki init`, and what every command says of a home that is not in order."""

import os
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

from hsm_adapter.software import SoftwareKeys
from jpki.errors import JpkiError
from jpki.ids import KeyUri
from tests.server.conftest import Town, serial_in
from tests.server.console import Answer, Jpki, refusal
from tests.server.people import HOLDER_FILE


def files_below(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*"))


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


# --- init ----------------------------------------------------------------------------------------------------------


def test_init_makes_a_whole_home(jpki: Jpki, tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    made = jpki.done("init", "--home", home, "--base-url", "https://ca.example:8443/jpki/")
    assert made["schema"] == "jpki.init/1"
    assert made["base_url"] == "https://ca.example:8443/jpki"
    assert [ca["ca"] for ca in made["cas"]] == ["signing", "authentication"]
    assert made["trial_passphrase"] is True
    assert mode(home) == 0o700
    with sqlite3.connect(home / "jpki.sqlite") as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    database.close()
    assert {"certificate", "status"} <= tables
    assert {path.name for path in (home / "crl").iterdir()} == {"signing", "authentication"}
    assert (home / "crl" / "signing" / made["cas"][0]["generation"] / "complete.crl").is_file()
    assert jpki.done("crl", "list", "--home", home)["lists"]


def use_key(file: Path, passphrase: bytes) -> None:
    keys, uri = SoftwareKeys(file.parent, lambda: passphrase), KeyUri(f"software:{file.stem}")
    if file.stem.startswith("seal-"):
        keys.wrap(uri, b"a data key")
    else:
        keys.signer(uri)


def test_keys_are_sealed_and_secrets_closed(new_home: Path) -> None:
    passphrase = (new_home / "secrets" / "key-passphrase").read_bytes()
    keys = list((new_home / "keys").iterdir())
    assert len(keys) == 7
    for key in keys:
        assert mode(key) == 0o600
        use_key(key, passphrase)
        with pytest.raises(JpkiError) as refused:
            use_key(key, b"another")
        assert refused.value.code == "passphrase-wrong"
    assert {mode(file) for file in (new_home / "secrets").iterdir()} == {0o400}
    assert mode(new_home / "jpki.sqlite") == 0o600


def test_the_first_administrator_can_open_the_bundle(new_home: Path) -> None:
    password = (new_home / "secrets" / "administrator-1-password").read_bytes()
    key, certificate, above = load_key_and_certificates(
        (new_home / "clerks" / "administrator-1.p12").read_bytes(), password
    )
    assert key is not None
    assert certificate is not None
    certificate.verify_directly_issued_by(above[0])


@pytest.mark.parametrize("by", ["environment", "file", "credential"])
def test_a_passphrase_that_is_given_is_nowhere_in_the_home(
    jpki: Jpki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    secret = tmp_path / "jpki_key_passphrase"
    secret.write_text("correct horse\n")
    if by == "environment":
        monkeypatch.setenv("JPKI_KEY_PASSPHRASE", "correct horse")
    elif by == "file":
        monkeypatch.setenv("JPKI_KEY_PASSPHRASE_FILE", str(secret))
    else:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    home = tmp_path / "home"
    made = jpki.done("init", "--home", home)
    assert made["trial_passphrase"] is False
    assert not (home / "secrets" / "key-passphrase").exists()
    for file in home.rglob("*"):
        assert file.is_dir() or b"correct horse" not in file.read_bytes()
    load_pem_private_key((home / "keys" / "ca-signing-s1.pem").read_bytes(), b"correct horse")


@pytest.mark.parametrize("content", [None, b"\n"])
def test_a_passphrase_file_that_gives_none_stops_init(
    jpki: Jpki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    secret = tmp_path / "passphrase"
    if content is not None:
        secret.write_bytes(content)
    monkeypatch.setenv("JPKI_KEY_PASSPHRASE_FILE", str(secret))
    refused = jpki.refused("init", "--home", tmp_path / "home")
    assert (refused.exit, refused.code) == (1, "secret-unreadable")
    assert not (tmp_path / "home").exists()


def test_init_refuses_what_is_not_empty_and_touches_nothing(jpki: Jpki, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    for home in (tmp_path, tmp_path / "kept"):
        refused = jpki.refused("init", "--home", home)
        assert (refused.exit, refused.code) == (1, "home-not-empty")
    assert files_below(tmp_path) == ["kept"]
    assert (tmp_path / "kept").read_text() == "mine"


def test_init_refuses_a_home_where_none_can_be(jpki: Jpki, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    refused = jpki.refused("init", "--home", tmp_path / "file" / "below" / "home")
    assert (refused.exit, refused.code) == (1, "directory-unwritable")
    assert files_below(tmp_path) == ["file"]


@pytest.mark.parametrize(
    "url", ["ftp://ca.example", "ca.example", "http://ca.example/a b", "http://", "http://[::1", "http://a:b"]
)
def test_init_refuses_a_base_url_that_is_none(jpki: Jpki, tmp_path: Path, url: str) -> None:
    refused = jpki.refused("init", "--home", tmp_path / "home", "--base-url", url)
    assert (refused.exit, refused.code) == (64, "settings-invalid")
    assert files_below(tmp_path) == []


def ended(command: Sequence[str | Path]) -> Answer:
    process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return Answer(process.returncode, process.stdout, process.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("octets", [0, 16, 100_000, 600_000])
def test_init_on_a_full_disk_leaves_nothing(
    tmp_path: Path, installed: Path, program: Callable[[str], str], octets: int
) -> None:
    """No file may grow beyond so many octets, which is what a full disk is like."""
    limited: list[str | Path] = [program("prlimit"), f"--fsize={octets}", installed]
    (tmp_path / "empty").mkdir()
    for home in (tmp_path / "not" / "yet", tmp_path / "empty"):
        refused = refusal(ended([*limited, "init", "--home", home, "--json"]))
        assert (refused.exit, refused.kind) in {(75, "unavailable"), (1, "unprocessable")}
        assert files_below(tmp_path) == ["empty"]


@pytest.mark.slow
def test_init_takes_less_than_five_seconds(tmp_path: Path, installed: Path) -> None:
    """Of processor time: how long it lasts beside other work says nothing of it."""
    before = os.times()
    subprocess.run([installed, "init", "--home", tmp_path / "home"], check=True, capture_output=True)
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 5


# --- a home that is not in order -----------------------------------------------------------------------------------


def test_all_mistakes_in_the_settings_are_named_at_once(jpki: Jpki, home: Path) -> None:
    (home / "jpki.toml").write_text('base_url = "http://ca.example/"\nprofile = "card-v9"\nkees = "software"\n')
    refused = jpki.refused("crl", "list", "--home", home)
    assert (refused.exit, refused.code) == (1, "settings-invalid")
    for name in ("base_url", "profile", "kees"):
        assert name in refused.english


@pytest.mark.parametrize("content", [b"base_url = ", b"\xff\xfe", b"[base_url]\n"])
def test_settings_that_cannot_be_read_are_an_error(jpki: Jpki, home: Path, content: bytes) -> None:
    (home / "jpki.toml").write_bytes(content)
    refused = jpki.refused("crl", "list", "--home", home)
    assert (refused.exit, refused.code) == (1, "settings-invalid")


NEEDS_THE_LEDGER = ["status 0x11", "revoke 0x11 --reason superseded", "crl list", "crl publish"]


@pytest.mark.parametrize("command", NEEDS_THE_LEDGER)
@pytest.mark.parametrize("damage", ["missing", "empty", "garbage", "directory"])
def test_a_ledger_that_is_away_is_an_outage(jpki: Jpki, home: Path, command: str, damage: str) -> None:
    ledger = home / "jpki.sqlite"
    ledger.unlink()
    if damage == "directory":
        ledger.mkdir()
    elif damage != "missing":
        ledger.write_bytes(b"" if damage == "empty" else b"garbage" * 1000)
    refused = jpki.refused(*command.split(), "--home", home)
    code = "database-empty" if damage == "empty" else "database-unavailable"
    assert (refused.exit, refused.code) == (75, code)
    assert ledger.exists() is (damage != "missing")


def test_verify_without_its_ledger_gives_no_verdict(jpki: Jpki, home: Path) -> None:
    (home / "jpki.sqlite").unlink()
    assert jpki.refused("verify", HOLDER_FILE, "--home", home).exit == 75


def test_a_wrong_passphrase_signs_nothing(jpki: Jpki, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPKI_KEY_PASSPHRASE", "wrong")
    out = home.parent / "out"
    words = ("issue", "--home", home, "--kind", "signing", "--holder", HOLDER_FILE, "--out", out)
    refused = jpki.refused(*words)
    assert (refused.exit, refused.code) == (1, "passphrase-wrong")
    assert "wrong passphrase" in refused.english
    assert not out.exists()
    monkeypatch.delenv("JPKI_KEY_PASSPHRASE")
    assert jpki.done(*words)["state"] == "active"


def test_a_home_without_its_secrets_asks_for_the_passphrase(jpki: Jpki, home: Path) -> None:
    (home / "secrets" / "key-passphrase").unlink()
    refused = jpki.refused("crl", "publish", "--all", "--home", home)
    assert (refused.exit, refused.code) == (1, "secret-missing")


def test_a_revocation_needs_no_key(jpki: Jpki, town: Town) -> None:
    (town.home / "secrets" / "key-passphrase").unlink()
    revoked = jpki.done("revoke", serial_in(town.signing), "--home", town.home, "--reason", "keyCompromise")
    assert revoked["state"] == "revoked"


def test_a_lost_key_is_an_outage_and_is_not_made_anew(jpki: Jpki, home: Path) -> None:
    key = home / "keys" / "ca-signing-s1.pem"
    key.unlink()
    out = home.parent / "out"
    refused = jpki.refused("issue", "--home", home, "--kind", "signing", "--holder", HOLDER_FILE, "--out", out)
    assert (refused.exit, refused.code) == (75, "key-not-found")
    assert not key.exists()
    assert not out.exists()
