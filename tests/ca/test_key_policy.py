"""R17: of a CSR only the public key is used, its possession is proven, and weak keys are refused."""

from functools import cache
from hashlib import sha256
from math import gcd, isqrt, prod
from time import process_time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from ca.key_policy import holder_key, key_hash, read_csr, read_public_key
from ca.weak_rsa import has_close_factors
from jpki import der
from jpki.certificate import Purpose
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


_SMALL_PRIMES = prod(number for number in range(3, 2000) if all(number % each for each in range(2, isqrt(number) + 1)))


def next_prime(number: int) -> int:
    candidate = number + 2
    # Most are divided by a small prime, which is found out a hundred times as fast.
    while gcd(candidate, _SMALL_PRIMES) > 1 or pow(2, candidate - 1, candidate) != 1:
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


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP256K1(), ec.BrainpoolP384R1()])
def test_r17_another_curve_is_refused(curve: ec.EllipticCurve) -> None:
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    assert code(csr.sign(ec.generate_private_key(curve), SHA256()), KeySpec.P384) == "key-wrong-kind"


@pytest.mark.parametrize("bits", [16_384, 65_536])
def test_r17_an_oversized_key_is_refused_before_any_arithmetic_on_it(bits: int) -> None:
    csr = signed_request((1 << bits - 1) + 1, 65537, 1)
    begun = process_time()
    assert code(csr) == "key-wrong-kind"
    assert process_time() - begun < 0.05


def test_r17_a_point_that_is_not_on_the_curve_is_refused() -> None:
    honest = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    key = ec.generate_private_key(ec.SECP384R1())
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    octets = honest.sign(key, SHA384()).public_bytes(Encoding.DER)
    off = x509.load_der_x509_csr(octets.replace(point, point[:-1] + bytes([point[-1] ^ 1])))
    assert code(off, KeySpec.P384) == "key-weak"


@pytest.mark.parametrize("at", range(8))
def test_r17_broken_der_is_refused_and_nothing_else_happens(at: int) -> None:
    """Each octet of the structure's beginning is broken in turn, and so is the whole, cut short."""
    octets = world.request(world.holder_key()).public_bytes(Encoding.DER)
    for broken in (octets[:at] + bytes([octets[at] ^ 0x55]) + octets[at + 1 :], octets[: at * 80], octets + b"\x00"):
        with pytest.raises(JpkiError) as refused:
            holder_key(read_csr(broken), KeySpec.RSA_2048)
        assert refused.value.code in {"csr-malformed", "key-not-possessed"}


def test_r17_a_small_exponent_is_refused() -> None:
    key = rsa.generate_private_key(3, 2048)
    assert code(world.request(key)) == "key-weak"


def test_r17_exponent_one_is_refused() -> None:
    p, q = primes()
    assert code(signed_request(p * q, 1, 1)) in {"key-weak", "key-not-possessed"}


def test_r17_close_primes_are_refused() -> None:
    p, _ = primes()
    assert code(from_primes(p, next_prime(p))) == "key-weak"


def fermat(modulus: int) -> bool:
    """Fermat's method as it stands in books."""
    middle = isqrt(modulus - 1) + 1
    squares = (candidate * candidate - modulus for candidate in range(middle, middle + 100))
    return any(isqrt(square) ** 2 == square for square in squares)


@given(st.integers(1 << 1023, (1 << 1024) - 1), st.integers(0, 130))
def test_r17_fermat_splits_whatever_falls_within_its_rounds(middle: int, distance: int) -> None:
    """Numbers middle^2 - half^2, which the method splits when it has come from their root to the middle, or before."""
    half = isqrt(2 * middle * distance)
    modulus = middle * middle - half * half
    assert has_close_factors(modulus) == fermat(modulus)
    if middle - (isqrt(modulus - 1) + 1) < 100:
        assert has_close_factors(modulus)


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


def test_r17_one_key_has_one_hash_in_whatever_it_comes() -> None:
    key = world.holder_key()
    csr = world.request(key)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    generation, _ = world.authority(Purpose.SIGNING)
    assert key_hash(read_public_key(public)) == key_hash(read_public_key(csr.public_bytes(Encoding.PEM)))
    root = key_hash(read_public_key(generation.certificate.public_bytes(Encoding.PEM)))
    assert root == key_hash(generation.public_key) != key_hash(key.public_key())


@pytest.mark.parametrize(
    "octets",
    [b"", b"hello", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"-----BEGIN PRIVATE KEY-----\n"],
)
def test_what_holds_no_public_key_is_refused(octets: bytes) -> None:
    with pytest.raises(JpkiError) as refused:
        read_public_key(octets)
    assert refused.value.code == "key-file-malformed"
