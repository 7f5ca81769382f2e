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
        self._loaded: dict[KeyUri, PrivateKey] = {}
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
            if uri not in self._loaded:
                self._loaded[uri] = self._load(uri, must_be_sealed=True)
            return self._loaded[uri]

    def foreign_signer(self, uri: KeyUri) -> PrivateKey:
        """Return a key that is not the authority's own, such as a taxpayer's, whatever its attributes."""
        return self._load(uri, must_be_sealed=False)

    def close(self) -> None:
        """End all signer processes; they start anew when a key is used."""
        for process in self._processes:
            process.close()

    def _load(self, uri: KeyUri, *, must_be_sealed: bool) -> PrivateKey:
        named = Pkcs11Uri.parse(uri)
        if named.token != self._token.label:
            raise failed("TokenNotPresent")
        if named.object is None and named.id is None:
            raise failed("KeyNotFound")
        spki, sealed = self._ask("find", named.object, named.id)
        if must_be_sealed and not sealed:
            raise not_sealed(uri)
        public = load_der_public_key(spki)

        def sign(octets: bytes) -> bytes:
            signature: bytes = self._ask("sign", named.object, named.id, octets)
            return signature

        return _rsa_key(public, sign) if isinstance(public, rsa.RSAPublicKey) else _ec_key(public, sign)

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
