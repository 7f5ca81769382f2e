"""`jpki backup`: what is in the file, what is found when it was touched, and what a restore cannot know."""

import json
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from jpki.acts import LOCAL_OPERATOR, Act, AuditEvent
from jpki.clock import system_clock
from jpki.ids import Serial
from jpki.randomness import Randomness
from jpki.revocation import Reason, State
from server.backup.create import create
from server.home import Home
from server.store.audit import SqlAudit
from server.store.dump import TABLES
from server.wiring import Rooms, open_rooms
from tests.server.conftest import Town, serial_in
from tests.server.console import Jpki
from tests.server.people import HOLDER_FILE

pytestmark = pytest.mark.slow


@pytest.fixture
def backup(jpki: Jpki, town: Town, tmp_path: Path) -> Path:
    jpki.done("backup", "create", "--home", town.home, "--out", tmp_path / "backup")
    return tmp_path / "backup"


@pytest.fixture
def rooms(town: Town) -> Iterator[Rooms]:
    opened = open_rooms(Home.open(town.home))
    yield opened
    opened.close()


@pytest.fixture
def passphrase(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the operator keeps apart from every backup."""
    monkeypatch.setenv("JPKI_KEY_PASSPHRASE", (town.home / "secrets/key-passphrase").read_text())


def parts(backup: Path) -> dict[str, bytes]:
    with ZipFile(backup) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(file: Path, contents: dict[str, bytes]) -> Path:
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for name, octets in contents.items():
            archive.writestr(name, octets)
    return file


def key_of(jpki: Jpki, home: Path, file: Path) -> Path:
    file.write_text(jpki("audit", "key", "--home", home).out)
    return file


# --- the file ------------------------------------------------------------------------------------------------------


def test_r21_no_attribute_and_no_secret_can_be_read_in_it(backup: Path, town: Town) -> None:
    holder = json.loads(HOLDER_FILE.read_text("utf-8"))
    octets = b"".join([*parts(backup).values(), backup.read_bytes()])
    for name in ("name", "address"):
        value = holder[name]
        for canary in (value, value.replace("　", ""), value[:4]):
            for encoding in ("utf-8", "utf-16-be", "euc_jis_2004"):
                assert canary.encode(encoding) not in octets
            assert json.dumps(canary).strip('"').encode() not in octets
    for secret in town.home.glob("secrets/*"):
        assert secret.read_bytes() not in octets


def test_it_is_for_its_owner_only_and_never_written_over_another(jpki: Jpki, town: Town, backup: Path) -> None:
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    before = backup.read_bytes()
    refusal = jpki.refused("backup", "create", "--home", town.home, "--out", backup)
    assert (refusal.exit, refusal.code) == (1, "file-exists")
    assert backup.read_bytes() == before
    assert not list(backup.parent.glob(".backup*"))


def test_keys_can_be_left_out(jpki: Jpki, town: Town, tmp_path: Path, backup: Path) -> None:
    without = tmp_path / "without"
    told = jpki.done("backup", "create", "--home", town.home, "--out", without, "--without-keys")
    assert not told["manifest"]["has_keys"]
    assert {name.split("/")[1] for name in parts(without) if name.startswith("home/")} == {"jpki.toml", "ceremonies"}
    encrypted = [octets for name, octets in parts(backup).items() if name.startswith("home/keys/")]
    assert encrypted
    assert not any(b"BEGIN PRIVATE KEY" in octets for octets in encrypted)


def test_every_table_is_in_it(backup: Path, town: Town) -> None:
    with closing(sqlite3.connect(town.home / "jpki.sqlite")) as database:
        found = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert {f"ledger/{each.name}.jsonl" for each in TABLES} <= parts(backup).keys()
    assert found - {each.name for each in TABLES} <= {
        *("lease", "console_session"),  # of what runs and who sits there now
        *("alembic_version", "sqlite_sequence"),
    }


def test_any_part_that_was_touched_is_named(jpki: Jpki, town: Town, backup: Path, tmp_path: Path) -> None:
    key = key_of(jpki, town.home, tmp_path / "key.pem")
    whole = parts(backup)
    assert jpki.done("backup", "verify", backup, "--key", key)["whole"]
    for number, name in enumerate(whole):
        changed = bytearray(whole[name])
        changed[len(changed) // 2 : len(changed) // 2 + 1] = b"~"
        touched = written(tmp_path / f"touched-{number}", whole | {name: bytes(changed)})
        # Of a manifest with another hash in it, only the signature tells.
        named = {name, "signature.json"} if name == "manifest.json" else {name}
        assert jpki.judged(1, "backup", "verify", touched, "--key", key)["bad"] in named
        lacking = written(tmp_path / f"lacking-{number}", {each: whole[each] for each in whole if each != name})
        assert jpki.judged(1, "backup", "verify", lacking, "--key", key)["bad"] == name
    more = written(tmp_path / "more", whole | {"home/keys/ghost.pem": b"?"})
    assert jpki.judged(1, "backup", "verify", more)["bad"] == "home/keys/ghost.pem"
    refusal = jpki.refused("backup", "restore", more, "--home", tmp_path / "new")
    assert (refusal.exit, refusal.code) == (1, "backup-damaged")
    assert not (tmp_path / "new").exists()


def test_what_another_authority_signed_is_not_believed(jpki: Jpki, backup: Path, tmp_path: Path) -> None:
    jpki.done("init", "--home", tmp_path / "other")
    key = key_of(jpki, tmp_path / "other", tmp_path / "key.pem")
    assert jpki.judged(1, "backup", "verify", backup, "--key", key)["bad"] == "signature.json"


def test_a_file_that_was_cut_off_is_refused(jpki: Jpki, backup: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    cut.write_bytes(backup.read_bytes()[:-100])
    assert jpki.refused("backup", "verify", cut).code == "backup-damaged"


# --- a restore -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("passphrase")
def test_an_act_that_no_log_tells_of_is_counted_by_the_anchor(
    jpki: Jpki, town: Town, rooms: Rooms, tmp_path: Path
) -> None:
    anchor, log, backup, new = (tmp_path / name for name in ("anchor", "log", "backup", "new"))
    rooms.notary.export(log)
    jpki.done("backup", "create", "--home", town.home, "--out", backup)
    serial = Serial(int(serial_in(town.authentication), 16))
    rooms.store.ledger.revoke([serial], Reason.KEY_COMPROMISE, LOCAL_OPERATOR, system_clock())
    for _ in range(3):
        rooms.store.audit.record(
            AuditEvent(at=system_clock(), actor=LOCAL_OPERATOR, act=Act.CLOCK_ACCEPTED, subjects=())
        )
        rooms.notary.sign()
    rooms.notary.export(anchor)
    known = rooms.store.audit_log.tip().number
    told = jpki.done("backup", "restore", backup, "--home", new, "--audit-log", log, "--anchor", anchor)
    through = told["audit"]["through"]
    assert (told["lost_acts"], told["audit"]["known"]) == (known - through, known)
    report = jpki.judged(1, "audit", "verify", "--home", new, "--anchor", anchor)
    assert report["fault"]["flaw"] == "cut", "nobody signed yet that this is a restore"
    restored = open_rooms(Home.open(new))
    restored.notary.attest()
    restored.close()
    report = jpki.done("audit", "verify", "--home", new, "--anchor", anchor, "--anchor", log)
    assert report["lost_heads"] == 4 - 1
    assert [each["through"] for each in report["restorations"]] == [through]


@pytest.mark.usefixtures("passphrase")
def test_verifiers_are_as_the_log_tells(jpki: Jpki, town: Town, backup: Path, tmp_path: Path) -> None:
    log, new = tmp_path / "log", tmp_path / "new"
    for name in ("Bank", "Shop"):
        words = ("--name", name, "--purpose", "tests", "--quota", "9", "--out", tmp_path / name)
        jpki.done("verifier", "add", "--home", town.home, *words)
    jpki.done("verifier", "certify", "1", "--home", town.home, "--alone", "--out", tmp_path / "again")
    jpki.done("verifier", "suspend", "2", "--home", town.home)
    jpki.done("audit", "export", "--home", town.home, "--out", log)
    jpki.done("backup", "restore", backup, "--home", new, "--audit-log", log)
    shown = [jpki.done("verifier", "list", "--home", home)["verifiers"] for home in (town.home, new)]
    assert shown[0] == shown[1]
    assert [each["certificates"] for each in shown[0]] == [
        [serial_in(tmp_path / "again")],
        [serial_in(tmp_path / "Shop")],
    ]


@pytest.mark.usefixtures("passphrase")
def test_an_anchor_that_knows_more_is_left_to_its_auditor(jpki: Jpki, town: Town, tmp_path: Path) -> None:
    anchor, backup, new = tmp_path / "anchor", tmp_path / "backup", tmp_path / "new"
    settings = town.home / "jpki.toml"
    settings.write_text(f'audit_anchor = "{anchor}"\n{settings.read_text()}')
    jpki.done("backup", "create", "--home", town.home, "--out", backup)
    rooms = open_rooms(Home.open(town.home))
    rooms.store.audit.record(AuditEvent(at=system_clock(), actor=LOCAL_OPERATOR, act=Act.CLOCK_ACCEPTED, subjects=()))
    rooms.notary.attest()
    rooms.close()
    before = anchor.read_bytes()
    told = jpki.done("backup", "restore", backup, "--home", new)
    assert told["lost_acts"] == 1
    assert told["audit_anchor"] == f"{anchor}.epoch-2"
    restored = open_rooms(Home.open(new))
    restored.notary.attest()
    restored.close()
    assert anchor.read_bytes() == before
    assert jpki.done("audit", "verify", "--home", new, "--anchor", anchor)["lost_heads"] == 1


@pytest.mark.usefixtures("passphrase")
def test_r26_the_second_restore_from_one_backup_has_an_epoch_of_its_own(
    jpki: Jpki, backup: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    assert jpki.done("backup", "restore", backup, "--home", tmp_path / "one")["epoch"] == 2
    jpki.done("audit", "export", "--home", tmp_path / "one", "--out", log)
    assert jpki.done("backup", "restore", backup, "--home", tmp_path / "two", "--audit-log", log)["epoch"] == 3


class _Idle(SqlAudit):
    """Chains nothing, as if others kept its turn."""

    def chain(self, randomness: Randomness) -> int:
        del randomness
        return 0


@pytest.mark.usefixtures("passphrase")
def test_acts_that_waited_to_be_chained_happen_once(jpki: Jpki, town: Town, rooms: Rooms, tmp_path: Path) -> None:
    """The outbox of the backup is chained in the log, under numbers after it."""
    log, backup, new = tmp_path / "log", tmp_path / "backup", tmp_path / "new"
    rooms.notary.chain()
    serial = Serial(int(serial_in(town.authentication), 16))
    rooms.store.ledger.revoke([serial], Reason.KEY_COMPROMISE, LOCAL_OPERATOR, system_clock())
    idle = replace(rooms, notary=replace(rooms.notary, audit=_Idle(rooms.store.database)))
    create(idle, backup, LOCAL_OPERATOR, lambda _: None, with_keys=True)
    assert parts(backup)["ledger/audit_outbox.jsonl"].count(b"\n") == 1 + 2
    rooms.notary.export(log)
    jpki.done("backup", "restore", backup, "--home", new, "--audit-log", log)
    acts = [each["act"] for each in jpki.done("audit", "log", "--home", new)["entries"]]
    assert [acts.count(each) for each in (Act.REVOKED, Act.BACKUP_MADE, Act.RESTORED)] == [1, 1, 1]
    restored = open_rooms(Home.open(new))
    entries = [each for each in restored.store.journal.since(0, 100).entries if each.serial == serial]
    restored.close()
    assert [each.state for each in entries] == [State.ACTIVE, State.REVOKED]


def test_a_log_of_another_authority_is_refused_and_nothing_is_made(jpki: Jpki, backup: Path, tmp_path: Path) -> None:
    jpki.done("init", "--home", tmp_path / "other")
    jpki.done("audit", "export", "--home", tmp_path / "other", "--out", tmp_path / "log")
    refusal = jpki.refused("backup", "restore", backup, "--home", tmp_path / "new", "--audit-log", tmp_path / "log")
    assert refusal.code == "audit-log-altered"
    assert "signer-unknown" in refusal.english
    assert not (tmp_path / "new").exists()


def test_r02_what_was_on_its_way_is_revoked_and_never_void(jpki: Jpki, town: Town, tmp_path: Path) -> None:
    """After the log's end it may have been signed."""
    backup, new = tmp_path / "backup", tmp_path / "new"
    with closing(sqlite3.connect(town.home / "jpki.sqlite")) as database:
        database.execute(
            "UPDATE status SET state = 'reserved', position = 0 WHERE serial = ?", [serial_in(town.signing)]
        )
        database.commit()
    jpki.done("backup", "create", "--home", town.home, "--out", backup)
    assert jpki.done("backup", "restore", backup, "--home", new)["lost_certificates"] == 1
    rooms = open_rooms(Home.open(new))
    status = rooms.store.ledger.status(Serial(int(serial_in(town.signing), 16)))
    rooms.close()
    assert status is not None
    assert (status.state, status.reason) == (State.REVOKED, Reason.UNSPECIFIED)
