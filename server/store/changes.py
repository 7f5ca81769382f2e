"""Changes of state: each moves the status rows, and tells the journal of what a verifier can see (rule R26)."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from jpki.acts import Act, Actor, AuditEvent
from jpki.clock import whole_second
from jpki.ids import Serial, format_serial
from jpki.revocation import LISTED_STATES, Reason, State, Status
from server.store import audit, refusals, tables
from server.store.rows import statuses_of

PENDING = "pending"
LIVE = "live"
"""The stages of a holder's place."""


def move(connection: Connection, serials: Sequence[Serial], old: State, new: State) -> None:
    """Compare-and-swap the state of all.

    Raises:
        JpkiError: CONFLICT `state-changed`, naming one that was not in the state `old`.
    """
    status = tables.status
    here = status.c.serial.in_(serials)
    moved = connection.execute(update(status).where(here, status.c.state == old).values(state=new))
    if moved.rowcount != len(serials):
        found = connection.execute(select(status.c.serial).where(here, status.c.state == new)).scalars()
        raise refusals.state_changed(next(iter(set(serials) - set(found)), serials[0]), old)


def discard(connection: Connection, serials: Sequence[Serial], by: Actor, at: datetime) -> int:
    """Close what is pending; return how many there were.

    Reserved becomes void. From "will sign" on a signature may exist, so it is revoked and listed (docs/adr/0003).
    """
    statuses = required_statuses(connection, serials)
    reserved = [each.serial for each in statuses if each.state is State.RESERVED]
    if reserved:
        move(connection, reserved, State.RESERVED, State.VOID)
        note(connection, at, by, Act.VOIDED, reserved)
    doubtful = [each for each in statuses if each.state in (State.INTENDED, State.ISSUED)]
    if doubtful:
        note(connection, at, by, Act.REVOKED, [each.serial for each in doubtful], reason=Reason.UNSPECIFIED)
        journal(connection, doubtful, State.REVOKED, Reason.UNSPECIFIED, at)
    place = tables.place
    return connection.execute(delete(place).where(place.c.serial.in_(serials), place.c.stage == PENDING)).rowcount


def revoke(connection: Connection, serials: Sequence[Serial], reason: Reason, by: Actor, at: datetime) -> None:
    """Revoke what lives; one that was signed and not yet delivered may be out already, so it can be revoked too."""
    living = require_living(connection, serials, at, State.INTENDED, State.ISSUED, State.ACTIVE, State.HELD)
    connection.execute(delete(tables.place).where(tables.place.c.serial.in_(serials)))
    note(connection, at, by, Act.REVOKED, serials, reason=reason)
    journal(connection, living, State.REVOKED, reason, at)


def hold(connection: Connection, serials: Sequence[Serial], by: Actor, at: datetime) -> None:
    """Put what is live on hold."""
    living = require_living(connection, serials, at, State.ACTIVE)
    note(connection, at, by, Act.HELD, serials)
    journal(connection, living, State.HELD, Reason.CERTIFICATE_HOLD, at)


def require_safe_issuers(connection: Connection, serials: Sequence[Serial]) -> list[Status]:
    """Refuse what is about to be signed, or was just made live, where its generation is compromised; return the rest.

    See docs/adr/0009.

    Raises:
        JpkiError: CONFLICT `already-revoked`.
    """
    statuses = required_statuses(connection, serials)
    for status in statuses:
        if status.state is State.REVOKED:
            raise refusals.already_revoked(status)
    return statuses


def require_living(connection: Connection, serials: Sequence[Serial], at: datetime, *states: State) -> list[Status]:
    """Require that all are in one of `states` and have not ended; they stay as returned until the transaction ends.

    Raises:
        JpkiError: NOT_FOUND `serial-unknown`; CONFLICT `already-revoked` or `not-live`.
    """
    statuses = required_statuses(connection, serials)
    for status in statuses:
        if status.state is State.REVOKED:
            raise refusals.already_revoked(status)
        if status.state not in states or status.not_after < whole_second(at):
            raise refusals.not_live(status.serial)
    return statuses


def journal(
    connection: Connection, before: Sequence[Status], state: State, reason: Reason | None, at: datetime
) -> None:
    """Write the new status of all, which stood as `before`, and their journal entries.

    The positions come last, so that their row is locked shortest. What was on hold counts as revoked from the hold on
    (X.509 8.5.2.2). A clock that is behind must not date a revocation before what is known to have happened, or
    signatures from before it would fall.
    """
    listed = state in LISTED_STATES
    now = whole_second(max(at, connection.execute(select(tables.clock.c.latest)).scalar_one()))
    epoch, first = _positions(connection, len(before))
    rows = [
        {
            "epoch": epoch,
            "position": position,
            "serial": old.serial,
            "partition": old.partition,
            "state": state,
            "reason": reason,
            "listed": int(listed or old.state in LISTED_STATES),
            "effective_at": (old.revoked_at or now) if listed else whole_second(at),
            "recorded_at": at,
        }
        for position, old in enumerate(before, start=first)
    ]
    connection.execute(_NEW_STATUS, [_status_values(row, listed=listed) for row in rows])
    connection.execute(insert(tables.journal), rows)


def _positions(connection: Connection, count: int) -> tuple[int, int]:
    """Take the next `count` positions; return the epoch and the first of them."""
    taken = connection.execute(
        update(tables.ledger)
        .values(position=tables.ledger.c.position + count)
        .returning(tables.ledger.c.position, tables.ledger.c.epoch)
    ).one()
    return taken.epoch, taken.position - count + 1


_NEW_STATUS = (
    update(tables.status)
    .where(tables.status.c.serial == bindparam("of_serial"))
    .values(
        state=bindparam("new_state"),
        reason=bindparam("new_reason"),
        revoked_at=bindparam("new_revoked_at"),
        position=bindparam("new_position"),
    )
)


def _status_values(row: Mapping[str, object], *, listed: bool) -> dict[str, object]:
    return {
        "of_serial": row["serial"],
        "new_state": row["state"],
        "new_reason": row["reason"],
        "new_revoked_at": row["effective_at"] if listed else None,
        "new_position": row["position"],
    }


def note(connection: Connection, at: datetime, by: Actor, act: Act, serials: Sequence[Serial], **details: str) -> None:
    """Tell the audit, in this transaction, what is done to the certificates."""
    subjects = tuple(map(format_serial, serials))
    audit.write(connection, AuditEvent(at=at, actor=by, act=act, subjects=subjects, details=dict(details)))


def required_statuses(connection: Connection, serials: Sequence[Serial]) -> list[Status]:
    """Return the status of each, locked, in the order asked for.

    Raises:
        JpkiError: NOT_FOUND `serial-unknown`.
    """
    found = statuses_of(connection, serials, lock=True)
    for serial in serials:
        if serial not in found:
            raise refusals.serial_unknown(serial)
    return [found[serial] for serial in serials]
