"""The issuers that the OCSP room answers for, read from the ledger and kept for a few seconds."""

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

from jpki.certificate import HOLDER_PURPOSES
from jpki.clock import Clock
from jpki.errors import JpkiError
from jpki.generation import Generation
from jpki.ids import GenerationId
from jpki.ports import Generations, KeyProvider, ResponderBook
from ocsp.issuers import Issuer

_KEPT = timedelta(seconds=10)


class IssuerBook:
    """Called with nothing, returns an issuer for each live generation; a renewed responder is found in ten seconds."""

    def __init__(self, generations: Generations, book: ResponderBook, keys: KeyProvider, clock: Clock) -> None:
        self._generations = generations
        self._book = book
        self._keys = keys
        self._clock = clock
        self._lock = threading.Lock()
        self._made: dict[tuple[GenerationId, int], Issuer] = {}
        self._issuers: Sequence[Issuer] = ()
        self._read_at: datetime | None = None

    def __call__(self) -> Sequence[Issuer]:
        """Return the issuers, the last ones read while the ledger cannot be reached.

        Raises:
            JpkiError: UNAVAILABLE while the ledger cannot be reached and nothing was read before.
        """
        now = self._clock()
        with self._lock:
            if self._read_at is None or not timedelta(0) <= now - self._read_at < _KEPT:
                try:
                    self._issuers = self._read()
                except JpkiError:
                    if not self._issuers:
                        raise
                self._read_at = now
            return self._issuers

    def _read(self) -> Sequence[Issuer]:
        living = [generation for purpose in HOLDER_PURPOSES for generation in self._generations(purpose)]
        return [issuer for issuer in map(self._newest, living) if issuer is not None]

    def _newest(self, generation: Generation) -> Issuer | None:
        """Return the generation with its responder that lives longest; its key is loaded once."""
        responders = self._book.responders(generation.id)
        if not responders:
            return None
        certificate, key = responders[0].certificate, responders[0].key
        made = (generation.id, certificate.serial_number)
        if made not in self._made:
            self._made[made] = Issuer(generation=generation, certificate=certificate, key=self._keys.signer(key))
        return self._made[made]
