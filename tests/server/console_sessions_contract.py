"""What every store of console sessions keeps."""

from dataclasses import replace
from datetime import timedelta

import pytest

from enroll.console.session import LONGEST, Session, session_id
from jpki.case import CaseNumber
from jpki.clerk import ClerkId
from jpki.counter import CounterCode
from server.store.console_sessions import SqlConsoleSessions
from server.wiring import Store
from tests.conftest import NOON

CLERK = ClerkId("clerk-7")
NUMBER = CaseNumber("261127-7KQ4-M2XC")


def session(name: str = "one", clerk: ClerkId = CLERK) -> Session:
    return Session(
        id=session_id(name), clerk=clerk, counter=CounterCode("131016"), at_hand=None, began_at=NOON, seen_at=NOON
    )


class ConsoleSessionsContract:
    """A test module for each database gives `store`."""

    @pytest.fixture
    def sessions(self, store: Store) -> SqlConsoleSessions:
        return store.console_sessions

    def test_a_session_is_found_as_it_began_until_it_ends(self, sessions: SqlConsoleSessions) -> None:
        assert sessions.find(session_id("one")) is None
        sessions.begin(session())
        sessions.begin(replace(session("house", ClerkId("clerk-8")), counter=None))
        assert sessions.find(session_id("one")) == session()
        assert sessions.find(session_id("house")) == replace(session("house", ClerkId("clerk-8")), counter=None)
        sessions.end(session_id("one"))
        sessions.end(session_id("one"))
        assert sessions.find(session_id("one")) is None
        assert sessions.find(session_id("house")) is not None

    def test_what_was_seen_and_laid_is_kept(self, sessions: SqlConsoleSessions) -> None:
        sessions.begin(session())
        later = NOON + timedelta(minutes=3)
        sessions.seen(session_id("one"), later)
        sessions.lay(session_id("one"), NUMBER)
        assert sessions.find(session_id("one")) == replace(session(), seen_at=later, at_hand=NUMBER)
        assert sessions.at_hand(CLERK, later) == NUMBER
        assert sessions.at_hand(ClerkId("clerk-8"), later) is None
        sessions.lay(session_id("one"), None)
        assert sessions.at_hand(CLERK, later) is None

    def test_no_case_lies_before_a_clerk_who_has_gone(self, sessions: SqlConsoleSessions) -> None:
        sessions.begin(session())
        sessions.lay(session_id("one"), NUMBER)
        assert sessions.at_hand(CLERK, NOON + timedelta(minutes=15)) == NUMBER
        assert sessions.at_hand(CLERK, NOON + timedelta(minutes=15, seconds=1)) is None

    def test_a_clerk_has_one_session_and_old_ones_of_others_go(self, sessions: SqlConsoleSessions) -> None:
        sessions.begin(session())
        sessions.begin(session("two"))
        assert sessions.find(session_id("one")) is None
        tomorrow = NOON + LONGEST + timedelta(seconds=1)
        sessions.begin(replace(session("three", ClerkId("clerk-8")), began_at=tomorrow, seen_at=tomorrow))
        assert sessions.find(session_id("two")) is None
