"""Ceremonies as rows: opened before anything is made, amended step by step, closed with the signed record."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from jpki.acts import Act, Actor, AuditEvent
from jpki.clock import iso
from jpki.errors import JpkiError, Kind
from jpki.ids import GenerationId
from jpki.text import Text
from server.store import audit, tables
from server.store.database import Database
from server.store.generations import compromise, let_issue, note_destroyed


class CeremonyKind(StrEnum):
    """What is done in a ceremony."""

    FOUND = "found"
    NEW_GENERATION = "new-generation"
    COMPROMISE = "compromise"
    RETIRE = "retire"


Minutes = dict[str, Any]
"""What happened so far: `commands` with their times, `keys` made by generation, `lost_labels`, `destroyed` keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceremony:
    """One ceremony; `subject` is the generation that dies in it. `record` is None while it goes on."""

    number: int
    kind: CeremonyKind
    subject: GenerationId | None
    plan: Mapping[str, Any]
    minutes: Minutes
    opened_at: datetime
    body: str | None
    record: str | None

    @property
    def was_interrupted(self) -> bool:
        """Whether a second command had to go on with it."""
        return len(self.minutes["commands"]) > 1


class SqlCeremonies:
    """Each step is one committed transaction, with what it says in the audit."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(
        self,
        kind: CeremonyKind,
        plan: Mapping[str, Any],
        command: str,
        by: Actor,
        at: datetime,
        subject: GenerationId | None = None,
    ) -> Ceremony:
        """Begin a ceremony; a compromise takes effect in the same transaction.

        Raises:
            JpkiError: CONFLICT `ceremony-unfinished` where keys are made or destroyed and another such ceremony goes
                on; `generation-compromised`.
        """
        minutes: Minutes = {"commands": [_said(command, at)], "keys": {}, "lost_labels": [], "destroyed": []}
        table = tables.ceremony
        with self._database.writing() as connection:
            if kind is CeremonyKind.COMPROMISE and subject is not None:
                compromise(connection, subject, by, at)
            else:
                _require_none_unfinished(connection)
            number = (connection.execute(select(func.max(table.c.number))).scalar() or 0) + 1
            connection.execute(
                insert(table).values(
                    number=number,
                    kind=kind,
                    subject=subject,
                    plan=json.dumps(plan, ensure_ascii=False),
                    minutes=json.dumps(minutes, ensure_ascii=False),
                    opened_at=at,
                )
            )
            _audit(connection, Act.CEREMONY, number, by, at, kind=kind, subject=subject or "")
        return self.find(number)

    def amend(self, number: int, change: Callable[[Minutes], None]) -> Ceremony:
        """Change the minutes."""
        with self._database.writing() as connection:
            _amend(connection, number, change)
        return self.find(number)

    def say_again(self, number: int, command: str, at: datetime) -> Ceremony:
        """Note that another command goes on with it."""
        return self.amend(number, lambda minutes: minutes["commands"].append(_said(command, at)))

    def will_destroy(self, ceremony: Ceremony, keys: Sequence[Mapping[str, Any]], by: Actor, at: datetime) -> Ceremony:
        """Note which keys will be destroyed, and say so in the audit, before the first of them is."""
        with self._database.writing() as connection:
            _amend(connection, ceremony.number, lambda minutes: minutes["destroyed"].extend(keys))
            subject = ceremony.subject or ""
            event = AuditEvent(at=at, actor=by, act=Act.KEY_WILL_BE_DESTROYED, subjects=(subject,))
            audit.write(connection, event)
        return self.find(ceremony.number)

    def destroyed(self, ceremony: Ceremony, by: Actor, at: datetime) -> None:
        """Note that the keys are no more."""
        with self._database.writing() as connection:
            note_destroyed(connection, GenerationId(ceremony.subject or ""), by, at)

    def seal(self, number: int, body: str, by: Actor, at: datetime) -> Ceremony:
        """Store what will be signed, and say so in the audit."""
        table = tables.ceremony
        with self._database.writing() as connection:
            connection.execute(update(table).where(table.c.number == number).values(body=body))
            _audit(connection, Act.CEREMONY_WILL_SIGN, number, by, at, sha256=hashlib.sha256(body.encode()).hexdigest())
        return self.find(number)

    def close(self, number: int, record: str, issuing: Sequence[GenerationId], by: Actor, at: datetime) -> Ceremony:
        """Store the signed record, and let the new generations issue: the end of the ceremony."""
        table = tables.ceremony
        with self._database.writing() as connection:
            connection.execute(update(table).where(table.c.number == number).values(record=record))
            for generation in issuing:
                let_issue(connection, generation, by, at)
            _audit(connection, Act.CEREMONY_CLOSED, number, by, at, sha256=hashlib.sha256(record.encode()).hexdigest())
        return self.find(number)

    def find(self, number: int) -> Ceremony:
        """Return one ceremony."""
        return self._where(tables.ceremony.c.number == number)[0]

    def unfinished(self) -> Sequence[Ceremony]:
        """Return the ceremonies that go on, or were interrupted, the first first."""
        return self._where(tables.ceremony.c.record.is_(None))

    def closed(self) -> Sequence[Ceremony]:
        """Return the ceremonies that have a record, the first first."""
        return self._where(tables.ceremony.c.record.is_not(None))

    def _where(self, condition: ColumnElement[bool]) -> Sequence[Ceremony]:
        query = select(tables.ceremony).where(condition).order_by(tables.ceremony.c.number)
        with self._database.reading() as connection:
            return [_ceremony(row) for row in connection.execute(query)]


def _ceremony(row: Row[Any]) -> Ceremony:
    return Ceremony(
        number=row.number,
        kind=CeremonyKind(row.kind),
        subject=None if row.subject is None else GenerationId(row.subject),
        plan=json.loads(row.plan),
        minutes=json.loads(row.minutes),
        opened_at=row.opened_at,
        body=row.body,
        record=row.record,
    )


def _said(command: str, at: datetime) -> dict[str, str]:
    return {"at": iso(at), "command": command}


def _amend(connection: Connection, number: int, change: Callable[[Minutes], None]) -> None:
    table = tables.ceremony
    minutes = json.loads(connection.execute(select(table.c.minutes).where(table.c.number == number)).scalar_one())
    change(minutes)
    text = json.dumps(minutes, ensure_ascii=False)
    connection.execute(update(table).where(table.c.number == number).values(minutes=text))


def _require_none_unfinished(connection: Connection) -> None:
    table = tables.ceremony
    # A compromise whose record could not be signed yet waits for the very key that the next ceremony makes.
    waiting = select(table.c.number).where(table.c.record.is_(None), table.c.kind != CeremonyKind.COMPROMISE)
    number = connection.execute(waiting).scalar()
    if number is not None:
        raise JpkiError(
            Kind.CONFLICT,
            "ceremony-unfinished",
            Text(f"第{number}回のセレモニーが終わっていません。", f"Ceremony {number} is not finished."),
            Text("jpki ceremony resume で終えてください。", "Finish it with `jpki ceremony resume`."),
        )


def _audit(connection: Connection, act: Act, number: int, by: Actor, at: datetime, **details: str) -> None:
    event = AuditEvent(at=at, actor=by, act=act, subjects=(f"ceremony/{number}",), details=dict(details))
    audit.write(connection, event)
