"""`jpki doctor`: a new home is well, and each thing that can be wrong is found and named with what to do."""

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jpki.clock import system_clock
from server.doctor import examine
from server.home import Home
from server.store.database import Database
from server.wiring import open_rooms
from tests.server.console import Jpki


def failing(jpki: Jpki, home: Path) -> dict[str, Any]:
    found = jpki.judged(1, "doctor", "--home", home)
    assert not found["healthy"]
    return {each["name"]: each for each in found["checks"] if not each["ok"]}


def test_a_new_home_is_well(jpki: Jpki, home: Path) -> None:
    found = jpki.done("doctor", "--home", home)
    assert found["healthy"]
    assert all(each["ok"] for each in found["checks"])
    assert "✓" in jpki("doctor", "--home", home, "--lang", "ja").out


def test_lost_lists_are_found(jpki: Jpki, home: Path) -> None:
    shutil.rmtree(home / "crl")
    assert set(failing(jpki, home)) == {"lists"}
    jpki.done("crl", "publish", "--home", home)
    assert jpki.done("doctor", "--home", home)["healthy"]


def test_a_lost_responder_key_is_found_and_mended(jpki: Jpki, home: Path) -> None:
    for key in (home / "keys").glob("ocsp-s1-*"):
        key.unlink()
    assert set(failing(jpki, home)) == {"responders"}
    jpki.done("crl", "publish", "--home", home)
    assert jpki.done("doctor", "--home", home)["healthy"]


def test_a_wrong_ca_key_is_found(jpki: Jpki, home: Path) -> None:
    keys = home / "keys"
    shutil.copy(keys / "ca-signing-s1.pem", keys / "ca-authentication-a1.pem")
    assert failing(jpki, home)["ca-keys"]["problem"]["en"].startswith("The key")


def test_a_wrong_passphrase_is_found(jpki: Jpki, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPKI_KEY_PASSPHRASE", "wrong")
    assert set(failing(jpki, home)) == {"ca-keys", "responders"}


def test_a_clock_that_went_back_is_found(jpki: Jpki, home: Path) -> None:
    database = Database.at_file(home / "jpki.sqlite")
    with database.writing() as connection:
        database.advance_clock(connection, system_clock() + timedelta(hours=1))
    database.close()
    found = failing(jpki, home)
    assert "accept-clock" in found["clock"]["action"]["en"]


def test_a_readable_secret_is_found(jpki: Jpki, home: Path) -> None:
    (home / "keys" / "ca-signing-s1.pem").chmod(0o644)
    assert set(failing(jpki, home)) == {"permissions"}


def test_a_certificate_for_tls_that_ends_is_found(jpki: Jpki, home: Path) -> None:
    jpki.done("tls", "certify", "--home", home, "--host", "localhost")
    assert jpki.done("doctor", "--home", home)["healthy"]
    rooms = open_rooms(Home.open(home))
    later = replace(rooms, clock=lambda: system_clock() + timedelta(days=336))
    found = {each.name: each.error for each in examine(later)}
    rooms.close()
    assert found["tls"] is not None
    assert found["tls"].code == "tls-ends"


def test_a_registered_home_without_tls_is_found(jpki: Jpki, home: Path) -> None:
    settings = home / "jpki.toml"
    settings.write_text(settings.read_text().replace('verifiers = "open"', 'verifiers = "registered"'))
    assert "tls certify" in failing(jpki, home)["tls"]["action"]["en"]
    jpki.done("tls", "certify", "--home", home, "--host", "localhost")
    (home / "tls" / "key.pem").chmod(0o644)
    assert set(failing(jpki, home)) == {"permissions"}
