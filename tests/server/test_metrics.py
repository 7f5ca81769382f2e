"""/metrics: what is told, by whichever worker, while things go well and while they do not."""

import http.client
import json
import logging
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from jpki.certificate import HOLDER_PURPOSES
from jpki.errors import JpkiError, Kind
from jpki.text import Text
from server import metrics
from server.app import Door, create_app
from server.home import Home
from server.metrics import Metrics
from server.tally import ONE_IN, Board, Tally
from server.wiring import Rooms, open_rooms
from tests.conftest import PROJECT
from tests.forked import Command
from tests.server.conftest import AgedHome, Town
from tests.server.test_cli_serve import wait_for_url
from tests.server.test_fast_door import request_for, wait_until

NOW = datetime(2026, 4, 1, 3, 2, 1, tzinfo=UTC)
CANARY = "canary-5d1f"

Told = Mapping[str, float]
"""Each sample by its name and labels, as they are written."""


def told(exposition: bytes) -> Told:
    found = {}
    for family in text_string_to_metric_families(exposition.decode()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def asked(rooms: Rooms, doors: Sequence[Door] = tuple(Door)) -> Told:
    answer = create_app(rooms, doors).test_client().get("/metrics")
    assert (answer.status_code, answer.content_type) == (200, "text/plain; version=1.0.0; charset=utf-8")
    return told(answer.data)


@pytest.fixture
def rooms(town: Town) -> Iterator[Rooms]:
    rooms = open_rooms(Home(town.home))
    yield rooms
    rooms.close()


# --- while all is well ---------------------------------------------------------------------------------------------


def test_names_types_and_help_keep_prometheus_conventions(rooms: Rooms) -> None:
    text = create_app(rooms).test_client().get("/metrics").get_data(as_text=True)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert len(families) == 14 - 2  # nobody follows the journal here
    for name, family in families.items():
        assert re.fullmatch(r"jpki(_[a-z]+)+", name)
        assert re.fullmatch(r"[A-Z].*\.", family.documentation)
        counts = {sample.name for sample in family.samples if sample.name.endswith("_total")}
        assert bool(counts) == (family.type == "counter")
    labels = {label for family in families.values() for sample in family.samples for label in sample.labels}
    assert labels == {"version", "door", "status", "outcome", "check", "ca", "generation", "le"}


def test_freshness_is_the_ledgers(rooms: Rooms) -> None:
    found = asked(rooms)
    assert {name: value for name, value in found.items() if name.startswith("jpki_ready")} == {
        f'jpki_ready{{check="{check}"}}': 1.0 for check in ("database", "ocsp", "journal", "crl")
    } | {'jpki_ready{check="tsa"}': 0.0}, "no door was opened, which makes the key that stamps"
    assert found["jpki_journal_head_position"] == rooms.store.journal.since(0, 1).head > 0
    for purpose, generation in zip(HOLDER_PURPOSES, ("s1", "a1"), strict=True):
        (responder,) = rooms.store.delegates.responders(rooms.living(purpose)[0].id)
        ends = responder.certificate.not_valid_after_utc.timestamp()
        labels = f'ca="{purpose}",generation="{generation}"'
        assert found[f"jpki_ocsp_responder_not_after_timestamp_seconds{{{labels}}}"] == ends
        marks = [mark for mark in rooms.store.shelf.marks() if mark.purpose is purpose]
        # The complete one, its delta, the partition's and the ARL.
        assert found[f'jpki_crl_lists{{ca="{purpose}"}}'] == len(marks) + 1 == 4
        earliest = min(mark.next_update for mark in marks).timestamp()
        assert found[f'jpki_crl_next_update_timestamp_seconds{{ca="{purpose}"}}'] == earliest


def test_a_worker_that_follows_the_journal_tells_how_far_and_when(rooms: Rooms) -> None:
    board = Board(["ocsp"])
    Tally(board).heard(0, time.monotonic())
    rooms.responder.start(Tally(board).heard)
    found = told(Metrics.of(rooms, {}, board).exposition())
    assert found["jpki_journal_heard_position"] == found["jpki_journal_head_position"] > 0
    assert 0 <= time.time() - found["jpki_journal_heard_timestamp_seconds"] < 1


@pytest.mark.parametrize(
    ("door", "checks", "lacks"),
    [
        (Door.OCSP, {"database", "ocsp", "journal"}, "jpki_crl|jpki_resident|jpki_express"),
        (Door.CRL, {"database", "crl"}, "jpki_ocsp|jpki_journal|jpki_resident|jpki_express"),
        (Door.CA, {"database"}, "jpki_ocsp|jpki_journal|jpki_crl|jpki_resident|jpki_express"),
    ],
)
def test_a_door_tells_only_what_it_may_read(rooms: Rooms, door: Door, checks: set[str], lacks: str) -> None:
    found = asked(rooms, [door])
    assert set(re.findall(r'check="(\w+)"', " ".join(found))) == checks
    assert set(re.findall(r'door="(\w+)"', " ".join(found))) == {door, "health", "other"}
    assert not re.search(lacks, " ".join(found))


def test_requests_are_counted_by_door_and_status_and_answers_by_outcome(town: Town, rooms: Rooms) -> None:
    client = create_app(rooms).test_client()
    complete = next((town.home / "crl" / "signing").glob("*/complete.crl"))
    path = f"/crl/signing/{complete.parent.name}/complete.crl"
    with client.get(path) as once, client.get(path) as again:
        assert once.data == again.data
    client.get(path, headers={"If-None-Match": again.headers["ETag"]}).close()
    client.get("/ca/nonsense.cer")
    client.post("/ocsp", data=request_for(town.signing))
    client.post("/ocsp", data=b"x")
    client.get("/ocsp/AAAA")
    client.get("/nonsense")
    client.post("/api/v1/verifications")
    found = told(client.get("/metrics").data)
    counted = {name: value for name, value in found.items() if re.match(r"jpki_(http_requests|ocsp)_?.*_total", name)}
    assert {name: value for name, value in counted.items() if value} == {
        'jpki_http_requests_total{door="crl",status="200"}': 2,
        'jpki_http_requests_total{door="crl",status="304"}': 1,
        'jpki_http_requests_total{door="ca",status="404"}': 1,
        'jpki_http_requests_total{door="ocsp",status="200"}': 3,
        'jpki_http_requests_total{door="other",status="404"}': 1,
        'jpki_http_requests_total{door="verify",status="400"}': 1,
        'jpki_ocsp_answers_total{outcome="signed"}': 1,
        'jpki_ocsp_answers_total{outcome="malformedRequest"}': 2,
    }
    assert {
        f'jpki_http_requests_total{{door="{door}",status="{status}"}}' for door in Door for status in (500, 503)
    } < {*counted}
    assert found['jpki_http_request_duration_seconds_count{door="crl"}'] == 3
    assert 0 < found['jpki_http_request_duration_seconds_sum{door="crl"}'] < 5
    assert found['jpki_http_request_duration_seconds_bucket{door="crl",le="+Inf"}'] == 3


# --- while it is not -----------------------------------------------------------------------------------------------


def test_what_is_about_to_end_or_has_ended_shows(aged: AgedHome) -> None:
    rooms = open_rooms(Home(aged.home))
    found = asked(rooms)
    rooms.close()
    ready = {name: value for name, value in found.items() if name.startswith("jpki_ready")}
    assert sorted(name for name, value in ready.items() if not value) == [
        'jpki_ready{check="crl"}',
        'jpki_ready{check="ocsp"}',
        'jpki_ready{check="tsa"}',
    ]
    assert found['jpki_crl_next_update_timestamp_seconds{ca="signing"}'] < time.time()


def test_r07_without_the_database_the_rest_is_told(town: Town, rooms: Rooms) -> None:
    client = create_app(rooms).test_client()
    before = told(client.get("/metrics").data)
    (town.home / "jpki.sqlite").unlink()
    rooms.store.database.close()
    found = told(client.get("/metrics").data)
    assert {name: value for name, value in found.items() if name.startswith("jpki_ready")} == {
        'jpki_ready{check="database"}': 0.0,
        'jpki_ready{check="ocsp"}': 0.0,
        'jpki_ready{check="crl"}': 0.0,
        'jpki_ready{check="tsa"}': 0.0,
        'jpki_ready{check="journal"}': 1.0,
    }
    responder = next(name for name in before if name.startswith("jpki_ocsp_responder"))
    assert found[responder] == before[responder]
    assert found['jpki_http_requests_total{door="health",status="200"}'] == 1
    assert not [name for name in found if name.startswith(("jpki_crl", "jpki_journal"))]


def test_what_hangs_is_neither_waited_for_nor_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "PATIENCE_SECONDS", 0.1)
    begun, over = list[int](), threading.Event()

    def wait() -> None:
        over.wait(20)

    def hang() -> Sequence[Metric]:
        begun.append(1)
        over.wait(20)
        return [GaugeMetricFamily("jpki_late", "Late.", 1)]

    asked = Metrics(board(), {"database": lambda: None, "slow": wait}, [hang], now)
    try:
        at = time.monotonic()
        for _ in range(3):
            found = told(asked.exposition())
            assert found['jpki_ready{check="database"}'] == 1.0
            assert found['jpki_ready{check="slow"}'] == 0.0
            assert "jpki_late" not in found
        assert time.monotonic() - at < 5
        assert len(begun) == 1
    finally:
        over.set()
    wait_until(lambda: told(asked.exposition()).get("jpki_late") == 1.0)
    assert told(asked.exposition())['jpki_ready{check="slow"}'] == 1.0


def board() -> Board:
    board = Board([], rows=1)
    Tally(board)
    return board


def now() -> datetime:
    return NOW


def fail_unexpectedly() -> NoReturn:
    raise ZeroDivisionError(CANARY)


def fail_expectedly() -> NoReturn:
    raise JpkiError(Kind.UNAVAILABLE, "away", Text(CANARY, CANARY), Text(CANARY, CANARY))


def test_r21_a_fault_leaves_out_one_metric_and_is_named_by_its_type(caplog: pytest.LogCaptureFixture) -> None:
    checks = {"broken": fail_unexpectedly, "away": fail_expectedly}
    with caplog.at_level(logging.INFO):
        text = Metrics(board(), checks, [fail_unexpectedly, fail_expectedly], now).exposition()
    assert {name: value for name, value in told(text).items() if "ready" in name} == {
        'jpki_ready{check="broken"}': 0.0,
        'jpki_ready{check="away"}': 0.0,
    }
    assert [record.getMessage() for record in caplog.records] == ["metrics: unexpected ZeroDivisionError"] * 2
    assert CANARY not in text.decode()


# --- served by two workers -----------------------------------------------------------------------------------------

FAST = ("--door", "ocsp", "--fast")


@contextmanager
def served(command: Path, home: Path, *words: str) -> Iterator[tuple[Command, str, list[str]]]:
    """Serve the home by two workers: the process, the address, and the lines of its log as they come."""
    line: list[str | Path] = ["serve", "--home", home, "--port", "0", "--lang", "en", "--workers", "2", *words]
    with Command(command, *line) as process:
        try:
            url = wait_for_url(process).url
            log: list[str] = []
            reader = threading.Thread(target=log.extend, args=(process.stderr,))
            reader.start()
            wait_until(lambda: len(workers(process)) == 2)
            yield process, url.removeprefix("http://"), log
        finally:
            process.terminate()
            process.wait(20)
            reader.join()


def workers(process: Command) -> list[int]:
    return list(map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii").split()))


def ask(address: str, times: int, path: str, body: bytes | None = None) -> bytes:
    """Ask so often on one connection, and return the last answer."""
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        for _ in range(times):
            connection.request("GET" if body is None else "POST", path, body)
            answer = connection.getresponse().read()
    finally:
        connection.close()
    return answer


def scraped(address: str) -> Told:
    return told(ask(address, 1, "/metrics"))


def answered(found: Told) -> Mapping[str, int]:
    """How many requests each door had."""
    sums: dict[str, int] = {}
    for name, value in found.items():
        if match := re.match(r'jpki_http_requests_total\{door="(\w+)"', name):
            sums[match[1]] = sums.get(match[1], 0) + int(value)
    return {door: count for door, count in sums.items() if count}


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), FAST], ids=["plain", "fast"])
def test_counts_are_exact_and_outlive_every_worker(town: Town, installed: Path, words: tuple[str, ...]) -> None:
    body = request_for(town.signing)
    with served(installed, town.home, *words) as (process, address, _), ThreadPoolExecutor(8) as clients:

        def load(times: int) -> None:
            list(clients.map(lambda _: ask(address, times, "/ocsp", body), range(16)))

        load(50)
        before = scraped(address)
        assert answered(before) == {"ocsp": 800}
        outcomes = [before[f'jpki_ocsp_answers_total{{outcome="{each}"}}'] for each in ("kept", "signed")]
        assert sum(outcomes) == 800
        assert outcomes[0] >= 700
        victim, other = workers(process)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(workers(process)) == 2 and victim not in workers(process))
        scrapes = 1
        after = scraped(address)
        assert answered(after) == {"ocsp": 800, "health": scrapes}
        load(10)
        process.send_signal(signal.SIGHUP)  # all workers anew
        wait_until(lambda: len(workers(process)) == 2 and other not in workers(process))
        assert answered(scraped(address)) == {"ocsp": 960, "health": scrapes + 1}
        found = scraped(address)
        assert found['jpki_http_request_duration_seconds_count{door="ocsp"}'] == 960
        wait_until(lambda: time.time() - scraped(address)["jpki_journal_heard_timestamp_seconds"] < 1)


@pytest.mark.slow
def test_of_a_worker_that_is_stopped_the_journal_is_not_heard(town: Town, installed: Path) -> None:
    with served(installed, town.home, *FAST) as (process, address, _):
        stopped, _ = workers(process)
        # Once it follows the journal it has a thread for that, and wrote down what it heard.
        wait_until(lambda: len(list(Path(f"/proc/{stopped}/task").iterdir())) > 1)
        os.kill(stopped, signal.SIGSTOP)
        try:
            # The kernel gives some connections to the stopped one, which takes none.
            time.sleep(3)
            with ThreadPoolExecutor(16) as clients:
                found = next(filter(None, clients.map(lambda _: scraped_or_none(address), range(16))))
            assert 2 < time.time() - found["jpki_journal_heard_timestamp_seconds"] < 20
        finally:
            os.kill(stopped, signal.SIGCONT)
        wait_until(lambda: time.time() - scraped(address)["jpki_journal_heard_timestamp_seconds"] < 1)


def scraped_or_none(address: str) -> Told | None:
    connection = http.client.HTTPConnection(address, timeout=4)
    try:
        connection.request("GET", "/metrics")
        return told(connection.getresponse().read())
    except OSError:
        return None
    finally:
        connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), FAST], ids=["plain", "fast"])
def test_open_connections_are_counted(town: Town, installed: Path, words: tuple[str, ...]) -> None:
    with served(installed, town.home, *words) as (_, address, _log):
        host, port = address.split(":")
        kept = [socket.create_connection((host, int(port))) for _ in range(5)]
        for connection in kept:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(1000)
        wait_until(lambda: scraped(address)["jpki_http_connections"] >= 5)
        for connection in kept:
            connection.close()
        wait_until(lambda: scraped(address)["jpki_http_connections"] <= 2)


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), FAST], ids=["plain", "fast"])
def test_r21_the_log_and_the_metrics_repeat_nothing_of_a_request(
    town: Town, installed: Path, words: tuple[str, ...]
) -> None:
    odd = [("GET", f"/{CANARY}?{CANARY}"), ("GET", f"/ocsp/{CANARY}"), ("POST", f"/ocsp?{CANARY}")]
    with served(installed, town.home, *words) as (_, address, log):
        host, port = address.split(":")
        connection = http.client.HTTPConnection(address, timeout=20)
        for _ in range(2 * ONE_IN):
            for method, path in odd:
                connection.request(method, path, CANARY if method == "POST" else None, {"X-Name": CANARY})
                connection.getresponse().read()
        connection.close()
        with socket.create_connection((host, int(port)), timeout=20) as broken:
            broken.sendall(f"GET / HTTP/1.1\r\n{CANARY} : x\r\n\r\n".encode())
            assert broken.recv(65536).startswith(b"HTTP/1.1 400 ")
        text = ask(address, 1, "/metrics").decode()
    assert answered(told(text.encode())) == {"other": 2 * ONE_IN + 1, "ocsp": 4 * ONE_IN}
    assert told(text.encode())['jpki_http_requests_total{door="other",status="400"}'] == 1
    assert CANARY not in text
    assert CANARY not in "".join(log)
    lines = [json.loads(line) for line in log if line.startswith("{")]
    assert len(lines) == 6
    assert {line["door"] for line in lines} <= {"ocsp", "other"}
    assert {line["client"] for line in lines} == {"127.0.0.1"}


# --- alerts --------------------------------------------------------------------------------------------------------


def test_alerts_are_about_metrics_that_there_are_and_say_what_to_do(rooms: Rooms) -> None:
    board = Board(list(Door))
    Tally(board).heard(0, time.monotonic())
    given = {name.partition("{")[0] for name in told(Metrics.of(rooms, {"database": lambda: None}, board).exposition())}
    rules = (PROJECT / "deploy/prometheus/alerts.yml").read_text("utf-8")
    assert set(re.findall(r"jpki_\w+", rules)) <= given
    alerts, manual = re.findall(r"- alert: (\w+)", rules), (PROJECT / "docs/operations.md").read_text("utf-8")
    assert len(alerts) >= 5
    assert re.findall(r"runbook: docs/operations.md#what-to-watch", rules) == [
        "runbook: docs/operations.md#what-to-watch"
    ] * len(alerts)
    assert "## What to watch" in manual
    for alert in alerts:
        assert f"`{alert}`" in manual
