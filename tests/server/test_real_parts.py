"""Homes with real parts: keys in a token, a ledger on PostgreSQL, the next card; and each of them gone or wrong."""

import itertools
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from psycopg import sql

from hsm_adapter.pkcs11 import Token, make_token
from jpki.acts import LOCAL_OPERATOR
from jpki.clock import day_in_japan, system_clock
from jpki.errors import JpkiError
from jpki.ids import Serial
from jpki.revocation import Finding
from jpki.verifier import LookUp, VerifierState
from server.app import Door, create_app
from server.cli.frame import run
from server.home import Home
from server.settings import read_settings
from server.store.database import Database
from server.store.tables import metadata
from server.store.verifiers import SqlVerifiers
from server.wiring import open_rooms
from tests.conftest import SteppingClock
from tests.forked import Command
from tests.server.console import Jpki
from tests.server.people import holder_file
from tests.server.postgresql import Server, running

pytestmark = pytest.mark.slow
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def holder(tmp_path: Path) -> Path:
    return holder_file(tmp_path)


@pytest.fixture(scope="session")
def token_home(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Path:
    """A home whose keys are in a SoftHSM token of its own."""
    program("softhsm2-util")
    home = tmp_path_factory.mktemp("token") / "home"
    assert run(["init", "--home", str(home), "--keys", "pkcs11", "--json"]) == 0
    return home


def live_a_little(jpki: Jpki, home: Path, holder: Path, folder: Path) -> None:
    """Issue both, sign, verify, revoke, publish, and look."""
    for kind in ("authentication", "signing"):
        jpki.done("issue", "--home", home, "--kind", kind, "--holder", holder, "--out", folder / kind)
    document = folder / "letter.txt"
    document.write_text("a letter")
    signed = folder / "letter.p7m"
    pair = ("--certificate", folder / "signing/certificate.pem", "--key", folder / "signing/key.pem")
    jpki.done("sign", document, *pair, "--out", signed)
    assert jpki.done("verify", signed, "--home", home)["decision"] == "accept"
    serial = serial_of(folder / "signing")
    assert jpki.done("revoke", serial, "--home", home, "--reason", "keyCompromise")["state"] == "revoked"
    assert len(jpki.done("crl", "publish", "--home", home)["published"]) == 2
    assert jpki.judged(1, "verify", signed, "--home", home)["decision"] == "refuse"


def serial_of(folder: Path) -> str:
    return f"0x{x509.load_pem_x509_certificate((folder / 'certificate.pem').read_bytes()).serial_number:x}"


# --- keys in a token -----------------------------------------------------------------------------------------------


def test_an_authority_lives_on_a_token(jpki: Jpki, token_home: Path, holder: Path, tmp_path: Path) -> None:
    assert not (token_home / "keys").exists()
    live_a_little(jpki, token_home, holder, tmp_path)


def test_a_wrong_pin_is_one_clear_error(
    jpki: Jpki, token_home: Path, holder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPKI_PIN", "00000000")
    words = ("issue", "--home", token_home, "--kind", "signing", "--holder", holder, "--out", tmp_path / "out")
    refused = jpki.refused(*words)
    assert (refused.exit, refused.code) == (1, "pin-wrong")
    assert not (tmp_path / "out").exists()


def test_a_missing_token_is_try_again(jpki: Jpki, token_home: Path, holder: Path, tmp_path: Path) -> None:
    home = shutil.copytree(token_home, tmp_path / "home")
    settings = home / "jpki.toml"
    token = next(line for line in settings.read_text().splitlines() if line.startswith("token"))
    settings.write_text(settings.read_text().replace(token, 'token = "elsewhere"'))
    refused = jpki.refused("issue", "--home", home, "--kind", "signing", "--holder", holder, "--out", tmp_path / "out")
    assert (refused.exit, refused.code) == (75, "token-unknown")


def test_r19_a_token_directory_that_is_gone_is_an_outage_and_comes_back(
    jpki: Jpki, token_home: Path, tmp_path: Path
) -> None:
    tokens, away = token_home / "softhsm/tokens", tmp_path / "away"
    tokens.rename(away)
    try:
        refused = jpki.refused("crl", "publish", "--all", "--home", token_home)
        assert (refused.exit, refused.kind) == (75, "unavailable")
    finally:
        away.rename(tokens)
    assert jpki.done("crl", "publish", "--all", "--home", token_home)["published"]


def test_a_taxpayer_signs_with_a_token(
    jpki: Jpki, token_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder's key lies in a token, brought there by its own tool; `sign` finds it by URI and PIN."""
    holder = holder_file(tmp_path, code="H-0099")
    jpki.done("issue", "--home", token_home, "--kind", "signing", "--holder", holder, "--out", tmp_path / "card")
    (tmp_path / "tokens").mkdir()
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(configuration))
    module = Path("/usr/lib/softhsm/libsofthsm2.so")
    make_token(Token(module=module, label="card"), so_pin="11112222", pin="33334444")
    words = ["--import", str(tmp_path / "card/key.pem"), "--token", "card", "--label", "sign", "--id", "01"]
    subprocess.run(["softhsm2-util", *words, "--pin", "33334444"], check=True, capture_output=True)
    document = tmp_path / "letter.txt"
    document.write_text("a letter")
    uri = f"pkcs11:token=card;object=sign?module-path={module}"
    sign = ("sign", document, "--certificate", tmp_path / "card/certificate.pem", "--key", uri)
    assert jpki.refused(*sign, "--out", tmp_path / "no.p7m").code == "pin-missing"
    monkeypatch.setenv("JPKI_PIN", "33334444")
    jpki.done(*sign, "--out", tmp_path / "letter.p7m")
    monkeypatch.delenv("JPKI_PIN")
    assert jpki.done("verify", tmp_path / "letter.p7m", "--home", token_home)["decision"] == "accept"


def test_a_missing_pin_says_how_to_give_it(jpki: Jpki, token_home: Path, holder: Path, tmp_path: Path) -> None:
    home = shutil.copytree(token_home, tmp_path / "home")
    (home / "secrets/token-pin").unlink()
    refused = jpki.refused("issue", "--home", home, "--kind", "signing", "--holder", holder, "--out", tmp_path / "out")
    assert (refused.exit, refused.code) == (1, "secret-missing")
    assert "JPKI_PIN_FILE" in refused.printed


def test_a_module_that_cannot_be_loaded_is_named_as_such(
    jpki: Jpki, token_home: Path, holder: Path, tmp_path: Path
) -> None:
    home = shutil.copytree(token_home, tmp_path / "home")
    settings = (home / "jpki.toml").read_text()
    module = next(line for line in settings.splitlines() if line.startswith("module"))
    (home / "jpki.toml").write_text(settings.replace(module, 'module = "/nonexistent.so"'))
    refused = jpki.refused("issue", "--home", home, "--kind", "signing", "--holder", holder, "--out", tmp_path / "out")
    assert (refused.exit, refused.code) == (75, "hsm-unavailable")
    assert "library cannot be loaded" in refused.english


def test_r19_a_key_that_is_not_in_the_token_is_an_outage(
    jpki: Jpki, token_home: Path, holder: Path, tmp_path: Path
) -> None:
    home = shutil.copytree(token_home, tmp_path / "home")
    database = Database.at_file(home / "jpki.sqlite")
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE generation SET key_uri = replace(key_uri, 'ca-signing', 'lost')")
        connection.exec_driver_sql("UPDATE generation SET key_uri = substr(key_uri, 1, instr(key_uri, ';id') - 1)")
    database.close()
    refused = jpki.refused("issue", "--home", home, "--kind", "signing", "--holder", holder, "--out", tmp_path / "out")
    assert (refused.exit, refused.code) == (75, "key-not-found")
    assert not (tmp_path / "out").exists()


# --- the ledger on PostgreSQL --------------------------------------------------------------------------------------


@pytest.fixture
def pg_home(jpki: Jpki, postgresql: Server, tmp_path: Path) -> Path:
    home = tmp_path / "home"
    jpki.done("init", "--home", home, "--database", postgresql.new_database(f"home{next(_numbers)}"))
    return home


def test_an_authority_lives_on_postgresql(jpki: Jpki, pg_home: Path, holder: Path, tmp_path: Path) -> None:
    assert not (pg_home / "jpki.sqlite").exists()
    live_a_little(jpki, pg_home, holder, tmp_path)


def test_generations_follow_each_other_on_postgresql(jpki: Jpki, pg_home: Path, holder: Path, tmp_path: Path) -> None:
    out = tmp_path / "authentication"
    jpki.done("issue", "--home", pg_home, "--kind", "authentication", "--holder", holder, "--out", out)
    jpki.done("ceremony", "new-generation", "--home", pg_home, "--ca", "both")
    jpki.done("ceremony", "compromise", "--home", pg_home, "--generation", "a1")
    assert jpki.done("status", serial_of(out), "--home", pg_home)["reason"] == "cACompromise"
    live_a_little(jpki, pg_home, holder, tmp_path / "again")
    assert jpki.done("doctor", "--home", pg_home)["healthy"]


@contextmanager
def serving(installed: Path, home: Path, *more: str) -> Iterator[str]:
    with Command(installed, "serve", "--home", home, "--port", "0", "--lang", "en", *more) as process:
        try:
            line = next(line for line in process.stderr if line.startswith("Answering on"))
            yield line.split()[2]
        finally:
            process.terminate()
            process.wait(60)


def test_r16_nodes_on_one_database_agree_within_a_second(
    jpki: Jpki, installed: Path, pg_home: Path, holder: Path, tmp_path: Path, program: Callable[[str], str]
) -> None:
    program("openssl")
    jpki.done("issue", "--home", pg_home, "--kind", "signing", "--holder", holder, "--out", tmp_path / "card")
    with serving(installed, pg_home) as one, serving(installed, pg_home) as other:
        with urllib.request.urlopen(f"{one}/readyz") as ready:
            assert ready.status == 200
        assert [asked(tmp_path, one), asked(tmp_path, other)] == ["good", "good"]
        jpki.done("revoke", serial_of(tmp_path / "card"), "--home", pg_home, "--reason", "keyCompromise")
        time.sleep(1)
        assert [asked(tmp_path, one), asked(tmp_path, other)] == ["revoked", "revoked"]


@pytest.fixture
def ocsp_role(postgresql: Server, pg_home: Path) -> str:
    """A role of the database server that owns nothing."""
    role = f"ocsp{next(_numbers)}"
    with psycopg.connect(_url_of(pg_home), autocommit=True) as owner:
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
    assert postgresql.port
    return role


def _url_of(home: Path) -> str:
    url = read_settings(home / "jpki.toml").database
    assert url is not None
    return url


def test_the_ocsp_door_runs_under_a_role_that_the_server_refuses_all_else(
    jpki: Jpki, installed: Path, pg_home: Path, ocsp_role: str, holder: Path, tmp_path: Path
) -> None:
    jpki.done("issue", "--home", pg_home, "--kind", "signing", "--holder", holder, "--out", tmp_path / "card")
    granted = jpki.done("db", "grant", ocsp_role, "--door", "ocsp", "--home", pg_home)["tables"]
    assert set(granted) == {"alembic_version", "delegate", "generation", "journal", "ledger", "status"}
    narrow = _url_of(pg_home).replace("postgres@", f"{ocsp_role}@")
    with psycopg.connect(narrow, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM status").fetchone() == (1,)
        for table in set(metadata.tables) - set(granted):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))
        for act in ("UPDATE status SET state = 'active'", "DELETE FROM generation"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(act)
    require_look_ups_can_be_written_and_not_read(jpki, pg_home, ocsp_role)
    door = tmp_path / "door"
    door.mkdir()
    (door / "jpki.toml").write_text((pg_home / "jpki.toml").read_text().replace("postgres@", f"{ocsp_role}@"))
    (door / "keys").mkdir()
    for key in (pg_home / "keys").glob("ocsp-*"):
        shutil.copy(key, door / "keys")
    shutil.copytree(pg_home / "secrets", door / "secrets")
    with serving(installed, door, "--door", "ocsp") as url:
        assert asked(tmp_path, url) == "good"
        with urllib.request.urlopen(f"{url}/metrics") as answer:
            told = answer.read().decode()
        position = re.findall(r"^jpki_journal_he\w+_position (.*)", told, re.MULTILINE)
        assert position == ["1.0", "1.0"]
        assert len(re.findall(r"^jpki_ocsp_responder_not_after_timestamp_seconds\{", told, re.MULTILINE)) == 2
        assert re.findall(r"^jpki_ready\{.*", told, re.MULTILINE) == [
            f'jpki_ready{{check="{check}"}} 1.0' for check in ("database", "ocsp", "journal")
        ]
        jpki.done("revoke", serial_of(tmp_path / "card"), "--home", pg_home, "--reason", "keyCompromise")
        time.sleep(1)
        assert asked(tmp_path, url) == "revoked"


def require_look_ups_can_be_written_and_not_read(jpki: Jpki, pg_home: Path, ocsp_role: str) -> None:
    """In `registered` mode, and in no other, the door's role may add to what is known of holders, unseen."""
    settings = pg_home / "jpki.toml"
    before = settings.read_text()
    settings.write_text(before.replace('verifiers = "open"', 'verifiers = "registered"'))
    granted = jpki.done("db", "grant", ocsp_role, "--door", "ocsp", "--home", pg_home)["tables"]
    assert {"look_up", "verifier", "verifier_certificate", "verifier_use"} < set(granted)
    settings.write_text(before)
    databases = [Database.at_url(_url_of(pg_home).replace("postgres@", f"{role}@")) for role in (ocsp_role, "postgres")]
    narrow, whole = map(SqlVerifiers, databases)
    now = system_clock()
    bank = whole.register("Bank", "accounts", None, LOCAL_OPERATOR, now)
    told = LookUp(now, bank, Serial(1), Finding.GOOD)
    narrow.record([told], {bank: 1}, day_in_japan(now))
    assert narrow.admitted(day_in_japan(now)) == {}
    assert whole.look_ups(Serial(1)) == [told]
    for act in (
        lambda: narrow.look_ups(Serial(1)),
        lambda: narrow.change(bank, VerifierState.SUSPENDED, LOCAL_OPERATOR, now),
    ):
        with pytest.raises(JpkiError):
            act()
    for database in databases:
        database.close()


def test_the_crl_door_tells_of_its_lists_under_its_role(
    jpki: Jpki, pg_home: Path, ocsp_role: str, holder: Path, tmp_path: Path
) -> None:
    jpki.done("issue", "--home", pg_home, "--kind", "signing", "--holder", holder, "--out", tmp_path / "card")
    granted = jpki.done("db", "grant", ocsp_role, "--door", "crl", "--home", pg_home)["tables"]
    assert set(granted) == {"alembic_version", "crl", "generation", "partition", "partition_url"}
    door = tmp_path / "door"
    door.mkdir()
    (door / "jpki.toml").write_text((pg_home / "jpki.toml").read_text().replace("postgres@", f"{ocsp_role}@"))
    shutil.copytree(pg_home / "crl", door / "crl")
    rooms = open_rooms(Home.open(door))
    client = create_app(rooms, [Door.CRL]).test_client()
    told: Any = client.get("/crl/index.json").json
    assert [each["municipality"]["name"] for each in told["lists"] if each["municipality"]] == ["千代田区"]
    assert all(each["sha256"] for each in told["lists"])
    assert client.get("/crl/?q=千代田区").status_code == 200
    rooms.close()


def asked(folder: Path, url: str) -> str:
    """What `openssl ocsp` is told of the certificate in the folder `card`."""
    chain, certificate = folder / "card/chain.pem", folder / "card/certificate.pem"
    words = ["openssl", "ocsp", "-issuer", chain, "-CAfile", chain, "-cert", certificate, "-url", f"{url}/ocsp"]
    said = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True).stdout
    return said.splitlines()[0].rpartition(": ")[2]


def test_sqlite_knows_no_roles(jpki: Jpki, home: Path) -> None:
    refused = jpki.refused("db", "grant", "someone", "--door", "ocsp", "--home", home)
    assert (refused.exit, refused.code) == (1, "database-without-roles")


def test_a_database_that_is_away_is_try_again_and_comes_back(jpki: Jpki, pg_home: Path, postgresql: Server) -> None:
    postgresql.stop()
    try:
        refused = jpki.refused("crl", "list", "--home", pg_home)
        assert (refused.exit, refused.code) == (75, "database-unavailable")
    finally:
        postgresql.start()
    assert jpki.done("crl", "list", "--home", pg_home)["lists"]


def test_a_foreign_database_is_refused_and_left_alone(jpki: Jpki, postgresql: Server, tmp_path: Path) -> None:
    url = postgresql.new_database("foreign")
    database = Database.at_url(url)
    with database.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE cats (name TEXT)")
    database.close()
    refused = jpki.refused("init", "--home", tmp_path / "home", "--database", url)
    assert (refused.exit, refused.code) == (1, "database-not-empty")
    assert not (tmp_path / "home").exists()
    jpki.done("init", "--home", tmp_path / "home", "--database", postgresql.new_database("ours"))
    settings = tmp_path / "home/jpki.toml"
    settings.write_text(settings.read_text().replace("/ours", "/foreign"))
    for command in ("crl list", "db upgrade"):
        refused = jpki.refused(*command.split(), "--home", tmp_path / "home")
        assert (refused.exit, refused.code) == (1, "database-foreign")


def test_a_database_that_cannot_be_reached_says_why(jpki: Jpki, postgresql: Server, tmp_path: Path) -> None:
    here = f"postgres@127.0.0.1:{postgresql.port}"
    reasons = {
        f"postgresql://{here}/nowhere": 'database "nowhere" does not exist',
        f"postgresql://nobody@127.0.0.1:{postgresql.port}/postgres": 'role "nobody" does not exist',
        "postgresql://postgres@127.0.0.1:1/postgres": "Connection refused",
    }
    for url, reason in reasons.items():
        refused = jpki.refused("init", "--home", tmp_path / "home", "--database", url)
        assert (refused.exit, refused.code) == (75, "database-unavailable")
        assert reason in refused.english
        assert not (tmp_path / "home").exists()


def test_a_failed_ceremony_leaves_the_database_as_it_was(
    jpki: Jpki, postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgresql.new_database("again")
    # A token whose module is no module fails only after the tables were made.
    keys = "pkcs11:token=none?module-path=/nonexistent.so"
    monkeypatch.setenv("JPKI_PIN", "1234")
    refused = jpki.refused("init", "--home", tmp_path / "home", "--database", url, "--keys", keys)
    assert (refused.exit, refused.code) == (75, "hsm-unavailable")
    jpki.done("init", "--home", tmp_path / "home", "--database", url)


def test_a_half_migrated_database_is_refused_until_upgraded(jpki: Jpki, home: Path) -> None:
    database = Database.at_file(home / "jpki.sqlite")
    database.migrate("base")
    refused = jpki.refused("crl", "list", "--home", home)
    assert (refused.exit, refused.code) == (1, "database-foreign")
    database.migrate("0001")
    refused = jpki.refused("crl", "list", "--home", home)
    assert (refused.exit, refused.code) == (1, "database-outdated")
    assert jpki.done("db", "upgrade", "--home", home)["before"] == "0001"
    assert jpki.done("crl", "list", "--home", home)["lists"] == []


@pytest.mark.parametrize("on", ["sqlite", "postgresql"])
def test_a_ledger_that_lacks_a_table_is_named_as_such(
    jpki: Jpki, request: pytest.FixtureRequest, holder: Path, tmp_path: Path, on: str
) -> None:
    home: Path = request.getfixturevalue("home" if on == "sqlite" else "pg_home")
    rooms = open_rooms(Home(home))
    with rooms.store.database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE holder_key RENAME TO elsewhere")
    rooms.close()
    refused = jpki.refused("issue", "--home", home, "--kind", "signing", "--holder", holder, "--out", tmp_path / "out")
    assert (refused.exit, refused.code) == (1, "database-incomplete")


@pytest.mark.parametrize("command", ["crl list", "db upgrade", "doctor"])
def test_a_newer_ledger_asks_for_a_newer_program(jpki: Jpki, home: Path, command: str) -> None:
    database = Database.at_file(home / "jpki.sqlite")
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    refused = jpki.refused(*command.split(), "--home", home)
    assert (refused.exit, refused.code) == (1, "database-newer")


def test_upgrading_a_current_database_changes_nothing(jpki: Jpki, home: Path) -> None:
    done = jpki.done("db", "upgrade", "--home", home)
    assert done["before"] == done["after"]


def test_an_operator_can_accept_the_clock_after_one_ran_ahead(
    jpki: Jpki, home: Path, holder: Path, tmp_path: Path
) -> None:
    ahead = SteppingClock(system_clock() + timedelta(days=1))
    database = Database.at_file(home / "jpki.sqlite")
    with database.writing() as connection:
        database.advance_clock(connection, ahead())
    database.close()
    words = ("issue", "--home", home, "--kind", "signing", "--holder", holder, "--out", tmp_path / "card")
    assert jpki.refused(*words).code == "clock-went-back"
    jpki.done("crl", "publish", "--all", "--home", home)
    jpki.done("db", "accept-clock", "--home", home)
    jpki.done(*words)


# --- the next card -------------------------------------------------------------------------------------------------


def test_an_authority_of_the_next_card(jpki: Jpki, holder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    made = jpki.done("init", "--home", home, "--profile", "card-v2")
    assert {int(ca["not_after"][:4]) - int(ca["issue_until"][:4]) for ca in made["cas"]} <= {11, 12}
    live_a_little(jpki, home, holder, tmp_path)
    certificate = x509.load_pem_x509_certificate((tmp_path / "authentication/certificate.pem").read_bytes())
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp384r1"
    assert certificate.signature_algorithm_oid.dotted_string == "1.2.840.10045.4.3.3"
    assert 9 * 365 < (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days <= 10 * 365 + 3


# --- hold and release ----------------------------------------------------------------------------------------------


def test_an_authentication_certificate_is_held_and_released(
    jpki: Jpki, home: Path, holder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "card"
    jpki.done("issue", "--home", home, "--kind", "authentication", "--holder", holder, "--out", out)
    serial = serial_of(out)
    assert jpki.done("hold", serial, "--home", home)["state"] == "held"
    assert jpki.refused("hold", serial, "--home", home).code == "not-live"
    assert jpki.done("release", serial, "--home", home)["state"] == "active"
    assert jpki.refused("release", serial, "--home", home).code == "not-live"


def test_the_hold_of_a_signing_certificate_never_lifts(jpki: Jpki, home: Path, holder: Path, tmp_path: Path) -> None:
    out = tmp_path / "card"
    jpki.done("issue", "--home", home, "--kind", "signing", "--holder", holder, "--out", out)
    serial = serial_of(out)
    jpki.done("hold", serial, "--home", home)
    refused = jpki.refused("release", serial, "--home", home)
    assert (refused.exit, refused.code) == (1, "hold-final")
    assert jpki.done("revoke", serial, "--home", home, "--reason", "keyCompromise")["state"] == "revoked"
