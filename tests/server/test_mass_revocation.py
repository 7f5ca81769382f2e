"""Mass revocation (rule R9): everyone revoked once, nobody lost and nobody doubled, whatever stops in the middle."""

import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from sqlalchemy import select

from ca.plan import default_plan
from crl.certificate_list import read_list
from enroll.mass_revocation import Revoker
from jpki.acts import LOCAL_OPERATOR as BY
from jpki.acts import Act
from jpki.campaign import CampaignId, CampaignState, Issued, ItemState
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import iso, system_clock
from jpki.errors import JpkiError
from jpki.ids import GenerationId, Serial, format_serial, new_serial
from jpki.ports import Reservation
from jpki.randomness import system_randomness
from jpki.revocation import Reason, State
from server.campaigns import revoker_of
from server.founding import found
from server.home import Home
from server.reconcile.answers import Answers
from server.reconcile.reconcile import reconcile
from server.sample.keys import card_request
from server.sample.town import populate
from server.settings import Settings
from server.store import tables
from server.store.ceremonies import CeremonyKind
from server.wiring import Rooms, open_rooms
from tests import forked
from tests.conftest import SteppingClock
from tests.crl.fakes import Crash, Fuse
from tests.server.console import Jpki
from tests.server.many_certificates import with_many
from tests.server.people import of_few_towns, someone
from tests.server.postgresql import running
from tests.server.test_campaign import end_leases, nothing

pytestmark = pytest.mark.slow

ONE = CampaignId(1)
REASON = Reason.KEY_COMPROMISE
SHORT, LONG = 2200, 100_000
"""Certificates, in `make test` and in `make soak`."""
LONGEST_WAIT = 5.0
"""Seconds that a single revocation may wait for a campaign at work; a database that is busy refuses after twenty."""


@pytest.fixture(scope="module")
def settled_home(tmp_path_factory: pytest.TempPathFactory, clock_of_all: SteppingClock) -> Path:
    rooms = found(Home(tmp_path_factory.mktemp("mass") / "home"), Settings(), clock_of_all, system_randomness)
    with of_few_towns():
        populate(rooms, "mass", 12, nothing)
    rooms.close()
    return rooms.home.path


@pytest.fixture(scope="module")
def clock_of_all() -> SteppingClock:
    return SteppingClock(system_clock())


@pytest.fixture
def home(settled_home: Path, tmp_path: Path) -> Path:
    return shutil.copytree(settled_home, tmp_path / "home")


@pytest.fixture
def present(clock_of_all: SteppingClock) -> SteppingClock:
    return SteppingClock(clock_of_all())


@pytest.fixture
def rooms(home: Path, present: SteppingClock) -> Iterator[Rooms]:
    opened = open_rooms(Home(home), present)
    yield opened
    opened.close()


def in_state(rooms: Rooms, state: State) -> list[Serial]:
    status = tables.status
    with rooms.store.database.reading() as connection:
        return list(connection.execute(select(status.c.serial).where(status.c.state == state)).scalars())


def opened(rooms: Rooms, wanted: Sequence[Serial] | Issued, reason: Reason = REASON) -> list[Serial]:
    """Open a campaign, and return what it is to revoke."""
    targets = rooms.store.campaigns.survey(wanted, rooms.clock()).targets
    rooms.store.campaigns.open_revocation(reason, targets, BY, rooms.clock())
    return [each.serial for each in targets]


def finish(at: Revoker) -> None:
    for _ in range(100):
        if not at.work(ONE)[1]:
            return
    pytest.fail("it never ends")


def check_each_is_revoked_once(rooms: Rooms, serials: Sequence[Serial]) -> None:
    """In the ledger, its journal and the audit; the journal has no gap, and the campaign's count is whole."""
    status, journal, place = tables.status, tables.journal, tables.place
    with rooms.store.database.reading() as connection:
        standing = {row.serial: row for row in connection.execute(select(status))}
        entries = connection.execute(select(journal).order_by(journal.c.position)).all()
        placed = set(connection.execute(select(place.c.serial)).scalars())
    assert {(standing[each].state, standing[each].reason) for each in serials} == {(State.REVOKED, REASON)}
    assert [row.position for row in entries] == list(range(1, len(entries) + 1))
    once = Counter(row.serial for row in entries if row.state == State.REVOKED)
    assert {once[each] for each in serials} == {1}
    assert {row.position for row in entries} >= {standing[each].position for each in serials}
    assert placed.isdisjoint(serials)
    with rooms.store.pictures.taken() as picture:
        told = Counter(
            subject
            for act in picture.acts()
            if act.event is not None and act.event.act is Act.REVOKED
            for subject in act.event.subjects
        )
    assert {told[format_serial(each)] for each in serials} == {1}
    campaign = rooms.store.campaigns.campaign(ONE)
    assert campaign.counts[ItemState.DONE] == campaign.total == len(serials)


def check_verifiers_hear_of_it(rooms: Rooms, serials: Sequence[Serial]) -> None:
    """The complete list of every generation that signed them holds them all, and OCSP says so of some."""
    generations = {each.id: each for purpose in HOLDER_PURPOSES for each in rooms.served(purpose)}
    records = rooms.store.ledger.find(list(serials)[:: max(1, len(serials) // 500)])
    for generation in generations.values():
        with (rooms.home.path / f"crl/{generation.purpose}/{generation.id}/complete.crl").open("rb") as file:
            found = read_list(file)
        assert found.is_signed_by(generation.certificate.public_key())
        own = [each for each in records.values() if each.purpose is generation.purpose]
        for record in own:
            entry = found.entries.find(record.serial)
            assert entry is not None
            assert entry.reason is not None
            assert entry.reason.value == REASON
    answers = Answers(responder=rooms.responder, status=rooms.store.ledger.status, generations=generations)
    assert list(answers.differences(list(records))) == []
    assert {each.status.state for each in records.values()} == {State.REVOKED}


# --- the whole of it -----------------------------------------------------------------------------------------------


def test_r09_a_list_of_serials_is_revoked_and_lists_and_ocsp_are_right_after_it(
    jpki: Jpki, home: Path, rooms: Rooms, tmp_path: Path
) -> None:
    live, before = in_state(rooms, State.ACTIVE), in_state(rooms, State.REVOKED)
    rooms.desk.revoke(live[0], Reason.CESSATION_OF_OPERATION, BY)
    file = tmp_path / "serials"
    named = [f"0x{serial:X}" for serial in (*live, live[1])]
    file.write_text("\n".join([*named, "", f"  {live[2]:032x} "]) + "\n")
    words = ("campaign", "revoke", "--home", home, "--serials", file, "--reason", REASON)
    begun = jpki.done(*words)
    assert begun["already_revoked"] == [format_serial(live[0])]
    assert sum(begun["to_revoke"].values()) == len(live) - 1 == begun["campaign"]["total"]
    assert (begun["campaign"]["reason"], begun["campaign"]["ending_by"]) == (REASON, None)
    done = jpki.done("campaign", "run", "1", "--home", home, "--workers", "2")
    assert (done["counts"]["done"], done["counts"]["failed"], done["left"]) == (len(live) - 1, 0, 0)
    check_each_is_revoked_once(rooms, live[1:])
    check_verifiers_hear_of_it(rooms, live[1:])
    assert set(in_state(rooms, State.REVOKED)) == {*live, *before}
    report = reconcile(rooms, BY, lambda _: None)
    assert (report.differences, report.published) == ([], [])


def test_r09_unknown_serials_are_told_before_anything_is_done(
    jpki: Jpki, home: Path, rooms: Rooms, tmp_path: Path
) -> None:
    live = in_state(rooms, State.ACTIVE)
    file = tmp_path / "serials"
    file.write_text(f"{live[0]:#x}\n{1 << 125:#x}\n{(1 << 150) + 1:#x}\n")
    words = ("campaign", "revoke", "--home", home, "--serials", file, "--reason", REASON)
    planned = jpki.done(*words, "--dry-run")
    assert planned["unknown"] == [format_serial(Serial(1 << 125)), format_serial(Serial((1 << 150) + 1))]
    assert "campaign" not in planned
    refused = jpki.refused(*words)
    assert (refused.exit, refused.code) == (1, "serials-unknown")
    assert format_serial(Serial(1 << 125)) in refused.printed
    assert rooms.store.campaigns.campaigns() == []
    file.write_text(f"{live[0]:#x}\nnonsense\n")
    assert (jpki.refused(*words).exit, jpki.refused(*words).code) == (64, "serial-malformed")


@pytest.mark.parametrize("reason", [Reason.UNSPECIFIED, Reason.CERTIFICATE_HOLD])
def test_r10_a_reason_that_is_not_allowed_is_told_before_anything_is_done(
    jpki: Jpki, home: Path, rooms: Rooms, reason: Reason
) -> None:
    refused = jpki.refused("campaign", "revoke", "--home", home, "--generation", "s1", "--reason", reason)
    assert (refused.exit, refused.code) == (1, "reason-not-allowed")
    assert rooms.store.campaigns.campaigns() == []


@pytest.mark.parametrize("chosen", [(), ("--serials", "-", "--generation", "s1")], ids=["nothing", "both"])
def test_certificates_are_named_in_one_way(jpki: Jpki, home: Path, chosen: Sequence[str]) -> None:
    assert jpki.refused("campaign", "revoke", "--home", home, "--reason", REASON, *chosen).exit == 64


def test_what_was_issued_is_chosen_by_generation_municipality_and_time(
    jpki: Jpki, home: Path, rooms: Rooms, present: SteppingClock
) -> None:
    records = rooms.store.ledger.find(in_state(rooms, State.ACTIVE))
    signing = [each for each in records.values() if each.purpose is Purpose.SIGNING]
    partition = signing[0].status.partition
    code = rooms.store.partitions.municipality_of(partition)
    of_town = {each.serial for each in signing if each.status.partition == partition}
    late = someone("T-0002")
    present.advance(days=2)
    csr = card_request(rooms.profile.key, 50_000)
    issued = Serial(rooms.desk.issue(late, Purpose.AUTHENTICATION, csr, BY).serial_number)
    words = ("campaign", "revoke", "--home", home, "--reason", REASON, "--dry-run")

    def count(*chosen: str) -> dict[str, int]:
        planned: dict[str, int] = jpki.done(*words, *chosen)["to_revoke"]
        return planned

    other = len(records) - len(signing)
    assert count("--generation", "s1") == {"signing": len(signing), "authentication": 0}
    assert count("--generation", "a1") == {"signing": 0, "authentication": other + 1}
    assert count("--municipality", code) == {"signing": len(of_town), "authentication": 0}
    assert count("--municipality", code, "--generation", "a1") == {"signing": 0, "authentication": 0}
    second = iso(rooms.store.ledger.find([issued])[issued].validity.not_before)
    assert count("--issued-from", second, "--issued-until", second) == {"signing": 0, "authentication": 1}
    before = iso(present() - timedelta(seconds=1))
    assert count("--issued-until", before) == {"signing": len(signing), "authentication": other}
    assert jpki.refused(*words, "--generation", "s9").code == "generation-unknown"
    assert jpki.refused(*words, "--municipality", "999999").code == "partition-unknown"
    assert set(opened(rooms, Issued(partition=partition))) == of_town


def test_expired_certificates_are_told_and_left_out(rooms: Rooms, present: SteppingClock) -> None:
    live = in_state(rooms, State.ACTIVE)
    present.now = max(each.validity.not_after for each in rooms.store.ledger.find(live).values())
    last = [s for s, each in rooms.store.ledger.find(live).items() if each.validity.not_after == present()]
    present.advance(seconds=0.5)
    survey = rooms.store.campaigns.survey(live, present())
    assert sorted(each.serial for each in survey.targets) == sorted(last)
    assert set(survey.ended) == set(live) - set(last)


def test_a_run_wants_what_its_kind_of_campaign_needs(jpki: Jpki, home: Path, rooms: Rooms, tmp_path: Path) -> None:
    opened(rooms, in_state(rooms, State.ACTIVE))
    assert jpki.refused("campaign", "run", "1", "--home", home, "--out", tmp_path / "out").exit == 64
    assert not (tmp_path / "out").exists()
    assert rooms.store.campaigns.campaign(ONE).begun is None


def test_r09_a_paused_campaign_revokes_nothing_and_a_cancelled_one_never_again(
    jpki: Jpki, home: Path, rooms: Rooms
) -> None:
    live = opened(rooms, in_state(rooms, State.ACTIVE))
    assert jpki.done("campaign", "pause", "1", "--home", home)["state"] == CampaignState.PAUSED
    jpki.done("campaign", "run", "1", "--home", home, "--workers", "1")
    assert set(in_state(rooms, State.ACTIVE)) == set(live)
    jpki.done("campaign", "resume", "1", "--home", home)
    assert rooms.store.campaigns.take(ONE, 2, rooms.clock()).left
    assert jpki.done("campaign", "cancel", "1", "--home", home)["counts"]["cancelled"] == len(live) - 2
    assert revoker_of(rooms, REASON).work(ONE) == (0, False)
    assert jpki.refused("campaign", "retry", "1", "--home", home).code == "campaign-cancelled"
    assert "keyCompromise" in jpki("campaign", "status", "--home", home).out


# --- what others do meanwhile --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Meddling:
    """A ledger before whose first revocation somebody does something."""

    ledger: object
    act: Callable[[], None]
    done: list[bool] = field(default_factory=list)

    def __getattr__(self, name: str) -> object:
        if name == "revoke" and not self.done:
            self.done.append(True)
            self.act()
        return getattr(self.ledger, name)


def meddled_with(at: Revoker, act: Callable[[], None]) -> Revoker:
    return replace(at, authority=replace(at.authority, ledger=Meddling(at.ledger, act)))  # type: ignore[arg-type]


def test_one_that_another_revokes_meanwhile_is_no_failure(rooms: Rooms) -> None:
    live = opened(rooms, in_state(rooms, State.ACTIVE))
    # In the batch that is about to be revoked: those for authentication come first.
    victim = next(s for s, each in rooms.store.ledger.find(live).items() if each.purpose is Purpose.AUTHENTICATION)
    act = lambda: rooms.store.ledger.revoke([victim], Reason.AFFILIATION_CHANGED, BY, rooms.clock())  # noqa: E731
    finish(meddled_with(revoker_of(rooms, REASON), act))
    counts = rooms.store.campaigns.campaign(ONE).counts
    assert (counts[ItemState.DONE], counts[ItemState.FAILED]) == (len(live), 0)
    reasons = {serial: each.status.reason for serial, each in rooms.store.ledger.find(live).items()}
    assert Counter(reasons.values()) == {REASON: len(live) - 1, Reason.AFFILIATION_CHANGED: 1}
    assert reasons[victim] is Reason.AFFILIATION_CHANGED
    assert reconcile(rooms, BY, lambda _: None).differences == []


def test_one_that_ends_meanwhile_fails_alone_and_waits_for_a_retry(rooms: Rooms, present: SteppingClock) -> None:
    live = opened(rooms, in_state(rooms, State.ACTIVE))
    records = rooms.store.ledger.find(live)
    first = min(records.values(), key=lambda each: each.validity.not_after)
    gone = [s for s, each in records.items() if each.validity.not_after == first.validity.not_after]
    present.now = first.validity.not_after + timedelta(seconds=1)
    finish(revoker_of(rooms, REASON))
    counts = rooms.store.campaigns.campaign(ONE).counts
    assert (counts[ItemState.DONE], counts[ItemState.FAILED]) == (len(live) - len(gone), len(gone))
    with rooms.store.database.reading() as connection:
        item = tables.campaign_item
        errors = set(connection.execute(select(item.c.error).where(item.c.state == ItemState.FAILED)).scalars())
    assert errors == {"not-live"}
    assert rooms.store.campaigns.retry(ONE, BY, present()) == len(gone)


def test_what_a_compromised_key_signed_is_revoked_already(rooms: Rooms) -> None:
    live = rooms.store.ledger.find(in_state(rooms, State.ACTIVE))
    signing = {serial for serial, each in live.items() if each.purpose is Purpose.SIGNING}
    plan = default_plan(rooms.profile, {}, "a test").as_json()
    rooms.store.ceremonies.open(CeremonyKind.COMPROMISE, plan, "-", BY, rooms.clock(), GenerationId("s1"))
    survey = rooms.store.campaigns.survey(list(live), rooms.clock())
    assert set(survey.revoked) == signing
    assert {each.serial for each in survey.targets} == set(live) - signing


def test_what_is_pending_is_closed_though_its_predecessor_is_being_revoked(
    rooms: Rooms, present: SteppingClock
) -> None:
    """Of a renewal's campaign it is another worker's to finish; here nobody will."""
    record = next(iter(rooms.store.ledger.find(in_state(rooms, State.ACTIVE)).values()))
    wish = Reservation(
        serial=new_serial(system_randomness),
        purpose=record.purpose,
        carrier=record.carrier,
        holder=record.holder,
        generation=record.status.generation,
        partition=record.status.partition,
        base_url=rooms.settings.base_url,
        profile_hash=record.profile_hash,
        key_hash=system_randomness(32),
        validity=record.validity,
        renews=record.serial,
    )
    rooms.store.ledger.reserve([wish], BY, present())
    opened(rooms, [record.serial])
    assert rooms.store.campaigns.take(ONE, 1, present()).serials == (record.serial,)
    present.advance(minutes=11)
    assert rooms.store.ledger.abandoned(present()) == [wish.serial]


# --- whatever stops in the middle ----------------------------------------------------------------------------------


def fused(at: Revoker, fuse: Fuse) -> Revoker:
    """The same worker, in a process that dies when the fuse has burnt down: from then on nothing of it works."""
    ledger = fuse.port(at.ledger)
    return replace(
        at,
        book=fuse.port(at.book),
        ledger=ledger,
        authority=replace(at.authority, ledger=ledger),
        on_devices=fuse.call(at.on_devices),
    )


def test_r09_a_worker_that_dies_at_any_step_loses_and_doubles_nothing(
    settled_home: Path, tmp_path: Path, present: SteppingClock
) -> None:
    begun = present()
    for steps in range(100):
        present.now = begun
        rooms = open_rooms(Home(shutil.copytree(settled_home, tmp_path / f"{steps}")), present)
        live = opened(rooms, in_state(rooms, State.ACTIVE))
        try:
            finish(fused(revoker_of(rooms, REASON), Fuse(steps)))
        except Crash:
            crashed = True
        else:
            crashed = False
        present.advance(seconds=31)
        finish(revoker_of(rooms, REASON))
        check_each_is_revoked_once(rooms, live)
        rooms.close()
        shutil.rmtree(tmp_path / f"{steps}")
        if not crashed:
            break
    assert steps > 15


def test_r09_what_a_dead_worker_took_is_given_out_again_after_half_a_minute(
    rooms: Rooms, present: SteppingClock
) -> None:
    live = opened(rooms, in_state(rooms, State.ACTIVE))
    taken = rooms.store.campaigns.take(ONE, 3, present())
    present.advance(seconds=29)
    finish_what_is_there(rooms)
    assert set(in_state(rooms, State.ACTIVE)) == set(taken.serials)
    present.advance(seconds=2)
    finish(revoker_of(rooms, REASON))
    check_each_is_revoked_once(rooms, live)


def finish_what_is_there(rooms: Rooms) -> None:
    for _ in range(100):
        if not revoker_of(rooms, REASON).work(ONE)[0]:
            return
    pytest.fail("it never ends")


# --- many, beside others -------------------------------------------------------------------------------------------


@dataclass
class Office:
    """A municipality's office that revokes one certificate after another while a campaign runs."""

    rooms: Rooms
    serials: Sequence[Serial]
    waits: list[float] = field(default_factory=list)
    errors: list[JpkiError] = field(default_factory=list)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        ended = threading.Event()
        thread = threading.Thread(target=self._work, args=(ended,))
        thread.start()
        yield
        ended.set()
        thread.join()

    def _work(self, ended: threading.Event) -> None:
        for serial in self.serials:
            if ended.wait(0.02):
                break
            begun = time.monotonic()
            try:
                self.rooms.desk.revoke(serial, Reason.AFFILIATION_CHANGED, BY)
            except JpkiError as error:
                self.errors.append(error)
            self.waits.append(time.monotonic() - begun)


def node(home: Path) -> BaseProcess:
    return forked.node("campaign", "run", "1", "--home", home, "--workers", "1", said=home.with_name("said"))


def done_by_now(rooms: Rooms) -> int:
    return rooms.store.campaigns.campaign(ONE).counts[ItemState.DONE]


def killed_at_work(rooms: Rooms, victim: BaseProcess) -> None:
    """Kill a node with SIGKILL as soon as it has done something, or it has ended by itself."""
    before = done_by_now(rooms)
    while done_by_now(rooms) == before and victim.exitcode is None:
        time.sleep(0.01)
    victim.kill()
    victim.join()
    end_leases(rooms.store.database)


def check_many(rooms: Rooms, count: int, nodes: int) -> str:
    """Revoke so many, with so many nodes at a time of which one is killed thrice; an office works beside them."""
    serials = with_many(rooms, count + count // 10)
    listed, others = serials[:count], serials[count:]
    office = Office(rooms, others)
    begun = time.monotonic()
    assert opened(rooms, listed) == list(listed)
    open_seconds = time.monotonic() - begun
    with office.at_work():
        begun = time.monotonic()
        for _ in range(2):
            killed_at_work(rooms, node(rooms.home.path))
        steady = [node(rooms.home.path) for _ in range(nodes)]
        if nodes > 1:
            killed_at_work(rooms, steady.pop())
        for each in steady:
            each.join(600)
        assert [each.exitcode for each in steady] == [0] * len(steady)
        seconds = time.monotonic() - begun
    assert office.errors == []
    check_each_is_revoked_once(rooms, listed)
    # Those of the office came after the run's lists, some of them.
    rooms.publisher.publish_due()
    check_verifiers_hear_of_it(rooms, listed)
    assert max(office.waits) < LONGEST_WAIT
    return (
        f"{count}: opened {open_seconds:.1f} s, done {seconds:.1f} s; {len(office.waits)} single ones meanwhile,"
        f" longest {max(office.waits):.2f} s, median {sorted(office.waits)[len(office.waits) // 2]:.3f} s"
    )


def test_r09_many_on_sqlite_beside_an_office_and_killed_again_and_again(tmp_path: Path, *, at_length: bool) -> None:
    rooms = found(Home(tmp_path / "home"), Settings(), system_clock, system_randomness)
    print("sqlite", check_many(rooms, LONG if at_length else SHORT, nodes=1))  # noqa: T201 - `pytest -s` tells
    rooms.close()


def test_r09_many_on_postgresql_by_two_nodes_one_of_them_killed_again_and_again(
    tmp_path: Path, *, at_length: bool
) -> None:
    with running() as server:
        settings = Settings(database=server.new_database("mass"))
        rooms = found(Home(tmp_path / "home"), settings, system_clock, system_randomness)
        print("postgresql", check_many(rooms, LONG if at_length else SHORT, nodes=2))  # noqa: T201
        rooms.close()
