"""Partitions as rows, and what the list of each must hold: the register that the CRL publisher asks."""

from array import array
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from heapq import merge
from itertools import groupby, islice
from operator import attrgetter
from typing import Any

from cryptography import x509
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    String,
    and_,
    bindparam,
    cast,
    func,
    insert,
    or_,
    select,
    type_coerce,
)

from crl.partition import PartitionSeed
from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from jpki.ids import SERIAL_OCTETS, PartitionId, Serial
from jpki.partition import ARL, COMPLETE, Partition
from jpki.ports import RevocationChanges, Revocations, RevokedEntry, RevokedLines, ShelfMark
from jpki.revocation import LISTED_STATES, REMOVED_FROM_LIST, SIGNED_STATES, Reason
from jpki.text import Text
from server.store import tables
from server.store.database import Database
from server.store.rows import status_from

_ROWS = 4000
_DIGITS = 2 * SERIAL_OCTETS
_MOMENT = [_DIGITS + place for place, letter in enumerate("YYYY-MM-DD hh:mm:ss") if letter.isalpha()]
"""Where the digits of a moment stand in a line."""
_TELLING, _LETTERS = 3, 6
_WIDTH = _DIGITS + len("YYYY-MM-DD hh:mm:ss.ffffff") + _LETTERS
_NUMBERS = bytes.maketrans(
    "".join(reason.value[_TELLING] for reason in Reason).encode("ascii"), bytes(reason.number for reason in Reason)
)


def add_partitions(connection: Connection, partitions: Iterable[PartitionSeed]) -> Sequence[PartitionSeed]:
    """Record partitions in the running transaction, but for those that there are, and return the new ones."""
    # The ledger's one row lets one node after the other look and add.
    connection.execute(select(tables.ledger.c.id).with_for_update())
    partition = tables.partition
    known = {name for row in connection.execute(select(partition.c.id, partition.c.municipality)) for name in row}
    new = [each for each in partitions if known.isdisjoint({each.id, each.municipality} - {None})]
    if new:
        rows = [
            {
                "id": each.id,
                "purpose": each.purpose,
                "name": each.name.rfc4514_string(),
                "municipality": each.municipality,
            }
            for each in new
        ]
        connection.execute(insert(partition), rows)
    return new


class SqlPartitions:
    """See `jpki.ports.RevocationRegister`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._municipalities: dict[PartitionId, str] = {}
        """What was read already: it never changes."""

    def add(self, partitions: Iterable[PartitionSeed]) -> Sequence[PartitionSeed]:
        """Record partitions, and return those that are new: a municipality keeps the one that it has."""
        with self._database.writing() as connection:
            return add_partitions(connection, partitions)

    def named(self, names: Collection[str]) -> Mapping[str, Partition]:
        """Return the partitions with these ids, and those of the municipalities with these six-digit codes.

        Raises:
            JpkiError: UNPROCESSABLE `partition-unknown`.
        """
        partition = tables.partition
        with self._database.reading() as connection:
            rows = _partitions(connection, or_(partition.c.id.in_(names), partition.c.municipality.in_(names)))
        found = {each.id if each.id in names else self.municipality_of(each.id): each for each in rows}
        if found.keys() != set(names):
            raise _unknown()
        return found

    def municipality_of(self, identifier: PartitionId) -> str:
        """Return the code of the municipality whose signing certificates name this partition."""
        if identifier not in self._municipalities:
            codes = select(tables.partition.c.id, tables.partition.c.municipality)
            with self._database.reading() as connection:
                self._municipalities = {row.id: row.municipality or "" for row in connection.execute(codes)}
        return self._municipalities[identifier]

    def partitions_in_use(self, purpose: Purpose) -> Sequence[Partition]:
        """Return every partition that a certificate ever named, in order of id (rule R12)."""
        in_use = select(tables.partition_url.c.partition)
        condition = and_(tables.partition.c.purpose == purpose, tables.partition.c.id.in_(in_use))
        with self._database.reading() as connection:
            return _partitions(connection, condition)

    def partition_in_use(self, purpose: Purpose, partition: PartitionId) -> Partition | None:
        """Return this partition if a certificate ever named it."""
        in_use = tables.partition.c.id.in_(select(tables.partition_url.c.partition))
        condition = and_(tables.partition.c.id == partition, tables.partition.c.purpose == purpose, in_use)
        with self._database.reading() as connection:
            return next(iter(_partitions(connection, condition)), None)

    def last_change(self, purpose: Purpose, partition: PartitionId) -> int:
        """Return the journal position of the last change of what this list holds."""
        journal, generation = tables.journal, tables.generation
        changes = select(func.max(journal.c.position)).where(
            journal.c.listed == 1, belongs(journal.c.partition, purpose, partition)
        )
        compromises = select(func.max(generation.c.compromised_position)).where(generation.c.purpose == purpose)
        with self._database.reading() as connection:
            return max(connection.execute(query).scalar() or 0 for query in (changes, compromises))

    @contextmanager
    def revocations(
        self, purpose: Purpose, partition: PartitionId, ending_after: datetime | None
    ) -> Iterator[Revocations]:
        """Show the list's lines in order of serial, and the place in the journal that they picture."""
        status = tables.status
        current = [] if ending_after is None else [status.c.not_after >= ending_after]
        with self._database.reading() as connection:
            ledger = connection.execute(select(tables.ledger)).one()
            since = compromises(connection, purpose)
            if partition == ARL:
                roots = compromised_roots(connection, purpose, ledger.position)
                entries = [entry for entry, end in roots if ending_after is None or end >= ending_after]
                lines = iter([RevokedLines.of(entries)] if entries else [])
            elif since:
                lines = _under_compromise(
                    connection, since, [belongs(tables.status.c.partition, purpose, partition), *current]
                )
            else:
                lines = _listed(connection, [_is_listed(purpose, partition), *current])
            yield Revocations(ledger.epoch, ledger.position, lines)

    def changes(self, since: ShelfMark, ending_after: datetime, at_most: int) -> RevocationChanges | None:
        """Return what became of a list since a publication; see `jpki.ports.RevocationRegister`."""
        with self._database.reading() as connection:
            ledger = connection.execute(select(tables.ledger)).one()
            if ledger.epoch != since.epoch or compromises(connection, since.purpose):
                return None
            entries: dict[Serial, RevokedEntry | None] = {}
            for concerned in (_changed(since), _ended(since, ending_after)):
                rows = connection.execute(concerned.limit(at_most + 1)).all()
                entries.update((row.serial, _entry(row, ending_after)) for row in rows)
        return None if len(entries) > at_most else RevocationChanges(ledger.position, entries)

    @contextmanager
    def delta(self, base: ShelfMark, now: ShelfMark) -> Iterator[Iterator[RevokedLines] | None]:
        """Show what makes one complete list the other; see `jpki.ports.RevocationRegister`.

        The journal alone tells how it stood at the later one, whatever happened since.
        """
        with self._database.reading() as connection:
            if (
                now.epoch != base.epoch
                or now.ending_after is None
                or compromises(connection, now.purpose, now.position)
            ):
                yield None
            else:
                yield _differing(connection, base, now, now.ending_after)


def _changed(since: ShelfMark) -> Select[Any]:
    """Return the query of the statuses that changed in a list since it was published."""
    journal, status = tables.journal, tables.status
    changed = select(journal.c.serial).where(
        journal.c.epoch == since.epoch,
        journal.c.position > since.position,
        journal.c.listed == 1,
        belongs(journal.c.partition, since.purpose, since.partition),
    )
    return select(status).where(status.c.serial.in_(changed))


def _ended(since: ShelfMark, ending_after: datetime) -> Select[Any]:
    """Return the query of those on a list whose certificates ended, so that they are on the next one no more."""
    status = tables.status
    ended = [status.c.not_after < ending_after]
    if since.ending_after is not None:
        ended.append(status.c.not_after >= since.ending_after)
    return select(status).where(_is_listed(since.purpose, since.partition), *ended)


def _differing(
    connection: Connection, base: ShelfMark, now: ShelfMark, ending_after: datetime
) -> Iterator[RevokedLines]:
    """Yield the lines of a delta: how each stood at `now` that changed, and what ended and had not changed."""
    journal, status = tables.journal, tables.status
    changed = (
        select(journal.c.serial, journal.c.state, journal.c.reason, journal.c.effective_at, status.c.not_after)
        .join(status, status.c.serial == journal.c.serial)
        .where(
            journal.c.epoch == base.epoch,
            journal.c.position > base.position,
            journal.c.position <= now.position,
            journal.c.listed == 1,
            belongs(journal.c.partition, now.purpose, COMPLETE),
        )
        .order_by(journal.c.serial, journal.c.position)
    )
    # Put in order here: SQLite would rather read a whole complete list in its order.
    by_serial = attrgetter("serial")
    ended = sorted(
        connection.execute(_ended(base, ending_after).where(status.c.position <= base.position)), key=by_serial
    )
    changes = connection.execute(changed, execution_options={"yield_per": _ROWS})
    # Of several changes of one certificate the last one counts.
    at_last = (deque(each, maxlen=1)[0] for _, each in groupby(merge(ended, changes, key=by_serial), by_serial))
    lines = (_delta_line(row, ending_after) for row in at_last)
    while some := list(islice(lines, _ROWS)):
        yield RevokedLines.told(some)


def _delta_line(row: Row[Any], ending_after: datetime) -> tuple[Serial, datetime, int]:
    if row.not_after < ending_after:
        return row.serial, row.not_after, REMOVED_FROM_LIST
    if row.state not in LISTED_STATES:
        return row.serial, row.effective_at, REMOVED_FROM_LIST
    return row.serial, row.effective_at, Reason(row.reason).number


def _entry(row: Row[Any], ending_after: datetime) -> RevokedEntry | None:
    if row.revoked_at is None or row.not_after < ending_after:
        return None
    return RevokedEntry(row.serial, row.revoked_at, Reason(row.reason))


def compromises(connection: Connection, purpose: Purpose, position: int | None = None) -> dict[str, datetime]:
    """Return since when each compromised generation of the CA is so: all that it signed is on its lists.

    With a journal `position`, those that were so by then.
    """
    table = tables.generation
    compromised = select(table.c.id, table.c.compromised_at).where(
        table.c.purpose == purpose, table.c.compromised_at.is_not(None)
    )
    if position is not None:
        compromised = compromised.where(table.c.compromised_position <= position)
    return {row.id: row.compromised_at for row in connection.execute(compromised)}


def compromised_roots(
    connection: Connection, purpose: Purpose, position: int
) -> Sequence[tuple[RevokedEntry, datetime]]:
    """Return what the ARL of a CA holds as of a journal position, in order of serial, each with its root's end."""
    table = tables.generation
    compromised = select(table.c.certificate, table.c.compromised_at, table.c.not_after).where(
        table.c.purpose == purpose, table.c.compromised_position <= position
    )
    found = [
        (
            RevokedEntry(
                Serial(x509.load_der_x509_certificate(row.certificate).serial_number),
                row.compromised_at,
                Reason.CA_COMPROMISE,
            ),
            row.not_after,
        )
        for row in connection.execute(compromised)
    ]
    return sorted(found, key=lambda each: each[0].serial)


def _listed(connection: Connection, conditions: Sequence[ColumnElement[bool]]) -> Iterator[RevokedLines]:
    """Yield the lines, which the database puts together as texts of one width."""
    texts = _joined if connection.dialect.name == "sqlite" else _streamed
    for lines in _ahead(texts(connection, conditions)):
        yield _lines(lines.encode("ascii"))


def _ahead(texts: Iterator[str]) -> Iterator[str]:
    """Let the database put the next lines together while these are worked on: Python is free meanwhile."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, texts, None)
        while (text := coming.result()) is not None:
            coming = reader.submit(next, texts, None)
            yield text


def _joined(connection: Connection, conditions: Sequence[ColumnElement[bool]]) -> Iterator[str]:
    """Yield lines as SQLite joins them: a row of the driver's for each takes as long as all else together.

    SQLite joins in the order of the inner query, and does not promise it. Another would be found when the list is read
    back (crl/check.py), where each serial must be greater than the one before it.
    """
    status = tables.status
    some = select(_line(connection.dialect.name).label("line")).where(*conditions, status.c.serial > bindparam("after"))
    joined = select(func.group_concat(some.order_by(status.c.serial).limit(_ROWS).subquery().c.line, ""))
    after = Serial(0)
    while lines := connection.execute(joined, {"after": after}).scalar():
        yield lines
        after = Serial(int(lines[-_WIDTH:][:_DIGITS], 16))


def _streamed(connection: Connection, conditions: Sequence[ColumnElement[bool]]) -> Iterator[str]:
    query = select(_line(connection.dialect.name)).where(*conditions).order_by(tables.status.c.serial)
    with connection.execute(query, execution_options={"yield_per": _ROWS}) as result:
        for lines in result.scalars().partitions():
            yield "".join(lines)


def _line(dialect: str) -> ColumnElement[str]:
    """Return 32 digits of the serial, the moment as YYYY-MM-DD hh:mm:ss.ffffff in UTC, and some letters of the reason.

    From the fourth letter on reasons differ in their first. A line has 64 characters, which are cut by words of eight.
    """
    status = tables.status
    letters = func.substr(status.c.reason, _TELLING + 1, _LETTERS, type_=String)
    if dialect == "sqlite":
        return type_coerce(status.c.serial, String).concat(type_coerce(status.c.revoked_at, String)).concat(letters)
    serial = func.replace(cast(status.c.serial, String), "-", "", type_=String)
    moment = func.to_char(func.timezone("UTC", status.c.revoked_at), "YYYY-MM-DD HH24:MI:SS.US", type_=String)
    return serial.concat(moment).concat(letters)


def _lines(rows: bytes) -> RevokedLines:
    count = len(rows) // _WIDTH
    words, serials, moments = array("Q", rows), array("Q", bytes(_DIGITS * count)), bytearray(len(_MOMENT) * count)
    for word in range(_DIGITS // 8):
        serials[word :: _DIGITS // 8] = words[word :: _WIDTH // 8]
    for digit, place in enumerate(_MOMENT):
        moments[digit :: len(_MOMENT)] = rows[place::_WIDTH]
    reasons = rows[_WIDTH - _LETTERS :: _WIDTH].translate(_NUMBERS)
    return RevokedLines(bytes.fromhex(serials.tobytes().decode("ascii")), bytes(moments), reasons)


def _under_compromise(
    connection: Connection, since: Mapping[str, datetime], conditions: Sequence[ColumnElement[bool]]
) -> Iterator[RevokedLines]:
    """Yield what is listed, and beside it all that the compromised generations may have signed."""
    status = tables.status
    listed = select(status).where(
        status.c.state.in_(SIGNED_STATES),
        or_(status.c.state.in_(LISTED_STATES), status.c.generation.in_(since)),
        *conditions,
    )
    with connection.execute(listed.order_by(status.c.serial), execution_options={"yield_per": _ROWS}) as result:
        for rows in result.partitions():
            entries = []
            for row in rows:
                own, compromised_at = status_from(row), since.get(row.generation)
                found = own if compromised_at is None else own.under_compromise(compromised_at)
                if found.revoked_at is not None and found.reason is not None:
                    entries.append(RevokedEntry(found.serial, found.revoked_at, found.reason))
            if entries:
                yield RevokedLines.of(entries)


def _is_listed(purpose: Purpose, partition: PartitionId) -> ColumnElement[bool]:
    """Return the condition that a row is on this list, in the form that finds the index made for it."""
    status, generation = tables.status, tables.generation
    if partition != COMPLETE:
        return and_(status.c.revoked_at.is_not(None), status.c.partition == partition)
    of_purpose = select(generation.c.id).where(generation.c.purpose == purpose)
    return and_(status.c.revoked_at.is_not(None), status.c.generation.in_(of_purpose))


def belongs(column: ColumnElement[str], purpose: Purpose, partition: PartitionId) -> ColumnElement[bool]:
    """Return the condition that a row is of this partition; `COMPLETE` stands for all of the purpose."""
    if partition != COMPLETE:
        return column == partition
    return column.in_(select(tables.partition.c.id).where(tables.partition.c.purpose == purpose))


def _partitions(connection: Connection, condition: ColumnElement[bool]) -> list[Partition]:
    urls = tables.partition_url
    base_urls: dict[str, list[str]] = {}
    for row in connection.execute(
        select(urls.c.partition, urls.c.base_url)
        .join(tables.partition, tables.partition.c.id == urls.c.partition)
        .where(condition)
        .order_by(urls.c.added)
    ):
        base_urls.setdefault(row.partition, []).append(row.base_url)
    return [
        Partition(
            id=PartitionId(row.id),
            purpose=Purpose(row.purpose),
            name=x509.Name.from_rfc4514_string(row.name),
            base_urls=tuple(base_urls.get(row.id, ())),
        )
        for row in connection.execute(select(tables.partition).where(condition).order_by(tables.partition.c.id))
    ]


def _unknown() -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "partition-unknown",
        Text("失効リストの区画がない市区町村です。", "A municipality has no CRL partition."),
        Text(
            "市区町村コードを確認してください。新しい市区町村の区画は jpki db upgrade で作られます。",
            "Check the municipality's code; a new municipality's partition is made by `jpki db upgrade`.",
        ),
    )
