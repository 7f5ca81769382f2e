"""The renewal notice: that certificates end, from when they can be renewed, where, and what to bring.

It holds no attribute of the holder: whoever posts it knows the address by the holder code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from enroll.paper.sheet import printed
from jpki.certificate import Purpose
from jpki.ids import HolderCode


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalNotice:
    """What a notice tells: each certificate's last day, and the first day of the renewal window of them all."""

    holder: HolderCode
    last_days: Mapping[Purpose, date]
    opens_on: date
    made_on: date


def renewal_notice(facts: RenewalNotice) -> bytes:
    """Return the notice as PDF, in Japanese with a short English part.

    Raises:
        JpkiError: UNAVAILABLE `paper-unavailable`.
    """
    return printed("renewal_notice.html", {"facts": facts, "first_end": min(facts.last_days.values())})
