"""What a door's own database role may do: the server refuses it all else, sealed records and holders included."""

from collections.abc import Mapping, Sequence

from sqlalchemy import text
from sqlalchemy.schema import Table

from jpki.acts import Act, Actor, AuditEvent
from jpki.clock import Clock
from jpki.errors import JpkiError, Kind
from jpki.text import Text
from server.store import audit, tables
from server.store.database import VERSION, Database
from server.store.reserve import RESERVE

READABLE: Mapping[str, Sequence[Table]] = {
    "ocsp": (VERSION, tables.generation, tables.delegate, tables.status, tables.ledger, tables.journal),
    "crl": (VERSION, tables.generation, tables.partition, tables.partition_url, tables.crl),
}
"""The tables of each door that runs without a CA key (DESIGN 3.4); none of them knows a holder."""
_ADMITTING: Mapping[Table, str] = {
    tables.verifier: "SELECT",
    tables.verifier_certificate: "SELECT",
    tables.verifier_use: "SELECT, INSERT, UPDATE",
    tables.look_up: "INSERT",
    RESERVE: "INSERT, TRUNCATE",
}
"""What else a door needs in `registered` mode: to know who may ask, and to write what was asked without reading it.

Whoever writes looks after the reserve as well.
"""


def admit(
    database: Database, role: str, doors: Sequence[str], by: Actor, clock: Clock, *, registered: bool
) -> list[str]:
    """Let an existing PostgreSQL role do what these doors need, and return the tables' names.

    Raises:
        JpkiError: UNPROCESSABLE `database-without-roles` on SQLite; UNAVAILABLE as for an unknown role.
    """
    if not database.has_roles:
        raise _without_roles()
    rights = {table.name: "SELECT" for door in doors for table in READABLE[door]}
    if registered:
        rights |= {table.name: right for table, right in _ADMITTING.items()}
    names = sorted(rights)
    with database.writing() as connection:
        quote = connection.dialect.identifier_preparer.quote_identifier
        for name in names:
            connection.execute(text(f"GRANT {rights[name]} ON {quote(name)} TO {quote(role)}"))
        event = AuditEvent(
            at=clock(), actor=by, act=Act.ROLE_ADMITTED, subjects=(role,), details={"tables": " ".join(names)}
        )
        audit.write(connection, event)
    return names


def _without_roles() -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "database-without-roles",
        Text("SQLiteには利用者の区別がありません。", "SQLite knows no roles."),
        Text("台帳をPostgreSQLに置いてください。", "Keep the ledger on PostgreSQL."),
    )
