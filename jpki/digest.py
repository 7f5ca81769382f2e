"""The digest of a message that comes in pieces, made beside the work on them, by a core that is idle."""

from concurrent.futures import Future, ThreadPoolExecutor

from cryptography.hazmat.primitives.hashes import Hash, HashAlgorithm

_LONG = 1 << 16
"""Octets; a shorter piece is digested sooner than handed over."""


class Digest:
    """Takes the pieces one after another, each while its taker goes on with it, so nobody may change them any more.

    It is for whoever makes lists: a process that judges a stranger's file may start no thread (docs/adr/0022).
    """

    def __init__(self, algorithm: HashAlgorithm) -> None:
        self._hash = Hash(algorithm)
        self._thread: ThreadPoolExecutor | None = None
        self._piece: Future[None] | None = None

    def update(self, piece: bytes) -> None:
        """Take the next piece; a long one is digested in a thread, for which nobody waits before the one after it."""
        self._wait()
        if len(piece) < _LONG:
            self._hash.update(piece)
            return
        self._thread = self._thread or ThreadPoolExecutor(1)
        self._piece = self._thread.submit(self._hash.update, piece)

    def finalize(self) -> bytes:
        """Return the digest of all; it takes no more then."""
        self._wait()
        if self._thread is not None:
            self._thread.shutdown()
        return self._hash.finalize()

    def _wait(self) -> None:
        if self._piece is not None:
            self._piece.result()
            self._piece = None
