"""`jpki notice`: what goes to holders by post."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from enroll.notices import renewal_notices
from enroll.paper.renewal_notice import RenewalNotice, renewal_notice
from enroll.renewal import last_renewable
from jpki.clock import day_in_japan
from jpki.text import Text
from server.cli.frame import Output, command, home_option, opened
from server.home import Home, new_directory, write_new


@click.group("notice")
def notice() -> None:
    """Print what goes to holders by post."""


@command("renewal")
@home_option
@click.option(
    "--expiring-before",
    "day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The first day not covered; default: whoever can renew today.",
)
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The PDFs' folder.")
def renewal(home: Home, day: datetime | None, out: Path, output: Output) -> None:
    """Print a renewal notice, a PDF of its own, for each holder whose card's certificates end before a day.

    The files are numbered and nothing is overwritten; --json says which is for whom.
    """
    rooms = opened(home)
    now = rooms.clock()
    ending_by = last_renewable(rooms.profile, now) if day is None else day.date() - timedelta(days=1)
    endings = rooms.store.campaigns.ending(ending_by, now)
    told, tell = list[dict[str, Any]](), _progress(output)
    with new_directory(out):
        for number, each in enumerate(renewal_notices(endings, rooms.profile, day_in_japan(now)), start=1):
            file = f"{number:06}.pdf"
            write_new(out / file, renewal_notice(each), 0o600)
            told.append(_told(file, each))
            tell(number)
    fields = {"expiring_before": (ending_by + timedelta(days=1)).isoformat(), "notices": told}
    line = Text(
        f"{ending_by} までに終わる証明書の更新のお知らせ {len(told)}通を {out} に書きました。",
        f"Wrote {len(told)} renewal notices, for certificates that end by {ending_by}, to {out}.",
    )
    output.result("jpki.notice-renewal/1", fields, [line])


notice.add_command(renewal)


def _progress(output: Output) -> Callable[[int], None]:
    """Return what tells each second how many there are."""
    told_at = time.monotonic()

    def tell(done: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= 1:
            told_at = time.monotonic()
            output.progress(Text(f"  {done}通", f"  {done} notices"))

    return tell


def _told(file: str, each: RenewalNotice) -> dict[str, Any]:
    return {
        "file": file,
        "holder": each.holder,
        "opens_on": each.opens_on.isoformat(),
        "last_days": {str(purpose): last.isoformat() for purpose, last in each.last_days.items()},
    }
