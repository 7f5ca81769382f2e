"""Whose certificate a client shows, as the generations stand now."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from ca import names
from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.ids import GenerationId
from jpki.text import Text
from server.clients import Clients
from tests.ca import world
from tests.conftest import SteppingClock

NAME = names.authority(Purpose.INFRASTRUCTURE)
SERIAL = 1 << 126
KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("i1", "i2", "own")}


def certificate(clock: SteppingClock, subject: x509.Name, key: str, issuer: str, serial: int) -> x509.Certificate:
    builder = x509.CertificateBuilder(NAME, subject, KEYS[key].public_key(), serial)
    builder = builder.not_valid_before(clock()).not_valid_after(clock() + timedelta(days=30))
    return builder.sign(KEYS[issuer], SHA256())


class Roots:
    """Two generations of one name, as a test lets them stand."""

    def __init__(self, clock: SteppingClock) -> None:
        known, _ = world.authority(Purpose.SIGNING)
        self.trusted = [
            replace(
                known,
                id=GenerationId(name),
                purpose=Purpose.INFRASTRUCTURE,
                certificate=certificate(clock, NAME, name, name, SERIAL + number),
            )
            for number, name in enumerate(("i1", "i2"), 1)
        ]
        self.away = False
        self.read = 0

    def __call__(self) -> Sequence[Generation]:
        self.read += 1
        if self.away:
            raise JpkiError(Kind.UNAVAILABLE, "database-unavailable", Text("-", "-"), Text("-", "-"))
        return list(self.trusted)


def shown(clock: SteppingClock, issuer: str) -> bytes:
    return certificate(clock, x509.Name([]), "own", issuer, SERIAL).public_bytes(Encoding.DER)


def asked(clients: Clients, octets: bytes) -> tuple[Purpose, int] | None:
    clients.keep_up()
    return clients.bearer(octets)


def test_one_serial_below_two_roots_falls_with_its_own_root_alone(clock: SteppingClock) -> None:
    roots = Roots(clock)
    clients, (old, new) = Clients(roots, clock), [shown(clock, each) for each in ("i1", "i2")]
    known = (Purpose.INFRASTRUCTURE, SERIAL)
    assert [asked(clients, each) for each in (old, new)] == [known, known]
    del roots.trusted[0]
    assert asked(clients, old) == known
    clock.advance(seconds=1)
    assert [asked(clients, each) for each in (old, new)] == [None, known]
    assert roots.read == 2


def test_while_the_ledger_is_away_those_are_trusted_that_were(clock: SteppingClock) -> None:
    roots = Roots(clock)
    clients, octets = Clients(roots, clock), shown(clock, "i1")
    roots.away = True
    with pytest.raises(JpkiError):
        clients.keep_up()
    roots.away = False
    assert asked(clients, octets) is not None
    roots.away = True
    clock.advance(seconds=1)
    assert asked(clients, octets) is not None
    assert (roots.read, asked(clients, octets) is not None, roots.read) == (3, True, 3)


def test_what_has_ended_or_is_of_nobody_or_none_is_nobodys(clock: SteppingClock) -> None:
    clients, octets = Clients(Roots(clock), clock), shown(clock, "i1")
    strange = shown(clock, "own")
    assert [asked(clients, each) for each in (strange, octets[:-1], b"")] == [None, None, None]
    assert asked(clients, octets) is not None
    clock.advance(days=31)
    assert asked(clients, octets) is None
