"""`jpki backup`: one signed file of a running authority, and a new home from it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from jpki.acts import LOCAL_OPERATOR
from jpki.clock import iso, system_clock
from jpki.randomness import system_randomness
from jpki.text import Text
from server.audit.trust import Trust
from server.backup.archive import Archive
from server.backup.create import create
from server.backup.manifest import Manifest
from server.backup.restore import Kept, Restored, restore
from server.cli.frame import EXIT_FAILED, Output, command, home_option, opened
from server.home import Home, read_at_most

_LARGEST_KEY_FILE = 1 << 20
_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_key_option = click.option(
    "--key", "key_file", type=_file, help="PEM: what `jpki audit key` printed; else anybody's signature will do."
)


@click.group("backup")
def backup() -> None:
    """Keep an authority safe, and bring it back."""


@command("create")
@home_option
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The new file; never overwritten.")
@click.option("--without-keys", is_flag=True, help="Leave the encrypted software keys out.")
def create_(home: Home, out: Path, without_keys: bool, output: Output) -> None:
    """Write one consistent picture of ledger, audit, settings and keys to a file, and sign it."""
    rooms = opened(home)

    def progress(table: str) -> None:
        output.progress(Text(f"  {table}", f"  {table}"))

    manifest = create(rooms, out, LOCAL_OPERATOR, progress, with_keys=not without_keys)
    lines = [Text(f"バックアップを作成しました：{out}", f"The backup is {out}"), *_manifest_lines(manifest)]
    if rooms.settings.keys == "pkcs11":
        lines.append(
            Text("  鍵はトークンの中にあり、含まれません。", "  the keys are in tokens, which are no part of it")
        )
    if home.made_up_a_secret():
        lines.append(
            Text(
                f"  注意：{home.secrets} の秘密は含まれません。別に保管してください。",
                f"  note: the secrets under {home.secrets} are not in it; keep them elsewhere",
            )
        )
    output.result("jpki.backup-create/1", {"file": str(out), "manifest": manifest.fields()}, lines)


@command("verify")
@click.argument("file", type=_file)
@_key_option
def verify(file: Path, key_file: Path | None, output: Output) -> int:
    """Check every part of a backup, without the home; exit 0 only if it is whole."""
    trust = _trust(key_file)
    with Archive(file) as archive:
        bad = archive.first_bad(trust)
        manifest = archive.manifest() if bad is None else None
    fields = {
        "whole": bad is None,
        "bad": bad,
        "believed": bad is None and trust is not None,
        "manifest": manifest and manifest.fields(),
    }
    output.result("jpki.backup-verify/1", fields, list(_verdict(manifest, bad, believed=trust is not None)))
    return 0 if bad is None else EXIT_FAILED


@command("restore")
@click.argument("file", type=_file)
@click.option("--home", "path", required=True, type=click.Path(path_type=Path), help="A new directory.")
@click.option("--database", help="postgresql://… for the ledger, an empty one; default: SQLite in the home.")
@click.option("--audit-log", "logs", type=_file, multiple=True, help="What `jpki audit export` wrote.")
@click.option("--anchor", "anchors", type=_file, multiple=True, help="Heads that an auditor kept.")
@_key_option
def restore_(
    file: Path,
    path: Path,
    database: str | None,
    logs: tuple[Path, ...],
    anchors: tuple[Path, ...],
    key_file: Path | None,
    output: Output,
) -> None:
    """Make a new home from a backup, and let everything happen again that the audit's logs tell of."""
    kept = Kept(logs=logs, anchors=anchors, trust=_trust(key_file))
    home = Home(path.absolute())
    restored = restore(file, home, database, kept, LOCAL_OPERATOR, system_clock, system_randomness)
    output.result("jpki.backup-restore/1", _fields(home, restored), list(_restored_lines(home, restored)))


for each in (create_, verify, restore_):
    backup.add_command(each)


def _trust(key_file: Path | None) -> Trust | None:
    return None if key_file is None else Trust.of_pem(read_at_most(key_file, _LARGEST_KEY_FILE))


# --- words ---------------------------------------------------------------------------------------------------------


def _manifest_lines(manifest: Manifest) -> list[Text]:
    at, number, position = iso(manifest.made_at), manifest.audit_number, manifest.position
    return [
        Text(
            f"  {at}、監査記録 第{number}号まで、変更番号 {position}（第{manifest.epoch}期）",
            f"  made {at}: the audit to number {number}, the journal to {position} in epoch {manifest.epoch}",
        )
    ]


def _verdict(manifest: Manifest | None, bad: str | None, *, believed: bool) -> Iterator[Text]:
    if manifest is None:
        yield Text(
            f"{bad} が破損又は改ざんされています。", f"{bad} is damaged, altered, or not signed by whom you trust."
        )
        return
    yield Text("バックアップは完全です。", "The backup is whole.")
    yield from _manifest_lines(manifest)
    if not believed:
        yield Text(
            "  注意：誰の署名かは確かめていません。--key を指定してください。",
            "  note: whose signature it is was not checked; name --key",
        )


def _fields(home: Home, restored: Restored) -> dict[str, Any]:
    replayed = restored.replayed
    return {
        "home": str(home.path),
        "database": "sqlite" if restored.settings.database is None else "postgresql",
        "epoch": restored.epoch,
        "audit": {"backup": restored.manifest.audit_number, "through": restored.through, "known": restored.known},
        "replayed": replayed.acts,
        "lost_acts": restored.lost_acts,
        "lost_certificates": replayed.lost_certificates,
        "lost_generations": sorted(replayed.lost_generations),
        "audit_anchor": restored.settings.audit_anchor,
    }


def _restored_lines(home: Home, restored: Restored) -> Iterator[Text]:
    replayed = restored.replayed
    yield Text(
        f"{home.path} に復旧しました（第{restored.epoch}期）。", f"Restored at {home.path}, in epoch {restored.epoch}"
    )
    yield Text(
        f"  バックアップ後の記録{replayed.acts}件を再現し、"
        f"内容の失われた証明書{replayed.lost_certificates}件を失効させました。",
        f"  {replayed.acts} acts from after the backup happened again; {replayed.lost_certificates} certificates"
        " whose record is lost are revoked",
    )
    if restored.lost_acts:
        yield Text(
            f"  注意：第{restored.through + 1}号から第{restored.known}号までの"
            f"{restored.lost_acts}件の内容は誰にも分かりません。",
            f"  note: of {restored.lost_acts} acts, numbers {restored.through + 1} to {restored.known},"
            " nobody knows what they were",
        )
    for generation in sorted(replayed.lost_generations):
        yield Text(
            f"  注意：世代 {generation} はバックアップ後に作られたため、復旧できません。",
            f"  note: generation {generation} was made after the backup and is lost",
        )
    yield Text(
        f"次に：jpki crl publish --home {home.path}、jpki doctor --home {home.path}",
        f"Next: jpki crl publish --home {home.path}, then jpki doctor --home {home.path}",
    )
