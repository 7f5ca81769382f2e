"""Sealed records: the octets that hold attributes of a person lie in the database under AES-GCM only (DESIGN 3.4).

Data keys lie in the database, wrapped by the key provider; a stolen database gives neither. What is sealed is bound to
its place: table, column and serial are authenticated with it, so no row can be passed off as another.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, func, insert, select

from jpki.errors import JpkiError, Kind
from jpki.ids import KeyUri, Serial, format_serial
from jpki.ports import KeyProvider
from jpki.randomness import Randomness
from jpki.text import Text
from server.store import tables

_NONCE_OCTETS = 12
_KEY_OCTETS = 32
SALT_OCTETS = 32


@dataclass(frozen=True, slots=True)
class DataKey:
    """A data key in use, and its id in the database."""

    id: int
    cipher: AESGCM


class Seal:
    """Seals and opens; a data key is unwrapped when it is first needed, so whoever opens nothing needs no key."""

    def __init__(self, keys: KeyProvider, randomness: Randomness) -> None:
        self._keys = keys
        self._randomness = randomness
        self._known: dict[int, DataKey] = {}

    def add_key(self, connection: Connection, wrapping_key: KeyUri) -> None:
        """Make a data key under `wrapping_key`; from now on it is the one that seals."""
        octets = self._randomness(_KEY_OCTETS)
        newest = connection.execute(select(func.max(tables.data_key.c.id))).scalar() or 0
        wrapped = self._keys.wrap(wrapping_key, octets)
        connection.execute(insert(tables.data_key).values(id=newest + 1, wrapping_key=wrapping_key, wrapped=wrapped))

    def newest(self, connection: Connection) -> DataKey:
        """Return the key that seals now.

        Raises:
            JpkiError: UNAVAILABLE when the wrapping key cannot be reached.
        """
        table = tables.data_key
        return self.key(connection, connection.execute(select(func.max(table.c.id))).scalar_one())

    def seal(self, key: DataKey, column: str, serial: Serial, octets: bytes) -> bytes:
        """Return `octets` sealed for this place of a certificate's record: nonce, ciphertext, tag."""
        return self.seal_at(key, _place(column, serial), octets)

    def seal_at(self, key: DataKey, place: str, octets: bytes) -> bytes:
        """Return `octets` sealed for a place: table, column and whatever names the row, with dots between."""
        nonce = self._randomness(_NONCE_OCTETS)
        return nonce + key.cipher.encrypt(nonce, octets, place.encode())

    def open_at(self, key: DataKey, place: str, sealed: bytes) -> bytes:
        """Return what was sealed for a place.

        Raises:
            JpkiError: FORBIDDEN `record-unreadable` when it is not what was sealed there.
        """
        try:
            return _decrypted(key, place, sealed)
        except InvalidTag as error:
            raise _unreadable_place(place) from error

    def open(self, key: DataKey, sealed: Mapping[str, bytes], serial: Serial) -> dict[str, bytes]:
        """Return the octets of each column that is sealed in one row.

        Raises:
            JpkiError: FORBIDDEN `record-unreadable` when a column is not what was sealed there.
        """
        try:
            return {column: _decrypted(key, _place(column, serial), octets) for column, octets in sealed.items()}
        except InvalidTag as error:
            raise _unreadable(serial) from error

    def key(self, connection: Connection, key_id: int | None) -> DataKey:
        """Return the data key with this id, unwrapped once.

        Raises:
            JpkiError: CONFLICT `database-outdated` for a record that is not sealed yet.
        """
        if key_id is None:
            raise _not_sealed()
        if key_id not in self._known:
            table = tables.data_key
            row = connection.execute(select(table).where(table.c.id == key_id)).one()
            octets = self._keys.unwrap(KeyUri(row.wrapping_key), row.wrapped)
            self._known[key_id] = DataKey(key_id, AESGCM(octets))
        return self._known[key_id]

    def salted(self, to_be_signed: bytes) -> bytes:
        """Return the octets behind a fresh salt: the form in which a TBSCertificate is sealed (DESIGN 3.11)."""
        return self._randomness(SALT_OCTETS) + to_be_signed


def commitment(salted: bytes) -> str:
    """Return SHA-256 over salt and octets: it binds us to them, and confirms no guess to who lacks the salt."""
    return hashlib.sha256(salted).hexdigest()


def _place(column: str, serial: Serial) -> str:
    return f"certificate_record.{column}.{serial:032x}"


def _decrypted(key: DataKey, place: str, sealed: bytes) -> bytes:
    return key.cipher.decrypt(sealed[:_NONCE_OCTETS], sealed[_NONCE_OCTETS:], place.encode())


def _unreadable(serial: Serial) -> JpkiError:
    return _changed(
        Text(
            f"証明書 {format_serial(serial)} の封印された記録が改変されているため、読めません。",
            f"The sealed record of certificate {format_serial(serial)} was changed and cannot be read.",
        )
    )


def _unreadable_place(place: str) -> JpkiError:
    table = place.partition(".")[0]
    return _changed(
        Text(
            f"表 {table} の封印された記録が改変されているため、読めません。",
            f"A sealed record of the table {table} was changed and cannot be read.",
        )
    )


def _changed(problem: Text) -> JpkiError:
    action = Text(
        "バックアップから復旧し、監査記録を確認してください。", "Restore it from a backup, and look at the audit."
    )
    return JpkiError(Kind.FORBIDDEN, "record-unreadable", problem, action)


def _not_sealed() -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "database-outdated",
        Text("この記録はまだ封印されていません。", "This record is not sealed yet."),
        Text("jpki db upgrade --home で更新してください。", "Bring the ledger up with `jpki db upgrade --home`."),
    )
