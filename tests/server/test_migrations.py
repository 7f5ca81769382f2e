"""A ledger of an earlier version keeps what it knows."""

from pathlib import Path

import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding

from ca.delegates import Delegation
from ca.recorder import Recorder
from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import Purpose
from jpki.delegate import DelegateKind
from jpki.randomness import system_randomness
from server.store.database import Database
from server.store.types import Moment, SerialColumn
from server.wiring import store_of
from tests.ca import world
from tests.ca.memory_delegates import MemoryDelegates
from tests.ca.world import FolderKeys
from tests.conftest import SteppingClock

_RESPONDER = sa.table(
    "responder",
    sa.column("serial", SerialColumn),
    *map(sa.column, ("generation", "certificate", "key_uri")),
    sa.column("not_after", Moment),
)


def test_roots_and_responders_of_the_first_schema_become_delegates(tmp_path: Path, clock: SteppingClock) -> None:
    generation, keys = world.authority(Purpose.SIGNING)
    ledger = MemoryDelegates()
    recorder = Recorder(ledger=ledger, clock=clock, randomness=system_randomness)
    delegation = Delegation(keys=keys, recorder=recorder, book=ledger, clock=clock, randomness=system_randomness)
    (responder,) = delegation.renew_responders([generation], LOCAL_OPERATOR)
    database = Database.at_file(tmp_path / "jpki.sqlite", create=True)
    database.migrate("0001")
    with database.writing() as connection:
        connection.exec_driver_sql(
            "INSERT INTO generation VALUES ('s1', 'signing', 1, ?, ?, 'card-v1', ?, ?, NULL)",
            (
                generation.certificate.public_bytes(Encoding.DER),
                generation.key,
                f"{generation.issue_until:%Y-%m-%d %H:%M:%S.%f}",
                f"{generation.not_after:%Y-%m-%d %H:%M:%S.%f}",
            ),
        )
        connection.execute(
            sa.insert(_RESPONDER).values(
                serial=responder.certificate.serial_number,
                generation="s1",
                certificate=responder.certificate.public_bytes(Encoding.DER),
                key_uri=responder.key,
                not_after=responder.certificate.not_valid_after_utc,
            )
        )
    database.migrate()
    store = store_of(database, FolderKeys(), system_randomness)
    assert store.generations.issuing(Purpose.SIGNING, clock()) == [generation]
    assert store.delegates.responders(generation.id) == [responder]
    kinds = dict(store.delegates.certificates(generation.id))
    assert kinds == {DelegateKind.ROOT: generation.certificate, DelegateKind.RESPONDER: responder.certificate}
    database.close()
