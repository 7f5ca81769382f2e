"""`jpki backup restore`: a new home from a backup, and from what auditors kept of the time since."""

import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jpki.acts import Actor
from jpki.clock import Clock
from jpki.errors import JpkiError, Kind
from jpki.randomness import Randomness
from jpki.text import Text
from server.audit.continuation import Evidence, gather
from server.audit.trust import Trust
from server.audit.verify import verify
from server.backup.archive import Archive, damaged
from server.backup.create import HOME, LEDGER
from server.backup.manifest import Manifest
from server.home import Home, write_new
from server.partitions import of_this_release
from server.settings import Settings, check_settings
from server.store.audit_log import SqlAuditLog
from server.store.database import SCHEMA, Database
from server.store.replay import Replayed
from server.store.restoration import restoring
from server.wiring import database_of

_FOLDERS = {"ceremonies": 0o644, "trust": 0o644, "keys": 0o600}
"""What a backup holds of a home's folders, and who may read it there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What was kept outside: exported logs, anchors of heads alone, and whom to believe beside the backup's roots."""

    logs: Sequence[Path] = ()
    anchors: Sequence[Path] = ()
    trust: Trust | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What came of it: the audit goes on after `through`; `known` is the last number that anybody kept a head of."""

    manifest: Manifest
    settings: Settings
    replayed: Replayed
    epoch: int
    through: int
    known: int

    @property
    def lost_acts(self) -> int:
        """How many acts certainly happened of which nobody knows what they were."""
        return max(0, self.known - self.through)


def restore(
    file: Path, home: Home, database_url: str | None, kept: Kept, by: Actor, clock: Clock, randomness: Randomness
) -> Restored:
    """Make a new home: all of it, or nothing. It needs no key.

    The ledger lies at `database_url`, in an empty PostgreSQL database, or in the home where none is given.

    Raises:
        JpkiError: UNPROCESSABLE `backup-damaged`; CONFLICT `backup-of-other-version`, `home-not-empty`,
            `database-not-empty`, or of what was kept (`server.audit.continuation.gather`).
    """
    with Archive(file) as archive:
        bad = archive.first_bad(kept.trust)
        if bad is not None:
            raise damaged(bad)
        manifest = archive.manifest()
        if manifest.ledger_schema != SCHEMA:
            raise _other_version(manifest.ledger_schema)
        settings = _settings_in(archive, database_url)
        anchors = [*kept.anchors, *_own_anchor(settings)]
        with home.creating(), _new_database(home, settings) as database:
            with restoring(database, lambda table: archive.lines(f"{LEDGER}{table}.jsonl")) as ledger:
                own = Trust.of_certificates(ledger.roots())
                trust = own if kept.trust is None else Trust((*own.keys, *kept.trust.keys))
                evidence = gather(ledger.tip(), kept.logs, anchors, trust)
                ledger.lay(of_this_release())
                outcome = ledger.go_on(evidence, by, clock(), randomness)
            through = outcome.through
            _require_whole(database, evidence, trust, through)
            settings = _with_new_anchor(settings, evidence, through, outcome.epoch)
            _write_files(archive, manifest, home)
            write_new(home.settings, settings.as_toml().encode(), 0o600)
    return Restored(
        manifest=manifest,
        settings=settings,
        replayed=outcome.replayed,
        epoch=outcome.epoch,
        through=through,
        known=max(through, evidence.last_head),
    )


def _settings_in(archive: Archive, database_url: str | None) -> Settings:
    values = tomllib.loads(archive.octets(f"{HOME}jpki.toml").decode())
    return check_settings({**values, "database": database_url})


def _own_anchor(settings: Settings) -> list[Path]:
    anchor = None if settings.audit_anchor is None else Path(settings.audit_anchor)
    return [anchor] if anchor is not None and anchor.is_file() else []


def _with_new_anchor(settings: Settings, evidence: Evidence, through: int, epoch: int) -> Settings:
    """Leave an anchor that knows more than the ledger as it is, for the auditor, and begin another beside it."""
    if settings.audit_anchor is None or evidence.last_head <= through:
        return settings
    return settings.model_copy(update={"audit_anchor": f"{settings.audit_anchor}.epoch-{epoch}"})


@contextmanager
def _new_database(home: Home, settings: Settings) -> Iterator[Database]:
    """Make a database with empty tables, and take them away again where the block fails."""
    database = database_of(home, settings, create=True)
    try:
        database.lay()
        if settings.database is None:
            home.database.chmod(0o600)
        try:
            yield database
        except BaseException:
            database.unfound()
            raise
    finally:
        database.close()


def _require_whole(database: Database, evidence: Evidence, trust: Trust, through: int) -> None:
    """Require that the audit is whole, with every head that was kept of it."""
    log = SqlAuditLog(database)
    heads = {key: head for key, head in evidence.heads.items() if head.number <= through}
    report = verify(log.records(), trust, heads, end=log.tip())
    if report.fault is not None:
        raise JpkiError(
            Kind.CONFLICT,
            "audit-differs",
            Text(
                f"バックアップと保管された監査記録が第{report.fault.number}号の付近で矛盾します（{report.fault.flaw}）。",
                f"The backup contradicts what was kept of the audit near number {report.fault.number}"
                f" ({report.fault.flaw}).",
            ),
            Text(
                "どちらが真正かを確かめてください。何も作成していません。",
                "Find out which one is true; nothing was made.",
            ),
        )


def _write_files(archive: Archive, manifest: Manifest, home: Home) -> None:
    for name in manifest.parts:
        path = PurePosixPath(name.removeprefix(HOME))
        if name.startswith(HOME) and len(path.parts) == 2 and path.parts[0] in _FOLDERS:
            write_new(home.path / path, archive.octets(name), _FOLDERS[path.parts[0]])


def _other_version(schema: str) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "backup-of-other-version",
        Text(
            f"バックアップの台帳の版は {schema} で、このプログラムは {SCHEMA} です。",
            f"The backup's ledger is of version {schema}; this program's is {SCHEMA}.",
        ),
        Text(
            "バックアップを作った版の jpki で復旧し、その後 jpki db upgrade を実行してください。",
            "Restore it with the version of jpki that made it, then run `jpki db upgrade` with this one.",
        ),
    )
