"""A card under random use: PINs, locks, modes, renewals and cuts of its power, against what it should be."""

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from enroll.card.application import Application
from enroll.card.pins import TRIES
from enroll.card.state import CounterAct
from jpki.card import CardMode
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.errors import JpkiError
from jpki.signature import check, sign
from tests.enroll.card.cards import OTHERS, PINS, Memory, PowerCutError, certified, leave, new_state

pytestmark = pytest.mark.slow

_purposes = st.sampled_from(HOLDER_PURPOSES)
_guesses = st.sampled_from(("right", "wrong", "other"))


class CardMachine(RuleBasedStateMachine):
    """What the machine knows: the PINs, the tries, the mode, and which keys serve or wait."""

    @initialize()
    def made(self) -> None:
        self.memory = Memory(new_state())
        self.pins = dict(PINS)
        self.left = dict(TRIES)
        self.pinless = False
        self.serving: set[Purpose] = set()
        self.waiting: dict[Purpose, bytes] = {}
        self.cases = 0

    # --- what it does ------------------------------------------------------------------------------------------------

    @rule(purpose=_purposes, guess=_guesses)
    def use(self, purpose: Purpose, guess: str) -> None:
        pin = self._pin(purpose, guess)
        expected = self._expected_of_key(purpose) or self._expected_of_pin(purpose, pin)
        code = self._code(lambda card: self._signs(card, purpose, pin))
        assert code == expected
        self._count(purpose, code)

    @rule(purpose=_purposes, guess=_guesses, step=st.integers(0, 2))
    def cut(self, purpose: Purpose, guess: str, step: int) -> None:
        """Tear the card out: a miss that was compared is counted, and nothing else is lost."""
        pin = self._pin(purpose, guess)
        if self._expected_of_key(purpose) or self._expected_of_pin(purpose, pin) in {"pin-locked", "card-pinless"}:
            return
        self.memory.steps_left = step
        try:
            self.memory.card().unlocked(purpose, pin)
        except (PowerCutError, JpkiError):
            pass
        finally:
            self.memory.steps_left = None
        if step > 0:
            right = pin == self.pins[purpose] and step > 1
            self.left[purpose] = TRIES[purpose] if right else self.left[purpose] - 1

    @rule(purpose=_purposes, guess=_guesses)
    def change(self, purpose: Purpose, guess: str) -> None:
        pin, new = self._pin(purpose, guess), self._another(purpose)
        code = self._code(lambda card: card.change_pin(purpose, pin, new))
        assert code == self._expected_of_pin(purpose, pin)
        self._count(purpose, code)
        if code is None:
            self.pins[purpose] = new

    @rule(purpose=_purposes, guess=_guesses)
    def unlock_by_other(self, purpose: Purpose, guess: str) -> None:
        (other,) = set(HOLDER_PURPOSES) - {purpose}
        pin, new = self._pin(other, guess), self._another(purpose)
        code = self._code(lambda card: card.unlock_by_other(purpose, pin, new))
        assert code == self._expected_of_pin(other, pin)
        self._count(other, code)
        if code is None:
            self.pins[purpose], self.left[purpose] = new, TRIES[purpose]

    @rule(purpose=_purposes, again=st.booleans())
    def unlock(self, purpose: Purpose, *, again: bool) -> None:
        """Reset a PIN at a counter, whose case may have been used before."""
        self.cases += not again
        used = f"case-{self.cases}" in self.memory.state.used
        new = self._another(purpose)
        code = self._code(lambda card: card.unlock({purpose: new}, leave(CounterAct.UNLOCK, f"case-{self.cases}")))
        assert code == ("card-pinless" if self.pinless else "leave-used" if used else None)
        if code is None:
            self.pins[purpose], self.left[purpose] = new, TRIES[purpose]

    @rule()
    def go_pinless(self) -> None:
        self.cases += 1
        code = self._code(lambda card: card.go_pinless(leave(CounterAct.GO_PINLESS, f"case-{self.cases}")))
        assert code == ("card-pinless" if self.pinless else None)
        self.pinless = True
        self.serving.discard(Purpose.SIGNING)
        self.waiting.pop(Purpose.SIGNING, None)

    @rule()
    def go_ordinary(self) -> None:
        self.cases += 1
        given = leave(CounterAct.GO_ORDINARY, f"case-{self.cases}")
        code = self._code(lambda card: card.go_ordinary(PINS, given))
        assert code == (None if self.pinless else "card-has-pins")
        if code is None:
            self.pins, self.left, self.pinless = dict(PINS), dict(TRIES), False

    @rule(purpose=_purposes)
    def request(self, purpose: Purpose) -> None:
        if purpose is Purpose.SIGNING and self.pinless:
            assert self._code(lambda card: card.request(purpose)) == "card-pinless"
        else:
            self.waiting[purpose] = certified(self.memory.card().request(purpose))

    @precondition(lambda self: self.waiting)
    @rule()
    def load(self) -> None:
        purpose, certificate = self.waiting.popitem()
        assert self.memory.card().load(certificate) is purpose
        self.serving.add(purpose)

    # --- what holds always -------------------------------------------------------------------------------------------

    @invariant()
    def counts_are_right(self) -> None:
        expected = {} if self.pinless else self.left
        assert self.memory.card().tries == expected

    @invariant()
    def no_pinless_card_has_a_signing_key(self) -> None:
        slot = self.memory.state.slots[Purpose.SIGNING]
        assert not self.pinless or (slot.key, slot.next_key, slot.certificate, slot.pin) == (None, None, None, None)
        assert (self.memory.state.facts.mode is CardMode.PINLESS) == self.pinless

    # --- what it should say ------------------------------------------------------------------------------------------

    def _pin(self, purpose: Purpose, guess: str) -> str:
        other = {Purpose.SIGNING: "WRONG999", Purpose.AUTHENTICATION: "9999"}
        words = {"right": self.pins[purpose], "wrong": other[purpose], "other": "9" * 20}
        return words[guess]

    def _another(self, purpose: Purpose) -> str:
        return OTHERS[purpose] if self.pins[purpose] == PINS[purpose] else PINS[purpose]

    def _expected_of_key(self, purpose: Purpose) -> str | None:
        return None if purpose in self.serving else "card-key-missing"

    def _expected_of_pin(self, purpose: Purpose, pin: str) -> str | None:
        if self.pinless:
            return "card-pinless"
        if self.left[purpose] == 0:
            return "pin-locked"
        if pin == self.pins[purpose]:
            return None
        return "pin-wrong" if self.left[purpose] > 1 else "pin-locked"

    def _count(self, purpose: Purpose, code: str | None) -> None:
        if code is None:
            self.left[purpose] = TRIES[purpose]
        elif code in {"pin-wrong", "pin-locked"}:
            self.left[purpose] = max(0, self.left[purpose] - 1)

    def _code(self, act: Callable[[Application], object]) -> str | None:
        try:
            act(self.memory.card())
        except JpkiError as error:
            return error.code
        return None

    def _signs(self, card: Application, purpose: Purpose, pin: str) -> None:
        key = card.unlocked(purpose, pin)
        check(card.public_key(purpose), b"document", sign(key, b"document"))


TestCard = CardMachine.TestCase
TestCard.settings = settings(max_examples=60, stateful_step_count=40)
