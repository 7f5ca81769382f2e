"""What CA keys sign for the house itself, as rows; see `jpki.ports.DelegateLedger`."""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from sqlalchemy import Connection, insert, select, update

from jpki.acts import Act, Actor, AuditEvent
from jpki.delegate import Delegate, DelegateKind, TimeStampingUnit
from jpki.errors import JpkiError, Kind
from jpki.generation import Responder
from jpki.ids import GenerationId, KeyUri, Serial, format_serial
from jpki.text import Text
from server.store import audit, tables
from server.store.among import Among
from server.store.database import Database


def require_unused(connection: Connection, serials: Sequence[Serial]) -> None:
    """Require that no certificate of whatever kind bears one of the serials (rule R1).

    Raises:
        JpkiError: CONFLICT `serial-taken`.
    """
    for column in (tables.delegate.c.serial, tables.status.c.serial):
        taken = connection.execute(select(column).where(Among(column, serials))).scalar()
        if taken is not None:
            raise JpkiError(
                Kind.CONFLICT,
                "serial-taken",
                Text(
                    f"発行番号 {format_serial(taken)} は既に使われています。",
                    f"The serial {format_serial(taken)} is taken.",
                ),
                Text("乱数源を点検してください。", "Have the source of randomness inspected."),
            )


class SqlDelegates:
    """Each certificate with its exact octets before the signature, and with the signature after it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def intend(self, delegate: Delegate, by: Actor, at: datetime) -> None:
        """Store what will be signed, and say so in the audit."""
        with self._database.writing() as connection:
            require_unused(connection, [delegate.serial])
            connection.execute(
                insert(tables.delegate).values(
                    serial=delegate.serial,
                    generation=delegate.generation,
                    kind=delegate.kind,
                    name=delegate.name,
                    key_uri=delegate.key,
                    not_after=delegate.not_after,
                    to_be_signed=delegate.to_be_signed,
                )
            )
            details: dict[str, str | int] = {"generation": delegate.generation, "kind": delegate.kind}
            if delegate.key is not None:
                details["key"] = delegate.key
            _audit(connection, Act.DELEGATE_WILL_SIGN, delegate.serial, by, at, details)

    def complete(self, serial: Serial, certificate: bytes, by: Actor, at: datetime) -> None:
        """Store the signed certificate, which must be of the octets that were to be signed."""
        table = tables.delegate
        octets = x509.load_der_x509_certificate(certificate).tbs_certificate_bytes
        intended = (table.c.serial == serial, table.c.to_be_signed == octets, table.c.certificate.is_(None))
        with self._database.writing() as connection:
            if connection.execute(update(table).where(*intended).values(certificate=certificate)).rowcount != 1:
                raise _not_intended(serial)
            _audit(connection, Act.DELEGATE_SIGNED, serial, by, at, {})

    def responders(self, generation: GenerationId) -> Sequence[Responder]:
        """Return the generation's responders, the one that lives longest first."""
        keyed = self._keyed(generation, DelegateKind.RESPONDER)
        return [Responder(generation=generation, certificate=certificate, key=key) for certificate, key in keyed]

    def time_stamping_units(self, generation: GenerationId) -> Sequence[TimeStampingUnit]:
        """Return the units certified under the generation, the one that lives longest first."""
        keyed = self._keyed(generation, DelegateKind.TSA)
        return [TimeStampingUnit(certificate=certificate, key=key) for certificate, key in keyed]

    def _keyed(self, generation: GenerationId, kind: DelegateKind) -> Sequence[tuple[x509.Certificate, KeyUri]]:
        """Return the signed certificates of a kind whose keys are the house's, the one that lives longest first."""
        table = tables.delegate
        own = (
            select(table)
            .where(table.c.generation == generation, table.c.kind == kind, table.c.certificate.is_not(None))
            .order_by(table.c.not_after.desc())
        )
        with self._database.reading() as connection:
            return [
                (x509.load_der_x509_certificate(row.certificate), KeyUri(row.key_uri))
                for row in connection.execute(own)
            ]

    def certificates(self, generation: GenerationId) -> Sequence[tuple[DelegateKind, x509.Certificate]]:
        """Return all that was signed under the generation, its root included, in order of serial."""
        table = tables.delegate
        signed = select(table).where(table.c.generation == generation, table.c.certificate.is_not(None))
        with self._database.reading() as connection:
            return [
                (DelegateKind(row.kind), x509.load_der_x509_certificate(row.certificate))
                for row in connection.execute(signed.order_by(table.c.serial))
            ]


def _audit(
    connection: Connection, act: Act, serial: Serial, by: Actor, at: datetime, details: dict[str, str | int]
) -> None:
    audit.write(connection, AuditEvent(at=at, actor=by, act=act, subjects=(format_serial(serial),), details=details))


def _not_intended(serial: Serial) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "not-intended",
        Text(
            f"証明書 {format_serial(serial)} は、記録された署名予定の内容と一致しないか、既に完了しています。",
            f"Certificate {format_serial(serial)} is not what was to be signed, or is complete already.",
        ),
        Text("不具合として報告してください。", "Report this as a defect."),
    )
