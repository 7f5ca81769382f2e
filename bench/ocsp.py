"""OCSP: answers a second, of nginx and of other responders; how that stands as the ledger grows; how soon answers come.

The product is `jpki serve --door ocsp --fast --workers 2`, a child process with all its checks and headers. Its home
holds 100,000 certificates; some are revoked each second, and a client of the bench's own checks a sample of the answers
meanwhile: a wrong one ends the bench. wrk loads one side after the other within a round. "Pre-signed" is asked without
a nonce, half by POST and half by GET, or all by POST as cfssl is; "signing" by POST, a fresh nonce in each request.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from http.client import HTTPConnection
from itertools import islice
from math import ceil
from pathlib import Path

from bench import servers
from bench.answers import a_connection_to_each_worker, life, require_good, seen_everywhere
from bench.questions import NONCE_OCTETS, Question, filled, posted, posted_and_got, questions
from bench.rows import Row, absolute, ratio
from bench.wrk import SECONDS, Requests, load
from jpki.certificate import Purpose
from jpki.randomness import system_randomness
from server.wiring import Rooms

ROUNDS = 7
WARM_UP = 6
"""How often each question is asked before the first round: nearly every worker has met nearly every one then."""
CERTIFICATES, ASKED = 100_000, 20_000
SMALL, LARGE, ASKED_OF_LARGE = 10_000, 1_000_000, 100_000
COLD_SECONDS = 2
"""Short enough that hardly a certificate of the small ledger is asked about twice."""
REVOCATIONS = 40
"""How many revocations are timed in a round."""

OPENSSL_CONNECTIONS = 8
"""It serves one connection at a time in each process, and keeps few waiting."""
_OURS, _POST, _SIGNING = "ours", "ours, by POST", "ours, signing"

Rate = Callable[[], float]
"""Loads one side for some seconds, and returns its answers a second."""


def rows() -> Iterator[Row]:
    """Measure each row whose programs are installed, and name the others."""
    with tempfile.TemporaryDirectory() as folder:
        if _is_installed("wrk", "all rows but ocsp.visible-ms"):
            yield from _rates(Path(folder))
            yield _growth(Path(folder))
        yield _visible(Path(folder))


def _is_installed(name: str, without: str) -> bool:
    if servers.program(name) is not None:
        return True
    sys.stdout.write(f"- {without}: skipped, for {name} is not installed\n")
    return False


# --- answers a second ----------------------------------------------------------------------------------------------


def _rates(folder: Path) -> Iterator[Row]:
    with ExitStack() as running:
        rooms = filled(folder / "home", CERTIFICATES)
        running.callback(rooms.close)
        asked = questions(rooms, ASKED)
        of_one = [each for each in asked if each.generation.purpose is Purpose.SIGNING]
        presigned = Requests.written(folder / "presigned", posted_and_got(asked))
        by_post = Requests.written(folder / "by-post", [posted(each.der()) for each in asked])
        signing = _with_nonce(folder / "signing", of_one)
        port, workers = running.enter_context(servers.jpki(rooms.home.path))
        sides = {_OURS: _rate(port, presigned), _POST: _rate(port, by_post), _SIGNING: _rate(port, signing)}
        if _is_installed("nginx", "ocsp.presigned, ocsp.signing"):
            static = Requests.written(
                folder / "static", [b"GET /answer.der HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"] * ASKED
            )
            sides["nginx"] = _rate(running.enter_context(servers.nginx(folder, _answer(rooms, asked[0]))), static)
        if _is_installed("cfssl", "ocsp.presigned-vs-cfssl"):
            answers = [_answer(rooms, each) for each in asked]
            cfssl = running.enter_context(servers.cfssl(folder, answers))
            require_good(asked[0], [HTTPConnection("127.0.0.1", cfssl)])
            sides["cfssl"] = _rate(cfssl, by_post)
        if _is_installed("openssl", "ocsp.signing-vs-openssl"):
            sides["openssl"] = _rate_of_openssl(folder, rooms, of_one, signing)
        running.enter_context(life(rooms, asked, port, workers))
        _warm_up(port, presigned)
        rates = _in_turns(sides)
        yield from _ratios(rates)
        yield _p99(port, presigned, statistics.median(rates[_OURS]) / 2)


def _warm_up(port: int, requests: Requests) -> None:
    asked = 0.0
    while asked < WARM_UP * ASKED:
        asked += load(port, requests).rate * SECONDS


def _rate_of_openssl(folder: Path, rooms: Rooms, asked: Sequence[Question], signing: Requests) -> Rate:
    def rate() -> float:
        with servers.openssl(folder, rooms, asked) as port:
            require_good(asked[0], [HTTPConnection("127.0.0.1", port)])
            return load(port, signing, connections=OPENSSL_CONNECTIONS).rate

    return rate


def _ratios(rates: Mapping[str, Sequence[float]]) -> Iterator[Row]:
    for name, target, ours, yardstick in (
        ("ocsp.presigned", 0.30, _OURS, "nginx"),
        ("ocsp.presigned-vs-cfssl", 2.0, _POST, "cfssl"),
        ("ocsp.signing", 0.15, _SIGNING, "nginx"),
        ("ocsp.signing-vs-openssl", 2.0, _SIGNING, "openssl"),
    ):
        if yardstick in rates:
            yield ratio(name, target, rates[ours], {yardstick: rates[yardstick]})


def _growth(folder: Path) -> Row:
    """Ask ledgers of both sizes with a nonce, by servers newly started in each round: they know nothing yet."""
    with ExitStack() as running:
        sides: dict[str, Rate] = {}
        for name, size, count in (("ours", LARGE, ASKED_OF_LARGE), ("of 10k", SMALL, SMALL)):
            rooms = filled(folder / str(size), size)
            running.callback(rooms.close)
            asked = questions(rooms, count)
            sides[name] = _cold_rate(rooms, asked, _with_nonce(folder / f"{size}-asked", asked))
        rates = _in_turns(sides)
    return ratio("ocsp.growth", 0.85, rates["ours"], {"of 10k": rates["of 10k"]})


def _cold_rate(rooms: Rooms, asked: Sequence[Question], requests: Requests) -> Rate:
    def rate() -> float:
        with (
            servers.jpki(rooms.home.path) as (port, workers),
            a_connection_to_each_worker(port, workers) as connections,
        ):
            measured = load(port, requests, seconds=COLD_SECONDS).rate
            require_good(asked[0], connections)
        return measured

    return rate


def _with_nonce(file: Path, asked: Sequence[Question]) -> Requests:
    nonce = system_randomness(NONCE_OCTETS)
    return Requests.written(file, [posted(each.der(nonce)) for each in asked], fresh_nonce=True)


def _answer(rooms: Rooms, question: Question) -> bytes:
    return rooms.responder.answer("POST", "", {}, question.der()).body


def _rate(port: int, requests: Requests) -> Rate:
    return lambda: load(port, requests).rate


def _in_turns(sides: Mapping[str, Rate]) -> Mapping[str, Sequence[float]]:
    """Load one side after the other, round by round; the first round does not count."""
    rounds = [{name: rate() for name, rate in sides.items()} for _ in range(1 + ROUNDS)][1:]
    return {name: [each[name] for each in rounds] for name in sides}


# --- how soon answers come -----------------------------------------------------------------------------------------


def _p99(port: int, requests: Requests, per_second: float) -> Row:
    loads = [load(port, requests, per_second=per_second) for _ in range(ROUNDS)]
    raw = {"answers/s": [each.rate for each in loads]}
    return absolute("ocsp.p99-ms", 10, [each.p99_ms for each in loads], raw)


def _visible(folder: Path) -> Row:
    """Revoke one after the other, after pauses of random length, and ask every worker until all say so."""
    rooms = filled(folder / "visible", SMALL)
    asked = iter(questions(rooms, SMALL // 2))
    with servers.jpki(rooms.home.path) as (port, workers), a_connection_to_each_worker(port, workers) as connections:
        rounds = []
        for _ in range(ROUNDS):
            seen = []
            for question in islice(asked, REVOCATIONS):
                time.sleep(system_randomness(1)[0] / 2000)
                seen.append(seen_everywhere(rooms, question, connections))
            rounds.append(nearest_rank(seen, 0.99))
    rooms.close()
    return absolute("ocsp.visible-ms", 300, rounds)


def nearest_rank(values: Sequence[float], share: float) -> float:
    """Return the smallest of the values that this share of them does not exceed."""
    return sorted(values)[ceil(share * len(values)) - 1]
