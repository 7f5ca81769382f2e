"""Keys in a PKCS#11 token: the provider for an authority that has an HSM."""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from hsm_adapter.breaker import Breaker, Seconds
from hsm_adapter.faults import failed, not_sealed
from hsm_adapter.keys import require_label
from hsm_adapter.pool import SignerPool
from hsm_adapter.process import SignerProcess
from hsm_adapter.token_keys import token_key
from hsm_adapter.uri import Pkcs11Uri
from jpki.ids import KeyUri
from jpki.signature import KeySpec, PrivateKey, PublicKey

Pin = Callable[[], str]
"""Delivers the token's PIN when a session is opened; it is not kept."""

_DEADLINE_SECONDS, _PAUSE_SECONDS = 10.0, 2.0
_BATCH = 32
_NEVER_OUT = {
    "sensitive": True,
    "always_sensitive": True,
    "extractable": False,
    "never_extractable": True,
    "local": True,
    "unwrap": False,
}
"""What a key of an authority must be: made in the token and never out of it; and for nothing but its one use."""
_SIGNS_ONLY = {"sign": True, "decrypt": False}
_WRAPS_ONLY = {"sign": False, "decrypt": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Which token: the module's path, the token's label, and what the module needs in its environment."""

    module: Path
    label: str
    environment: Mapping[str, str] = field(default_factory=dict)


class Pkcs11Keys:
    """The key provider of one token; see `jpki.ports.KeyProvider`.

    `processes` sessions sign at once, each in a process of its own; a request that the token does not answer in
    `deadline` seconds is an outage, and for a moment after one all are refused at once. `label` is the token's.
    """

    def __init__(
        self,
        token: Token,
        pin: Pin,
        *,
        processes: int = 2,
        deadline: float = _DEADLINE_SECONDS,
        clock: Seconds = time.monotonic,
    ) -> None:
        def opening() -> tuple[str, ...]:
            return ("open", str(token.module), token.label, pin())

        signers = [SignerProcess(opening, token.environment, deadline) for _ in range(processes)]
        self.label = token.label
        self._pool = SignerPool(signers, Breaker(_PAUSE_SECONDS, clock), deadline)
        self._lock = threading.Lock()
        self._signers: dict[KeyUri, PrivateKey] = {}
        self._wrappers: set[KeyUri] = set()

    def create(self, label: str, spec: KeySpec) -> KeyUri:
        """Make a key in the token: not extractable, sensitive, for signing only."""
        require_label(label)
        identifier: bytes = self._pool.ask("create", label, str(spec))
        return Pkcs11Uri(token=self.label, object=label, id=identifier).key_uri

    def signer(self, uri: KeyUri) -> PrivateKey:
        """Return the key at `uri`, whose attributes were checked when it was first asked for.

        Raises:
            JpkiError: as the port says; FORBIDDEN `key-not-sealed` when it could leave the token.
        """
        if uri not in self._signers:
            self._require_sealed(uri, _SIGNS_ONLY)
            key = self.foreign_signer(uri)
            with self._lock:
                return self._signers.setdefault(uri, key)
        return self._signers[uri]

    def foreign_signer(self, uri: KeyUri) -> PrivateKey:
        """Return a key that is not the authority's own, such as a taxpayer's, whatever its attributes."""
        named = self._named(uri)
        if named.secret:
            raise failed("KeyNotFound")
        public = load_der_public_key(self._pool.ask("public", named.object, named.id))
        if not isinstance(public, PublicKey):
            raise TypeError("neither RSA nor elliptic-curve")

        def sign(octets: bytes) -> bytes:
            signature: bytes = self._pool.ask("sign", named.object, named.id, octets)
            return signature

        return token_key(public, sign)

    def sign_many(self, uri: KeyUri, messages: Sequence[bytes]) -> Sequence[bytes]:
        """Sign in batches, on all signer processes at once, each of which checks what it signed.

        A batch is small, so that whoever has one thing to sign meanwhile does not wait long.
        """
        public = self.signer(uri).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        named = self._named(uri)
        # A token that is away is found out here, before anything was signed.
        self._pool.ask("public", named.object, named.id)

        def sign(batch: Sequence[bytes]) -> Sequence[bytes]:
            signatures: Sequence[bytes] = self._pool.ask("sign_many", named.object, named.id, public, batch)
            return signatures

        size = max(1, min(_BATCH, math.ceil(len(messages) / self._pool.size)))
        batches = [messages[at : at + size] for at in range(0, len(messages), size)]
        with ThreadPoolExecutor(self._pool.size) as threads:
            return [signature for signatures in threads.map(sign, batches) for signature in signatures]

    def create_wrapping_key(self, label: str) -> KeyUri:
        """Make an AES-256 key in the token: not extractable, sensitive, for encrypting and decrypting only."""
        require_label(label)
        identifier: bytes = self._pool.ask("create_wrapping_key", label)
        return Pkcs11Uri(token=self.label, object=label, id=identifier, secret=True).key_uri

    def wrap(self, uri: KeyUri, octets: bytes) -> bytes:
        """Wrap in the token, by a key whose attributes were checked when it was first asked for."""
        wrapped: bytes = self._pool.ask("wrap", *self._wrapper(uri), octets)
        return wrapped

    def unwrap(self, uri: KeyUri, wrapped: bytes) -> bytes:
        """Unwrap in the token, by a key whose attributes were checked when it was first asked for."""
        octets: bytes = self._pool.ask("unwrap", *self._wrapper(uri), wrapped)
        return octets

    def attributes(self, uri: KeyUri) -> Mapping[str, str | bool]:
        """Read from the token what it says of a key."""
        named = self._named(uri)
        told: Mapping[str, str | bool] = self._pool.ask("attributes", _kind(named), named.object, named.id)
        return told

    def destroy(self, uri: KeyUri) -> None:
        """Destroy the key in the token, its public half too, and forget it."""
        named = self._named(uri)
        self._pool.ask("destroy", _kind(named), named.object, named.id)
        self._signers.pop(uri, None)
        self._wrappers.discard(uri)

    def close(self) -> None:
        """End all signer processes; they start anew when a key is used."""
        self._pool.close()

    def _wrapper(self, uri: KeyUri) -> tuple[str | None, bytes | None]:
        named = self._named(uri)
        if uri not in self._wrappers:
            self._require_sealed(uri, _WRAPS_ONLY)
            self._wrappers.add(uri)
        return named.object, named.id

    def _named(self, uri: KeyUri) -> Pkcs11Uri:
        named = Pkcs11Uri.parse(uri)
        if named.token != self.label:
            raise failed("TokenUnknown")
        if named.object is None and named.id is None:
            raise failed("KeyNotFound")
        return named

    def _require_sealed(self, uri: KeyUri, use: Mapping[str, bool]) -> None:
        told, wanted = self.attributes(uri), {**_NEVER_OUT, **use}
        if any(told[name] != value for name, value in wanted.items()):
            raise not_sealed(uri)


def _kind(named: Pkcs11Uri) -> str:
    return "secret" if named.secret else "private"


def make_token(token: Token, so_pin: str, pin: str) -> None:
    """Initialise a new token with this label in the module's first free slot.

    Raises:
        JpkiError: UNAVAILABLE when the module refuses.
    """
    process = SignerProcess(lambda: ("initialise", str(token.module), token.label, so_pin, pin), token.environment, 30)
    try:
        process.start()
    finally:
        process.close()
