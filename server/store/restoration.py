"""Filling an empty ledger from a backup, in one transaction, and letting its audit go on (docs/adr/0013)."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection, delete, func, insert, select

from crl.partition import PartitionSeed
from jpki.acts import Act, Actor, AuditEvent
from jpki.certificate import Purpose
from jpki.ids import Serial
from jpki.randomness import Randomness
from server.audit.body import decode, encode
from server.audit.chain import SALT_OCTETS, Entry, Opening, Signer, Tip, extend
from server.audit.continuation import Evidence
from server.audit.lines import to_line
from server.store import tables
from server.store.audit import append, tip_of
from server.store.database import Database
from server.store.dump import TABLES, load
from server.store.partitions import add_partitions
from server.store.replay import Replay, Replayed

_PAGE = 1000


@contextmanager
def restoring(database: Database, lines: Callable[[str], Iterable[bytes]]) -> Iterator["Restoration"]:
    """Fill the ledger, whose tables are empty, with the lines of each table; committed when the block ends."""
    with database.writing() as connection:
        for table in TABLES:
            load(connection, table, lines(table.name))
        yield Restoration(connection)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The new epoch, the number after which the audit goes on, and what was replayed."""

    epoch: int
    through: int
    replayed: Replayed


class Restoration:
    """A ledger as it was when the backup was made, and what follows."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def tip(self) -> Tip:
        """Return where the audit ends."""
        return tip_of(self._connection)

    def roots(self) -> Sequence[x509.Certificate]:
        """Return the infrastructure roots: whom the audit's readers believe."""
        table = tables.generation
        query = select(table.c.certificate).where(table.c.purpose == Purpose.INFRASTRUCTURE)
        return [x509.load_der_x509_certificate(each) for each in self._connection.execute(query).scalars()]

    def lay(self, partitions: Iterable[PartitionSeed]) -> None:
        """Record partitions that there were not yet: what follows may name them."""
        add_partitions(self._connection, partitions)

    def go_on(self, evidence: Evidence, by: Actor, at: datetime, randomness: Randomness) -> Outcome:
        """Take over what the log tells, say in the audit that this is a restore, and close what is in doubt."""
        backup, replay = self.tip(), Replay(self._connection)
        waiting = self._waiting()
        entries = evidence.entries(backup.number)
        while page := list(islice(entries, _PAGE)):
            append(self._connection, page)
            for body in _bodies(page):
                # The ledger of the backup knows what waited in its outbox; here it is chained already.
                if waiting[body]:
                    waiting[body] -= 1
                    self._take_out(body)
                else:
                    replay.take(decode(body))
        through = self.tip()
        self._add_heads(evidence, through.number, replay)
        details: dict[str, str | int] = {
            "backup": backup.number,
            "through": through.number,
            "known": max(through.number, evidence.last_head),
            "epoch": replay.epoch + 1,
        }
        event = AuditEvent(at=at, actor=by, act=Act.RESTORED, subjects=("ledger",), details=details)
        append(self._connection, list(extend(through, [Opening(randomness(SALT_OCTETS), encode(event))])))
        replay.finish(by, at)
        return Outcome(epoch=replay.epoch + 1, through=through.number, replayed=replay.outcome)

    def _waiting(self) -> Counter[str]:
        return Counter(self._connection.execute(select(tables.audit_outbox.c.body)).scalars())

    def _take_out(self, body: str) -> None:
        outbox = tables.audit_outbox
        first = select(func.min(outbox.c.id)).where(outbox.c.body == body).scalar_subquery()
        self._connection.execute(delete(outbox).where(outbox.c.id == first))

    def _add_heads(self, evidence: Evidence, through: int, replay: Replay) -> None:
        """Add the heads that follow the backup's and are of this chain, and their signers."""
        head, chain = tables.audit_head, tables.audit_chain
        last = self._connection.execute(select(func.max(head.c.number))).scalar() or 0
        for each in sorted(evidence.heads.values(), key=lambda each: each.number):
            of_chain = select(chain.c.hash).where(chain.c.number == each.number)
            is_next = last < each.number <= through and each.after == last
            if is_next and self._connection.execute(of_chain).scalar() == each.hash:
                self._add_signer(evidence.signers[each.signer], replay)
                line = to_line(each).decode().rstrip()
                self._connection.execute(insert(head).values(number=each.number, after=each.after, line=line))
                last = each.number

    def _add_signer(self, signer: Signer, replay: Replay) -> None:
        table, certificate = tables.audit_signer, signer.certificate
        serial = Serial(certificate.serial_number)
        if self._connection.execute(select(table.c.serial).where(table.c.serial == serial)).first() is None:
            self._connection.execute(
                insert(table).values(
                    serial=serial,
                    certificate=certificate.public_bytes(Encoding.DER),
                    key_uri=replay.key_of(serial),
                    not_after=certificate.not_valid_after_utc,
                )
            )


def _bodies(entries: Sequence[Entry]) -> Iterator[str]:
    return (entry.opening.body for entry in entries if entry.opening is not None)
