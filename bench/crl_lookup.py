"""Reading lists of a million entries: finding a serial, and opening, beside cryptography and certvalidator.

Half of the serials looked up are listed, all over the list; the answer has the time and the reason. Ours is open when
each octet was judged, the signature checked and all serials indexed; cryptography's when it has parsed the entries, at
whose extensions it does not look then. certvalidator goes through the entries as asn1crypto parses them, and has ten
thousand only: a million would take minutes.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from random import Random  # noqa: TID251 - lists that repeat, and no secret

from asn1crypto.crl import CertificateList as ParsedList
from asn1crypto.x509 import Certificate as NamedCertificate
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from pyhanko_certvalidator.revinfo.validate_crl import find_cert_in_list

from bench.rows import Row, absolute
from crl.certificate_list import CertificateList, read_list
from jpki import der, oids
from jpki.revocation import Reason
from jpki.signature import algorithm_for, signed

ENTRIES = 1_000_000
FEW = 10_000
ROUNDS = 5
_LOOKUPS = 2_000
_NOW = datetime(2026, 11, 27, tzinfo=UTC)
_MIXED = 0.01
"""How many entries of the second list give no reason, and so have another form."""


def rows() -> Iterator[Row]:
    """Measure look-ups and opening, our own lists' form first, then one in which the forms are mixed."""
    random, key = Random(1), rsa.generate_private_key(65537, 2048)  # noqa: S311 - as above
    ours = _list(key, ENTRIES, random)
    few = _list(key, FEW, random)
    opened = _opened(ours, key)
    asked = [_asked(opened, random) for _ in range(ROUNDS)]
    cryptography, asn1 = x509.load_der_x509_crl(ours), ParsedList.load(few)
    lookups, of_cryptography, of_certvalidator = list[float](), list[float](), list[float]()
    for serials in asked:
        lookups.append(_microseconds(opened.entries.find, serials))
        of_cryptography.append(_microseconds(cryptography.get_revoked_certificate_by_serial_number, serials[:6]))
        of_certvalidator.append(_microseconds(lambda serial: _by_certvalidator(asn1, serial), serials[:6]))
    beside = {"cryptography us": of_cryptography, f"certvalidator of {FEW:,} us": of_certvalidator}
    yield absolute("crl.lookup-us", 20, lookups, beside)
    yield _opening("crl.open", 2, ours, key)
    yield _opening("crl.open-mixed", 4, _list(key, ENTRIES, random, without_reason=_MIXED), key)


def _opening(name: str, target: float, data: bytes, key: rsa.RSAPrivateKey) -> Row:
    """Return the row of the time to open a list, of the time that cryptography takes to parse it."""
    ours, parsing, digest = list[float](), list[float](), list[float]()
    for _ in range(ROUNDS):
        ours.append(_microseconds(lambda each: _opened(each, key), [data]) / 1000)
        parsing.append(_microseconds(x509.load_der_x509_crl, [data]) / 1000)
        digest.append(_microseconds(_sha256, [data]) / 1000)
    ratios = [mine / theirs for mine, theirs in zip(ours, parsing, strict=True)]
    return absolute(name, target, ratios, {"ours ms": ours, "cryptography ms": parsing, "SHA-256 ms": digest})


def _opened(data: bytes, key: rsa.RSAPrivateKey) -> CertificateList:
    found = read_list(BytesIO(data))
    if not found.is_signed_by(key.public_key()):
        raise AssertionError("the signature is not believed")
    return found


def _sha256(data: bytes) -> bytes:
    digest = Hash(SHA256())
    digest.update(data)
    return digest.finalize()


def _asked(opened: CertificateList, random: Random) -> list[int]:
    """Return serials of which every second one is listed."""
    listed = random.sample([each.serial for each in opened.entries], _LOOKUPS // 2)
    asked = [serial for pair in zip(listed, (_serial(random) for _ in listed), strict=True) for serial in pair]
    found = [opened.entries.find(serial) is not None for serial in asked]
    if found != [True, False] * len(listed):
        raise AssertionError("a wrong answer")
    return asked


def _by_certvalidator(parsed: ParsedList, serial: int) -> object:
    named = NamedCertificate({"tbs_certificate": {"serial_number": serial}})
    return find_cert_in_list(named, parsed.issuer, parsed, parsed.issuer)


def _microseconds(call: Callable[..., object], arguments: Sequence[object]) -> float:
    """Return what one call takes on average."""
    begin = time.perf_counter()
    for each in arguments:
        call(each)
    return (time.perf_counter() - begin) / len(arguments) * 1e6


def _serial(random: Random) -> int:
    return 1 << 126 | random.getrandbits(126)


def _list(key: rsa.RSAPrivateKey, entries: int, random: Random, without_reason: float = 0) -> bytes:
    """Return a list as the authority makes them: serials in order, 16 octets each."""
    serials = sorted(_serial(random) for _ in range(entries))
    content = b"".join(
        der.sequence(
            der.integer(serial),
            der.time(_NOW - timedelta(seconds=random.randrange(10**8))),
            b"" if random.random() < without_reason else random.choice(_REASONS),
        )
        for serial in serials
    )
    algorithm = algorithm_for(key.public_key()).identifier
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bench")]).public_bytes()
    times = der.time(_NOW), der.time(_NOW + timedelta(days=2))
    return signed(key, der.sequence(der.integer(1), algorithm, name, *times, der.sequence(content)))


_REASONS = [
    der.sequence(der.sequence(der.object_identifier(oids.CRL_REASON), der.octet_string(der.enumerated(reason.number))))
    for reason in Reason
    if reason is not Reason.UNSPECIFIED
]
