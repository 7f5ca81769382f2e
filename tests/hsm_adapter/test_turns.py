"""Lending in turn."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hsm_adapter.turns import Turns


def test_whoever_gives_back_does_not_overtake_who_waits() -> None:
    turns = Turns(["pen"])
    taken: list[str] = []
    pen = turns.take(1)

    def wait() -> None:
        got = turns.take(5)
        taken.append("waited")
        turns.give_back(got)

    waiter = threading.Thread(target=wait)
    waiter.start()
    time.sleep(0.1)
    turns.give_back(pen)
    turns.take(5)
    assert taken == ["waited"]
    waiter.join()


def test_the_first_to_come_is_the_first_to_be_served() -> None:
    turns = Turns(["pen"])
    order: list[int] = []
    pen = turns.take(1)

    def wait(number: int) -> None:
        got = turns.take(5)
        order.append(number)
        turns.give_back(got)

    with ThreadPoolExecutor(5) as threads:
        for number in range(5):
            threads.submit(wait, number)
            time.sleep(0.02)
        turns.give_back(pen)
    assert order == list(range(5))


def test_whoever_gave_up_gets_nothing() -> None:
    turns = Turns(["pen"])
    pen = turns.take(1)
    with pytest.raises(TimeoutError):
        turns.take(0.01)
    turns.give_back(pen)
    assert turns.take(0.01) == "pen"


def test_nothing_is_lent_twice_or_lost() -> None:
    turns, lent = Turns(range(3)), [threading.Lock() for _ in range(3)]

    def use(_: int) -> bool:
        try:
            number = turns.take(0.001)
        except TimeoutError:
            return True
        alone = lent[number].acquire(blocking=False)
        time.sleep(0.0005)
        lent[number].release()
        turns.give_back(number)
        return alone

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(use, range(3000)))
    assert sorted(turns.take(1) for _ in range(3)) == [0, 1, 2]
