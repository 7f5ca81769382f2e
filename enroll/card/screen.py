"""The resident's screen at a counter: where the holder chooses PINs, which go from here to the card and nowhere else.

Nothing here keeps, returns or prints a PIN (rule R21); the office does not learn that there is one.
"""

import unicodedata
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock

from enroll.card.application import Application
from enroll.card.state import Leave
from jpki.certificate import Purpose
from jpki.errors import Fault, JpkiError, Kind
from jpki.text import Text

Insert = Callable[[], AbstractContextManager[Application]]
"""Gives the card in the reader to whoever has the word, for a block."""


class Showing(StrEnum):
    """What the screen shows."""

    WELCOME = "welcome"
    PINS = "pins"
    WORKING = "working"
    DONE = "done"
    HELP = "help"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the holder is asked to choose: PINs for these keys of this card; with `leave` in place of older ones."""

    case: str
    card: str
    purposes: tuple[Purpose, ...]
    leave: Leave | None = None


class Screen:
    """What stands on the screen; safe to share between the terminal and the page. `woken` is called after a choice."""

    def __init__(self, insert: Insert, woken: Callable[[], object]) -> None:
        self._insert = insert
        self._woken = woken
        self._lock = Lock()
        self._showing = Showing.WELCOME
        self._choice: Choice | None = None

    def shown(self) -> tuple[Showing, Choice | None]:
        """Return what the screen shows, and what is to be chosen."""
        with self._lock:
            return self._showing, self._choice

    def show(self, showing: Showing) -> None:
        """Show something that asks for nothing; a choice that was not made is asked for no more."""
        with self._lock:
            self._showing, self._choice = showing, None

    def ask(self, choice: Choice) -> None:
        """Ask the holder for PINs."""
        with self._lock:
            self._showing, self._choice = Showing.PINS, choice

    def choose(self, case: str, pins: Mapping[Purpose, str], again: Mapping[Purpose, str]) -> None:
        """Put the PINs that the holder typed, both times, into the card.

        What was typed for a case that is not before us any more is thrown away.

        Raises:
            JpkiError: UNPROCESSABLE `pins-differ` or `pin-form`; as `Application.choose_pins` and `unlock`.
        """
        with self._lock:
            choice = self._choice
            if choice is None or choice.case != case:
                return
            chosen = {purpose: _typed(pins.get(purpose, "")) for purpose in choice.purposes}
            _require_same(chosen, {purpose: _typed(again.get(purpose, "")) for purpose in choice.purposes})
            with self._insert() as card:
                if card.facts.number != choice.card:
                    raise other_card()
                if choice.leave is None:
                    card.choose_pins(chosen)
                else:
                    card.unlock(chosen, choice.leave)
            self._showing, self._choice = Showing.WORKING, None
        self._woken()


def other_card() -> JpkiError:
    """Return the refusal of a card that is not the one of the case."""
    return JpkiError(
        Kind.CONFLICT,
        "other-card",
        Text("読み取り機にあるのは別のカードです。", "Another card lies in the reader than the one of this case."),
        Text("この申請のカードを置いてください。", "Put in the card that was read for it."),
    )


def _typed(pin: str) -> str:
    """Return what was meant: wide characters and small letters are those of the keyboard's present mode."""
    return unicodedata.normalize("NFKC", pin).strip().upper()


def _require_same(pins: Mapping[Purpose, str], again: Mapping[Purpose, str]) -> None:
    differing = [purpose for purpose in pins if pins[purpose] != again[purpose]]
    if differing:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "pins-differ",
            Text("2回の入力が一致しません。", "The two entries are not the same."),
            Text("同じ暗証番号を2回入力してください。", "Enter the same PIN twice."),
            [
                Fault(
                    "pins-differ",
                    Text(f"{purpose.text.ja}の暗証番号です。", f"It is the {purpose.text.en}'s PIN."),
                    f"/{purpose}",
                )
                for purpose in differing
            ],
        )
