"""An audit with a few acts in it, and the one who chains and signs them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ca.delegates import Delegation
from ca.profile import CARD_V2
from ca.recorder import Recorder
from jpki.acts import LOCAL_OPERATOR, Act, AuditEvent
from jpki.certificate import Purpose
from jpki.generation import Generation
from jpki.randomness import system_randomness
from server.audit.file import read_lines
from server.audit.lines import records
from server.audit.trust import Trust
from server.audit.verify import Heads, Report, keep_heads, verify
from server.notary import Notary
from server.store.audit import SqlAudit
from server.store.audit_log import SqlAuditLog
from server.store.database import Database
from server.store.delegates import SqlDelegates
from tests.ca.world import FolderKeys, generation_in
from tests.conftest import SteppingClock


@dataclass(frozen=True, slots=True)
class Office:
    """One node: its notary, its keys, and the clock of all."""

    notary: Notary
    keys: FolderKeys
    clock: SteppingClock
    database: Database

    def act(self, *subjects: str, act: Act = Act.SIGNED) -> None:
        event = AuditEvent(at=self.clock(), actor=LOCAL_OPERATOR, act=act, subjects=subjects, details={"why": "test"})
        self.notary.audit.record(event)

    def verify(self, *anchors: Path) -> Report:
        return self.notary.verify(TRUST, heads_in(*anchors))


@cache
def infrastructure() -> tuple[Generation, FolderKeys]:
    """A root that lives long enough for retention to end, and its key."""
    keys = FolderKeys()
    return generation_in(keys, Purpose.INFRASTRUCTURE, profile=CARD_V2), keys


TRUST = Trust.of_certificates([infrastructure()[0].certificate])
"""What an auditor was given: the infrastructure root."""


def office(
    database: Database, clock: SteppingClock, keys: FolderKeys | None = None, anchor: Path | None = None
) -> Office:
    """Open an office over the ledger; each has the root's key, as where the ceremony was held."""
    audit, delegates = SqlAudit(database), SqlDelegates(database)
    keys = keys or FolderKeys(infrastructure()[1])
    notary = Notary(
        audit=audit,
        log=SqlAuditLog(database),
        keys=keys,
        delegation=Delegation(
            keys=keys,
            recorder=Recorder(ledger=delegates, clock=clock, randomness=system_randomness),
            book=delegates,
            clock=clock,
            randomness=system_randomness,
        ),
        roots=lambda: [infrastructure()[0]],
        anchor=anchor,
        clock=clock,
        randomness=system_randomness,
    )
    return Office(notary, keys, clock, database)


def heads_in(*files: Path) -> Heads:
    """The heads that an auditor kept, all of them good."""
    heads: Heads = {}
    for file in files:
        assert keep_heads(heads, records(read_lines(file)), TRUST) is None
    return heads


def judged(lines: Sequence[bytes], anchors: Heads | None = None, trust: Trust = TRUST) -> Report:
    """What an auditor finds in a log."""
    return verify(records(lines), trust, anchors or {})
