"""Sample towns: sample holders who get their certificates, some of which are revoked again."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from cryptography import x509

from ca.issuer import Order
from ca.key_policy import holder_key
from enroll.eligibility import is_old_enough
from enroll.orders import Terms, first_order
from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import CARD, Purpose
from jpki.clock import day_in_japan
from jpki.errors import JpkiError
from jpki.holder import Holder
from jpki.ids import Serial
from jpki.resident import taken_at_word
from jpki.revocation import Reason
from server.home import Home
from server.processes import pool
from server.sample.draws import Draws
from server.sample.holders import CODE_PREFIX, sample_holder
from server.sample.keys import card_request
from server.wiring import Rooms, open_rooms

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
_CHUNK = 200
"""Holders who get their certificates in one batch."""


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
    """Add sample holders after those that the ledger knows; `tell` is told now and then how many there are by now.

    Raises:
        JpkiError: of the CA; UNPROCESSABLE `sample-keys-exhausted`. Whoever was finished before stays.
    """
    first = _last_number(rooms) + 1
    ends = range(first, first + holders, _CHUNK)
    chunks = [range(start, min(start + _CHUNK, first + holders)) for start in ends]
    issued, revoked = Counter[Purpose](), Counter[Purpose]()
    for wishes_granted in _settled(rooms, seed, chunks):
        for wish in wishes_granted:
            issued[wish.purpose] += 1
            revoked[wish.purpose] += wish.ends is not None
        tell(issued[Purpose.AUTHENTICATION])
    return Town(first=first, holders=holders, issued=issued, revoked=revoked)


def wishes(seed: str, numbers: Iterable[int], today: date) -> Iterator[Wish]:
    """Yield the certificates of the holders with these numbers; under 15 there is one for authentication only."""
    for number in numbers:
        holder = sample_holder(seed, number)
        for purpose in _PURPOSES:
            if is_old_enough(holder.birth_date, purpose, today):
                card = card_of(number, purpose)
                yield Wish(holder=holder, purpose=purpose, card=card, ends=_end(seed, number, purpose))


def card_of(number: int, purpose: Purpose) -> int:
    """Return the number of the key for this purpose of the n-th holder's card."""
    return (number - 1) * len(_PURPOSES) + _PURPOSES.index(purpose)


def _end(seed: str, number: int, purpose: Purpose) -> Reason | None:
    draws = Draws("sample end", seed, number, purpose)
    return draws.one_of(_REASONS) if draws.one_in(_REVOKED_ONE_IN) else None


def _settled(rooms: Rooms, seed: str, chunks: Sequence[range]) -> Iterator[Sequence[Wish]]:
    """Yield the wishes granted, a chunk at a time: a few holders here, many on all cores."""
    if len(chunks) == 1:
        yield settle(rooms, seed, chunks[0])
        return
    with pool(os.cpu_count() or 1) as processes:
        running = [processes.submit(_settle_at, rooms.home.path, seed, chunk) for chunk in chunks]
        try:
            for done in as_completed(running):
                yield done.result()
        finally:
            for each in running:
                each.cancel()


def _settle_at(home: Path, seed: str, numbers: range) -> Sequence[Wish]:
    return settle(_opened(home), seed, numbers)


@cache
def _opened(home: Path) -> Rooms:
    """Open the home once in each process."""
    return open_rooms(Home.open(home))


def settle(rooms: Rooms, seed: str, numbers: Iterable[int]) -> Sequence[Wish]:
    """Issue what the holders with these numbers wish for, in one batch of each kind; revoke where a wish says so."""
    asked = list(wishes(seed, numbers, day_in_japan(rooms.clock())))
    for purpose in _PURPOSES:
        granted = [wish for wish in asked if wish.purpose is purpose]
        orders = _orders(rooms, granted)
        for wish, outcome in zip(granted, rooms.desk.delivery.deliver(orders, LOCAL_OPERATOR, _keep_none), strict=True):
            if isinstance(outcome, JpkiError):
                raise outcome
            if wish.ends is not None:
                rooms.desk.revoke(Serial(outcome.serial_number), wish.ends, LOCAL_OPERATOR)
    return asked


def _orders(rooms: Rooms, granted: Sequence[Wish]) -> list[Order]:
    now = rooms.clock()
    codes = [wish.holder.code for wish in granted if wish.purpose is Purpose.SIGNING]
    beside = rooms.store.ledger.live(codes, Purpose.AUTHENTICATION, CARD, now) if codes else {}
    orders = []
    for wish in granted:
        authentication = beside.get(wish.holder.code)
        end = None if authentication is None else authentication.validity.not_after
        terms = Terms(profile=rooms.profile, now=now, beside=end)
        key = holder_key(card_request(rooms.profile.key, wish.card), rooms.profile.key)
        orders.append(first_order(taken_at_word(wish.holder), wish.purpose, CARD, key, terms))
    return orders


def _keep_none(certificates: Sequence[x509.Certificate]) -> None:
    """Hand over to nobody: sample holders have no cards but their numbers."""
    del certificates


def _last_number(rooms: Rooms) -> int:
    code = rooms.store.samples.last_code(CODE_PREFIX)
    return 0 if code is None else int(code.removeprefix(CODE_PREFIX))
