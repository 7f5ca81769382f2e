"""Which holder keys are taken: proof of possession, the profile's kind and size, and no key known to be weak.

Of a CSR only the public key is used (rule R17); whatever else it asks for is ignored.
"""

import hashlib
import math
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from jpki.errors import JpkiError, Kind
from jpki.signature import KeySpec, PublicKey
from jpki.text import Text

LARGEST_CSR = 16_384
"""Octets; an honest CSR of a 4096-bit key has about 1,700 in PEM."""

_NEW_KEY = Text("カードで鍵ペアを作り直してください。", "Make a new key pair on the card.")


@dataclass(frozen=True, slots=True)
class HolderKey:
    """A public key fit for `spec`, whose holder proved to hold it. Only `holder_key` makes one, after its checks."""

    public_key: PublicKey
    spec: KeySpec

    @property
    def hash(self) -> bytes:
        """SHA-256 over the key's SubjectPublicKeyInfo, by which a reused key is found."""
        return hashlib.sha256(self.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def read_csr(octets: bytes) -> x509.CertificateSigningRequest:
    """Read a PKCS#10 request, PEM or DER.

    Raises:
        JpkiError: TOO_LARGE `csr-too-large`, or MALFORMED `csr-malformed`.
    """
    if len(octets) > LARGEST_CSR:
        raise JpkiError(
            Kind.TOO_LARGE,
            "csr-too-large",
            Text("CSRが大きすぎます。", "The CSR is too large."),
            Text(f"{LARGEST_CSR}バイト以下にしてください。", f"Send at most {LARGEST_CSR} octets."),
        )
    load = x509.load_pem_x509_csr if b"-----BEGIN" in octets else x509.load_der_x509_csr
    try:
        return load(octets)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise JpkiError(
            Kind.MALFORMED,
            "csr-malformed",
            Text("CSRを読めません。", "The CSR cannot be read."),
            Text("PKCS#10（PEM又はDER）のCSRを渡してください。", "Give a PKCS#10 request in PEM or DER."),
        ) from error


def holder_key(csr: x509.CertificateSigningRequest, spec: KeySpec) -> HolderKey:
    """Return the CSR's public key if its holder proved to hold it and it is fit for the profile's `spec`.

    Raises:
        JpkiError: UNPROCESSABLE `key-not-possessed`, `key-wrong-kind` or `key-weak`.
    """
    key = _public_key(csr)
    _require_kind(key, spec)
    _require_possession(csr)
    if isinstance(key, rsa.RSAPublicKey):
        _require_strong(key)
    return HolderKey(key, spec)


def _public_key(csr: x509.CertificateSigningRequest) -> PublicKey:
    try:
        key = csr.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refusal("key-weak", "CSRの公開鍵を読めません。", "The CSR's public key cannot be read.") from error
    if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return key
    raise _refusal("key-wrong-kind", "鍵の種類が使えません。", "This kind of key cannot be used.")


def _require_possession(csr: x509.CertificateSigningRequest) -> None:
    try:
        valid = csr.is_signature_valid
    except (ValueError, InvalidSignature, UnsupportedAlgorithm):
        valid = False
    if not valid:
        raise _refusal(
            "key-not-possessed",
            "CSRの署名が公開鍵と合わず、秘密鍵の所持を確かめられません。",
            "The CSR's signature does not fit its public key, so possession of the key is not proven.",
        )


def _require_kind(key: PublicKey, spec: KeySpec) -> None:
    found = f"rsa-{key.key_size}" if isinstance(key, rsa.RSAPublicKey) else _CURVES.get(key.curve.name, key.curve.name)
    if found != spec:
        raise _refusal(
            "key-wrong-kind",
            f"鍵の種類が {found} です。この証明書には {spec} が必要です。",
            f"The key is {found}; this certificate needs {spec}.",
        )


_CURVES = {"secp256r1": str(KeySpec.P256), "secp384r1": str(KeySpec.P384)}


def _require_strong(key: rsa.RSAPublicKey) -> None:
    numbers = key.public_numbers()
    if numbers.e != 65537:
        raise _refusal("key-weak", "RSA鍵の公開指数が65537ではありません。", "The RSA exponent is not 65537.")
    if math.gcd(numbers.n, _SMALL_PRIMES_PRODUCT) != 1:
        raise _refusal("key-weak", "RSA鍵が小さな素因数をもちます。", "The RSA modulus has a small factor.")
    if _has_roca_fingerprint(numbers.n):
        raise _refusal(
            "key-weak",
            "ROCAの弱点をもつRSA鍵です（CVE-2017-15361）。",
            "The RSA key has the ROCA weakness (CVE-2017-15361).",
        )
    if _has_close_factors(numbers.n):
        raise _refusal("key-weak", "RSA鍵の2つの素数が近すぎます。", "The two primes of the RSA key are too close.")


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


def _has_close_factors(modulus: int) -> bool:
    """Tell whether Fermat's method splits the modulus within 100 rounds, as it does for the keys of CVE-2022-26320."""
    middle = math.isqrt(modulus - 1) + 1
    for candidate in range(middle, middle + _FERMAT_ROUNDS):
        square = candidate * candidate - modulus
        if math.isqrt(square) ** 2 == square:
            return True
    return False


def _refusal(code: str, ja: str, en: str) -> JpkiError:
    return JpkiError(Kind.UNPROCESSABLE, code, Text(ja, en), _NEW_KEY)
