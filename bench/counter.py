"""The counter: whole issue flows by fifty clerks at once, and a day's PIN resets by the hour, without a network.

A flow is five requests by two clerks (open, check of identity, approval, issue, delivery) for one authentication
certificate; what it is measured against issues and delivers as many without the office, at the desk, from as many
threads. Both on SQLite with synchronous FULL. The register is in memory; requests are made beforehand, as cards do.
"""

import base64
import gc
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from threading import Semaphore
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask
from werkzeug.test import run_wsgi_app

from bench.rows import Row, absolute, ratio
from hsm_adapter.software import generate
from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import Purpose
from jpki.clerk import Role
from jpki.clock import iso, system_clock
from jpki.counter import CounterCode
from jpki.delegate import DelegateKind
from jpki.errors import JpkiError
from jpki.ids import HolderCode, Serial
from jpki.randomness import system_randomness
from jpki.resident import Resident, taken_at_word
from jpki.signature import KeySpec
from server.app import Door, create_app
from server.founding import found
from server.home import Home
from server.processes import pool
from server.sample.holders import CODE_PREFIX, sample_code, sample_holder
from server.sample.keys import card_request
from server.settings import Settings, read_settings
from server.wiring import Rooms, assemble, database_of, keys_of, store_of

PROCESSES, CLERKS = 2, 50
ROUNDS, FLOWS = 3, 3
"""How often both sides are measured, and how many flows each clerk does then."""
RESETS_A_DAY, OPEN_HOURS = 150_000, 8
BY_HOUR: Mapping[int, float] = {9: 0.15, 10: 0.17, 11: 0.15, 12: 0.09, 13: 0.13, 14: 0.12, 15: 0.11, 16: 0.08}
"""Of a day's resets those of each hour: a rush in the morning and a dip at noon. Assumed; no figures are public."""
OFFERED_SECONDS = 5
"""How long each hour's rate is kept up."""
_TOWN = CounterCode("131016")
_V1 = "/api/v1"
_PROXY = "127.0.0.1"
_AT_ONE = CLERKS // PROCESSES
_TURNS = Semaphore(8)
"""A worker has so many threads (server/wsgi.py); the other clerks' requests wait their turn."""


def rows() -> Iterator[Row]:
    """Measure flows, their slowest hundredth, and PIN resets."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        found(Home(home), Settings(), system_clock, system_randomness).close()
        with pool(PROCESSES) as processes:
            _side(processes, home, _warm, 0)
            block = itertools.count(1)
            flows, alone, resets, slowest = [], [], [], []
            waits: dict[int, list[float]] = {hour: [] for hour in BY_HOUR}
            for _ in range(ROUNDS):
                rate, times = _side(processes, home, _flows, next(block))
                flows.append(rate)
                slowest.append(_hundredth(times) * 1000)
                alone.append(_side(processes, home, _desk, next(block))[0])
                resets.append(_side(processes, home, _resets, next(block))[0])
                for hour, share in BY_HOUR.items():
                    offered = partial(_offered, share * RESETS_A_DAY / 3600 / PROCESSES)
                    waits[hour].append(_hundredth(_side(processes, home, offered, next(block))[1]) * 1000)
    yield ratio("counter.flows", 0.5, flows, {"desk": alone})
    yield absolute("counter.flow-p99-ms", 10_000, slowest)
    needed = RESETS_A_DAY / (OPEN_HOURS * 3600)
    worst = [max(those) for those in zip(*waits.values(), strict=True)]
    beside = {f"{hour} h, {share * RESETS_A_DAY / 3600:.1f}/s": waits[hour] for hour, share in BY_HOUR.items()}
    yield absolute("counter.pin-reset-p99-ms", 3_000, worst, beside)
    yield ratio("counter.pin-resets", 3.0, resets, {"a day's mean": [needed] * ROUNDS})


@dataclass(frozen=True, slots=True)
class Samples:
    """A register in which the sample holders are."""

    def resident(self, code: HolderCode) -> Resident:
        """Return the sample holder of that number."""
        holder = sample_holder("counter", int(code.removeprefix(CODE_PREFIX)))
        return taken_at_word(holder)

    def each_resident(self, codes: Collection[HolderCode]) -> Mapping[HolderCode, Resident | JpkiError]:
        """Return the sample holders of those numbers."""
        return {code: self.resident(code) for code in codes}


@dataclass(frozen=True, slots=True)
class Office:
    """An app in this process, and its clerks."""

    rooms: Rooms
    app: Flask
    clerks: Sequence[str]
    """For each the header Client-Cert by which a proxy tells of the certificate."""

    def post(self, clerk: int, path: str, body: object) -> Any:  # noqa: ANN401 - JSON
        """Send one request as a server hands it on (PEP 3333), and return what it told.

        What a client does for its request is done on its own machine, and so is left out.
        """
        octets = json.dumps(body).encode()
        environ = {
            "REQUEST_METHOD": "POST",
            "SCRIPT_NAME": "",
            "PATH_INFO": _V1 + path,
            "QUERY_STRING": "",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(octets)),
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": _PROXY,
            "HTTP_HOST": "localhost",
            "HTTP_CLIENT_CERT": self.clerks[clerk],
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(octets),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        with _TURNS:
            answer, status, _ = run_wsgi_app(self.app, environ, buffered=True)
        told = b"".join(answer).decode()
        if status not in {"200 OK", "201 CREATED"}:
            raise ValueError(told)
        return json.loads(told)


@cache
def _office(path: Path) -> Office:
    home = Home.open(path)
    settings = read_settings(home.settings).model_copy(update={"client_cert_proxy": (_PROXY,)})
    keys = keys_of(home, settings)
    store = store_of(database_of(home, settings), keys, system_randomness)
    rooms = assemble(home, settings, keys, store, system_clock, system_randomness, Samples())
    office = Office(rooms, create_app(rooms, [Door.API]), [_clerk(rooms) for _ in range(_AT_ONE)])
    # As a worker does when it has loaded (server/wsgi.py).
    gc.freeze()
    return office


def _clerk(rooms: Rooms) -> str:
    """Hire a clerk, and return the header by which a proxy tells of the certificate."""
    roles = {_TOWN: frozenset({Role.RECEPTION, Role.APPROVAL})}
    clerk = rooms.store.clerks.add("x", roles, LOCAL_OPERATOR, rooms.clock())
    root = rooms.living(Purpose.INFRASTRUCTURE)[0]
    key = generate(KeySpec.P256).public_key()
    certificate = rooms.delegation.client(root, key, DelegateKind.CLERK, clerk, LOCAL_OPERATOR)
    serial = Serial(certificate.serial_number)
    rooms.store.clerks.certify(clerk, serial, LOCAL_OPERATOR, rooms.clock(), alone=False)
    return f":{base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()}:"


_Task = tuple[Path, int]
"""A home, and the number of the block of holders that a process takes."""
_Made = tuple[float, Sequence[float]]
"""From the first beginning to the last end, and each flow's own seconds."""


def _warm(task: _Task) -> _Made:
    _office(task[0])
    return 1.0, [1.0]


def _flows(task: _Task) -> _Made:
    office, requests = _office(task[0]), _requests(task)
    card = {"number": "c-1", "not_after": iso(system_clock().replace(year=system_clock().year + 9)), "mode": "ordinary"}

    def flow(clerk: int, number: int, csr: x509.CertificateSigningRequest) -> None:
        body = {"kind": "new", "counter": _TOWN, "holder": sample_code(number), "purposes": ["authentication"]}
        case = f"/cases/{office.post(clerk, '/cases', body | _parent(number))['number']}"
        office.post(clerk, f"{case}/identity-check", {"card": card})
        office.post((clerk + 1) % _AT_ONE, f"{case}/approval", {})
        encoded = base64.b64encode(csr.public_bytes(Encoding.DER)).decode()
        office.post(clerk, f"{case}/issuance", {"requests": {"authentication": encoded}})
        office.post(clerk, f"{case}/delivery", {})

    return _timed(flow, requests)


def _parent(number: int) -> dict[str, object]:
    """Return who applies: with sample holders under 15 a parent, with proof."""
    born = sample_holder("counter", number).birth_date
    young = born.year > system_clock().year - 16
    return {"applicant": "legal-proxy", "documents": ["legal-proof"]} if young else {}


def _desk(task: _Task) -> _Made:
    office, requests = _office(task[0]), _requests(task)

    def flow(_: int, number: int, csr: x509.CertificateSigningRequest) -> None:
        holder = sample_holder("counter", number)
        with _TURNS:
            office.rooms.desk.issue(holder, Purpose.AUTHENTICATION, csr, LOCAL_OPERATOR)

    return _timed(flow, requests)


def _resets(task: _Task) -> _Made:
    office = _office(task[0])
    return _timed(lambda clerk, number, _: _reset(office, clerk, number), _numbers(task))


def _reset(office: Office, clerk: int, number: int) -> None:
    card = {"number": "c-1", "not_after": iso(system_clock().replace(year=system_clock().year + 9)), "mode": "ordinary"}
    body = {"kind": "pin-reset", "counter": _TOWN, "holder": sample_code(number), "purposes": ["authentication"]}
    case = f"/cases/{office.post(clerk, '/cases', body)['number']}"
    office.post(clerk, f"{case}/identity-check", {"card": card})
    office.post(clerk, f"{case}/completion", {})


def _offered(rate: float, task: _Task) -> _Made:
    """Let so many holders a second come, whether those before them are served or not; time counts from their coming."""
    office, times = _office(task[0]), list[float]()

    def serve(clerk: int, number: int, came: float) -> None:
        _reset(office, clerk, number)
        times.append(time.perf_counter() - came)

    begun = time.perf_counter()
    with ThreadPoolExecutor(_AT_ONE) as threads:
        served = []
        for place, number in enumerate(itertools.islice(_numbers(task), round(rate * OFFERED_SECONDS))):
            came = begun + place / rate
            time.sleep(max(0.0, came - time.perf_counter()))
            served.append(threads.submit(serve, place % _AT_ONE, number, came))
        for each in served:
            each.result()
    return time.perf_counter() - begun, times


def _numbers(task: _Task) -> dict[int, None]:
    first = task[1] * _AT_ONE * FLOWS + 1
    return dict.fromkeys(range(first, first + _AT_ONE * FLOWS))


def _requests(task: _Task) -> dict[int, x509.CertificateSigningRequest]:
    spec = _office(task[0]).rooms.profile.key
    return {number: card_request(spec, number) for number in _numbers(task)}


def _timed(flow: Callable[[int, int, Any], None], wanted: Mapping[int, object]) -> _Made:
    """Let each clerk do its share, one after the other, all clerks at once."""
    shares = [list(wanted.items())[clerk::_AT_ONE] for clerk in range(_AT_ONE)]
    times: list[float] = []

    def work(clerk: int) -> None:
        for number, csr in shares[clerk]:
            begun = time.perf_counter()
            flow(clerk, number, csr)
            times.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    with ThreadPoolExecutor(_AT_ONE) as threads:
        list(threads.map(work, range(_AT_ONE)))
    return time.perf_counter() - begun, times


def _side(processes: Executor, home: Path, task: Callable[[_Task], _Made], block: int) -> tuple[float, Sequence[float]]:
    """Run a task in all processes at once; return how many flows a second they did together, and each one's time."""
    made = list(processes.map(task, [(home, PROCESSES * block + number) for number in range(PROCESSES)]))
    times = [each for _, those in made for each in those]
    return len(times) / max(seconds for seconds, _ in made), times


def _hundredth(times: Sequence[float]) -> float:
    return sorted(times)[-max(1, len(times) // 100)]
