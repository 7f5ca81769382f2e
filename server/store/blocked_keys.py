"""The blocklist: keys known to be bad though no certificate of ours ever bore them (rule R17).

A key that a certificate of ours bears, or bore, needs no entry: the table `holder_key` never forgets one, so that it is
refused as reused whatever became of the certificate.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select, text

from jpki.acts import Act, Actor, AuditEvent
from jpki.errors import JpkiError, Kind
from jpki.ids import Serial
from jpki.text import Text
from server.store import audit, tables
from server.store.database import Database


class SqlBlockedKeys:
    """Keys by the hash of their SubjectPublicKeyInfo; see `ca.key_policy.key_hash`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def block(self, key_hash: bytes, by: Actor, at: datetime) -> bool:
        """Block a key from now on; tell whether it was not blocked before."""
        with self._database.writing() as connection:
            if connection.dialect.name == "postgresql":
                # Whoever is taking keys is waited for, so that `bearer` knows of them; who comes later sees this one.
                connection.execute(text("LOCK TABLE holder_key IN SHARE MODE"))
            if _are_blocked(connection, [key_hash]):
                return False
            connection.execute(insert(tables.blocked_key).values(key_hash=key_hash, since=at))
            audit.write(
                connection, AuditEvent(at=at, actor=by, act=Act.KEY_BLOCKED, subjects=(key_hash.hex(),), details={})
            )
            return True

    def bearer(self, key_hash: bytes) -> Serial | None:
        """Return the serial of our certificate that bears the key: a blocked key is to be revoked, too."""
        key = tables.holder_key
        with self._database.reading() as connection:
            return connection.execute(select(key.c.serial).where(key.c.key_hash == key_hash)).scalar_one_or_none()


def require_not_blocked(connection: Connection, key_hashes: Sequence[bytes]) -> None:
    """Require, inside the transaction that reserves certificates, that none of the keys it has taken is blocked.

    Raises:
        JpkiError: UNPROCESSABLE `key-blocked`.
    """
    if _are_blocked(connection, key_hashes):
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "key-blocked",
            Text(
                "この鍵は安全でないことが知られているため、使用を禁じています。",
                "This key is known to be unsafe and is on the authority's blocklist.",
            ),
            Text("カードで新しい鍵ペアを作成してください。", "Make a new key pair on the card."),
        )


def _are_blocked(connection: Connection, key_hashes: Sequence[bytes]) -> bool:
    """Tell whether any of the keys is blocked."""
    blocked = tables.blocked_key
    found = select(blocked.c.since).where(blocked.c.key_hash.in_(key_hashes))
    return connection.execute(found).first() is not None
