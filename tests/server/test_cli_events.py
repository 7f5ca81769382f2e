"""`jpki events`: a file of events comes in, works, and leaves no trace of a person."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from jpki.clock import iso, system_clock
from tests.server.conftest import Town, serial_in
from tests.server.console import Jpki, Word

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
    settle = ["events", "settle", str(work[0]["number"]), "--as", "ignored", "--because", "no such person"]
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


def test_words_for_why_are_bounded_and_an_event_must_be_there(jpki: Jpki, home: Path) -> None:
    settle: list[Word] = ["events", "settle", "1", "--as", "done", "--home", home, "--because"]
    assert jpki.refused(*settle, "a" * 201).exit == 64
    assert jpki.refused(*settle, "a").code == "event-unknown"


def test_an_empty_home_has_no_events(jpki: Jpki, home: Path) -> None:
    assert jpki.done("events", "list", "--home", home)["events"] == []
    assert jpki.done("events", "notices", "--home", home)["notices"] == []
    assert jpki.done("events", "status", "--home", home)["oldest_open"] is None
    assert "none" in jpki("events", "list", "--home", home).out
