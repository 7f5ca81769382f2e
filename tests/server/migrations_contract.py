"""What migrations must do on every database."""

from datetime import UTC, datetime
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from cryptography import x509
from sqlalchemy import Column, ColumnClause, column, insert, select, table, text

from jpki.acts import Act, Actor, AuditEvent
from jpki.certificate import Purpose
from jpki.errors import JpkiError
from jpki.ids import Serial, format_serial
from jpki.randomness import system_randomness
from jpki.signature import PrivateKey, signed
from server.store import tables
from server.store.audit import SqlAudit
from server.store.audit_log import SqlAuditLog
from server.store.database import SCHEMA, Database
from server.store.reserve import RESERVE
from server.store.tables import certificate, metadata
from server.wiring import store_of
from tests.ca import world


def differences(database: Database) -> list[object]:
    """What the migrated schema lacks or has beyond the tables of the code."""
    # PostgreSQL alone has this one, so it stands apart from the others.
    ours = {"include_name": lambda name, *_: name != RESERVE.name}
    with database.reading() as connection:
        return list(compare_metadata(MigrationContext.configure(connection, opts=ours), metadata))


def check_up_and_down(full: Database, empty: Database) -> None:
    """Migrations bring an empty database up to the code's tables, and a full one down to nothing and up again."""
    assert full.schema() == SCHEMA
    assert differences(full) == []
    check_partitions_stay(full)
    full.migrate("base")
    assert full.schema() is None
    full.migrate()
    assert differences(full) == []
    assert empty.schema() is None
    empty.migrate()
    assert differences(empty) == []


def check_partitions_stay(full: Database) -> None:
    """What others refer to is rebuilt, where a database cannot drop a column with a reference, and loses nothing."""

    def rows() -> list[tuple[object, ...]]:
        with full.reading() as connection:
            return [tuple(row) for row in connection.execute(text("SELECT * FROM partition ORDER BY id"))]

    def insert(table: str, **values: object) -> None:
        columns, places = ", ".join(values), ", ".join(f":{name}" for name in values)
        with full.writing() as connection:
            connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({places})"), values)  # noqa: S608 - ours

    insert("partition", id="p0003", purpose="signing", name="CN=x", municipality="131016")
    before = rows()
    insert("partition_url", partition=before[0][0], base_url="http://ca.test", added=1)
    full.migrate("0013")
    assert rows() == [(*row, None) for row in before]
    full.migrate()
    assert rows() == before
    with pytest.raises(JpkiError):
        insert("partition_url", partition="nowhere", base_url="http://ca.test", added=1)
    for doubled in ({"name": "CN=x"}, {"name": "CN=y", "municipality": "131016"}):
        with pytest.raises(JpkiError):
            insert("partition", id="p9999", purpose="signing", **doubled)


def check_records_are_carried_over_and_sealed(empty: Database) -> None:
    """A ledger from before there were seals keeps its certificates, and seals them when it is told a key."""
    empty.migrate("0001")
    serial, octets = Serial(1 << 126), signed(*_signer())
    with empty.writing() as connection:
        for table, values in _rows_of_0001(serial, octets).items():
            columns = ", ".join(values)
            places = ", ".join(f":{name}" for name in values)
            connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({places})"), values)  # noqa: S608 - ours
    empty.migrate()
    store = store_of(empty, world.wrapping_keys(), system_randomness)
    store.seals.use(world.WRAPPING_KEY)
    assert store.seals.outdated() == 1
    with pytest.raises(JpkiError) as refused:
        store.ledger.certificates([serial]).get(serial)
    assert refused.value.code == "database-outdated"
    assert store.seals.reseal_some() == 1
    assert store.ledger.certificates([serial]).get(serial) == octets


def check_cards_ends_are_taken_from_the_cases(empty: Database) -> None:
    """What was issued in a case knows its card's end from there; of the others nobody knows it."""
    empty.migrate("0013")
    in_case, alone = Serial(1 << 126), Serial(1 << 126 | 1)
    card_end, moment = datetime(2034, 9, 9, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)
    case = {
        **dict.fromkeys(("opened_at", "changed_at", "expires_at"), moment),
        "number": "C-1",
        "kind": "new",
        "state": "delivered",
        "version": 5,
        "counter": "131016",
        "holder": "H-0001",
        "purposes": "signing",
        "applicant": "holder",
        "documents": "",
        "opened_by": "clerk-1",
        "card": "card-1",
        "card_not_after": card_end,
        "card_mode": "ordinary",
    }
    former = [each for each in certificate.columns if each is not certificate.c.card_end]
    with empty.writing() as connection:
        for serial in (in_case, alone):
            told = {"serial": serial, "purpose": "signing", "carrier": "card", "holder": f"H-{serial}"}
            rest = {"profile_hash": "0" * 64, "not_before": moment, "not_after": moment}
            connection.execute(insert(table("certificate", *map(_bare, former))).values(told | rest))
        connection.execute(insert(tables.case).values(case))
        connection.execute(insert(tables.case_certificate).values(serial=in_case, number="C-1", version=3))
    empty.migrate()
    with empty.reading() as connection:
        found = connection.execute(select(certificate.c.serial, certificate.c.card_end))
        assert {row.serial: row.card_end for row in found} == {in_case: card_end, alone: None}


def _bare(named: Column[Any]) -> ColumnClause[Any]:
    return column(named.name, named.type)


def _signer() -> tuple[PrivateKey, bytes]:
    generation, keys = world.authority(Purpose.SIGNING)
    return keys.signer(generation.key), world.draft(Purpose.SIGNING).to_be_signed()


def _rows_of_0001(serial: Serial, certificate: bytes) -> dict[str, dict[str, object]]:
    moment = datetime(2026, 10, 1, tzinfo=UTC)
    return {
        "certificate": {
            "serial": format_serial(serial),
            "purpose": "signing",
            "carrier": "card",
            "holder": "H-0001",
            "profile_hash": "0" * 64,
            "not_before": moment,
            "not_after": moment,
        },
        "certificate_record": {
            "serial": format_serial(serial),
            "to_be_signed": x509.load_der_x509_certificate(certificate).tbs_certificate_bytes,
            "certificate": certificate,
        },
    }


_OLD_ROWS = (
    ("2026-10-01 03:00:00", "operator", "ceremony", "signing", '{"number": 1, "profile": "card-v1"}'),
    ("2026-10-01 03:00:01", "operator", "certificate signed", "4" * 32, "{}"),
    ("2026-10-01 03:00:02", "system", "certificate revoked", f"{'5' * 32} {'6' * 32}", '{"reason": "superseded"}'),
)
_NEW_EVENTS = [
    (Act.CEREMONY, "operator", ("signing",), {"number": 1, "profile": "card-v1"}),
    (Act.SIGNED, "operator", ("4" * 32,), {}),
    (Act.REVOKED, "system", ("5" * 32, "6" * 32), {"reason": "superseded"}),
]


def check_old_acts_are_carried_over(empty: Database) -> None:
    """Acts of version 0001 are chained first and in order; on the way back each is a row again."""
    empty.migrate("0001")
    insert = (
        "INSERT INTO audit (at, role, name, act, subject, details) VALUES (:at, :role, 'n', :act, :subject, :details)"
    )
    with empty.writing() as connection:
        for row in _OLD_ROWS:
            values = dict(zip(("at", "role", "act", "subject", "details"), row, strict=True))
            at = row[0] + (".000000" if "sqlite" in str(connection.engine.url) else "+00")
            connection.execute(text(insert), values | {"at": at})
    empty.migrate()
    audit = SqlAudit(empty)
    audit.record(AuditEvent(at=datetime(2026, 10, 2, tzinfo=UTC), actor=Actor("o", "n"), act=Act.HELD, subjects=("7",)))
    assert audit.chain(system_randomness) == 4
    events = [each.event for each in SqlAuditLog(empty).entries()]
    told = [(each.act, each.actor.role, each.subjects, each.details) for each in events[:3] if each is not None]
    assert told == _NEW_EVENTS
    assert [each.at.second for each in events[:3] if each is not None] == [0, 1, 2]
    empty.migrate("0001")
    with empty.reading() as connection:
        rows = connection.execute(text("SELECT role, act, subject, details FROM audit ORDER BY id")).all()
    batch = [(row[1], row[2], subject, row[4]) for row in _OLD_ROWS for subject in row[3].split(" ")]
    assert [tuple(row) for row in rows[:-1]] == batch
    empty.migrate()
    assert audit.chain(system_randomness) == 5
