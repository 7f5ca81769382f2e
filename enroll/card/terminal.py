"""A counter's terminal: it asks the office what the case at hand wants of the card in its reader, and does that.

Whatever is cut off is done again without doubling: the office answers a repeated request for the same keys with the
same certificates, and a card loads them twice as once.
"""

from collections.abc import Callable, Mapping
from threading import Event

from enroll.card.application import Application
from enroll.card.office_client import OfficeClient
from enroll.card.reader import Reader
from enroll.card.screen import Choice, Insert, Screen, Showing, other_card
from enroll.card.state import Leave
from enroll.case_paths import Wants
from enroll.messages import TerminalTold
from jpki.case import CaseState
from jpki.certificate import Purpose
from jpki.errors import JpkiError

PAUSE, PAUSE_AFTER_FAILURE = 1.0, 5.0
"""Seconds between two looks."""
_FINAL = {"client-certificate-missing", "clerk-unknown", "clerk-suspended", "role-missing"}
"""Refusals that another try would only repeat, until the clerk is locked out."""


class Terminal:
    """One reader with its screen, for one clerk."""

    def __init__(self, office: OfficeClient, insert: Insert, screen: Screen) -> None:
        self._office = office
        self._insert = insert
        self._screen = screen
        self._requested: tuple[str, Mapping[Purpose, bytes]] | None = None
        self._written: str | None = None

    def look(self) -> None:
        """Ask once what is wanted, and do it.

        Raises:
            JpkiError: of the office and of the card; the next look begins where this one stopped.
        """
        told = self._office.wanted()
        match told.wants:
            case Wants.CARD:
                self._present(told)
            case Wants.KEYS:
                self._issue(told)
            case Wants.PIN:
                self._reset(told)
            case None:
                self._screen.show(Showing.WELCOME)

    def attend(self, woken: Event, ended: Event, tell: Callable[[JpkiError], object]) -> None:
        """Look again and again until it is `ended`; `woken` cuts a pause short. Tell of each new trouble once.

        Raises:
            JpkiError: where the office does not know the clerk.
        """
        trouble = None
        while not ended.is_set():
            woken.clear()
            try:
                self.look()
                trouble, pause = None, PAUSE
            except JpkiError as error:
                if error.code in _FINAL:
                    raise
                if error.code != trouble:
                    tell(error)
                self._screen.show(Showing.HELP)
                trouble, pause = error.code, PAUSE_AFTER_FAILURE
            woken.wait(pause)

    def _present(self, told: TerminalTold) -> None:
        self._screen.show(Showing.WORKING)
        with self._insert() as card:
            facts = Reader(card).facts()
        self._office.present(_case_of(told), facts)

    def _issue(self, told: TerminalTold) -> None:
        case = _case_of(told)
        if told.state is CaseState.ISSUED and self._written == case:
            self._screen.show(Showing.DONE)
            return
        with self._insert() as card:
            _require_own(card, told)
            lacking = tuple(card.lacking(told.purposes))
            if not lacking:
                self._screen.show(Showing.WORKING)
                requests = self._requests(told, Reader(card))
        if lacking:
            self._screen.ask(Choice(case=case, card=str(told.card), purposes=lacking))
            return
        try:
            certificates = self._office.issue(case, requests)
        except JpkiError as error:
            if error.code == "key-reused":
                # The case began again since these keys were made, and what was issued for them is discarded.
                self._requested = None
            raise
        with self._insert() as card:
            for certificate in certificates.values():
                Reader(card).load(certificate)
        self._requested, self._written = None, case
        self._screen.show(Showing.DONE)

    def _requests(self, told: TerminalTold, reader: Reader) -> Mapping[Purpose, bytes]:
        """Return the requests that were made for this case, or make them; of an issued case the keys are there."""
        case = _case_of(told)
        if self._requested is None or self._requested[0] != case:
            make = reader.request_again if told.state is CaseState.ISSUED else reader.request
            self._requested = case, {purpose: make(purpose) for purpose in told.purposes}
        return self._requested[1]

    def _reset(self, told: TerminalTold) -> None:
        case = _case_of(told)
        leave = Leave.to_unlock(case, told.card, told.wants)
        with self._insert() as card:
            _require_own(card, told)
            is_done = card.has_used(case)
        if is_done:
            self._screen.show(Showing.DONE)
        else:
            self._screen.ask(Choice(case=case, card=leave.card, purposes=tuple(told.purposes), leave=leave))


def _case_of(told: TerminalTold) -> str:
    assert told.case is not None  # noqa: S101 - what is wanted is wanted by a case
    return told.case


def _require_own(card: Application, told: TerminalTold) -> None:
    if card.facts.number != told.card:
        raise other_card()
