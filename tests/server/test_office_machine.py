"""Whatever clerks, events, crashes and clocks do: no certificate lives that must not (Hypothesis state machine).

A crash is a process that is dead from some step on: ledger, case book and key refuse whatever is asked of them, so that
nothing is tidied up. Afterwards another process goes on with what is in the store.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
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
from enroll.renewal import holder_of, last_renewable
from jpki.acts import LOCAL_OPERATOR
from jpki.campaign import CampaignId
from jpki.card import CardFacts, CardMode
from jpki.case import Applicant, Case, CaseKind, CaseNumber, CaseState, Document, Ground, Step
from jpki.certificate import CARD, HOLDER_PURPOSES, Purpose
from jpki.clerk import Clerk
from jpki.clock import day_in_japan, end_of_day, system_clock, years_later
from jpki.counter import CounterCode
from jpki.errors import JpkiError, Kind
from jpki.event import Event
from jpki.holder import Holder
from jpki.ids import HolderCode, Serial
from jpki.ports import CertificateRecord
from jpki.randomness import system_randomness
from jpki.resident import Registration
from jpki.revocation import Reason, State
from server.campaigns import worker_of
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

_REISSUED = (Event.KEY_LEAKED, Event.CARD_LOST, Event.CARD_DESTROYED, Event.NUMBER_CHANGED, Event.RECORD_WRONG)
_ON_THE_WAY = (Step.CHECK_IDENTITY, Step.APPROVE, Step.ISSUE, Step.DELIVER)
_MATCHING = {
    CaseKind.REVOCATION: (Event.HOLDER_ASKED, Event.KEY_LEAKED, Event.CARD_RETURNED, Event.RECORD_WRONG),
    CaseKind.HOLD: (Event.CARD_LOST,),
    CaseKind.REISSUE: _REISSUED,
}
"""What cases of these kinds are about."""
KILLS: Mapping[Event, Reason] = {
    Event.CARD_LOST: Reason.CERTIFICATE_HOLD,
    Event.KEY_LEAKED: Reason.KEY_COMPROMISE,
    Event.CARD_DESTROYED: Reason.KEY_COMPROMISE,
    Event.CARD_RETURNED: Reason.CESSATION_OF_OPERATION,
    Event.NUMBER_CHANGED: Reason.CESSATION_OF_OPERATION,
    Event.HOLDER_ASKED: Reason.CESSATION_OF_OPERATION,
    Event.RECORD_WRONG: Reason.AFFILIATION_CHANGED,
}
"""The table of JPKI.md 2.2, once more and by hand: what a case's event does to the card's certificates."""
_OF_THOSE_ASKED_FOR = (Event.HOLDER_ASKED, Event.RECORD_WRONG)
RECEPTION = ((TOWN, POST_OFFICE, CONSULATE), (), (OTHER_TOWN,))
APPROVAL = ((TOWN, POST_OFFICE, CONSULATE), (TOWN, CONSULATE), (OTHER_TOWN,))
"""Where each of the three clerks may act."""
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
elsewhere = st.sampled_from([OTHER_TOWN, POST_OFFICE, CONSULATE])
on_the_way = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"issuing": st.integers(0, 24)}),
    st.fixed_dictionaries({"delivering": st.integers(0, 8)}),
    st.fixed_dictionaries({"moved": st.integers(1, 99)}),
    st.fixed_dictionaries({"taken": st.tuples(st.sampled_from(_ON_THE_WAY), elsewhere)}),
    st.fixed_dictionaries({"another_card": st.sampled_from(_ON_THE_WAY[1:])}),
)
"""What may come between the steps of a case: see `OfficeMachine.carry`."""
_MANY = 100
seldom = st.integers(0, 5).map(lambda drawn: drawn == 0)


class OfficeMachine(RuleBasedStateMachine):
    """Cases of three holders at four counters."""

    opening: Opening
    seen: Counter[str]

    @initialize(steps=st.integers(0, 6), event=st.sampled_from(_REISSUED), more=on_the_way)
    def open_up(self, steps: int, event: Event, more: dict[str, Any]) -> None:
        """Open with one holder's pair, issued once and again, and another's case in which a process died."""
        self.time = SteppingClock(system_clock())
        self.context = self.opening(self.time)
        self.town: OfficeTown = self.context.__enter__()
        self.life = Life()
        self.office = mortal(self.town.rooms, self.life)
        self.cases: list[CaseNumber] = []
        self.campaigns: list[CampaignId] = []
        self.states: Mapping[Serial, State] = {}
        self.released: set[Serial] = set()
        self.renewed: set[Serial] = set()
        self.seen_at: tuple[int, datetime] | None = None
        self.told: dict[Serial, Holder] = {}
        self.approved: dict[CaseNumber, CardFacts | None] = {}
        self.is_later = False
        today = self.time()
        adult = resident_of(ADULT, 40, today)
        # The first generation issues still when what is issued before the next birthday can be renewed.
        soon = years_later(day_in_japan(today) + timedelta(days=150), -40)
        self.town.register.enter(replace(adult, holder=replace(adult.holder, birth_date=soon)))
        child = resident_of(CHILD, 14, today)
        birthday = years_later(day_in_japan(today) + timedelta(days=40), -15)
        self.town.register.enter(replace(child, holder=replace(child.holder, birth_date=birthday)))
        self.town.register.enter(resident_of(GUEST, 30, today, stay_until=day_in_japan(today) + timedelta(days=400)))
        self.carry(CaseKind.NEW, ADULT, HOLDER_PURPOSES)
        self.carry(CaseKind.REISSUE, ADULT, HOLDER_PURPOSES, event=event, **more)
        self.carry(CaseKind.NEW, CHILD, (Purpose.AUTHENTICATION,), issuing=steps)

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
            fit = _MATCHING.get(kind, (None,))
            event = event if event in fit else fit[0]
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
        number = self.one(data)
        self.step(lambda: self.approve_one(number, clerk))

    def approve_one(self, number: CaseNumber, clerk: int) -> None:
        case = self.office.approve(number, self.clerk(clerk))
        assert case.counter in APPROVAL[clerk]
        self.approved[number] = case.card

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), clerk=clerks, steps=st.none() | st.integers(0, 24))
    def issue(self, data: st.DataObject, clerk: int, steps: int | None) -> None:
        self.issue_one(self.one(data), clerk, steps)

    def issue_one(self, number: CaseNumber, clerk: int, steps: int | None) -> None:
        before = self.town.rooms.store.cases.case(number)
        had, keys = self.town.rooms.desk.on_card(before.holder), self.town.keys(before.purposes)
        self.step(lambda: self.office.issue(number, keys, self.clerk(clerk)), steps)
        case = self.town.rooms.store.cases.case(number)
        if case.state is CaseState.ISSUED and before.state is CaseState.APPROVED:
            assert case.counter in RECEPTION[clerk]
            self.check_happened(case, had)

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), clerk=clerks, steps=st.none() | st.integers(0, 8))
    def deliver(self, data: st.DataObject, clerk: int, steps: int | None) -> None:
        self.deliver_one(self.one(data), clerk, steps)

    def deliver_one(self, number: CaseNumber, clerk: int, steps: int | None) -> None:
        before = self.living()
        had = self.town.rooms.desk.on_card(self.town.rooms.store.cases.case(number).holder)
        self.step(lambda: self.office.deliver(number, self.clerk(clerk)), steps)
        for serial in self.living() - before:
            self.seen["delivered"] += 1
            self.check_delivered(serial, number, clerk)
            old = had.get(self.records({serial})[serial].purpose)
            if old is not None:
                status = self.records({old.serial})[old.serial].status
                assert (status.state, status.reason) == (State.REVOKED, Reason.SUPERSEDED)

    @rule(
        kind=st.sampled_from([CaseKind.NEW, CaseKind.NEW, CaseKind.RENEWAL, CaseKind.REISSUE, CaseKind.REISSUE]),
        holder=st.sampled_from(HOLDERS),
        wanted=purposes,
        event=st.sampled_from(_REISSUED),
        more=on_the_way,
    )
    def hurry(
        self, kind: CaseKind, holder: HolderCode, wanted: tuple[Purpose, ...], event: Event, more: dict[str, Any]
    ) -> None:
        """Take a case as far as it goes, or as the processes live."""
        self.carry(kind, holder, wanted, event=event, **more)

    def carry(  # noqa: PLR0913 - what may happen on the way
        self,
        kind: CaseKind,
        holder: HolderCode,
        wanted: tuple[Purpose, ...],
        *,
        issuing: int | None = None,
        delivering: int | None = None,
        moved: int | None = None,
        event: Event = Event.CARD_LOST,
        taken: tuple[Step, CounterCode] | None = None,
        another_card: Step | None = None,
    ) -> None:
        """Take a case through its steps; `issuing` and `delivering` end so many steps of the machine later.

        The holder may move before the delivery; another counter may take the case over, and another card lie in the
        reader, before one of the steps.
        """
        applicant = Applicant.LEGAL_PROXY if holder is CHILD else Applicant.HOLDER
        application = Application(
            kind=kind,
            counter=TOWN,
            holder=holder,
            purposes=wanted,
            applicant=applicant,
            documents=frozenset(Document),
            event=event if kind is CaseKind.REISSUE else None,
        )
        clerk, approver = 0, 1

        def before(step: Step) -> None:
            nonlocal clerk, approver
            if another_card is step:
                with suppress(JpkiError):
                    self.office.present_card(number, self.card(pinless=False, ending=True), self.clerk(clerk))
            if taken is not None and taken[0] is step:
                clerk = approver = 2 if taken[1] == OTHER_TOWN else 0
                self.office.take_over(number, taken[1], self.clerk(clerk))
                self.seen["taken over"] += 1

        with suppress(JpkiError):
            self.cases.append(self.office.open(application, self.town.front).number)
            number = self.cases[-1]
            before(Step.CHECK_IDENTITY)
            self.office.check_identity(number, Shown(card=self.town.card()), self.clerk(clerk))
            before(Step.APPROVE)
            self.approve_one(number, approver)
            before(Step.ISSUE)
            self.issue_one(number, clerk, issuing)
            before(Step.DELIVER)
            if moved is not None:
                self.move_to(holder, moved)
            self.deliver_one(number, clerk, delivering)

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), clerk=clerks, steps=st.none() | st.integers(0, 8))
    def complete(self, data: st.DataObject, clerk: int, steps: int | None) -> None:
        self.complete_one(self.one(data), clerk, steps)

    def complete_one(self, number: CaseNumber, clerk: int, steps: int | None = None) -> None:
        before = self.town.rooms.store.cases.case(number)
        had = self.town.rooms.desk.on_card(before.holder)
        self.step(lambda: self.office.complete(number, self.clerk(clerk)), steps)
        case = self.town.rooms.store.cases.case(number)
        if case.state is not CaseState.DONE or before.state is CaseState.DONE:
            return
        assert case.counter in RECEPTION[clerk]
        if case.kind is CaseKind.RELEASE:
            self.check_released(case, had)
        elif case.kind is not CaseKind.PIN_RESET:
            self.check_happened(case, had)

    @precondition(lambda self: self.cases)
    @rule(
        data=st.data(),
        clerk=clerks,
        how=st.sampled_from(["refuse", "cancel", "return", "take", "take"]),
        counter=elsewhere,
    )
    def aside(self, data: st.DataObject, clerk: int, how: str, counter: CounterCode) -> None:
        number, who = self.one(data), self.clerk(clerk)
        acts: Mapping[str, Callable[[], object]] = {
            "refuse": lambda: self.office.refuse(number, Shown(ground=Ground.NOT_ELIGIBLE), who),
            "cancel": lambda: self.office.cancel(number, who),
            "return": lambda: self.office.send_back(number, who),
            "take": lambda: self.office.take_over(number, counter, who),
        }
        self.step(acts[how])

    @rule(holder=st.sampled_from(HOLDERS), clerk=clerks)
    def lost_card(self, holder: HolderCode, clerk: int) -> None:
        self.step(lambda: self.office.suspend(holder, TOWN, self.clerk(clerk)))

    @rule(holder=st.sampled_from(HOLDERS), lost_again=st.booleans(), approver=st.integers(0, 1))
    def find_again(self, holder: HolderCode, approver: int, *, lost_again: bool) -> None:
        """Lose a card and find it; perhaps, while one case waits, it is found in another and lost once more."""
        if Purpose.AUTHENTICATION not in self.town.rooms.desk.on_card(holder):
            self.carry(CaseKind.NEW, holder, (Purpose.AUTHENTICATION,))
        with suppress(JpkiError):
            self.office.suspend(holder, TOWN, self.town.front)
        waiting = self.to_release(holder, approver)
        if lost_again:
            other = self.to_release(holder, 1)
            if other is not None:
                self.complete_one(other, 0)
            self.time.advance(minutes=1)
            with suppress(JpkiError):
                self.office.suspend(holder, TOWN, self.town.front)
        if waiting is not None:
            self.complete_one(waiting, 0)

    def to_release(self, holder: HolderCode, approver: int) -> CaseNumber | None:
        """Return a case that waits to lift the hold, None where there can be none."""
        application = Application(
            kind=CaseKind.RELEASE, counter=TOWN, holder=holder, purposes=(Purpose.AUTHENTICATION,)
        )
        with suppress(JpkiError):
            number = self.office.open(application, self.town.front).number
            self.office.check_identity(number, Shown(), self.town.front)
            self.approve_one(number, approver)
            self.cases.append(number)
            return number
        return None

    # --- the operator's campaigns ----------------------------------------------------------------------------------

    @rule(steps=st.none() | st.integers(0, 30), ward=st.booleans())
    def renew_many(self, steps: int | None, *, ward: bool) -> None:
        """Renew what is in its window, on the cards that it was written to; a dead worker's rest as well."""
        if not self.is_later:
            self.is_later = True
            had = self.town.rooms.desk.on_card(ADULT)
            if [each.status.state for each in had.values()] != [State.ACTIVE, State.ACTIVE]:
                self.carry(CaseKind.REISSUE if had else CaseKind.NEW, ADULT, HOLDER_PURPOSES)
            living = self.town.rooms.desk.on_card(ADULT).get(Purpose.AUTHENTICATION)
            if living is not None:
                self.time.now = max(self.time.now, living.validity.not_after - timedelta(days=60))
        self.town.register.change(ADULT, is_ward=ward)
        # What a dead worker had taken is free again.
        self.time.advance(minutes=6)
        rooms, now = self.town.rooms, self.time()
        book, desk = rooms.store.campaigns, self.office.desk

        def requests(records: Sequence[CertificateRecord]) -> dict[Serial, bytes]:
            made = {each.serial: self.town.requests((each.purpose,))[each.purpose] for each in records}
            return {serial: csr.public_bytes(Encoding.DER) for serial, csr in made.items()}

        worker = worker_of(replace(rooms, desk=desk, registry=self.town.register), requests, lambda _: None)
        worker = replace(worker, ledger=desk.ledger)
        self.campaigns.append(book.open(last_renewable(rooms.profile, now), LOCAL_OPERATOR, now).id)
        before = self.living()

        def work() -> None:
            for each in self.campaigns:
                while worker.work(each)[0]:
                    pass

        self.step(work, steps)
        for serial in self.living() - before:
            self.seen["renewed in a campaign"] += 1
            self.check_renewed(serial)

    # --- what happens ----------------------------------------------------------------------------------------------

    @rule()
    def go_abroad(self) -> None:
        """Leave, and keep the card: from now on consulates serve the holder."""
        self.town.register.change(ADULT, registration=Registration.ABROAD)
        self.happens(ADULT, Event.RECORD_CHANGED)

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
        found = [(record.holder, record.purpose) for record in self.alive()]
        assert len(found) == len(set(found)), found

    @invariant()
    def no_signing_certificate_in_use_outlives_the_authentication_certificate(self) -> None:
        found = {(record.holder, record.purpose): record for record in self.alive()}
        for (holder, purpose), record in found.items():
            beside = found.get((holder, Purpose.AUTHENTICATION))
            if purpose is Purpose.SIGNING and record.status.state is State.ACTIVE and beside is not None:
                assert record.validity.not_after <= beside.validity.not_after

    @invariant()
    def what_lives_ends_with_its_card(self) -> None:
        for record in self.alive():
            assert record.card_end is not None
            assert record.validity.not_after <= record.card_end

    @invariant()
    def nothing_comes_back_to_life(self) -> None:
        """Revoked is revoked, and a hold ends with a release at a counter alone."""
        if not hasattr(self, "town"):
            return
        query = select(tables.status.c.serial, tables.status.c.state)
        with self.town.rooms.store.database.reading() as connection:
            states = {row.serial: State(row.state) for row in connection.execute(query)}
        for serial, old in self.states.items():
            new = states[serial]
            assert new is old or old is not State.REVOKED
            assert (old, new) != (State.HELD, State.ACTIVE) or serial in self.released
        self.released.clear()
        self.states = states

    @invariant()
    def what_lives_was_delivered_in_its_case(self) -> None:
        """Or it was renewed in a campaign, and looked at as it came to life."""
        for record in self.alive():
            if record.serial in self.renewed:
                continue
            case = self.town.rooms.store.cases.case(self.case_of(record.serial))
            assert case.state is CaseState.DELIVERED
            assert case.checked_by is not None
            assert case.approved_by is not None

    @invariant()
    def what_lives_says_what_the_register_says(self) -> None:
        for record in self.alive():
            resident = self.town.register.residents[record.holder]
            assert resident.registration is not Registration.ENDED
            if record.purpose is Purpose.SIGNING:
                assert self.disclosed(record) == resident.holder

    @invariant()
    def attributes_lie_in_open_cases_only(self) -> None:
        if not hasattr(self, "town"):
            return
        case, kept = tables.case, tables.case_resident
        query = select(case.c.state).join(kept, kept.c.number == case.c.number)
        with self.town.rooms.store.database.reading() as connection:
            states = set(connection.execute(query).scalars())
        assert states <= {CaseState.IDENTITY_CHECKED, CaseState.APPROVED, CaseState.ISSUED}

    def check_delivered(self, serial: Serial, number: CaseNumber, clerk: int) -> None:
        """The rules, once more and by hand, for what has just come to life."""
        case, record = self.town.rooms.store.cases.case(number), self.records({serial})[serial]
        resident, today = self.town.register.residents[record.holder], day_in_japan(self.time())
        assert self.case_of(serial) == number
        assert record.purpose in case.purposes
        assert resident.registration is not Registration.ENDED
        assert case.card is not None
        assert case.card == self.approved[number]
        assert record.card_end == case.card.not_after
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
        assert case.counter in RECEPTION[clerk]
        if case.counter == POST_OFFICE:
            assert case.applicant is Applicant.HOLDER
            assert case.kind in (CaseKind.NEW, CaseKind.RENEWAL)
        if case.counter == CONSULATE:
            assert resident.registration is Registration.ABROAD

    def check_happened(self, case: Case, had: Mapping[Purpose, CertificateRecord]) -> None:
        """What a case's event kills is dead or on hold, for its reason; the rest stands as it did."""
        assert case.event is not None or case.kind in (CaseKind.NEW, CaseKind.RENEWAL)
        records = self.records({each.serial for each in had.values()})
        for purpose, old in had.items():
            status = records[old.serial].status
            if case.event is None or (case.event in _OF_THOSE_ASKED_FOR and purpose not in case.purposes):
                assert status == old.status
            elif KILLS[case.event] is Reason.CERTIFICATE_HOLD:
                assert (status.state, status.reason) == (State.HELD, Reason.CERTIFICATE_HOLD)
            else:
                assert (status.state, status.reason) == (State.REVOKED, KILLS[case.event])
                self.seen["killed"] += 1

    def check_released(self, case: Case, had: Mapping[Purpose, CertificateRecord]) -> None:
        """Another clerk approved it, and the hold is the one that there was when it was asked for."""
        old = had[Purpose.AUTHENTICATION]
        assert old.status.state is State.HELD
        assert old.status.revoked_at is not None
        assert old.status.revoked_at <= case.opened_at
        assert case.purposes == (Purpose.AUTHENTICATION,)
        assert case.checked_by != case.approved_by
        assert self.records({old.serial})[old.serial].status.state is State.ACTIVE
        self.released.add(old.serial)
        self.seen["released"] += 1

    def check_renewed(self, serial: Serial) -> None:
        """The rules of a campaign, once more and by hand, for what has just come to life."""
        certificate = tables.certificate
        with self.town.rooms.store.database.reading() as connection:
            renews = connection.execute(select(certificate.c.renews).where(certificate.c.serial == serial)).scalar_one()
        found = self.records({serial, renews})
        new, old = found[serial], found[renews]
        resident, today = self.town.register.residents[new.holder], day_in_japan(self.time())
        assert (old.status.state, old.status.reason) == (State.REVOKED, Reason.SUPERSEDED)
        assert (new.holder, new.purpose, new.carrier, new.card_end) == (old.holder, old.purpose, CARD, old.card_end)
        assert old.validity.not_after < new.validity.not_after
        assert old.validity.not_after <= new.validity.not_before + timedelta(days=93)
        assert new.validity.not_after <= end_of_day(today + timedelta(days=6 * 366))
        assert resident.registration is not Registration.ENDED
        if resident.stay_until is not None:
            assert today <= resident.stay_until
            assert new.validity.not_after <= end_of_day(resident.stay_until)
        assert new.purpose is Purpose.AUTHENTICATION or not resident.is_ward
        self.renewed.add(serial)

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

    def alive(self) -> Sequence[CertificateRecord]:
        """Return what lives or is on hold; it is read anew when the journal or the time has moved."""
        if not hasattr(self, "town"):
            return ()
        with self.town.rooms.store.database.reading() as connection:
            seen_at = (connection.execute(select(tables.ledger.c.position)).scalar_one(), self.time())
        if seen_at != self.seen_at:
            self.seen_at, self.lives = seen_at, list(self.records(self.living()).values())
        return self.lives

    def disclosed(self, record: CertificateRecord) -> Holder:
        """Return the holder that a signing certificate tells of."""
        if record.serial not in self.told:
            octets = self.town.rooms.store.ledger.certificates([record.serial])[record.serial]
            municipality = self.town.register.residents[record.holder].holder.municipality.code
            certificate = x509.load_der_x509_certificate(octets)
            self.told[record.serial] = holder_of(record.holder, certificate, municipality)
        return self.told[record.serial]

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
    assert seen["killed"] > 0
    for seldom_seen in ("released", "taken over", "renewed in a campaign") if examples >= _MANY else ():
        assert seen[seldom_seen] >= examples // 10


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
