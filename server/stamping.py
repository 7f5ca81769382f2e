"""The keys that time-stamp: one is made where the door is opened, renewed by a job, and chosen for each stamp."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ca.delegates import Delegation
from hsm_adapter.faults import is_outage
from jpki.acts import SYSTEM
from jpki.certificate import Purpose
from jpki.clock import Clock
from jpki.delegate import TimeStampingUnit
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.ports import Generations, KeyProvider, TimeStampingBook
from jpki.text import Text
from signing.credential import Credential

RENEW_BEFORE = timedelta(days=365)
"""A stamp is verified long after it was made: each can be for a year and more."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeStampingUnits:
    """Looks after the time-stamping units; any number may work at once, in any number of processes.

    `live` returns the generations of the infrastructure root that are trusted, `ever` all that there were.
    """

    book: TimeStampingBook
    keys: KeyProvider
    delegation: Delegation
    live: Generations
    ever: Generations
    clock: Clock

    def credential(self, at: datetime) -> Credential:
        """Return what stamps at this moment: of the units whose keys are here, the one that lives longest.

        Only units under a living root: after its compromise nothing under it is believed. No key is made here, for
        anybody may ask for a stamp.

        Raises:
            JpkiError: UNAVAILABLE `time-stamping-unit-missing`; or the ledger's or the token's, while these are away.
        """
        for unit in self._units(self._roots(), until=at):
            if unit.certificate.not_valid_before_utc <= at and (found := self._held(unit)) is not None:
                return found
        raise _missing()

    def open(self) -> None:
        """Make the first unit, or the next, before the door is opened; one that has not a year left will do.

        Raises:
            JpkiError: as `renew`, where no unit is here.
        """
        try:
            self._ensure()
        except JpkiError as error:
            try:
                self.credential(self.clock())
            except JpkiError:
                raise error from None
            _log.warning("time-stamping unit not renewed: %s", error.code)

    def renew(self) -> None:
        """Make the next unit when none here has a year left, in a house that stamps at all: the job.

        Raises:
            JpkiError: of the keys or the ledger; then the next minute does it.
        """
        if self.are_used():
            self._ensure()

    def are_used(self) -> bool:
        """Tell whether the house ever had one."""
        return any(self.book.time_stamping_units(root.id) for root in self.ever(Purpose.INFRASTRUCTURE))

    def has_lasting(self) -> bool:
        """Tell whether a unit whose key is here has another year, or lasts to its root's end.

        Raises:
            JpkiError: UNAVAILABLE `time-stamping-unit-missing` where no root lives.
        """
        roots = self._roots()
        # A root near its own end cannot give a unit a year more: the last one serves to the end.
        wanted = min(self.clock() + RENEW_BEFORE, roots[0].not_after)
        return any(self._held(unit) is not None for unit in self._units(roots, until=wanted))

    def _ensure(self) -> None:
        if not self.has_lasting():
            self.delegation.time_stamping_unit(self._roots()[0], SYSTEM)

    def _roots(self) -> Sequence[Generation]:
        roots = self.live(Purpose.INFRASTRUCTURE)
        if not roots:
            raise _missing()
        return roots

    def _units(self, roots: Sequence[Generation], until: datetime) -> Sequence[TimeStampingUnit]:
        """Return the units under these roots that live until then at least, the one that lives longest first."""
        units = [unit for root in roots for unit in self.book.time_stamping_units(root.id)]
        lasting = [unit for unit in units if unit.certificate.not_valid_after_utc >= until]
        return sorted(lasting, key=lambda unit: unit.certificate.not_valid_after_utc, reverse=True)

    def _held(self, unit: TimeStampingUnit) -> Credential | None:
        """Return the unit with its key, None where that is another node's or lost; an outage of the token is raised."""
        try:
            return Credential(certificate=unit.certificate, key=self.keys.signer(unit.key))
        except JpkiError as error:
            if error.kind is not Kind.UNAVAILABLE or is_outage(error):
                raise
            return None


def _missing() -> JpkiError:
    return JpkiError(
        Kind.UNAVAILABLE,
        "time-stamping-unit-missing",
        Text(
            "タイムスタンプ用の有効な証明書と鍵がここにありません。",
            "There is no valid certificate for time-stamping whose key is here.",
        ),
        Text(
            "運用基盤の認証局の鍵のあるところで jpki serve --door tsa を起動してください。",
            "Start `jpki serve --door tsa` where the infrastructure root's key is.",
        ),
    )
