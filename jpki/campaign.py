"""A campaign: many certificates renewed or revoked, as rows that any number of workers take in turns."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NewType

from jpki.certificate import Purpose
from jpki.ids import GenerationId, HolderCode, PartitionId, Serial
from jpki.revocation import Reason
from jpki.text import Text

CampaignId = NewType("CampaignId", int)
"""Campaigns are numbered from 1."""


class CampaignState(StrEnum):
    """Whether work may be taken from a campaign."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"

    @property
    def text(self) -> Text:
        """The state in everyday words."""
        return _STATES[self]


_STATES = {
    CampaignState.RUNNING: Text("実行できます", "may run"),
    CampaignState.PAUSED: Text("一時停止中", "paused"),
    CampaignState.CANCELLED: Text("中止しました", "cancelled"),
}


@dataclass(frozen=True, slots=True)
class Renewal:
    """What ends by a day in Japan is renewed."""

    ending_by: date


@dataclass(frozen=True, slots=True)
class Revocation:
    """What was chosen is revoked, all for one reason."""

    reason: Reason


Aim = Renewal | Revocation
"""What a campaign does to each of its certificates."""


class ItemState(StrEnum):
    """Where one certificate of a campaign stands."""

    WAITING = "waiting"
    TAKEN = "taken"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A campaign, and how many of its certificates stand where; `begun` is when the first was taken."""

    id: CampaignId
    aim: Aim
    state: CampaignState
    opened: datetime
    begun: datetime | None
    counts: dict[ItemState, int]

    @property
    def total(self) -> int:
        """How many certificates it is about."""
        return sum(self.counts.values())

    @property
    def left(self) -> int:
        """How many are still to be done."""
        return self.counts[ItemState.WAITING] + self.counts[ItemState.TAKEN]

    def finish(self, now: datetime) -> datetime | None:
        """Return when it will be finished at the pace so far, None where that cannot be told."""
        done = self.total - self.left
        if self.begun is None or not done or self.state is not CampaignState.RUNNING:
            return None
        return now + (now - self.begun) / done * self.left


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """How many certificates of one partition end in one week, which begins on a Monday in Japan.

    With `with_card` of them ends their card: to renew those gains nothing.
    """

    week: date
    purpose: Purpose
    partition: PartitionId
    count: int
    with_card: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A live card certificate that ends before long."""

    holder: HolderCode
    purpose: Purpose
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Taken:
    """What a worker took: certificates of one kind, `until` another may take them.

    `left` tells whether there is anything that is not done, these included.
    """

    serials: tuple[Serial, ...]
    until: datetime
    left: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """What was issued by a generation, in a partition, from one moment to another and at both, as far as given."""

    generation: GenerationId | None = None
    partition: PartitionId | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A certificate to revoke."""

    serial: Serial
    purpose: Purpose
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """How certificates stand that somebody wants revoked: which can be, and which need it no more.

    `ended` are expired, or were never signed.
    """

    targets: Sequence[Target]
    revoked: Sequence[Serial]
    ended: Sequence[Serial]
    unknown: Sequence[Serial]
