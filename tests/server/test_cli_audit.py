"""`jpki audit`: what an operator reads, what an auditor takes away and checks without the house."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jpki.acts import LOCAL_OPERATOR
from jpki.clock import day_in_japan, system_clock
from jpki.ids import Serial
from jpki.randomness import system_randomness
from jpki.revocation import Finding
from jpki.verifier import LookUp
from server.founding import found
from server.home import Home
from server.settings import Settings
from server.wiring import open_rooms
from tests.server.conftest import Town, serial_in
from tests.server.console import Jpki


@dataclass(frozen=True, slots=True)
class Auditor:
    """What an auditor took away: the log and whom to believe."""

    log: Path
    key: Path

    @property
    def words(self) -> tuple[str | Path, ...]:
        return ("audit", "verify", "--log", self.log, "--key", self.key)


@pytest.fixture
def auditor(jpki: Jpki, town: Town, tmp_path: Path) -> Auditor:
    taken = Auditor(tmp_path / "log", tmp_path / "key.pem")
    jpki.done("audit", "export", "--home", town.home, "--out", taken.log)
    taken.key.write_text(jpki("audit", "key", "--home", town.home).out)
    return taken


# --- reading -------------------------------------------------------------------------------------------------------


def test_the_life_of_a_certificate_is_told_in_order(jpki: Jpki, town: Town) -> None:
    serial = serial_in(town.signing)
    jpki.done("revoke", "--home", town.home, serial, "--reason", "affiliationChanged")
    told = jpki.done("audit", "log", "--home", town.home, "--subject", serial)
    assert told["schema"] == "jpki.audit-log/1"
    assert [each["act"].removeprefix("certificate ") for each in told["entries"]] == [
        "reserved",
        "will be signed",
        "signed",
        "activated",
        "revoked",
    ]
    assert {each["subjects"][0] for each in told["entries"]} == {serial}
    assert told["entries"][-1]["details"] == {"reason": "affiliationChanged"}
    assert told["entries"][-1]["actor"] == {"role": "operator", "name": "local"}
    assert told["next"] is None
    assert serial in jpki("audit", "log", "--home", town.home, "--lang", "ja").out


def test_the_number_is_a_cursor(jpki: Jpki, town: Town) -> None:
    whole = jpki.done("audit", "log", "--home", town.home)["entries"]
    assert [each["number"] for each in whole] == list(range(1, len(whole) + 1))
    assert jpki.done("audit", "log", "--home", town.home, "--since", "5")["entries"] == whole[5:]


def test_a_page_ends_with_where_the_next_begins(jpki: Jpki, home: Path) -> None:
    with closing(sqlite3.connect(home / "jpki.sqlite")) as database, database:
        (body,) = database.execute("SELECT body FROM audit_body WHERE number = 1").fetchone()
        database.executemany("INSERT INTO audit_outbox (body) VALUES (?)", [(body,)] * 1500)
    first = jpki.done("audit", "log", "--home", home)
    assert first["next"] == first["entries"][-1]["number"] == 1000
    second = jpki.done("audit", "log", "--home", home, "--since", str(first["next"]))
    assert second["entries"][0]["number"] == 1001
    assert second["next"] is None


# --- checking ------------------------------------------------------------------------------------------------------


def test_a_home_that_was_only_used_is_whole(jpki: Jpki, town: Town) -> None:
    report = jpki.done("audit", "verify", "--home", town.home)
    assert report["schema"] == "jpki.audit-verify/1"
    assert (report["whole"], report["fault"], report["erased"]) == (True, None, 0)
    assert 0 < report["sealed"] < report["entries"]
    assert "監査記録は完全です" in jpki("audit", "verify", "--home", town.home, "--lang", "ja").out


def test_a_home_is_not_needed_to_check_a_log(jpki: Jpki, auditor: Auditor) -> None:
    report = jpki.done(*auditor.words)
    assert report["whole"]
    assert report["entries"] == report["sealed"]


def test_a_changed_body_in_the_ledger_is_named(jpki: Jpki, town: Town) -> None:
    with closing(sqlite3.connect(town.home / "jpki.sqlite")) as database, database:
        database.execute("UPDATE audit_body SET body = replace(body, 'operator', 'somebody') WHERE number = 5")
    fault = {"number": 5, "flaw": "body-changed", "file": None}
    assert jpki.judged(1, "audit", "verify", "--home", town.home)["fault"] == fault
    assert "number 5" in jpki("audit", "verify", "--home", town.home, "--lang", "en").out


def test_a_changed_log_is_named(jpki: Jpki, auditor: Auditor) -> None:
    auditor.log.write_bytes(auditor.log.read_bytes().replace(b"operator", b"0perator", 1))
    report = jpki.judged(1, *auditor.words)
    assert report["fault"] == {"number": 1, "flaw": "body-changed", "file": str(auditor.log)}


def test_an_earlier_log_is_an_anchor(jpki: Jpki, town: Town, auditor: Auditor, tmp_path: Path) -> None:
    whole = auditor.log.read_bytes()
    jpki.done("revoke", "--home", town.home, serial_in(town.signing), "--reason", "superseded")
    jpki.done("audit", "export", "--home", town.home, "--out", auditor.log)
    assert jpki.done(*auditor.words)["heads"] == 3
    cut = tmp_path / "cut"
    cut.write_bytes(whole)
    words = ("audit", "verify", "--log", cut, "--key", auditor.key)
    assert jpki.done(*words)["whole"]
    assert jpki.judged(1, *words, "--anchor", auditor.log)["fault"]["flaw"] == "cut"
    assert jpki.done("audit", "verify", "--home", town.home, "--anchor", auditor.log)["whole"]


def test_a_damaged_anchor_is_named(jpki: Jpki, auditor: Auditor, tmp_path: Path) -> None:
    anchor = tmp_path / "anchor"
    anchor.write_bytes(auditor.log.read_bytes()[:-9])
    fault = jpki.judged(1, *auditor.words, "--anchor", anchor)["fault"]
    assert (fault["flaw"], fault["file"]) == ("unreadable", str(anchor))


def test_the_anchor_in_the_settings_is_written_and_checked(jpki: Jpki, town: Town, tmp_path: Path) -> None:
    anchor = tmp_path / "anchor"
    settings = town.home / "jpki.toml"
    settings.write_text(f'{settings.read_text()}\naudit_anchor = "{anchor}"\n')
    rooms = open_rooms(Home(town.home))
    rooms.maintenance.run()
    rooms.close()
    assert anchor.read_bytes().count(b'"head"') == 2
    report = jpki.done("audit", "verify", "--home", town.home)
    assert report["whole"]
    with closing(sqlite3.connect(town.home / "jpki.sqlite")) as database, database:
        for table in ("audit_head", "audit_body", "audit_chain"):
            database.execute(f"DELETE FROM {table} WHERE number > 11")  # noqa: S608 - its own names
        database.execute("UPDATE audit_tip SET number = 11, hash = (SELECT hash FROM audit_chain WHERE number = 11)")
    fault = jpki.judged(1, "audit", "verify", "--home", town.home)["fault"]
    assert (fault["number"], fault["flaw"]) == (12, "cut")


def test_another_authoritys_key_is_not_believed(jpki: Jpki, auditor: Auditor, town: Town) -> None:
    other = town.signing / "chain.pem"
    assert jpki.judged(1, "audit", "verify", "--log", auditor.log, "--key", other)["fault"]["flaw"] == "signer-unknown"
    assert not jpki.judged(1, "audit", "verify", "--home", town.home, "--key", other)["whole"]


@pytest.mark.parametrize("words", [(), ("--log", "LOG")])
def test_verify_says_what_it_needs(jpki: Jpki, auditor: Auditor, words: tuple[str, ...]) -> None:
    refused = jpki.refused("audit", "verify", *(auditor.log if word == "LOG" else word for word in words))
    assert (refused.exit, refused.code) == (64, "usage")


# --- erasing -------------------------------------------------------------------------------------------------------


def test_what_the_law_wants_kept_is_not_erased(jpki: Jpki, town: Town) -> None:
    refused = jpki.refused("audit", "erase", "--home", town.home, "--before", "2020-01-01")
    assert (refused.exit, refused.code) == (1, "audit-retained")
    assert jpki.refused("audit", "erase", "--home", town.home, "--before", "1.1.2000").exit == 64


def test_acts_of_long_ago_are_erased(jpki: Jpki, tmp_path: Path) -> None:
    long_ago = system_clock() - timedelta(days=24 * 365.25)
    home = Home(tmp_path / "old")
    rooms = found(home, Settings(profile="card-v2"), lambda: long_ago, system_randomness)
    verifiers, serial = rooms.store.verifiers, Serial(0x41 << 120)
    bank = verifiers.register("Bank", "accounts", None, LOCAL_OPERATOR, long_ago)
    later = long_ago + timedelta(days=60)
    verifiers.record([LookUp(at, bank, serial, Finding.GOOD) for at in (long_ago, later)], {}, day_in_japan(long_ago))
    rooms.close()
    day = (long_ago + timedelta(days=30)).astimezone(UTC).date().isoformat()
    told = jpki.done("audit", "erase", "--home", home.path, "--before", day)
    erased = told["erased"]
    assert (erased > 5, told["look_ups"]) == (True, 1)
    left = jpki.done("verifier", "history", hex(serial), "--home", home.path)["look_ups"]
    assert [datetime.fromisoformat(each["at"]) for each in left] == [later.replace(microsecond=0)]
    assert jpki.done("audit", "erase", "--home", home.path, "--before", day)["look_ups"] == 0
    report = jpki.done("audit", "verify", "--home", home.path)
    assert (report["whole"], report["erased"]) == (True, erased)
    entries = jpki.done("audit", "log", "--home", home.path)["entries"]
    assert [each["number"] for each in entries if each["erased"]] == list(range(1, erased + 1))
    assert "audit bodies erased" in {each.get("act") for each in entries}
    assert "(erased)" in jpki("audit", "log", "--home", home.path, "--lang", "en").out
