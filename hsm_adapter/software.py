"""Keys as encrypted PKCS#8 files in the home: the default where there is no token."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from hsm_adapter.keys import ECSigningKey, RSASigningKey, require_label
from jpki.errors import JpkiError, Kind
from jpki.ids import KeyUri
from jpki.signature import KeySpec, PrivateKey
from jpki.text import Text

SCHEME = "software:"

Passphrase = Callable[[], bytes]
"""Delivers the passphrase when a key is made or loaded; it is not kept."""

_RSA_BITS = {KeySpec.RSA_2048: 2048, KeySpec.RSA_3072: 3072, KeySpec.RSA_4096: 4096}


class SoftwareKeys:
    """The key provider of a directory of PKCS#8 files, 0600, encrypted under one passphrase."""

    def __init__(self, directory: Path, passphrase: Passphrase) -> None:
        self._directory = directory
        self._passphrase = passphrase
        self._loaded: dict[KeyUri, PrivateKey] = {}
        self._lock = threading.Lock()

    def create(self, label: str, spec: KeySpec) -> KeyUri:
        """Make a key and store it under `label`, flushed to disk; see `jpki.ports.KeyProvider`."""
        path = self._path(label)
        key = generate(spec)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(self._passphrase()))
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(pem)
                    file.flush()
                    os.fsync(file.fileno())
            except BaseException:
                path.unlink()
                raise
            _flush(self._directory)
        except FileExistsError:
            raise JpkiError(
                Kind.CONFLICT,
                "key-exists",
                Text(f"鍵「{label}」は既に存在します。", f"A key named '{label}' exists already."),
                Text("別の名前を使ってください。鍵は上書きされません。", "Use another name; no key is overwritten."),
            ) from None
        except OSError as error:
            raise JpkiError(
                Kind.UNAVAILABLE,
                "key-unwritable",
                Text(f"鍵を保存できません（{error.strerror}）。", f"The key could not be stored ({error.strerror})."),
                Text("ディスクの空きと権限を確認してください。", "Check the disk's free space and permissions."),
            ) from error
        return KeyUri(SCHEME + label)

    def signer(self, uri: KeyUri) -> PrivateKey:
        """Return the key at `uri`, loaded once; see `jpki.ports.KeyProvider`."""
        with self._lock:
            if uri not in self._loaded:
                self._loaded[uri] = self._load(uri)
            return self._loaded[uri]

    def close(self) -> None:
        """Forget the keys that were loaded."""
        with self._lock:
            self._loaded.clear()

    def _load(self, uri: KeyUri) -> PrivateKey:
        path = self._path(uri.removeprefix(SCHEME))
        try:
            key = load_pem_private_key(path.read_bytes(), self._passphrase())
        except OSError as error:
            raise JpkiError(
                Kind.UNAVAILABLE,
                "key-not-found",
                Text(f"鍵 {uri} を読めません（{error.strerror}）。", f"Key {uri} cannot be read ({error.strerror})."),
                Text(
                    "ホームの keys フォルダーを復旧してください。鍵は自動では作り直されません。",
                    "Restore the home's keys folder; no key is ever made anew by itself.",
                ),
            ) from error
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
        return sign_only(key)

    def _path(self, label: str) -> Path:
        require_label(label)
        return self._directory / f"{label}.pem"


def _flush(directory: Path) -> None:
    """Flush a directory, so that a new file's name survives a power cut too."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
