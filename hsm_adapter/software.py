"""Keys as encrypted files in the home: the default where there is no token."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from hsm_adapter import wrapping
from hsm_adapter.faults import failed
from hsm_adapter.key_file import destroy_key, not_found, read_key, write_key
from hsm_adapter.keys import ECSigningKey, RSASigningKey, require_label
from jpki import signature
from jpki.errors import JpkiError, Kind
from jpki.ids import KeyUri
from jpki.randomness import Randomness, system_randomness
from jpki.signature import KeySpec, PrivateKey, spec_of
from jpki.text import Text

SCHEME = "software:"

Passphrase = Callable[[], bytes]
"""Delivers the passphrase when a key is made or loaded; it is not kept."""

Opened = TypeVar("Opened")
_WRAPPING_KIND = "aes-256"
_RSA_BITS = {KeySpec.RSA_2048: 2048, KeySpec.RSA_3072: 3072, KeySpec.RSA_4096: 4096}


class SoftwareKeys:
    """The key provider of a directory of files, 0600, encrypted under one passphrase; see `jpki.ports.KeyProvider`.

    A signing key is PKCS#8 in PEM, a wrapping key is as `hsm_adapter.wrapping` seals it; both are LABEL.pem, so that
    no label is taken twice.
    """

    def __init__(self, directory: Path, passphrase: Passphrase, randomness: Randomness = system_randomness) -> None:
        self._directory = directory
        self._passphrase = passphrase
        self._randomness = randomness
        self._signers: dict[KeyUri, PrivateKey] = {}
        self._wrappers: dict[KeyUri, AESGCM] = {}
        self._lock = threading.Lock()

    def create(self, label: str, spec: KeySpec) -> KeyUri:
        """Make a key and store it under `label`, flushed to disk."""
        path = self._path(label)
        sealing = BestAvailableEncryption(self._passphrase())
        write_key(path, generate(spec).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealing))
        return KeyUri(SCHEME + label)

    def signer(self, uri: KeyUri) -> PrivateKey:
        """Return the key at `uri`, loaded once."""
        with self._lock:
            if uri not in self._signers:
                self._signers[uri] = sign_only(self._opened(uri, load_pem_private_key))
            return self._signers[uri]

    def sign_many(self, uri: KeyUri, messages: Sequence[bytes]) -> Sequence[bytes]:
        """Sign one after another."""
        return list(map(signature.checked(self.signer(uri)), messages))

    def create_wrapping_key(self, label: str) -> KeyUri:
        """Make a wrapping key and store it under `label`, flushed to disk."""
        path = self._path(label)
        write_key(path, wrapping.seal(self._randomness(wrapping.KEY_OCTETS), self._passphrase(), self._randomness))
        return KeyUri(SCHEME + label)

    def wrap(self, uri: KeyUri, octets: bytes) -> bytes:
        """Wrap under the key at `uri`, loaded once."""
        return wrapping.wrap(self._wrapper(uri), octets, self._randomness)

    def unwrap(self, uri: KeyUri, wrapped: bytes) -> bytes:
        """Unwrap under the key at `uri`, loaded once."""
        try:
            return wrapping.unwrap(self._wrapper(uri), wrapped)
        except ValueError:
            raise failed("WrappedKeyUnreadable") from None

    def attributes(self, uri: KeyUri) -> Mapping[str, str | bool]:
        """Say that a software key is one: nothing about a file proves where it was made or who has copied it."""
        wraps = self._holds_wrapping_key(uri)
        kind = _WRAPPING_KIND if wraps else spec_of(sign_only(self._opened(uri, load_pem_private_key)).public_key())
        return {
            "kind": str(kind),
            "storage": "software",
            "sensitive": False,
            "always_sensitive": False,
            "extractable": True,
            "never_extractable": False,
            "local": False,
            "sign": not wraps,
            "decrypt": wraps,
            "unwrap": False,
        }

    def destroy(self, uri: KeyUri) -> None:
        """Overwrite and remove the key's file, and forget the key."""
        with self._lock:
            destroy_key(self._file(uri))
            self._signers.pop(uri, None)
            self._wrappers.pop(uri, None)

    def close(self) -> None:
        """Forget the keys that were loaded."""
        with self._lock:
            self._signers.clear()
            self._wrappers.clear()

    def _wrapper(self, uri: KeyUri) -> AESGCM:
        with self._lock:
            if uri not in self._wrappers:
                if not self._holds_wrapping_key(uri):
                    raise not_found(self._file(uri), "not a wrapping key")
                self._wrappers[uri] = self._opened(uri, wrapping.open_sealed)
            return self._wrappers[uri]

    def _holds_wrapping_key(self, uri: KeyUri) -> bool:
        return wrapping.is_sealed(read_key(self._file(uri)))

    def _opened(self, uri: KeyUri, load: Callable[[bytes, bytes], Opened]) -> Opened:
        sealed = read_key(self._file(uri))
        try:
            return load(sealed, self._passphrase())
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise JpkiError(
                Kind.FORBIDDEN,
                "passphrase-wrong",
                Text(f"鍵 {uri} を開けません。パスフレーズが違います。", f"Key {uri} does not open: wrong passphrase."),
                Text(
                    "JPKI_KEY_PASSPHRASE（環境変数・資格情報・ファイル）を確認してください。",
                    "Check JPKI_KEY_PASSPHRASE (environment, credential or file).",
                ),
            ) from error

    def _file(self, uri: KeyUri) -> Path:
        return self._path(uri.removeprefix(SCHEME))

    def _path(self, label: str) -> Path:
        require_label(label)
        return self._directory / f"{label}.pem"


def generate(spec: KeySpec) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    """Make a key of this kind in memory, still exportable: for a provider to seal, or for a card's holder."""
    if spec in _RSA_BITS:
        return rsa.generate_private_key(65537, _RSA_BITS[spec])
    return ec.generate_private_key(ec.SECP384R1() if spec is KeySpec.P384 else ec.SECP256R1())


def read_key_file(file: Path, passphrase: Callable[[], bytes | None]) -> PrivateKey:
    """Return the private key in a PEM file, such as a holder's; the passphrase is asked for if it is encrypted.

    Raises:
        JpkiError: UNPROCESSABLE `key-unreadable` or `key-kind-unknown`.
    """
    pem = file.read_bytes()
    try:
        key = load_pem_private_key(pem, passphrase() if b"ENCRYPTED" in pem else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "key-unreadable",
            Text(f"{file} の秘密鍵を読めません。", f"The private key in {file} cannot be read."),
            Text(
                "PEM形式の鍵を指定し、暗号化されていれば JPKI_KEY_PASSPHRASE を渡してください。",
                "Give a key in PEM, and JPKI_KEY_PASSPHRASE if it is encrypted.",
            ),
        ) from error
    return sign_only(key)


def sign_only(key: object) -> PrivateKey:
    """Wrap a pyca private key so that it signs and cannot be exported."""
    if isinstance(key, rsa.RSAPrivateKey):
        return RSASigningKey(key.public_key(), key.sign)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return ECSigningKey(key.public_key(), key.sign)
    raise JpkiError(
        Kind.UNPROCESSABLE,
        "key-kind-unknown",
        Text("RSA鍵でも楕円曲線鍵でもありません。", "The key is neither RSA nor elliptic-curve."),
        Text("対応する種類の鍵を使ってください。", "Use a key of a supported kind."),
    )
