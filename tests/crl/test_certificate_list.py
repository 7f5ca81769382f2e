"""Reading lists of any size and shape in one pass: the same as cryptography reads, or nothing."""

import base64
import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from crl.certificate_list import CertificateList, read_list
from crl.entry_index import Entry
from crl.reader import CrlFile
from jpki import der, oids
from jpki.errors import JpkiError
from jpki.signature import algorithm_for, signed
from tests.crl.authority import NOW, TODAY, Leaf, certificate, generation, key_of, serial

NEXT = TODAY + timedelta(days=2)
SOMETIME = der.time(TODAY)


@dataclass(frozen=True, slots=True)
class Known:
    """What cryptography reads in a list: of a serial that is listed twice, the first."""

    entries: dict[int, Entry]
    count: int
    understood: bool


def known(data: bytes) -> Known | None:
    """Return None where cryptography cannot read the list and every entry of it."""
    try:
        entries: dict[int, Entry] = {}
        parsed, understood = x509.load_der_x509_crl(data), True
        for each in parsed:
            reason = None
            for extension in each.extensions:
                if isinstance(extension.value, x509.CRLReason):
                    reason = extension.value.reason
                elif extension.critical or isinstance(extension.value, x509.CertificateIssuer):
                    understood = False
            entry = Entry(each.serial_number, each.revocation_date_utc, reason)
            entries.setdefault(entry.serial, entry)
        return Known(entries, len(parsed), understood)
    except (ValueError, x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType):
        return None


def read(data: bytes, drip: int | None = None) -> CertificateList | None:
    try:
        return read_list(BytesIO(data) if drip is None else Dripping(data, drip))
    except JpkiError as error:
        if error.code != "crl-unreadable":
            raise
        return None


class Dripping(BytesIO):
    """A file that hands out a few octets at a time, as a pipe may."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._most if size is None or size < 0 else min(size, self._most))


def assert_read_alike(data: bytes, drip: int | None = None) -> None:
    ours, theirs = read(data, drip), known(data)
    assert (ours is None) == (theirs is None)
    if ours is None or theirs is None:
        return
    assert (len(ours.entries), ours.entries.understood) == (theirs.count, theirs.understood)
    for number, entry in theirs.entries.items():
        assert ours.entries.find(number) == entry
        for near in (number - 1, number + 1, -number, number << 8, number >> 8):
            assert ours.entries.find(near) == theirs.entries.get(near)
    assert {each.serial for each in ours.entries} == set(theirs.entries)
    assert sum(ours.entries.reasons().values()) == theirs.count


def list_of(entries: Iterable[bytes], *extensions: bytes, version: bytes = der.integer(1)) -> bytes:
    """Return a list of these entries, signed by s1."""
    content = b"".join(entries)
    revoked = der.sequence(content) if content else b""
    head = (version, algorithm_for(key_of("s1").public_key()).identifier, generation("s1").name_der)
    more = der.tlv(der.context(0), der.sequence(*extensions)) if extensions else b""
    return signed(key_of("s1"), der.sequence(*head, der.time(TODAY), der.time(NEXT), revoked, more))


def entry(content: bytes, time: bytes = SOMETIME, *extensions: bytes) -> bytes:
    return der.sequence(der.tlv(der.Tag.INTEGER, content), time, der.sequence(*extensions) if any(extensions) else b"")


def extension(oid: str, value: bytes, critical: bytes = b"") -> bytes:
    return der.sequence(der.object_identifier(oid), critical, der.octet_string(value))


CRITICAL = der.boolean(value=True)
INVALIDITY_DATE, CERTIFICATE_ISSUER, UNKNOWN = "2.5.29.24", "2.5.29.29", "2.25.1"
REASON = extension(oids.CRL_REASON, der.enumerated(1))
SINCE = extension(INVALIDITY_DATE, der.generalized_time(TODAY))
ISSUER = extension(
    CERTIFICATE_ISSUER, x509.CertificateIssuer([x509.UniformResourceIdentifier("http://a.test")]).public_bytes()
)
NUMBER = extension(oids.CRL_NUMBER, der.integer(1))
MANY = 50


def many(make: Callable[[int], bytes], count: int = MANY) -> list[bytes]:
    return [make(number) for number in range(1, count + 1)]


# --- as cryptography reads it -----------------------------------------------------------------------------------

moments = st.datetimes(datetime(1950, 1, 1), datetime(2049, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
far_moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
utc_times = moments.map(lambda moment: der.tlv(der.Tag.UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode()))
generalized_times = far_moments.map(
    lambda moment: der.tlv(der.Tag.GENERALIZED_TIME, f"{moment.year:04}{moment:%m%d%H%M%SZ}".encode())
)
serials = st.one_of(
    st.integers(0, 1 << 20),
    st.integers(1 << 120, (1 << 127) - 1),
    st.integers(-(1 << 70), 1 << 159),
    st.sampled_from([1 << 64, 1 << 120, 0x80, 0x7F, 0, -1, -0x80, 0x0100, 0x010000]),
).map(lambda number: number.to_bytes((number if number >= 0 else ~number).bit_length() // 8 + 1, signed=True))
criticality = st.sampled_from([b"", CRITICAL])
reasons = st.builds(
    lambda number, critical: extension(oids.CRL_REASON, der.enumerated(number), critical),
    st.sampled_from([0, 1, 2, 3, 4, 5, 6, 8, 9, 10]),
    criticality,
)
since = st.builds(lambda time, critical: extension(INVALIDITY_DATE, time, critical), generalized_times, criticality)
unknown = st.builds(lambda value, critical: extension(UNKNOWN, value, critical), st.binary(max_size=300), criticality)
nothing = st.just(b"")
extensions = st.tuples(reasons | nothing, since | nothing, unknown | nothing).flatmap(st.permutations)
entries = st.builds(
    lambda content, time, more: entry(content, time, *more),
    serials,
    st.one_of(utc_times, generalized_times),
    extensions,
)
forms = st.builds(
    lambda contents, time, more: [entry(content, time, *more) for content in contents],
    st.one_of(
        st.lists(serials, max_size=60),
        st.lists(st.binary(min_size=16, max_size=16).map(lambda b: b"\x40" + b[1:]), max_size=60),
    ),
    st.one_of(utc_times, generalized_times),
    extensions,
)
lists = st.one_of(
    st.lists(entries, max_size=60),
    forms,
    st.lists(forms, max_size=4).flatmap(lambda several: st.permutations([each for form in several for each in form])),
)


@given(lists, st.sampled_from([None, None, 1, 7, 300]))
def test_any_list_is_read_as_cryptography_reads_it(content: list[bytes], drip: int | None) -> None:
    data = list_of(content, NUMBER)
    assert known(data) is not None
    assert_read_alike(data, drip)


def exemplars() -> list[bytes]:
    """Lists whose entries take every way through the reader."""
    ours = many(lambda number: entry(der.integer(serial(number))[2:], SOMETIME, REASON))
    return [
        list_of(ours, NUMBER),
        list_of([*ours[:20], entry(b"\x01"), *ours[20:40], entry(b"\x02\x02", SOMETIME, REASON, SINCE)], NUMBER),
        list_of(many(lambda number: entry(der.integer(number)[2:], der.generalized_time(NOW), SINCE, REASON))),
        list_of([entry(b"\x01"), entry(b"\x02", SOMETIME, extension(UNKNOWN, b"\x05\x00", CRITICAL), ISSUER)]),
        list_of([entry(b"\x01\x01", SOMETIME, extension(UNKNOWN, b"x" * 120), REASON)] * 20),
        list_of([]),
    ]


EXEMPLARS = exemplars()


@pytest.mark.slow
@given(st.data())
def test_a_mutant_is_read_as_cryptography_reads_it_or_not_at_all(data: st.DataObject) -> None:
    octets = bytearray(data.draw(st.sampled_from(EXEMPLARS)))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(octets) - 1))
        kind = data.draw(st.sampled_from(["flip", "set", "cut", "double", "drop", "swap"]))
        other = data.draw(st.integers(0, len(octets) - 1))
        match kind:
            case "flip":
                octets[place] ^= 1 << data.draw(st.integers(0, 7))
            case "set":
                octets[place] = data.draw(st.sampled_from([0, 1, 0x30, 0x7F, 0x80, 0x81, 0x82, 0xFF, *b"09:Z"]))
            case "cut":
                del octets[max(place, 1) :]
            case "double":
                octets[place:place] = octets[place : place + data.draw(st.integers(1, 60))]
            case "drop":
                del octets[place : place + data.draw(st.integers(1, 60))]
                octets = octets or bytearray(b"\x30")
            case "swap":
                octets[place], octets[other] = octets[other], octets[place]
    mutant = bytes(octets)
    assert_read_alike(mutant)
    if mutant not in EXEMPLARS and (ours := read(mutant)) is not None:
        assert not ours.is_signed_by(generation("s1").public_key)


LEAF = certificate(Leaf(serial=serial(1)))


@pytest.mark.slow
@given(st.integers(0, len(EXEMPLARS[0]) - 1), st.integers(1, 255))
def test_no_octet_can_be_changed_that_the_list_has_a_say(place: int, difference: int) -> None:
    mutant = bytearray(EXEMPLARS[0])
    mutant[place] ^= difference
    with suppress(JpkiError):
        assert CrlFile(BytesIO(mutant)).evidence(LEAF, generation("s1").certificate, NOW) is None


@given(st.binary(max_size=300), st.sampled_from([b"", b"\x30", b"\x30\x82", b"-----BEGIN X509 CRL-----\n"]))
def test_garbage_is_unreadable(tail: bytes, head: bytes) -> None:
    assert read(head + tail) is None


# --- each flaw, alone and among many --------------------------------------------------------------------------

DAY = b"260101"


def utc(text: bytes) -> bytes:
    return der.tlv(der.Tag.UTC_TIME, text)


def generalized(text: bytes) -> bytes:
    return der.tlv(der.Tag.GENERALIZED_TIME, text)


FLAWS = {
    "serial with a zero too many": entry(b"\x00\x01"),
    "serial with a one too many": entry(b"\xff\x80"),
    "serial of no octets": entry(b""),
    "no month 13": entry(b"\x01\x02", utc(b"261301000000Z")),
    "no month 0": entry(b"\x01\x02", utc(b"260001000000Z")),
    "no 31 April": entry(b"\x01\x02", utc(b"260431000000Z")),
    "no day 0": entry(b"\x01\x02", utc(b"260100000000Z")),
    "no 29 February in 2026": entry(b"\x01\x02", utc(b"260229000000Z")),
    "no 29 February in 1900": entry(b"\x01\x02", generalized(b"19000229000000Z")),
    "no hour 24": entry(b"\x01\x02", utc(DAY + b"240000Z")),
    "no minute 60": entry(b"\x01\x02", utc(DAY + b"006000Z")),
    "no second 60": entry(b"\x01\x02", utc(DAY + b"000060Z")),
    "no year 0": entry(b"\x01\x02", generalized(b"00000101000000Z")),
    "a letter in the day": entry(b"\x01\x02", utc(b"26010A000000Z")),
    "a colon in the year": entry(b"\x01\x02", utc(b"2:0101000000Z")),
    "a letter in the second": entry(b"\x01\x02", utc(DAY + b"00000pZ")),
    "a letter in the century": entry(b"\x01\x02", generalized(b"2O260101000000Z")),
    "no seconds": entry(b"\x01\x02", utc(DAY + b"0000Z")),
    "no Z": entry(b"\x01\x02", utc(DAY + b"000000+")),
    "fractions": entry(b"\x01\x02", generalized(b"20260101000000.5Z")),
    "reason 7": entry(b"\x01\x02", SOMETIME, extension(oids.CRL_REASON, der.enumerated(7))),
    "reason 11": entry(b"\x01\x02", SOMETIME, extension(oids.CRL_REASON, der.enumerated(11))),
    "reason 255": entry(b"\x01\x02", SOMETIME, extension(oids.CRL_REASON, b"\x0a\x01\xff")),
    "reason as INTEGER": entry(b"\x01\x02", SOMETIME, extension(oids.CRL_REASON, der.integer(1))),
    "invalid since no day": entry(b"\x01\x02", SOMETIME, extension(INVALIDITY_DATE, generalized(b"20260230000000Z"))),
    "invalid since a UTCTime": entry(b"\x01\x02", SOMETIME, extension(INVALIDITY_DATE, utc(DAY + b"000000Z"))),
    "critical written out as false": entry(b"\x01\x02", SOMETIME, extension(UNKNOWN, b"", der.boolean(value=False))),
    "the same extension twice": entry(b"\x01\x02", SOMETIME, REASON, REASON),
    "something after the extensions": der.sequence(entry(b"\x01\x02", SOMETIME, REASON)[2:], der.tlv(5)),
    "no time": der.sequence(der.integer(258)),
    "no SEQUENCE": der.tlv(der.Tag.SET, entry(b"\x01\x02")[2:]),
    "an empty entry": der.sequence(),
    "a length with an octet too many": b"\x30\x81" + entry(b"\x01\x02")[1:],
    "an indefinite length": b"\x30\x80" + entry(b"\x01\x02")[2:] + b"\x00\x00",
    "a length beyond the list": b"\x30\x83\x7f\xff\xff" + entry(b"\x01\x02")[2:],
}
SOUND = {
    "29 February 2028": entry(b"\x01\x02", utc(b"280229000000Z")),
    "29 February 2000": entry(b"\x01\x02", generalized(b"20000229000000Z")),
    "the last second of a year": entry(b"\x01\x02", utc(b"261231235959Z")),
    "31 October": entry(b"\x01\x02", utc(b"261031000000Z")),
    "1950": entry(b"\x01\x02", utc(b"500101000000Z")),
    "2049": entry(b"\x01\x02", utc(b"491231235959Z")),
    "a year before 2050 with four digits": entry(b"\x01\x02", generalized(b"20260101000000Z")),
    "9999": entry(b"\x01\x02", generalized(b"99991231235959Z")),
    "a negative serial": entry(b"\x80\x00"),
    "a serial that ends in zeros": entry(b"\x01\x00"),
    "a serial of 40 octets": entry(b"\x01" * 40),
}


def among_many(odd: bytes) -> list[list[bytes]]:
    """Return entries with an odd one alone, in front of many of its size, amid them, behind, and amid itself."""
    size = len(odd)
    filler = entry(b"\x01\x02")
    if size >= len(filler):
        for length in range(1, size):
            filler = entry(b"\x40" + b"\x01" * (length - 1))
            if len(filler) == size:
                break
    return [
        [odd],
        [odd, *[filler] * MANY],
        [*[filler] * 600, odd, *[filler] * MANY],
        [*[filler] * MANY, odd],
        [*[odd] * MANY],
        [entry(b"\x01"), *[odd] * MANY, *[filler] * MANY, entry(b"\x01" * 140)],
    ]


@pytest.mark.parametrize("name", FLAWS)
def test_one_flawed_entry_spoils_the_list_wherever_it_stands(name: str) -> None:
    for content in among_many(FLAWS[name]):
        assert known(list_of(content)) is None
        assert read(list_of(content)) is None


@pytest.mark.parametrize("name", SOUND)
def test_a_rare_but_sound_entry_is_read(name: str) -> None:
    for content in among_many(SOUND[name]):
        assert known(list_of(content)) is not None
        assert_read_alike(list_of(content))


def test_two_entries_of_one_size_that_differ_in_a_tag_are_told_apart() -> None:
    """The second serial's length and time's tag trade places with what the first has there."""
    utc_entries = [entry(b"\x01\x02\x03", SOMETIME)] * MANY
    generalized_entries = [entry(b"\x01", der.generalized_time(TODAY))] * MANY
    assert len(utc_entries[0]) == len(generalized_entries[0])
    mixed = [each for pair in zip(utc_entries, generalized_entries, strict=True) for each in pair]
    assert_read_alike(list_of(mixed))


def test_an_entry_of_many_that_hides_a_critical_extension_forbids_the_list() -> None:
    plain, critical = extension("2.25.1.2.3.4", b"\x01"), extension("2.25.1", b"\x01", CRITICAL)
    assert len(plain) == len(critical)
    content = [entry(b"\x01", SOMETIME, plain)] * 600
    assert (whole := read(list_of(content))) is not None
    assert whole.entries.understood
    for place in (0, 300, 600):
        odd = read(list_of([*content[:place], entry(b"\x02", SOMETIME, critical), *content[place:]]))
        assert odd is not None
        assert not odd.entries.understood


@pytest.mark.parametrize("count", [1, MANY])
def test_an_entry_that_names_another_issuer_forbids_the_list_even_where_that_is_not_critical(count: int) -> None:
    content = [entry(b"\x01", SOMETIME, ISSUER)] * count
    assert (indirect := read(list_of(content))) is not None
    assert not indirect.entries.understood
    assert CrlFile(BytesIO(list_of(content))).evidence(LEAF, generation("s1").certificate, NOW) is None


@pytest.mark.parametrize("count", [1, MANY])
def test_another_issuer_that_is_no_name_spoils_the_list(count: int) -> None:
    assert read(list_of([entry(b"\x01", SOMETIME, extension(CERTIFICATE_ISSUER, b"\x05\x00"))] * count)) is None


def test_of_a_serial_that_is_listed_twice_the_first_entry_counts() -> None:
    twice = [entry(b"\x05", SOMETIME, REASON), *[entry(b"\x06\x01")] * MANY, entry(b"\x05")]
    assert (both := read(list_of(twice))) is not None
    assert both.entries.find(5) == Entry(5, TODAY, x509.ReasonFlags.key_compromise)


@pytest.mark.slow
def test_entries_that_all_differ_in_form_are_read_in_reasonable_time() -> None:
    content = [entry(b"\x01", SOMETIME, extension(f"2.25.{10_000 + number}", b"")) for number in range(30_000)]
    assert (odd := read(list_of(content))) is not None
    assert len(odd.entries) == len(content)


def test_lists_without_version_and_extensions_are_read() -> None:
    for content in ([], [entry(b"\x01")], [entry(b"\x01")] * MANY):
        assert_read_alike(list_of(content, version=b""))
    assert read(list_of([entry(b"\x01")], version=der.integer(2))) is None


def test_an_empty_sequence_of_entries_is_read() -> None:
    data = list_of([entry(b"\x01")], NUMBER)
    assert_read_alike(data.replace(der.sequence(entry(b"\x01")), der.sequence()))
    algorithm = algorithm_for(key_of("s1").public_key()).identifier
    head = (der.integer(1), algorithm, generation("s1").name_der, der.time(TODAY), der.sequence())
    empty = signed(key_of("s1"), der.sequence(*head))
    assert_read_alike(empty)
    assert (whole := read(empty)) is not None
    assert (len(whole.entries), whole.head.next_update_utc) == (0, None)
    assert whole.is_signed_by(generation("s1").public_key)


def test_pem_is_read_alike_with_text_around_it() -> None:
    pem = x509.load_der_x509_crl(EXEMPLARS[0]).public_bytes(Encoding.PEM)
    for text in (pem, b"0 is a digit, and so is 0x30\n" + pem + pem, pem.replace(b"\n", b"\r\n")):
        assert (found := read(text)) is not None
        assert (len(found.entries), found.octets) == (MANY, len(EXEMPLARS[0]))
        assert found.is_signed_by(generation("s1").public_key)
    assert read(pem[:-30]) is None
    assert read(pem.replace(b"X509 CRL", b"CERTIFICATE")) is None
    assert read(b"-----BEGIN X509 CRL-----\n" + base64.b64encode(b"none") + b"\n-----END X509 CRL-----") is None


# --- lists that others wrote -----------------------------------------------------------------------------------


def outside_lists(shared: Path) -> Iterator[bytes]:
    """The DER of every list among the outside cases, broken ones too."""
    folder = shared / "conformance"
    for file in sorted(
        each for part in ("pkits/crls", "crl", "fuzz/crl", "fuzz/crl-odd") for each in (folder / part).rglob("*")
    ):
        if file.is_file():
            data = file.read_bytes()
            if b"-----BEGIN X509 CRL-----" in data:
                data = base64.b64decode(data.partition(b"CRL-----")[2].partition(b"-----END")[0])
            yield data


def test_outside_lists_are_read_as_cryptography_reads_them(shared: Path) -> None:
    count = 0
    for data in outside_lists(shared):
        assert_read_alike(data)
        count += read(data) is not None
    assert count > 100


def test_what_boulder_finds_well_made_is_read(shared: Path) -> None:
    table = (shared / "conformance" / "expected.csv").read_text("utf-8")
    good = [
        row
        for row in csv.DictReader(table.splitlines())
        if (row["suite"], row["expected"]) == ("crl-lint", "lint-pass")
    ]
    assert good
    for row in good:
        assert read((shared / "conformance" / row["path"]).read_bytes()) is not None, row["case"]


# --- by whom it is signed --------------------------------------------------------------------------------------

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
KEYS: dict[str, Callable[[], Key]] = {
    "rsa": lambda: key_of("s1"),
    "p-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
}


def signed_by(key: Key, hash_: SHA256 | SHA384 | SHA512 | None, pss: padding.PSS | None = None) -> bytes:
    builder = x509.CertificateRevocationListBuilder(generation("s1").certificate.subject, TODAY, NEXT)
    for number in range(1, MANY + 1):
        line = x509.RevokedCertificateBuilder().serial_number(serial(number)).revocation_date(TODAY)
        builder = builder.add_revoked_certificate(line.build())
    return builder.sign(key, hash_, rsa_padding=pss).public_bytes(Encoding.DER)


PSS = padding.PSS(padding.MGF1(SHA384()), padding.PSS.DIGEST_LENGTH)


@pytest.mark.parametrize(
    ("kind", "hash_", "pss"),
    [
        ("rsa", SHA256(), None),
        ("rsa", SHA512(), None),
        ("rsa", SHA384(), PSS),
        ("p-384", SHA384(), None),
        ("p-384", SHA256(), None),
        ("ed25519", None, None),
        ("ed448", None, None),
    ],
    ids=["rsa-sha256", "rsa-sha512", "rsa-pss", "p384-sha384", "p384-sha256", "ed25519", "ed448"],
)
def test_a_signature_is_believed_of_its_key_only(
    kind: str, hash_: SHA256 | SHA384 | SHA512 | None, pss: padding.PSS | None
) -> None:
    key = KEYS[kind]()
    data = signed_by(key, hash_, pss)
    assert (good := read(data)) is not None
    assert good.is_signed_by(key.public_key())
    others: Sequence[Key] = [key_of("s2"), *(make() for name, make in KEYS.items() if (name, kind) != ("rsa", "rsa"))]
    assert not any(good.is_signed_by(other.public_key()) for other in others)
    changed = data.replace(der.integer(serial(1)), der.integer(serial(99)))
    assert (bad := read(changed)) is not None
    assert not bad.is_signed_by(key.public_key())


def test_two_algorithms_in_one_list_make_it_unreadable() -> None:
    """Only the inner one is signed (RFC 5280 5.1.1.2)."""
    data = list_of([])
    one = algorithm_for(key_of("s1").public_key()).identifier
    other = one.replace(der.object_identifier(oids.RSA_SHA256), der.object_identifier("1.2.840.113549.1.1.13"))
    at = data.rindex(one)
    both = read(data[:at] + other + data[at + len(one) :])
    assert both is None


def test_a_signer_is_judged_once() -> None:
    source = CrlFile(BytesIO(list_of([])))
    for generation_id in ("s2", "s1", "s2", "s1"):
        has_say = source.evidence(LEAF, generation(generation_id).certificate, NOW) is not None
        assert has_say == (generation_id == "s1")
