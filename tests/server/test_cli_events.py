"""`jpki events`: a file of events comes in, works, and leaves no trace of a person."""

import json
import signal
import subprocess
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from jpki.clock import iso, system_clock
from jpki.resident_event import EventState
from server.home import Home
from server.wiring import open_rooms
from tests.server.conftest import Town, serial_in
from tests.server.console import Jpki, Word
from tests.server.test_cli_serve import serving

CANARY = "CANARY花子"


def line(sequence: int, holder: str = "H-0001", kind: str = "moved", **more: object) -> str:
    fields = {"source": "131016", "sequence": sequence, "kind": kind, "holder": holder}
    return json.dumps(fields | {"effective_at": iso(system_clock() + timedelta(seconds=1))} | more)


def file_of(folder: Path, *lines: str) -> Path:
    file = folder / "events.jsonl"
    file.write_text("\n".join(lines), "utf-8")
    return file


@pytest.mark.slow
def test_r21_a_move_ends_the_signing_certificate_and_a_notice_tells_of_it(
    jpki: Jpki, town: Town, tmp_path: Path
) -> None:
    good = line(1)
    file = file_of(tmp_path, good, line(2, name=CANARY), line(3, holder="X-0404"), line(1, kind="died"), CANARY)
    answer = jpki("events", "import", file, "--home", town.home, "--json")
    assert answer.code == 1
    assert "line 2:" in answer.err
    assert "line 5:" in answer.err
    told = json.loads(answer.out)
    assert (told["lines"], told["new"], told["contradicting"], told["wrong"]) == (5, 2, 1, 2)
    assert [each["line"] for each in told["wrong_lines"]] == [2, 5]
    again = jpki.judged(1, "events", "import", file, "--home", town.home)
    assert (again["new"], again["repeated"]) == (0, 3)
    run = jpki("events", "run", "--workers", "1", "--home", town.home)
    while run.code == 75:
        run = jpki("events", "run", "--workers", "1", "--home", town.home)
    assert run.code == 0, run.err
    assert jpki.done("status", serial_in(town.signing), "--home", town.home)["reason"] == "affiliationChanged"
    assert jpki.done("status", serial_in(town.authentication), "--home", town.home)["state"] == "active"
    work = jpki.done("events", "list", "--home", town.home)["events"]
    assert [(each["sequence"], each["doubt"]) for each in work] == [(3, "holder-unknown"), (1, "sequence-reused")]
    (notice,) = jpki.done("events", "notices", "--home", town.home)["notices"]
    assert notice["serials"] == [serial_in(town.signing)]
    settle = ["events", "settle", str(work[0]["number"]), "--as", "ignored", "--because", "no-such-holder"]
    jpki.done(*settle, "--home", town.home)
    status = jpki.done("events", "status", "--home", town.home)
    assert status["counts"] == {"waiting": 0, "taken": 0, "done": 1, "refused": 1, "ignored": 1}
    assert status["sources"] == [{"source": "131016", "highest": 3, "missing": 2}]
    assert jpki.done("events", "replay", "131016", "--from", "1", "--home", town.home)["count"] == 1
    seen = answer.out + answer.err + run.out + run.err
    octets = b"".join(each.read_bytes() for each in town.home.rglob("*") if each.is_file())
    for trace in (CANARY, CANARY.removeprefix("CANARY"), json.dumps(CANARY)[1:-1]):
        assert trace not in seen
        assert trace.encode() not in octets


def test_r21_why_is_of_a_closed_list_and_an_event_must_be_there(jpki: Jpki, home: Path) -> None:
    settle: list[Word] = ["events", "settle", "1", "--as", "done", "--home", home, "--because"]
    assert jpki.refused(*settle, "telephoned Hanako").exit == 64
    assert jpki.refused(*settle, "revoked-by-hand").code == "event-unknown"


def test_an_empty_home_has_no_events(jpki: Jpki, home: Path) -> None:
    assert jpki.done("events", "list", "--home", home)["events"] == []
    assert jpki.done("events", "notices", "--home", home)["notices"] == []
    assert jpki.done("events", "status", "--home", home)["oldest_open"] is None
    assert "none" in jpki("events", "list", "--home", home).out


@pytest.mark.slow
def test_an_import_that_is_killed_is_simply_done_again(jpki: Jpki, installed: Path, home: Path, tmp_path: Path) -> None:
    file = file_of(tmp_path, *(line(number) for number in range(1, 20_001)))
    words = [installed, "events", "import", file, "--home", home]
    process = subprocess.Popen(list(map(str, words)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with closing(open_rooms(Home(home))) as rooms:
        while not rooms.store.events.counts()[EventState.WAITING] and process.poll() is None:
            time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    again = jpki.done("events", "import", file, "--home", home)
    assert 0 < again["repeated"] < 20_000
    assert again["repeated"] % 1000 == 0
    assert again["new"] == 20_000 - again["repeated"]
    status = jpki.done("events", "status", "--home", home)
    assert status["counts"]["waiting"] == 20_000
    assert status["sources"] == [{"source": "131016", "highest": 20_000, "missing": None}]


@pytest.mark.slow
def test_a_served_home_ends_what_it_is_told_of_within_a_minute(
    jpki: Jpki, installed: Path, town: Town, tmp_path: Path
) -> None:
    with serving(installed, town.home, "--door", "ca", "--workers", "1"):
        # The first look is over by now, or nearly so.
        time.sleep(3)
        jpki.done("events", "import", file_of(tmp_path, line(1)), "--home", town.home)
        begun = time.monotonic()
        while jpki.done("status", serial_in(town.signing), "--home", town.home)["state"] == "active":
            assert time.monotonic() - begun < 60
            time.sleep(0.5)
