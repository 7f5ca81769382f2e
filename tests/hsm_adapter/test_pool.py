"""The pool of signer processes, with processes that misbehave as a token may."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pkcs11 import TokenFlag

from hsm_adapter.breaker import Breaker
from hsm_adapter.faults import failed
from hsm_adapter.pool import SignerPool
from hsm_adapter.process import SignerProcess
from hsm_adapter.session import require_tries_left
from jpki.errors import JpkiError
from tests.hsm_adapter.tokens import Seconds

TRIES = 3


class LockingToken:
    """A token that locks after three wrong PINs, as SoftHSM never does."""

    def __init__(self) -> None:
        self.tries = 0
        self._lock = threading.Lock()

    def log_in(self, pin: str) -> None:
        with self._lock:
            if self.tries >= TRIES:
                raise failed("PinLocked")
            if pin != "right":
                self.tries += 1
                raise failed("PinIncorrect")


class FakeProcess(SignerProcess):
    """A process that logs in to a `LockingToken`, and answers as it is told to."""

    def __init__(self, token: LockingToken, pin: str, answer: Callable[[], object] = lambda: "answer") -> None:
        super().__init__(lambda: (), {}, 1.0)
        self._token = token
        self._pin = pin
        self._answer = answer
        self._runs = False

    def runs(self) -> bool:
        return self._runs

    def start(self) -> None:
        self._token.log_in(self._pin)
        self._runs = True

    def ask(self, operation: str, *arguments: object) -> Any:  # noqa: ANN401, ARG002 - the real one's signature
        return self._answer()

    def close(self) -> None:
        self._runs = False


def pool_of(*processes: FakeProcess, patience: float = 10.0) -> SignerPool:
    return SignerPool(processes, Breaker(2.0, Seconds()), patience)


def ended(call: Callable[[], object]) -> str:
    try:
        call()
    except JpkiError as error:
        return error.code
    return "served"


def test_of_all_processes_and_threads_one_tries_a_wrong_pin() -> None:
    token = LockingToken()
    pool = pool_of(*(FakeProcess(token, "wrong") for _ in range(4)))
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda _: ended(lambda: pool.ask("sign")), range(32)))
    assert outcomes == ["pin-wrong"] * 32
    assert token.tries == 1


def test_a_locked_pin_is_told_as_one() -> None:
    token = LockingToken()
    token.tries = TRIES
    pool = pool_of(FakeProcess(token, "right"))
    assert [ended(lambda: pool.ask("sign")) for _ in range(2)] == ["pin-locked"] * 2


def test_the_last_try_of_a_pin_is_left_to_a_person() -> None:
    require_tries_left(TokenFlag.USER_PIN_COUNT_LOW)
    with pytest.raises(LookupError, match="PinFinalTry"):
        require_tries_left(TokenFlag.USER_PIN_COUNT_LOW | TokenFlag.USER_PIN_FINAL_TRY)
    assert failed("PinFinalTry").code == "pin-final-try"


def test_who_waits_in_vain_for_an_idle_process_is_told_to_try_again() -> None:
    busy, free = threading.Event(), threading.Event()

    def answer() -> object:
        busy.set()
        return free.wait(10)

    pool = pool_of(FakeProcess(LockingToken(), "right", answer), patience=0.1)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(pool.ask, "sign")
        busy.wait(10)
        assert ended(lambda: pool.ask("sign")) == "hsm-busy"
        free.set()
        assert first.result()
    assert ended(lambda: pool.ask("sign")) == "served"


def test_who_waits_behind_a_hung_process_does_not_wait_another_deadline() -> None:
    asked = []

    def hang() -> object:
        asked.append(1)
        time.sleep(0.3)
        raise failed("DeviceError")

    pool = pool_of(FakeProcess(LockingToken(), "right", hang))
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda _: ended(lambda: pool.ask("sign")), range(8)))
    assert outcomes == ["hsm-unavailable"] * 8
    assert len(asked) == 1


def test_a_process_whose_token_failed_starts_anew() -> None:
    answers = iter([failed("KeyNotFound"), None])

    def answer() -> object:
        error = next(answers)
        if error is not None:
            raise error
        return "answer"

    process = FakeProcess(LockingToken(), "right", answer)
    pool = pool_of(process)
    assert ended(lambda: pool.ask("sign")) == "key-not-found"
    assert not process.runs()
    assert ended(lambda: pool.ask("sign")) == "served"
