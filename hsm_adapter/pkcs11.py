"""Keys in a PKCS#11 token: the provider for an authority that has an HSM."""

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo, Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, Hash, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.utils import Buffer

from hsm_adapter.faults import failed, not_sealed
from hsm_adapter.keys import ECSigningKey, RSASigningKey, require_label
from hsm_adapter.process import SignerProcess
from hsm_adapter.uri import Pkcs11Uri
from jpki import der, oids
from jpki.errors import JpkiError
from jpki.ids import KeyUri
from jpki.signature import KeySpec, PrivateKey

Pin = Callable[[], str]
"""Delivers the token's PIN when a session is opened; it is not kept."""

_DEADLINE_SECONDS = 10.0
_PIN_FAULTS = {"pin-wrong", "pin-locked"}
_HASHES = {SHA256.name: oids.SHA256, SHA384.name: oids.SHA384, SHA512.name: oids.SHA512}
_BY_SIZE = {32: oids.SHA256, 48: oids.SHA384, 64: oids.SHA512}


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

    `processes` sessions sign at once, each in a process of its own. Log-ins come one after another, and after a wrong
    PIN this provider tries no more, lest the token lock.
    """

    def __init__(self, token: Token, pin: Pin, *, processes: int = 2, deadline: float = _DEADLINE_SECONDS) -> None:
        self._token = token
        self._pin = pin
        self._lock = threading.Lock()
        self._logging_in = threading.Lock()
        self._signers: dict[KeyUri, PrivateKey] = {}
        self._wrappers: set[KeyUri] = set()
        self._pin_refused: JpkiError | None = None
        self._idle: queue.LifoQueue[SignerProcess] = queue.LifoQueue()
        self._processes = [SignerProcess(self._opening, token.environment, deadline) for _ in range(processes)]
        for process in self._processes:
            self._idle.put(process)

    def create(self, label: str, spec: KeySpec) -> KeyUri:
        """Make a key in the token: not extractable, sensitive, for signing only."""
        require_label(label)
        identifier: bytes = self._ask("create", label, str(spec))
        return Pkcs11Uri(token=self._token.label, object=label, id=identifier).key_uri

    def signer(self, uri: KeyUri) -> PrivateKey:
        """Return the key at `uri`, whose attributes were checked when it was first asked for.

        Raises:
            JpkiError: as the port says; FORBIDDEN `key-not-sealed` when it could leave the token.
        """
        with self._lock:
            if uri not in self._signers:
                self._require_sealed(uri, _SIGNS_ONLY)
                self._signers[uri] = self.foreign_signer(uri)
            return self._signers[uri]

    def foreign_signer(self, uri: KeyUri) -> PrivateKey:
        """Return a key that is not the authority's own, such as a taxpayer's, whatever its attributes."""
        named = self._named(uri)
        if named.secret:
            raise failed("KeyNotFound")
        public = load_der_public_key(self._ask("public", named.object, named.id))

        def sign(octets: bytes) -> bytes:
            signature: bytes = self._ask("sign", named.object, named.id, octets)
            return signature

        return _rsa_key(public, sign) if isinstance(public, rsa.RSAPublicKey) else _ec_key(public, sign)

    def create_wrapping_key(self, label: str) -> KeyUri:
        """Make an AES-256 key in the token: not extractable, sensitive, for encrypting and decrypting only."""
        require_label(label)
        identifier: bytes = self._ask("create_wrapping_key", label)
        return Pkcs11Uri(token=self._token.label, object=label, id=identifier, secret=True).key_uri

    def wrap(self, uri: KeyUri, octets: bytes) -> bytes:
        """Wrap in the token, by a key whose attributes were checked when it was first asked for."""
        wrapped: bytes = self._ask("wrap", *self._wrapper(uri), octets)
        return wrapped

    def unwrap(self, uri: KeyUri, wrapped: bytes) -> bytes:
        """Unwrap in the token, by a key whose attributes were checked when it was first asked for."""
        octets: bytes = self._ask("unwrap", *self._wrapper(uri), wrapped)
        return octets

    def attributes(self, uri: KeyUri) -> Mapping[str, str | bool]:
        """Read from the token what it says of a key."""
        named = self._named(uri)
        told: Mapping[str, str | bool] = self._ask("attributes", _kind(named), named.object, named.id)
        return told

    def destroy(self, uri: KeyUri) -> None:
        """Destroy the key in the token, its public half too, and forget it."""
        named = self._named(uri)
        self._ask("destroy", _kind(named), named.object, named.id)
        with self._lock:
            self._signers.pop(uri, None)
            self._wrappers.discard(uri)

    def close(self) -> None:
        """End all signer processes; they start anew when a key is used."""
        for process in self._processes:
            process.close()

    def _wrapper(self, uri: KeyUri) -> tuple[str | None, bytes | None]:
        named = self._named(uri)
        with self._lock:
            if uri not in self._wrappers:
                self._require_sealed(uri, _WRAPS_ONLY)
                self._wrappers.add(uri)
        return named.object, named.id

    def _named(self, uri: KeyUri) -> Pkcs11Uri:
        named = Pkcs11Uri.parse(uri)
        if named.token != self._token.label:
            raise failed("TokenNotPresent")
        if named.object is None and named.id is None:
            raise failed("KeyNotFound")
        return named

    def _require_sealed(self, uri: KeyUri, use: Mapping[str, bool]) -> None:
        told, wanted = self.attributes(uri), {**_NEVER_OUT, **use}
        if any(told[name] != value for name, value in wanted.items()):
            raise not_sealed(uri)

    def _opening(self) -> tuple[str, ...]:
        return ("open", str(self._token.module), self._token.label, self._pin())

    def _ask(self, operation: str, *arguments: object) -> Any:  # noqa: ANN401 - the answer's type is the operation's
        process = self._idle.get()
        try:
            self._log_in(process)
            return process.ask(operation, *arguments)
        finally:
            self._idle.put(process)

    def _log_in(self, process: SignerProcess) -> None:
        with self._logging_in:
            if self._pin_refused is not None:
                raise self._pin_refused
            try:
                process.start()
            except JpkiError as error:
                if error.code in _PIN_FAULTS:
                    self._pin_refused = error
                raise


def _kind(named: Pkcs11Uri) -> str:
    return "secret" if named.secret else "private"


def _rsa_key(public: rsa.RSAPublicKey, raw: Callable[[bytes], bytes]) -> RSASigningKey:
    def sign(data: bytes, padding: AsymmetricPadding, algorithm: Prehashed | HashAlgorithm | NoDigestInfo) -> bytes:
        if not isinstance(padding, PKCS1v15) or isinstance(algorithm, NoDigestInfo):
            raise TypeError("only PKCS#1 v1.5 with a hash")
        identifier, digest = _digest(data, algorithm)
        null = der.tlv(der.Tag.NULL)
        return raw(der.sequence(der.sequence(der.object_identifier(identifier), null), der.octet_string(digest)))

    return RSASigningKey(public, sign)


def _ec_key(public: object, raw: Callable[[bytes], bytes]) -> ECSigningKey:
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise TypeError("neither RSA nor elliptic-curve")

    def sign(data: Buffer, algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        _, digest = _digest(bytes(data), algorithm.algorithm)
        both = raw(digest)
        half = len(both) // 2
        return encode_dss_signature(int.from_bytes(both[:half]), int.from_bytes(both[half:]))

    return ECSigningKey(public, sign)


def _digest(data: bytes, algorithm: Prehashed | HashAlgorithm) -> tuple[str, bytes]:
    """Return the hash's OID and the digest: the token gets a digest, never the document."""
    if isinstance(algorithm, Prehashed):
        return _BY_SIZE[len(data)], data
    hashing = Hash(algorithm)
    hashing.update(data)
    return _HASHES[algorithm.name], hashing.finalize()


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
