"""Cases from the counter to the certificate and to its end, with a real ledger."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from sqlalchemy import func, select

from enroll.case_paths import NOTHING, Shown, Wants, decide
from jpki.acts import LOCAL_OPERATOR, Act
from jpki.card import CardMode
from jpki.case import Applicant, Case, CaseKind, CaseNumber, CaseState, Document, Express, ExpressGround, Ground, Step
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clerk import Role
from jpki.clock import day_in_japan, end_of_day, system_clock
from jpki.errors import JpkiError
from jpki.event import Event
from jpki.ids import HolderCode
from jpki.randomness import system_randomness
from jpki.resident import Registration
from jpki.revocation import Reason, State
from server.audit.body import decode
from server.reconcile.reconcile import reconcile
from server.sealing import Sealing
from server.store import tables
from server.store.replay import Replay
from tests.conftest import SteppingClock
from tests.server.conftest import copied
from tests.server.office_world import (
    CONSULATE,
    HANA,
    OTHER_TOWN,
    POST_OFFICE,
    TOWN,
    OfficeTown,
    clerk_row,
    office_at,
    resident_of,
)

OTHER = HolderCode("H-2")
SIGNING, AUTHENTICATION = (Purpose.SIGNING,), (Purpose.AUTHENTICATION,)


@pytest.fixture
def time() -> SteppingClock:
    return SteppingClock(system_clock())


@pytest.fixture
def office(new_home: Path, tmp_path: Path, time: SteppingClock) -> Iterator[OfficeTown]:
    with office_at(copied(new_home, tmp_path / "home"), time) as town:
        town.register.enter(resident_of())
        yield town


def codes(refused: pytest.ExceptionInfo[JpkiError]) -> list[str]:
    return [fault.code for fault in refused.value.faults]


def code_of(refused: pytest.ExceptionInfo[JpkiError]) -> str:
    return refused.value.code


def residents_kept(town: OfficeTown) -> int:
    with town.rooms.store.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(tables.case_resident)).scalar_one()


# --- a new holder --------------------------------------------------------------------------------------------------


def test_a_new_holder_gets_both_certificates_and_they_live_from_the_delivery_on(office: OfficeTown) -> None:
    issued = office.issued()
    assert issued.case.state is CaseState.ISSUED
    assert office.states(issued.case) == [State.ISSUED, State.ISSUED]
    case = office.rooms.office.deliver(issued.case.number, office.front)
    assert case.state is CaseState.DELIVERED
    assert office.states(case) == [State.ACTIVE, State.ACTIVE]
    assert set(office.rooms.desk.on_card(HANA)) == set(HOLDER_PURPOSES)


def test_attributes_lie_sealed_from_the_identity_check_to_the_delivery_and_in_no_other_form(
    office: OfficeTown, tmp_path: Path
) -> None:
    holder = office.register.residents[HANA].holder
    issued = office.issued()
    assert residents_kept(office) == 1
    shown = office.rooms.office.resident(issued.case.number, office.front)
    assert shown == office.register.residents[HANA]
    sealed_row = _sealed(office)
    office.rooms.office.deliver(issued.case.number, office.front)
    assert residents_kept(office) == 0
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.resident(issued.case.number, office.front)
    assert code_of(refused) == "resident-erased"
    octets = b"".join(file.read_bytes() for file in (tmp_path / "home").glob("jpki.sqlite*"))
    assert len(sealed_row) > 100
    for secret in (holder.name, holder.address, str(holder.birth_date)):
        assert secret.encode() not in octets
        assert secret.encode("utf-16-le") not in octets


def _sealed(office: OfficeTown) -> bytes:
    with office.rooms.store.database.reading() as connection:
        octets: bytes = connection.execute(select(tables.case_resident.c.sealed)).scalar_one()
    return octets


def test_the_sealed_answer_of_one_case_opens_in_no_other(office: OfficeTown) -> None:
    first = office.approved()
    office.register.enter(resident_of(OTHER))
    other = office.approved(holder=OTHER)
    table = tables.case_resident
    with office.rooms.store.database.writing() as connection:
        rows = {row.number: row.sealed for row in connection.execute(select(table))}
        connection.execute(table.update().where(table.c.number == other.number).values(sealed=rows[first.number]))
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.resident(other.number, office.front)
    assert code_of(refused) == "record-unreadable"


@pytest.mark.parametrize("end", ["refuse", "cancel", "expire"])
def test_what_is_not_delivered_never_lives_and_nothing_of_the_holder_stays(
    office: OfficeTown, time: SteppingClock, end: str
) -> None:
    case = office.issued().case
    match end:
        case "refuse":
            office.rooms.office.refuse(case.number, Shown(ground=Ground.SUSPECTED_FRAUD), office.front)
        case "cancel":
            office.rooms.office.cancel(case.number, office.front)
        case _:
            time.advance(days=31)
            assert office.rooms.office.expire_due() == 1
    assert office.states(case) == [State.REVOKED, State.REVOKED]
    assert residents_kept(office) == 0
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.deliver(case.number, office.front)
    assert code_of(refused) == "case-closed"
    assert office.rooms.desk.on_card(HANA) == {}


def test_what_waits_for_delivery_outlives_the_tidying_of_abandoned_certificates(
    office: OfficeTown, time: SteppingClock
) -> None:
    case = office.issued().case
    time.advance(days=20)
    office.rooms.maintenance.jobs["abandoned"]()
    assert office.states(case) == [State.ISSUED, State.ISSUED]
    with pytest.raises(JpkiError) as refused:
        office.issued(purposes=AUTHENTICATION)
    assert code_of(refused) == "certificate-pending"
    office.rooms.office.deliver(case.number, office.front)
    assert office.states(case) == [State.ACTIVE, State.ACTIVE]


def test_reconcile_finds_nothing_wrong_in_what_waits_for_delivery(office: OfficeTown, time: SteppingClock) -> None:
    case = office.issued().case
    time.advance(hours=1)
    report = reconcile(office.rooms, LOCAL_OPERATOR, lambda _: None)
    assert report.found == 0, report.differences
    assert office.states(case) == [State.ISSUED, State.ISSUED]


def test_nothing_of_a_case_comes_to_life_without_the_case(office: OfficeTown) -> None:
    issued = office.issued()
    serials = [each.serial for each in office.rooms.store.cases.certificates(issued.case.number)]
    with pytest.raises(JpkiError) as refused:
        office.rooms.desk.authority.activate(serials, LOCAL_OPERATOR)
    assert code_of(refused) == "case-changed"
    assert office.states(issued.case) == [State.ISSUED, State.ISSUED]


# --- before the approval -------------------------------------------------------------------------------------------


def test_until_the_identity_is_checked_the_register_is_asked_for_each_look_and_nothing_of_it_stays(
    office: OfficeTown,
) -> None:
    case = office.opened()
    for times in (1, 2):
        assert office.rooms.office.resident(case.number, office.front) == office.register.residents[HANA]
        assert office.register.asked == times
    assert residents_kept(office) == 0
    assert acts(office).count(Act.RESIDENT_SHOWN) == 2
    office.rooms.office.check_identity(case.number, Shown(card=office.card()), office.front)
    office.rooms.office.resident(case.number, office.front)
    assert office.register.asked == 3


def acts(office: OfficeTown) -> list[Act]:
    with office.rooms.store.database.reading() as connection:
        return [decode(body).act for body in connection.execute(select(tables.audit_outbox.c.body)).scalars()]


@pytest.mark.parametrize("kind", [CaseKind.PIN_RESET, CaseKind.HOLD])
def test_the_register_is_asked_only_where_certificates_are_issued(office: OfficeTown, kind: CaseKind) -> None:
    office.delivered()
    asked = office.register.asked
    case = office.opened(kind, event=Event.CARD_LOST if kind is CaseKind.HOLD else None)
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.resident(case.number, office.front)
    assert code_of(refused) == "resident-erased"
    assert office.register.asked == asked


def test_after_its_time_a_case_asks_the_register_no_more(office: OfficeTown, time: SteppingClock) -> None:
    case = office.opened()
    time.advance(days=31)
    for look in (office.rooms.office.resident, office.rooms.office.possibilities):
        with pytest.raises(JpkiError) as refused:
            look(case.number, office.front)
        assert code_of(refused) in ("resident-erased", "case-expired")
    assert office.register.asked == 0


def broken(office: OfficeTown, number: CaseNumber) -> dict[Purpose, list[str]]:
    found = office.rooms.office.possibilities(number, office.front)
    return {purpose: [rule.code for rule in rules] for purpose, rules in found.items()}


def test_which_kinds_are_possible_is_told_beforehand_whatever_was_asked_for(office: OfficeTown) -> None:
    office.register.enter(resident_of(HANA, 14, office.now))
    more: dict[str, Any] = {"applicant": Applicant.LEGAL_PROXY, "documents": frozenset({Document.LEGAL_PROOF})}
    case = office.opened(purposes=AUTHENTICATION, **more)
    assert broken(office, case.number) == {Purpose.SIGNING: ["too-young"], Purpose.AUTHENTICATION: []}
    assert acts(office).count(Act.RESIDENT_SHOWN) == 1
    office.rooms.office.present_card(case.number, office.card(CardMode.PINLESS), office.front)
    assert broken(office, case.number)[Purpose.SIGNING] == ["too-young", "pinless-no-signing"]
    office.rooms.office.cancel(case.number, office.front)
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.possibilities(case.number, office.front)
    assert code_of(refused) == "case-closed"


def test_what_lives_already_is_no_possibility(office: OfficeTown) -> None:
    office.delivered(purposes=AUTHENTICATION)
    case = office.opened(purposes=SIGNING)
    assert broken(office, case.number) == {Purpose.SIGNING: [], Purpose.AUTHENTICATION: ["certificate-live"]}


@pytest.mark.parametrize("is_checked", [False, True], ids=["received", "checked"])
def test_other_kinds_may_be_asked_for_until_the_approval_and_the_identity_is_checked_for_those(
    office: OfficeTown,
    is_checked: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    case = office.opened()
    if is_checked:
        office.rooms.office.check_identity(case.number, Shown(card=office.card()), office.front)
    amended = office.rooms.office.amend(case.number, AUTHENTICATION, office.front)
    assert (amended.state, amended.purposes, amended.checked_by) == (CaseState.RECEIVED, AUTHENTICATION, None)
    assert amended == office.rooms.office.case(case.number, office.front)
    assert residents_kept(office) == 0
    office.rooms.office.check_identity(case.number, Shown(card=office.card()), office.front)
    office.rooms.office.approve(case.number, office.second)
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.amend(case.number, SIGNING, office.front)
    assert code_of(refused) == "step-not-now"


def test_a_case_is_not_amended_to_what_lives_already(office: OfficeTown) -> None:
    office.delivered(purposes=AUTHENTICATION)
    case = office.opened(purposes=SIGNING)
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.amend(case.number, HOLDER_PURPOSES, office.front)
    assert codes(refused) == ["certificate-live"]


def test_the_card_that_was_read_is_the_cases_card_and_moves_it_nowhere(office: OfficeTown) -> None:
    case = office.opened()
    card, other = office.card(), office.card()
    presented = office.rooms.office.present_card(case.number, card, office.front)
    assert (presented.state, presented.card) == (CaseState.RECEIVED, card)
    assert office.rooms.office.check_identity(case.number, NOTHING, office.front).card == card
    assert office.rooms.office.present_card(case.number, other, office.front).state is CaseState.IDENTITY_CHECKED
    assert residents_kept(office) == 1
    office.rooms.office.approve(case.number, office.second)
    office.rooms.office.issue(case.number, office.keys(), office.front)
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.present_card(case.number, card, office.front)
    assert code_of(refused) == "step-not-now"


def test_what_was_approved_for_one_card_is_not_issued_to_another(office: OfficeTown) -> None:
    case = office.approved()
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.present_card(case.number, office.card(), office.front)
    assert code_of(refused) == "step-not-now"
    office.rooms.office.send_back(case.number, office.second)
    other = office.card()
    assert office.rooms.office.present_card(case.number, other, office.front).card == other


def test_a_card_that_cannot_serve_the_case_is_refused_when_it_is_read(office: OfficeTown) -> None:
    case = office.opened(CaseKind.PIN_RESET)
    office.rooms.office.check_identity(case.number, Shown(card=office.card()), office.front)
    for card, code in (
        (office.card(CardMode.PINLESS), "pinless-no-pin"),
        (office.card(not_after=office.now), "card-expired"),
    ):
        with pytest.raises(JpkiError) as refused:
            office.rooms.office.present_card(case.number, card, office.front)
        assert codes(refused) == [code]


def test_a_closed_counter_leads_no_case_on(office: OfficeTown) -> None:
    case = office.opened()
    office.rooms.store.counters.close(TOWN, LOCAL_OPERATOR, office.now)
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.amend(case.number, AUTHENTICATION, office.front)
    assert code_of(refused) == "counter-closed"
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.present_card(case.number, office.card(), office.front)
    assert code_of(refused) == "counter-closed"


def test_the_terminal_is_told_what_the_case_wants_of_the_card(office: OfficeTown, time: SteppingClock) -> None:
    def wanted(number: CaseNumber) -> Wants | None:
        found = office.rooms.office.at_terminal(number, office.front)
        assert found is not None
        return found[1]

    case = office.opened()
    assert wanted(case.number) is Wants.CARD
    office.rooms.office.present_card(case.number, office.card(), office.front)
    assert wanted(case.number) is None
    office.rooms.office.check_identity(case.number, NOTHING, office.front)
    assert wanted(case.number) is None
    office.rooms.office.approve(case.number, office.second)
    assert wanted(case.number) is Wants.KEYS
    office.rooms.office.issue(case.number, office.keys(), office.front)
    assert wanted(case.number) is Wants.KEYS
    assert office.rooms.office.at_terminal(case.number, office.elsewhere) is None
    office.rooms.office.deliver(case.number, office.front)
    assert wanted(case.number) is None
    reset = office.opened(CaseKind.PIN_RESET)
    assert wanted(reset.number) is Wants.CARD
    office.rooms.office.check_identity(reset.number, Shown(card=office.card()), office.front)
    assert wanted(reset.number) is Wants.PIN
    time.advance(days=1)
    assert wanted(reset.number) is None


# --- caps ----------------------------------------------------------------------------------------------------------


def ends(certificates: dict[Purpose, x509.Certificate]) -> tuple[object, object]:
    return (
        certificates[Purpose.SIGNING].not_valid_after_utc,
        certificates[Purpose.AUTHENTICATION].not_valid_after_utc,
    )


def test_nothing_outlives_the_card(office: OfficeTown) -> None:
    case = office.opened()
    end = end_of_day(day_in_japan(office.now) + timedelta(days=400))
    office.rooms.office.check_identity(case.number, Shown(card=office.card(not_after=end)), office.front)
    office.rooms.office.approve(case.number, office.second)
    issued = office.rooms.office.issue(case.number, office.keys(), office.front)
    assert ends(dict(issued.certificates)) == (end, end)


def test_nothing_outlives_a_foreign_residents_stay(office: OfficeTown) -> None:
    last = day_in_japan(office.now) + timedelta(days=200)
    office.register.change(HANA, stay_until=last)
    assert ends(dict(office.issued().certificates)) == (end_of_day(last), end_of_day(last))


def test_a_signing_certificate_ends_with_the_authentication_certificate_that_is_there(
    office: OfficeTown, time: SteppingClock
) -> None:
    old = office.delivered(purposes=AUTHENTICATION)[Purpose.AUTHENTICATION]
    time.advance(days=800)
    office.rooms.maintenance.jobs["responders"]()
    signing = office.issued(purposes=SIGNING).certificates[Purpose.SIGNING]
    assert signing.not_valid_after_utc == office.rooms.store.ledger.find([old])[old].validity.not_after


# --- the register --------------------------------------------------------------------------------------------------


def test_whoever_moved_meanwhile_begins_again(office: OfficeTown) -> None:
    case = office.approved()
    office.register.change(HANA, address="東京都千代田区一番町１番地")
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.issue(case.number, office.keys(), office.front)
    assert code_of(refused) == "register-changed"
    back = office.rooms.office.case(case.number, office.front)
    assert (back.state, back.checked_by, back.approved_by) == (CaseState.RECEIVED, None, None)
    assert residents_kept(office) == 0
    assert office.states(case) == []


def test_whoever_moved_between_issue_and_delivery_gets_nothing_of_the_old_address(office: OfficeTown) -> None:
    issued = office.issued()
    office.register.change(HANA, address="東京都千代田区一番町１番地")
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.deliver(issued.case.number, office.front)
    assert code_of(refused) == "register-changed"
    assert office.states(issued.case) == [State.REVOKED, State.REVOKED]
    office.rooms.office.check_identity(issued.case.number, NOTHING, office.front)
    office.rooms.office.approve(issued.case.number, office.second)
    again = office.rooms.office.issue(issued.case.number, office.keys(), office.front)
    office.rooms.office.deliver(issued.case.number, office.front)
    serials = {each.serial_number for each in again.certificates.values()}
    assert {record.serial for record in office.rooms.desk.on_card(HANA).values()} == serials


def test_while_the_register_is_away_nothing_is_issued_and_nothing_is_lost(office: OfficeTown) -> None:
    case = office.approved()
    office.register.away = True
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.issue(case.number, office.keys(), office.front)
    assert code_of(refused) == "registry-away"
    office.register.away = False
    assert office.rooms.office.issue(case.number, office.keys(), office.front).case.state is CaseState.ISSUED


def test_a_lost_card_is_suspended_though_the_register_is_away(office: OfficeTown) -> None:
    serials = office.delivered()
    office.register.away = True
    case = office.rooms.office.suspend(HANA, TOWN, office.front)
    assert case.state is CaseState.DONE
    assert {office.state(each) for each in serials.values()} == {State.HELD}


# --- retries -------------------------------------------------------------------------------------------------------


def test_r04_a_retry_of_what_was_done_gets_the_same_certificates(office: OfficeTown) -> None:
    case, keys = office.approved(), office.keys()
    first = office.rooms.office.issue(case.number, keys, office.front)
    again = office.rooms.office.issue(case.number, keys, office.front)
    assert again.certificates == first.certificates
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.issue(case.number, office.keys(), office.front)
    assert code_of(refused) == "step-not-now"


# --- other kinds ---------------------------------------------------------------------------------------------------


def test_r20_no_second_certificate_where_one_lives(office: OfficeTown) -> None:
    office.delivered()
    with pytest.raises(JpkiError) as refused:
        office.opened()
    assert codes(refused) == ["certificate-live"]


def test_a_renewal_opens_three_months_before_the_end_and_supersedes(office: OfficeTown, time: SteppingClock) -> None:
    old = office.delivered()
    with pytest.raises(JpkiError) as refused:
        office.opened(CaseKind.RENEWAL)
    assert codes(refused) == ["renewal-closed"]
    end = office.rooms.desk.on_card(HANA)[Purpose.AUTHENTICATION].validity.not_after
    time.now = end - timedelta(days=60)
    office.rooms.maintenance.jobs["responders"]()
    new = office.delivered(CaseKind.RENEWAL)
    statuses = office.rooms.store.ledger.find(list(old.values()))
    assert {each.status.reason for each in statuses.values()} == {Reason.SUPERSEDED}
    years = {
        day_in_japan(each.validity.not_after).year
        for each in office.rooms.store.ledger.find(list(new.values())).values()
    }
    assert years == {day_in_japan(end).year + 5}


def test_a_reissue_supersedes_what_is_on_hold_on_delivery_and_not_before(office: OfficeTown) -> None:
    old = office.delivered()
    office.rooms.office.suspend(HANA, TOWN, office.front)
    issued = office.issued(CaseKind.REISSUE, event=Event.CARD_LOST)
    assert {office.state(each) for each in old.values()} == {State.HELD}
    office.rooms.office.deliver(issued.case.number, office.front)
    assert {office.state(each) for each in old.values()} == {State.REVOKED}
    assert office.states(issued.case) == [State.ACTIVE, State.ACTIVE]


@pytest.mark.parametrize(
    ("event", "reasons"),
    [
        (Event.KEY_LEAKED, dict.fromkeys(HOLDER_PURPOSES, Reason.KEY_COMPROMISE)),
        (Event.CARD_DESTROYED, dict.fromkeys(HOLDER_PURPOSES, Reason.KEY_COMPROMISE)),
        (Event.NUMBER_CHANGED, dict.fromkeys(HOLDER_PURPOSES, Reason.CESSATION_OF_OPERATION)),
        (Event.RECORD_WRONG, {Purpose.SIGNING: Reason.AFFILIATION_CHANGED}),
        (Event.CARD_LOST, dict.fromkeys(HOLDER_PURPOSES, Reason.CERTIFICATE_HOLD)),
    ],
    ids=["leaked", "destroyed", "number", "wrong", "lost"],
)
def test_a_reissue_does_to_the_old_ones_what_the_table_says_before_anything_is_signed(
    office: OfficeTown, event: Event, reasons: dict[Purpose, Reason]
) -> None:
    old = office.delivered()
    case = office.approved(CaseKind.REISSUE, event=event, purposes=SIGNING)
    told = {each.record.purpose: each.reason for each in office.rooms.office.effects(case.number, office.front).effects}
    office.rooms.office.issue(case.number, office.keys(SIGNING), office.front)
    found = {purpose: office.rooms.store.ledger.find([each])[each].status.reason for purpose, each in old.items()}
    assert found == dict.fromkeys(HOLDER_PURPOSES) | reasons
    office.rooms.office.deliver(case.number, office.front)
    replaced = {Purpose.SIGNING: Reason.SUPERSEDED} if event is Event.CARD_LOST else {}
    found = {purpose: office.rooms.store.ledger.find([each])[each].status.reason for purpose, each in old.items()}
    assert found == told == dict.fromkeys(HOLDER_PURPOSES) | reasons | replaced
    assert office.states(case) == [State.ACTIVE]


def test_a_reissue_that_was_cut_off_after_the_old_ones_ended_is_issued_by_a_retry(office: OfficeTown) -> None:
    old = office.delivered()
    case = office.approved(CaseKind.REISSUE, event=Event.KEY_LEAKED)
    used = office.keys()
    office.rooms.office.issue(
        office.approved(holder=office.register.enter(resident_of(OTHER))).number, used, office.front
    )
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.issue(case.number, used, office.front)
    assert code_of(refused) == "key-reused"
    assert {office.state(each) for each in old.values()} == {State.REVOKED}
    office.rooms.office.issue(case.number, office.keys(), office.front)
    office.rooms.office.deliver(case.number, office.front)
    assert office.states(case) == [State.ACTIVE, State.ACTIVE]


def with_card(office: OfficeTown, case: Case, days: int) -> Case:
    """Check the identity with a card that ends in so many days, and approve."""
    card = office.card(not_after=end_of_day(day_in_japan(office.now) + timedelta(days=days)))
    office.rooms.office.check_identity(case.number, Shown(card=card), office.front)
    return office.rooms.office.approve(case.number, office.second)


def test_an_authentication_certificate_that_ends_before_the_signing_certificate_is_issued_with_another_of_those(
    office: OfficeTown,
) -> None:
    office.delivered()
    wrong: dict[str, Any] = {"event": Event.RECORD_WRONG}
    alone = office.opened(CaseKind.REISSUE, purposes=AUTHENTICATION, **wrong)
    with pytest.raises(JpkiError) as refused:
        with_card(office, alone, 30)
    assert codes(refused) == ["signing-outlives"]
    office.rooms.office.amend(alone.number, HOLDER_PURPOSES, office.front)
    both = with_card(office, alone, 30)
    office.rooms.office.issue(both.number, office.keys(), office.front)
    assert office.rooms.office.deliver(both.number, office.front).state is CaseState.DELIVERED


def test_a_reissue_after_a_renewal_counts_fewer_birthdays_and_the_signing_certificate_is_no_longer_than_that(
    office: OfficeTown, time: SteppingClock
) -> None:
    office.delivered()
    time.now = office.rooms.desk.on_card(HANA)[Purpose.SIGNING].validity.not_after - timedelta(days=60)
    office.rooms.maintenance.jobs["responders"]()
    office.delivered(CaseKind.RENEWAL)
    case = office.opened(CaseKind.REISSUE, purposes=AUTHENTICATION, event=Event.RECORD_WRONG)
    with pytest.raises(JpkiError) as refused:
        with_card(office, case, 3650)
    assert codes(refused) == ["signing-outlives"]


def test_of_two_cases_the_one_that_would_leave_the_signing_certificate_longer_begins_again(office: OfficeTown) -> None:
    first = with_card(office, office.opened(purposes=AUTHENTICATION), 30)
    issued = office.rooms.office.issue(first.number, office.keys(AUTHENTICATION), office.front)
    office.delivered(purposes=SIGNING)
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.deliver(issued.case.number, office.front)
    assert code_of(refused) == "signing-outlives"
    assert office.rooms.office.case(first.number, office.front).state is CaseState.RECEIVED
    assert office.states(issued.case) == [State.REVOKED]
    assert residents_kept(office) == 0


def done(office: OfficeTown, kind: CaseKind, **more: object) -> None:
    case = office.opened(kind, HANA, **more)
    office.rooms.office.check_identity(case.number, NOTHING, office.front)
    if kind in (CaseKind.REVOCATION, CaseKind.RELEASE):
        office.rooms.office.approve(case.number, office.second)
    assert office.rooms.office.complete(case.number, office.front).state is CaseState.DONE


@pytest.mark.parametrize(
    ("event", "purposes", "reasons"),
    [
        (Event.HOLDER_ASKED, SIGNING, {Purpose.SIGNING: Reason.CESSATION_OF_OPERATION}),
        (Event.HOLDER_ASKED, HOLDER_PURPOSES, dict.fromkeys(HOLDER_PURPOSES, Reason.CESSATION_OF_OPERATION)),
        (Event.KEY_LEAKED, AUTHENTICATION, dict.fromkeys(HOLDER_PURPOSES, Reason.KEY_COMPROMISE)),
        (Event.CARD_RETURNED, HOLDER_PURPOSES, dict.fromkeys(HOLDER_PURPOSES, Reason.CESSATION_OF_OPERATION)),
        (Event.RECORD_WRONG, SIGNING, {Purpose.SIGNING: Reason.AFFILIATION_CHANGED}),
    ],
    ids=["asked-one", "asked-both", "leaked", "returned", "wrong"],
)
def test_a_revocation_does_what_the_table_says(
    office: OfficeTown, event: Event, purposes: tuple[Purpose, ...], reasons: dict[Purpose, Reason]
) -> None:
    serials = office.delivered()
    done(office, CaseKind.REVOCATION, event=event, purposes=purposes)
    found = {purpose: office.rooms.store.ledger.find([each])[each].status.reason for purpose, each in serials.items()}
    assert found == dict.fromkeys(HOLDER_PURPOSES) | reasons


def test_what_was_found_again_is_released_for_authentication_only(office: OfficeTown) -> None:
    serials = office.delivered()
    office.rooms.office.suspend(HANA, TOWN, office.front)
    with pytest.raises(JpkiError) as refused:
        office.opened(CaseKind.RELEASE)
    assert codes(refused) == ["hold-final"]
    done(office, CaseKind.RELEASE, purposes=AUTHENTICATION)
    assert office.state(serials[Purpose.AUTHENTICATION]) is State.ACTIVE
    assert office.state(serials[Purpose.SIGNING]) is State.HELD


def test_a_release_lifts_the_hold_that_it_was_approved_for_and_no_later_one(
    office: OfficeTown, time: SteppingClock
) -> None:
    def found() -> Case:
        case = office.opened(CaseKind.RELEASE, purposes=AUTHENTICATION)
        office.rooms.office.check_identity(case.number, NOTHING, office.front)
        return office.rooms.office.approve(case.number, office.second)

    serial = office.delivered()[Purpose.AUTHENTICATION]
    office.rooms.office.suspend(HANA, TOWN, office.front)
    early, late = found(), found()
    office.rooms.office.complete(early.number, office.front)
    time.advance(hours=1)
    office.rooms.office.suspend(HANA, TOWN, office.front)
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.complete(late.number, office.front)
    assert code_of(refused) == "held-again"
    assert office.state(serial) is State.HELD
    office.rooms.office.complete(found().number, office.front)
    assert office.state(serial) is State.ACTIVE


def test_a_forgotten_pin_is_reset_at_a_card_that_has_one(office: OfficeTown) -> None:
    case = office.opened(CaseKind.PIN_RESET)
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.check_identity(case.number, Shown(card=office.card(CardMode.PINLESS)), office.front)
    assert codes(refused) == ["pinless-no-pin"]
    office.rooms.office.check_identity(case.number, Shown(card=office.card()), office.front)
    assert office.rooms.office.complete(case.number, office.front).state is CaseState.DONE


# --- who ---------------------------------------------------------------------------------------------------------


def test_a_case_goes_on_at_another_counter_when_it_is_taken_over(office: OfficeTown) -> None:
    case = office.approved()
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.issue(case.number, office.keys(), office.elsewhere)
    assert code_of(refused) == "role-missing"
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.case(case.number, office.elsewhere)
    assert code_of(refused) == "role-missing"
    office.rooms.office.take_over(case.number, OTHER_TOWN, office.elsewhere)
    issued = office.rooms.office.issue(case.number, office.keys(), office.elsewhere)
    assert office.rooms.office.deliver(issued.case.number, office.elsewhere).counter == OTHER_TOWN
    with pytest.raises(JpkiError):
        office.rooms.office.case(case.number, office.second)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (CaseKind.NEW, {"applicant": Applicant.VOLUNTARY_PROXY, "documents": frozenset({Document.REPLY_LETTER})}),
        (CaseKind.NEW, {"express": None}),
    ],
    ids=["proxy", "express"],
)
def test_four_eyes_where_a_rule_asks(office: OfficeTown, kind: CaseKind, more: dict[str, Any]) -> None:
    if "express" in more:
        more = {"express": Express(ground=ExpressGround.RETURNEE, happened_on=day_in_japan(office.now))}
    case = office.opened(kind, **more)
    office.rooms.office.check_identity(case.number, Shown(card=office.card()), office.front)
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.approve(case.number, office.front)
    assert code_of(refused) == "four-eyes"
    assert office.rooms.office.approve(case.number, office.second).state is CaseState.APPROVED


def test_an_ordinary_case_may_be_approved_by_who_checked_it(office: OfficeTown) -> None:
    case = office.opened()
    office.rooms.office.check_identity(case.number, Shown(card=office.card()), office.front)
    assert office.rooms.office.approve(case.number, office.front).approved_by == office.front.id


def test_a_closed_counter_takes_no_case_and_its_open_ones_go_elsewhere(office: OfficeTown) -> None:
    case = office.opened()
    office.rooms.store.counters.close(TOWN, LOCAL_OPERATOR, office.now)
    with pytest.raises(JpkiError) as refused:
        office.opened()
    assert code_of(refused) == "counter-closed"
    assert office.rooms.office.take_over(case.number, OTHER_TOWN, office.elsewhere).counter == OTHER_TOWN


# --- eligibility ---------------------------------------------------------------------------------------------------


def identity(office: OfficeTown, more: dict[str, Any], mode: CardMode = CardMode.ORDINARY) -> list[str]:
    case = office.opened(**more)
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.check_identity(case.number, Shown(card=office.card(mode)), office.front)
    assert code_of(refused) == "not-eligible"
    return codes(refused)


def test_all_reasons_are_told_at_once(office: OfficeTown) -> None:
    office.register.enter(resident_of(HANA, 14, office.now, is_ward=True, registration=Registration.ENDED))
    assert identity(office, {}, CardMode.PINLESS) == [
        "too-young",
        "minor-without-parent",
        "ward-no-signing",
        "register-ended",
        "pinless-no-signing",
    ]


@pytest.mark.parametrize(
    ("age", "purposes", "applicant", "expected"),
    [
        (14, HOLDER_PURPOSES, Applicant.LEGAL_PROXY, ["too-young"]),
        (14, AUTHENTICATION, Applicant.HOLDER, ["minor-without-parent"]),
        (14, AUTHENTICATION, Applicant.LEGAL_PROXY, []),
        (15, HOLDER_PURPOSES, Applicant.HOLDER, []),
    ],
    ids=["14-both", "14-alone", "14-with-parent", "15"],
)
def test_under_15(
    office: OfficeTown, age: int, purposes: tuple[Purpose, ...], applicant: Applicant, expected: list[str]
) -> None:
    office.register.enter(resident_of(HANA, age, office.now))
    documents = frozenset({Document.LEGAL_PROOF}) if applicant is Applicant.LEGAL_PROXY else frozenset[Document]()
    more: dict[str, Any] = {"purposes": purposes, "applicant": applicant, "documents": documents}
    if expected:
        assert identity(office, more) == expected
    else:
        assert set(office.delivered(**more)) == set(purposes)


def test_a_ward_may_authenticate(office: OfficeTown) -> None:
    office.register.change(HANA, is_ward=True)
    assert identity(office, {"purposes": SIGNING}) == ["ward-no-signing"]
    assert set(office.delivered(purposes=AUTHENTICATION)) == set(AUTHENTICATION)


def test_a_stay_counts_its_last_day(office: OfficeTown) -> None:
    office.register.change(HANA, stay_until=day_in_japan(office.now) - timedelta(days=1))
    assert identity(office, {}) == ["stay-ended"]
    office.register.change(HANA, stay_until=day_in_japan(office.now))
    assert office.approved().state is CaseState.APPROVED


def test_a_post_office_takes_no_proxies_and_no_lost_cards(office: OfficeTown) -> None:
    more: dict[str, Any] = {"counter": POST_OFFICE, "applicant": Applicant.VOLUNTARY_PROXY}
    with pytest.raises(JpkiError) as refused:
        office.opened(**more)
    assert codes(refused) == ["post-office-no-proxy"]
    with pytest.raises(JpkiError) as refused:
        office.opened(CaseKind.REISSUE, counter=POST_OFFICE, event=Event.CARD_LOST)
    assert code_of(refused) == "counter-may-not"


@pytest.mark.parametrize("kind", [CaseKind.REVOCATION, CaseKind.PIN_RESET])
def test_a_post_office_takes_no_proxys_case_over_either(office: OfficeTown, kind: CaseKind) -> None:
    office.delivered()
    event = Event.HOLDER_ASKED if kind is CaseKind.REVOCATION else None
    documents = frozenset({Document.REPLY_LETTER})
    case = office.opened(kind, event=event, applicant=Applicant.VOLUNTARY_PROXY, documents=documents)
    office.rooms.office.check_identity(case.number, Shown(card=office.card()), office.front)
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.take_over(case.number, POST_OFFICE, office.front)
    assert codes(refused) == ["post-office-no-proxy"]
    assert office.rooms.office.case(case.number, office.front).counter == TOWN


def test_a_consulate_serves_whoever_is_abroad(office: OfficeTown) -> None:
    assert identity(office, {"counter": CONSULATE}) == ["consulate-abroad-only"]
    office.register.change(HANA, registration=Registration.ABROAD)
    assert set(office.delivered(counter=CONSULATE)) == set(HOLDER_PURPOSES)


@pytest.mark.parametrize(("days", "is_late"), [(0, False), (30, False), (31, True), (-1, True)])
def test_express_issue_is_asked_for_within_thirty_days(office: OfficeTown, days: int, is_late: bool) -> None:  # noqa: FBT001
    happened = day_in_japan(office.now) - timedelta(days=days)
    express = Express(ground=ExpressGround.NEW_RESIDENT, happened_on=happened)
    if is_late:
        with pytest.raises(JpkiError) as refused:
            office.opened(express=express)
        assert codes(refused) == ["express-late"]
    else:
        assert office.opened(express=express).express == express


def test_a_third_party_may_report_a_leaked_key_and_nothing_else(office: OfficeTown) -> None:
    office.delivered()
    others: dict[str, Any] = {"applicant": Applicant.THIRD_PARTY}
    with pytest.raises(JpkiError) as refused:
        office.opened(CaseKind.REVOCATION, event=Event.HOLDER_ASKED, **others)
    assert codes(refused) == ["third-party-may-not"]
    case = office.opened(CaseKind.REVOCATION, event=Event.KEY_LEAKED, **others)
    office.rooms.office.check_identity(case.number, NOTHING, office.front)
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.approve(case.number, office.front)
    assert code_of(refused) == "four-eyes"


def test_a_card_that_has_ended_takes_nothing(office: OfficeTown) -> None:
    case = office.opened()
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.check_identity(case.number, Shown(card=office.card(not_after=office.now)), office.front)
    assert codes(refused) == ["card-expired"]
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.check_identity(case.number, NOTHING, office.front)
    assert codes(refused) == ["card-missing"]


@pytest.mark.parametrize(
    ("kind", "more", "pointers"),
    [
        (CaseKind.NEW, {"purposes": ()}, ["/purposes"]),
        (CaseKind.NEW, {"event": Event.CARD_LOST}, ["/event"]),
        (CaseKind.REVOCATION, {"event": Event.DIED, "purposes": ()}, ["/purposes", "/event"]),
        (CaseKind.HOLD, {}, ["/event"]),
    ],
    ids=["no-kind", "event-too-many", "death", "no-event"],
)
def test_an_application_that_does_not_fit_together_names_every_field(
    office: OfficeTown, kind: CaseKind, more: dict[str, Any], pointers: list[str]
) -> None:
    with pytest.raises(JpkiError) as refused:
        office.opened(kind, **more)
    assert code_of(refused) == "application-unfit"
    assert [fault.pointer for fault in refused.value.faults] == pointers


def test_a_suspended_roles_clerk_is_nobody_here(office: OfficeTown) -> None:
    auditor = clerk_row(office.rooms, {TOWN: (Role.AUDITOR,)})
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.open(office.application(), auditor)
    assert code_of(refused) == "role-missing"
    case = office.opened()
    assert office.rooms.office.case(case.number, auditor) == case


def test_a_step_of_yesterday_is_lost_to_a_step_of_today(office: OfficeTown) -> None:
    stale = office.opened()
    office.rooms.office.check_identity(stale.number, Shown(card=office.card()), office.front)
    counter = office.rooms.store.counters.counter(TOWN)
    change = decide(stale, Step.CANCEL, office.front, counter, office.now)
    with pytest.raises(JpkiError) as refused:
        office.rooms.store.cases.swap(change, LOCAL_OPERATOR, office.now)
    assert code_of(refused) == "case-changed"


# --- the records around it -------------------------------------------------------------------------------------------


def test_what_a_case_holds_is_sealed_anew_with_all_else(office: OfficeTown) -> None:
    case = office.approved()
    before = _sealed(office)
    rotated = Sealing(
        store=office.rooms.store, keys=office.rooms.keys, clock=office.rooms.clock, randomness=system_randomness
    )
    rotated.begin()
    assert office.rooms.store.seals.outdated() == 1
    rotated.seal_all(lambda _: None)
    assert len(rotated.retire()) == 1
    assert office.rooms.store.seals.outdated() == 0
    assert _sealed(office) != before
    assert office.rooms.office.resident(case.number, office.front) == office.register.residents[HANA]


def test_after_a_restore_a_case_stands_as_the_audit_says_and_what_was_erased_stays_so(office: OfficeTown) -> None:
    """The audit is replayed over a ledger that knows the case as it was before it was delivered."""
    case = office.issued().case
    office.rooms.office.deliver(case.number, office.front)
    with office.rooms.store.database.writing() as connection:
        connection.execute(tables.case.update().values(state=CaseState.ISSUED, version=4))
        connection.execute(
            tables.case_resident.insert().values(number=case.number, data_key=1, sealed=b"as it was in the backup")
        )
        replay = Replay(connection)
        for body in connection.execute(select(tables.audit_outbox.c.body).order_by(tables.audit_outbox.c.id)).scalars():
            event = decode(body)
            if event.act is Act.CASE_STEP:
                replay.take(event)
    assert office.rooms.office.case(case.number, office.front).state is CaseState.DELIVERED
    assert residents_kept(office) == 0


def test_after_a_restore_four_eyes_are_still_two_clerks(office: OfficeTown) -> None:
    express = Express(ground=ExpressGround.RETURNEE, happened_on=day_in_japan(office.now))
    case = office.opened(express=express)
    office.rooms.office.check_identity(case.number, Shown(card=office.card()), office.front)
    with office.rooms.store.database.writing() as connection:
        connection.execute(tables.case.update().values(state=CaseState.RECEIVED, version=1, checked_by=None))
        replay = Replay(connection)
        for body in connection.execute(select(tables.audit_outbox.c.body)).scalars():
            event = decode(body)
            if event.act is Act.CASE_STEP:
                replay.take(event)
    with pytest.raises(JpkiError) as refused:
        office.rooms.office.approve(case.number, office.front)
    assert code_of(refused) == "four-eyes"
    assert office.rooms.office.approve(case.number, office.second).checked_by == office.front.id


def test_after_a_restore_a_case_is_for_the_kinds_that_were_asked_for_last(office: OfficeTown) -> None:
    case = office.opened()
    office.rooms.office.amend(case.number, AUTHENTICATION, office.front)
    with office.rooms.store.database.writing() as connection:
        connection.execute(tables.case.update().values(purposes="signing authentication", version=1))
        replay = Replay(connection)
        for body in connection.execute(select(tables.audit_outbox.c.body)).scalars():
            event = decode(body)
            if event.act is Act.CASE_STEP:
                replay.take(event)
    assert office.rooms.office.case(case.number, office.front).purposes == AUTHENTICATION


def test_a_clerk_of_after_the_backup_is_known_again_but_by_name(office: OfficeTown) -> None:
    late = clerk_row(office.rooms, {TOWN: [Role.APPROVAL]}, "新人")
    with office.rooms.store.database.writing() as connection:
        for table in (tables.clerk_role, tables.clerk):
            column = table.c.clerk if table is tables.clerk_role else table.c.id
            connection.execute(table.delete().where(column == late.id))
        replay = Replay(connection)
        bodies = connection.execute(select(tables.audit_outbox.c.body)).scalars().all()
        for event in map(decode, bodies):
            if event.act is Act.CLERK_ADDED and event.subjects == (f"clerk/{late.id}",):
                replay.take(event)
    again = office.rooms.store.clerks.clerk(late.id)
    assert (again.roles, again.name) == (late.roles, late.id)
