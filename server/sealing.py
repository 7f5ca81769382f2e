"""The keys that seal records: the first, and each that follows it. What stops in the middle goes on at the next try."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from jpki.acts import LOCAL_OPERATOR, Act, AuditEvent
from jpki.clock import Clock
from jpki.errors import JpkiError
from jpki.ids import KeyUri
from jpki.ports import KeyProvider
from jpki.randomness import Randomness, alphanumeric
from server.wiring import Store

Progress = Callable[[int], None]
"""Told how many records are still to be sealed anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealing:
    """What an operator does about seals."""

    store: Store
    keys: KeyProvider
    clock: Clock
    randomness: Randomness

    def begin(self) -> KeyUri:
        """Make a wrapping key, and a data key under it that seals from now on; the audit hears of it first."""
        label = f"seal-{alphanumeric(self.randomness, 8).lower()}"
        self._audit(Act.SEALING_KEY_MADE, label)
        uri = self.keys.create_wrapping_key(label)
        self.store.seals.use(uri)
        return uri

    def seal_all(self, progress: Progress) -> int:
        """Seal every record that is not under the newest key; return how many there were."""
        done = 0
        while some := self.store.seals.reseal_some():
            done += some
            progress(self.store.seals.outdated())
        return done

    def retire(self) -> list[KeyUri]:
        """Destroy the wrapping keys that no record needs any more, and return them; the audit hears of each first."""
        retired: list[KeyUri] = []
        for uri in self.store.seals.unneeded():
            self._audit(Act.SEALING_KEY_DESTROYED, uri)
            if self.store.seals.forget(uri, partial(self._destroy, uri)):
                retired.append(uri)
        return retired

    def _destroy(self, uri: KeyUri) -> None:
        try:
            self.keys.destroy(uri)
        except JpkiError as error:
            # An earlier try got as far as this and no further.
            if error.code != "key-not-found":
                raise

    def _audit(self, act: Act, subject: str) -> None:
        event = AuditEvent(at=self.clock(), actor=LOCAL_OPERATOR, act=act, subjects=(subject,))
        self.store.audit.record(event)
