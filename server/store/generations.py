"""Generations and their responders as rows."""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import ColumnElement, insert, select

from jpki.certificate import Purpose
from jpki.generation import Generation, Responder
from jpki.ids import GenerationId, KeyUri, Serial
from server.store import tables
from server.store.database import Database


class SqlGenerations:
    """Which keys each CA has; see also `jpki.ports.ResponderBook`."""

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
                )
            )

    def live(self, purpose: Purpose, at: datetime) -> Sequence[Generation]:
        """Return the generations that have not ended and are not compromised, the newest first."""
        table = tables.generation
        return self._where(table.c.purpose == purpose, table.c.not_after >= at, table.c.compromised_at.is_(None))

    def ever(self, purpose: Purpose) -> Sequence[Generation]:
        """Return every generation there ever was, the newest first: documents outlive their CA's key."""
        return self._where(tables.generation.c.purpose == purpose)

    def _where(self, *conditions: ColumnElement[bool]) -> Sequence[Generation]:
        table = tables.generation
        with self._database.reading() as connection:
            rows = connection.execute(select(table).where(*conditions).order_by(table.c.number.desc())).all()
        return [
            Generation(
                id=GenerationId(row.id),
                purpose=Purpose(row.purpose),
                certificate=x509.load_der_x509_certificate(row.certificate),
                key=KeyUri(row.key_uri),
                profile=row.profile,
                issue_until=row.issue_until,
            )
            for row in rows
        ]

    def responders(self, generation: GenerationId) -> Sequence[Responder]:
        """Return the generation's responders, the one that lives longest first."""
        table = tables.responder
        own = select(table).where(table.c.generation == generation).order_by(table.c.not_after.desc())
        with self._database.reading() as connection:
            return [
                Responder(
                    generation=generation,
                    certificate=x509.load_der_x509_certificate(row.certificate),
                    key=KeyUri(row.key_uri),
                )
                for row in connection.execute(own)
            ]

    def add_responder(self, responder: Responder) -> None:
        """Record a responder."""
        with self._database.writing() as connection:
            connection.execute(
                insert(tables.responder).values(
                    serial=Serial(responder.certificate.serial_number),
                    generation=responder.generation,
                    certificate=responder.certificate.public_bytes(Encoding.DER),
                    key_uri=responder.key,
                    not_after=responder.certificate.not_valid_after_utc,
                )
            )
