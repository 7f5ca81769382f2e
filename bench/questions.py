"""What OCSP is asked: a home that holds many certificates, and requests about some of them.

A thousand certificates take seconds to issue and OCSP reads nothing but their status rows, so these certificates are
synthetic: their rows in `certificate` and `status` are written in bulk, all live, with serials as the CA draws them.
"""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from sqlalchemy import insert, select

from jpki.certificate import CARD, HOLDER_PURPOSES, Purpose
from jpki.clock import system_clock, whole_second
from jpki.generation import Generation
from jpki.ids import Serial, new_serial
from jpki.randomness import system_randomness
from jpki.revocation import State
from server.founding import found
from server.home import Home
from server.settings import Settings
from server.store import tables
from server.wiring import Rooms, open_rooms

NONCE_OCTETS = 32
_CHUNK = 20_000
_LIFE = timedelta(days=5 * 365)


@dataclass(frozen=True, slots=True)
class Question:
    """One certificate to ask about, and the generation that signed it."""

    generation: Generation
    serial: Serial

    def der(self, nonce: bytes | None = None) -> bytes:
        """Return the OCSPRequest; a nonce is its last octets."""
        name, key = self.generation.name_der, self.generation.key_bits
        builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
            hashlib.sha1(name, usedforsecurity=False).digest(),
            hashlib.sha1(key, usedforsecurity=False).digest(),
            self.serial,
            SHA1(),  # noqa: S303 - what clients in the field send (RFC 5019 2.1.1)
        )
        if nonce is not None:
            builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
        return builder.build().public_bytes(Encoding.DER)


def filled(path: Path, certificates: int) -> Rooms:
    """Found a home and fill it with so many certificates of both CAs."""
    home = Home(path)
    found(home, Settings(), system_clock, system_randomness).close()
    rooms = open_rooms(home)
    share = certificates // len(HOLDER_PURPOSES)
    for purpose in HOLDER_PURPOSES:
        _fill(rooms, purpose, share)
    return rooms


def _fill(rooms: Rooms, purpose: Purpose, count: int) -> None:
    generation = rooms.living(purpose)[0]
    partition = tables.partition
    with rooms.store.database.reading() as connection:
        named = select(partition.c.id).where(partition.c.purpose == purpose).order_by(partition.c.id)
        partitions = connection.execute(named).scalars().all()
    now = whole_second(system_clock())
    # In the order of the primary key: a tree that grows at its end is written several times faster.
    serials = sorted(new_serial(system_randomness) for _ in range(count))
    for begin in range(0, count, _CHUNK):
        chunk = serials[begin : begin + _CHUNK]
        with rooms.store.database.writing() as connection:
            connection.execute(insert(tables.certificate), [_certificate_row(each, purpose, now) for each in chunk])
            connection.execute(
                insert(tables.status), [_status_row(each, generation, partitions, now) for each in chunk]
            )


def _certificate_row(serial: Serial, purpose: Purpose, now: datetime) -> dict[str, object]:
    return {
        "serial": serial,
        "purpose": purpose,
        "carrier": CARD,
        "holder": f"bench-{serial:x}",
        "profile_hash": "bench",
        "not_before": now,
        "not_after": now + _LIFE,
    }


def _status_row(serial: Serial, generation: Generation, partitions: Sequence[str], now: datetime) -> dict[str, object]:
    return {
        "serial": serial,
        "generation": generation.id,
        "partition": partitions[serial % len(partitions)],
        "not_after": now + _LIFE,
        "state": State.ACTIVE,
        "position": 0,
    }


def questions(rooms: Rooms, count: int) -> list[Question]:
    """Return questions about `count` certificates of the home, spread evenly over each CA's, CA after CA in turns."""
    chosen = [_spread(rooms, purpose, count // len(HOLDER_PURPOSES)) for purpose in HOLDER_PURPOSES]
    return [each for together in zip(*chosen, strict=True) for each in together]


def _spread(rooms: Rooms, purpose: Purpose, count: int) -> list[Question]:
    generation = rooms.living(purpose)[0]
    status = tables.status
    of_generation = select(status.c.serial).where(status.c.generation == generation.id).order_by(status.c.serial)
    with rooms.store.database.reading() as connection:
        serials = connection.execute(of_generation).scalars().all()
    return [Question(generation, each) for each in serials[:: len(serials) // count][:count]]


# --- as HTTP -------------------------------------------------------------------------------------------------------


def posted(body: bytes) -> bytes:
    """Return the HTTP request that posts an OCSPRequest."""
    head = "POST /ocsp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/ocsp-request\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def got(body: bytes) -> bytes:
    """Return the HTTP request that gets the answer to an OCSPRequest (RFC 6960 appendix A.1)."""
    return f"GET /ocsp/{quote(b64encode(body), safe='')} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def posted_and_got(asked: Sequence[Question]) -> list[bytes]:
    """Return one request without a nonce for each question: two by POST, two by GET, and so on."""
    return [(posted, got)[number // 2 % 2](each.der()) for number, each in enumerate(asked)]
