"""Keys and requests of sample cards, in a fraction of a millisecond each, for trials and benches.

Never for a key that matters: everybody can make these. The RSA keys are products of 1,024 published primes, and the
others follow from their number.
"""

from functools import cache, lru_cache
from importlib.resources import files
from math import isqrt

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from jpki.errors import JpkiError, Kind
from jpki.signature import KeySpec, PrivateKey, algorithm_for
from jpki.text import Text
from server.sample.draws import octets

_PRIME_OCTETS = 128
_EXPONENT = 65537
_LAST_EC = 10**12
_NOBODY = x509.Name([])
_CURVES = {KeySpec.P256: ec.SECP256R1(), KeySpec.P384: ec.SECP384R1()}


def card_request(spec: KeySpec, number: int) -> x509.CertificateSigningRequest:
    """Return the CSR that the sample card of this number, from 0 on, makes for its key.

    Raises:
        JpkiError: as `card_key`.
    """
    key = card_key(spec, number)
    return x509.CertificateSigningRequestBuilder().subject_name(_NOBODY).sign(key, algorithm_for(key.public_key()).hash)


def card_key(spec: KeySpec, number: int) -> PrivateKey:
    """Return the key of the sample card of this number, from 0 on; no two numbers have the same one.

    Raises:
        JpkiError: UNPROCESSABLE `sample-keys-exhausted` after half a million RSA keys.
    """
    return _rsa_key(number) if spec is KeySpec.RSA_2048 else _ec_key(spec, number)


def last_number(spec: KeySpec) -> int:
    """Return the number of the last sample card."""
    return len(_primes()) * (len(_primes()) - 1) // 2 - 1 if spec is KeySpec.RSA_2048 else _LAST_EC


def _ec_key(spec: KeySpec, number: int) -> ec.EllipticCurvePrivateKey:
    curve = _CURVES[spec]
    # The top bit is left out, so that the number lies below the order of either curve's group.
    secret = int.from_bytes(octets(curve.key_size // 8, "sample key", spec, number)) >> 1 | 1
    return ec.derive_private_key(secret, curve)


def _rsa_key(number: int) -> rsa.RSAPrivateKey:
    """Multiply two primes of the pool: pairs are numbered row by row, and a row holds one prime with all before it."""
    row = (1 + isqrt(8 * number + 1)) // 2
    column = number - row * (row - 1) // 2
    primes = _primes()
    if row >= len(primes):
        raise _exhausted(len(primes))
    p, q = primes[row], primes[column]
    d = pow(_EXPONENT, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=d % (p - 1),
        dmq1=d % (q - 1),
        iqmp=_inverses(row)[column],
        public_numbers=rsa.RSAPublicNumbers(_EXPONENT, p * q),
    )
    # The check that is skipped takes thirty milliseconds, and every certificate's own signature is checked.
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


@cache
def _primes() -> tuple[int, ...]:
    """Return the pool: the n-th is the first prime from SHAKE-256 of "jpki sample prime n" on, its top two bits set."""
    pool = files("server.sample").joinpath("primes.bin").read_bytes()
    return tuple(int.from_bytes(pool[start : start + _PRIME_OCTETS]) for start in range(0, len(pool), _PRIME_OCTETS))


@lru_cache(maxsize=2)
def _inverses(row: int) -> list[int]:
    """Return the inverses, modulo the row's prime, of all primes before it: one inversion, shared (Montgomery)."""
    primes = _primes()
    modulus = primes[row]
    products = [1]
    for prime in primes[:row]:
        products.append(products[-1] * prime % modulus)
    inverse = pow(products[-1], -1, modulus)
    inverses = []
    for before, prime in zip(reversed(products[:-1]), reversed(primes[:row]), strict=True):
        inverses.append(inverse * before % modulus)
        inverse = inverse * prime % modulus
    return inverses[::-1]


def _exhausted(primes: int) -> JpkiError:
    count = primes * (primes - 1) // 2
    return JpkiError(
        Kind.UNPROCESSABLE,
        "sample-keys-exhausted",
        Text(f"見本用のRSA鍵は {count} 個までです。", f"There are {count} sample RSA keys and no more."),
        Text("新しいホームで始めてください。", "Begin again in a new home."),
    )
