"""Replies to requests with an Idempotency-Key, sealed, for a day: who asks again is told the same."""

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from jpki.errors import JpkiError
from server.store import tables
from server.store.database import Database
from server.store.seal import Seal

KEPT = timedelta(hours=24)
WORKED_ON = timedelta(seconds=60)
"""Whatever is not answered after so long was left by a crash, and may be done again."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a key: whether it came with these same octets, and the reply, None while it is worked on."""

    same: bool
    reply: Reply | None


class SqlReplies:
    """One row for each client and key; the request's hash lies under the seal, too."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal

    def claim(self, client: str, key: str, request: bytes, at: datetime) -> Known | None:
        """Claim a key for a request that is about to be done, or return what is known of it already."""
        table = tables.reply
        same = (table.c.client == client, table.c.key == key)
        digest = _digest(request)
        try:
            with self._database.writing() as connection:
                connection.execute(delete(table).where(table.c.at < at - KEPT))
                row = connection.execute(select(table).where(*same).with_for_update()).first()
                if row is not None and (row.done or row.at > at - WORKED_ON):
                    opened = self._seal.open_at(
                        self._seal.key(connection, row.data_key), _place(client, key), row.sealed
                    )
                    return _known(opened, digest, done=bool(row.done))
                connection.execute(delete(table).where(*same))
                data_key = self._seal.newest(connection)
                sealed = self._seal.seal_at(data_key, _place(client, key), _octets(digest, None))
                values = {"client": client, "key": key, "at": at, "done": 0}
                connection.execute(insert(table).values(data_key=data_key.id, sealed=sealed, **values))
        except JpkiError as error:
            # Another process claimed it in the same moment.
            if isinstance(error.__cause__, IntegrityError):
                return Known(same=True, reply=None)
            raise
        return None

    def keep(self, client: str, key: str, request: bytes, reply: Reply) -> None:
        """Keep the reply to a request whose key is claimed."""
        table = tables.reply
        with self._database.writing() as connection:
            data_key = self._seal.newest(connection)
            sealed = self._seal.seal_at(data_key, _place(client, key), _octets(_digest(request), reply))
            values = {"done": 1, "data_key": data_key.id, "sealed": sealed}
            connection.execute(update(table).where(table.c.client == client, table.c.key == key).values(values))

    def give_up(self, client: str, key: str) -> None:
        """Let a key be used again: nothing was done."""
        table = tables.reply
        with self._database.writing() as connection:
            connection.execute(delete(table).where(table.c.client == client, table.c.key == key))


def _known(opened: bytes, digest: str, *, done: bool) -> Known:
    fields = json.loads(opened)
    if not done:
        return Known(same=fields["request"] == digest, reply=None)
    body = base64.b64decode(fields["body"])
    return Known(fields["request"] == digest, Reply(fields["status"], fields["content_type"], body))


def _octets(digest: str, reply: Reply | None) -> bytes:
    fields: dict[str, object] = {"request": digest}
    if reply is not None:
        body = base64.b64encode(reply.body).decode()
        fields |= {"status": reply.status, "content_type": reply.content_type, "body": body}
    return json.dumps(fields).encode()


def _digest(request: bytes) -> str:
    return hashlib.sha256(request).hexdigest()


def _place(client: str, key: str) -> str:
    return f"reply.sealed.{client}.{key}"
