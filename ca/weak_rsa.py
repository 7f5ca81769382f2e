"""RSA keys that are known to be weak, whoever made them: each check costs some microseconds."""

import math
from functools import cache

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

from jpki.text import Text


def rsa_weakness(key: RSAPublicNumbers) -> Text | None:
    """Say why the key is weak, or None: its exponent, a small factor, ROCA (CVE-2017-15361), or close primes."""
    if key.e != 65537:
        return Text("RSA鍵の公開指数が65537ではありません。", "The RSA exponent is not 65537.")
    if math.gcd(key.n, _SMALL_PRIMES_PRODUCT) != 1:
        return Text("RSA鍵が小さな素因数をもちます。", "The RSA modulus has a small factor.")
    if _has_roca_fingerprint(key.n):
        return Text(
            "ROCAの弱点をもつRSA鍵です（CVE-2017-15361）。", "The RSA key has the ROCA weakness (CVE-2017-15361)."
        )
    if has_close_factors(key.n):
        return Text("RSA鍵の2つの素数が近すぎます。", "The two primes of the RSA key are too close.")
    return None


def _primes_below(limit: int) -> list[int]:
    sieve = bytearray([1]) * limit
    for number in range(2, math.isqrt(limit) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(sieve[number * number :: number]))
    return [number for number in range(2, limit) if sieve[number]]


_SMALL_PRIMES_PRODUCT = math.prod(_primes_below(752))

# A ROCA modulus is a power of 65537 modulo each of the first 38 odd primes (Nemec et al., CCS 2017, section 2.1).
_ROCA_PRIMES = [prime for prime in _primes_below(168) if prime > 2]
_ROCA_RESIDUES = {prime: {pow(65537, power, prime) for power in range(prime)} for prime in _ROCA_PRIMES}


def _has_roca_fingerprint(modulus: int) -> bool:
    return all(modulus % prime in residues for prime, residues in _ROCA_RESIDUES.items())


_FERMAT_ROUNDS = 100
_SIEVES = (16, 9, 5, 7, 11, 13, 17, 19, 23, 29)
"""Coprime moduli, in each of which at most half of the residues are squares: one round in a thousand passes all."""


def has_close_factors(modulus: int) -> bool:
    """Tell whether Fermat's method splits the modulus within 100 rounds, as it does for the keys of CVE-2022-26320.

    A round finds the factors where `(middle + round)^2 - modulus` is a square. Most rounds are ruled out by residues,
    in arithmetic on small numbers: a big square root takes longer than all of them.
    """
    middle = math.isqrt(modulus - 1) + 1
    possible = (1 << _FERMAT_ROUNDS) - 1
    for sieve in _SIEVES:
        possible &= _possible_rounds(sieve, middle % sieve, modulus % sieve)
    return any(
        possible >> number & 1 and _is_square((middle + number) ** 2 - modulus)
        for number in range(possible.bit_length())
    )


@cache
def _possible_rounds(sieve: int, middle: int, modulus: int) -> int:
    """Return, bit by bit, in which rounds Fermat's number is a square modulo `sieve`."""
    squares = {number * number % sieve for number in range(sieve)}
    return sum(1 << number for number in range(_FERMAT_ROUNDS) if ((middle + number) ** 2 - modulus) % sieve in squares)


def _is_square(number: int) -> bool:
    return math.isqrt(number) ** 2 == number
