"""Reading the audit: for auditors, for reconciling and restoring, and for checking the chain."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from heapq import merge

from cryptography import x509
from sqlalchemy import Connection, Row, select

from jpki.acts import AuditEvent
from server.audit.body import decode
from server.audit.chain import Entry, Head, Opening, Record, Signer, Tip
from server.audit.lines import Unreadable, from_line
from server.audit.position import START, Position, announced
from server.store import tables
from server.store.audit import damaged, tip_of
from server.store.database import Database

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Recorded:
    """An act under its number, which is a cursor as well; `event` is None once its body was erased."""

    number: int
    event: AuditEvent | None


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
