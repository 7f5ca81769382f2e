"""Changes of state: each moves the status rows, and tells the journal of what a verifier can see (rule R26)."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, String, bindparam, case, delete, func, insert, literal, select, update

from jpki.acts import Act, Actor, AuditEvent
from jpki.certificate import CARD, Purpose
from jpki.clock import whole_second
from jpki.ids import Serial, format_serial
from jpki.revocation import LISTED_STATES, Reason, State, Status
from server.store import audit, refusals, tables
from server.store.among import Among
from server.store.rows import statuses_of
from server.store.types import Moment

PENDING = "pending"
LIVE = "live"
"""The stages of a holder's place."""


def move(connection: Connection, serials: Sequence[Serial], old: State, new: State) -> None:
    """Compare-and-swap the state of all.

    Raises:
        JpkiError: CONFLICT `state-changed`, naming one that was not in the state `old`.
    """
    moved = connection.execute(_MOVE, {"among": serials, "old": old, "new": new})
    if moved.rowcount != len(serials):
        status = tables.status
        query = select(status.c.serial).where(Among(status.c.serial, serials), status.c.state == new)
        found = connection.execute(query).scalars()
        raise refusals.state_changed(next(iter(set(serials) - set(found)), serials[0]), old)


_MOVE = (
    update(tables.status)
    .where(Among(tables.status.c.serial), tables.status.c.state == bindparam("old"))
    .values(state=bindparam("new"))
)


def discard(connection: Connection, serials: Sequence[Serial], by: Actor, at: datetime) -> int:
    """Close what is pending; return how many there were.

    Reserved becomes void. From "will sign" on a signature may exist, so it is revoked and listed (docs/adr/0003).
    """
    statuses = required_statuses(connection, serials)
    place = tables.place
    # Before the journal: who makes another of the holder's certificates live locks this place, and then the journal.
    closed = connection.execute(delete(place).where(Among(place.c.serial, serials), place.c.stage == PENDING)).rowcount
    reserved = [each.serial for each in statuses if each.state is State.RESERVED]
    if reserved:
        move(connection, reserved, State.RESERVED, State.VOID)
        note(connection, at, by, Act.VOIDED, reserved)
    doubtful = [each.serial for each in statuses if each.state in (State.INTENDED, State.ISSUED)]
    if doubtful:
        note(connection, at, by, Act.REVOKED, doubtful, reason=Reason.UNSPECIFIED)
        journal(connection, doubtful, State.REVOKED, Reason.UNSPECIFIED, at)
    return closed


def revoke(connection: Connection, serials: Sequence[Serial], reason: Reason, by: Actor, at: datetime) -> None:
    """Revoke what lives; one that was signed and not yet delivered may be out already, so it can be revoked too."""
    require_living(connection, serials, at, State.INTENDED, State.ISSUED, State.ACTIVE, State.HELD)
    connection.execute(delete(tables.place).where(Among(tables.place.c.serial, serials)))
    note(connection, at, by, Act.REVOKED, serials, reason=reason)
    journal(connection, serials, State.REVOKED, reason, at)


def hold(connection: Connection, serials: Sequence[Serial], by: Actor, at: datetime) -> None:
    """Put what is live on hold."""
    require_living(connection, serials, at, State.ACTIVE)
    note(connection, at, by, Act.HELD, serials)
    journal(connection, serials, State.HELD, Reason.CERTIFICATE_HOLD, at)


def require_safe_issuers(connection: Connection, serials: Sequence[Serial]) -> None:
    """Refuse what is about to be signed, or was just made live, where its generation is compromised.

    See docs/adr/0009.

    Raises:
        JpkiError: CONFLICT `already-revoked`.
    """
    for serial in connection.execute(_FALLEN, {"among": serials}).scalars():
        raise refusals.already_revoked(statuses_of(connection, [serial])[serial])


_COMPROMISED = select(tables.generation.c.id).where(tables.generation.c.compromised_at.is_not(None))
_FALLEN = (
    select(tables.status.c.serial)
    .where(Among(tables.status.c.serial), tables.status.c.generation.in_(_COMPROMISED))
    .limit(1)
)


def require_capped(connection: Connection, serials: Sequence[Serial], at: datetime) -> None:
    """Refuse what is about to live where a holder's signing certificate would then outlive the other on the card.

    Whoever makes one of a holder's certificates live locks all of the holder's that wait for it, so that of two the
    later sees the other.

    Raises:
        JpkiError: CONFLICT `signing-outlives`.
    """
    chosen = set(serials)
    new = [row for row in connection.execute(_WAITING, {"among": serials}).all() if row.serial in chosen]
    values = {"among": {row.holder for row in new}, "at": whole_second(at)}
    # What is new takes the place of what lived.
    living = {(row.holder, row.purpose): row for row in [*connection.execute(_BESIDE, values).all(), *new]}
    outliving = [
        (row.serial, living[holder, Purpose.AUTHENTICATION].serial)
        for (holder, purpose), row in living.items()
        if purpose == Purpose.SIGNING
        and (holder, Purpose.AUTHENTICATION) in living
        and row.not_after > living[holder, Purpose.AUTHENTICATION].not_after
    ]
    if not outliving:
        return
    statuses = statuses_of(connection, [serial for pair in outliving for serial in pair])
    for signing, authentication in outliving:
        # A hold of a signing certificate never lifts, and what a compromise ended has its place still.
        if statuses[signing].state is State.ACTIVE and statuses[authentication].state is not State.REVOKED:
            raise refusals.signing_outlives(signing, authentication)


def renewed_within_card(connection: Connection, serials: Sequence[Serial]) -> Sequence[Serial]:
    """Return what these renew; refuse what would outlive its card, or that of the one it renews where it names none.

    Raises:
        JpkiError: CONFLICT `card-outlived`.
    """
    rows = connection.execute(_RENEWING, {"among": serials}).all()
    for row in rows:
        if row.card_end is not None and row.not_after > row.card_end:
            raise refusals.card_outlived(row.serial)
    return [row.renews for row in rows if row.renews is not None]


_OLD = tables.certificate.alias("old")
_RENEWING = (
    select(
        tables.certificate.c.serial,
        tables.certificate.c.renews,
        tables.certificate.c.not_after,
        func.coalesce(tables.certificate.c.card_end, _OLD.c.card_end).label("card_end"),
    )
    .outerjoin(_OLD, _OLD.c.serial == tables.certificate.c.renews)
    .where(Among(tables.certificate.c.serial))
)
_HOLDERS = select(tables.place.c.holder).where(Among(tables.place.c.serial))
_WAITING = (
    select(tables.place)
    .where(tables.place.c.holder.in_(_HOLDERS), tables.place.c.carrier == CARD, tables.place.c.stage == PENDING)
    .order_by(tables.place.c.holder, tables.place.c.purpose)
    .with_for_update()
)
_BESIDE = select(tables.place).where(
    Among(tables.place.c.holder),
    tables.place.c.carrier == CARD,
    tables.place.c.stage == LIVE,
    tables.place.c.not_after >= bindparam("at"),
)


def require_living(connection: Connection, serials: Sequence[Serial], at: datetime, *states: State) -> None:
    """Require that all are in one of `states` and have not ended; they stay so until the transaction ends.

    Raises:
        JpkiError: NOT_FOUND `serial-unknown`; CONFLICT `already-revoked` or `not-live`.
    """
    status, generation = tables.status, tables.generation
    living = (
        select(status.c.state)
        .join(generation, generation.c.id == status.c.generation)
        .where(
            Among(status.c.serial, serials),
            status.c.state.in_(states),
            status.c.not_after >= whole_second(at),
            generation.c.compromised_at.is_(None),
        )
        .order_by(status.c.serial)
        .with_for_update(of=status)
    )
    if len(connection.execute(living).all()) == len(serials):
        return
    # One is not: which, and why, is looked for only then.
    for each in required_statuses(connection, serials):
        if each.state is State.REVOKED:
            raise refusals.already_revoked(each)
        if each.state not in states or each.not_after < whole_second(at):
            raise refusals.not_live(each.serial)


def journal(
    connection: Connection, serials: Sequence[Serial], state: State, reason: Reason | None, at: datetime
) -> None:
    """Write the new status of all, which the transaction holds locked, and their journal entries in order of serial.

    The positions come last, so that their row is locked shortest. What was on hold counts as revoked from the hold on
    (X.509 8.5.2.2). A clock that is behind must not date a revocation before what is known to have happened, or
    signatures from before it would fall.
    """
    status, entry = tables.status, tables.journal
    now = whole_second(max(at, connection.execute(select(tables.clock.c.latest)).scalar_one()))
    epoch, first = _positions(connection, len(serials))
    is_listed = state in LISTED_STATES
    listed = literal(1) if is_listed else case((status.c.state.in_(LISTED_STATES), 1), else_=0)
    since = func.coalesce(status.c.revoked_at, literal(now, Moment)) if is_listed else literal(whole_second(at), Moment)
    entries = select(
        literal(epoch),
        literal(first - 1) + func.row_number().over(order_by=status.c.serial),
        status.c.serial,
        status.c.partition,
        literal(state.value),
        literal(reason, String),
        listed,
        since,
        literal(at, Moment),
    ).where(Among(status.c.serial, serials))
    connection.execute(insert(entry).from_select(_ENTRY, entries))
    connection.execute(
        update(status)
        .where(
            status.c.serial == entry.c.serial,
            entry.c.epoch == epoch,
            entry.c.position.between(first, first + len(serials) - 1),
        )
        .values(
            state=state,
            reason=reason,
            revoked_at=entry.c.effective_at if is_listed else None,
            position=entry.c.position,
        )
    )


_ENTRY = ["epoch", "position", "serial", "partition", "state", "reason", "listed", "effective_at", "recorded_at"]


def _positions(connection: Connection, count: int) -> tuple[int, int]:
    """Take the next `count` positions; return the epoch and the first of them."""
    taken = connection.execute(
        update(tables.ledger)
        .values(position=tables.ledger.c.position + count)
        .returning(tables.ledger.c.position, tables.ledger.c.epoch)
    ).one()
    return taken.epoch, taken.position - count + 1


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
