"""A campaign: many certificates renewed before they end, as rows that any number of workers take in turns."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NewType

from jpki.certificate import Purpose
from jpki.ids import PartitionId, Serial
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


class ItemState(StrEnum):
    """Where one renewal of a campaign stands."""

    WAITING = "waiting"
    TAKEN = "taken"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A campaign, and how many of its renewals stand where; `begun` is when the first was taken."""

    id: CampaignId
    ending_by: date
    state: CampaignState
    opened: datetime
    begun: datetime | None
    counts: dict[ItemState, int]

    @property
    def total(self) -> int:
        """How many certificates it is to renew."""
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
    """How many certificates of one partition end in one week, which begins on a Monday in Japan."""

    week: date
    purpose: Purpose
    partition: PartitionId
    count: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What a worker took: certificates of one kind to renew, `until` another may take them.

    `left` tells whether there is anything that is not done, these included.
    """

    serials: tuple[Serial, ...]
    until: datetime
    left: bool
