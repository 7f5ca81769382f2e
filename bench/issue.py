"""Issuance: a campaign end to end, of what must be computed in any case, and one certificate at the counter.

The limit is a bare loop, in as many processes, of the CA's signature, its check, and the check of a request's proof of
possession. The campaign is the product: requests read and judged, drafts, lint, sealed intents, audit, signatures,
bundles on disk, activation, and the old certificates superseded, on SQLite with synchronous FULL. It measures signing
certificates, which are the harder kind. Beside the rates it keeps the processor time of a certificate, which other work
on the machine touches least; what signer processes take is not in it.
"""

import os
import pickle
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.hsm import BareLoop, ca_token, looping
from bench.rows import Row, absolute, ratio
from ca.validity import renewal_opens, validity
from enroll.campaign import BATCH, Worker
from hsm_adapter.uri import Pkcs11Uri
from jpki.acts import LOCAL_OPERATOR
from jpki.campaign import CampaignId
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import day_in_japan, end_of_day, system_clock
from jpki.ids import HolderCode, Serial
from jpki.ports import CertificateRecord
from jpki.randomness import system_randomness
from jpki.signature import PrivateKey, sign
from server.campaigns import BundleFolder, worker_of
from server.founding import found
from server.home import Home
from server.processes import pool
from server.sample.cards import next_card_of
from server.sample.holders import sample_code, sample_holder
from server.sample.keys import card_request
from server.sample.town import settle
from server.settings import Settings, read_settings
from server.wiring import Rooms, open_rooms

PROCESSES = os.cpu_count() or 1
ROUNDS = 5
WARM_UP = 4
"""Rounds before the first that counts: a process meets each of 1,741 partitions for the first time once."""
_AGE = timedelta(days=int(4.5 * 365.25))
"""How old a home is whose certificates are to be renewed."""
_CAMPAIGN = CampaignId(1)
_STAYING = 0.94
"""Some sample certificates are revoked again at once, and are not renewed."""
_TARGETS = {"rsa2048": 0.75, "p384": 0.75, "softhsm": 0.85}


def rows() -> Iterator[Row]:
    """Measure each kind of campaign, and the counter."""
    for name, settings in (
        ("rsa2048", Settings()),
        ("p384", Settings(profile="card-v2")),
        ("softhsm", Settings(keys="pkcs11")),
    ):
        with tempfile.TemporaryDirectory() as folder:
            yield _campaign(name, Home(Path(folder) / "home"), settings)
    with tempfile.TemporaryDirectory() as folder:
        yield _counter(Home(Path(folder) / "home"))


# --- campaigns -----------------------------------------------------------------------------------------------------


def _campaign(name: str, home: Home, settings: Settings) -> Row:
    _aged(home, settings, (WARM_UP + ROUNDS) * BATCH * PROCESSES)
    with pool(PROCESSES) as processes, _other_side(name, processes, home) as other:
        _reach_signing(processes, home)
        for _ in range(WARM_UP):
            _round(processes, _work, home.path)
        rounds = [(_round(processes, _work, home.path), other()) for _ in range(ROUNDS)]
    ours, theirs = zip(*rounds, strict=True)
    side = "raw" if name == "softhsm" else "limit"
    rates = [each.rate for each in ours]
    beside = {side: [each.rate for each in theirs]}
    beside |= {"cpu ms": [each.cpu for each in ours], f"{side} cpu ms": [each.cpu for each in theirs]}
    return ratio(f"issue.campaign-{name}", _TARGETS[name], rates, beside)


@dataclass(frozen=True, slots=True)
class Pace:
    """Certificates a second, of all processes together, and the milliseconds of processor time that each took."""

    rate: float
    cpu: float


@contextmanager
def _other_side(name: str, processes: Executor, home: Home) -> Iterator[Callable[[], Pace]]:
    """Yield what measures the other side of a round: a bare loop in the token, or the limit."""
    if name != "softhsm":
        yield lambda: _round(processes, _limit, home.path)
        return
    settings = read_settings(home.settings)
    rooms = open_rooms(home)
    generation = rooms.living(Purpose.SIGNING)[0]
    rooms.close()
    token, pin = ca_token(home, settings)
    label = Pkcs11Uri.parse(generation.key).object or ""
    public = generation.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with looping(token, pin, BareLoop(label, public, checked=False)) as rate:
        yield lambda: Pace(rate(), 0)


def _reach_signing(processes: Executor, home: Home) -> None:
    """Renew the authentication certificates, which come first and are half of all."""
    rooms = open_rooms(home)
    book = rooms.store.campaigns
    while book.campaign(_CAMPAIGN).left > book.campaign(_CAMPAIGN).total / 2:
        _round(processes, _work, home.path)
    rooms.close()


def _round(processes: Executor, task: Callable[[Path], int], home: Path) -> Pace:
    """Run the task in all processes at once."""
    begun = time.perf_counter()
    done = list(processes.map(_timed, [task] * PROCESSES, [home] * PROCESSES))
    made, seconds = (sum(each) for each in zip(*done, strict=True))
    return Pace(made / (time.perf_counter() - begun), 1000 * seconds / made)


def _timed(task: Callable[[Path], int], home: Path) -> tuple[int, float]:
    """Run the task here, and return how many it made and how many seconds of processor time they took."""
    begun = time.process_time()
    return task(home), time.process_time() - begun


def _aged(home: Home, settings: Settings, pairs: int) -> None:
    """Found a home of years ago with so many pairs in their window now, and open the campaign over them."""
    past = system_clock() - _age(settings)
    rooms = found(home, settings, lambda: past, system_randomness)
    numbers = _in_window(rooms, past, pairs)
    for start in range(0, len(numbers), BATCH):
        settle(rooms, "bench", numbers[start : start + BATCH])
    rooms.close()
    present = open_rooms(home)
    present.store.campaigns.open(_horizon(present), LOCAL_OPERATOR, system_clock())
    _prepare_requests(present, numbers)
    present.close()


def _age(settings: Settings) -> timedelta:
    return _AGE if settings.profile == "card-v1" else timedelta(days=int(9.2 * 365.25))


def _in_window(rooms: Rooms, past: datetime, pairs: int) -> list[int]:
    """Return the numbers of sample holders whose certificates, issued in the past, can be renewed now."""
    now = system_clock()
    chosen: list[int] = []
    number = 0
    while len(chosen) < pairs / _STAYING:
        number += 1
        born = sample_holder("bench", number).birth_date
        end = validity(rooms.profile, born, past, renewal=False).not_after
        opens = renewal_opens(rooms.profile, end)
        if born.year < past.year - 16 and end > now + timedelta(days=2) and opens <= day_in_japan(now):
            chosen.append(number)
    return chosen


def _horizon(rooms: Rooms) -> date:
    """Return the last day whose certificates can be renewed now."""
    day = day_in_japan(system_clock()) + timedelta(days=31 * rooms.profile.renewal_months)
    while renewal_opens(rooms.profile, end_of_day(day)) > day_in_japan(system_clock()):
        day -= timedelta(days=1)
    return day


def _prepare_requests(rooms: Rooms, numbers: Sequence[int]) -> None:
    """Make the cards' requests beforehand: in life the cards do."""
    spec = rooms.profile.key
    requests = {
        (sample_code(number), purpose): card_request(spec, next_card_of(spec, number, purpose)).public_bytes(
            Encoding.DER
        )
        for number in numbers
        for purpose in HOLDER_PURPOSES
    }
    (rooms.home.path / "requests").write_bytes(pickle.dumps(requests))


@dataclass(frozen=True, slots=True)
class PreparedRequests:
    """Requests that were made beforehand; see `enroll.campaign.CardRequests`."""

    requests: Mapping[tuple[HolderCode, Purpose], bytes]

    def __call__(self, records: Sequence[CertificateRecord]) -> Mapping[Serial, bytes]:
        """Return those of these certificates."""
        return {record.serial: self.requests[record.holder, record.purpose] for record in records}


@cache
def _worker(home: Path) -> Worker:
    requests = PreparedRequests(pickle.loads((home / "requests").read_bytes()))  # noqa: S301 - our own, of a moment ago
    out = home / "out"
    out.mkdir(exist_ok=True)
    return worker_of(open_rooms(Home.open(home)), requests, BundleFolder(out))


def _work(home: Path) -> int:
    return _worker(home).work(_CAMPAIGN)[0]


# --- what they are measured against --------------------------------------------------------------------------------


@cache
def _signer(home: Path) -> PrivateKey:
    worker = _worker(home)
    issuer = worker.delivery.authority.issuer
    return issuer.keys.signer(issuer.generations(Purpose.SIGNING)[0].key)


@cache
def _requests(home: Path) -> list[bytes]:
    requests = _worker(home).requests
    return list(requests.requests.values())[:BATCH] if isinstance(requests, PreparedRequests) else []


def _limit(home: Path) -> int:
    signer, message = _signer(home), bytes(1400)
    for request in _requests(home):
        sign(signer, message)
        if not x509.load_der_x509_csr(request).is_signature_valid:
            raise ValueError(request)
    return BATCH


# --- the counter ---------------------------------------------------------------------------------------------------


def _counter(home: Home) -> Row:
    """Issue single certificates at the desk, and return the median, in milliseconds."""
    rooms = found(home, Settings(), system_clock, system_randomness)
    rounds = []
    for number in range(1, ROUNDS * 20 + 1):
        holder = sample_holder("bench", number)
        csr = card_request(rooms.profile.key, number)
        csr = x509.load_der_x509_csr(csr.public_bytes(Encoding.DER))
        begun = time.perf_counter()
        rooms.desk.issue(holder, Purpose.AUTHENTICATION, csr, LOCAL_OPERATOR)
        rounds.append((time.perf_counter() - begun) * 1000)
    rooms.close()
    medians = [statistics.median(rounds[start : start + 20]) for start in range(0, len(rounds), 20)]
    shutil.rmtree(home.path)
    return absolute("issue.counter-ms", 30, medians)
