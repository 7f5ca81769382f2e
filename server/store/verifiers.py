"""Verifiers and their look-ups in SQL (`registered` mode)."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, func, insert, select, update

from jpki.acts import Act, Actor, AuditEvent
from jpki.clock import day_in_japan
from jpki.errors import JpkiError, Kind
from jpki.ids import Serial, format_serial
from jpki.revocation import Finding
from jpki.text import Text
from jpki.verifier import Admitted, LookUp, Verifier, VerifierId, VerifierState
from server.store import audit, tables
from server.store.database import Database


class SqlVerifiers:
    """Who may ask, with which client certificates, and what was asked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- the register ----------------------------------------------------------------------------------------------

    def register(self, name: str, purpose: str, quota: int | None, by: Actor, at: datetime) -> VerifierId:
        """Register a verifier; it may ask when it has a certificate.

        Raises:
            JpkiError: CONFLICT `verifier-exists`: another bears the name.
        """
        table = tables.verifier
        with self._database.writing() as connection:
            if connection.execute(select(table.c.id).where(table.c.name == name)).first() is not None:
                raise _exists(name)
            number = (connection.execute(select(func.max(table.c.id))).scalar() or 0) + 1
            details: dict[str, str | int] = {"name": name, "purpose": purpose}
            if quota is not None:
                details["quota"] = quota
            add_verifier(connection, number, details)
            _note(connection, Act.VERIFIER_REGISTERED, number, by, at, details)
        return VerifierId(number)

    def certify(self, verifier: VerifierId, certificate: Serial, by: Actor, at: datetime, *, alone: bool) -> None:
        """Let a verifier bear a client certificate, beside those that it has or `alone`.

        Raises:
            JpkiError: NOT_FOUND `verifier-unknown`.
        """
        with self._database.writing() as connection:
            _require(connection, verifier)
            add_certificate(connection, verifier, certificate, alone=alone)
            details: dict[str, str | int] = {"certificate": format_serial(certificate), "alone": int(alone)}
            _note(connection, Act.VERIFIER_CERTIFIED, verifier, by, at, details)

    def change(self, verifier: VerifierId, state: VerifierState, by: Actor, at: datetime) -> None:
        """Suspend a verifier, or let it ask again; it shows within a second, at every door.

        Raises:
            JpkiError: NOT_FOUND `verifier-unknown`.
        """
        with self._database.writing() as connection:
            _require(connection, verifier)
            set_state(connection, verifier, state)
            _note(connection, Act.VERIFIER_CHANGED, verifier, by, at, {"state": state})

    def verifiers(self, at: datetime) -> Sequence[Verifier]:
        """Return all verifiers, with what each has used on that day."""
        return self._verifiers(at, select(tables.verifier.c.id))

    def verifier(self, verifier: VerifierId, at: datetime) -> Verifier:
        """Return one.

        Raises:
            JpkiError: NOT_FOUND `verifier-unknown`.
        """
        found = self._verifiers(at, select(tables.verifier.c.id).where(tables.verifier.c.id == verifier))
        if not found:
            raise _unknown(verifier)
        return found[0]

    def _verifiers(self, at: datetime, wanted: Select[tuple[int]]) -> Sequence[Verifier]:
        table, borne = tables.verifier, tables.verifier_certificate
        with self._database.reading() as connection:
            certificates: dict[int, list[Serial]] = {}
            for row in connection.execute(select(borne).where(borne.c.verifier.in_(wanted)).order_by(borne.c.serial)):
                certificates.setdefault(row.verifier, []).append(row.serial)
            rows = connection.execute(_with_use(day_in_japan(at)).where(table.c.id.in_(wanted)).order_by(table.c.id))
            return [_verifier(row, certificates.get(row.id, ())) for row in rows]

    # --- look-ups --------------------------------------------------------------------------------------------------

    def admitted(self, day: date) -> Mapping[Serial, Admitted]:
        """Return who may ask, by the serials of their client certificates, with what each has used on `day`."""
        borne, table = tables.verifier_certificate, tables.verifier
        query = (
            _with_use(day)
            .add_columns(borne.c.serial)
            .join(borne, borne.c.verifier == table.c.id)
            .where(table.c.state == VerifierState.ACTIVE)
        )
        with self._database.reading() as connection:
            return {
                row.serial: Admitted(VerifierId(row.id), row.quota, row.used or 0) for row in connection.execute(query)
            }

    def record(self, look_ups: Sequence[LookUp], used: Mapping[VerifierId, int], day: date) -> None:
        """Write look-ups, and how many each verifier made on `day`, in one committed transaction."""
        rows = [
            {"serial": each.serial, "at": each.at, "verifier": each.verifier, "finding": each.finding}
            for each in look_ups
        ]
        with self._database.writing() as connection:
            if rows:
                connection.execute(insert(tables.look_up), rows)
            # In order of their numbers: two processes that write at once wait for each other, and never both.
            for verifier in sorted(used):
                _add_use(connection, verifier, day, used[verifier])

    def look_ups(self, serial: Serial) -> Sequence[LookUp]:
        """Return every look-up of a certificate, the latest first."""
        table = tables.look_up
        with self._database.reading() as connection:
            rows = connection.execute(select(table).where(table.c.serial == serial).order_by(table.c.at.desc()))
            return [LookUp(row.at, VerifierId(row.verifier), row.serial, Finding(row.finding)) for row in rows]

    def erase(self, before: datetime) -> int:
        """Erase the look-ups from before a moment, whatever certificate they are of; return how many there were."""
        with self._database.writing() as connection:
            return connection.execute(delete(tables.look_up).where(tables.look_up.c.at < before)).rowcount


def add_verifier(connection: Connection, number: int, details: Mapping[str, str | int]) -> None:
    """Write a verifier as the audit tells of it, in the running transaction."""
    values = {"name": details["name"], "purpose": details["purpose"], "quota": details.get("quota")}
    connection.execute(insert(tables.verifier).values(id=number, state=VerifierState.ACTIVE, **values))


def add_certificate(connection: Connection, verifier: int, certificate: Serial, *, alone: bool) -> None:
    """Let a verifier bear a certificate, in the running transaction; see `SqlVerifiers.certify`."""
    borne = tables.verifier_certificate
    if alone:
        connection.execute(delete(borne).where(borne.c.verifier == verifier))
    connection.execute(insert(borne).values(serial=certificate, verifier=verifier))


def set_state(connection: Connection, verifier: int, state: VerifierState) -> None:
    """Change a verifier's state, in the running transaction."""
    connection.execute(update(tables.verifier).where(tables.verifier.c.id == verifier).values(state=state))


def _with_use(day: date) -> Select[Any]:
    """Return the query of verifiers, each with what it has used on `day`: nothing, where it has not asked yet."""
    table, use = tables.verifier, tables.verifier_use
    today = and_(use.c.verifier == table.c.id, use.c.day == day)
    return select(table, use.c.used).join(use, today, isouter=True)


def _verifier(row: Row[Any], certificates: Sequence[Serial]) -> Verifier:
    return Verifier(
        id=VerifierId(row.id),
        name=row.name,
        purpose=row.purpose,
        quota=row.quota,
        state=VerifierState(row.state),
        used=row.used or 0,
        certificates=tuple(certificates),
    )


def _add_use(connection: Connection, verifier: VerifierId, day: date, count: int) -> None:
    """Count. Of two processes that begin a day's row at once one fails, and its whole batch is written again."""
    use = tables.verifier_use
    same = (use.c.verifier == verifier, use.c.day == day)
    if connection.execute(update(use).where(*same).values(used=use.c.used + count)).rowcount == 0:
        connection.execute(insert(use).values(verifier=verifier, day=day, used=count))


def _require(connection: Connection, verifier: VerifierId) -> None:
    table = tables.verifier
    if connection.execute(select(table.c.id).where(table.c.id == verifier)).first() is None:
        raise _unknown(verifier)


def _note(
    connection: Connection, act: Act, verifier: int, by: Actor, at: datetime, details: Mapping[str, str | int]
) -> None:
    subjects = (f"verifier/{verifier}",)
    audit.write(connection, AuditEvent(at=at, actor=by, act=act, subjects=subjects, details=dict(details)))


def _exists(name: str) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "verifier-exists",
        Text(f"検証者「{name}」は登録済みです。", f"The verifier “{name}” is registered already."),
        Text(
            "jpki verifier list で確認し、証明書を追加するなら jpki verifier certify を使ってください。",
            "See `jpki verifier list`; `jpki verifier certify` gives it another certificate.",
        ),
    )


def _unknown(verifier: VerifierId) -> JpkiError:
    return JpkiError(
        Kind.NOT_FOUND,
        "verifier-unknown",
        Text(f"検証者 {verifier} は登録されていません。", f"No verifier has the number {verifier}."),
        Text("jpki verifier list で番号を確認してください。", "See the numbers by `jpki verifier list`."),
    )
