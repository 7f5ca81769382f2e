"""`jpki sample-town`: holders in any number, to try things out on."""

from collections.abc import Callable

import click

from jpki.certificate import HOLDER_PURPOSES
from jpki.text import Text
from server.cli.frame import Output, command, home_option, opened
from server.home import Home
from server.sample.town import Town, populate

_REPORTS = 20
"""Lines of progress of one run."""


@command("sample-town")
@home_option
@click.option("--holders", required=True, type=click.IntRange(min=1), help="How many more.")
@click.option("--seed", default="jpki", help="Another word, other people.")
def sample_town(home: Home, holders: int, seed: str, output: Output) -> None:
    """Add fictitious holders, each with both certificates (under 15 without one for signing), some of them revoked."""
    town = populate(opened(home), seed, holders, _progress(holders, output))
    fields = {
        "seed": seed,
        "first": town.first,
        "holders": town.holders,
        "cas": [
            {"ca": purpose, "issued": town.issued[purpose], "revoked": town.revoked[purpose]}
            for purpose in HOLDER_PURPOSES
        ],
    }
    output.result("jpki.sample-town/1", fields, _lines(town))


def _progress(holders: int, output: Output) -> Callable[[int], None]:
    step = max(1, holders // _REPORTS)
    told = 0

    def tell(done: int) -> None:
        nonlocal told
        if done >= told + step:
            told = done
            output.progress(Text(f"{done} / {holders} 人", f"{done} of {holders} holders"))

    return tell


def _lines(town: Town) -> list[Text]:
    last = town.first + town.holders - 1
    return [
        Text(
            f"見本の利用者 {town.first} から {last} までを加えました。",
            f"Added the sample holders {town.first} to {last}.",
        ),
        *(
            Text(
                f"  {purpose.text.ja}：発行 {town.issued[purpose]}、失効 {town.revoked[purpose]}",
                f"  {purpose.text.en}s: {town.issued[purpose]} issued, {town.revoked[purpose]} of them revoked",
            )
            for purpose in HOLDER_PURPOSES
        ),
    ]
