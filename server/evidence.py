"""The ledger's word on our own certificates, for document validation."""

from collections.abc import Callable, Sequence
from datetime import datetime

from cryptography import x509

from jpki.clock import Clock
from jpki.generation import Generation
from jpki.ids import Serial
from jpki.ports import StatusSource
from jpki.revocation import Finding, Reason, RevocationEvidence, State

_FINDINGS = {State.ACTIVE: Finding.GOOD, State.HELD: Finding.HELD, State.REVOKED: Finding.REVOKED}


class LedgerEvidence:
    """See `jpki.ports.RevocationSource`: it speaks for certificates of our own generations only."""

    def __init__(self, generations: Callable[[], Sequence[Generation]], status: StatusSource, clock: Clock) -> None:
        self._generations = generations
        self._status = status
        self._clock = clock

    def evidence(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> RevocationEvidence | None:
        """Return the ledger's present word; `at` is the caller's to compare with the time of revocation.

        What the ledger does not know is unknown, but for a generation that was compromised by then: whoever has its
        key may have signed it.
        """
        generation = next((each for each in self._generations() if each.certificate == issuer), None)
        if generation is None:
            return None
        status = self._status(Serial(certificate.serial_number))
        if status is None or status.generation != generation.id or status.state not in _FINDINGS:
            return self._unknown(generation, at)
        now = self._clock()
        # What is recorded has happened, even where the clock of whoever recorded it ran ahead of ours.
        revoked_at = None if status.revoked_at is None else min(status.revoked_at, now)
        return RevocationEvidence(
            finding=_FINDINGS[status.state],
            source="ledger",
            as_of=now,
            revoked_at=revoked_at,
            reason=status.reason,
        )

    def _unknown(self, generation: Generation, at: datetime) -> RevocationEvidence:
        since = generation.compromised_at
        if since is None or at < since:
            return RevocationEvidence(finding=Finding.UNKNOWN, source="ledger", as_of=self._clock())
        return RevocationEvidence(
            finding=Finding.REVOKED,
            source="ledger",
            as_of=self._clock(),
            revoked_at=since,
            reason=Reason.CA_COMPROMISE,
        )


class NotedEvidence:
    """A source whose every word is noted, for the holder's history; see `jpki.ports.RevocationSource`."""

    def __init__(self, source: LedgerEvidence, note: Callable[[Sequence[tuple[Serial, Finding]]], None]) -> None:
        self._source = source
        self._note = note

    def evidence(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> RevocationEvidence | None:
        """Return the source's word, and note it."""
        found = self._source.evidence(certificate, issuer, at)
        if found is not None:
            self._note([(Serial(certificate.serial_number), found.finding)])
        return found
