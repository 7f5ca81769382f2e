"""Campaigns as rows; see `jpki.ports.CampaignBook`."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    func,
    insert,
    literal,
    null,
    select,
    true,
    tuple_,
    update,
)

from jpki.acts import Act, Actor, AuditEvent
from jpki.campaign import (
    Aim,
    Campaign,
    CampaignId,
    CampaignState,
    Ending,
    Expected,
    Issued,
    ItemState,
    Renewal,
    Revocation,
    Survey,
    Taken,
    Target,
)
from jpki.certificate import CARD, HOLDER_PURPOSES, Purpose
from jpki.clock import day_in_japan, end_of_day, whole_second
from jpki.errors import JpkiError, Kind
from jpki.ids import SERIAL_OCTETS, HolderCode, PartitionId, Serial
from jpki.revocation import SIGNED_STATES, Reason, State
from jpki.text import Text
from server.store import audit, tables
from server.store.among import Among
from server.store.bulk import Bulk
from server.store.database import Database

LEASE, SHORT_LEASE = timedelta(minutes=5), timedelta(seconds=30)
"""How long a worker may take for what it took, to renew or to revoke it; then another gets it."""
_KINDS = (Purpose.AUTHENTICATION, Purpose.SIGNING)
"""In this order: a renewed signing certificate ends no later than its holder's authentication certificate."""
_LOOKED_UP = 1000
"""Certificates that are looked up at once."""
_BEYOND = 1 << 8 * SERIAL_OCTETS
"""No serial of ours, and no column, holds so many octets."""
_OPEN = (ItemState.WAITING, ItemState.TAKEN)
_item = tables.campaign_item
_campaign = tables.campaign


class SqlCampaigns:
    """Campaigns, and the queue of each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def forecast(self, ending_by: date, at: datetime) -> Sequence[Expected]:
        """Return how many live card certificates end until then, by week and partition."""
        certificate, status = tables.certificate, tables.status
        query = select(status.c.partition, status.c.not_after, certificate.c.purpose, certificate.c.card_end).join(
            certificate, certificate.c.serial == status.c.serial
        )
        counts: Counter[tuple[date, str, str]] = Counter()
        with_card: Counter[tuple[date, str, str]] = Counter()
        with self._database.reading() as connection:
            for row in connection.execute(query.where(_ending(ending_by, at)).execution_options(yield_per=5000)):
                ends = day_in_japan(row.not_after)
                place = (ends - timedelta(days=ends.weekday()), row.purpose, row.partition)
                counts[place] += 1
                with_card[place] += row.card_end is not None and row.card_end <= row.not_after
        return [
            Expected(
                week=place[0],
                purpose=Purpose(place[1]),
                partition=PartitionId(place[2]),
                count=count,
                with_card=with_card[place],
            )
            for place, count in sorted(counts.items())
        ]

    def ending(self, ending_by: date, at: datetime) -> Iterator[Ending]:
        """Yield the live card certificates that end until then, in order of holder."""
        certificate, status, generation = tables.certificate, tables.status, tables.generation
        place = tuple_(certificate.c.holder, certificate.c.purpose)
        query = (
            select(certificate.c.holder, certificate.c.purpose, status.c.not_after)
            .join(status, status.c.serial == certificate.c.serial)
            .join(generation, generation.c.id == status.c.generation)
            .where(_ending(ending_by, at), generation.c.compromised_at.is_(None))
            .order_by(certificate.c.holder, certificate.c.purpose)
            .limit(_LOOKED_UP)
        )
        last = ("", "")
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(query.where(place > tuple_(*map(literal, last)))).all()
            for row in rows:
                yield Ending(holder=HolderCode(row.holder), purpose=Purpose(row.purpose), not_after=row.not_after)
            if len(rows) < _LOOKED_UP:
                return
            last = (rows[-1].holder, rows[-1].purpose)

    def open(self, ending_by: date, by: Actor, at: datetime) -> Campaign:
        """Open a campaign."""
        certificate, status = tables.certificate, tables.status
        elsewhere = select(_item.c.serial).where(_item.c.state.in_(_OPEN))
        with self._database.writing() as connection:
            number = _opened(connection, Renewal(ending_by), at)
            chosen = (
                select(
                    bindparam("number", number),
                    status.c.serial,
                    certificate.c.purpose,
                    status.c.not_after,
                    bindparam("waiting", ItemState.WAITING.value),
                )
                .join(certificate, certificate.c.serial == status.c.serial)
                .where(_ending(ending_by, at), status.c.serial.not_in(elsewhere))
            )
            columns = ["campaign", "serial", "purpose", "not_after", "state"]
            count = connection.execute(insert(_item).from_select(columns, chosen)).rowcount
            _note(connection, by, at, Act.CAMPAIGN_OPENED, number, ending_by=ending_by.isoformat(), count=count)
        return self.campaign(number)

    def survey(self, wanted: Sequence[Serial] | Issued, at: datetime) -> Survey:
        """Return how these certificates stand."""
        standing = _Standing(at)
        with self._database.reading() as connection:
            for query in _those(wanted):
                for row in connection.execute(query, execution_options={"yield_per": 5000}):
                    standing.add(row)
        named = () if isinstance(wanted, Issued) else dict.fromkeys(wanted)
        return Survey(
            targets=standing.targets,
            revoked=standing.revoked,
            ended=standing.ended,
            unknown=[each for each in named if each not in standing.seen],
        )

    def open_revocation(self, reason: Reason, targets: Sequence[Target], by: Actor, at: datetime) -> Campaign:
        """Open a campaign that revokes these certificates."""
        with self._database.writing() as connection:
            number = _opened(connection, Revocation(reason), at)
            rows = [
                {
                    "campaign": number,
                    "serial": each.serial,
                    "purpose": each.purpose,
                    "not_after": each.not_after,
                    "state": ItemState.WAITING,
                }
                for each in targets
            ]
            if rows:
                connection.execute(insert(_item), rows)
            _note(connection, by, at, Act.CAMPAIGN_OPENED, number, reason=reason, count=len(rows))
        return self.campaign(number)

    def among(self, campaign: CampaignId, serials: Sequence[Serial]) -> AbstractSet[Serial]:
        """Return those of these certificates that the campaign is about."""
        query = select(_item.c.serial).where(_item.c.campaign == campaign, Among(_item.c.serial, serials))
        with self._database.reading() as connection:
            return set(connection.execute(query).scalars())

    def campaigns(self) -> Sequence[Campaign]:
        """Return all campaigns, the newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(select(_campaign).order_by(_campaign.c.id.desc())).all()
            return [_read(connection, row) for row in rows]

    def campaign(self, campaign: CampaignId) -> Campaign:
        """Return one campaign."""
        with self._database.reading() as connection:
            return _read(connection, _row(connection, campaign))

    def change(self, campaign: CampaignId, state: CampaignState, by: Actor, at: datetime) -> Campaign:
        """Pause, resume or cancel."""
        with self._database.writing() as connection:
            if _row(connection, campaign).state == CampaignState.CANCELLED:
                raise _cancelled(campaign)
            connection.execute(update(_campaign).where(_campaign.c.id == campaign).values(state=state))
            if state is CampaignState.CANCELLED:
                waiting = update(_item).where(_item.c.campaign == campaign, _item.c.state == ItemState.WAITING)
                connection.execute(waiting.values(state=ItemState.CANCELLED))
            _note(connection, by, at, Act.CAMPAIGN_CHANGED, campaign, state=state)
        return self.campaign(campaign)

    def retry(self, campaign: CampaignId, by: Actor, at: datetime) -> int:
        """Let what failed wait again."""
        with self._database.writing() as connection:
            if _row(connection, campaign).state == CampaignState.CANCELLED:
                raise _cancelled(campaign)
            failed = update(_item).where(_item.c.campaign == campaign, _item.c.state == ItemState.FAILED)
            count = connection.execute(failed.values(state=ItemState.WAITING, error=None)).rowcount
            _note(connection, by, at, Act.CAMPAIGN_CHANGED, campaign, retried=count)
        return count

    def take(self, campaign: CampaignId, count: int, at: datetime) -> Taken:
        """Take up to `count` certificates of one kind."""
        with self._database.writing() as connection:
            row = _row(connection, campaign)
            kinds = [each for each in _KINDS if _has_open(connection, campaign, each)]
            if row.state != CampaignState.RUNNING or not kinds:
                return Taken((), at, left=False)
            renews = row.reason is None
            if row.begun is None:
                connection.execute(update(_campaign).where(_campaign.c.id == campaign).values(begun=at))
            tried = (_available(connection, campaign, each, count, at) for each in (kinds[:1] if renews else kinds))
            serials: Sequence[Serial] = next(filter(None, tried), ())
            until = at + (LEASE if renews else SHORT_LEASE)
            connection.execute(
                update(_item)
                .where(_item.c.campaign == campaign, Among(_item.c.serial, serials))
                .values(state=ItemState.TAKEN, taken_until=until)
            )
        return Taken(tuple(serials), until, left=True)

    def finish(
        self, campaign: CampaignId, taken: Taken, done: Mapping[Serial, Serial | None], failed: Mapping[Serial, str]
    ) -> None:
        """Record what came of what was taken."""
        outcomes = [
            *((ItemState.DONE.value, new, None, old) for old, new in done.items()),
            *((ItemState.FAILED.value, None, code, old) for old, code in failed.items()),
        ]
        if outcomes:
            with self._database.writing() as connection:
                meanwhile = (campaign, ItemState.TAKEN.value, taken.until)
                _FINISHED.execute(connection, [(*each, *meanwhile) for each in outcomes])

    def failures(self, campaign: CampaignId, after: Serial | None, count: int) -> Sequence[tuple[Serial, str]]:
        """Return up to `count` certificates that could not be done and the error codes, those after one, by serial."""
        failed = [_item.c.campaign == campaign, _item.c.state == ItemState.FAILED]
        if after is not None:
            failed.append(_item.c.serial > after)
        query = select(_item.c.serial, _item.c.error).where(*failed).order_by(_item.c.serial).limit(count)
        with self._database.reading() as connection:
            _row(connection, campaign)
            return [(Serial(row.serial), row.error or "") for row in connection.execute(query)]

    def close_abandoned(self, at: datetime) -> int:
        """Cancel what workers that are dead by now had taken of cancelled campaigns; return how many there were."""
        cancelled = select(_campaign.c.id).where(_campaign.c.state == CampaignState.CANCELLED)
        left = (
            _item.c.campaign.in_(cancelled),
            _item.c.state == ItemState.TAKEN,
            _item.c.taken_until < at - LEASE,
        )
        with self._database.writing() as connection:
            return connection.execute(
                update(_item).where(*left).values(state=ItemState.CANCELLED, taken_until=None)
            ).rowcount


_FINISHED = Bulk(
    update(_item)
    .where(
        _item.c.campaign == bindparam("in_campaign"),
        _item.c.serial == bindparam("of"),
        _item.c.state == bindparam("taken"),
        _item.c.taken_until == bindparam("until"),
    )
    .values(state=bindparam("outcome"), successor=bindparam("new"), error=bindparam("code"), taken_until=null()),
    ("outcome", "new", "code", "of", "in_campaign", "taken", "until"),
)


def _opened(connection: Connection, aim: Aim, at: datetime) -> CampaignId:
    """Write the row of a new campaign; return its number."""
    number = (connection.execute(select(func.max(_campaign.c.id))).scalar() or 0) + 1
    own = {"ending_by": aim.ending_by} if isinstance(aim, Renewal) else {"reason": aim.reason}
    values = {"id": number, "state": CampaignState.RUNNING, "opened": at, **own}
    connection.execute(insert(_campaign).values(values))
    return CampaignId(number)


def _ending(ending_by: date, at: datetime) -> ColumnElement[bool]:
    status, certificate = tables.status, tables.certificate
    return and_(
        certificate.c.carrier == CARD,
        certificate.c.purpose.in_(HOLDER_PURPOSES),
        status.c.state == State.ACTIVE,
        status.c.not_after >= at,
        status.c.not_after <= end_of_day(ending_by),
    )


def _those(wanted: Sequence[Serial] | Issued) -> Iterator[Select[Any]]:
    """Yield queries for how these certificates stand, together for all of them."""
    status, certificate, generation = tables.status, tables.certificate, tables.generation
    columns = (status.c.serial, certificate.c.purpose, status.c.not_after, status.c.state, generation.c.compromised_at)
    query = (
        select(*columns)
        .join(certificate, certificate.c.serial == status.c.serial)
        .join(generation, generation.c.id == status.c.generation)
        .order_by(status.c.serial)
    )
    if isinstance(wanted, Issued):
        yield query.where(_issued(wanted))
    else:
        possible = sorted({each for each in wanted if each < _BEYOND})
        for start in range(0, len(possible), _LOOKED_UP):
            yield query.where(status.c.serial.in_(possible[start : start + _LOOKED_UP]))


def _issued(wanted: Issued) -> ColumnElement[bool]:
    status, certificate = tables.status, tables.certificate
    conditions: list[ColumnElement[bool]] = [true()]
    if wanted.generation is not None:
        conditions.append(status.c.generation == wanted.generation)
    if wanted.partition is not None:
        conditions.append(status.c.partition == wanted.partition)
    if wanted.since is not None:
        conditions.append(certificate.c.not_before >= wanted.since)
    if wanted.until is not None:
        conditions.append(certificate.c.not_before <= wanted.until)
    return and_(*conditions)


@dataclass(slots=True)
class _Standing:
    """Sorts certificates by what is left to do about them; one that is only reserved may be signed any moment."""

    at: datetime
    targets: list[Target] = field(default_factory=list)
    revoked: list[Serial] = field(default_factory=list)
    ended: list[Serial] = field(default_factory=list)
    seen: set[Serial] = field(default_factory=set)

    def add(self, row: Row[Any]) -> None:
        """Sort one in; what a compromised generation signed is revoked already."""
        self.seen.add(row.serial)
        state = State(row.state)
        if state is State.REVOKED or (row.compromised_at is not None and state in SIGNED_STATES):
            self.revoked.append(row.serial)
        elif state is State.VOID or row.not_after < whole_second(self.at):
            self.ended.append(row.serial)
        else:
            self.targets.append(Target(row.serial, Purpose(row.purpose), row.not_after))


def _available(
    connection: Connection, campaign: CampaignId, purpose: Purpose, count: int, at: datetime
) -> Sequence[Serial]:
    """Return what is free: first what dead workers left, then what ends soonest, read along the queue's index."""
    overdue = and_(_item.c.state == ItemState.TAKEN, _item.c.taken_until < at)
    serials: list[Serial] = []
    for free in (overdue, _item.c.state == ItemState.WAITING):
        query = (
            select(_item.c.serial)
            .where(_item.c.campaign == campaign, _item.c.purpose == purpose, free)
            .order_by(_item.c.not_after)
            .limit(count - len(serials))
            .with_for_update(skip_locked=True)
        )
        serials.extend(connection.execute(query).scalars())
    return serials


def _row(connection: Connection, campaign: CampaignId) -> Row[Any]:
    row = connection.execute(select(_campaign).where(_campaign.c.id == campaign)).one_or_none()
    if row is None:
        raise JpkiError(
            Kind.NOT_FOUND,
            "campaign-unknown",
            Text(f"第{campaign}号の一括処理はありません。", f"There is no campaign {campaign}."),
            Text("jpki campaign status で番号を確認してください。", "See the numbers with `jpki campaign status`."),
        )
    return row


def _has_open(connection: Connection, campaign: CampaignId, purpose: Purpose) -> bool:
    open_of_kind = (_item.c.campaign == campaign, _item.c.purpose == purpose, _item.c.state.in_(_OPEN))
    return connection.execute(select(_item.c.serial).where(*open_of_kind).limit(1)).first() is not None


def _read(connection: Connection, row: Row[Any]) -> Campaign:
    query = select(_item.c.state, func.count()).where(_item.c.campaign == row.id).group_by(_item.c.state)
    found = {ItemState(each[0]): each[1] for each in connection.execute(query)}
    return Campaign(
        id=CampaignId(row.id),
        aim=Renewal(row.ending_by) if row.reason is None else Revocation(Reason(row.reason)),
        state=CampaignState(row.state),
        opened=row.opened,
        begun=row.begun,
        counts={state: found.get(state, 0) for state in ItemState},
    )


def _note(connection: Connection, by: Actor, at: datetime, act: Act, campaign: int, **details: str | int) -> None:
    event = AuditEvent(at=at, actor=by, act=act, subjects=(f"campaign/{campaign}",), details=dict(details))
    audit.write(connection, event)


def _cancelled(campaign: CampaignId) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "campaign-cancelled",
        Text(f"第{campaign}号の一括処理は中止されています。", f"Campaign {campaign} was cancelled."),
        Text("新しい一括処理を開始してください。", "Open a new campaign."),
    )
