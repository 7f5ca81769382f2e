"""The issuers that the OCSP room answers for, read from the ledger often: a compromise shows in a second (rule R16)."""

import logging
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

from hsm_adapter.faults import is_outage
from jpki.certificate import HOLDER_PURPOSES
from jpki.clock import Clock
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation, Responder
from jpki.ports import Generations, KeyProvider, ResponderBook
from ocsp.issuers import Issuer

_KEPT = timedelta(seconds=1)
_REFRESHED = timedelta(seconds=0.5)
_log = logging.getLogger(__name__)


class IssuerBook:
    """Called with nothing, returns an issuer for each generation that answers."""

    def __init__(self, generations: Generations, book: ResponderBook, keys: KeyProvider, clock: Clock) -> None:
        self._generations = generations
        self._book = book
        self._keys = keys
        self._clock = clock
        self._lock = threading.Lock()
        self._made: dict[tuple[Generation, int], Issuer] = {}
        self._issuers: Sequence[Issuer] = ()
        self._read_at: datetime | None = None

    def __call__(self) -> Sequence[Issuer]:
        """Return the issuers, the last ones read while the ledger cannot be reached or somebody else reads.

        Raises:
            JpkiError: UNAVAILABLE while the ledger cannot be reached and nothing was read before.
        """
        self._read_again_after(_KEPT)
        return self._issuers

    def refresh(self) -> bool:
        """Read the issuers before a question has to wait for that; tell whether they are others now.

        Raises:
            JpkiError: as a call does.
        """
        before = self._issuers
        self._read_again_after(_REFRESHED)
        return self._issuers != before

    def _read_again_after(self, age: timedelta) -> None:
        if self._is_younger(age) or not self._lock.acquire(blocking=not self._issuers):
            return
        try:
            if not self._is_younger(age):
                self._issuers = self._read()
                self._read_at = self._clock()
        except JpkiError:
            if not self._issuers:
                raise
            self._read_at = self._clock()
        finally:
            self._lock.release()

    def _is_younger(self, age: timedelta) -> bool:
        return self._read_at is not None and timedelta(0) <= self._clock() - self._read_at < age

    def _read(self) -> Sequence[Issuer]:
        answering = [generation for purpose in HOLDER_PURPOSES for generation in self._generations(purpose)]
        return [issuer for issuer in map(self._usable, answering) if issuer is not None]

    def _usable(self, generation: Generation) -> Issuer | None:
        """Return the generation with its responder that lives longest, of those that are valid and have their key here.

        A responder of another node has its key there; and one lost key must not silence the other generations, but a
        token that is away silences all whose keys it holds, until it is back. For a generation without any, the answer
        is `unauthorized`: this server cannot speak for it (RFC 5019 2.2.3).
        """
        failure: JpkiError | None = None
        for responder in self._book.responders(generation.id):
            try:
                issuer = self._made_once(generation, responder)
            except JpkiError as error:
                if error.kind is not Kind.UNAVAILABLE or is_outage(error):
                    raise
                failure = failure or error
                continue
            if issuer.validity.holds(self._clock()):
                return issuer
        if failure is not None:
            _log.error("no responder for %s: %s", generation.id, failure.code)
        return None

    def _made_once(self, generation: Generation, responder: Responder) -> Issuer:
        made = (generation, responder.certificate.serial_number)
        if made not in self._made:
            key = self._keys.signer(responder.key)
            self._made[made] = Issuer(generation=generation, certificate=responder.certificate, key=key)
        return self._made[made]
