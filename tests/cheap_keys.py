"""Keys of throw-away homes without what makes keys dear, in this process and in those that are forked for it.

What is left out is told here, and nowhere else is anything left out: a passphrase is stretched once for each salt, a
new RSA key is put together from known primes, and a key file's numbers are believed. The installed command, when it is
started, leaves out nothing, and neither does a token.
"""

import atexit
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from itertools import count
from pathlib import Path
from tempfile import mkdtemp

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from hsm_adapter import software, wrapping
from jpki.signature import KeySpec
from server.sample.keys import card_key

_FIRST, _FIRST_OF_OTHERS = 300_000, 400_000
"""Where this process's keys begin among the sample cards', and those of forked ones; tests' own cards have fewer."""
_OF_EACH = 50


@dataclass(frozen=True, slots=True)
class CheapKeys:
    """What the processes of a test share: a folder of stretched passphrases; and the number of the first new key."""

    folder: Path
    first: int

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Make keys cheap, until `patch` is undone."""
        stretch, generate = wrapping._stretched, rsa.generate_private_key  # noqa: SLF001 - the same, remembered
        load = partial(load_pem_private_key, unsafe_skip_rsa_key_validation=True)
        patch.setattr(wrapping, "_stretched", partial(_stretched, stretch, self.folder))
        patch.setattr(software, "load_pem_private_key", load)
        patch.setattr(rsa, "generate_private_key", partial(_generated, generate, count(self.first)))


@cache
def of_this_process() -> CheapKeys:
    """Return what this process has, as long as it lives."""
    folder = Path(mkdtemp())
    atexit.register(shutil.rmtree, folder)
    return CheapKeys(folder, _FIRST)


_others = count(_FIRST_OF_OTHERS, _OF_EACH)


def for_another() -> CheapKeys:
    """Return what a forked process has: the same memory, and numbers of its own."""
    return CheapKeys(of_this_process().folder, next(_others))


def _stretched(stretch: Callable[[bytes, bytes], bytes], folder: Path, passphrase: bytes, salt: bytes) -> bytes:
    known = folder / sha256(salt + passphrase).hexdigest()
    if not known.exists():
        # Whoever looks finds the whole key or none.
        own = folder / f"{os.getpid()}-{threading.get_ident()}"
        own.write_bytes(stretch(passphrase, salt))
        own.replace(known)
    return known.read_bytes()


def _generated(
    generate: Callable[[int, int], rsa.RSAPrivateKey], numbers: Iterator[int], public_exponent: int, key_size: int
) -> rsa.RSAPrivateKey:
    if (public_exponent, key_size) != (65537, 2048):
        return generate(public_exponent, key_size)
    key = card_key(KeySpec.RSA_2048, next(numbers))
    assert isinstance(key, rsa.RSAPrivateKey)
    return key
