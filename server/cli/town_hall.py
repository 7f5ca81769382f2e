"""`jpki town-hall`: a simulated register of residents, for training and tests."""

import json
import sys
from pathlib import Path

import click

from jpki.clock import system_clock
from jpki.errors import JpkiError
from jpki.ids import HolderCode
from jpki.resident_event import Kind, SourceName
from jpki.text import Text
from server.cli.frame import BadInput, Output, command
from server.sample.town_hall import TownHall
from server.sample.town_server import server_context, town_server

_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_journal_option = click.option(
    "--file", "file", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The town hall's journal."
)
_seed_option = click.option("--seed", default="jpki", help="As for `jpki sample-town`.")
_holders_option = click.option(
    "--holders",
    "count",
    type=click.IntRange(1),
    default=1000,
    help="The first so many sample holders are its residents.",
)


@click.group("town-hall")
def town_hall() -> None:
    """Play a register of residents: what happens to sample holders, and who they are now."""


@command("happen")
@click.argument("kind", type=click.Choice([str(each) for each in Kind]))
@click.argument("holders", nargs=-1, required=True)
@_journal_option
@_seed_option
@_holders_option
@click.option("--source", default="131016", help="By what name it tells its events.")
def happen(kind: str, holders: tuple[str, ...], file: Path, seed: str, count: int, source: str, output: Output) -> None:
    """Let something happen to residents, by their codes."""
    hall = TownHall(file, seed, count, SourceName(source))
    events = hall.happen(Kind(kind), [HolderCode(each) for each in holders], system_clock())
    fields = {"first": events[0].sequence, "last": events[-1].sequence}
    line = Text(f"異動 {len(events)}件（第{fields['last']}号まで）", f"{len(events)} events, up to {fields['last']}")
    output.result("jpki.town-hall-happen/1", fields, [line])


@command("events")
@_journal_option
@click.option("--from", "since", type=click.IntRange(1), default=1, help="From this sequence number on.")
def events(file: Path, since: int, output: Output) -> None:
    """Tell what happened, a line each for `jpki events import -`."""
    told = TownHall(file, "", 0, SourceName("")).told(since)
    if output.json:
        output.result("jpki.town-hall-events/1", {"events": [json.loads(line) for line in told]}, [])
        return
    for line in told:
        sys.stdout.buffer.write(line)


@command("serve")
@_journal_option
@_seed_option
@_holders_option
@click.option("--host", default="127.0.0.1")
@click.option("--port", type=click.IntRange(0, 65535), default=8090)
@click.option("--certificate", type=_file, help="For TLS: the server's certificate, PEM …")
@click.option("--key", type=_file, help="… its key …")
@click.option("--roots", type=_file, help="… and above which roots a client's certificate must be.")
def serve(  # noqa: PLR0913 - one parameter for each option
    file: Path,
    seed: str,
    count: int,
    *,
    host: str,
    port: int,
    certificate: Path | None,
    key: Path | None,
    roots: Path | None,
    output: Output,
) -> None:
    """Answer who a holder code stands for, until it is stopped."""
    tls = None
    if certificate and key and roots:
        tls = server_context(certificate, key, roots)
    elif certificate or key or roots:
        raise click.UsageError("--certificate, --key and --roots go together")
    hall = TownHall(file, seed, count, SourceName(""))
    try:
        server = town_server(hall, (host, port), system_clock, tls)
    except JpkiError as error:
        raise BadInput(error) from error
    scheme = "http" if tls is None else "https"
    url = f"{scheme}://{host}:{server.server_port}/residents"
    output.progress(Text(f"住民基本台帳（模擬）：{url}", f"A simulated register of residents: {url}"))
    with server:
        server.serve_forever()


for each in (happen, events, serve):
    town_hall.add_command(each)
