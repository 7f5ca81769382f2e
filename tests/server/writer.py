"""A process that issues for the same few holders as its likes do, renews, holds, releases and revokes.

It prints what it did, as JSON: how many changes a verifier can see.
"""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from hsm_adapter.software import SoftwareKeys
from jpki.acts import LOCAL_OPERATOR as BY
from jpki.certificate import CARD, Purpose, Validity
from jpki.clock import system_clock
from jpki.errors import JpkiError, Kind
from jpki.ids import GenerationId, HolderCode, PartitionId, Serial, new_serial
from jpki.ports import CertificateRecord, Reservation
from jpki.randomness import system_randomness
from jpki.revocation import Reason
from server.sample.draws import Draws
from server.store.database import Database
from server.wiring import Store, store_of

HOLDERS = [HolderCode(f"H-{number:04}") for number in range(4)]
KINDS = {Purpose.SIGNING: ("s1", "p0001"), Purpose.AUTHENTICATION: ("a1", "b01")}
PURPOSES = list(KINDS)


def opened(where: str) -> Database:
    return Database.at_url(where) if where.startswith("postgresql:") else Database.at_file(Path(where))


def _end(now: datetime) -> datetime:
    """Return one end for all, so that no signing certificate outlives the one beside it."""
    return now.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1800)


def issue(store: Store, holder: HolderCode, purpose: Purpose, renews: Serial | None) -> int:
    """Bring one certificate to life, and return how many changes that was."""
    generation, partition = KINDS[purpose]
    now = system_clock()
    reservation = Reservation(
        serial=new_serial(system_randomness),
        purpose=purpose,
        carrier=CARD,
        holder=holder,
        generation=GenerationId(generation),
        partition=PartitionId(partition),
        base_url="http://127.0.0.1:8080",
        profile_hash="0" * 64,
        key_hash=system_randomness(32),
        validity=Validity(now, _end(now)),
        renews=renews,
    )
    serial = reservation.serial
    store.ledger.reserve([reservation], BY, now)
    try:
        store.ledger.intend({serial: b"tbs"}, BY, system_clock())
        store.ledger.complete({serial: b"signature"}, BY, system_clock())
        store.ledger.activate([serial], BY, system_clock())
    except JpkiError:
        # What it renews was revoked meanwhile, as far as it got: a "will sign" is a revocation now.
        store.ledger.discard([serial], BY, system_clock())
        return 1
    return 1 if renews is None else 2


def change(store: Store, live: CertificateRecord, draws: Draws) -> int:
    acts: list[Callable[[], object]] = [
        lambda: store.ledger.revoke([live.serial], Reason.KEY_COMPROMISE, BY, system_clock()),
        lambda: store.ledger.hold(live.serial, BY, system_clock()),
        lambda: store.ledger.release(live.serial, BY, system_clock()),
    ]
    act = draws.below(len(acts) + 1)
    if act == len(acts):
        return issue(store, live.holder, live.purpose, live.serial)
    acts[act]()
    return 1


def main(where: str, keys: Path, number: int, rounds: int) -> None:
    store = store_of(opened(where), SoftwareKeys(keys, lambda: b"passphrase"), system_randomness)
    changes = refusals = 0
    for turn in range(rounds):
        draws = Draws("writer", number, turn)
        holder, purpose = draws.one_of(HOLDERS), draws.one_of(PURPOSES)
        try:
            live = store.ledger.live([holder], purpose, CARD, system_clock()).get(holder)
            changes += issue(store, holder, purpose, None) if live is None else change(store, live, draws)
        except JpkiError as error:
            # Another was quicker; an outage would be a failure of the test.
            if error.kind is not Kind.CONFLICT:
                raise
            refusals += 1
    print(json.dumps({"changes": changes, "refusals": refusals}))  # noqa: T201 - that is what it is for
