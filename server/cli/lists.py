"""`jpki crl publish` and `jpki crl list`."""

import click

from jpki.clock import iso
from jpki.ports import ShelfMark
from jpki.text import Text
from server.cli.frame import Output, command, home_option, opened
from server.home import Home


@click.group("crl")
def crl() -> None:
    """Publish certificate revocation lists, and say which are current."""


@command("publish")
@home_option
@click.option("--all", "everything", is_flag=True, help="Every list, due or not.")
def publish(home: Home, output: Output, *, everything: bool) -> None:
    """Publish every list that is new, changed, or a day old."""
    rooms = opened(home)
    published = rooms.publisher.publish_all() if everything else rooms.publisher.publish_due()
    # Lists first: they must not wait for a responder that cannot be renewed.
    rooms.maintenance.jobs["responders"]()
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


crl.add_command(publish)
crl.add_command(list_)


def _line(mark: ShelfMark) -> Text:
    head = f"  {mark.purpose}/{mark.partition}"
    return Text(
        f"{head}  第{mark.number}号  {mark.entries}件  {iso(mark.this_update)} 〜 {iso(mark.next_update)}",
        f"{head}  number {mark.number}  {mark.entries} entries  {iso(mark.this_update)} to {iso(mark.next_update)}",
    )


def _fields(mark: ShelfMark) -> dict[str, str | int]:
    return {
        "ca": mark.purpose,
        "partition": mark.partition,
        "number": mark.number,
        "entries": mark.entries,
        "this_update": iso(mark.this_update),
        "next_update": iso(mark.next_update),
    }
