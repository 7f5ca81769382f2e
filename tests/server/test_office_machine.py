"""Whatever clerks, events, crashes and clocks do: no certificate lives that must not (Hypothesis state machine).

A crash is a process that is dead from some step on: ledger, case book and key refuse whatever is asked of them, so that
nothing is tidied up. Afterwards another process goes on with what is in the store.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from enroll.case_paths import Shown
from enroll.effects import effects
from enroll.office import Application, Office
from enroll.renewal import holder_of
from jpki.card import CardFacts, CardMode
from jpki.case import Applicant, CaseKind, CaseNumber, CaseState, Document, Ground
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clerk import Clerk
from jpki.clock import day_in_japan, end_of_day, system_clock, years_later
from jpki.counter import CounterCode
from jpki.errors import JpkiError, Kind
from jpki.event import Event
from jpki.ids import HolderCode, Serial
from jpki.randomness import system_randomness
from jpki.resident import Registration
from jpki.revocation import Reason, State
from server.founding import found
from server.home import Home
from server.settings import Settings
from server.store import tables
from server.wiring import Rooms
from tests.conftest import SteppingClock
from tests.server.conftest import copied
from tests.server.office_world import (
    CONSULATE,
    OTHER_TOWN,
    POST_OFFICE,
    TOWN,
    OfficeTown,
    office_at,
    resident_of,
)
from tests.server.postgresql import Server, running

pytestmark = pytest.mark.slow

ADULT, CHILD, GUEST = HolderCode("M-adult"), HolderCode("M-child"), HolderCode("M-guest")
HOLDERS = (ADULT, CHILD, GUEST)
_LIVING = (State.ACTIVE, State.HELD)
_numbers = itertools.count(1)


class Dead(BaseException):
    """The process is no more."""


class Mortal:
    """Passes calls on until its life is over; then every call fails, as in a process that was killed."""

    def __init__(self, part: object, life: "Life") -> None:
        self._part = part
        self._life = life

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the part has
        found = getattr(self._part, name)
        if not callable(found):
            return found

        def call(*arguments: object, **more: object) -> object:
            self._life.step()
            outcome = found(*arguments, **more)
            self._life.step()
            return outcome

        return call


class Life:
    """How many steps are left; None where there is no end."""

    def __init__(self) -> None:
        self.left: int | None = None

    def step(self) -> None:
        if self.left is None:
            return
        if self.left == 0:
            raise Dead
        self.left -= 1


def mortal(rooms: Rooms, life: Life) -> Office:
    """The office whose ledger, book and keys die together."""
    desk, book = rooms.desk, Mortal(rooms.store.cases, life)
    ledger, keys = Mortal(rooms.store.ledger, life), Mortal(rooms.keys, life)
    issuer = replace(desk.authority.issuer, ledger=ledger, keys=keys)
    authority = replace(desk.authority, ledger=ledger, issuer=issuer)
    delivery = replace(desk.delivery, authority=authority, ledger=ledger)
    dying = replace(desk, authority=authority, ledger=ledger, delivery=delivery)
    return replace(rooms.office, desk=dying, book=book)


Opening = Callable[[SteppingClock], Any]
clerks = st.integers(0, 2)
purposes = st.sampled_from([HOLDER_PURPOSES, (Purpose.SIGNING,), (Purpose.AUTHENTICATION,)])
seldom = st.integers(0, 5).map(lambda drawn: drawn == 0)


class OfficeMachine(RuleBasedStateMachine):
    """Cases of three holders at four counters."""

    opening: Opening
    seen: Counter[str]

    @initialize(steps=st.integers(0, 6))
    def open_up(self, steps: int) -> None:
        """Open with one holder's living pair, and another's case in which a process died."""
        self.time = SteppingClock(system_clock())
        self.context = self.opening(self.time)
        self.town: OfficeTown = self.context.__enter__()
        self.life = Life()
        self.office = mortal(self.town.rooms, self.life)
        self.cases: list[CaseNumber] = []
        today = self.time()
        self.town.register.enter(resident_of(ADULT, 40, today))
        child = resident_of(CHILD, 14, today)
        birthday = years_later(day_in_japan(today) + timedelta(days=40), -15)
        self.town.register.enter(replace(child, holder=replace(child.holder, birth_date=birthday)))
        self.town.register.enter(resident_of(GUEST, 30, today, stay_until=day_in_japan(today) + timedelta(days=400)))
        self.carry(CaseKind.NEW, ADULT, HOLDER_PURPOSES)
        self.carry(CaseKind.NEW, CHILD, (Purpose.AUTHENTICATION,), steps)

    def teardown(self) -> None:
        if hasattr(self, "context"):
            self.context.__exit__(None, None, None)

    # --- what clerks do --------------------------------------------------------------------------------------------

    @rule(
        kind=st.sampled_from([CaseKind.NEW, CaseKind.NEW, *CaseKind]),
        holder=st.sampled_from(HOLDERS),
        wanted=purposes,
        applicant=st.sampled_from([Applicant.HOLDER, Applicant.HOLDER, *Applicant]),
        event=st.sampled_from([None, *Event]),
        counter=st.sampled_from([TOWN, TOWN, OTHER_TOWN, POST_OFFICE, CONSULATE]),
        clerk=clerks,
        matching=st.booleans(),
    )
    def open(  # noqa: PLR0913 - what a case is made of
        self,
        kind: CaseKind,
        holder: HolderCode,
        wanted: tuple[Purpose, ...],
        applicant: Applicant,
        event: Event | None,
        counter: CounterCode,
        clerk: int,
        *,
        matching: bool,
    ) -> None:
        if matching:
            event = {CaseKind.REVOCATION: Event.HOLDER_ASKED, CaseKind.HOLD: Event.CARD_LOST}.get(kind)
            event = Event.CARD_LOST if kind is CaseKind.REISSUE else event
        documents = frozenset(Document) if matching else frozenset[Document]()
        application = Application(
            kind=kind,
            counter=counter,
            holder=holder,
            purposes=wanted,
            applicant=applicant,
            documents=documents,
            event=event,
        )
        with suppress(JpkiError):
            self.cases.append(self.office.open(application, self.clerk(clerk)).number)

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), clerk=clerks, reads=st.booleans(), pinless=seldom, ending=seldom)
    def check_identity(self, data: st.DataObject, clerk: int, *, reads: bool, pinless: bool, ending: bool) -> None:
        """Check with a card in the reader, or with the one that was read before."""
        shown = Shown(card=self.card(pinless=pinless, ending=ending) if reads else None)
        self.step(lambda: self.office.check_identity(self.one(data), shown, self.clerk(clerk)))

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), clerk=clerks, wanted=purposes)
    def amend(self, data: st.DataObject, clerk: int, wanted: tuple[Purpose, ...]) -> None:
        self.step(lambda: self.office.amend(self.one(data), wanted, self.clerk(clerk)))

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), clerk=clerks, pinless=seldom, ending=seldom)
    def present_card(self, data: st.DataObject, clerk: int, *, pinless: bool, ending: bool) -> None:
        card = self.card(pinless=pinless, ending=ending)
        self.step(lambda: self.office.present_card(self.one(data), card, self.clerk(clerk)))

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), clerk=clerks)
    def approve(self, data: st.DataObject, clerk: int) -> None:
        self.step(lambda: self.office.approve(self.one(data), self.clerk(clerk)))

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), clerk=clerks, steps=st.none() | st.integers(0, 24))
    def issue(self, data: st.DataObject, clerk: int, steps: int | None) -> None:
        self.issue_one(self.one(data), clerk, steps)

    def issue_one(self, number: CaseNumber, clerk: int, steps: int | None) -> None:
        keys = self.town.keys(self.town.rooms.store.cases.case(number).purposes)
        self.step(lambda: self.office.issue(number, keys, self.clerk(clerk)), steps)

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), clerk=clerks, steps=st.none() | st.integers(0, 8))
    def deliver(self, data: st.DataObject, clerk: int, steps: int | None) -> None:
        self.deliver_one(self.one(data), clerk, steps)

    def deliver_one(self, number: CaseNumber, clerk: int, steps: int | None) -> None:
        before = self.living()
        self.step(lambda: self.office.deliver(number, self.clerk(clerk)), steps)
        for serial in self.living() - before:
            self.seen["delivered"] += 1
            self.check_delivered(serial, number)

    @rule(
        kind=st.sampled_from([CaseKind.NEW, CaseKind.NEW, CaseKind.RENEWAL, CaseKind.REISSUE]),
        holder=st.sampled_from(HOLDERS),
        wanted=purposes,
        data=st.data(),
    )
    def hurry(self, kind: CaseKind, holder: HolderCode, wanted: tuple[Purpose, ...], data: st.DataObject) -> None:
        """Take a case as far as it goes, or as the processes live, and let the holder move on the way."""
        issuing, delivering = data.draw(st.none() | st.integers(0, 24)), data.draw(st.none() | st.integers(0, 8))
        moved = data.draw(st.none() | st.integers(1, 99))
        self.carry(kind, holder, wanted, issuing, delivering, moved)

    def carry(
        self,
        kind: CaseKind,
        holder: HolderCode,
        wanted: tuple[Purpose, ...],
        issuing: int | None = None,
        delivering: int | None = None,
        moved: int | None = None,
    ) -> None:
        applicant = Applicant.LEGAL_PROXY if holder is CHILD else Applicant.HOLDER
        event = Event.CARD_LOST if kind is CaseKind.REISSUE else None
        application = Application(
            kind=kind,
            counter=TOWN,
            holder=holder,
            purposes=wanted,
            applicant=applicant,
            documents=frozenset(Document),
            event=event,
        )
        with suppress(JpkiError):
            self.cases.append(self.office.open(application, self.town.front).number)
            number = self.cases[-1]
            self.office.check_identity(number, Shown(card=self.town.card()), self.town.front)
            self.office.approve(number, self.town.second)
            self.issue_one(number, 0, issuing)
            if moved is not None:
                self.move_to(holder, moved)
            self.deliver_one(number, 0, delivering)

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), clerk=clerks, steps=st.none() | st.integers(0, 8))
    def complete(self, data: st.DataObject, clerk: int, steps: int | None) -> None:
        self.step(lambda: self.office.complete(self.one(data), self.clerk(clerk)), steps)

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), clerk=clerks, how=st.sampled_from(["refuse", "cancel", "return", "take"]))
    def aside(self, data: st.DataObject, clerk: int, how: str) -> None:
        number, who = self.one(data), self.clerk(clerk)
        acts: Mapping[str, Callable[[], object]] = {
            "refuse": lambda: self.office.refuse(number, Shown(ground=Ground.NOT_ELIGIBLE), who),
            "cancel": lambda: self.office.cancel(number, who),
            "return": lambda: self.office.send_back(number, who),
            "take": lambda: self.office.take_over(number, OTHER_TOWN, who),
        }
        self.step(acts[how])

    @rule(holder=st.sampled_from(HOLDERS), clerk=clerks)
    def lost_card(self, holder: HolderCode, clerk: int) -> None:
        self.step(lambda: self.office.suspend(holder, TOWN, self.clerk(clerk)))

    # --- what happens ----------------------------------------------------------------------------------------------

    @rule(holder=st.sampled_from(HOLDERS), number=st.integers(1, 99))
    def move(self, holder: HolderCode, number: int) -> None:
        self.move_to(holder, number)

    def move_to(self, holder: HolderCode, number: int) -> None:
        address = "東京都千代田区一番町" + "".join(chr(ord("０") + int(digit)) for digit in f"{number:02}")
        same = self.town.register.residents[holder].holder.address == address
        self.town.register.change(holder, address=address, address_substitutes="0" * len(address))
        if not same:
            self.happens(holder, Event.RECORD_CHANGED)

    @rule(holder=st.sampled_from((CHILD, GUEST)))
    def leave(self, holder: HolderCode) -> None:
        self.town.register.change(holder, registration=Registration.ENDED)
        self.happens(holder, Event.DIED)

    @rule(holder=st.sampled_from(HOLDERS), ward=st.booleans())
    def become_ward(self, holder: HolderCode, *, ward: bool) -> None:
        self.town.register.change(holder, is_ward=ward)

    @rule(minutes=st.sampled_from([1, 15, 24 * 60, 45 * 24 * 60]))
    def wait(self, minutes: int) -> None:
        self.time.advance(minutes=minutes)

    @rule()
    def tidy(self) -> None:
        self.town.rooms.office.expire_due()
        self.town.rooms.maintenance.jobs["abandoned"]()

    # --- what must hold --------------------------------------------------------------------------------------------

    @invariant()
    def one_of_a_kind_lives(self) -> None:
        found = [(record.holder, record.purpose) for record in self.records(self.living()).values()]
        assert len(found) == len(set(found)), found

    @invariant()
    def no_signing_certificate_in_use_outlives_the_authentication_certificate(self) -> None:
        found = {(record.holder, record.purpose): record for record in self.records(self.living()).values()}
        for (holder, purpose), record in found.items():
            beside = found.get((holder, Purpose.AUTHENTICATION))
            if purpose is Purpose.SIGNING and record.status.state is State.ACTIVE and beside is not None:
                assert record.validity.not_after <= beside.validity.not_after

    @invariant()
    def what_lives_was_delivered_in_its_case(self) -> None:
        for serial in self.living():
            case = self.town.rooms.store.cases.case(self.case_of(serial))
            assert case.state is CaseState.DELIVERED
            assert case.checked_by is not None
            assert case.approved_by is not None

    @invariant()
    def what_lives_says_what_the_register_says(self) -> None:
        living = self.living()
        records = self.records(living)
        octets = self.town.rooms.store.ledger.certificates(list(living))
        for serial, record in records.items():
            resident = self.town.register.residents[record.holder]
            assert resident.registration is not Registration.ENDED
            if record.purpose is Purpose.SIGNING:
                certificate = x509.load_der_x509_certificate(octets[serial])
                told = holder_of(record.holder, certificate, resident.holder.municipality.code)
                assert told == resident.holder

    @invariant()
    def attributes_lie_in_open_cases_only(self) -> None:
        if not hasattr(self, "town"):
            return
        case, kept = tables.case, tables.case_resident
        query = select(case.c.state).join(kept, kept.c.number == case.c.number)
        with self.town.rooms.store.database.reading() as connection:
            states = set(connection.execute(query).scalars())
        assert states <= {CaseState.IDENTITY_CHECKED, CaseState.APPROVED, CaseState.ISSUED}

    def check_delivered(self, serial: Serial, number: CaseNumber) -> None:
        """The rules, once more and by hand, for what has just come to life."""
        case, record = self.town.rooms.store.cases.case(number), self.records({serial})[serial]
        resident, today = self.town.register.residents[record.holder], day_in_japan(self.time())
        assert self.case_of(serial) == number
        assert record.purpose in case.purposes
        assert resident.registration is not Registration.ENDED
        assert case.card is not None
        assert record.validity.not_after <= case.card.not_after
        assert case.card.not_after > self.time()
        if resident.stay_until is not None:
            assert resident.stay_until >= today
            assert record.validity.not_after <= end_of_day(resident.stay_until)
        if record.purpose is Purpose.SIGNING:
            assert years_later(resident.holder.birth_date, 15) <= today
            assert not resident.is_ward
            assert case.card.mode is CardMode.ORDINARY
            beside = self.town.rooms.desk.on_card(record.holder).get(Purpose.AUTHENTICATION)
            assert beside is None or record.validity.not_after <= beside.validity.not_after
        if years_later(resident.holder.birth_date, 15) > today:
            assert case.applicant is Applicant.LEGAL_PROXY
        if case.applicant is not Applicant.HOLDER:
            assert case.checked_by != case.approved_by

    # --- tools -----------------------------------------------------------------------------------------------------

    def clerk(self, number: int) -> Clerk:
        return (self.town.front, self.town.second, self.town.elsewhere)[number]

    def card(self, *, pinless: bool, ending: bool) -> CardFacts:
        mode = CardMode.PINLESS if pinless else CardMode.ORDINARY
        not_after = end_of_day(day_in_japan(self.time()) + timedelta(days=30)) if ending else None
        return self.town.card(mode, not_after)

    def one(self, data: st.DataObject) -> CaseNumber:
        # The latest cases are the likeliest, so that some reach their ends.
        back = data.draw(st.sampled_from([1, 1, 1, 2, 3, 4]))
        return self.cases[-min(back, len(self.cases))]

    def step(self, act: Callable[[], object], steps: int | None = None) -> None:
        self.life.left, refusal = steps, None
        try:
            act()
        except JpkiError as error:
            refusal = error
        except Dead:
            self.seen["dead"] += 1
        finally:
            self.life.left = None
        assert refusal is None or refusal.kind not in (Kind.INTERNAL, Kind.UNAVAILABLE), refusal

    def happens(self, holder: HolderCode, event: Event) -> None:
        """Do what the worker of the register's events does."""
        live = self.town.rooms.desk.on_card(holder)
        for purpose, reason in effects(event).items():
            if purpose in live:
                assert reason is not Reason.CERTIFICATE_HOLD
                self.town.rooms.desk.revoke(live[purpose].serial, reason, self.clerk(0).actor(None))

    def living(self) -> set[Serial]:
        if not hasattr(self, "town"):
            return set()
        certificate, status = tables.certificate, tables.status
        query = (
            select(certificate.c.serial)
            .join(status, status.c.serial == certificate.c.serial)
            .where(status.c.state.in_(_LIVING), certificate.c.not_after >= self.time())
        )
        with self.town.rooms.store.database.reading() as connection:
            return set(connection.execute(query).scalars())

    def records(self, serials: set[Serial]) -> Mapping[Serial, Any]:
        return self.town.rooms.store.ledger.find(list(serials)) if serials else {}

    def case_of(self, serial: Serial) -> CaseNumber:
        link = tables.case_certificate
        with self.town.rooms.store.database.reading() as connection:
            return CaseNumber(connection.execute(select(link.c.number).where(link.c.serial == serial)).scalar_one())


def run(opening: Opening, examples: int, steps: int) -> None:
    seen: Counter[str] = Counter()
    machine = type("Machine", (OfficeMachine,), {"opening": staticmethod(opening), "seen": seen})
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=steps))
    assert seen["delivered"] >= 2 * examples
    assert seen["dead"] >= examples


def test_no_illegal_certificate_ever_lives_on_sqlite(new_home: Path, tmp_path: Path, *, at_length: bool) -> None:
    def opening(time: SteppingClock) -> Any:  # noqa: ANN401 - a context manager
        return office_at(copied(new_home, tmp_path / f"{next(_numbers)}"), time)

    run(opening, *((300, 60) if at_length else (12, 40)))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as started:
        yield started


def test_no_illegal_certificate_ever_lives_on_postgresql(server: Server, tmp_path: Path, *, at_length: bool) -> None:
    founded = Home(tmp_path / "founded")
    url = server.new_database("office")
    found(founded, Settings(database=url), system_clock, system_randomness).close()

    @contextmanager
    def opening(time: SteppingClock) -> Iterator[OfficeTown]:
        number = next(_numbers)
        home = copied(founded.path, tmp_path / f"{number}")
        own = server.new_database(f"office{number}", "office")
        toml = (home / "jpki.toml").read_text().replace(url, own)
        (home / "jpki.toml").write_text(toml)
        with office_at(home, time) as town:
            yield town

    run(opening, *((100, 60) if at_length else (4, 40)))
