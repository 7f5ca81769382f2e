"""The certificate ledger in SQL: each act one transaction over certificate, place, status, journal and audit."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from jpki.acts import Act, Actor, AuditEvent
from jpki.certificate import Carrier, Purpose, Validity
from jpki.clock import iso, whole_second
from jpki.errors import JpkiError, Kind
from jpki.ids import HolderCode, Serial, format_serial
from jpki.ports import CertificateRecord, Reservation
from jpki.revocation import LISTED_STATES, Reason, State, Status
from jpki.text import Text
from server.store import audit, tables
from server.store.blocked_keys import require_not_blocked
from server.store.database import Database
from server.store.rows import status_of

ABANDONED_AFTER = timedelta(minutes=10)
"""A certificate pending for longer was left by a crash; the next order of the same holder closes it."""

_BEYOND = 1 << 128
"""No serial of ours has more than 16 octets, and no column holds one."""
_PENDING = "pending"
_LIVE = "live"


class SqlLedger:
    """See `jpki.ports.CertificateLedger`; contract in tests/server/ledger_contract.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- towards a live certificate ---------------------------------------------------------------------------

    def reserve(self, reservation: Reservation, by: Actor, at: datetime) -> None:
        """Take the serial and the holder's pending place."""
        try:
            with self._database.writing() as connection:
                self._database.advance_clock(connection, at)
                self._require_free(connection, reservation, by, at)
                _insert_certificate(connection, reservation, at)
                _require_none_came_to_life(connection, reservation)
                _audit(connection, at, by, Act.RESERVED, reservation.serial, generation=reservation.generation)
        except JpkiError as error:
            # On a database with concurrent writers the primary key of `place` decides, not the look before it.
            if isinstance(error.__cause__, IntegrityError):
                raise _pending() from error
            raise

    def intend(self, serial: Serial, to_be_signed: bytes, by: Actor, at: datetime) -> None:
        """Store the octets that will be signed, and say so in the audit."""
        with self._database.writing() as connection:
            self._database.advance_clock(connection, at)
            _move(connection, serial, State.RESERVED, State.INTENDED)
            connection.execute(insert(tables.certificate_record).values(serial=serial, to_be_signed=to_be_signed))
            _audit(connection, at, by, Act.WILL_SIGN, serial)

    def complete(self, serial: Serial, certificate: bytes, by: Actor, at: datetime) -> None:
        """Store the signed certificate."""
        record = tables.certificate_record
        with self._database.writing() as connection:
            _move(connection, serial, State.INTENDED, State.ISSUED)
            connection.execute(update(record).where(record.c.serial == serial).values(certificate=certificate))
            _audit(connection, at, by, Act.SIGNED, serial)

    def activate(self, serial: Serial, by: Actor, at: datetime) -> None:
        """Make it live; what it renews is superseded in the same transaction."""
        place = tables.place
        with self._database.writing() as connection:
            self._database.advance_clock(connection, at)
            _move(connection, serial, State.ISSUED, State.ACTIVE)
            renews = connection.execute(
                select(tables.certificate.c.renews).where(tables.certificate.c.serial == serial)
            ).scalar_one()
            if renews is not None:
                _revoke(connection, renews, Reason.SUPERSEDED, by, at)
            connection.execute(update(place).where(place.c.serial == serial).values(stage=_LIVE, since=at))
            _audit(connection, at, by, Act.ACTIVATED, serial)
            _journal(connection, serial, State.ACTIVE, None, at)

    def discard(self, serial: Serial, by: Actor, at: datetime) -> bool:
        """Close a pending certificate; tell whether it was pending."""
        with self._database.writing() as connection:
            return _discard(connection, serial, by, at)

    def discard_abandoned(self, by: Actor, at: datetime) -> int:
        """Close every certificate that a crash left pending; return how many there were."""
        return sum(self.discard(serial, by, at) for serial in self._abandoned(at))

    def abandoned(self, at: datetime) -> int:
        """Return how many certificates a crash left pending."""
        return len(self._abandoned(at))

    def _abandoned(self, at: datetime) -> Sequence[Serial]:
        place = tables.place
        query = select(place.c.serial).where(place.c.stage == _PENDING, place.c.since <= at - ABANDONED_AFTER)
        with self._database.reading() as connection:
            return connection.execute(query).scalars().all()

    # --- revocation --------------------------------------------------------------------------------------------

    def revoke(self, serial: Serial, reason: Reason, by: Actor, at: datetime) -> None:
        """Revoke a live certificate; never refused for a clock or an audit that lags behind."""
        with self._database.writing() as connection:
            _revoke(connection, serial, reason, by, at)

    def hold(self, serial: Serial, by: Actor, at: datetime) -> None:
        """Put a live certificate on hold."""
        with self._database.writing() as connection:
            _require_living(connection, serial, at, State.ACTIVE)
            _audit(connection, at, by, Act.HELD, serial)
            _journal(connection, serial, State.HELD, Reason.CERTIFICATE_HOLD, at)

    def release(self, serial: Serial, by: Actor, at: datetime) -> None:
        """Make a held certificate live again."""
        with self._database.writing() as connection:
            self._database.advance_clock(connection, at)
            _require_living(connection, serial, at, State.HELD)
            _audit(connection, at, by, Act.RELEASED, serial)
            _journal(connection, serial, State.ACTIVE, None, at)

    # --- reading -----------------------------------------------------------------------------------------------

    def find(self, serial: Serial) -> CertificateRecord | None:
        """Return the record of `serial`."""
        if serial >= _BEYOND:
            return None
        with self._database.reading() as connection:
            return _find(connection, tables.certificate.c.serial == serial)

    def live(self, holder: HolderCode, purpose: Purpose, carrier: Carrier, at: datetime) -> CertificateRecord | None:
        """Return the holder's live certificate."""
        place = tables.place
        is_live = and_(
            place.c.holder == holder,
            place.c.purpose == purpose,
            place.c.carrier == carrier,
            place.c.stage == _LIVE,
            place.c.not_after >= whole_second(at),
        )
        with self._database.reading() as connection:
            return _find(
                connection, tables.certificate.c.serial == select(place.c.serial).where(is_live).scalar_subquery()
            )

    def status(self, serial: Serial) -> Status | None:
        """Return the status of `serial`: what OCSP asks (`jpki.ports.StatusSource`)."""
        if serial >= _BEYOND:
            return None
        with self._database.reading() as connection:
            return status_of(connection, serial)

    # --- rules -------------------------------------------------------------------------------------------------

    def _require_free(self, connection: Connection, wanted: Reservation, by: Actor, at: datetime) -> None:
        places = {
            row.stage: row
            for row in connection.execute(
                select(tables.place).where(
                    tables.place.c.holder == wanted.holder,
                    tables.place.c.purpose == wanted.purpose,
                    tables.place.c.carrier == wanted.carrier,
                )
            )
        }
        pending, live = places.get(_PENDING), places.get(_LIVE)
        if pending is not None:
            if pending.since > at - ABANDONED_AFTER:
                raise _pending()
            _discard(connection, pending.serial, by, at)
        if live is not None and live.not_after < whole_second(at):
            connection.execute(delete(tables.place).where(tables.place.c.serial == live.serial))
            live = None
        if live is not None and live.serial != wanted.renews:
            raise _live_exists(live.serial, live.not_after)
        if wanted.renews is not None and live is None:
            raise _not_live(wanted.renews)
        _free_key(connection, wanted)


def _require_none_came_to_life(connection: Connection, wanted: Reservation) -> None:
    """Look again once the pending place is taken: only until then could another order leave it and come to life."""
    place = tables.place
    mine = (place.c.holder == wanted.holder, place.c.purpose == wanted.purpose, place.c.carrier == wanted.carrier)
    live = connection.execute(select(place).where(*mine, place.c.stage == _LIVE)).one_or_none()
    if live is not None and live.serial != wanted.renews:
        raise _live_exists(live.serial, live.not_after)


def _insert_certificate(connection: Connection, wanted: Reservation, at: datetime) -> None:
    connection.execute(
        insert(tables.certificate).values(
            serial=wanted.serial,
            purpose=wanted.purpose,
            carrier=wanted.carrier,
            holder=wanted.holder,
            profile_hash=wanted.profile_hash,
            not_before=wanted.validity.not_before,
            not_after=wanted.validity.not_after,
            renews=wanted.renews,
        )
    )
    connection.execute(
        insert(tables.status).values(
            serial=wanted.serial,
            generation=wanted.generation,
            partition=wanted.partition,
            not_after=wanted.validity.not_after,
            state=State.RESERVED,
            position=0,
        )
    )
    connection.execute(
        insert(tables.place).values(
            holder=wanted.holder,
            purpose=wanted.purpose,
            carrier=wanted.carrier,
            stage=_PENDING,
            serial=wanted.serial,
            since=at,
            not_after=wanted.validity.not_after,
        )
    )
    connection.execute(insert(tables.holder_key).values(key_hash=wanted.key_hash, serial=wanted.serial))
    _use_partition(connection, wanted)


def _use_partition(connection: Connection, wanted: Reservation) -> None:
    urls = tables.partition_url
    known = connection.execute(select(urls.c.base_url).where(urls.c.partition == wanted.partition)).scalars().all()
    if wanted.base_url not in known:
        connection.execute(
            insert(urls).values(partition=wanted.partition, base_url=wanted.base_url, added=len(known) + 1)
        )


def _free_key(connection: Connection, wanted: Reservation) -> None:
    """Refuse a key that another certificate bears, or may bear (rule R17).

    A holder may try again with the key of an order that left no certificate: what was signed of it, if anything was,
    is revoked.
    """
    require_not_blocked(connection, wanted.key_hash)
    key, record = tables.holder_key, tables.certificate_record
    bearer = connection.execute(
        select(tables.status.c.state, tables.status.c.reason, tables.certificate.c.holder, record.c.certificate)
        .join(tables.status, tables.status.c.serial == key.c.serial)
        .join(tables.certificate, tables.certificate.c.serial == key.c.serial)
        .outerjoin(record, record.c.serial == key.c.serial)
        .where(key.c.key_hash == wanted.key_hash)
    ).one_or_none()
    if bearer is None:
        return
    discarded = bearer.state == State.VOID or bearer.reason == Reason.UNSPECIFIED
    left_nothing = discarded and bearer.certificate is None
    if not (left_nothing and bearer.holder == wanted.holder):
        raise JpkiError(
            Kind.CONFLICT,
            "key-reused",
            Text("この鍵は既に別の証明書で使われています。", "This key is already in another certificate."),
            Text("カードで新しい鍵ペアを作成してください。", "Make a new key pair on the card."),
        )
    connection.execute(delete(key).where(key.c.key_hash == wanted.key_hash))


def _move(connection: Connection, serial: Serial, old: State, new: State) -> None:
    """Compare-and-swap the state."""
    status = tables.status
    moved = connection.execute(update(status).where(status.c.serial == serial, status.c.state == old).values(state=new))
    if moved.rowcount != 1:
        raise JpkiError(
            Kind.CONFLICT,
            "state-changed",
            Text(
                f"証明書 {format_serial(serial)} の状態が変わったため、この手続きを続けられません。",
                f"Certificate {format_serial(serial)} is not in the state '{old}'.",
            ),
            Text("状態を確認してやり直してください。", "Look at its status and start again."),
        )


def _discard(connection: Connection, serial: Serial, by: Actor, at: datetime) -> bool:
    """Reserved becomes void. From "will sign" on a signature may exist, so it is revoked and listed (docs/adr/0003)."""
    status = _require_status(connection, serial, lock=True)
    if status.state is State.RESERVED:
        _move(connection, serial, State.RESERVED, State.VOID)
        _audit(connection, at, by, Act.VOIDED, serial)
    elif status.state in (State.INTENDED, State.ISSUED):
        _audit(connection, at, by, Act.REVOKED, serial, reason=Reason.UNSPECIFIED)
        _journal(connection, serial, State.REVOKED, Reason.UNSPECIFIED, at)
    closed = delete(tables.place).where(tables.place.c.serial == serial, tables.place.c.stage == _PENDING)
    return connection.execute(closed).rowcount == 1


def _revoke(connection: Connection, serial: Serial, reason: Reason, by: Actor, at: datetime) -> None:
    # One that was signed and not yet delivered may be out already, so it can be revoked like a live one.
    _require_living(connection, serial, at, State.INTENDED, State.ISSUED, State.ACTIVE, State.HELD)
    connection.execute(delete(tables.place).where(tables.place.c.serial == serial))
    _audit(connection, at, by, Act.REVOKED, serial, reason=reason)
    _journal(connection, serial, State.REVOKED, reason, at)


def _require_living(connection: Connection, serial: Serial, at: datetime, *states: State) -> None:
    status = _require_status(connection, serial, lock=True)
    if status.state is State.REVOKED:
        raise _already_revoked(status)
    if status.state not in states or status.not_after < whole_second(at):
        raise _not_live(serial)


def _journal(connection: Connection, serial: Serial, state: State, reason: Reason | None, at: datetime) -> None:
    """Write the new status and its journal entry; the position comes last, so that its row is locked shortest."""
    old = _require_status(connection, serial)
    listed = state in LISTED_STATES
    # What was on hold counts as revoked from the hold on (X.509 8.5.2.2); and a clock that is behind must not date a
    # revocation before what is known to have happened, or signatures from before it would fall.
    since = old.revoked_at or whole_second(max(at, connection.execute(select(tables.clock.c.latest)).scalar_one()))
    position = connection.execute(
        update(tables.ledger)
        .values(position=tables.ledger.c.position + 1)
        .returning(tables.ledger.c.position, tables.ledger.c.epoch)
    ).one()
    connection.execute(
        update(tables.status)
        .where(tables.status.c.serial == serial)
        .values(
            state=state,
            reason=reason,
            revoked_at=since if listed else None,
            position=position.position,
        )
    )
    connection.execute(
        insert(tables.journal).values(
            position=position.position,
            epoch=position.epoch,
            serial=serial,
            partition=old.partition,
            state=state,
            reason=reason,
            listed=int(listed or old.state in LISTED_STATES),
            effective_at=since if listed else whole_second(at),
            recorded_at=at,
        )
    )


def _audit(connection: Connection, at: datetime, by: Actor, act: Act, serial: Serial, **details: str) -> None:
    event = AuditEvent(at=at, actor=by, act=act, subjects=(format_serial(serial),), details=dict(details))
    audit.write(connection, event)


def _require_status(connection: Connection, serial: Serial, *, lock: bool = False) -> Status:
    status = status_of(connection, serial, lock=lock)
    if status is None:
        raise JpkiError(
            Kind.NOT_FOUND,
            "serial-unknown",
            Text(
                f"発行番号 {format_serial(serial)} の証明書はありません。",
                f"There is no certificate with the serial {format_serial(serial)}.",
            ),
            Text("発行番号を確認してください。", "Check the serial."),
        )
    return status


def _find(connection: Connection, condition: object) -> CertificateRecord | None:
    record = tables.certificate_record
    row = connection.execute(
        select(tables.certificate, record.c.certificate.label("der"))
        .outerjoin(record, record.c.serial == tables.certificate.c.serial)
        .where(condition)  # type: ignore[arg-type]
    ).one_or_none()
    if row is None:
        return None
    return CertificateRecord(
        serial=row.serial,
        purpose=Purpose(row.purpose),
        carrier=Carrier(row.carrier),
        holder=HolderCode(row.holder),
        validity=Validity(row.not_before, row.not_after),
        profile_hash=row.profile_hash,
        der=row.der,
        status=_require_status(connection, row.serial),
    )


def _pending() -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "certificate-pending",
        Text(
            "この利用者の同じ種類の証明書が発行の途中です。",
            "A certificate of this kind is being issued to this holder.",
        ),
        Text(
            "完了を待ってください。中断された場合は10分後にやり直せます。",
            "Wait until it is done; if it was interrupted, try again after ten minutes.",
        ),
    )


def _live_exists(serial: Serial, not_after: datetime) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "certificate-live",
        Text(
            f"この利用者には有効な証明書 {format_serial(serial)} があります（{iso(not_after)} まで）。",
            f"This holder has a live certificate, {format_serial(serial)}, until {iso(not_after)}.",
        ),
        Text("更新（renew）するか、失効（revoke）させてください。", "Renew it, or revoke it first."),
    )


def _not_live(serial: Serial) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "not-live",
        Text(
            f"証明書 {format_serial(serial)} は有効ではありません（未交付又は期限切れ）。",
            f"Certificate {format_serial(serial)} is not live (not delivered, or expired).",
        ),
        Text("status で状態を確認してください。", "Look at it with `jpki status`."),
    )


def _already_revoked(status: Status) -> JpkiError:
    when = "" if status.revoked_at is None else iso(status.revoked_at)
    return JpkiError(
        Kind.CONFLICT,
        "already-revoked",
        Text(
            f"証明書 {format_serial(status.serial)} は {when} に失効済みです（{status.reason}）。",
            f"Certificate {format_serial(status.serial)} was revoked at {when} ({status.reason}).",
        ),
        Text("何もする必要はありません。", "There is nothing to do."),
    )
