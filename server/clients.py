"""Whose certificate a client shows: which of our CAs signed it, with a key that is trusted still.

TLS checks a certificate once, as the connection begins, and with the roots that there were when the process began. So
each request asks again: whoever has one of a compromised generation is nobody from then on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from jpki.certificate import Purpose
from jpki.clock import Clock
from jpki.errors import JpkiError
from jpki.generation import Generation
from jpki.ids import GenerationId, Serial

_KEPT = timedelta(seconds=1)
_MOST_KNOWN = 1000


@dataclass(frozen=True, slots=True)
class _Shown:
    """A certificate, and the generation whose key signed it."""

    certificate: x509.Certificate
    generation: GenerationId
    purpose: Purpose


class Clients:
    """The certificates that clients showed lately; safe to share between threads, for each step is one of a dict's.

    `roots` returns the generations that are trusted now.
    """

    def __init__(self, roots: Callable[[], Sequence[Generation]], clock: Clock) -> None:
        self._roots = roots
        self._clock = clock
        self._read_at: datetime | None = None
        self._trusted: dict[GenerationId, Generation] = {}
        self._known: dict[bytes, _Shown] = {}

    def keep_up(self) -> None:
        """See which generations are trusted now, if that was seen more than a second ago.

        While the ledger is away they are those that were trusted before.
        """
        now = self._clock()
        if self._read_at is not None and self._read_at <= now < self._read_at + _KEPT:
            return
        try:
            self._trusted = {root.id: root for root in self._roots()}
        except JpkiError:
            if self._read_at is None:
                raise
        self._read_at = now

    def bearer(self, octets: bytes) -> tuple[Purpose, Serial] | None:
        """Return whose CA's a certificate is and its serial; None where it has ended, or is of no trusted generation.

        Nothing is read for it; see `keep_up`.
        """
        shown = self._known.get(octets)
        if shown is None:
            shown = self._signed(octets)
            if shown is None:
                return None
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[octets] = shown
        certificate = shown.certificate
        is_valid = certificate.not_valid_before_utc <= self._clock() <= certificate.not_valid_after_utc
        if shown.generation not in self._trusted or not is_valid:
            return None
        return shown.purpose, Serial(certificate.serial_number)

    def _signed(self, octets: bytes) -> _Shown | None:
        try:
            certificate = x509.load_der_x509_certificate(octets)
        except ValueError:
            return None
        for root in self._trusted.values():
            try:
                certificate.verify_directly_issued_by(root.certificate)
            except (ValueError, TypeError, InvalidSignature):
                continue
            return _Shown(certificate, root.id, root.purpose)
        return None
