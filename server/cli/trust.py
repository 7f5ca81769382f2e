"""`jpki trust`: whom document validation believes beside the home's own CAs."""

from collections.abc import Sequence
from pathlib import Path

import click

from jpki.acts import LOCAL_OPERATOR
from jpki.clock import iso
from jpki.errors import JpkiError
from jpki.text import Text
from server.certificate_files import certificates_in
from server.cli.frame import BadInput, Output, command, home_option, opened
from server.home import Home
from server.trust import Imported, import_root, imported, remove_root
from signing.jpki_roots import pinned


@click.group("trust")
def trust() -> None:
    """Believe the real JPKI's roots in document validation."""


@command("import")
@click.argument(
    "files", metavar="FILE…", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@home_option
def import_roots(files: Sequence[Path], home: Home, output: Output) -> None:
    """Trust roots of the real JPKI (PEM or DER), which are known by their fingerprints; nothing else is taken."""
    rooms = opened(home)
    try:
        certificates = [each for file in files for each in certificates_in(file)]
    except JpkiError as error:
        raise BadInput(error) from error
    for each in certificates:
        pinned(each)
    found = [import_root(rooms, each, LOCAL_OPERATOR) for each in certificates]
    lines = [_imported(root, is_new=is_new) for root, is_new in found]
    output.result("jpki.trust/1", {"roots": [_fields(root) | {"new": is_new} for root, is_new in found]}, lines)


@command("list")
@home_option
def show_all(home: Home, output: Output) -> None:
    """Show the roots that were imported."""
    found = imported(home)
    nothing = [Text("取り込んだルート証明書はありません。", "No root is imported.")]
    output.result(
        "jpki.trust/1", {"roots": [_fields(each) for each in found]}, [_line(each) for each in found] or nothing
    )


@command("remove")
@click.argument("name")
@home_option
def remove(name: str, home: Home, output: Output) -> None:
    """Trust a root no more."""
    removed = remove_root(opened(home), name, LOCAL_OPERATOR)
    line = Text(f"{name} を信頼の基点から外しました。", f"{name} is trusted no more.")
    output.result("jpki.trust/1", {"removed": _fields(removed)}, [line])


for each in (import_roots, show_all, remove):
    trust.add_command(each)


def _fields(found: Imported) -> dict[str, object]:
    return {
        "name": found.root.name,
        "ca": found.root.purpose,
        "generation": found.root.generation,
        "sha256": found.sha256,
        "not_after": iso(found.certificate.not_valid_after_utc),
    }


def _imported(found: Imported, *, is_new: bool) -> Text:
    line = _line(found)
    return (
        Text(f"取り込みました：{line.ja}", f"Imported: {line.en}")
        if is_new
        else Text(f"取り込み済みです：{line.ja}", f"Imported before: {line.en}")
    )


def _line(found: Imported) -> Text:
    root, end = found.root, iso(found.certificate.not_valid_after_utc)
    japanese = f"{root.name}  {root.purpose.text.ja}の認証局 第{root.generation}世代、{end} まで"
    english = f"{root.name}  CA for {root.purpose.text.en}s, generation {root.generation}, until {end}"
    return Text(f"{japanese}  SHA-256 {found.sha256}", f"{english}  SHA-256 {found.sha256}")
