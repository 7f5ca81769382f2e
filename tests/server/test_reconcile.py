"""`jpki reconcile`: what is sound has no difference, what a crash left is closed, and whatever else differs is told."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import ColumnElement, Connection, Table, and_, delete, insert, select, update

from ca.key_policy import holder_key
from enroll.orders import Terms, first_order
from jpki.acts import LOCAL_OPERATOR as BY
from jpki.acts import Act, AuditEvent
from jpki.certificate import CARD, Purpose
from jpki.clock import system_clock
from jpki.ids import Serial, format_serial
from jpki.randomness import system_randomness
from jpki.resident import taken_at_word
from jpki.revocation import Reason, State, Status
from ocsp.responder import Responder
from server.founding import found
from server.home import Home
from server.reconcile.difference import Fault
from server.reconcile.reconcile import Report, reconcile
from server.sample.keys import card_request
from server.settings import Settings
from server.store import tables
from server.store.changes import note
from server.wiring import Rooms, open_rooms
from tests.conftest import SteppingClock
from tests.server.conftest import copied
from tests.server.console import Jpki
from tests.server.people import someone

pytestmark = pytest.mark.slow

REVOKED, HELD, LIVE, LIVE_TOO = range(4)
"""What became of the four certificates of the home, by their numbers."""


def issue(rooms: Rooms, number: int) -> Serial:
    purpose = Purpose.AUTHENTICATION if number == HELD else Purpose.SIGNING
    csr = card_request(rooms.profile.key, number)
    return Serial(rooms.desk.issue(someone(f"R-{number:04}"), purpose, csr, BY).serial_number)


@pytest.fixture(scope="module")
def sound_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home(tmp_path_factory.mktemp("sound") / "home")
    rooms = found(home, Settings(profile="card-v2"), system_clock, system_randomness)
    serials = [issue(rooms, number) for number in range(4)]
    rooms.desk.revoke(serials[REVOKED], Reason.KEY_COMPROMISE, BY)
    rooms.desk.hold(serials[HELD], BY)
    rooms.publisher.publish_due()
    rooms.close()
    return home.path


@pytest.fixture
def home(sound_home: Path, tmp_path: Path) -> Path:
    return copied(sound_home, tmp_path / "home")


@pytest.fixture
def present() -> SteppingClock:
    return SteppingClock(system_clock())


@pytest.fixture
def rooms(home: Path, present: SteppingClock) -> Iterator[Rooms]:
    opened = open_rooms(Home(home), present)
    yield opened
    opened.close()


def serials_of(rooms: Rooms) -> list[Serial]:
    """The serials by number: `R-0000` is the first."""
    table = tables.certificate
    with rooms.store.database.reading() as connection:
        return list(connection.execute(select(table.c.serial).order_by(table.c.holder)).scalars())


def reconciled(rooms: Rooms) -> Report:
    return reconcile(rooms, BY, lambda _: None)


def faults(rooms: Rooms) -> dict[str, set[Fault]]:
    """What differs, by the first word of its subject."""
    told: dict[str, set[Fault]] = {}
    for each in reconciled(rooms).differences:
        told.setdefault(each.subject.split("/")[0], set()).add(each.fault)
    return told


def test_r03_a_sound_home_has_no_difference(jpki: Jpki, home: Path) -> None:
    done = jpki.done("reconcile", "--home", home)
    assert (done["schema"], done["found"], done["differences"]) == ("jpki.reconcile/1", 0, [])
    assert (done["closed"], done["published"], done["doubtful"], done["pending"]) == ([], [], [], 0)
    compared = done["compared"]
    assert (compared["certificates"], compared["signatures"], compared["answers"]) == (4, 4, 4)
    # Each of the two on its partition's list, on its CA's complete one, and on the delta of the first, empty one.
    assert compared["list_entries"] == 6
    assert compared["acts"] > 20


# --- what a crash leaves -------------------------------------------------------------------------------------------


def left_at(rooms: Rooms, state: State) -> Serial:
    """Leave a certificate where a crash would."""
    issuer, profile = rooms.desk.authority.issuer, rooms.profile
    terms = Terms(profile=profile, now=rooms.clock())
    key = holder_key(card_request(profile.key, 50), profile.key)
    permit = issuer.prepare([first_order(taken_at_word(someone("R-0050")), Purpose.SIGNING, CARD, key, terms)], BY)
    if state is State.INTENDED:
        rooms.store.ledger.intend(permit.to_be_signed, BY, rooms.clock())
    elif state is State.ISSUED:
        issuer.redeem(permit, BY)
    (serial,) = permit.to_be_signed
    return serial


@pytest.mark.parametrize(
    ("left", "closed"),
    [(State.RESERVED, State.VOID), (State.INTENDED, State.REVOKED), (State.ISSUED, State.REVOKED)],
)
def test_r04_what_a_crash_left_is_void_before_will_sign_and_revoked_and_listed_after_it(
    rooms: Rooms, present: SteppingClock, left: State, closed: State
) -> None:
    serial = left_at(rooms, left)
    young = reconciled(rooms)
    assert (young.pending, young.closed, young.found) == (1, {}, 0)
    present.advance(minutes=11)
    report = reconciled(rooms)
    assert (report.pending, report.closed, report.found) == (0, {serial: left}, 0)
    status = rooms.store.ledger.status(serial)
    assert status is not None
    assert status.state is closed
    assert bool(report.published) == (closed is State.REVOKED)
    again = reconciled(rooms)
    assert (again.closed, again.published, again.found) == ({}, [], 0)


def test_lists_that_lag_or_lost_their_stable_names_are_published(rooms: Rooms) -> None:
    rooms.desk.revoke(serials_of(rooms)[LIVE], Reason.KEY_COMPROMISE, BY)
    stable = rooms.home.path / "crl" / "authentication" / "a1" / "complete.crl"
    stable.unlink()
    report = reconciled(rooms)
    assert {mark.purpose for mark in report.published} == {Purpose.SIGNING}
    assert report.found == 0
    assert stable.is_file()


def test_a_certificate_of_the_house_that_was_perhaps_signed_is_named_and_is_no_difference(
    rooms: Rooms, jpki: Jpki
) -> None:
    delegate = tables.delegate
    with rooms.store.database.writing() as connection:
        serial = connection.execute(select(delegate.c.serial).where(delegate.c.kind == "clerk")).scalar_one()
        connection.execute(update(delegate).where(delegate.c.serial == serial).values(certificate=None))
        signed = tables.audit_body.c.body.contains(format_serial(serial)) & tables.audit_body.c.body.contains("signed")
        will_sign = tables.audit_body.c.body.contains("will be signed")
        connection.execute(delete(tables.audit_body).where(signed, ~will_sign))
    done = jpki.done("reconcile", "--home", rooms.home.path)
    assert [each["serial"] for each in done["doubtful"]] == [format_serial(serial)]


# --- whatever else differs -----------------------------------------------------------------------------------------

Tampering = Callable[[Connection, Serial], object]


def of(table: Table, serial: Serial) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = table.c.serial == serial
    return condition


def lose_certificate(connection: Connection, serial: Serial) -> None:
    for table in (tables.certificate_record, tables.holder_key, tables.place, tables.status, tables.certificate):
        connection.execute(delete(table).where(of(table, serial)))


def lose_acts(connection: Connection, serial: Serial) -> None:
    outbox = tables.audit_outbox
    connection.execute(delete(outbox).where(outbox.c.body.contains(format_serial(serial))))


def lose_one_act(connection: Connection, serial: Serial) -> None:
    body = tables.audit_outbox.c.body
    one = body.contains(format_serial(serial)), body.contains("certificate signed")
    assert connection.execute(delete(tables.audit_outbox).where(*one)).rowcount == 1


def set_state(connection: Connection, serial: Serial) -> None:
    values = {"state": State.ACTIVE, "reason": None, "revoked_at": None}
    connection.execute(update(tables.status).where(of(tables.status, serial)).values(values))


def set_reason(connection: Connection, serial: Serial) -> None:
    connection.execute(update(tables.status).where(of(tables.status, serial)).values(reason=Reason.SUPERSEDED))


def lose_status(connection: Connection, serial: Serial) -> None:
    connection.execute(delete(tables.status).where(of(tables.status, serial)))


def lose_record(connection: Connection, serial: Serial) -> None:
    connection.execute(delete(tables.certificate_record).where(of(tables.certificate_record, serial)))


def lose_signature(connection: Connection, serial: Serial) -> None:
    record = tables.certificate_record
    connection.execute(update(record).where(of(record, serial)).values(signature=None))


def alter_record(connection: Connection, serial: Serial) -> None:
    record = tables.certificate_record
    octets = connection.execute(select(record.c.to_be_signed).where(of(record, serial))).scalar_one()
    connection.execute(update(record).where(of(record, serial)).values(to_be_signed=octets[:-1] + b"?"))


def alter_commitment(connection: Connection, serial: Serial) -> None:
    outbox = tables.audit_outbox
    which = outbox.c.body.contains(format_serial(serial)) & outbox.c.body.contains("commitments")
    body = connection.execute(select(outbox.c.body).where(which)).scalar_one()
    fields = json.loads(body)
    fields["details"]["commitments"] = "ab" * 32
    connection.execute(update(outbox).where(which).values(body=json.dumps(fields)))


def alter_end(connection: Connection, serial: Serial) -> None:
    table = tables.certificate
    connection.execute(update(table).where(of(table, serial)).values(not_after=system_clock() + timedelta(days=1)))


def lose_place(connection: Connection, serial: Serial) -> None:
    connection.execute(delete(tables.place).where(of(tables.place, serial)))


def give_place(connection: Connection, serial: Serial) -> None:
    connection.execute(update(tables.place).where(of(tables.place, serial)).values(holder="SOMEBODY-ELSE"))


def lose_entry(connection: Connection, serial: Serial) -> None:
    connection.execute(delete(tables.journal).where(of(tables.journal, serial)))


def bear_twice(connection: Connection, serial: Serial) -> None:
    some = connection.execute(select(tables.delegate).limit(1)).one()._asdict()
    connection.execute(insert(tables.delegate).values({**some, "serial": serial}))


@pytest.mark.parametrize(
    ("number", "tampering", "fault"),
    [
        (LIVE, lose_certificate, Fault.LEDGER_LACKS),
        (LIVE, lose_acts, Fault.AUDIT_LACKS),
        (LIVE, lose_one_act, Fault.ACTS_OUT_OF_ORDER),
        (REVOKED, set_state, Fault.STATE_DIFFERS),
        (REVOKED, set_state, Fault.JOURNAL_DIFFERS),
        (REVOKED, set_state, Fault.PLACE_DIFFERS),
        (REVOKED, set_reason, Fault.STATE_DIFFERS),
        (HELD, set_reason, Fault.JOURNAL_DIFFERS),
        (LIVE, lose_status, Fault.ROW_MISSING),
        (LIVE, lose_record, Fault.RECORD_DIFFERS),
        (LIVE, lose_signature, Fault.SIGNATURE_DIFFERS),
        (REVOKED, lose_signature, Fault.SIGNATURE_DIFFERS),
        (LIVE, alter_record, Fault.RECORD_UNREADABLE),
        (LIVE, alter_commitment, Fault.COMMITMENT_DIFFERS),
        (LIVE, alter_end, Fault.RECORD_DIFFERS),
        (LIVE, lose_place, Fault.PLACE_DIFFERS),
        (HELD, give_place, Fault.PLACE_DIFFERS),
        (LIVE, lose_entry, Fault.JOURNAL_DIFFERS),
        (LIVE, bear_twice, Fault.SERIAL_TWICE),
    ],
)
def test_r03_whatever_was_changed_is_told_and_not_mended(
    rooms: Rooms, number: int, tampering: Tampering, fault: Fault
) -> None:
    serial = serials_of(rooms)[number]
    with rooms.store.database.writing() as connection:
        tampering(connection, serial)
    assert fault in faults(rooms)[format_serial(serial)]
    assert fault in faults(rooms)[format_serial(serial)]


def test_r02_a_signature_by_another_key_is_found(rooms: Rooms) -> None:
    """Generation and purpose of the row are the authentication CA's, whose key did not sign it."""
    serial, status = serials_of(rooms)[LIVE], tables.status
    with rooms.store.database.writing() as connection:
        connection.execute(update(status).where(of(status, serial)).values(generation="a1"))
    assert Fault.SIGNATURE_WRONG in faults(rooms)[format_serial(serial)]


def test_r03_an_answer_by_ocsp_that_is_not_the_ledgers_is_found(rooms: Rooms) -> None:
    """The responder here lives on a ledger in which everything is good."""
    ledger = rooms.store.ledger

    def all_good(serial: Serial) -> Status | None:
        status = ledger.status(serial)
        good = {"state": State.ACTIVE, "reason": None, "revoked_at": None}
        return None if status is None else replace(status, **good)  # type: ignore[arg-type]

    lying = replace(rooms, responder=Responder(rooms.issuers, all_good, rooms.clock))
    told = {each.subject: each for each in reconciled(lying).differences}
    revoked, held, *_ = (format_serial(each) for each in serials_of(rooms))
    assert set(told) == {f"{revoked}/s1", f"{held}/a1"}
    assert told[f"{revoked}/s1"].expected == "revoked keyCompromise"
    assert {each.found for each in told.values()} == {"good"}


def test_a_generation_without_a_responder_is_told(rooms: Rooms) -> None:
    silent = replace(rooms, responder=Responder(list, rooms.store.ledger.status, rooms.clock))
    assert faults(silent) == {"s1": {Fault.OCSP_SILENT}, "a1": {Fault.OCSP_SILENT}}


def test_r03_lists_that_are_not_the_ledgers_are_found(rooms: Rooms) -> None:
    """The entries changed in the ledger without a word in the journal, and strange files lie about."""
    serial, status = serials_of(rooms)[REVOKED], tables.status
    with rooms.store.database.writing() as connection:
        connection.execute(update(status).where(of(status, serial)).values(reason=Reason.SUPERSEDED))
    folder = rooms.home.path / "crl" / "signing" / "s1"
    shutil.copy(folder / "complete.crl", folder / "p9999.crl")
    differences = [each for each in reconciled(rooms).differences if each.fault.startswith("list")]
    of_list = [each for each in differences if each.fault is Fault.LIST_DIFFERS]
    assert {each.subject.split()[1] for each in of_list} == {format_serial(serial)}
    assert len(of_list) == 2
    assert [each.subject for each in differences if each.fault is Fault.LIST_UNKNOWN] == ["signing/s1/p9999"]


def test_a_list_that_lost_an_entry_or_has_one_too_many_is_found(rooms: Rooms) -> None:
    revoked, held, live, _ = serials_of(rooms)
    status = tables.status
    with rooms.store.database.writing() as connection:
        values = {"state": State.REVOKED, "reason": Reason.SUPERSEDED, "revoked_at": rooms.clock()}
        connection.execute(update(status).where(of(status, live)).values(values))
        values = {"state": State.ACTIVE, "reason": None, "revoked_at": None}
        connection.execute(update(status).where(status.c.serial.in_([revoked, held])).values(values))
    told = [each for each in reconciled(rooms).differences if each.fault is Fault.LIST_DIFFERS]
    missing = {each.subject.split()[1] for each in told if each.found == "-"}
    too_many = {each.subject.split()[1] for each in told if each.expected == "-"}
    assert (missing, too_many) == ({format_serial(live)}, {format_serial(revoked), format_serial(held)})


@pytest.mark.parametrize("flaw", ["reason", "more", "less", "base"])
def test_r03_a_delta_that_is_not_the_journals_is_found(rooms: Rooms, flaw: str) -> None:
    """The lists themselves are the ledger's."""
    revoked, _, live, _ = serials_of(rooms)
    journal, crl = tables.journal, tables.crl
    entry = and_(journal.c.serial == revoked, journal.c.listed == 1)
    with rooms.store.database.writing() as connection:
        if flaw == "reason":
            connection.execute(update(journal).where(entry).values(reason=Reason.SUPERSEDED))
        elif flaw == "more":
            connection.execute(update(journal).where(entry).values(listed=0))
        elif flaw == "less":
            connection.execute(update(journal).where(journal.c.serial == live).values(listed=1))
        else:
            connection.execute(update(crl).where(crl.c.purpose == "signing").values(delta_base=crl.c.delta_base + 1))
    told = [each for each in reconciled(rooms).differences if each.subject.startswith("signing/s1/delta")]
    expected, found = {
        "reason": ("superseded since", "keyCompromise since"),
        "more": ("-", "keyCompromise since"),
        "less": ("on the list no more since", "-"),
        "base": ("a delta of number 2", "a delta of number 1"),
    }[flaw]
    ((difference),) = told
    assert difference.fault is Fault.LIST_DIFFERS
    assert difference.expected.startswith(expected)
    assert difference.found.startswith(found)


def test_r03_a_delta_of_a_list_that_the_ledger_does_not_know_is_found(rooms: Rooms) -> None:
    with rooms.store.database.writing() as connection:
        connection.execute(delete(tables.crl_base).where(tables.crl_base.c.number == 1))
    assert faults(rooms) == {"signing": {Fault.LIST_DIFFERS}, "authentication": {Fault.LIST_DIFFERS}}


def test_r03_a_delta_under_another_number_is_found(rooms: Rooms) -> None:
    folder = rooms.home.path / "crl-archive" / "signing" / "s1"
    (folder / "delta-2.crl").write_bytes((folder / "delta-1.crl").read_bytes())
    assert faults(rooms) == {"signing": {Fault.LIST_LAGS}}


def test_r03_an_arl_that_does_not_tell_of_a_compromise_is_found(rooms: Rooms, jpki: Jpki, home: Path) -> None:
    jpki.done("ceremony", "new-generation", "--home", home, "--ca", "signing")
    jpki.done("ceremony", "compromise", "--home", home, "--generation", "s1")
    since = {"compromised_at": rooms.clock() - timedelta(days=1)}
    with rooms.store.database.writing() as connection:
        connection.execute(update(tables.generation).where(tables.generation.c.id == "s1").values(since))
    told = [each for each in reconciled(rooms).differences if "/arl " in each.subject]
    assert {each.subject.split("/")[1] for each in told} == {"s1", "s2"}
    assert {each.fault for each in told} == {Fault.LIST_DIFFERS}


@pytest.mark.parametrize(
    "spoil",
    [lambda octets: octets[:-1] + bytes([octets[-1] ^ 1]), lambda octets: octets[:-9]],
    ids=["signature", "cut"],
)
def test_a_list_that_its_key_did_not_sign_or_nobody_can_read_is_found(
    rooms: Rooms, spoil: Callable[[bytes], bytes]
) -> None:
    file = rooms.home.path / "crl" / "signing" / "s1" / "complete.crl"
    rooms.publisher.repair()
    # Into the very file, so that it still has both its names.
    file.write_bytes(spoil(file.read_bytes()))
    told = [each for each in reconciled(rooms).differences if each.fault.startswith("list")]
    assert [(each.subject, each.fault) for each in told] == [("signing/s1/complete", Fault.LIST_UNREADABLE)]


def test_a_gap_in_the_journal_and_a_counter_that_lags_are_found(rooms: Rooms) -> None:
    assert faults(rooms) == {}
    with rooms.store.database.writing() as connection:
        connection.execute(delete(tables.journal).where(tables.journal.c.position == 2))
        connection.execute(update(tables.ledger).values(position=tables.ledger.c.position + 1))
    told = [each for each in reconciled(rooms).differences if each.subject == "journal/1"]
    assert [each.fault for each in told] == [Fault.JOURNAL_DIFFERS] * 2


def test_r12_a_list_that_the_audit_knows_and_the_ledger_does_not_is_found(rooms: Rooms) -> None:
    event = AuditEvent(
        at=rooms.clock(), actor=BY, act=Act.CRL_PUBLISHED, subjects=("signing/complete",), details={"number": 99}
    )
    rooms.store.audit.record(event)
    assert faults(rooms) == {"signing": {Fault.LIST_LAGS}}


def test_acts_whose_bodies_were_erased_are_not_missed(rooms: Rooms) -> None:
    rooms.notary.chain()
    last = rooms.store.audit_log.tip().number
    rooms.store.audit.erase(last)
    rooms.store.audit.record(AuditEvent(at=rooms.clock(), actor=BY, act=Act.CLOCK_ACCEPTED, subjects=("clock",)))
    report = reconciled(rooms)
    assert (report.found, report.certificates) == (0, 4)


def test_r02_what_a_restore_lost_must_stand_as_the_audit_says_and_be_good_never(rooms: Rooms) -> None:
    serials = serials_of(rooms)
    with rooms.store.database.writing() as connection:
        for number in (REVOKED, LIVE, LIVE_TOO):
            note(connection, rooms.clock(), BY, Act.RECORD_LOST, [serials[number]])
            lose_record(connection, serials[number])
        for table in (tables.holder_key, tables.certificate):
            connection.execute(delete(table).where(of(table, serials[REVOKED])))
        lose_certificate(connection, serials[LIVE_TOO])
    told = faults(rooms)
    assert format_serial(serials[REVOKED]) not in told
    assert told[format_serial(serials[LIVE])] == {Fault.STATE_DIFFERS, Fault.PLACE_DIFFERS}
    assert told[format_serial(serials[LIVE_TOO])] >= {Fault.LEDGER_LACKS}


def test_a_compromised_generation_leaves_no_difference(jpki: Jpki, home: Path) -> None:
    jpki.done("ceremony", "new-generation", "--home", home, "--ca", "signing")
    jpki.done("ceremony", "compromise", "--home", home, "--generation", "s1")
    done = jpki.done("reconcile", "--home", home)
    assert done["found"] == 0
    # Three of the signing CA on two lists of each, its root on the ARL, and the one on hold on three.
    assert done["compared"]["list_entries"] == 10


def test_the_command_tells_what_to_do_in_words(rooms: Rooms, jpki: Jpki, home: Path) -> None:
    serial = serials_of(rooms)[LIVE]
    with rooms.store.database.writing() as connection:
        lose_place(connection, serial)
    answer = jpki("reconcile", "--home", home, "--lang", "en")
    assert answer.code == 1
    assert f"differs {format_serial(serial)}: its holder's place differs" in answer.out
    judged = jpki.judged(1, "reconcile", "--home", home)
    assert (judged["found"], judged["differences"][0]["fault"]) == (1, "place-differs")
    assert jpki("reconcile", "--home", home, "--lang", "ja").code == 1
