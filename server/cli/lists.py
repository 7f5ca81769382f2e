"""`jpki crl publish`, `jpki crl list`, and `jpki crl show` for anybody's lists."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import click

from jpki.clock import iso, system_clock
from jpki.errors import JpkiError, Kind
from jpki.ids import Serial
from jpki.ports import DeltaMark, ShelfMark
from jpki.text import Text
from server.certificate_files import certificates_in
from server.cli.frame import EXIT_FAILED, BadInput, Output, SerialType, command, home_option, opened
from server.home import Home
from server.jobs import ARCHIVE

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("crl")
def crl() -> None:
    """Publish certificate revocation lists, say which are current, and show anybody's."""


@command("publish")
@home_option
@click.option("--all", "everything", is_flag=True, help="Every list, due or not.")
def publish(home: Home, output: Output, *, everything: bool) -> None:
    """Publish every list that is new, changed, or a day old."""
    rooms = opened(home)
    published = rooms.publisher.publish_all() if everything else rooms.publisher.publish_due()
    # Lists first: they must not wait for a responder that cannot be renewed.
    rooms.maintenance.jobs["responders"]()
    rooms.maintenance.here[ARCHIVE]()
    total = Text(f"失効リストを{len(published)}件発行しました。", f"Published {len(published)} lists.")
    output.result(
        "jpki.crl-publish/1", {"published": [_fields(each) for each in published]}, [total, *map(_line, published)]
    )


@command("list")
@home_option
def list_(home: Home, output: Output) -> None:
    """Say which lists are current."""
    marks = opened(home).store.shelf.marks()
    output.result("jpki.crl-list/1", {"lists": [_fields(each) for each in marks]}, [_line(each) for each in marks])


# --- show ----------------------------------------------------------------------------------------------------------


@command("show")
@click.argument("source", metavar="FILE|URL")
@click.option("--issuer", "issuer_file", type=_file, help="Check the signature by these certificates, PEM.")
@click.option(
    "--serial", "serials", type=SerialType(), multiple=True, help="Say whether it is listed; may be repeated."
)
@click.option("--entries", "how_many", type=click.IntRange(min=0), default=0, help="Show so many, in order of serial.")
def show(source: str, issuer_file: Path | None, serials: Sequence[Serial], how_many: int, output: Output) -> int:
    """Say in words what a list holds, ours or another's: whose, of which kind, how fresh, what of which certificate.

    FILE is DER or PEM. A URL is fetched, and nothing else is. Exit 1 if no key of --issuer signed it.
    """
    from crl.certificate_list import read_list
    from crl.explain import explain, signer_of
    from server.cli.shown_list import ShownList

    candidates = [] if issuer_file is None else certificates_in(issuer_file)
    with _at_hand(source) as path, path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        found = read_list(file)
    explained = explain(found, system_clock())
    shown_list = ShownList(
        source=source,
        octets=found.octets,
        sha256=digest,
        explained=explained,
        is_checked=issuer_file is not None,
        signer=signer_of(found, candidates),
        serials=[(serial, found.entries.find(serial)) for serial in serials],
        first=list(islice(found.entries, how_many)),
    )
    output.result("jpki.crl-show/1", shown_list.as_json(), list(shown_list.lines()))
    return EXIT_FAILED if shown_list.is_checked and shown_list.signer is None else 0


@contextmanager
def _at_hand(source: str) -> Iterator[Path]:
    """Yield the file of that name, or one of what is at that URL."""
    if not source.startswith(("http://", "https://")):
        yield _file.convert(source, None, click.get_current_context())
        return
    from server.list_fetch import fetch_list

    with tempfile.TemporaryDirectory() as directory:
        fetched = Path(directory, "fetched.crl")
        try:
            with fetched.open("wb") as file:
                fetch_list(source, file)
        except JpkiError as error:
            raise BadInput(error) if error.kind is Kind.MALFORMED else error from error
        yield fetched


crl.add_command(publish)
crl.add_command(list_)
crl.add_command(show)


def _line(mark: ShelfMark) -> Text:
    head = f"  {mark.purpose}/{mark.partition}"
    delta = _delta_line(mark.delta)
    return Text(
        f"{head}  第{mark.number}号  {mark.entries}件  {iso(mark.this_update)} 〜 {iso(mark.next_update)}{delta.ja}",
        f"{head}  number {mark.number}  {mark.entries} entries  {iso(mark.this_update)} to {iso(mark.next_update)}"
        f"{delta.en}",
    )


def _delta_line(delta: DeltaMark | None) -> Text:
    if delta is None:
        return Text("", "")
    return Text(
        f"  差分は第{delta.base}号から{delta.entries}件", f"  delta of number {delta.base}: {delta.entries} entries"
    )


def _fields(mark: ShelfMark) -> dict[str, object]:
    return {
        "ca": mark.purpose,
        "partition": mark.partition,
        "number": mark.number,
        "entries": mark.entries,
        "this_update": iso(mark.this_update),
        "next_update": iso(mark.next_update),
        "delta": None if mark.delta is None else {"base": mark.delta.base, "entries": mark.delta.entries},
    }
