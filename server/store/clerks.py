"""Clerks in SQL: who they are, where they may do what, and which client certificates they bear."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from jpki.acts import Act, Actor, AuditEvent
from jpki.clerk import Clerk, ClerkId, ClerkState, Role
from jpki.counter import CounterCode
from jpki.errors import JpkiError, Kind
from jpki.ids import Serial, format_serial
from jpki.text import Text
from server.store import audit, tables
from server.store.database import Database

_REMEMBERED_MINUTES = 10
Roles = Mapping[CounterCode, frozenset[Role]]


class SqlClerks:
    """The clerks, and how often each was refused lately."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, roles: Roles, by: Actor, at: datetime, known_as: ClerkId | None = None) -> ClerkId:
        """Add a clerk, who may act once there is a certificate; return the new opaque id."""
        with self._database.writing() as connection:
            # The ledger's one row lets one after the other count: PostgreSQL would let two see the same number.
            connection.execute(select(tables.ledger.c.id).with_for_update())
            number = connection.execute(select(func.count()).select_from(tables.clerk)).scalar_one() + 1
            clerk = known_as or ClerkId(f"clerk-{number}")
            add_clerk(connection, clerk, name, roles)
            _note(connection, Act.CLERK_ADDED, clerk, by, at, {"roles": told(roles)})
        return clerk

    def certify(self, clerk: ClerkId, certificate: Serial, by: Actor, at: datetime, *, alone: bool) -> None:
        """Let a clerk bear a client certificate, beside those there are or `alone`.

        Raises:
            JpkiError: NOT_FOUND `clerk-unknown`.
        """
        with self._database.writing() as connection:
            _require(connection, clerk)
            add_certificate(connection, clerk, certificate, alone=alone)
            details: dict[str, str | int] = {"certificate": format_serial(certificate), "alone": int(alone)}
            _note(connection, Act.CLERK_CERTIFIED, clerk, by, at, details)

    def change(self, clerk: ClerkId, state: ClerkState, by: Actor, at: datetime) -> None:
        """Suspend a clerk, or let the clerk act again; it holds from the next request on.

        Raises:
            JpkiError: NOT_FOUND `clerk-unknown`.
        """
        with self._database.writing() as connection:
            _require(connection, clerk)
            set_state(connection, clerk, state)
            _note(connection, Act.CLERK_CHANGED, clerk, by, at, {"state": state})

    def bearer(self, certificate: Serial, since_minute: int) -> tuple[Clerk, int] | None:
        """Return who bears a client certificate, and how often the clerk was refused since a minute, that included."""
        with self._database.reading() as connection:
            rows = connection.execute(_BEARER, {"certificate": certificate, "minute": since_minute}).all()
        return (_read(rows)[0], rows[0].refusals or 0) if rows else None

    def clerk(self, clerk: ClerkId) -> Clerk:
        """Return a clerk.

        Raises:
            JpkiError: NOT_FOUND `clerk-unknown`.
        """
        with self._database.reading() as connection:
            found = _read(connection.execute(_WITH_ROLES.where(tables.clerk.c.id == clerk)))
        if not found:
            raise _unknown(clerk)
        return found[0]

    def clerks(self) -> Sequence[Clerk]:
        """Return all clerks in order of their ids."""
        identifier = tables.clerk.c.id
        with self._database.reading() as connection:
            return _read(connection.execute(_WITH_ROLES.order_by(func.length(identifier), identifier)))

    def refused(self, client: str, minute: int) -> None:
        """Count a refusal of a client in a minute of the epoch, and forget what is long past."""
        table = tables.clerk_refusal
        same = (table.c.client == client, table.c.minute == minute)
        with self._database.writing() as connection:
            one_more = update(table).where(*same).values(count=table.c.count + 1)
            if connection.execute(one_more).rowcount == 0:
                connection.execute(delete(table).where(table.c.minute < minute - _REMEMBERED_MINUTES))
                # Another request of the same clerk may begin the minute at once, and then that row is counted up.
                with suppress(IntegrityError), connection.begin_nested():
                    connection.execute(insert(table).values(client=client, minute=minute, count=0))
                connection.execute(one_more)


_WITH_ROLES = select(tables.clerk, tables.clerk_role.c.counter, tables.clerk_role.c.role).select_from(
    tables.clerk.outerjoin(tables.clerk_role, tables.clerk_role.c.clerk == tables.clerk.c.id)
)
_REFUSALS = select(func.sum(tables.clerk_refusal.c.count)).where(
    tables.clerk_refusal.c.client == tables.clerk.c.id, tables.clerk_refusal.c.minute >= bindparam("minute")
)
_BEARER = _WITH_ROLES.add_columns(_REFUSALS.scalar_subquery().label("refusals")).where(
    tables.clerk.c.id.in_(
        select(tables.clerk_certificate.c.clerk).where(tables.clerk_certificate.c.serial == bindparam("certificate"))
    )
)


def _read(rows: Iterable[Row[Any]]) -> Sequence[Clerk]:
    """Return the clerks in the order of their first rows: each has a row for every role."""
    named: dict[str, Row[Any]] = {}
    roles: dict[str, dict[CounterCode, set[Role]]] = {}
    for row in rows:
        named.setdefault(row.id, row)
        if row.role is not None:
            roles.setdefault(row.id, {}).setdefault(CounterCode(row.counter), set()).add(Role(row.role))
    return [
        Clerk(
            id=ClerkId(row.id),
            name=row.name,
            state=ClerkState(row.state),
            roles={place: frozenset(those) for place, those in roles.get(row.id, {}).items()},
        )
        for row in named.values()
    ]


def add_clerk(connection: Connection, clerk: ClerkId, name: str, roles: Roles) -> None:
    """Write a clerk and the roles, in the running transaction."""
    connection.execute(insert(tables.clerk).values(id=clerk, name=name, state=ClerkState.ACTIVE))
    rows = [{"clerk": clerk, "counter": place, "role": role} for place, those in roles.items() for role in those]
    if rows:
        connection.execute(insert(tables.clerk_role), rows)


def add_certificate(connection: Connection, clerk: ClerkId, certificate: Serial, *, alone: bool) -> None:
    """Let a clerk bear a certificate, in the running transaction; see `SqlClerks.certify`."""
    borne = tables.clerk_certificate
    if alone:
        connection.execute(delete(borne).where(borne.c.clerk == clerk))
    connection.execute(insert(borne).values(serial=certificate, clerk=clerk))


def set_state(connection: Connection, clerk: ClerkId, state: ClerkState) -> None:
    """Change a clerk's state, in the running transaction."""
    connection.execute(update(tables.clerk).where(tables.clerk.c.id == clerk).values(state=state))


def told(roles: Roles) -> str:
    """Return roles as the audit tells them: `131016:approval 131016:reception`."""
    return " ".join(sorted(f"{place}:{role}" for place, those in roles.items() for role in those))


def heard(told_roles: str) -> Roles:
    """Return the roles that `told` told."""
    roles: dict[CounterCode, frozenset[Role]] = {}
    for place, _, role in (each.partition(":") for each in told_roles.split()):
        roles[CounterCode(place)] = roles.get(CounterCode(place), frozenset()) | {Role(role)}
    return roles


def _require(connection: Connection, clerk: ClerkId) -> None:
    if connection.execute(select(tables.clerk.c.id).where(tables.clerk.c.id == clerk)).first() is None:
        raise _unknown(clerk)


def _note(
    connection: Connection, act: Act, clerk: ClerkId, by: Actor, at: datetime, details: Mapping[str, str | int]
) -> None:
    subjects = (f"clerk/{clerk}",)
    audit.write(connection, AuditEvent(at=at, actor=by, act=act, subjects=subjects, details=dict(details)))


def _unknown(clerk: ClerkId) -> JpkiError:
    return JpkiError(
        Kind.NOT_FOUND,
        "clerk-unknown",
        Text(f"職員 {clerk} は登録されていません。", f"There is no clerk {clerk}."),
        Text("jpki clerk list で確認してください。", "See `jpki clerk list`."),
    )
