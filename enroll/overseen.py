"""What administrators and auditors ask and are told: of campaigns, the audit, counters, the authority itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints

from enroll.messages import COUNTER, MOST_ON_A_PAGE, Taken, Told, Words
from jpki.acts import Act, Actor
from jpki.campaign import Campaign, CampaignState, Issued, ItemState, Renewal
from jpki.certificate import Purpose
from jpki.clerk import Clerk
from jpki.counter import Counter, CounterCode, CounterKind
from jpki.ids import PartitionId
from jpki.ports import CampaignBook
from jpki.revocation import Reason

MOST_LINES = 2000
"""Lines of the audit's log that are handed out at once."""


def _years(day: date) -> date:
    if not 1900 <= day.year <= 2200:
        raise ValueError
    return day


Day = Annotated[date, Field(strict=False), AfterValidator(_years)]
"""A day in Japan."""
MOST_SERIALS = 1000
"""Certificates that are named one by one at once; for more there is the command line."""
SerialText = Annotated[str, StringConstraints(pattern=r"^(0x)?[0-9A-Fa-f:]{1,60}$")]
Limit = Annotated[int, Field(ge=1, le=MOST_ON_A_PAGE, strict=False)]

# --- what is taken -------------------------------------------------------------------------------------------------


class CampaignNew(Taken):
    """A campaign to open: it renews what ends until that day, the day included."""

    ending_by: Day


class RevocationNew(Taken):
    """A campaign that revokes: which certificates, by their serials or by all that is said of their issue; and why.

    Days are in Japan, and both count.
    """

    reason: Reason
    serials: Annotated[list[SerialText], Field(min_length=1, max_length=MOST_SERIALS)] | None = None
    generation: Annotated[str, StringConstraints(pattern=r"^[a-z][0-9]{1,4}$")] | None = None
    municipality: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")] | None = None
    issued_from: Day | None = None
    issued_until: Day | None = None


class FailuresWanted(Taken):
    """Which page of what a campaign could not do."""

    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] | None = None
    limit: Limit = 50


class AuditWanted(Taken):
    """Which page of the audit, the latest first; of one act, one actor, one day in Japan, as far as given."""

    act: Annotated[Act, Field(strict=False)] | None = None
    actor: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9@*. -]{1,64}$")] | None = None
    day: Day | None = None
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")] | None = None
    limit: Limit = 50


class LinesWanted(Taken):
    """From where on lines of the audit's log are wanted: the `next` of the page before."""

    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}-[01]-([0-9a-f]{64})?$")] | None = None


class CounterNew(Taken):
    """A counter to add; `municipality` delegated it, and a consulate has none."""

    code: Annotated[str, StringConstraints(pattern=COUNTER)]
    kind: Literal[CounterKind.MUNICIPALITY, CounterKind.POST_OFFICE, CounterKind.CONSULATE]
    name: Annotated[str, StringConstraints(pattern=r"^[^\u0000-\u001f\u007f-\u009f]{1,64}$")]
    municipality: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")] | None = None

    def counter(self) -> Counter:
        """Return the counter."""
        return Counter(code=CounterCode(self.code), kind=self.kind, name=self.name, municipality=self.municipality)


# --- what is answered ----------------------------------------------------------------------------------------------


class CampaignTold(Told):
    """A campaign as it stands; `finish` is when it will be done at its pace. A `reason` says that it revokes."""

    number: int
    ending_by: date | None
    reason: Reason | None
    state: CampaignState
    opened_at: datetime
    begun_at: datetime | None
    total: int
    left: int
    done: int
    failed: int
    cancelled: int
    finish: datetime | None

    @classmethod
    def of(cls, campaign: Campaign, now: datetime) -> Self:
        """Return what is told of a campaign."""
        counts, aim = campaign.counts, campaign.aim
        return cls(
            number=campaign.id,
            ending_by=aim.ending_by if isinstance(aim, Renewal) else None,
            reason=None if isinstance(aim, Renewal) else aim.reason,
            state=campaign.state,
            opened_at=campaign.opened,
            begun_at=campaign.begun,
            total=campaign.total,
            left=campaign.left,
            done=counts[ItemState.DONE],
            failed=counts[ItemState.FAILED],
            cancelled=counts[ItemState.CANCELLED],
            finish=campaign.finish(now) if campaign.left else None,
        )


class CampaignsTold(Told):
    """All campaigns, the newest first."""

    campaigns: list[CampaignTold]


class SurveyTold(Told):
    """How many certificates a campaign would revoke, by kind; how many others need it no more, and which are unknown.

    `ended` are expired, or were never signed.
    """

    authentication: int
    signing: int
    revoked: int
    ended: int
    unknown: list[str]


class WeekTold(Told):
    """How many certificates end in a week, which begins on a Monday in Japan."""

    week: date
    authentication: int
    signing: int


class TownTold(Told):
    """How many signing certificates of a municipality's residents end."""

    code: str
    name: str
    signing: int


class ForecastTold(Told):
    """What ends until a day; a campaign over it may be opened from `opens` on.

    Of the `total`, `with_card` end with their cards, so that a renewal gains nothing and is not done.
    Authentication certificates name no municipality, so that they are told by week alone.
    """

    ending_by: date
    opens: date
    total: int
    with_card: int
    weeks: list[WeekTold]
    towns: list[TownTold]


class FailureTold(Told):
    """A certificate that a campaign could not do, and the code of the error."""

    serial: str
    code: str


class FailuresTold(Told):
    """A page of what a campaign could not do; `next` is the cursor of the page that follows, if one does."""

    failures: list[FailureTold]
    next: str | None


class AuditLine(Told):
    """One act; nothing but its number is left of one whose body was erased."""

    number: int
    at: datetime | None
    role: str | None
    actor: str | None
    act: Act | None
    words: Words | None
    subjects: list[str]
    details: dict[str, str | int]


class AuditTold(Told):
    """A page of the audit, the latest first; `next` is the cursor of the page that follows, if one does.

    A page may be empty and another follow, where few of many acts are wanted.
    """

    lines: list[AuditLine]
    next: str | None


class HeadTold(Told):
    """A signed statement of where the chain ended; `holds` where its signature and the chain below it fit."""

    number: int
    at: datetime
    signer: str
    holds: bool


class ChainTold(Told):
    """How many acts are chained, and the newest head."""

    entries: int
    head: HeadTold | None


class VerificationTold(Told):
    """What a check of the whole chain found; `fault` says in words what is wrong first, at entry `number`."""

    whole: bool
    entries: int
    erased: int
    heads: int
    sealed: int
    restorations: int
    number: int | None
    fault: Words | None


class LinesTold(Told):
    """Lines of the audit's log, as `jpki audit export` writes them, up to the newest head."""

    lines: list[str]
    next: str | None


class SetupState(StrEnum):
    """How a point of the setting-up stands."""

    DONE = "done"
    MISSING = "missing"
    UNKNOWN = "unknown"


class SetupTold(Told):
    """A point of the setting-up: what it is, how it stands, and what to type, or to write into jpki.toml."""

    name: str
    words: Words
    state: SetupState
    note: Words | None
    command: str


class ListTold(Told):
    """The complete list of a CA, and the first of all its lists to end."""

    purpose: Purpose
    number: int
    this_update: datetime
    next_update: datetime
    entries: int
    lists: int
    first_end: datetime


class ResponderTold(Told):
    """A certificate that OCSP answers are signed with."""

    generation: str
    purpose: Purpose
    serial: str
    not_after: datetime


class OverviewTold(Told):
    """How far the house is set up, and how fresh what it says of certificates is; an answer of OCSP holds so long."""

    setup: list[SetupTold]
    lists: list[ListTold]
    responders: list[ResponderTold]
    answer_minutes: int


class KeyTold(Told):
    """What a key's keeper says of it, or why it says nothing."""

    attributes: dict[str, str | bool]
    problem: Words | None


class GenerationTold(Told):
    """One key of one CA."""

    id: str
    purpose: Purpose
    words: Words
    is_current: bool
    kind: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    issue_until: datetime
    key: KeyTold | None
    """None where the key is destroyed."""


class TokenTold(Told):
    """Where keys are kept, and whether it answers here; `problem` is why it does not."""

    name: str
    works: bool
    problem: Words | None


class CeremonyTold(Told):
    """A key ceremony; `closed` where its record is signed."""

    number: int
    kind: str
    words: Words
    opened_at: datetime
    closed: bool


class AuthorityTold(Told):
    """The CAs, their keys and what they publish."""

    generations: list[GenerationTold]
    responders: list[ResponderTold]
    lists: list[ListTold]
    tokens: list[TokenTold]
    ceremonies: list[CeremonyTold]


# --- where it comes from -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Oversight:
    """What the routes for administrators and auditors work with; see `server.oversight`."""

    campaigns: CampaignBook
    town_of: Callable[[PartitionId], str]
    """The code of the municipality whose signing certificates name a partition."""
    issued: Callable[[RevocationNew], Issued]
    """What was issued as it says, by a generation and into a partition that there are."""
    audit: Callable[[AuditWanted], AuditTold]
    chain: Callable[[], ChainTold]
    verification: Callable[[], VerificationTold]
    lines: Callable[[str | None], LinesTold]
    overview: Callable[[Sequence[Clerk]], OverviewTold]
    authority: Callable[[], AuthorityTold]
    add_counter: Callable[[Counter, Actor], None]
    close_counter: Callable[[CounterCode, Actor], None]
