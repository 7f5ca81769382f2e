"""Real processes, killed at every step of what changes certificates: nothing is lost, doubled or left open.

A step is a call of ledger, key, register, shelf, audit or campaign book, before it is done and after; in `make soak`
also before and after each SQL statement, and before each commit and each change of a file.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import select

from enroll.case_paths import Shown
from enroll.office import Application
from jpki.acts import LOCAL_OPERATOR as BY
from jpki.campaign import CampaignId, ItemState
from jpki.card import CardFacts, CardMode
from jpki.case import CaseKind, CaseState
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clerk import Role
from jpki.clock import day_in_japan, system_clock
from jpki.counter import CounterCode
from jpki.ids import HolderCode, Serial, parse_serial
from jpki.randomness import system_randomness
from jpki.revocation import State
from server.campaigns import BundleFolder, worker_of
from server.founding import found
from server.home import Home
from server.reconcile.reconcile import Report, reconcile
from server.sample.keys import card_request
from server.settings import Settings
from server.store import tables
from server.wiring import Rooms, open_rooms
from tests.conftest import SteppingClock
from tests.server.crashing import SECOND, AnyResident, Attempt, Cards, case, issue, killed, renew
from tests.server.people import someone

pytestmark = pytest.mark.slow

NINE_YEARS = timedelta(days=9.2 * 365.25)
"""So long ago the certificates were issued that are renewed now: a card of the second kind lives ten years."""
MOST_STEPS = 5000
Stage = Callable[[int, int], "Scene"]
"""Sets a scene in which so many certificates wait: in `make test`, and in `make soak`."""


@dataclass
class Scene:
    """A home in which processes die, and one that lives on and reconciles."""

    rooms: Rooms
    clock: SteppingClock
    deep: bool
    kills: int = 0

    @property
    def home(self) -> Path:
        return self.rooms.home.path

    def attempt(self, operation: str, number: int, steps: int, serial: Serial | None = None) -> bool:
        """Try something in a process that dies after so many steps; tell whether it died, and reconcile."""
        attempt = Attempt(home=self.home, number=number, now=self.clock(), steps=steps, deep=self.deep, serial=serial)
        died = killed(operation, attempt)
        self.kills += died
        self.clock.advance(minutes=11)
        report = self.reconciled()
        assert report.found == 0, report.differences
        # What a campaign took is left to its next worker.
        left_to_another = operation == "campaign"
        assert report.pending == 0 or left_to_another
        self.check_delivered(State.ACTIVE, State.REVOKED, *[State.ISSUED] * left_to_another)
        return died

    def alive(self, number: int, serial: Serial | None = None) -> Attempt:
        """An attempt in this process, which lives."""
        return Attempt(home=self.home, number=number, now=self.clock(), steps=0, deep=False, serial=serial)

    def reconciled(self) -> Report:
        return reconcile(self.rooms, BY, lambda _: None)

    def check_delivered(self, *states: State) -> None:
        """No file was handed over whose certificate is not on record in one of these states."""
        serials = self.delivered()
        records = self.rooms.store.ledger.find(serials)
        assert set(records) == set(serials)
        assert {each.status.state for each in records.values()} <= set(states)

    def delivered(self) -> Sequence[Serial]:
        files = self.home.with_name("out").glob("*.pem")
        bundles = [x509.load_pem_x509_certificates(file.read_bytes()) for file in files if file.stat().st_size]
        return [Serial(each.serial_number) for bundle in bundles for each in bundle]

    def check_all_was_delivered(self, prefix: str) -> None:
        """Whatever lives of those holders, its holder has; and nothing differs in the end."""
        assert set(self.live(prefix)) <= set(self.delivered())
        self.check_delivered(State.ACTIVE, State.REVOKED)
        report = self.reconciled()
        assert (report.found, report.pending) == (0, 0)

    def signed(self) -> list[Serial]:
        """What the CA's keys were ever asked to sign by those who died."""
        log = self.home.with_name("signed")
        return [parse_serial(f"0x{line}") for line in log.read_text().split()]

    def check_each_was_signed_once(self, *also: State) -> None:
        """Each is on record from "will sign" on, and none was signed again (rules R2, R4)."""
        signed = self.signed()
        assert len(signed) == len(set(signed))
        records = self.rooms.store.ledger.find(signed)
        assert set(records) == set(signed)
        assert {each.status.state for each in records.values()} <= {State.ACTIVE, State.REVOKED, *also}

    def states(self, serials: Sequence[Serial]) -> Mapping[Serial, State]:
        """The state of each, in their order."""
        records = self.rooms.store.ledger.find(serials)
        return {each: records[each].status.state for each in serials}

    def first_live(self, serials: Sequence[Serial]) -> Serial:
        return next(each for each, state in self.states(serials).items() if state is State.ACTIVE)

    def live(self, prefix: str) -> list[Serial]:
        return [each for each, state in self.states(self.serials(prefix)).items() if state is State.ACTIVE]

    def states_by_holder(self, prefix: str) -> dict[str, list[State]]:
        """The states of all certificates of each holder whose code begins so."""
        certificate, status = tables.certificate, tables.status
        query = select(certificate.c.holder, status.c.state).join(status, status.c.serial == certificate.c.serial)
        found: dict[str, list[State]] = {}
        with self.rooms.store.database.reading() as connection:
            for row in connection.execute(query.where(certificate.c.holder.startswith(prefix))):
                found.setdefault(row.holder, []).append(State(row.state))
        return found

    def serials(self, prefix: str) -> list[Serial]:
        certificate = tables.certificate
        query = select(certificate.c.serial).where(certificate.c.holder.startswith(prefix))
        with self.rooms.store.database.reading() as connection:
            return list(connection.execute(query.order_by(certificate.c.holder)).scalars())


def old_home(folder: Path, waiting: int) -> Home:
    """A home of years ago in which so many certificates wait to be renewed or revoked."""
    past = system_clock() - NINE_YEARS
    rooms = found(Home(folder), Settings(profile="card-v2"), lambda: past, system_randomness)
    for number in range(waiting):
        csr = card_request(rooms.profile.key, SECOND * 10 + number)
        rooms.desk.issue(someone(f"W-{number:06}"), Purpose.SIGNING, csr, BY)
    rooms.close()
    return rooms.home


@pytest.fixture
def stage(tmp_path: Path, at_length: bool) -> Iterator[Stage]:  # noqa: FBT001 - a fixture's value
    with ExitStack() as opened:

        def set_up(short: int, long: int) -> Scene:
            home = old_home(tmp_path / "home", long if at_length else short)
            (tmp_path / "out").mkdir()
            clock = SteppingClock(system_clock())
            rooms = open_rooms(home, clock)
            opened.callback(rooms.close)
            rooms.maintenance.jobs["responders"]()
            return Scene(rooms, clock, at_length)

        yield set_up


def test_r02_r04_issuing_killed_at_every_step(stage: Stage) -> None:
    scene = stage(0, 0)
    for steps in range(MOST_STEPS):
        if not scene.attempt("issue", steps, steps):
            break
    assert scene.kills >= 20
    scene.check_each_was_signed_once()
    lived = [holder for holder, states in scene.states_by_holder("I-").items() if State.ACTIVE in states]
    assert 0 < len(lived) < scene.kills
    # Whoever has none gets one when the clerk tries again, under a new serial (rule R4).
    for number in range(steps):
        if f"I-{number:06}" not in lived:
            issue(scene.rooms, scene.alive(SECOND + number))
    after = scene.states_by_holder("I-")
    assert len(after) == steps + 1
    assert all(states.count(State.ACTIVE) == 1 for states in after.values())
    scene.check_all_was_delivered("I-")


def test_r02_r04_a_case_killed_at_every_step_goes_on_and_ends_with_one_pair(stage: Stage) -> None:
    """Whoever died in issuing or delivering, a clerk's retry with the same card ends the case; nothing lives before."""
    scene = stage(0, 0)
    rooms = replace(scene.rooms, office=replace(scene.rooms.office, registry=AnyResident()))
    town = CounterCode("131016")
    both = {town: frozenset({Role.RECEPTION, Role.APPROVAL})}
    clerk = rooms.store.clerks.clerk(rooms.store.clerks.add("x", both, BY, scene.clock()))
    card = CardFacts(number="1", not_after=scene.clock() + timedelta(days=3000), mode=CardMode.ORDINARY)
    for steps in range(MOST_STEPS):
        attempt = replace(scene.alive(steps), steps=steps, deep=scene.deep)
        application = Application(
            kind=CaseKind.NEW, counter=town, holder=HolderCode(attempt.holder), purposes=HOLDER_PURPOSES
        )
        number = rooms.office.open(application, clerk).number
        rooms.office.check_identity(number, Shown(card=card), clerk)
        rooms.office.approve(number, clerk)
        died = killed("case", replace(attempt, now=scene.clock()))
        scene.kills += died
        closed = rooms.store.cases.case(number).state is CaseState.DELIVERED
        assert closed or not scene.live(attempt.holder)
        scene.clock.advance(minutes=1)
        if not closed:
            case(rooms, replace(attempt, now=scene.clock()))
        if not died:
            break
    assert scene.kills > 30
    scene.clock.advance(minutes=11)
    scene.check_each_was_signed_once()
    states = scene.states_by_holder("I-")
    assert len(states) == steps + 1
    assert all(each.count(State.ACTIVE) == 2 for each in states.values())
    report = scene.reconciled()
    assert (report.found, report.pending) == (0, 0)
    with rooms.store.database.reading() as connection:
        assert connection.execute(select(tables.case_resident)).first() is None


def test_r04_renewal_and_its_activation_killed_at_every_step(stage: Stage) -> None:
    scene = stage(12, 200)
    pool = scene.serials("W-")
    for steps in range(MOST_STEPS):
        if not scene.attempt("renew", SECOND * 2 + steps, steps, scene.first_live(pool)):
            break
    assert scene.kills > 20
    scene.check_each_was_signed_once()
    for number, (serial, state) in enumerate(scene.states(pool).items()):
        if state is State.ACTIVE:
            renew(scene.rooms, scene.alive(SECOND * 3 + number, serial))
    assert set(scene.states(pool).values()) == {State.REVOKED}
    # Everybody has one live certificate, and what was superseded has a successor that was delivered.
    assert all(states.count(State.ACTIVE) == 1 for states in scene.states_by_holder("W-").values())
    scene.check_all_was_delivered("W-")


def test_r03_hold_release_revocation_and_publication_killed_at_every_step(stage: Stage) -> None:
    scene = stage(80, 1200)
    pool = scene.serials("W-")
    for steps in range(MOST_STEPS):
        before = scene.first_live(pool)
        if not scene.attempt("revoke", steps, steps, before):
            break
    assert scene.kills > 30
    states = Counter(scene.states(pool).values())
    assert states[State.HELD] > 0
    assert states[State.REVOKED] > 10
    assert set(states) == {State.ACTIVE, State.HELD, State.REVOKED}


def test_r02_r04_a_campaign_killed_at_every_step_goes_on_and_renews_everyone_once(stage: Stage) -> None:
    """Each worker takes up what the dead one before it left; a step is the last when two in a row end before it."""
    scene = stage(24, 600)
    book, pool = scene.rooms.store.campaigns, scene.serials("W-")
    book.open(day_in_japan(scene.clock()) + timedelta(days=360), BY, scene.clock())
    number, steps, ended = 0, 0, 0
    while ended < 2:
        died = scene.attempt("campaign", number, steps)
        number, steps, ended = number + 1, steps + died, 0 if died else ended + 1
    assert scene.kills > 25
    assert book.campaign(CampaignId(1)).left > 0
    scene.check_each_was_signed_once(State.ISSUED, State.INTENDED)
    while book.campaign(CampaignId(1)).left:
        worker_of(scene.rooms, Cards(number), BundleFolder(scene.home.with_name("out"))).work(CampaignId(1))
    assert set(scene.states(pool).values()) == {State.REVOKED}
    assert all(states.count(State.ACTIVE) == 1 for states in scene.states_by_holder("W-").values())
    assert book.campaign(CampaignId(1)).counts[ItemState.DONE] == len(pool)
    scene.check_all_was_delivered("W-")
