"""Cases in SQL: a step swaps on the case's version; see `jpki.ports.CaseBook`."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy import case as sql_case
from sqlalchemy.exc import IntegrityError

from jpki.acts import Act, Actor, AuditEvent
from jpki.card import CardFacts, CardMode
from jpki.case import (
    OPEN_STATES,
    Applicant,
    Case,
    CaseCertificate,
    CaseKind,
    CaseMark,
    CaseNumber,
    CasePlace,
    CaseState,
    Change,
    Document,
    Express,
    ExpressGround,
    Ground,
    Step,
    overdue_if_opened_before,
)
from jpki.certificate import Purpose
from jpki.clerk import ClerkId
from jpki.counter import Counter, CounterCode
from jpki.errors import JpkiError, Kind
from jpki.event import Event
from jpki.holder import Gender, Holder, Municipality
from jpki.ids import HolderCode, Serial
from jpki.ports import Reservation
from jpki.resident import Registration, Resident
from jpki.text import Text
from server.store import audit, tables
from server.store.among import Among
from server.store.counters import counter_in
from server.store.database import Database
from server.store.seal import Seal

_AT_ONCE = 500


class SqlCases:
    """See `jpki.ports.CaseBook`; contract in tests/server/cases_contract.py."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal

    def open(self, case: Case, by: Actor, at: datetime) -> None:
        """Write a new case."""
        try:
            with self._database.writing() as connection:
                self._database.advance_clock(connection, at)
                connection.execute(_OPEN, _values(case))
                details: dict[str, str | int] = {
                    "kind": case.kind,
                    "counter": case.counter,
                    "applicant": case.applicant,
                    "purposes": " ".join(case.purposes),
                }
                _note(connection, Act.CASE_OPENED, case.number, by, at, details)
        except JpkiError as error:
            if isinstance(error.__cause__, IntegrityError):
                raise _taken(case.number) from error
            raise

    def swap(self, change: Change, by: Actor, at: datetime) -> None:
        """Take a step."""
        with self._database.writing() as connection:
            self._database.advance_clock(connection, at)
            apply(connection, change, by, at)
            if change.resident is not None:
                self._keep(connection, change.after.number, change.resident)
            for serial, fingerprint in change.fingerprints.items():
                link = tables.case_certificate
                connection.execute(update(link).where(link.c.serial == serial).values(fingerprint=fingerprint))

    def case(self, number: CaseNumber) -> Case:
        """Return a case."""
        with self._database.reading() as connection:
            return _found(connection, number)

    def with_counter(self, number: CaseNumber) -> tuple[Case, Counter]:
        """Return a case and the counter that it lies at."""
        with self._database.reading() as connection:
            case = _found(connection, number)
            return case, counter_in(connection, case.counter)

    def resident(self, number: CaseNumber) -> Resident | None:
        """Open what the register answered."""
        with self._database.reading() as connection:
            row = connection.execute(_RESIDENT, {"number": number}).first()
            if row is None:
                return None
            key = self._seal.key(connection, row.data_key)
        return _resident_from(self._seal.open_at(key, resident_place(number), row.sealed))

    def certificates(self, number: CaseNumber) -> Sequence[CaseCertificate]:
        """Return what was ordered in a case."""
        with self._database.reading() as connection:
            rows = connection.execute(_ORDERED, {"number": number})
            return [CaseCertificate(row.serial, Purpose(row.purpose), row.version) for row in rows]

    def at_counter(
        self, counter: CounterCode, states: Collection[CaseState], after: CasePlace | None, count: int, at: datetime
    ) -> Sequence[tuple[CasePlace, Case]]:
        """Return a counter's cases in these states with their places."""
        case = tables.case
        rank = sql_case((_is_overdue(at), 0), else_=1)
        query = select(case, rank.label("rank")).where(case.c.counter == counter, case.c.state.in_(states))
        if after is not None:
            reached = 0 if after.is_overdue else 1
            query = query.where(or_(rank > reached, and_(rank == reached, case.c.number > after.number)))
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by("rank", case.c.number).limit(count))
            return [(CasePlace(row.rank == 0, CaseNumber(row.number)), _case(row)) for row in rows]

    def express_overdue(self, at: datetime) -> int:
        """Return how many express cases are open past their last day, at all counters."""
        query = select(func.count()).select_from(tables.case).where(_is_overdue(at))
        with self._database.reading() as connection:
            count: int = connection.execute(query).scalar_one()
        return count

    def of_holder(self, holder: HolderCode) -> Sequence[Case]:
        """Return all cases of a holder, the latest first."""
        case = tables.case
        return self._cases(select(case).where(case.c.holder == holder).order_by(case.c.opened_at.desc(), case.c.number))

    def overdue(self, at: datetime) -> Sequence[Case]:
        """Return open cases whose time is over."""
        case = tables.case
        due = select(case).where(case.c.state.in_(OPEN_STATES), case.c.expires_at <= at)
        return self._cases(due.order_by(case.c.expires_at).limit(_AT_ONCE))

    def certificates_of(self, holder: HolderCode) -> Sequence[Serial]:
        """Return every certificate that a holder ever had, or nearly had, the latest first."""
        certificate = tables.certificate
        query = select(certificate.c.serial).where(certificate.c.holder == holder)
        with self._database.reading() as connection:
            return connection.execute(query.order_by(certificate.c.not_before.desc())).scalars().all()

    def by_fingerprint(self, fingerprint: bytes) -> Serial | None:
        """Return the certificate of this SHA-256, of its DER where a case issued it, or of its public key's."""
        link, key = tables.case_certificate, tables.holder_key
        with self._database.reading() as connection:
            of_case = select(link.c.serial).where(link.c.fingerprint == fingerprint)
            found: Serial | None = connection.execute(of_case).scalar()
            if found is None:
                found = connection.execute(select(key.c.serial).where(key.c.key_hash == fingerprint)).scalar()
            return found

    def _cases(self, query: Select[Any]) -> Sequence[Case]:
        with self._database.reading() as connection:
            return [_case(row) for row in connection.execute(query)]

    def _keep(self, connection: Connection, number: CaseNumber, resident: Resident) -> None:
        key = self._seal.newest(connection)
        sealed = self._seal.seal_at(key, resident_place(number), _resident_octets(resident))
        connection.execute(insert(tables.case_resident).values(number=number, data_key=key.id, sealed=sealed))


_ONE = select(tables.case).where(tables.case.c.number == bindparam("number"))
_OPEN = insert(tables.case)
_STEP = update(tables.case).where(
    tables.case.c.number == bindparam("of_number"),
    tables.case.c.version == bindparam("was_version"),
    tables.case.c.state == bindparam("was_state"),
)
_RESIDENT = select(tables.case_resident).where(tables.case_resident.c.number == bindparam("number"))
_ORDERED = (
    select(tables.case_certificate.c.serial, tables.case_certificate.c.version, tables.certificate.c.purpose)
    .join(tables.certificate, tables.certificate.c.serial == tables.case_certificate.c.serial)
    .where(tables.case_certificate.c.number == bindparam("number"))
    .order_by(tables.case_certificate.c.version, tables.certificate.c.not_before)
)


def apply(connection: Connection, change: Change, by: Actor, at: datetime) -> None:
    """Take a step in the running transaction.

    Raises:
        JpkiError: CONFLICT `case-changed`.
    """
    before, after = change.before, change.after
    was = {"of_number": before.number, "was_version": before.version, "was_state": before.state}
    if connection.execute(_STEP, _values(after) | was).rowcount == 0:
        raise changed(before.number)
    if after.state.is_closed or after.state is CaseState.RECEIVED:
        forget(connection, before.number)
    details: dict[str, str | int] = {"step": change.step, "state": after.state, "version": after.version}
    details |= {} if after.ground is None else {"ground": after.ground}
    details |= {"counter": after.counter} if change.step is Step.TAKE_OVER else {}
    details |= {"purposes": " ".join(after.purposes)} if change.step is Step.AMEND else {}
    _note(connection, Act.CASE_STEP, before.number, by, at, details)


def _found(connection: Connection, number: CaseNumber) -> Case:
    row = connection.execute(_ONE, {"number": number}).first()
    if row is None:
        raise _unknown(number)
    return _case(row)


def _is_overdue(at: datetime) -> ColumnElement[bool]:
    case = tables.case
    is_late = case.c.opened_at < overdue_if_opened_before(at)
    return and_(case.c.state.in_(OPEN_STATES), case.c.express_ground.is_not(None), is_late)


def forget(connection: Connection, number: str) -> None:
    """Erase what the register answered."""
    connection.execute(delete(tables.case_resident).where(tables.case_resident.c.number == number))


def link(connection: Connection, wanted: Sequence[Reservation]) -> None:
    """Write which case each certificate is ordered in, while that case stands as its mark says (rule R4).

    Raises:
        JpkiError: CONFLICT `case-changed`.
    """
    in_case = [(each.serial, each.case) for each in wanted if each.case is not None]
    if not in_case:
        return
    for mark in {mark for _, mark in in_case}:
        _require_as_marked(connection, mark)
    rows = [{"serial": serial, "number": mark.number, "version": mark.version} for serial, mark in in_case]
    connection.execute(insert(tables.case_certificate), rows)


def require_own_case(connection: Connection, serials: Sequence[Serial], change: Change | None) -> None:
    """Require that what was ordered in a case comes to life with a change of that very case.

    Raises:
        JpkiError: CONFLICT `case-changed`.
    """
    link = tables.case_certificate
    numbers = set(connection.execute(select(link.c.number).where(Among(link.c.serial, serials))).scalars())
    own = set() if change is None else {change.before.number}
    for number in numbers - own:
        raise changed(CaseNumber(number))


def _require_as_marked(connection: Connection, mark: CaseMark) -> None:
    case = tables.case
    same = (case.c.number == mark.number, case.c.version == mark.version, case.c.state == CaseState.APPROVED)
    if connection.execute(select(case.c.number).where(*same).with_for_update()).first() is None:
        raise changed(mark.number)


def resident_place(number: str) -> str:
    """Return the place for which a case's attributes are sealed."""
    return f"case_resident.sealed.{number}"


def _values(case: Case) -> dict[str, Any]:
    return {
        "number": case.number,
        "kind": case.kind,
        "state": case.state,
        "version": case.version,
        "counter": case.counter,
        "holder": case.holder,
        "purposes": " ".join(case.purposes),
        "applicant": case.applicant,
        "documents": " ".join(sorted(case.documents)),
        "event": case.event,
        "express_ground": None if case.express is None else case.express.ground,
        "express_day": None if case.express is None else case.express.happened_on,
        "card": None if case.card is None else case.card.number,
        "card_not_after": None if case.card is None else case.card.not_after,
        "card_mode": None if case.card is None else case.card.mode,
        "opened_at": case.opened_at,
        "changed_at": case.changed_at,
        "expires_at": case.expires_at,
        "opened_by": case.opened_by,
        "checked_by": case.checked_by,
        "approved_by": case.approved_by,
        "ground": case.ground,
    }


def _case(row: Row[Any]) -> Case:
    return Case(
        number=CaseNumber(row.number),
        kind=CaseKind(row.kind),
        state=CaseState(row.state),
        version=row.version,
        counter=CounterCode(row.counter),
        holder=HolderCode(row.holder),
        purposes=tuple(map(Purpose, row.purposes.split())),
        applicant=Applicant(row.applicant),
        documents=frozenset(map(Document, row.documents.split())),
        event=None if row.event is None else Event(row.event),
        express=None
        if row.express_ground is None
        else Express(ground=ExpressGround(row.express_ground), happened_on=row.express_day),
        card=None
        if row.card is None
        else CardFacts(number=row.card, not_after=row.card_not_after, mode=CardMode(row.card_mode)),
        opened_at=row.opened_at,
        changed_at=row.changed_at,
        expires_at=row.expires_at,
        opened_by=ClerkId(row.opened_by),
        checked_by=None if row.checked_by is None else ClerkId(row.checked_by),
        approved_by=None if row.approved_by is None else ClerkId(row.approved_by),
        ground=None if row.ground is None else Ground(row.ground),
    )


def _resident_octets(resident: Resident) -> bytes:
    holder = asdict(resident.holder)
    holder["birth_date"] = resident.holder.birth_date.isoformat()
    fields = {
        "holder": holder,
        "registration": resident.registration,
        "is_ward": resident.is_ward,
        "stay_until": None if resident.stay_until is None else resident.stay_until.isoformat(),
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _resident_from(octets: bytes) -> Resident:
    fields = json.loads(octets)
    holder = fields["holder"]
    stay = fields["stay_until"]
    return Resident(
        holder=Holder(
            code=HolderCode(holder["code"]),
            name=holder["name"],
            name_substitutes=holder["name_substitutes"],
            birth_date=date.fromisoformat(holder["birth_date"]),
            gender=Gender(holder["gender"]),
            address=holder["address"],
            address_substitutes=holder["address_substitutes"],
            municipality=Municipality(**holder["municipality"]),
        ),
        registration=Registration(fields["registration"]),
        is_ward=fields["is_ward"],
        stay_until=None if stay is None else date.fromisoformat(stay),
    )


def _note(
    connection: Connection, act: Act, number: str, by: Actor, at: datetime, details: dict[str, str | int]
) -> None:
    audit.write(connection, AuditEvent(at=at, actor=by, act=act, subjects=(f"case/{number}",), details=details))


def changed(number: CaseNumber) -> JpkiError:
    """Return the refusal of a step that somebody else forestalled."""
    return JpkiError(
        Kind.CONFLICT,
        "case-changed",
        Text(f"申請 {number} は他の操作で先に進みました。", f"The case {number} was moved by somebody else meanwhile."),
        Text("申請を読み直してください。", "Look at the case again."),
    )


def _taken(number: CaseNumber) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "case-number-taken",
        Text(f"申請番号 {number} は使われています。", f"The case number {number} is taken."),
        Text("もう一度実行してください。", "Try again."),
    )


def _unknown(number: CaseNumber) -> JpkiError:
    return JpkiError(
        Kind.NOT_FOUND,
        "case-unknown",
        Text(f"申請 {number} はありません。", f"There is no case {number}."),
        Text("控えの申請番号を確認してください。", "Check the number on the receipt."),
    )
