"""The access log: which requests have a line, and what it tells and does not tell of them (rule R21)."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any, NoReturn

import pytest
from flask.testing import FlaskClient

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from ocsp.responder import Outcome
from server.app import Door, create_app
from server.home import Home
from server.tally import ONE_IN, Board, Tally
from server.watch import MOST_LINES, Exchange, Lines, Watch
from server.wiring import Rooms, open_rooms

NOW = datetime(2026, 4, 1, 3, 2, 1, tzinfo=UTC)
CANARY = "canary-5d1f"
LINE = {
    "time": "2026-04-01T03:02:01Z",
    "door": "ocsp",
    "route": "/ocsp",
    "method": "POST",
    "status": 503,
    "octets": 900,
    "seconds": 0.000012,
    "outcome": "kept",
    "client": "192.0.2.7",
}


def exchange(method: str = "POST", status: int = 503) -> Exchange:
    return Exchange(
        door="ocsp",
        route="/ocsp",
        method=method,
        status=status,
        octets=900,
        seconds=0.0000123,
        outcome=Outcome.KEPT if status == 200 else None,
        client="192.0.2.7",
    )


def test_a_line_is_one_json_object() -> None:
    lines: list[str] = []
    Watch(Tally(Board(["ocsp"], rows=1)), lambda: NOW, lines.append).log(exchange(status=200))
    assert lines[0].endswith("}\n")
    assert json.loads(lines[0]) == LINE | {"status": 200}


@pytest.mark.parametrize("method", ["", CANARY, "get", "カナリア"])
def test_r21_a_method_that_a_client_made_up_is_not_repeated(method: str) -> None:
    lines: list[str] = []
    Watch(Tally(Board(["ocsp"], rows=1)), lambda: NOW, lines.append).log(exchange(method))
    assert json.loads(lines[0]) == LINE | {"method": "other", "outcome": None}


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    def fail(_: str) -> NoReturn:
        raise BrokenPipeError

    board = Board(["ocsp"], rows=1)
    Watch(Tally(board), lambda: NOW, fail).note(exchange())
    assert sum(total.count for _, total in board.totals()) == 1


def test_a_log_that_nobody_reads_stops_nobody_and_tells_later_what_it_lacks() -> None:
    reading, writing = os.pipe()
    line, most = "x" * 99 + "\n", MOST_LINES + 5000
    with os.fdopen(reading) as read, os.fdopen(writing, "w") as stream:
        lines = Lines(stream)
        for _ in range(most):
            lines.write(line)  # a pipe holds some 650 of them
        told = Thread(target=lines.close)
        told.start()
        seen = dropped = 0
        while seen + dropped < most:
            found = read.readline()
            seen += found == line
            dropped += 0 if found == line else json.loads(found)["dropped"]
        told.join()
    assert MOST_LINES <= seen < most


def test_threads_count_exactly() -> None:
    board, lines = Board(["ocsp"], rows=1), list[str]()
    watch = Watch(Tally(board), lambda: NOW, lines.append)
    with ThreadPoolExecutor(8) as threads:
        for _ in threads.map(watch.note, [exchange(status=200)] * 20_000):
            pass
    assert sum(total.count for _, total in board.totals()) == 20_000
    assert len(lines) == 20_000 // ONE_IN


# --- at the plain doors --------------------------------------------------------------------------------------------


@pytest.fixture
def rooms(home: Path) -> Iterator[Rooms]:
    rooms = open_rooms(Home(home))
    yield rooms
    rooms.close()


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def client(rooms: Rooms, lines: list[str]) -> FlaskClient:
    app = create_app(rooms, list(Door), Watch(Tally(Board(list(Door), rows=1)), lambda: NOW, lines.append))

    @app.get("/fail/<kind>/<text>")
    def fail(kind: str, text: str) -> NoReturn:
        if kind == "crash":
            raise ZeroDivisionError(text)
        raise JpkiError(Kind(kind), "some-code", Text(text, text), Text(text, text))

    return app.test_client()


def told(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(("kind", "status"), [("crash", 500), (Kind.INTERNAL, 500), (Kind.UNAVAILABLE, 503)])
def test_r21_each_failure_has_a_line_that_names_its_route_only(
    client: FlaskClient, lines: list[str], kind: str, status: int
) -> None:
    for _ in range(3):
        answer = client.get(f"/fail/{kind}/{CANARY}?q={CANARY}", headers={"X-Name": CANARY})
    (line, *more) = told(lines)
    assert len(more) == 2
    assert (line["door"], line["route"], line["status"]) == ("other", "/fail/<kind>/<text>", status)
    assert line["octets"] == len(answer.data)
    assert line["client"] == "127.0.0.1"
    assert CANARY not in "".join(lines)


@pytest.mark.parametrize(
    ("method", "path", "door", "route"),
    [
        ("GET", f"/ocsp/{CANARY}", "ocsp", "/ocsp/<path:encoded>"),
        ("POST", f"/ocsp?{CANARY}", "ocsp", "/ocsp"),
        ("GET", f"/crl/signing/s1/{CANARY}.crl", "crl", "/crl/<ca>/<generation>/<partition>.crl"),
        ("GET", f"/ca/{CANARY}.cer", "ca", "/ca/<ca>.cer"),
        ("POST", f"/verify?{CANARY}", "verify", "/verify"),
        ("GET", f"/livez?{CANARY}", "health", "/livez"),
        ("HEAD", "/metrics", "health", "/metrics"),
        ("GET", f"/{CANARY}", "other", "other"),
        ("DELETE", f"/ocsp/{CANARY}", "other", "other"),
    ],
)
def test_r21_one_request_in_a_hundred_has_a_line_without_what_it_asked(
    client: FlaskClient, lines: list[str], method: str, path: str, door: str, route: str
) -> None:
    for _ in range(ONE_IN - 1):
        client.open(path, method=method, data=CANARY)
    assert lines == []
    answer = client.open(path, method=method, data=CANARY)
    (line,) = told(lines)
    assert (line["door"], line["route"], line["method"], line["status"]) == (door, route, method, answer.status_code)
    assert line["octets"] == len(answer.data)
    assert CANARY not in lines[0]


def test_the_line_of_an_ocsp_answer_says_how_it_came_about(client: FlaskClient, lines: list[str]) -> None:
    for _ in range(ONE_IN):
        client.post("/ocsp", data=b"x")
    assert told(lines)[0]["outcome"] == "malformedRequest"
