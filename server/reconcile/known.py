"""All that is known of one serial anywhere: in the audit and in every table of the ledger."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from itertools import groupby
from operator import attrgetter

from jpki.acts import Act
from jpki.ids import Serial
from jpki.revocation import Status
from server.reconcile.facts import DELEGATE_ACTS, Fact, Facts
from server.store.picture import Delegated, Entered, Opened, Picture, Placed, Registered

_Part = Fact | Status | Registered | Opened | Placed | Entered | Delegated
_by_serial = attrgetter("serial")


@dataclass(slots=True)
class Known:
    """What each place says of one serial, None where it says nothing."""

    serial: Serial
    acts: list[Fact] = field(default_factory=list)
    delegate_acts: list[Fact] = field(default_factory=list)
    lost: bool = False
    """Whether the audit tells that a restore left rows or octets of it behind (docs/adr/0013)."""
    status: Status | None = None
    registered: Registered | None = None
    record: Opened | None = None
    placed: Placed | None = None
    entered: Entered | None = None
    delegated: Delegated | None = None

    def add(self, part: _Part) -> None:
        """Take in what one place says."""
        match part:
            case Fact(act=Act.RECORD_LOST):
                self.lost = True
            case Fact():
                (self.delegate_acts if part.act in DELEGATE_ACTS else self.acts).append(part)
            case Status():
                self.status = part
            case Registered():
                self.registered = part
            case Opened():
                self.record = part
            case Placed():
                self.placed = part
            case Entered():
                self.entered = part
            case Delegated():
                self.delegated = part


def everything(picture: Picture, facts: Facts) -> Iterator[Known]:
    """Yield all that is known, serial by serial; nothing is held in memory but one of them and a page of each table."""
    streams: list[Iterable[_Part]] = [
        facts.in_order(),
        picture.statuses(),
        picture.registered(),
        picture.records(),
        picture.places(),
        picture.last_entries(),
        picture.delegates(),
    ]
    for serial, parts in groupby(merge(*streams, key=_by_serial), key=_by_serial):
        known = Known(serial)
        for part in parts:
            known.add(part)
        yield known
