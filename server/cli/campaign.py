"""`jpki campaign`: renew many certificates before they end, or revoke many."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

import click

from enroll.campaign import CardRequests, require_window
from enroll.mass_revocation import require_known, surveyed
from jpki.acts import LOCAL_OPERATOR
from jpki.campaign import (
    Aim,
    Campaign,
    CampaignId,
    CampaignState,
    Expected,
    Issued,
    ItemState,
    Renewal,
    Revocation,
    Survey,
)
from jpki.certificate import HOLDER_PURPOSES
from jpki.clock import JST, iso, start_of_day
from jpki.errors import JpkiError
from jpki.ids import GenerationId, Serial, format_serial, parse_serial
from jpki.revocation import Reason
from jpki.text import Text
from server import campaigns
from server.campaigns import BundleFolder, RequestFolder
from server.cli.frame import BadInput, MomentType, Output, command, home_option, opened
from server.home import Home, new_directory
from server.processes import in_each
from server.sample.cards import SampleCards
from server.wiring import Rooms

_SAMPLE = "sample"
_BAR = 40
_NAMED = 5
_number = click.argument("number", type=click.IntRange(min=1))


@click.group("campaign")
def campaign() -> None:
    """Renew many certificates before they end, or revoke many."""


@command("renew")
@home_option
@click.option(
    "--expiring-before", "day", required=True, type=click.DateTime(["%Y-%m-%d"]), help="The first day not covered."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be renewed, by week and municipality.")
def renew(home: Home, day: datetime, output: Output, *, dry_run: bool) -> None:
    """Open a campaign over the live certificates that end before a day; `jpki campaign run` then works on it."""
    rooms = opened(home)
    ending_by = day.date() - timedelta(days=1)
    require_window(rooms.profile, ending_by, rooms.clock())
    expected = rooms.store.campaigns.forecast(ending_by, rooms.clock())
    fields: dict[str, Any] = {
        "expiring_before": day.date().isoformat(),
        "forecast": [_expected(each) for each in expected],
    }
    lines = list(_forecast_lines(expected))
    if not dry_run:
        begun = rooms.store.campaigns.open(ending_by, LOCAL_OPERATOR, rooms.clock())
        fields["campaign"] = _fields(begun, rooms.clock())
        lines.append(
            Text(
                f"第{begun.id}号の一括更新を開始しました（{begun.total}件）。次に：jpki campaign run {begun.id}",
                f"Campaign {begun.id} is open: {begun.total} renewals. Next: jpki campaign run {begun.id}",
            )
        )
    output.result("jpki.campaign-renew/1", fields, lines)


@command("revoke")
@home_option
@click.option("--serials", type=click.File(errors="replace"), help="The certificates, one serial a line; '-' is stdin.")
@click.option("--generation", help="All that this key of a CA signed …")
@click.option("--municipality", help="… whose list is this municipality's, by its code …")
@click.option("--issued-from", type=MomentType(start_of_day), help="… that were issued from then on …")
@click.option("--issued-until", type=MomentType(), help="… and until then.")
@click.option("--reason", required=True, type=click.Choice([str(each) for each in Reason]), help="Why (RFC 5280).")
@click.option("--dry-run", is_flag=True, help="Only say what would be revoked.")
def revoke(  # noqa: PLR0913 - one parameter for each option
    home: Home,
    output: Output,
    *,
    serials: TextIO | None,
    generation: str | None,
    municipality: str | None,
    issued_from: datetime | None,
    issued_until: datetime | None,
    reason: str,
    dry_run: bool,
) -> None:
    """Open a campaign that revokes certificates; `jpki campaign run` then works on it.

    They are named by --serials, or by all that hold of --generation, --municipality, --issued-from, --issued-until.
    With a card's certificate end those on the holder's mobile devices.
    """
    is_chosen = any(each is not None for each in (generation, municipality, issued_from, issued_until))
    if (serials is not None) == is_chosen:
        raise click.UsageError("give either --serials, or --generation, --municipality, --issued-from, --issued-until")
    rooms = opened(home)
    book = rooms.store.campaigns
    wanted = (
        _issued(rooms, generation, municipality, issued_from, issued_until)
        if serials is None
        else list(_serials_in(serials))
    )
    survey = surveyed(book, wanted, Reason(reason), rooms.clock)
    fields, lines = _surveyed_fields(survey, reason), list(_surveyed_lines(survey))
    if not dry_run:
        require_known(survey)
        begun = book.open_revocation(Reason(reason), survey.targets, LOCAL_OPERATOR, rooms.clock())
        fields["campaign"] = _fields(begun, rooms.clock())
        lines.append(
            Text(
                f"第{begun.id}号の一括失効を開始しました（{begun.total}件）。次に：jpki campaign run {begun.id}",
                f"Campaign {begun.id} is open: {begun.total} to revoke. Next: jpki campaign run {begun.id}",
            )
        )
    output.result("jpki.campaign-revoke/1", fields, lines)


@command("run")
@_number
@home_option
@click.option("--cards", help=f"To renew: the folder of card requests, <serial>.csr each; or '{_SAMPLE}'.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="To renew: where certificates go.")
@click.option("--workers", type=click.IntRange(1, 64), default=os.cpu_count() or 1, help="Processes of this node.")
def run(number: int, home: Home, cards: str | None, out: Path | None, workers: int, output: Output) -> None:
    """Work on a campaign until it is done, paused or cancelled; any number of nodes may do so at once.

    After revocations the lists that are due are published.
    """
    rooms = opened(home)
    book, identifier = rooms.store.campaigns, CampaignId(number)
    before = book.campaign(identifier)

    def watch() -> None:
        now = book.campaign(identifier)
        output.progress(_progress_line(now, rooms.clock()))

    match before.aim:
        case Renewal():
            if cards is None or out is None:
                raise click.UsageError("a campaign that renews needs --cards and --out")
            parts = (_requests(rooms, cards), BundleFolder(out.absolute()))
            with new_directory(out):
                counts = in_each(workers, watch, campaigns.renew, home.path, identifier, *parts)
        case Revocation(reason=reason):
            if cards is not None or out is not None:
                raise click.UsageError("a campaign that revokes takes neither --cards nor --out")
            counts = in_each(workers, watch, campaigns.revoke, home.path, identifier, reason)
            rooms.publisher.publish_due()
    after = book.campaign(identifier)
    fields = {**_fields(after, rooms.clock()), "workers": counts}
    done = after.counts[ItemState.DONE] - before.counts[ItemState.DONE]
    output.result("jpki.campaign-run/1", fields, [_done_line(after, done), *_lines(after, rooms.clock())])


@command("status")
@click.argument("number", type=click.IntRange(min=1), required=False)
@home_option
def status(number: int | None, home: Home, output: Output) -> None:
    """Say how campaigns stand, and when each will be finished at its pace."""
    rooms = opened(home)
    book = rooms.store.campaigns
    found = book.campaigns() if number is None else [book.campaign(CampaignId(number))]
    now = rooms.clock()
    lines = [line for each in found for line in _lines(each, now)] or [Text("一括処理はありません。", "There is none.")]
    output.result("jpki.campaign-status/1", {"campaigns": [_fields(each, now) for each in found]}, lines)


@command("retry")
@_number
@home_option
def retry(number: int, home: Home, output: Output) -> None:
    """Let what failed wait again, for `jpki campaign run`."""
    rooms = opened(home)
    count = rooms.store.campaigns.retry(CampaignId(number), LOCAL_OPERATOR, rooms.clock())
    after = rooms.store.campaigns.campaign(CampaignId(number))
    lines = [Text(f"{count}件をやり直します。", f"{count} wait again."), *_lines(after, rooms.clock())]
    output.result("jpki.campaign-retry/1", {**_fields(after, rooms.clock()), "retried": count}, lines)


def _change(name: str, state: CampaignState, what: str) -> click.Command:
    @command(name)
    @_number
    @home_option
    def change(number: int, home: Home, output: Output) -> None:
        rooms = opened(home)
        after = rooms.store.campaigns.change(CampaignId(number), state, LOCAL_OPERATOR, rooms.clock())
        output.result(f"jpki.campaign-{name}/1", _fields(after, rooms.clock()), list(_lines(after, rooms.clock())))

    change.help = what
    return change


for each in (
    renew,
    revoke,
    run,
    status,
    _change("pause", CampaignState.PAUSED, "Give out no more work; what was taken is finished."),
    _change("resume", CampaignState.RUNNING, "Give out work again, to `jpki campaign run`."),
    _change("cancel", CampaignState.CANCELLED, "Give up what is not done yet, for good."),
    retry,
):
    campaign.add_command(each)


def _requests(rooms: Rooms, cards: str) -> CardRequests:
    if cards == _SAMPLE:
        return SampleCards(rooms.profile.key)
    folder = Path(cards).absolute()
    if not folder.is_dir():
        raise click.BadParameter(f"'{cards}' is neither a folder nor '{_SAMPLE}'", param_hint="--cards")
    return RequestFolder(folder)


def _serials_in(file: TextIO) -> Iterator[Serial]:
    """Yield the serials of a file, one a line; empty lines are none.

    Raises:
        BadInput: `serial-malformed` or `serial-ambiguous`.
    """
    for line in filter(None, map(str.strip, file)):
        try:
            yield parse_serial(line)
        except JpkiError as error:
            raise BadInput(error) from error


def _issued(
    rooms: Rooms,
    generation: str | None,
    municipality: str | None,
    since: datetime | None,
    until: datetime | None,
) -> Issued:
    """Return what was issued so.

    Raises:
        JpkiError: NOT_FOUND `generation-unknown`; UNPROCESSABLE `partition-unknown`.
    """
    return Issued(
        generation=None if generation is None else rooms.store.generations.find(GenerationId(generation)).id,
        partition=None if municipality is None else rooms.store.partitions.named({municipality})[municipality].id,
        since=since,
        until=until,
    )


# --- words ---------------------------------------------------------------------------------------------------------


def _expected(each: Expected) -> dict[str, Any]:
    return {
        "week": each.week.isoformat(),
        "kind": each.purpose,
        "partition": each.partition,
        "count": each.count,
        "with_card": each.with_card,
    }


def _forecast_lines(expected: Sequence[Expected]) -> Iterator[Text]:
    """Say how many end in each week, as a bar."""
    weeks: dict[date, int] = {}
    for each in expected:
        weeks[each.week] = weeks.get(each.week, 0) + each.count
    most = max(weeks.values(), default=1)
    for week, count in weeks.items():
        bar = "█" * max(1, count * _BAR // most)
        yield Text(f"  {week} の週  {count:>8}  {bar}", f"  week of {week}  {count:>8}  {bar}")
    partitions = len({each.partition for each in expected})
    total = sum(weeks.values())
    yield Text(f"対象 {total}件（{partitions}区画）", f"{total} certificates in {partitions} partitions of the lists")
    if with_card := sum(each.with_card for each in expected):
        yield Text(
            f"  うち{with_card}件はカードとともに終わるため、更新されません（nothing-gained）。",
            f"  {with_card} of them end with their cards and will not be renewed (nothing-gained)",
        )


def _surveyed_fields(survey: Survey, reason: str) -> dict[str, Any]:
    counts = Counter(each.purpose for each in survey.targets)
    return {
        "reason": reason,
        "to_revoke": {str(purpose): counts[purpose] for purpose in HOLDER_PURPOSES},
        "already_revoked": list(map(format_serial, survey.revoked)),
        "ended": list(map(format_serial, survey.ended)),
        "unknown": list(map(format_serial, survey.unknown)),
    }


def _surveyed_lines(survey: Survey) -> Iterator[Text]:
    total = len(survey.targets)
    yield Text(f"失効させる証明書 {total}件", f"{total} certificates to revoke")
    for serials, ja, en in (
        (survey.revoked, "既に失効しています", "are revoked already"),
        (survey.ended, "有効期限が切れているか、発行されませんでした", "are expired, or were never signed"),
        (survey.unknown, "この認証局にありません", "are of no certificate of this authority"),
    ):
        if serials:
            some = ", ".join(map(format_serial, serials[:_NAMED])) + (", …" if len(serials) > _NAMED else "")
            yield Text(f"  {len(serials)}件は{ja}：{some}", f"  {len(serials)} {en}: {some}")


def _done_line(campaign: Campaign, done: int) -> Text:
    match campaign.aim:
        case Renewal():
            return Text(f"{done}件を更新しました。", f"Renewed {done} certificates.")
        case Revocation():
            return Text(
                f"{done}件を失効させ、失効リストを発行しました。", f"{done} are revoked; the lists are published."
            )


def _progress_line(campaign: Campaign, now: datetime) -> Text:
    done = campaign.total - campaign.left
    finish = campaign.finish(now)
    until = "" if finish is None else f"{finish.astimezone(JST):%H:%M:%S}"
    return Text(
        f"  {done} / {campaign.total}  終了見込み {until}", f"  {done} of {campaign.total}, done at about {until}"
    )


def _lines(campaign: Campaign, now: datetime) -> Iterator[Text]:
    counts = campaign.counts
    aim = _aim(campaign.aim)
    yield Text(
        f"第{campaign.id}号（{aim.ja}）：{campaign.state.text.ja}",
        f"Campaign {campaign.id}, {aim.en}: {campaign.state.text.en}",
    )
    yield Text(
        f"  完了 {counts[ItemState.DONE]}　待ち {campaign.left}　失敗 {counts[ItemState.FAILED]}"
        f"　中止 {counts[ItemState.CANCELLED]}",
        f"  done {counts[ItemState.DONE]}, waiting {campaign.left}, failed {counts[ItemState.FAILED]},"
        f" cancelled {counts[ItemState.CANCELLED]}",
    )
    finish = campaign.finish(now)
    if campaign.left and finish is not None:
        yield Text(f"  終了見込み {iso(finish)}", f"  at this pace done by {iso(finish)}")


def _aim(aim: Aim) -> Text:
    match aim:
        case Renewal(ending_by=day):
            return Text(f"{day} までに終わる証明書の更新", f"renewal of certificates that end by {day}")
        case Revocation(reason=reason):
            return Text(f"失効：{reason.text.ja}（{reason}）", f"revocation, {reason.text.en} ({reason})")


def _fields(campaign: Campaign, now: datetime) -> dict[str, Any]:
    finish, aim = campaign.finish(now), campaign.aim
    return {
        "id": campaign.id,
        "ending_by": aim.ending_by.isoformat() if isinstance(aim, Renewal) else None,
        "reason": aim.reason if isinstance(aim, Revocation) else None,
        "state": campaign.state,
        "total": campaign.total,
        "left": campaign.left,
        "counts": {str(state): count for state, count in campaign.counts.items()},
        "finish": None if finish is None or not campaign.left else iso(finish),
    }
