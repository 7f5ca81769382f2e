"""A clerk's session at the console: which counter they sit at, and which case lies before them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Protocol

from jpki.case import CaseNumber
from jpki.clerk import ClerkId
from jpki.counter import CounterCode

IDLE = timedelta(minutes=15)
"""A session that nobody used for so long has ended."""
LONGEST = timedelta(hours=12)
"""A working day; then the clerk logs in anew."""

WATCHING = "watching"
"""In the query of a page that looks again by itself: whoever left it open is not there by that."""
TOUCHED_AFTER = timedelta(minutes=1)
"""How old the note of a session's last use may be: not every page writes to the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session as it stands; `id` is the SHA-256 of what the browser keeps, so that the store's copy opens nothing.

    `counter` is None for an administrator or auditor of the whole house, who sits at none.
    """

    id: bytes
    clerk: ClerkId
    counter: CounterCode | None
    at_hand: CaseNumber | None
    began_at: datetime
    seen_at: datetime

    def holds(self, now: datetime) -> bool:
        """Tell whether the session goes on."""
        return now - self.seen_at <= IDLE and now - self.began_at <= LONGEST


def session_id(cookie: str) -> bytes:
    """Return the id of the session that a browser's cookie opens."""
    return sha256(cookie.encode()).digest()


class Sessions(Protocol):
    """Where sessions are kept for all processes and nodes; see `server.store.console_sessions.SqlConsoleSessions`."""

    def begin(self, session: Session) -> None:
        """Keep a new session, in place of the clerk's former ones, and forget those that ended long ago."""
        ...

    def find(self, session: bytes) -> Session | None:
        """Return a session, whether it still holds or not."""
        ...

    def seen(self, session: bytes, at: datetime) -> None:
        """Note that a session was used."""
        ...

    def lay(self, session: bytes, case: CaseNumber | None) -> None:
        """Lay a case before the clerk, or take it away."""
        ...

    def end(self, session: bytes) -> None:
        """End a session; one that is not there has ended already."""
        ...
