"""`jpki events`: what registers of residents tell, and what became of it."""

import os
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

import click

from enroll.notices import words_for
from jpki.acts import LOCAL_OPERATOR
from jpki.clock import iso
from jpki.errors import JpkiError
from jpki.ids import format_serial
from jpki.resident_event import EventNumber, EventState, Listed, Notice, Settlement, Source, SourceName
from jpki.text import Text
from server.cli.frame import EXIT_FAILED, EXIT_TRY_AGAIN, Output, command, home_option, opened
from server.events import Import, handle_all, receive_file
from server.home import Home
from server.processes import in_each
from server.wiring import Rooms

_SHOWN = 100
"""Wrong lines that the JSON names; all are told on stderr."""
_STATES = {
    EventState.WAITING: Text("待ち", "waiting"),
    EventState.TAKEN: Text("処理中", "in a worker's hands"),
    EventState.DONE: Text("完了", "done"),
    EventState.REFUSED: Text("要確認", "on the work list"),
    EventState.IGNORED: Text("対象外", "ignored"),
}
_after_option = click.option("--after", type=click.IntRange(0), default=0, help="Those numbered after this one.")
_count_option = click.option("--count", type=click.IntRange(1, 10_000), default=100, help="At most so many.")


@click.group("events")
def events() -> None:
    """Receive what registers of residents tell, and see what became of it."""


@command("import")
@home_option
@click.argument("file", type=click.File("rb"))
def import_(home: Home, file: BinaryIO, output: Output) -> int:
    """Receive a file of events, JSON Lines ('-' is stdin). To hand one in again changes nothing.

    Exit code 1 says that lines were wrong; all others were received.
    """
    rooms = opened(home)
    wrong: list[dict[str, Any]] = []
    told_at = time.monotonic()

    def tell_wrong(number: int, error: JpkiError) -> None:
        output.progress(Text(f"{number}行目：{error.problem.ja}", f"line {number}: {error.problem.en}"))
        if len(wrong) < _SHOWN:
            wrong.append({"line": number, "code": error.code, "problem": error.problem.as_json()})

    def tell(done: Import) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= 1:
            told_at = time.monotonic()
            output.progress(Text(f"  {done.lines}行", f"  {done.lines} lines"))

    done = receive_file(rooms, file, LOCAL_OPERATOR, tell, tell_wrong)
    received = done.received
    fields = {
        "lines": done.lines,
        "new": received.new,
        "repeated": received.repeated,
        "contradicting": received.contradicting,
        "wrong": done.wrong,
        "wrong_lines": wrong,
    }
    line = Text(
        f"{done.lines}行：新規 {received.new}　既知 {received.repeated}　矛盾 {received.contradicting}"
        f"　誤り {done.wrong}",
        f"{done.lines} lines: {received.new} new, {received.repeated} known, {received.contradicting} contradicting,"
        f" {done.wrong} wrong",
    )
    output.result("jpki.events-import/1", fields, [line])
    return EXIT_FAILED if done.wrong else 0


@command("run")
@home_option
@click.option("--workers", type=click.IntRange(1, 64), default=os.cpu_count() or 1, help="Processes of this node.")
def run(home: Home, workers: int, output: Output) -> int:
    """Handle events now; a process that serves the door `ca` does so by itself. Exit code 75: some have to wait."""
    rooms = opened(home)
    before = _open(rooms)
    counts = in_each(workers, lambda: output.progress(_left_line(_open(rooms))), handle_all, home.path)
    left = _open(rooms)
    fields = {"workers": counts, **_status(rooms)}
    line = Text(f"{before - left}件を処理しました。", f"Handled {before - left}.")
    output.result("jpki.events-run/1", fields, [line, *_status_lines(rooms)])
    return EXIT_TRY_AGAIN if left else 0


@command("status")
@home_option
def status(home: Home, output: Output) -> None:
    """Say how many events are in which state, and of each source how far it came and what is missing."""
    rooms = opened(home)
    output.result("jpki.events-status/1", _status(rooms), list(_status_lines(rooms)))


@command("list")
@home_option
@click.option("--state", type=click.Choice([str(each) for each in EventState]), default=str(EventState.REFUSED))
@_after_option
@_count_option
def list_(home: Home, state: str, after: int, count: int, output: Output) -> None:
    """Show events in a state; without --state, the work list."""
    found = opened(home).store.events.listed(EventState(state), after, count)
    lines = [_listed_line(each) for each in found] or [Text("ありません。", "There is none.")]
    output.result("jpki.events-list/1", {"events": [_listed(each) for each in found]}, lines)


@command("settle")
@click.argument("number", type=click.IntRange(1))
@home_option
@click.option("--as", "state", required=True, type=click.Choice([str(EventState.DONE), str(EventState.IGNORED)]))
@click.option("--because", required=True, type=click.Choice([str(each) for each in Settlement]), help="Why.")
def settle(number: int, home: Home, state: str, because: str, output: Output) -> None:
    """Take an event off the work list: it was done by other means, or is to be ignored."""
    rooms, why = opened(home), Settlement(because)
    rooms.store.events.settle(EventNumber(number), EventState(state), why, LOCAL_OPERATOR, rooms.clock())
    word = _STATES[EventState(state)]
    line = Text(f"第{number}号の異動：{word.ja}", f"Event {number}: {word.en}")
    output.result("jpki.events-settle/1", {"number": number, "state": state}, [line])


@command("replay")
@click.argument("source")
@home_option
@click.option("--from", "since", required=True, type=click.IntRange(1), help="The first sequence number.")
def replay(source: str, home: Home, since: int, output: Output) -> None:
    """Let what a source told from a sequence number on be handled again; what ended stays so."""
    rooms = opened(home)
    count = rooms.store.events.replay(SourceName(source), since, LOCAL_OPERATOR, rooms.clock())
    output.result(
        "jpki.events-replay/1", {"count": count}, [Text(f"{count}件をやり直します。", f"{count} wait again.")]
    )


@command("notices")
@home_option
@_after_option
@_count_option
def notices(home: Home, after: int, count: int, output: Output) -> None:
    """Show what holders are to be told, for whoever writes letters: go on from the last number."""
    found = opened(home).store.events.notices(after, count)
    lines = [line for each in found for line in _notice_lines(each)] or [Text("ありません。", "There is none.")]
    output.result("jpki.events-notices/1", {"notices": [_notice(each) for each in found]}, lines)


for each in (import_, run, status, list_, settle, replay, notices):
    events.add_command(each)


def _open(rooms: Rooms) -> int:
    return rooms.store.events.come_true(rooms.clock())


# --- words ---------------------------------------------------------------------------------------------------------


def _left_line(left: int) -> Text:
    return Text(f"  残り {left}", f"  {left} left")


def _status(rooms: Rooms) -> dict[str, Any]:
    book = rooms.store.events
    oldest = book.oldest_open(rooms.clock())
    return {
        "counts": {str(state): count for state, count in book.counts().items()},
        "oldest_open": None if oldest is None else iso(oldest),
        "sources": [{"source": each.name, "highest": each.highest, "missing": each.missing} for each in book.sources()],
    }


def _status_lines(rooms: Rooms) -> Iterator[Text]:
    counts = rooms.store.events.counts()
    words = [(_STATES[state], count) for state, count in counts.items()]
    yield Text(
        "　".join(f"{word.ja} {count}" for word, count in words),
        ", ".join(f"{word.en} {count}" for word, count in words),
    )
    yield from map(_source_line, rooms.store.events.sources())


def _source_line(source: Source) -> Text:
    if source.missing is None:
        return Text(f"  {source.name}：第{source.highest}号まで", f"  {source.name}: up to {source.highest}")
    return Text(
        f"  {source.name}：第{source.highest}号まで（第{source.missing}号が届いていません）",
        f"  {source.name}: up to {source.highest}, but {source.missing} is missing",
    )


def _listed(each: Listed) -> dict[str, Any]:
    event = each.event
    return {
        "number": each.number,
        "source": event.source,
        "sequence": event.sequence,
        "kind": event.kind,
        "holder": event.holder,
        "effective_at": iso(event.effective_at),
        "received_at": iso(each.received_at),
        "state": each.state,
        "doubt": each.doubt,
        "because": each.because,
    }


def _listed_line(each: Listed) -> Text:
    event, why = each.event, Text("", "") if each.doubt is None else each.doubt.text
    told = f"{event.source}/{event.sequence}  {event.kind}  {event.holder}  {iso(event.effective_at)}"
    return Text(f"{each.number:>8}  {told}  {why.ja}", f"{each.number:>8}  {told}  {why.en}")


def _notice(each: Notice) -> dict[str, Any]:
    return {
        "number": each.number,
        "holder": each.holder,
        "serials": list(map(format_serial, each.serials)),
        "made_at": iso(each.made_at),
        "words": words_for(each.kind).as_json(),
    }


def _notice_lines(each: Notice) -> Iterator[Text]:
    serials = ", ".join(map(format_serial, each.serials))
    words = words_for(each.kind)
    yield Text(f"{each.number:>8}  {each.holder}（{serials}）", f"{each.number:>8}  {each.holder} ({serials})")
    yield Text(f"          {words.ja}", f"          {words.en}")
