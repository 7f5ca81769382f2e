"""R17: of a CSR only the public key is used, its possession is proven, and weak keys are refused."""

from functools import cache
from hashlib import sha256
from math import isqrt, prod

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from ca.key_policy import holder_key, read_csr
from jpki import der
from jpki.errors import JpkiError
from jpki.signature import KeySpec
from tests.ca import world

_RSA_KEY = der.sequence(der.object_identifier("1.2.840.113549.1.1.1"), der.tlv(der.Tag.NULL))
_RSA_SHA256 = der.sequence(der.object_identifier("1.2.840.113549.1.1.11"), der.tlv(der.Tag.NULL))


def code(csr: x509.CertificateSigningRequest, spec: KeySpec = KeySpec.RSA_2048) -> str:
    with pytest.raises(JpkiError) as refused:
        holder_key(csr, spec)
    return refused.value.code


def signed_request(modulus: int, exponent: int, private: int) -> x509.CertificateSigningRequest:
    """A CSR for any RSA numbers, signed with textbook RSA: the hostile keys that no library makes."""
    key = der.sequence(_RSA_KEY, der.bit_string(der.sequence(der.integer(modulus), der.integer(exponent))))
    body = der.sequence(der.integer(0), der.sequence(), key, der.tlv(der.context(0)))
    length = (modulus.bit_length() + 7) // 8
    digest = der.sequence(
        der.sequence(der.object_identifier("2.16.840.1.101.3.4.2.1"), der.tlv(der.Tag.NULL)),
        der.octet_string(sha256(body).digest()),
    )
    padded = b"\x00\x01" + b"\xff" * (length - len(digest) - 3) + b"\x00" + digest
    signature = pow(int.from_bytes(padded), private, modulus).to_bytes(length)
    return x509.load_der_x509_csr(der.sequence(body, _RSA_SHA256, der.bit_string(signature)))


def from_primes(p: int, q: int, exponent: int = 65537) -> x509.CertificateSigningRequest:
    return signed_request(p * q, exponent, pow(exponent, -1, (p - 1) * (q - 1)))


@cache
def primes() -> tuple[int, int]:
    numbers = world.holder_key().private_numbers()
    return numbers.p, numbers.q


def next_prime(number: int) -> int:
    candidate = number + 2
    while pow(2, candidate - 1, candidate) != 1:
        candidate += 2
    return candidate


def test_r17_a_sound_key_is_taken() -> None:
    key = holder_key(world.request(world.holder_key()), KeySpec.RSA_2048)
    assert key.public_key == world.holder_key().public_key()
    assert holder_key(from_primes(*primes()), KeySpec.RSA_2048) == key


def test_r17_possession_must_be_proven() -> None:
    octets = bytearray(world.request(world.holder_key()).public_bytes(Encoding.DER))
    octets[-1] ^= 1
    assert code(x509.load_der_x509_csr(bytes(octets))) == "key-not-possessed"


@pytest.mark.parametrize("bits", [1024, 3072, 4096])
def test_r17_other_sizes_are_refused(bits: int) -> None:
    key = rsa.generate_private_key(65537, bits)
    assert code(world.request(key)) == "key-wrong-kind"


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP521R1()])
def test_r17_other_kinds_are_refused(curve: ec.EllipticCurve) -> None:
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    assert code(csr.sign(ec.generate_private_key(curve), SHA256())) == "key-wrong-kind"
    assert code(csr.sign(ed25519.Ed25519PrivateKey.generate(), None)) == "key-wrong-kind"


def test_r17_a_small_exponent_is_refused() -> None:
    p, q = primes()
    while (p - 1) % 3 == 0:
        p = next_prime(p)
    while (q - 1) % 3 == 0:
        q = next_prime(q)
    assert code(from_primes(p, q, 3)) == "key-weak"


def test_r17_exponent_one_is_refused() -> None:
    p, q = primes()
    assert code(signed_request(p * q, 1, 1)) in {"key-weak", "key-not-possessed"}


def test_r17_close_primes_are_refused() -> None:
    p, _ = primes()
    assert code(from_primes(p, next_prime(p))) == "key-weak"


def test_r17_a_small_factor_is_refused() -> None:
    modulus = 0
    while modulus.bit_length() != 2048:
        numbers = rsa.generate_private_key(65537, 2046).private_numbers()  # noqa: S505 - times five, it has 2048 bits
        modulus = 5 * numbers.p * numbers.q
    private = pow(65537, -1, 4 * (numbers.p - 1) * (numbers.q - 1))
    assert code(signed_request(modulus, 65537, private)) == "key-weak"


def test_r17_a_roca_key_is_refused() -> None:
    # Infineon's generator: primes of the form k * M + (65537^a mod M), M the product of the first 126 primes.
    product = prod(p for p in range(2, 702) if all(p % d for d in range(2, isqrt(p) + 1)))

    def infineon(power: int) -> int:
        k = (3 << 1022) // product
        while pow(2, (prime := k * product + pow(65537, power, product)) - 1, prime) != 1:
            k += 1
        return prime

    assert code(from_primes(infineon(1_000_003), infineon(2_000_029))) == "key-weak"


def test_r17_a_reshaped_request_gives_the_same_certificate_and_no_more() -> None:
    def greedy(builder: x509.CertificateSigningRequestBuilder) -> x509.CertificateSigningRequestBuilder:
        return (
            builder.subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")]))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("example.jp")]), critical=False)
        )

    asked = x509.CertificateSigningRequestBuilder()
    csr = greedy(asked).sign(world.holder_key(), SHA256())
    assert holder_key(csr, KeySpec.RSA_2048).public_key == world.holder_key().public_key()


@pytest.mark.parametrize(
    "octets", [b"", b"hello", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n", b"\x30\x03\x02\x01\x00"]
)
def test_garbage_is_refused(octets: bytes) -> None:
    with pytest.raises(JpkiError) as refused:
        read_csr(octets)
    assert refused.value.code == "csr-malformed"


def test_an_oversized_request_is_refused() -> None:
    with pytest.raises(JpkiError) as refused:
        read_csr(bytes(20_000))
    assert refused.value.code == "csr-too-large"
