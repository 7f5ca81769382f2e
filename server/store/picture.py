"""One consistent picture of the ledger and the audit, read as streams: what `jpki reconcile` compares.

Every stream of certificates comes in order of serial, a page at a time, so that several can be merged however long
they are.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, Select, func, or_, select

from jpki.certificate import Carrier, Purpose
from jpki.errors import JpkiError, Kind
from jpki.ids import HolderCode, PartitionId, Serial
from jpki.ports import RevokedEntry
from jpki.revocation import LISTED_STATES, Reason, State, Status
from server.store import tables
from server.store.audit_log import Recorded, recorded, waiting
from server.store.database import Database
from server.store.partitions import belongs, compromised_roots, compromises
from server.store.rows import status_from
from server.store.seal import Seal

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Registered:
    """What is known of a certificate and its holder; see the table `certificate`."""

    serial: Serial
    holder: HolderCode
    purpose: Purpose
    carrier: Carrier
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Opened:
    """A sealed record: the octets behind their salt, None where they cannot be read, and the signature, if any."""

    serial: Serial
    salted: bytes | None
    signature: bytes | None


@dataclass(frozen=True, slots=True)
class Placed:
    """A holder's place that a certificate has."""

    serial: Serial
    holder: HolderCode
    purpose: Purpose
    carrier: Carrier
    stage: str


@dataclass(frozen=True, slots=True)
class Entered:
    """The journal's last word on a certificate."""

    serial: Serial
    position: int
    state: State
    reason: Reason | None
    effective_at: datetime


@dataclass(frozen=True, slots=True)
class Delegated:
    """A certificate of the house itself; without `signed` its signature may exist, or not (docs/adr/0009)."""

    serial: Serial
    kind: str
    name: str
    signed: bool


@dataclass(frozen=True, slots=True)
class Stretch:
    """The journal of one epoch: its first and last position, and how many entries there are."""

    epoch: int
    first: int
    last: int
    count: int


class Picture:
    """What one transaction sees. All methods may be read from at once."""

    def __init__(self, connection: Connection, seal: Seal) -> None:
        self._connection = connection
        self._seal = seal

    def acts(self) -> Iterator[Recorded]:
        """Yield every act, those that are not chained yet last.

        Raises:
            JpkiError: CONFLICT `audit-damaged`.
        """
        yield from recorded(self._connection)
        yield from waiting(self._connection)

    def statuses(self) -> Iterator[Status]:
        """Yield the statuses as their own rows have them."""
        return map(status_from, self._stream(select(tables.status).order_by(tables.status.c.serial)))

    def registered(self) -> Iterator[Registered]:
        """Yield what is known of each certificate."""
        table = tables.certificate
        for row in self._stream(select(table).order_by(table.c.serial)):
            yield Registered(
                row.serial,
                HolderCode(row.holder),
                Purpose(row.purpose),
                Carrier(row.carrier),
                row.not_before,
                row.not_after,
            )

    def records(self) -> Iterator[Opened]:
        """Yield the sealed records, opened.

        Raises:
            JpkiError: UNAVAILABLE while the wrapping key cannot be reached; CONFLICT `database-outdated`.
        """
        table = tables.certificate_record
        return map(self._opened, self._stream(select(table).order_by(table.c.serial)))

    def places(self) -> Iterator[Placed]:
        """Yield the places that are taken."""
        table = tables.place
        for row in self._stream(select(table).order_by(table.c.serial)):
            yield Placed(row.serial, HolderCode(row.holder), Purpose(row.purpose), Carrier(row.carrier), row.stage)

    def last_entries(self) -> Iterator[Entered]:
        """Yield the journal's last entry on each certificate."""
        table = tables.journal
        query = select(table).where(table.c.partition.is_not(None))
        rows = self._stream(query.order_by(table.c.serial, table.c.epoch, table.c.position))
        for _, entries in groupby(rows, key=lambda row: row.serial):
            *_, last = entries
            yield _entered(last)

    def delegates(self) -> Iterator[Delegated]:
        """Yield the certificates of the house itself."""
        table = tables.delegate
        columns = (table.c.serial, table.c.kind, table.c.name, table.c.certificate.is_not(None).label("signed"))
        for row in self._stream(select(*columns).order_by(table.c.serial)):
            yield Delegated(row.serial, row.kind, row.name, bool(row.signed))

    def stretches(self) -> Sequence[Stretch]:
        """Return the journal's epochs, the present one last."""
        table = tables.journal
        query = select(
            table.c.epoch,
            func.min(table.c.position).label("first"),
            func.max(table.c.position).label("last"),
            func.count().label("entries"),
        )
        rows = self._connection.execute(query.group_by(table.c.epoch).order_by(table.c.epoch))
        return [Stretch(row.epoch, row.first, row.last, row.entries) for row in rows]

    def position(self) -> tuple[int, int]:
        """Return the journal's epoch and last position, as the ledger counts them."""
        row = self._connection.execute(select(tables.ledger)).one()
        return row.epoch, row.position

    # --- what lists are made of -----------------------------------------------------------------------------------

    def compromised_by(self, purpose: Purpose, position: int) -> Mapping[str, datetime]:
        """Return since when each generation was compromised that was so at a journal position."""
        return compromises(self._connection, purpose, position)

    def compromised_roots(self, purpose: Purpose, position: int) -> Sequence[tuple[RevokedEntry, datetime]]:
        """Return what an ARL held at a journal position, with the end of each root."""
        return compromised_roots(self._connection, purpose, position)

    def may_be_listed(self, purpose: Purpose, partition: PartitionId, generations: Sequence[str]) -> Iterator[Status]:
        """Yield what is on hold or revoked, and all that these generations issued, as their own rows have it."""
        table = tables.status
        wanted = table.c.state.in_(LISTED_STATES) | table.c.generation.in_(generations)
        query = select(table).where(belongs(table.c.partition, purpose, partition), wanted)
        return map(status_from, self._stream(query.order_by(table.c.serial)))

    def changed_since(self, purpose: Purpose, partition: PartitionId, position: int) -> dict[Serial, Status]:
        """Return how those stood at a journal position that changed in this partition after it, for a list as of it.

        Whether one that no verifier knew by then was signed already is not told: it is RESERVED here.
        """
        journal, status = tables.journal, tables.status
        (epoch, _), belonging = self.position(), belongs(journal.c.partition, purpose, partition)
        after = select(journal.c.serial).where(belonging, journal.c.epoch == epoch, journal.c.position > position)
        changed = select(status).where(status.c.serial.in_(after.distinct()))
        by_then = or_(journal.c.epoch < epoch, journal.c.position <= position)
        before = select(journal).where(journal.c.serial.in_(after.distinct()), by_then)
        in_order = before.order_by(journal.c.epoch, journal.c.position)
        found = {row.serial: row for row in self._connection.execute(in_order)}
        return {
            row.serial: _status_then(status_from(row), found.get(row.serial))
            for row in self._connection.execute(changed)
        }

    def _stream(self, query: Select[Any]) -> Iterator[Row[Any]]:
        return iter(self._connection.execute(query, execution_options={"yield_per": _PAGE}))

    def _opened(self, row: Row[Any]) -> Opened:
        key = self._seal.key(self._connection, row.data_key)
        sealed = {"to_be_signed": row.to_be_signed}
        if row.signature is not None:
            sealed["signature"] = row.signature
        try:
            octets = self._seal.open(key, sealed, row.serial)
        except JpkiError as error:
            if error.kind is not Kind.FORBIDDEN:
                raise
            return Opened(row.serial, None, None)
        return Opened(row.serial, octets["to_be_signed"], octets.get("signature"))


class SqlPictures:
    """Takes pictures. On PostgreSQL as on SQLite whoever writes goes on meanwhile."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal

    @contextmanager
    def taken(self) -> Iterator[Picture]:
        """Show one picture while the block runs."""
        with self._database.reading() as connection:
            yield Picture(connection, self._seal)


def _entered(row: Row[Any]) -> Entered:
    reason = None if row.reason is None else Reason(row.reason)
    return Entered(row.serial, row.position, State(row.state), reason, row.effective_at)


def _status_then(now: Status, entry: Row[Any] | None) -> Status:
    state, reason = (State.RESERVED, None) if entry is None else (State(entry.state), entry.reason)
    listed = entry is not None and state in LISTED_STATES
    return Status(
        serial=now.serial,
        generation=now.generation,
        partition=now.partition,
        not_after=now.not_after,
        state=state,
        reason=None if reason is None else Reason(reason),
        revoked_at=entry.effective_at if entry is not None and listed else None,
        position=0 if entry is None else entry.position,
    )
