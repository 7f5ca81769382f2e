"""A software key that wraps data keys: AES-256-GCM, sealed under a passphrase where it is stored."""

import base64

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from jpki.randomness import Randomness

KEY_OCTETS, NONCE_OCTETS, TAG_OCTETS = 32, 12, 16
_BEGIN, _END = b"-----BEGIN JPKI WRAPPING KEY-----\n", b"-----END JPKI WRAPPING KEY-----\n"
"""Around a sealed wrapping key: in base64 the salt, the nonce and the sealed key with its tag."""
_SALT_OCTETS = 16


def wrap(key: AESGCM, octets: bytes, randomness: Randomness) -> bytes:
    """Return a fresh nonce and `octets` under the key, authenticated."""
    nonce = randomness(NONCE_OCTETS)
    return nonce + key.encrypt(nonce, octets, None)


def unwrap(key: AESGCM, wrapped: bytes) -> bytes:
    """Return what was wrapped.

    Raises:
        ValueError: when `wrapped` was altered, or is of another key.
    """
    if len(wrapped) < NONCE_OCTETS + TAG_OCTETS:
        raise ValueError("too short")
    try:
        return key.decrypt(wrapped[:NONCE_OCTETS], wrapped[NONCE_OCTETS:], None)
    except InvalidTag as error:
        raise ValueError("does not open") from error


def seal(key: bytes, passphrase: bytes, randomness: Randomness) -> bytes:
    """Return the key's file: the key wrapped by what scrypt makes of the passphrase."""
    salt = randomness(_SALT_OCTETS)
    sealed = salt + wrap(AESGCM(_stretched(passphrase, salt)), key, randomness)
    return _BEGIN + base64.encodebytes(sealed) + _END


def is_sealed(file: bytes) -> bool:
    """Tell whether a file holds a wrapping key."""
    return file.startswith(_BEGIN)


def open_sealed(file: bytes, passphrase: bytes) -> AESGCM:
    """Return the key of a file that `seal` made.

    Raises:
        ValueError: when the passphrase is wrong or the file is damaged.
    """
    sealed = base64.b64decode(file.removeprefix(_BEGIN).removesuffix(_END))
    salt, wrapped = sealed[:_SALT_OCTETS], sealed[_SALT_OCTETS:]
    return AESGCM(unwrap(AESGCM(_stretched(passphrase, salt)), wrapped))


def _stretched(passphrase: bytes, salt: bytes) -> bytes:
    """Return the passphrase's own key. The cost is one of those that OWASP recommends: 32 MiB, a quarter second."""
    return Scrypt(salt=salt, length=KEY_OCTETS, n=2**15, r=8, p=3).derive(passphrase)
