"""What migrations must do on every database."""

from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from cryptography import x509
from sqlalchemy import text

from jpki.certificate import Purpose
from jpki.errors import JpkiError
from jpki.ids import Serial, format_serial
from jpki.randomness import system_randomness
from jpki.signature import PrivateKey, signed
from server.store.database import SCHEMA, Database
from server.store.tables import metadata
from server.wiring import store_of
from tests.ca import world


def differences(database: Database) -> list[object]:
    """What the migrated schema lacks or has beyond the tables of the code."""
    with database.reading() as connection:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))


def check_up_and_down(full: Database, empty: Database) -> None:
    """Migrations bring an empty database up to the code's tables, and a full one down to nothing and up again."""
    assert full.schema() == SCHEMA
    assert differences(full) == []
    full.migrate("base")
    assert full.schema() is None
    full.migrate()
    assert differences(full) == []
    assert empty.schema() is None
    empty.migrate()
    assert differences(empty) == []


def check_records_are_carried_over_and_sealed(empty: Database) -> None:
    """A ledger from before there were seals keeps its certificates, and seals them when it is told a key."""
    empty.migrate("0001")
    certificate, octets = Serial(1 << 126), signed(*_signer())
    with empty.writing() as connection:
        for table, values in _rows_of_0001(certificate, octets).items():
            columns = ", ".join(values)
            places = ", ".join(f":{name}" for name in values)
            connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({places})"), values)  # noqa: S608 - ours
    empty.migrate()
    store = store_of(empty, world.wrapping_keys(), system_randomness)
    store.seals.use(world.WRAPPING_KEY)
    assert store.seals.outdated() == 1
    with pytest.raises(JpkiError) as refused:
        store.ledger.certificates([certificate]).get(certificate)
    assert refused.value.code == "database-outdated"
    assert store.seals.reseal_some() == 1
    assert store.ledger.certificates([certificate]).get(certificate) == octets


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
