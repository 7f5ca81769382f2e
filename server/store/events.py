"""Resident events as rows; see `jpki.ports.EventBook`."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, case, exists, func, insert, or_, select, update

from jpki.acts import Act, Actor, AuditEvent
from jpki.clock import whole_second
from jpki.errors import JpkiError
from jpki.errors import Kind as ErrorKind
from jpki.ids import HolderCode, Serial, format_serial
from jpki.resident_event import (
    Doubt,
    EventBatch,
    EventNumber,
    EventState,
    Kind,
    Listed,
    Notice,
    Outcomes,
    Received,
    ResidentEvent,
    Settlement,
    Source,
    SourceName,
    Standing,
    TakenEvent,
)
from jpki.text import Text
from server.store import audit, tables
from server.store.database import Database

LEASE = timedelta(seconds=30)
"""How long a worker may take for what it took; then another gets it."""
_OPEN = (EventState.WAITING, EventState.TAKEN)
_event = tables.resident_event
_LOOKED_UP = 500


class SqlEvents:
    """What registers told, and the queue of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- the queue ---------------------------------------------------------------------------------------------------

    def receive(self, events: Sequence[ResidentEvent], by: Actor, at: datetime) -> Received:
        """Write down events, in the order given."""
        intake = tables.resident_intake
        # Another time zone, or parts of a second that no column keeps, make no other event.
        told = [replace(each, effective_at=whole_second(each.effective_at)) for each in events]
        with self._database.writing() as connection:
            last = connection.execute(select(intake.c.last).with_for_update()).scalar_one()
            known = _known(connection, told)
            new: list[dict[str, object]] = []
            repeated = contradicting = 0
            for each in told:
                before = known.setdefault((each.source, each.sequence), set())
                if each in before:
                    repeated += 1
                    continue
                new.append(_values(each, last + len(new) + 1, at, contradicts=bool(before)))
                contradicting += bool(before)
                before.add(each)
            if new:
                connection.execute(insert(_event), new)
                connection.execute(update(intake).values(last=last + len(new)))
                numbers = f"{last + 1}-{last + len(new)}"
                _note(connection, by, at, Act.EVENTS_RECEIVED, (f"events/{numbers}",), contradicting=contradicting)
        return Received(len(new) - contradicting, repeated, contradicting)

    def take(self, count: int, at: datetime) -> EventBatch:
        """Take up to `count` events."""
        until = at + LEASE
        with self._database.reading() as connection:
            if connection.execute(_some_open(at)).first() is None:
                return EventBatch([], until, left=False)
        with self._database.writing() as connection:
            rows: list[Row[Any]] = []
            for free in (and_(_event.c.state == EventState.TAKEN, _event.c.taken_until < at), _has_come_true(at)):
                query = (
                    select(_event)
                    .where(free, ~_has_an_earlier_one())
                    .order_by(_event.c.effective_at, _event.c.number)
                    .limit(count - len(rows))
                    .with_for_update(skip_locked=True)
                )
                rows += connection.execute(query).all()
            numbers = [row.number for row in rows]
            if numbers:
                taken = update(_event).where(_event.c.number.in_(numbers))
                connection.execute(taken.values(state=EventState.TAKEN, taken_until=until))
            left = bool(rows) or connection.execute(_some_open(at)).first() is not None
        return EventBatch([TakenEvent(EventNumber(row.number), _read(row), _serials(row)) for row in rows], until, left)

    def standing(self, holders: Sequence[HolderCode], at: datetime) -> Mapping[HolderCode, Standing]:
        """Return what the ledger knows of these holders."""
        place, certificate = tables.place, tables.certificate
        known = select(certificate.c.holder).where(certificate.c.holder.in_(holders)).distinct()
        placed = select(place.c.holder, place.c.serial).where(
            place.c.holder.in_(holders), place.c.not_after >= whole_second(at)
        )
        died = select(_event.c.holder).where(
            _event.c.holder.in_(holders), _event.c.state == EventState.DONE, _event.c.kind == Kind.DIED
        )
        with self._database.reading() as connection:
            dead = set(connection.execute(died).scalars())
            serials: dict[HolderCode, list[Serial]] = {each: [] for each in connection.execute(known).scalars()}
            for row in connection.execute(placed):
                serials[row.holder].append(row.serial)
        return {holder: Standing(holder in dead, found) for holder, found in serials.items()}

    def plan(self, batch: EventBatch, serials: Mapping[EventNumber, Sequence[Serial]]) -> AbstractSet[EventNumber]:
        """Write down which certificates are about to end."""
        if not serials:
            return frozenset()
        held = select(_event.c.number).where(_event.c.number.in_(list(serials)), _is_held(batch))
        with self._database.writing() as connection:
            own = connection.execute(held.order_by(_event.c.number).with_for_update()).scalars().all()
            rows = [{"of": number, "text": " ".join(map(format_serial, serials[number]))} for number in own]
            if rows:
                connection.execute(_PLANNED, rows)
        return frozenset(map(EventNumber, own))

    def finish(
        self, batch: EventBatch, outcomes: Outcomes, ended: Collection[EventNumber], by: Actor, at: datetime
    ) -> None:
        """Record what came of events."""
        if not outcomes:
            return
        own = (
            select(_event)
            .where(_event.c.number.in_(list(outcomes)), _is_held(batch))
            .order_by(_event.c.number)
            .with_for_update()
        )
        with self._database.writing() as connection:
            rows = connection.execute(own).all()
            if not rows:
                return
            connection.execute(_FINISHED, [_finished(row.number, outcomes[row.number]) for row in rows])
            notices = list(_notices(connection, [row for row in rows if row.number in ended], at))
            _tell(connection, notices)
            doubtful = sum(outcomes[row.number] is not None for row in rows)
            subjects = tuple(f"event/{row.number}" for row in rows)
            _note(connection, by, at, Act.EVENTS_HANDLED, subjects, to_work_list=doubtful, notices=len(notices))

    # --- for people --------------------------------------------------------------------------------------------------

    def counts(self) -> Mapping[EventState, int]:
        """Return how many events are in each state."""
        query = select(_event.c.state, func.count()).group_by(_event.c.state)
        with self._database.reading() as connection:
            found = {EventState(row[0]): row[1] for row in connection.execute(query)}
        return {state: found.get(state, 0) for state in EventState}

    def come_true(self, at: datetime) -> int:
        """Return how many events have come true and are not handled yet."""
        query = select(func.count()).select_from(_event)
        with self._database.reading() as connection:
            count: int = connection.execute(
                query.where(_event.c.state.in_(_OPEN), _event.c.effective_at <= at)
            ).scalar_one()
        return count

    def oldest_open(self, at: datetime) -> datetime | None:
        """Return since when the oldest event waits that is known, has come true, and is not handled yet."""
        is_ahead = _event.c.effective_at > _event.c.received_at
        since = case((is_ahead, _event.c.effective_at), else_=_event.c.received_at)
        query = select(func.min(since)).where(_event.c.state.in_(_OPEN), _event.c.effective_at <= at)
        with self._database.reading() as connection:
            moment: datetime | None = connection.execute(query).scalar()
        return moment

    def sources(self) -> Sequence[Source]:
        """Return what was received of each source."""
        first_gap = _event.alias("following")
        has_next = exists().where(first_gap.c.source == _event.c.source, first_gap.c.sequence == _event.c.sequence + 1)
        ends = select(_event.c.source, func.min(_event.c.sequence).label("end")).where(~has_next)
        highest = select(
            _event.c.source, func.max(_event.c.sequence).label("highest"), func.min(_event.c.sequence).label("first")
        ).group_by(_event.c.source)
        with self._database.reading() as connection:
            end_of = {row.source: row.end for row in connection.execute(ends.group_by(_event.c.source))}
            return [
                Source(SourceName(row.source), row.highest, _first_missing(row.first, end_of[row.source], row.highest))
                for row in connection.execute(highest.order_by(_event.c.source))
            ]

    def listed(self, state: EventState, after: int, count: int, source: SourceName | None = None) -> Sequence[Listed]:
        """Return up to `count` events in a state with numbers after `after`, in order; of all sources or of one."""
        query = select(_event).where(_event.c.state == state, _event.c.number > after)
        query = query if source is None else query.where(_event.c.source == source)
        with self._database.reading() as connection:
            return [_listed(row) for row in connection.execute(query.order_by(_event.c.number).limit(count))]

    def notices(self, after: int, count: int) -> Sequence[Notice]:
        """Return up to `count` notices of events numbered after `after`, in their order."""
        notice = tables.notice
        query = select(notice).where(notice.c.event > after).order_by(notice.c.event).limit(count)
        with self._database.reading() as connection:
            return [
                Notice(EventNumber(row.event), HolderCode(row.holder), Kind(row.kind), _serials(row), row.made_at)
                for row in connection.execute(query)
            ]

    def settle(
        self,
        number: EventNumber,
        state: EventState,
        because: Settlement,
        by: Actor,
        at: datetime,
        source: SourceName | None = None,
    ) -> Listed:
        """Take an event off the work list, as done by other means or to be ignored; return how it stands now.

        Raises:
            JpkiError: NOT_FOUND `event-unknown`, or told by another than `source`; CONFLICT `event-not-in-doubt`.
        """
        with self._database.writing() as connection:
            row = connection.execute(select(_event).where(_event.c.number == number).with_for_update()).one_or_none()
            if row is None or source not in (None, row.source):
                raise _unknown(number)
            if row.state != EventState.REFUSED:
                raise _not_in_doubt(number)
            settled = update(_event).where(_event.c.number == number)
            connection.execute(settled.values(state=state, because=because))
            _note(connection, by, at, Act.EVENT_SETTLED, (f"event/{number}",), state=state, because=because)
        return replace(_listed(row), state=state, because=because)

    def replay(self, source: SourceName, since: int, by: Actor, at: datetime) -> int:
        """Let what a source told from a sequence number on be handled again, but for contradictions; return how many.

        What ended stays so: an event that was handled right has nothing left to do.
        """
        again = update(_event).where(
            _event.c.source == source,
            _event.c.sequence >= since,
            or_(
                _event.c.state == EventState.DONE,
                and_(_event.c.state == EventState.REFUSED, _event.c.doubt != Doubt.SEQUENCE_REUSED),
            ),
        )
        with self._database.writing() as connection:
            count = connection.execute(again.values(state=EventState.WAITING, doubt=None, taken_until=None)).rowcount
            _note(connection, by, at, Act.EVENTS_REPLAYED, (f"source/{source}",), since=since, count=count)
        return count


def _known(connection: Connection, events: Sequence[ResidentEvent]) -> dict[tuple[SourceName, int], set[ResidentEvent]]:
    """Return what is known already under the sources and sequence numbers of these events."""
    found: dict[tuple[SourceName, int], set[ResidentEvent]] = {}
    for source in {each.source for each in events}:
        wanted = sorted({each.sequence for each in events if each.source == source})
        for start in range(0, len(wanted), _LOOKED_UP):
            some = wanted[start : start + _LOOKED_UP]
            query = select(_event).where(_event.c.source == source, _event.c.sequence.in_(some))
            for row in connection.execute(query):
                found.setdefault((source, row.sequence), set()).add(_read(row))
    return found


def _values(event: ResidentEvent, number: int, at: datetime, *, contradicts: bool) -> dict[str, object]:
    return {
        "number": number,
        "source": event.source,
        "sequence": event.sequence,
        "kind": event.kind,
        "holder": event.holder,
        "effective_at": event.effective_at,
        "received_at": at,
        "state": EventState.REFUSED if contradicts else EventState.WAITING,
        "doubt": Doubt.SEQUENCE_REUSED if contradicts else None,
    }


def _has_come_true(at: datetime) -> ColumnElement[bool]:
    return and_(_event.c.state == EventState.WAITING, _event.c.effective_at <= at)


def _has_an_earlier_one() -> ColumnElement[bool]:
    """Tell whether something of the same holder is to be done before this one."""
    other = _event.alias("other")
    before = or_(
        other.c.effective_at < _event.c.effective_at,
        and_(other.c.effective_at == _event.c.effective_at, other.c.number < _event.c.number),
    )
    return exists().where(other.c.holder == _event.c.holder, other.c.state.in_(_OPEN), before)


def _some_open(at: datetime) -> Any:  # noqa: ANN401 - a query of SQLAlchemy
    return select(_event.c.number).where(_event.c.state.in_(_OPEN), _event.c.effective_at <= at).limit(1)


def _is_held(batch: EventBatch) -> ColumnElement[bool]:
    return and_(_event.c.state == EventState.TAKEN, _event.c.taken_until == batch.until)


_PLANNED = update(_event).where(_event.c.number == bindparam("of")).values(serials=bindparam("text"))
_FINISHED = (
    update(_event)
    .where(_event.c.number == bindparam("of"))
    .values(state=bindparam("new_state"), doubt=bindparam("new_doubt"), taken_until=None)
)


def _finished(number: int, doubt: Doubt | None) -> dict[str, object]:
    return {"of": number, "new_state": EventState.REFUSED if doubt else EventState.DONE, "new_doubt": doubt}


def _notices(connection: Connection, rows: Sequence[Row[Any]], at: datetime) -> Iterator[dict[str, object]]:
    """Yield what there is to tell: of a certificate that a dead worker's event was about to end, another may have told.

    That is one which came later and came true earlier, and so was handled between the two workers.
    """
    notice = tables.notice
    query = select(notice).where(notice.c.holder.in_([row.holder for row in rows]))
    told = [(each.holder, each.event, each.serials.split()) for each in connection.execute(query)]
    for row in rows:
        elsewhere = {
            serial
            for holder, event, serials in told
            if holder == row.holder and event != row.number
            for serial in serials
        }
        serials = [each for each in row.serials.split() if each not in elsewhere]
        if serials:
            yield {
                "event": row.number,
                "holder": row.holder,
                "kind": row.kind,
                "serials": " ".join(serials),
                "made_at": at,
            }


def _tell(connection: Connection, notices: Sequence[Mapping[str, object]]) -> None:
    """Write notices; of an event that is handled again there is one already, which may have grown."""
    notice = tables.notice
    told = select(notice.c.event).where(notice.c.event.in_([each["event"] for each in notices]))
    before = set(connection.execute(told).scalars())
    new = [each for each in notices if each["event"] not in before]
    if new:
        connection.execute(insert(notice), new)
    for each in notices:
        if each["event"] in before:
            connection.execute(update(notice).where(notice.c.event == each["event"]).values(serials=each["serials"]))


def _read(row: Row[Any]) -> ResidentEvent:
    return ResidentEvent(
        source=SourceName(row.source),
        sequence=row.sequence,
        kind=Kind(row.kind),
        holder=HolderCode(row.holder),
        effective_at=row.effective_at,
    )


def _listed(row: Row[Any]) -> Listed:
    return Listed(
        number=EventNumber(row.number),
        event=_read(row),
        received_at=row.received_at,
        state=EventState(row.state),
        doubt=None if row.doubt is None else Doubt(row.doubt),
        because=Settlement(row.because) if row.because in set(Settlement) else None,
    )


def _serials(row: Row[Any]) -> Sequence[Serial]:
    return [Serial(int(each, 16)) for each in (row.serials or "").split()]


def _first_missing(first: int, end: int, highest: int) -> int | None:
    """Return the first sequence number that is missing: sources number from 1."""
    return 1 if first > 1 else end + 1 if end < highest else None


def _note(
    connection: Connection, by: Actor, at: datetime, act: Act, subjects: tuple[str, ...], **details: str | int
) -> None:
    audit.write(connection, AuditEvent(at=at, actor=by, act=act, subjects=subjects, details=dict(details)))


def _unknown(number: EventNumber) -> JpkiError:
    return JpkiError(
        ErrorKind.NOT_FOUND,
        "event-unknown",
        Text(f"第{number}号の異動はありません。", f"There is no resident event {number}."),
        Text(
            "jpki events list --state refused で番号を確認してください。",
            "See the numbers with `jpki events list --state refused`.",
        ),
    )


def _not_in_doubt(number: EventNumber) -> JpkiError:
    return JpkiError(
        ErrorKind.CONFLICT,
        "event-not-in-doubt",
        Text(f"第{number}号の異動は要確認ではありません。", f"Resident event {number} is not on the work list."),
        Text("jpki events list --state refused を確認してください。", "See `jpki events list --state refused`."),
    )
