"""Reading the audit: for auditors, for reconciling and restoring, and for checking the chain."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import merge
from typing import Any

from cryptography import x509
from sqlalchemy import Connection, Row, select

from jpki.acts import Act, AuditEvent
from server.audit.body import decode
from server.audit.chain import Entry, Head, Opening, Record, Signer, Tip
from server.audit.lines import Unreadable, from_line
from server.audit.position import START, Position, announced
from server.store import tables
from server.store.audit import damaged, tip_of
from server.store.database import Database

_PAGE = 1000
_LOOKED_THROUGH = 20_000
_JITTER = timedelta(hours=1)
"""Acts are numbered as they are chained, and not quite in the order in which they were done."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An act under its number, which is a cursor as well; `event` is None once its body was erased."""

    number: int
    event: AuditEvent | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which acts somebody looks for: one kind, of one actor, from one moment until before another, as far as given.

    An actor is a name with or without the counter behind it (`clerk-3` is also `clerk-3@131016`).
    """

    act: Act | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def takes(self, event: AuditEvent | None) -> bool:
        """Tell whether an act is one of them; one whose body was erased is where anything is."""
        if event is None:
            return self == Wanted()
        return (
            (self.act is None or event.act is self.act)
            and (
                self.actor is None or event.actor.name.partition("@")[0] == self.actor or event.actor.name == self.actor
            )
            and (self.since is None or event.at >= self.since)
            and (self.until is None or event.at < self.until)
        )


class SqlAuditLog:
    """What was chained so far. It only reads; see `server.notary` for what chains and signs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def entries(self, since: int = 0, subject: str | None = None) -> Iterator[Recorded]:
        """Yield the acts with numbers above `since`, in order and as one picture; only those on `subject` if given.

        Raises:
            JpkiError: CONFLICT `audit-damaged` at a body that tells of no act.
        """
        with self._database.reading() as connection:
            for each in recorded(connection, since, subject):
                if subject is None or (each.event is not None and subject in each.event.subjects):
                    yield each

    def latest(self, wanted: Wanted, before: int | None, count: int) -> tuple[Sequence[Recorded], int | None]:
        """Return up to `count` acts that are wanted, the latest first, and where to go on; None where nothing is left.

        No more than `_LOOKED_THROUGH` entries are looked through at once, so that the answer may be short of `count`.

        Raises:
            JpkiError: CONFLICT `audit-damaged` at a body that tells of no act.
        """
        found: list[Recorded] = []
        with self._database.reading() as connection:
            top = tip_of(connection).number + 1 if before is None else before
            if wanted.until is not None:
                top = min(top, _first_after(connection, wanted.until + _JITTER, top))
            floor = max(0, top - 1 - _LOOKED_THROUGH)
            for row in _rows_back(connection, top, floor, wanted):
                event = None if row.body is None else _decoded(row.body, row.number)
                if event is not None and wanted.since is not None and event.at < wanted.since - _JITTER:
                    return found, None
                if wanted.takes(event):
                    found.append(Recorded(row.number, event))
                if len(found) == count:
                    return found, row.number if row.number > 1 else None
        return found, floor + 1 if floor else None

    def records(self, after: Position = START) -> Iterator[Record | Unreadable]:
        """Yield what a log that ends at `after` lacks: entries, heads and their signers, as one picture."""
        try:
            with self._database.reading() as connection:
                entries = map(_entry, _rows(connection, after.tip.number))
                both = merge(entries, _heads(connection, after), key=_place)
                yield from announced(both, _signers(connection), after.signer)
        except (TypeError, ValueError):
            # As in `tip_of`: a value of another type than its column's.
            yield Unreadable(0)

    def heads(self, after: Position = START) -> Iterator[Record | Unreadable]:
        """Yield what an anchor that ends at `after` lacks: heads and their signers."""
        with self._database.reading() as connection:
            yield from announced(_heads(connection, after), _signers(connection), after.signer)

    def tip(self) -> Tip:
        """Return where the chain ends."""
        with self._database.reading() as connection:
            return tip_of(connection)

    def hash_at(self, number: int) -> bytes | None:
        """Return the hash of an entry, None where there is none."""
        chain = tables.audit_chain
        with self._database.reading() as connection:
            return connection.execute(select(chain.c.hash).where(chain.c.number == number)).scalar_one_or_none()

    def last_head(self) -> int:
        """Return the number of the newest head, 0 before the first."""
        head = tables.audit_head
        newest = select(head.c.number).order_by(head.c.number.desc()).limit(1)
        with self._database.reading() as connection:
            return connection.execute(newest).scalar_one_or_none() or 0

    def newest_head(self) -> Head | None:
        """Return the newest head as it is written down, None before the first and where it cannot be read."""
        head = tables.audit_head
        with self._database.reading() as connection:
            row = connection.execute(select(head).order_by(head.c.number.desc()).limit(1)).one_or_none()
        found = None if row is None else _head(row)
        return found if isinstance(found, Head) else None

    def signer(self, fingerprint: bytes) -> Signer | None:
        """Return the certificate that signed heads name by this fingerprint."""
        with self._database.reading() as connection:
            return _signers(connection).get(fingerprint)

    def unchained_body(self) -> int | None:
        """Return the lowest number under which a body lies that no entry of the chain knows."""
        chain, body = tables.audit_chain, tables.audit_body
        stray = select(body.c.number).where(~select(chain).where(chain.c.number == body.c.number).exists())
        with self._database.reading() as connection:
            return connection.execute(stray.order_by(body.c.number).limit(1)).scalar_one_or_none()


def recorded(connection: Connection, since: int = 0, subject: str | None = None) -> Iterator[Recorded]:
    """Yield the acts that are chained, within a transaction; those without the words of `subject` are left out."""
    for row in _rows(connection, since, subject):
        yield Recorded(row.number, None if row.body is None else _decoded(row.body, row.number))


def waiting(connection: Connection) -> Iterator[Recorded]:
    """Yield the acts that are not chained yet, under the numbers that they would get now."""
    outbox, number = tables.audit_outbox, tip_of(connection).number
    for row in connection.execute(select(outbox).order_by(outbox.c.id), execution_options={"yield_per": _PAGE}):
        number += 1
        yield Recorded(number, _decoded(row.body, number))


def _rows(connection: Connection, since: int, subject: str | None = None) -> Iterator[Row[tuple[object, ...]]]:
    """Yield the chain's rows with their bodies, page by page; those without the words of `subject` are left out."""
    chain, body = tables.audit_chain, tables.audit_body
    query = select(chain, body.c.salt, body.c.body).outerjoin(body, body.c.number == chain.c.number)
    if subject is not None:
        query = query.where(body.c.body.contains(subject, autoescape=True))
    query = query.order_by(chain.c.number).limit(_PAGE)
    while page := connection.execute(query.where(chain.c.number > since)).all():
        yield from page
        since = page[-1].number


def _rows_back(connection: Connection, before: int, floor: int, wanted: Wanted) -> Iterator[Row[Any]]:
    """Yield rows below `before` and above `floor`, the last first; those without the act's words are left out."""
    chain, body = tables.audit_chain, tables.audit_body
    query = select(chain.c.number, body.c.body).outerjoin(body, body.c.number == chain.c.number)
    if wanted.act is not None:
        query = query.where(body.c.body.contains(json.dumps(wanted.act), autoescape=True))
    query = query.where(chain.c.number > floor).order_by(chain.c.number.desc()).limit(_PAGE)
    while page := connection.execute(query.where(chain.c.number < before)).all():
        yield from page  # type: ignore[misc] # a row of two columns is one of any
        before = page[-1].number


def _first_after(connection: Connection, moment: datetime, top: int) -> int:
    """Return the number of the first act from `moment` on, `top` where there is none, by halving what may hold it."""
    body = tables.audit_body
    low, high = 1, top
    while low < high:
        middle = (low + high) // 2
        # Bodies are erased from the beginning on: where one is missing, all before it are.
        text = connection.execute(select(body.c.body).where(body.c.number == middle)).scalar_one_or_none()
        if text is None or _decoded(text, middle).at < moment:
            low = middle + 1
        else:
            high = middle
    return low


def _decoded(body: str, number: int) -> AuditEvent:
    try:
        return decode(body)
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(number) from error


def _entry(row: Row[tuple[object, ...]]) -> Entry | Unreadable:
    octets = (row.commitment, row.hash) if row.body is None else (row.commitment, row.hash, row.salt)
    if not all(isinstance(each, bytes) for each in octets) or not isinstance(row.body, str | None):
        return Unreadable(row.number)
    opening = None if row.body is None else Opening(row.salt, row.body)
    return Entry(row.number, row.commitment, row.hash, opening)


def _heads(connection: Connection, after: Position) -> Iterator[Head | Unreadable]:
    head = tables.audit_head
    since = after.tip.number if after.headed else after.tip.number - 1
    query = select(head).order_by(head.c.number).limit(_PAGE)
    while page := connection.execute(query.where(head.c.number > since)).all():
        for row in page:
            yield _head(row)
        since = page[-1].number


def _head(row: Row[tuple[object, ...]]) -> Head | Unreadable:
    record = from_line(str(row.line).encode() + b"\n")
    matches = isinstance(record, Head) and (record.number, record.after) == (row.number, row.after)
    return record if isinstance(record, Head) and matches else Unreadable(row.number)


def _place(record: Entry | Head | Unreadable) -> tuple[int, bool]:
    """Return what to sort by: a head stands directly behind its entry."""
    if isinstance(record, Unreadable):
        return record.line, True
    return record.number, isinstance(record, Head)


def _signers(connection: Connection) -> dict[bytes, Signer]:
    certificates: Sequence[bytes] = connection.execute(select(tables.audit_signer.c.certificate)).scalars().all()
    signers: dict[bytes, Signer] = {}
    for each in certificates:
        # One that cannot be read is missing: its heads are then signed by nobody known.
        with suppress(ValueError):
            signer = Signer(x509.load_der_x509_certificate(each))
            signers[signer.fingerprint] = signer
    return signers
