"""The certificate ledger in SQL: each act one transaction over certificate, place, status, journal and audit."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from jpki.acts import Act, Actor
from jpki.case import Change
from jpki.certificate import CARD, Carrier, Purpose, Validity
from jpki.clock import whole_second
from jpki.errors import JpkiError
from jpki.ids import HolderCode, PartitionId, Serial
from jpki.ports import CertificateRecord, Reservation
from jpki.revocation import Reason, State, Status
from jpki.signature import assembled
from server.store import cases, refusals, tables
from server.store.among import Among
from server.store.bulk import Bulk
from server.store.changes import (
    LIVE,
    discard,
    hold,
    journal,
    move,
    note,
    renewed_within_card,
    require_capped,
    require_living,
    require_safe_issuers,
    revoke,
)
from server.store.database import Database
from server.store.reserving import abandoned, require_free, take_places, told_of
from server.store.rows import statuses_of
from server.store.seal import SALT_OCTETS, DataKey, Seal, commitment

SUCCEEDING = (State.RESERVED, State.INTENDED, State.ISSUED, State.ACTIVE, State.HELD)
"""The states of a certificate that takes, or is about to take, the place of the one that it renews."""
_INTENTS = Bulk(insert(tables.certificate_record), ("serial", "data_key", "to_be_signed"))
_SIGNATURES = Bulk(
    update(tables.certificate_record)
    .where(tables.certificate_record.c.serial == bindparam("of_serial"))
    .values(signature=bindparam("sealed")),
    ("sealed", "of_serial"),
)
_BEYOND = 1 << 128
"""No serial of ours has more than 16 octets, and no column holds one."""


class SqlLedger:
    """See `jpki.ports.CertificateLedger`; contract in tests/server/ledger_contract.py."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal

    # --- towards a live certificate ---------------------------------------------------------------------------

    def reserve(self, wanted: Sequence[Reservation], by: Actor, at: datetime) -> None:
        """Take the serials, the keys and the holders' pending places."""
        try:
            try:
                self._reserve(wanted, by, at)
            except JpkiError as error:
                # On a database with concurrent writers the tables' keys decide, not the look before them. Whoever was
                # faster has committed by then, so that a second look tells what was taken.
                if not isinstance(error.__cause__, IntegrityError):
                    raise
                self._reserve(wanted, by, at)
        except JpkiError as error:
            if isinstance(error.__cause__, IntegrityError):
                raise refusals.pending() from error
            raise

    def _reserve(self, wanted: Sequence[Reservation], by: Actor, at: datetime) -> None:
        with self._database.writing() as connection:
            self._database.advance_clock(connection, at)
            require_free(connection, wanted, by, at)
            take_places(connection, wanted, at)
            cases.link(connection, wanted)
            (generation,) = {each.generation for each in wanted}
            serials = [each.serial for each in wanted]
            note(connection, at, by, Act.RESERVED, serials, generation=generation, **told_of(wanted))

    def intend(self, to_be_signed: Mapping[Serial, bytes], by: Actor, at: datetime) -> None:
        """Store the octets that will be signed, and say so in the audit, without telling them."""
        serials = list(to_be_signed)
        salted = {serial: self._seal.salted(octets) for serial, octets in to_be_signed.items()}
        with self._database.writing() as connection:
            self._database.advance_clock(connection, at)
            move(connection, serials, State.RESERVED, State.INTENDED)
            require_safe_issuers(connection, serials)
            key = self._seal.newest(connection)
            sealed = [
                (serial, key.id, self._seal.seal(key, "to_be_signed", serial, octets))
                for serial, octets in salted.items()
            ]
            _INTENTS.execute(connection, sealed)
            commitments = " ".join(map(commitment, salted.values()))
            note(connection, at, by, Act.WILL_SIGN, serials, commitments=commitments)

    def complete(self, signatures: Mapping[Serial, bytes], by: Actor, at: datetime) -> None:
        """Store the signatures."""
        serials, record = list(signatures), tables.certificate_record
        sealed_under = (
            select(record.c.serial, record.c.data_key).where(Among(record.c.serial, serials)).with_for_update()
        )
        with self._database.writing() as connection:
            move(connection, serials, State.INTENDED, State.ISSUED)
            keys = {
                row.serial: self._seal.key(connection, row.data_key) for row in connection.execute(sealed_under).all()
            }
            sealed = [
                (self._seal.seal(keys[serial], "signature", serial, octets), serial)
                for serial, octets in signatures.items()
            ]
            _SIGNATURES.execute(connection, sealed)
            note(connection, at, by, Act.SIGNED, serials)

    def activate(self, serials: Sequence[Serial], by: Actor, at: datetime, change: Change | None = None) -> None:
        """Make them live; what they renew is superseded, and their case moves, in the same transaction."""
        place = tables.place
        with self._database.writing() as connection:
            self._database.advance_clock(connection, at)
            cases.require_own_case(connection, serials, change)
            if change is not None:
                cases.apply(connection, change, by, at)
            move(connection, serials, State.ISSUED, State.ACTIVE)
            require_safe_issuers(connection, serials)
            require_capped(connection, serials, at)
            if renewed := renewed_within_card(connection, serials):
                revoke(connection, renewed, Reason.SUPERSEDED, by, at)
            connection.execute(update(place).where(Among(place.c.serial, serials)).values(stage=LIVE, since=at))
            note(connection, at, by, Act.ACTIVATED, serials)
            journal(connection, serials, State.ACTIVE, None, at)

    def discard(self, serials: Sequence[Serial], by: Actor, at: datetime) -> int:
        """Close pending certificates; return how many were pending."""
        with self._database.writing() as connection:
            return discard(connection, serials, by, at)

    def discard_abandoned(self, by: Actor, at: datetime) -> int:
        """Close every certificate that a crash left pending; return how many there were."""
        with self._database.writing() as connection:
            serials = abandoned(connection, at)
            return discard(connection, serials, by, at) if serials else 0

    def abandoned(self, at: datetime) -> Sequence[Serial]:
        """Return the certificates that a crash left pending."""
        with self._database.reading() as connection:
            return abandoned(connection, at)

    # --- revocation --------------------------------------------------------------------------------------------

    def revoke(self, serials: Sequence[Serial], reason: Reason, by: Actor, at: datetime) -> None:
        """Revoke live certificates; never refused for a clock that is behind or a disk that is full (rule R18)."""
        self._database.urgently(lambda connection: revoke(connection, serials, reason, by, at))

    def hold(self, serial: Serial, by: Actor, at: datetime) -> None:
        """Put a live certificate on hold; like a revocation, on a full disk too."""
        self._database.urgently(lambda connection: hold(connection, [serial], by, at))

    def release(self, serial: Serial, by: Actor, at: datetime, change: Change | None = None) -> None:
        """Make a held certificate live again."""
        with self._database.writing() as connection:
            self._database.advance_clock(connection, at)
            if change is not None:
                cases.apply(connection, change, by, at)
            require_living(connection, [serial], at, State.HELD)
            note(connection, at, by, Act.RELEASED, [serial])
            journal(connection, [serial], State.ACTIVE, None, at)

    # --- reading -----------------------------------------------------------------------------------------------

    def find(self, serials: Sequence[Serial]) -> Mapping[Serial, CertificateRecord]:
        """Return the records of those serials that there are."""
        with self._database.reading() as connection:
            return _find(connection, serials)

    def live(
        self, holders: Sequence[HolderCode], purpose: Purpose, carrier: Carrier, at: datetime
    ) -> Mapping[HolderCode, CertificateRecord]:
        """Return each holder's live certificate."""
        place = tables.place
        is_live = and_(
            Among(place.c.holder, holders),
            place.c.purpose == purpose,
            place.c.carrier == carrier,
            place.c.stage == LIVE,
            place.c.not_after >= whole_second(at),
        )
        with self._database.reading() as connection:
            serials = connection.execute(select(place.c.serial).where(is_live)).scalars().all()
            found = _find(connection, serials).values()
        return {record.holder: record for record in found if record.status.state is not State.REVOKED}

    def on_card(self, holder: HolderCode, at: datetime) -> Mapping[Purpose, CertificateRecord]:
        """Return the live certificates of a holder's card, by kind."""
        with self._database.reading() as connection:
            values = {"of_holder": holder, "at": whole_second(at)}
            serials = connection.execute(_ON_CARD, values).scalars().all()
            found = _find(connection, serials).values() if serials else ()
        return {record.purpose: record for record in found if record.status.state is not State.REVOKED}

    def successors(self, serials: Sequence[Serial]) -> Mapping[Serial, Status]:
        """Return what renews each, pending or live."""
        certificate, status = tables.certificate, tables.status
        query = (
            select(certificate.c.renews, certificate.c.serial)
            .join(status, status.c.serial == certificate.c.serial)
            .where(Among(certificate.c.renews, serials), status.c.state.in_(SUCCEEDING))
        )
        with self._database.reading() as connection:
            found = {row.renews: row.serial for row in connection.execute(query).all()}
            statuses = statuses_of(connection, list(found.values()))
        return {renewed: statuses[serial] for renewed, serial in found.items()}

    def partitions(self, serials: Sequence[Serial]) -> AbstractSet[PartitionId]:
        """Return the partitions that these certificates name."""
        status = tables.status
        named = select(status.c.partition).where(Among(status.c.serial, serials)).distinct()
        with self._database.reading() as connection:
            return {PartitionId(each) for each in connection.execute(named).scalars()}

    def status(self, serial: Serial) -> Status | None:
        """Return the status of `serial`: what OCSP asks (`jpki.ports.StatusSource`)."""
        if serial >= _BEYOND:
            return None
        with self._database.reading() as connection:
            return statuses_of(connection, [serial]).get(serial)

    def certificates(self, serials: Sequence[Serial]) -> Mapping[Serial, bytes]:
        """Open the sealed records and return the certificates' DER."""
        record = tables.certificate_record
        signed = select(record).where(Among(record.c.serial, _possible(serials)), record.c.signature.is_not(None))
        with self._database.reading() as connection:
            rows = connection.execute(signed).all()
            keys = {key_id: self._seal.key(connection, key_id) for key_id in {row.data_key for row in rows}}
        return {row.serial: self._opened(keys[row.data_key], row) for row in rows}

    def _opened(self, key: DataKey, row: Row[Any]) -> bytes:
        sealed = {"to_be_signed": row.to_be_signed, "signature": row.signature}
        opened = self._seal.open(key, sealed, row.serial)
        return assembled(opened["to_be_signed"][SALT_OCTETS:], opened["signature"])


_ON_CARD = select(tables.place.c.serial).where(
    tables.place.c.holder == bindparam("of_holder"),
    tables.place.c.carrier == CARD,
    tables.place.c.stage == LIVE,
    tables.place.c.not_after >= bindparam("at"),
)
_RECORDS = select(tables.certificate).where(Among(tables.certificate.c.serial))


def _find(connection: Connection, serials: Sequence[Serial]) -> dict[Serial, CertificateRecord]:
    possible = _possible(serials)
    statuses = statuses_of(connection, possible)
    return {
        row.serial: CertificateRecord(
            serial=row.serial,
            purpose=Purpose(row.purpose),
            carrier=Carrier(row.carrier),
            holder=HolderCode(row.holder),
            validity=Validity(row.not_before, row.not_after),
            profile_hash=row.profile_hash,
            status=statuses[row.serial],
            card_end=row.card_end,
        )
        for row in connection.execute(_RECORDS, {"among": possible}).all()
    }


def _possible(serials: Sequence[Serial]) -> Sequence[Serial]:
    return [serial for serial in serials if serial < _BEYOND]
