"""Revoking many: what one worker of a campaign does with what it took.

A worker that dies at any point loses and doubles nothing (rule R9): a batch is revoked in one transaction, and what
the worker took is given to another when its lease ends, which finds revoked what the dead one had revoked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ca.authority import Authority
from ca.reasons import require_allowed
from enroll.mobile import OnDevices, end_on_device, reason_after
from jpki.acts import Actor
from jpki.campaign import CampaignId, Issued, Survey
from jpki.certificate import CARD
from jpki.clock import Clock
from jpki.errors import JpkiError, Kind
from jpki.ids import Serial, format_serial
from jpki.ports import CampaignBook, CertificateLedger, CertificateRecord
from jpki.revocation import Reason, State
from jpki.text import Text

BATCH = 500
"""A counter that revokes one waits for a batch, or for two."""
_NAMED = 5


def surveyed(book: CampaignBook, wanted: Sequence[Serial] | Issued, reason: Reason, clock: Clock) -> Survey:
    """Return how certificates stand that are to be revoked for this reason.

    Raises:
        JpkiError: UNPROCESSABLE `reason-not-allowed` for one of their purposes.
    """
    survey = book.survey(wanted, clock())
    for purpose in sorted({each.purpose for each in survey.targets}):
        require_allowed(reason, purpose)
    return survey


def require_known(survey: Survey) -> None:
    """Require that every serial is known: one that is not may be a mistake for one that is.

    Raises:
        JpkiError: NOT_FOUND `serials-unknown`, naming the first.
    """
    unknown = survey.unknown
    if unknown:
        some = ", ".join(map(format_serial, unknown[:_NAMED])) + (", …" if len(unknown) > _NAMED else "")
        raise JpkiError(
            Kind.NOT_FOUND,
            "serials-unknown",
            Text(
                f"この認証局にない発行番号が{len(unknown)}件あるため、何も失効させていません：{some}",
                f"Nothing was revoked, for {len(unknown)} serials are of no certificate of this authority: {some}",
            ),
            Text(
                "--dry-run --json で全部を確認し、一覧から除くか --home を確認してください。",
                "See them all with --dry-run --json; take them off the list, or check --home.",
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoker:
    """One of any number of workers of a campaign that revokes for `reason`, in any number of processes and nodes."""

    book: CampaignBook
    ledger: CertificateLedger
    authority: Authority
    on_devices: OnDevices
    reason: Reason
    clock: Clock
    by: Actor

    def work(self, campaign: CampaignId) -> tuple[int, bool]:
        """Revoke one batch; return how many certificates it was given, and whether any was not done before it began.

        Raises:
            JpkiError: UNAVAILABLE: what was taken is given out again when the lease ends.
        """
        taken = self.book.take(campaign, BATCH, self.clock())
        if taken.serials:
            records = self.ledger.find(taken.serials)
            refused = self.authority.revoke_each(list(records.values()), self.reason, self.by)
            ended = {serial: each for serial, each in records.items() if serial not in refused}
            self._end_on_devices(campaign, ended)
            failed = {serial: error.code for serial, error in refused.items()}
            self.book.finish(campaign, taken, dict.fromkeys(ended), failed)
        return len(taken.serials), taken.left

    def _end_on_devices(self, campaign: CampaignId, ended: Mapping[Serial, CertificateRecord]) -> None:
        """End what hangs on card certificates, unless others have taken their places; `ended` are as they were before.

        One that the campaign is about as well ends for its reason, whichever comes first.
        """
        cards = {each.holder: each for each in ended.values() if each.carrier == CARD}
        if not cards:
            return
        (purpose,) = {each.purpose for each in cards.values()}
        hanging = self.on_devices(list(cards), purpose, self.clock())
        if not hanging:
            return
        renewed = self.ledger.live(list(hanging), purpose, CARD, self.clock())
        serials = [serial for each in hanging.values() for serial in each]
        among = self.book.among(campaign, serials)
        for holder in hanging.keys() - renewed.keys():
            before = cards[holder].status
            card = before.reason if before.state is State.REVOKED else self.reason
            for serial in hanging[holder]:
                end_on_device(self.authority, serial, self.reason if serial in among else reason_after(card), self.by)
