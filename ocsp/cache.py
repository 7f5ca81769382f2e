"""The cache: what the ledger said, and what was signed of it, until the journal tells of a change (rules R16, R26).

What is kept is true now only while the journal is followed. Nothing is ever signed of a kept status otherwise; what
was signed before stands by its own word, until its nextUpdate, while the ledger is away (rule R7).
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from jpki.ids import Serial
from jpki.revocation import Status
from ocsp.cert_id import CertId
from ocsp.live import SignedAnswer

AT_MOST = 150_000
"""How many statuses and how many answers are kept; the one asked for least recently goes first."""
REUSE = timedelta(minutes=5)
"""How long an answer is given again: it has ten minutes to live then, and is signed anew when it is asked for."""


class Standing(Enum):
    """How far what is kept can be relied on."""

    CURRENT = "current"
    """Every change up to a second ago was told of."""
    AWAY = "away"
    """The ledger cannot be reached."""
    UNFOLLOWED = "unfollowed"
    """Nobody follows the journal: only the ledger itself tells what is so."""


# To look up a member of an enum costs a call in Python 3.11, and every answer asks how we stand.
_CURRENT, _AWAY, _UNFOLLOWED = Standing


@dataclass(frozen=True, slots=True)
class _Kept:
    serial: Serial
    signed: SignedAnswer
    reused_until: datetime


class Cache:
    """Statuses by serial, and signed answers by the CertID they answer; safe to share between threads."""

    def __init__(self, standing: Callable[[], Standing], at_most: int = AT_MOST) -> None:
        self._standing = standing
        self._at_most = at_most
        self._lock = threading.Lock()
        self._changes = 0
        self._statuses: OrderedDict[Serial, Status] = OrderedDict()
        self._answers: OrderedDict[bytes, _Kept] = OrderedDict()
        self._questions: dict[Serial, set[bytes]] = {}

    @property
    def is_away(self) -> bool:
        """Whether the ledger cannot be reached, so that it is no use to ask it."""
        return self._standing() is _AWAY

    def mark(self) -> int:
        """Return where the changes stand: take it before the ledger is read, and keep what was read with it."""
        return self._changes

    def status(self, serial: Serial) -> Status | None:
        """Return the serial's status, None where it is not known to be so now."""
        if self._standing() is not _CURRENT:
            return None
        with self._lock:
            status = self._statuses.get(serial)
            if status is not None:
                self._statuses.move_to_end(serial)
            return status

    def answer(self, question: bytes, now: datetime) -> SignedAnswer | None:
        """Return the answer to a CertID, of its octets, that can be given again at the present moment.

        While the ledger is away that is every answer whose end has not come.
        """
        standing = self._standing()
        if standing is _UNFOLLOWED:
            return None
        with self._lock:
            kept = self._answers.get(question)
            if kept is None:
                return None
            self._answers.move_to_end(question)
        period = kept.signed.period
        ends = kept.reused_until if standing is _CURRENT else period.next_update
        return kept.signed if period.this_update <= now < ends else None

    def keep_status(self, status: Status, since: int) -> None:
        """Keep what was read after `mark` returned `since`, unless anything changed meanwhile."""
        with self._lock:
            if self._changes == since:
                self._statuses[status.serial] = status
                if len(self._statuses) > self._at_most:
                    self._statuses.popitem(last=False)

    def keep_answer(self, asked: CertId, signed: SignedAnswer, since: int) -> None:
        """Keep an answer made of what was read after `mark` returned `since`, unless anything changed meanwhile."""
        with self._lock:
            if self._changes == since:
                self._answers[asked.raw] = _Kept(asked.serial, signed, _reused_until(signed))
                self._questions.setdefault(asked.serial, set()).add(asked.raw)
                if len(self._answers) > self._at_most:
                    question, kept = self._answers.popitem(last=False)
                    self._unask(kept.serial, question)

    def forget(self, serials: Iterable[Serial]) -> None:
        """Drop all that is known of these certificates."""
        with self._lock:
            self._changes += 1
            for serial in serials:
                self._statuses.pop(serial, None)
                for question in self._questions.pop(serial, ()):
                    del self._answers[question]

    def forget_all(self) -> None:
        """Drop everything."""
        with self._lock:
            self._changes += 1
            self._statuses.clear()
            self._answers.clear()
            self._questions.clear()

    def _unask(self, serial: Serial, question: bytes) -> None:
        questions = self._questions[serial]
        questions.discard(question)
        if not questions:
            del self._questions[serial]


def _reused_until(signed: SignedAnswer) -> datetime:
    return min(signed.period.this_update + REUSE, signed.period.next_update)
