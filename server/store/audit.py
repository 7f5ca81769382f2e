"""The audit in SQL: acts go to an outbox in their own transactions, and are chained from there in batches."""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from jpki.acts import AuditEvent
from jpki.errors import JpkiError, Kind
from jpki.ids import KeyUri, Serial
from jpki.randomness import Randomness
from jpki.text import Text
from server.audit.body import encode
from server.audit.chain import SALT_OCTETS, Entry, Head, Opening, Tip, extend
from server.audit.lines import to_line
from server.store import tables
from server.store.database import Database

BATCH = 1000
"""How many acts are chained in one transaction."""
_WRITE = insert(tables.audit_outbox)
_TAKE_OUT = delete(tables.audit_outbox).where(tables.audit_outbox.c.id == bindparam("taken"))


def write(connection: Connection, event: AuditEvent) -> None:
    """Add the event to the running transaction."""
    connection.execute(_WRITE, {"body": encode(event)})


def tip_of(connection: Connection, *, lock: bool = False) -> Tip:
    """Return where the chain ends; with `lock`, nobody else chains before this transaction ends.

    Raises:
        JpkiError: CONFLICT `audit-damaged`; SQLite lets whoever mangles a row put anything into any column.
    """
    query = select(tables.audit_tip.c.number, tables.audit_tip.c.hash)
    try:
        row = connection.execute(query.with_for_update() if lock else query).one()
        return Tip(int(row.number), row.hash)
    except (TypeError, ValueError) as error:
        raise damaged(0) from error


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An audit signing certificate and where its key lives."""

    certificate: x509.Certificate
    key: KeyUri


class SqlAudit:
    """The audit sink (`jpki.ports.AuditSink`), and the one chain behind it, however many processes there are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, event: AuditEvent) -> None:
        """Write the event in a transaction of its own."""
        with self._database.writing() as connection:
            write(connection, event)

    def chain(self, randomness: Randomness) -> int:
        """Move up to `BATCH` acts from the outbox into the chain; return how many there were."""
        outbox = tables.audit_outbox
        with self._database.writing() as connection:
            tip = tip_of(connection, lock=True)
            waiting = connection.execute(select(outbox).order_by(outbox.c.id).limit(BATCH)).all()
            if waiting:
                append(connection, list(extend(tip, _opened([row.body for row in waiting], randomness))))
                # Not "up to the last id": on PostgreSQL a lower one may be committed only now.
                connection.execute(_TAKE_OUT, [{"taken": row.id} for row in waiting])
        return len(waiting)

    def add_head(self, head: Head) -> bool:
        """Add a signed head, committed; tell whether it is the next one, as of several that sign at once one is."""
        try:
            with self._database.writing() as connection:
                values = {"number": head.number, "after": head.after, "line": to_line(head).decode().rstrip()}
                connection.execute(insert(tables.audit_head).values(values))
        except JpkiError as error:
            if isinstance(error.__cause__, IntegrityError):
                return False
            raise
        return True

    def erase(self, through: int) -> int:
        """Erase the bodies up to and with this number; return how many there were."""
        body = tables.audit_body
        with self._database.writing() as connection:
            return connection.execute(delete(body).where(body.c.number <= through)).rowcount

    def signing_keys(self) -> Sequence[SigningKey]:
        """Return the audit's signing certificates, the one that lives longest first."""
        table = tables.audit_signer
        with self._database.reading() as connection:
            return [
                SigningKey(x509.load_der_x509_certificate(row.certificate), KeyUri(row.key_uri))
                for row in connection.execute(select(table).order_by(table.c.not_after.desc()))
            ]

    def add_signing_key(self, signing_key: SigningKey) -> None:
        """Record a new signing certificate, committed."""
        certificate = signing_key.certificate
        with self._database.writing() as connection:
            connection.execute(
                insert(tables.audit_signer).values(
                    serial=Serial(certificate.serial_number),
                    certificate=certificate.public_bytes(Encoding.DER),
                    key_uri=signing_key.key,
                    not_after=certificate.not_valid_after_utc,
                )
            )


def _opened(bodies: Sequence[str], randomness: Randomness) -> Sequence[Opening]:
    salts = randomness(SALT_OCTETS * len(bodies))
    return [
        Opening(salts[start : start + SALT_OCTETS], body)
        for start, body in zip(range(0, len(salts), SALT_OCTETS), bodies, strict=True)
    ]


def append(connection: Connection, entries: Sequence[Entry]) -> None:
    """Write entries that follow the tip, in the running transaction."""
    links = [{"number": each.number, "commitment": each.commitment, "hash": each.hash} for each in entries]
    bodies = [
        {"number": each.number, "salt": each.opening.salt, "body": each.opening.body}
        for each in entries
        if each.opening is not None
    ]
    connection.execute(insert(tables.audit_chain), links)
    if bodies:
        connection.execute(insert(tables.audit_body), bodies)
    connection.execute(update(tables.audit_tip).values(number=entries[-1].number, hash=entries[-1].hash))


def damaged(number: int) -> JpkiError:
    """Return the error of an audit that cannot be read near an entry, or, for 0, at its tip."""
    return JpkiError(
        Kind.CONFLICT,
        "audit-damaged",
        Text(f"台帳の監査記録が第{number}号の付近で読めません。", f"The audit cannot be read near number {number}."),
        Text(
            "jpki audit verify で確認し、バックアップから復旧してください。",
            "Check it with `jpki audit verify`, and restore it from a backup.",
        ),
    )
