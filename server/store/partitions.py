"""Partitions as rows, and what the list of each must hold: the register that the CRL publisher asks."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from cryptography import x509
from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select

from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from jpki.ids import PartitionId
from jpki.partition import COMPLETE, Partition
from jpki.ports import Revocations, RevokedEntry
from jpki.revocation import LISTED_STATES, SIGNED_STATES, Reason
from jpki.text import Text
from server.store import tables
from server.store.database import Database
from server.store.rows import status_from


class SqlPartitions:
    """See `jpki.ports.RevocationRegister`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._municipalities: dict[PartitionId, str] = {}
        """What was read already: it never changes."""

    def add(self, partitions: Iterable[tuple[Partition, str | None]]) -> None:
        """Record new partitions, each with its municipality's code where it has one."""
        rows = [
            {
                "id": each.id,
                "purpose": each.purpose,
                "name": each.name.rfc4514_string(),
                "municipality": municipality,
            }
            for each, municipality in partitions
        ]
        with self._database.writing() as connection:
            connection.execute(insert(tables.partition), rows)

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

    def revocations(self, purpose: Purpose, partition: PartitionId, ending_after: datetime | None) -> Revocations:
        """Return the list's entries in order of serial, and the journal position they picture."""
        status = tables.status
        current = [
            belongs(status.c.partition, purpose, partition),
            *([] if ending_after is None else [status.c.not_after >= ending_after]),
        ]
        with self._database.reading() as connection:
            position = connection.execute(select(tables.ledger.c.position)).scalar_one()
            since = compromises(connection, purpose)
            entries = _under_compromise(connection, since, current) if since else _listed(connection, current)
        return Revocations(position, entries)


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


def _listed(connection: Connection, current: Sequence[ColumnElement[bool]]) -> list[RevokedEntry]:
    status = tables.status
    listed = select(status.c.serial, status.c.revoked_at, status.c.reason).where(
        status.c.state.in_(LISTED_STATES), *current
    )
    rows = connection.execute(listed.order_by(status.c.serial))
    return [RevokedEntry(row.serial, row.revoked_at, Reason(row.reason)) for row in rows]


def _under_compromise(
    connection: Connection, since: Mapping[str, datetime], current: Sequence[ColumnElement[bool]]
) -> list[RevokedEntry]:
    """Return what is listed, and beside it all that the compromised generations may have signed."""
    status = tables.status
    listed = select(status).where(
        status.c.state.in_(SIGNED_STATES),
        or_(status.c.state.in_(LISTED_STATES), status.c.generation.in_(since)),
        *current,
    )
    entries = []
    for row in connection.execute(listed.order_by(status.c.serial)):
        own, compromised_at = status_from(row), since.get(row.generation)
        found = own if compromised_at is None else own.under_compromise(compromised_at)
        if found.revoked_at is not None and found.reason is not None:
            entries.append(RevokedEntry(found.serial, found.revoked_at, found.reason))
    return entries


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
        Text("この市区町村の失効リストの区画がありません。", "This municipality has no CRL partition."),
        Text("市区町村コードを確認してください。", "Check the municipality's code."),
    )
