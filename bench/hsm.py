"""What the way to the token costs: signatures a second through the key provider, of the bare binding's own.

Both sides use two processes and SoftHSM. The bare loop signs one digest over and over; the provider gets messages,
hashes them, and checks each signature against the public key. So the same is measured against a bare loop that checks,
too: what must be computed in any case. A check costs little of a signature with RSA-2048, and more than half of one
with P-384.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from bench.rows import Row, ratio
from hsm_adapter.pkcs11 import Pkcs11Keys, Token, make_token
from hsm_adapter.roles import Role
from hsm_adapter.token_keys import token_key
from jpki import signature
from jpki.ids import KeyUri
from jpki.signature import KeySpec, PublicKey
from server.home import PINS, Home
from server.settings import Settings

PROCESSES, ROUNDS, SECONDS, CAMPAIGN = 2, 9, 1.0, 500
TARGET = 0.85
MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "24681357"
MESSAGE = bytes(900)
SPECS = (KeySpec.RSA_2048, KeySpec.P384)

Rate = Callable[[], float]
"""Signs for `SECONDS`, and returns signatures a second."""


@dataclass(frozen=True, slots=True)
class BareLoop:
    """What a bare loop signs with: the key's label, its public half, and whether it checks what it made."""

    label: str
    public: bytes
    checked: bool


def rows() -> Iterator[Row]:
    """Measure each kind of key, of the bare loop's rate and of one that checks."""
    with tempfile.TemporaryDirectory() as folder:
        token = _token(Path(folder))
        keys = Pkcs11Keys(token, lambda: PIN, processes=PROCESSES)
        try:
            for spec in SPECS:
                yield from _measure(spec, keys, token)
        finally:
            keys.close()


def _measure(spec: KeySpec, keys: Pkcs11Keys, token: Token) -> Iterator[Row]:
    uri = keys.create(f"ca-{spec}", spec)
    public = keys.signer(uri).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    bare, checking = (BareLoop(f"ca-{spec}", public, checked) for checked in (False, True))
    with looping(token, PIN, bare) as raw, looping(token, PIN, checking) as limit:
        rounds = [(_through(keys, uri), raw(), limit()) for _ in range(ROUNDS)]
    ours, bare_rates, checked_rates = zip(*rounds, strict=True)
    yield ratio(f"hsm.{spec}-of-raw", TARGET, ours, {"bare": bare_rates})
    yield ratio(f"hsm.{spec}-of-limit", TARGET, ours, {"bare-checked": checked_rates})


def _through(keys: Pkcs11Keys, uri: KeyUri) -> float:
    begun, made = time.perf_counter(), 0
    while time.perf_counter() - begun < SECONDS:
        made += len(keys.sign_many(uri, [MESSAGE] * CAMPAIGN))
    return made / (time.perf_counter() - begun)


@contextmanager
def looping(token: Token, pin: str, loop: BareLoop) -> Iterator[Rate]:
    """Keep processes with a session each that sign in a bare loop when they are told to."""
    context = get_context("spawn")
    pipes = [context.Pipe() for _ in range(PROCESSES)]
    processes = [context.Process(target=_loop, args=(theirs, token, pin, loop), daemon=True) for _, theirs in pipes]
    for process in processes:
        process.start()

    def rate() -> float:
        for ours, _ in pipes:
            ours.send("sign")
        return sum(float(ours.recv()) for ours, _ in pipes)

    try:
        yield rate
    finally:
        for process in processes:
            process.kill()
            process.join()


def _loop(connection: Connection, token: Token, pin: str, loop: BareLoop) -> None:
    os.environ.update(token.environment)
    import pkcs11
    from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

    found = next(iter(pkcs11.lib(str(token.module)).get_tokens(token_label=token.label)))
    session: Any = found.open(user_pin=pin)
    private = next(iter(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.LABEL: loop.label})))
    mechanism = Mechanism.RSA_PKCS if private.key_type is KeyType.RSA else Mechanism.ECDSA
    public = load_der_public_key(loop.public)
    if not isinstance(public, PublicKey):
        raise TypeError("neither RSA nor elliptic-curve")
    key = token_key(public, lambda octets: private.sign(octets, mechanism=mechanism))
    octets = bytes(51) if mechanism is Mechanism.RSA_PKCS else bytes(48)
    while True:
        connection.recv()
        begun, made = time.perf_counter(), 0
        while time.perf_counter() - begun < SECONDS:
            if loop.checked:
                signature.sign(key, MESSAGE)
            else:
                private.sign(octets, mechanism=mechanism)
            made += 1
        connection.send(made / (time.perf_counter() - begun))


def _token(folder: Path) -> Token:
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nlibrary.reset_on_fork = true\n")
    token = Token(module=MODULE, label="bench", environment={"SOFTHSM2_CONF": str(configuration)})
    make_token(token, so_pin="13572468", pin=PIN)
    return token


def ca_token(home: Home, settings: Settings) -> tuple[Token, str]:
    """Return the token of a home's CA keys, and its PIN."""
    if settings.pkcs11 is None:
        raise ValueError(home)
    environment = {"SOFTHSM2_CONF": str(home.softhsm / "softhsm2.conf")}
    token = Token(module=Path(settings.pkcs11.module), label=settings.pkcs11.token, environment=environment)
    return token, home.secret(PINS[Role.CA]).decode()
