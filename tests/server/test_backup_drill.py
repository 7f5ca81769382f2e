"""The restore drill: a town, a backup, more life, a disaster; then nobody is told a false "good" (ADR 0013)."""

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.key_policy import holder_key
from crl.outline import number_of
from enroll.orders import Terms, first_order
from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import CARD, Purpose
from jpki.clock import system_clock
from jpki.delegate import DelegateKind
from jpki.errors import JpkiError
from jpki.ids import Serial, format_serial
from jpki.resident import taken_at_word
from jpki.revocation import Reason, State
from server.cli.frame import run
from server.home import Home
from server.sample.town import populate
from server.wiring import Rooms, open_rooms
from tests.hsm_adapter.tokens import new_token
from tests.server.console import Jpki
from tests.server.people import card_key, request, someone
from tests.server.postgresql import Server, running

pytestmark = pytest.mark.slow
_numbers = itertools.count(1)
PASSPHRASE = "a passphrase of the drill"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as started:
        yield started


@dataclass(slots=True)
class Town:
    """What verifiers and auditors saw of a town before its disaster."""

    home: Path
    backup: Path
    log: Path
    anchor: Path
    key: Path
    untouched: list[Serial] = field(default_factory=list)
    revoked: dict[Serial, Reason] = field(default_factory=dict)
    held: list[Serial] = field(default_factory=list)
    released: list[Serial] = field(default_factory=list)
    lost: list[Serial] = field(default_factory=list)
    voided: list[Serial] = field(default_factory=list)
    numbers: dict[Path, int] = field(default_factory=dict)
    epoch: int = 0
    position: int = 0
    latest_audit: int = 0


def _issue(rooms: Rooms, code: str, purpose: Purpose, key: int) -> Serial:
    return Serial(rooms.desk.issue(someone(code), purpose, request(card_key(key)), LOCAL_OPERATOR).serial_number)


def _voided(rooms: Rooms) -> list[Serial]:
    """Reserve a certificate and close it before it is signed."""
    authority, profile = rooms.desk.authority, rooms.profile
    terms = Terms(profile=profile, now=rooms.clock())
    key = holder_key(request(card_key(25)), profile.key)
    order = first_order(taken_at_word(someone("N-v")), Purpose.AUTHENTICATION, CARD, key, terms)
    serials = list(authority.issuer.prepare([order], LOCAL_OPERATOR).to_be_signed)
    assert authority.discard(serials, LOCAL_OPERATOR) == 1
    return serials


def _list_numbers(home: Path) -> dict[Path, int]:
    return {
        file.relative_to(home): number_of(x509.load_der_x509_crl(file.read_bytes()))
        for file in sorted((home / "crl").rglob("*.crl"))
    }


def _lived(folder: Path, *words: str) -> Town:
    """Found a town, back it up, and let it live on until all that is left of it lies outside its home."""
    town = Town(folder / "home", folder / "backup", folder / "log", folder / "anchor", folder / "key.pem")
    assert run(["init", "--home", str(town.home), *words, "--json"]) == 0
    settings = town.home / "jpki.toml"
    text = settings.read_text()
    settings.write_text(f'audit_anchor = "{town.anchor}"\n{text}')
    rooms = open_rooms(Home.open(town.home))
    populate(rooms, "drill", 3, lambda _: None)
    known = {name: _issue(rooms, f"K-{name}", Purpose.AUTHENTICATION, number) for number, name in enumerate("abcd", 10)}
    rooms.store.ledger.hold(known["c"], LOCAL_OPERATOR, system_clock())
    rooms.publisher.publish_due()
    rooms.notary.export(town.log)
    assert run(["backup", "create", "--home", str(town.home), "--out", str(town.backup), "--json"]) == 0

    ledger = rooms.store.ledger
    ledger.revoke([known["b"]], Reason.KEY_COMPROMISE, LOCAL_OPERATOR, system_clock())
    ledger.release(known["c"], LOCAL_OPERATOR, system_clock())
    ledger.hold(known["d"], LOCAL_OPERATOR, system_clock())
    new = {name: _issue(rooms, f"N-{name}", Purpose.AUTHENTICATION, number) for number, name in enumerate("wxyz", 20)}
    new["s"] = _issue(rooms, "N-w", Purpose.SIGNING, 24)
    ledger.revoke([new["x"]], Reason.CESSATION_OF_OPERATION, LOCAL_OPERATOR, system_clock())
    ledger.hold(new["y"], LOCAL_OPERATOR, system_clock())
    ledger.hold(new["z"], LOCAL_OPERATOR, system_clock())
    ledger.release(new["z"], LOCAL_OPERATOR, system_clock())
    town.voided = _voided(rooms)
    (root, *_) = rooms.store.generations.ever(Purpose.INFRASTRUCTURE)
    rooms.delegation.client(root, card_key(26).public_key(), DelegateKind.CLERK, "lost", LOCAL_OPERATOR)
    rooms.publisher.publish_all()
    rooms.publisher.publish_all()
    rooms.notary.export(town.log)
    rooms.notary.attest()
    town.key.write_text(_auditors_key(rooms))
    town.untouched, town.held, town.released = [known["a"]], [known["d"]], [known["c"]]
    town.revoked = {known["b"]: Reason.KEY_COMPROMISE, new["x"]: Reason.CESSATION_OF_OPERATION}
    town.lost = [new["w"], new["y"], new["z"], new["s"]]
    town.numbers = _list_numbers(town.home)
    changes = rooms.store.journal.since(0, 10_000)
    town.epoch, town.position = changes.epoch, changes.entries[-1].position
    town.latest_audit = rooms.store.audit_log.tip().number
    rooms.close()
    return town


def _auditors_key(rooms: Rooms) -> str:
    roots = rooms.store.generations.ever(Purpose.INFRASTRUCTURE)
    return "".join(root.certificate.public_bytes(Encoding.PEM).decode() for root in roots)


@pytest.fixture(params=["sqlite", "postgresql", "sqlite to postgresql", "postgresql to sqlite", "tokens"])
def drill(
    request: pytest.FixtureRequest, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> tuple[Town, list[str]]:
    """A town after its disaster, and where it is to be restored to."""
    before, _, after = request.param.partition(" to ")
    after = after or before
    monkeypatch.setenv("JPKI_KEY_PASSPHRASE", PASSPHRASE)
    words = ["--database", server.new_database(f"drill{next(_numbers)}")] if before == "postgresql" else []
    if before == "tokens":
        token = new_token(tmp_path)
        monkeypatch.setenv("SOFTHSM2_CONF", token.environment["SOFTHSM2_CONF"])
        monkeypatch.setenv("JPKI_PIN", "24681357")
        words = ["--keys", f"pkcs11:token={token.label.replace(' ', '%20')}?module-path={token.module}"]
    town = _lived(tmp_path, *words)
    shutil.rmtree(town.home)
    target = ["--database", server.new_database(f"drill{next(_numbers)}")] if after == "postgresql" else []
    return town, target


def test_r02_r04_r11_r26_after_a_disaster_nothing_is_good_that_was_not(
    drill: tuple[Town, list[str]], jpki: Jpki
) -> None:
    town, target = drill
    assert jpki.done("backup", "verify", town.backup, "--key", town.key)["believed"]
    told = jpki.done("backup", "restore", town.backup, "--home", town.home, *target, "--audit-log", town.log)
    assert told["epoch"] == town.epoch + 1
    assert told["lost_acts"] == 0
    assert told["audit"]["through"] == town.latest_audit
    assert told["lost_certificates"] == len(town.lost)

    rooms = open_rooms(Home.open(town.home))
    _check_statuses(rooms, town)
    _check_readers(rooms, town)
    rooms.publisher.publish_due()
    _check_lists(town)
    _check_new_life(rooms, town)
    rooms.notary.attest()
    rooms.close()

    assert jpki.done("doctor", "--home", town.home)["healthy"]
    assert jpki.done("reconcile", "--home", town.home)["found"] == 0
    report = jpki.done("audit", "verify", "--home", town.home, "--anchor", town.anchor, "--anchor", town.log)
    assert report["restorations"][0]["through"] == town.latest_audit
    assert report["lost_heads"] == 0
    assert jpki.done("audit", "export", "--home", town.home, "--out", town.log)["added"] > 0
    assert jpki.done("audit", "verify", "--key", town.key, "--log", town.log, "--anchor", town.anchor)["whole"]


def _check_statuses(rooms: Rooms, town: Town) -> None:
    statuses = {
        serial: rooms.store.ledger.status(serial)
        for serial in (*town.untouched, *town.released, *town.held, *town.revoked, *town.lost, *town.voided)
    }
    for serial, status in statuses.items():
        assert status is not None
        wanted = (State.REVOKED, town.revoked.get(serial, Reason.UNSPECIFIED))
        if serial in (*town.untouched, *town.released):
            wanted = (State.ACTIVE, None)  # type: ignore[assignment]
        elif serial in town.voided:
            wanted = (State.VOID, None)  # type: ignore[assignment]
        elif serial in town.held:
            wanted = (State.HELD, Reason.CERTIFICATE_HOLD)
        assert (status.state, status.reason) == wanted, format_serial(serial)


def _check_readers(rooms: Rooms, town: Town) -> None:
    """A reader of before sees another epoch; beginning anew it misses nothing, and comes to what the ledger says."""
    assert rooms.store.journal.since(town.position, 10).epoch != town.epoch
    told: dict[Serial, State] = {}
    position, epochs = 0, set()
    while (changes := rooms.store.journal.since(position, 7)).entries:
        epochs.add(changes.epoch)
        assert [each.position for each in changes.entries] == list(
            range(position + 1, position + 1 + len(changes.entries))
        )
        told |= {each.serial: each.state for each in changes.entries}
        position = changes.entries[-1].position
    assert epochs == {town.epoch + 1}
    for serial, state in told.items():
        status = rooms.store.ledger.status(serial)
        assert status is not None
        assert status.state is state
    assert told.keys() >= {*town.revoked, *town.lost, *town.held, *town.released, *town.untouched}


def _check_lists(town: Town) -> None:
    numbers = _list_numbers(town.home)
    assert numbers.keys() >= town.numbers.keys()
    assert all(numbers[file] > number for file, number in town.numbers.items())
    listed = {
        revoked.serial_number
        for file in numbers
        if file.stem == "complete"
        for revoked in x509.load_der_x509_crl((town.home / file).read_bytes())
    }
    assert listed >= {*town.revoked, *town.held, *town.lost}
    assert not listed & {*town.untouched, *town.released}


def _check_new_life(rooms: Rooms, town: Town) -> None:
    """The holders whose certificates were lost get new ones, with new keys; what was lost is revoked once only."""
    serial = _issue(rooms, "N-w", Purpose.AUTHENTICATION, 30)
    assert serial not in {*town.lost, *town.revoked, *town.held, *town.untouched}
    with pytest.raises(JpkiError) as blocked:
        _issue(rooms, "N-z", Purpose.AUTHENTICATION, 20)
    assert blocked.value.code == "key-blocked"
    with pytest.raises(JpkiError) as twice:
        rooms.store.ledger.revoke([town.lost[0]], Reason.SUPERSEDED, LOCAL_OPERATOR, system_clock())
    assert twice.value.code == "already-revoked"
    rooms.store.ledger.release(town.held[0], LOCAL_OPERATOR, system_clock())
