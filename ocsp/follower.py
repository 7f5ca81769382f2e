"""Following the journal: each process hears of every change within a second, whichever process made it (rule R16)."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from jpki.errors import JpkiError, Kind
from jpki.ports import Journal
from jpki.text import Text
from ocsp.cache import Cache, Standing

_log = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.05
_CURRENT_SECONDS = 1.0
_AT_MOST = 1000
"""How many changes are read at once."""
_CURRENT, _AWAY, _UNFOLLOWED = Standing

Heard = Callable[[int, float], object]
"""Is told the position up to which all was heard of, and when, by the monotonic clock."""


class Follower:
    """Reads the journal in a thread of its own, and tells a cache what to forget.

    `refresh` reads who answers for what; it is called as often, keeps its own time, and tells whether that changed.
    """

    def __init__(self, journal: Journal, refresh: Callable[[], bool]) -> None:
        self._journal = journal
        self._refresh = refresh
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._epoch: int | None = None
        self._position = 0
        self._current_at: float | None = None

    def start(self, cache: Cache, heard: Heard = lambda *_: None) -> None:
        """Hear of what was until now, and follow until `stop`; call it once, after the process was forked."""
        with suppress(JpkiError):
            self._hear(cache, heard)
        self._thread = threading.Thread(target=self._run, args=(cache, heard), name="ocsp-follower", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Follow no more, and wait until the thread has ended."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._current_at = None

    def standing(self) -> Standing:
        """Return how far this process follows; of a thread that ended what it heard in the last second still counts."""
        thread, current_at = self._thread, self._current_at
        if thread is None or current_at is None:
            return _UNFOLLOWED
        if time.monotonic() - current_at < _CURRENT_SECONDS:
            return _CURRENT
        return _AWAY if thread.is_alive() else _UNFOLLOWED

    def require_current(self) -> None:
        """Require that all is heard of, if anybody wants it to.

        Raises:
            JpkiError: UNAVAILABLE `journal-behind`.
        """
        if self._thread is not None and self.standing() is not Standing.CURRENT:
            raise JpkiError(
                Kind.UNAVAILABLE,
                "journal-behind",
                Text("失効の変更を追えていません。", "Changes of status are not followed."),
                Text(
                    "台帳に接続できるか、役割が journal と ledger を読めるか（jpki db grant）を確認してください。",
                    "See that the ledger can be reached, and that the door's role may read `journal` and `ledger`"
                    " (`jpki db grant`).",
                ),
            )

    @property
    def position(self) -> int:
        """The journal's position up to which all was heard of."""
        return self._position

    def follow(self, cache: Cache) -> None:
        """Hear of all that changed until now.

        Raises:
            JpkiError: what the journal, or the refreshing, raises.
        """
        begun = time.monotonic()
        if self._refresh():
            cache.forget_all()
        entries = None
        while entries is None or len(entries) == _AT_MOST:
            changes = self._journal(self._position, _AT_MOST)
            if changes.epoch != self._epoch or changes.head < self._position:
                # What was told in another epoch may never have happened, nor what a stand-by that took over has not
                # got. Nothing is kept yet, so nothing is missed.
                cache.forget_all()
                self._epoch, self._position, self._current_at = changes.epoch, changes.head, begun
                return
            entries = changes.entries
            if any(each.partition is None for each in entries):
                cache.forget_all()
            elif entries:
                cache.forget([each.serial for each in entries])
            if entries:
                self._position = entries[-1].position
        self._current_at = begun

    def _hear(self, cache: Cache, heard: Heard) -> None:
        begun = time.monotonic()
        self.follow(cache)
        heard(self._position, begun)

    def _run(self, cache: Cache, heard: Heard) -> None:
        was_away = False
        while not self._stopping.wait(_PAUSE_SECONDS):
            try:
                self._hear(cache, heard)
                was_away = False
            except JpkiError as error:
                if not was_away:
                    _log.error("the journal cannot be followed: %s", error.code)
                was_away = True
