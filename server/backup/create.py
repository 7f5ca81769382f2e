"""`jpki backup create`: one consistent picture of a running authority in one signed file."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from jpki.acts import Act, Actor, AuditEvent
from jpki.certificate import Purpose
from jpki.clock import whole_second
from server.backup.archive import writing
from server.backup.manifest import Manifest, signed
from server.home import Home
from server.store.dump import TABLES, picture_of
from server.wiring import Rooms

LEDGER, HOME = "ledger/", "home/"
"""Where a part belongs: a table's lines, or a file of the home."""


def create(rooms: Rooms, file: Path, by: Actor, progress: Callable[[str], None], *, with_keys: bool) -> Manifest:
    """Write a backup; `with_keys` takes software keys along, which stay encrypted under their passphrase.

    That a backup is made is in the audit, and so in the backup. Files are read after the ledger: none of the keys that
    it names is missing.

    Raises:
        JpkiError: CONFLICT `file-exists`, UNPROCESSABLE `file-unwritable`; UNAVAILABLE of the ledger or the keys.
    """
    signer, key = rooms.notary.signer()
    event = AuditEvent(at=rooms.clock(), actor=by, act=Act.BACKUP_MADE, subjects=("ledger",))
    with writing(file) as archive:
        rooms.store.audit.record(event)
        rooms.notary.sign()
        with picture_of(rooms.store.database) as picture:
            standing = picture.standing()
            for table in TABLES:
                progress(table.name)
                archive.add(f"{LEDGER}{table.name}.jsonl", picture.lines(table))
        for path in _files(rooms.home, with_keys=with_keys):
            archive.add(HOME + path.relative_to(rooms.home.path).as_posix(), [path.read_bytes()])
        manifest = Manifest(
            made_at=whole_second(rooms.clock()),
            ledger_schema=standing.schema,
            epoch=standing.epoch,
            position=standing.position,
            audit_number=standing.tip.number,
            audit_hash=standing.tip.hash,
            has_keys=with_keys and rooms.home.keys.is_dir(),
            keys=_public_keys(rooms),
            parts=archive.parts,
        )
        archive.seal(manifest, signed(manifest, signer.certificate, key))
    return manifest


def _files(home: Home, *, with_keys: bool) -> Iterator[Path]:
    """Yield the home's files that go along. Secrets never do, nor tokens, nor what is given to clerks."""
    yield home.settings
    for folder in (home.ceremonies, home.trust, *([home.keys] if with_keys else [])):
        if folder.is_dir():
            yield from sorted(path for path in folder.iterdir() if path.is_file())


def _public_keys(rooms: Rooms) -> dict[str, str]:
    return {
        str(generation.key): sha256(
            generation.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        ).hexdigest()
        for purpose in Purpose
        for generation in rooms.store.generations.ever(purpose)
        if generation.destroyed_at is None
    }
