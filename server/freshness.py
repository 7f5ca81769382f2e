"""How much of their promise the newest lists have left: whoever publishes them should hear of it before it is gone."""

from collections.abc import Sequence
from datetime import datetime

from jpki.clock import iso
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.ports import ShelfMark
from jpki.text import Text


def warning_of(mark: ShelfMark, generations: Sequence[Generation], now: datetime) -> JpkiError | None:
    """Return `crl-ends-soon` where less than a quarter is left of the time from thisUpdate to nextUpdate.

    A list that ends with the last of its generations is as long as it can be (rule R25).
    """
    latest = max((each.not_after for each in generations), default=now)
    promise, left = mark.next_update - mark.this_update, mark.next_update - now
    if mark.next_update >= latest or left * 4 >= promise:
        return None
    name, end = f"{mark.purpose}/{mark.partition}", iso(mark.next_update)
    return JpkiError(
        Kind.CONFLICT,
        "crl-ends-soon",
        Text(
            f"失効リスト {name} の期限（{end}）が近いのに、新しいリストが発行されていません。",
            f"The list {name} ends soon, at {end}, and no new one was published.",
        ),
        Text(
            "CA鍵のあるところで jpki serve が動いているか確認し、jpki crl publish を実行してください。",
            "See that `jpki serve` runs where the CA keys are, and run `jpki crl publish`.",
        ),
    )
