"""Things that are lent out, to whoever has waited longest."""

import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Turns(Generic[Thing]):
    """Lends each thing to one at a time, first come first served.

    The standard library's queues let whoever returns a thing take it again before the one who waits has woken up: a
    batch of signatures would keep all others waiting until its end.
    """

    def __init__(self, things: Iterable[Thing]) -> None:
        self._lock = threading.Lock()
        self._idle = list(things)
        self._waiting: deque[Future[Thing]] = deque()

    def take(self, patience: float) -> Thing:
        """Return a thing, the one that was given back last where several are idle.

        Raises:
            TimeoutError: when none is free within `patience` seconds.
        """
        with self._lock:
            if self._idle:
                return self._idle.pop()
            turn: Future[Thing] = Future()
            self._waiting.append(turn)
        try:
            return turn.result(patience)
        except TimeoutError:
            if turn.cancel():
                raise
            return turn.result()

    def give_back(self, thing: Thing) -> None:
        """Hand the thing to the next in turn."""
        with self._lock:
            while self._waiting:
                turn = self._waiting.popleft()
                if turn.set_running_or_notify_cancel():
                    turn.set_result(thing)
                    return
            self._idle.append(thing)
