"""Changing the keys that seal: a new one is made, every record is sealed anew, and the old ones go."""

from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement, Connection, Row, bindparam, delete, exists, func, or_, select, update

from jpki.ids import KeyUri
from server.store import tables
from server.store.cases import resident_place
from server.store.database import Database
from server.store.seal import DataKey, Seal

_BATCH = 500


class SqlSeals:
    """The seals of all records; any number of processes may issue meanwhile, and a rotation may stop anywhere."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal

    def use(self, wrapping_key: KeyUri) -> None:
        """Make a data key under `wrapping_key`, which seals from now on."""
        with self._database.writing() as connection:
            self._seal.add_key(connection, wrapping_key)

    def began(self) -> bool:
        """Tell whether there is a key that seals."""
        with self._database.reading() as connection:
            return connection.execute(select(func.count()).select_from(tables.data_key)).scalar_one() > 0

    def outdated(self) -> int:
        """Return how many records lie under no seal, or under another key than the newest."""
        records = select(func.count()).select_from(tables.certificate_record)
        residents = select(func.count()).select_from(tables.case_resident)
        with self._database.reading() as connection:
            newest = connection.execute(select(func.max(tables.data_key.c.id))).scalar_one()
            counts = (records.where(_is_outdated(newest)), residents.where(tables.case_resident.c.data_key != newest))
            return sum(connection.execute(each).scalar_one() for each in counts)

    def reseal_some(self) -> int:
        """Seal some hundred outdated records under the newest key, in one transaction; return how many they were."""
        record = tables.certificate_record
        with self._database.writing() as connection:
            newest = self._seal.newest(connection)
            some = select(record).where(_is_outdated(newest.id)).limit(_BATCH).with_for_update()
            rows = connection.execute(some).all()
            if rows:
                connection.execute(_RESEALED, [self._resealed(connection, row, newest) for row in rows])
            return len(rows) + self._reseal_cases(connection, newest)

    def unneeded(self) -> Sequence[KeyUri]:
        """Return the wrapping keys whose data keys are not the newest and seal no record."""
        with self._database.reading() as connection:
            return _unneeded(connection)

    def forget(self, wrapping_key: KeyUri, destroy: Callable[[], object]) -> bool:
        """Destroy a wrapping key and delete its data keys, if it is not needed; tell whether it was not.

        Whoever stores a record holds the row of its data key until it is committed, and is waited for; whoever would
        store one later finds no such row, and stores nothing.
        """
        key = tables.data_key
        with self._database.writing() as connection:
            theirs = key.c.wrapping_key == wrapping_key
            connection.execute(select(key.c.id).where(theirs).with_for_update()).all()
            if wrapping_key not in _unneeded(connection):
                return False
            destroy()
            connection.execute(delete(key).where(theirs))
        return True

    def _reseal_cases(self, connection: Connection, newest: DataKey) -> int:
        """Seal what cases hold under the newest key; replies are not sealed anew, for they live a day."""
        table = tables.case_resident
        some = select(table).where(table.c.data_key != newest.id).limit(_BATCH).with_for_update()
        rows = connection.execute(some).all()
        for row in rows:
            place = resident_place(row.number)
            octets = self._seal.open_at(self._seal.key(connection, row.data_key), place, row.sealed)
            sealed = self._seal.seal_at(newest, place, octets)
            connection.execute(
                update(table).where(table.c.number == row.number).values(data_key=newest.id, sealed=sealed)
            )
        return len(rows)

    def _resealed(self, connection: Connection, row: Row[tuple[object, ...]], newest: DataKey) -> dict[str, object]:
        columns = {"to_be_signed": row.to_be_signed, "signature": row.signature}
        present = {name: octets for name, octets in columns.items() if octets is not None}
        if row.data_key is None:
            present["to_be_signed"] = self._seal.salted(present["to_be_signed"])
        else:
            present = self._seal.open(self._seal.key(connection, row.data_key), present, row.serial)
        sealed = {name: self._seal.seal(newest, name, row.serial, octets) for name, octets in present.items()}
        return {
            "of_serial": row.serial,
            "new_key": newest.id,
            "new_to_be_signed": sealed["to_be_signed"],
            "new_signature": sealed.get("signature"),
        }


def _unneeded(connection: Connection) -> list[KeyUri]:
    key = tables.data_key
    sealing = (tables.certificate_record, tables.case_resident, tables.reply)
    newest = select(func.max(key.c.id)).scalar_subquery()
    needed = select(key.c.wrapping_key).where(
        or_(key.c.id == newest, *(exists().where(each.c.data_key == key.c.id) for each in sealing))
    )
    query = select(key.c.wrapping_key).where(key.c.wrapping_key.not_in(needed)).distinct()
    return [KeyUri(uri) for uri in connection.execute(query).scalars()]


def _is_outdated(newest: int) -> ColumnElement[bool]:
    record = tables.certificate_record
    return or_(record.c.data_key.is_(None), record.c.data_key != newest)


_RESEALED = (
    update(tables.certificate_record)
    .where(tables.certificate_record.c.serial == bindparam("of_serial"))
    .values(
        data_key=bindparam("new_key"),
        to_be_signed=bindparam("new_to_be_signed"),
        signature=bindparam("new_signature"),
    )
)
