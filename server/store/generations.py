"""Generations as rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection, Select, bindparam, func, insert, select, update

from jpki.acts import Act, Actor, AuditEvent
from jpki.certificate import Purpose
from jpki.clock import whole_second
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.ids import GenerationId, KeyUri, Serial
from jpki.revocation import Reason, State
from jpki.text import Text
from server.store import audit, tables
from server.store.database import Database


class SqlGenerations:
    """Which keys each CA has, and how each of them stands."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, generation: Generation, number: int) -> None:
        """Record a generation, the n-th of its CA."""
        with self._database.writing() as connection:
            connection.execute(
                insert(tables.generation).values(
                    id=generation.id,
                    purpose=generation.purpose,
                    number=number,
                    certificate=generation.certificate.public_bytes(Encoding.DER),
                    key_uri=generation.key,
                    profile=generation.profile,
                    issue_until=generation.issue_until,
                    not_after=generation.not_after,
                    issues_from=generation.issues_from,
                )
            )

    def ever(self, purpose: Purpose) -> Sequence[Generation]:
        """Return every generation there ever was, the newest first: documents outlive their CA's key."""
        return self._read(_EVER, purpose=purpose)

    def answering(self, purpose: Purpose, at: datetime) -> Sequence[Generation]:
        """Return those that lists and OCSP answers come from, the compromised included, the newest first."""
        return [each for each in self.ever(purpose) if each.answers(at)]

    def live(self, purpose: Purpose, at: datetime) -> Sequence[Generation]:
        """Return those that are trusted, the one that issues first; one whose ceremony goes on still comes last."""
        trusted = [each for each in self.ever(purpose) if each.is_trusted(at)]
        return sorted(trusted, key=lambda each: not each.may_issue(at))

    def issuing(self, purpose: Purpose, at: datetime) -> Sequence[Generation]:
        """Return those that may issue, the one that does first."""
        return [each for each in self.ever(purpose) if each.may_issue(at)]

    def find(self, identifier: GenerationId) -> Generation:
        """Return one generation.

        Raises:
            JpkiError: NOT_FOUND `generation-unknown`.
        """
        found = self._read(_ONE, id=identifier)
        if not found:
            raise _unknown(identifier)
        return found[0]

    def made(self) -> dict[Purpose, int]:
        """Return how many generations each CA ever had."""
        table = tables.generation
        query = select(table.c.purpose, func.max(table.c.number).label("number")).group_by(table.c.purpose)
        with self._database.reading() as connection:
            made = {row.purpose: row.number for row in connection.execute(query)}
        return {purpose: made.get(purpose, 0) for purpose in Purpose}

    def _read(self, query: Select[Any], **wanted: str) -> Sequence[Generation]:
        with self._database.reading() as connection:
            rows = connection.execute(query, wanted).all()
        return [
            Generation(
                id=GenerationId(row.id),
                purpose=Purpose(row.purpose),
                certificate=x509.load_der_x509_certificate(row.certificate),
                key=KeyUri(row.key_uri),
                profile=row.profile,
                issue_until=row.issue_until,
                issues_from=row.issues_from,
                compromised_at=row.compromised_at,
                destroyed_at=row.destroyed_at,
            )
            for row in rows
        ]


_ONE = select(tables.generation).where(tables.generation.c.id == bindparam("id"))
_EVER = (
    select(tables.generation)
    .where(tables.generation.c.purpose == bindparam("purpose"))
    .order_by(tables.generation.c.number.desc())
)


# --- within the transactions of ceremonies (server/store/ceremonies.py) --------------------------------------------


def let_issue(connection: Connection, identifier: GenerationId, by: Actor, at: datetime) -> None:
    """Let a generation issue from now on."""
    table = tables.generation
    connection.execute(update(table).where(table.c.id == identifier).values(issues_from=at))
    _audit(connection, Act.GENERATION_ISSUES, identifier, by, at)


def compromise(connection: Connection, identifier: GenerationId, by: Actor, at: datetime) -> None:
    """Let a generation die, and tell the audit.

    Raises:
        JpkiError: CONFLICT `generation-compromised` when it was so already.
    """
    _audit(connection, Act.GENERATION_COMPROMISED, identifier, by, at)
    if not let_die(connection, identifier, at):
        raise _compromised(identifier)


def let_die(connection: Connection, identifier: GenerationId, at: datetime) -> bool:
    """Write the one row that revokes all that a generation signed, and its entry in the journal; tell whether it lived.

    It is never refused for a clock, and never dated before the latest moment that the ledger knows.
    """
    table = tables.generation
    latest = connection.execute(select(tables.clock.c.latest)).scalar_one()
    since = whole_second(max(at, latest))
    safe = (table.c.id == identifier, table.c.compromised_at.is_(None))
    died = connection.execute(update(table).where(*safe).values(compromised_at=since).returning(table.c.certificate))
    certificate = died.scalar_one_or_none()
    if certificate is None:
        return False
    position = connection.execute(
        update(tables.ledger)
        .values(position=tables.ledger.c.position + 1)
        .returning(tables.ledger.c.position, tables.ledger.c.epoch)
    ).one()
    connection.execute(update(table).where(table.c.id == identifier).values(compromised_position=position.position))
    connection.execute(
        insert(tables.journal).values(
            position=position.position,
            epoch=position.epoch,
            serial=Serial(x509.load_der_x509_certificate(certificate).serial_number),
            partition=None,
            state=State.REVOKED,
            reason=Reason.CA_COMPROMISE,
            listed=1,
            effective_at=since,
            recorded_at=at,
        )
    )
    return True


def note_destroyed(connection: Connection, identifier: GenerationId, by: Actor, at: datetime) -> None:
    """Record that a generation's key is no more."""
    table = tables.generation
    connection.execute(update(table).where(table.c.id == identifier).values(destroyed_at=at))
    _audit(connection, Act.KEY_DESTROYED, identifier, by, at)


def _audit(connection: Connection, act: Act, identifier: GenerationId, by: Actor, at: datetime) -> None:
    audit.write(connection, AuditEvent(at=at, actor=by, act=act, subjects=(identifier,)))


def _unknown(identifier: GenerationId) -> JpkiError:
    return JpkiError(
        Kind.NOT_FOUND,
        "generation-unknown",
        Text(f"世代 {identifier} はありません。", f"There is no generation {identifier}."),
        Text("jpki doctor で世代を確認してください。", "See the generations with `jpki doctor`."),
    )


def _compromised(identifier: GenerationId) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "generation-compromised",
        Text(f"世代 {identifier} は既に危殆化と記録されています。", f"Generation {identifier} is compromised already."),
        Text("何もする必要はありません。", "There is nothing to do."),
    )
