"""Sample towns: sample holders who get their certificates, some of which are revoked again."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from enroll.eligibility import is_old_enough
from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import Purpose
from jpki.clock import day_in_japan
from jpki.holder import Holder
from jpki.ids import Serial
from jpki.revocation import Reason
from server.sample.draws import Draws
from server.sample.holders import CODE_PREFIX, sample_holder
from server.sample.keys import card_request
from server.wiring import Rooms

_PURPOSES = (Purpose.AUTHENTICATION, Purpose.SIGNING)
"""In this order, since a signing certificate ends with the authentication certificate."""
_REVOKED_ONE_IN = 20
_REASONS = (
    Reason.AFFILIATION_CHANGED,
    Reason.AFFILIATION_CHANGED,
    Reason.AFFILIATION_CHANGED,
    Reason.CESSATION_OF_OPERATION,
    Reason.KEY_COMPROMISE,
)
"""Most signing certificates end with a move; the others are rarer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One certificate of a sample holder; `card` numbers its key, `ends` says why it is revoked, if it is."""

    holder: Holder
    purpose: Purpose
    card: int
    ends: Reason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """What was made: the first holder's number, how many they are, and how many certificates of each CA."""

    first: int
    holders: int
    issued: Mapping[Purpose, int]
    revoked: Mapping[Purpose, int]


def populate(rooms: Rooms, seed: str, holders: int, tell: Callable[[int], None]) -> Town:
    """Add sample holders after those that the ledger knows; `tell` is called after each with how many there are by now.

    Raises:
        JpkiError: of the desk; UNPROCESSABLE `sample-keys-exhausted`. Whoever was finished before stays.
    """
    first = _last_number(rooms) + 1
    issued, revoked = Counter[Purpose](), Counter[Purpose]()
    for wish in _fulfilled(rooms, wishes(seed, range(first, first + holders), day_in_japan(rooms.clock()))):
        issued[wish.purpose] += 1
        revoked[wish.purpose] += wish.ends is not None
        tell(issued[Purpose.AUTHENTICATION])
    return Town(first=first, holders=holders, issued=issued, revoked=revoked)


def wishes(seed: str, numbers: Iterable[int], today: date) -> Iterator[Wish]:
    """Yield the certificates of the holders with these numbers; under 15 there is one for authentication only."""
    for number in numbers:
        holder = sample_holder(seed, number)
        for place, purpose in enumerate(_PURPOSES):
            if is_old_enough(holder.birth_date, purpose, today):
                card = (number - 1) * len(_PURPOSES) + place
                yield Wish(holder=holder, purpose=purpose, card=card, ends=_end(seed, number, purpose))


def _end(seed: str, number: int, purpose: Purpose) -> Reason | None:
    draws = Draws("sample end", seed, number, purpose)
    return draws.one_of(_REASONS) if draws.one_in(_REVOKED_ONE_IN) else None


def _fulfilled(rooms: Rooms, asked: Iterable[Wish]) -> Iterator[Wish]:
    """Issue, and revoke where the wish says so, one certificate after another."""
    for wish in asked:
        csr = card_request(rooms.profile.key, wish.card)
        certificate = rooms.desk.issue(wish.holder, wish.purpose, csr, LOCAL_OPERATOR)
        if wish.ends is not None:
            rooms.desk.revoke(Serial(certificate.serial_number), wish.ends, LOCAL_OPERATOR)
        yield wish


def _last_number(rooms: Rooms) -> int:
    code = rooms.store.samples.last_code(CODE_PREFIX)
    return 0 if code is None else int(code.removeprefix(CODE_PREFIX))
