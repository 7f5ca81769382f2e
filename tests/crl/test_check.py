"""A list that does not read as it was meant does not leave."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from crl.builder import Edition, signed_around
from crl.check import check_list
from crl.outline import number_of
from jpki import der
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.ids import Serial
from jpki.partition import ARL, Partition
from jpki.ports import RevokedEntry
from jpki.revocation import Reason
from jpki.signature import PrivateKey, algorithm_for, sign, signed
from tests.crl.authority import CHIYODA, TODAY, generation, key_of, serial
from tests.crl.writing import encode, in_file, list_of, spooled

ENTRIES = [RevokedEntry(serial(number), TODAY, Reason.SUPERSEDED) for number in range(3)]
MEANT = Edition(number=5, this_update=TODAY, next_update=TODAY + timedelta(days=2))
SIGNER = generation("s1")
STRANGER = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stranger")])
RENAMED = replace(
    SIGNER,
    certificate=x509.CertificateBuilder(
        STRANGER, STRANGER, SIGNER.public_key, 1, TODAY, TODAY + timedelta(days=9)
    ).sign(key_of("s1"), SHA256()),
)


def written(
    entries: Sequence[RevokedEntry] = ENTRIES,
    edition: Edition = MEANT,
    signer: Generation = SIGNER,
    key: PrivateKey | None = None,
) -> bytes:
    return list_of(entries, edition, signer, None, key or key_of("s1"))


def check(tmp_path: Path, octets: bytes, entries: Sequence[RevokedEntry] = ENTRIES) -> None:
    with spooled(entries) as spool:
        check_list(in_file(tmp_path / "list", octets), MEANT, SIGNER, None, spool)


def otherwise_signed() -> bytes:
    """A list whose signature fits, under the name of another algorithm in both places."""
    other = der.sequence(der.object_identifier("1.2.840.113549.1.1.12"), der.tlv(der.Tag.NULL))
    ours = algorithm_for(SIGNER.public_key).identifier
    to_be_signed = x509.load_der_x509_crl(written()).tbs_certlist_bytes.replace(ours, other)
    return der.sequence(to_be_signed, other, der.bit_string(sign(key_of("s1"), to_be_signed)))


def many(count: int) -> list[RevokedEntry]:
    return [RevokedEntry(serial(number), TODAY, list(Reason)[number % 7]) for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 3, 1000, 5000])
def test_what_was_meant_passes(tmp_path: Path, count: int) -> None:
    check(tmp_path, written(many(count)), many(count))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: written()[:-1],
        lambda: written() + b"\x00",
        lambda: written()[:-1] + bytes([written()[-1] ^ 1]),
        lambda: written(key=key_of("s2")),
        otherwise_signed,
        lambda: written(signer=RENAMED),
        lambda: written(edition=replace(MEANT, number=6)),
        lambda: written(edition=replace(MEANT, this_update=TODAY + timedelta(seconds=1))),
        lambda: written(edition=replace(MEANT, next_update=TODAY + timedelta(days=3))),
        lambda: written(edition=replace(MEANT, base=4)),
        lambda: written(edition=replace(MEANT, freshest="http://ca.test")),
        lambda: list_of(ENTRIES, MEANT, SIGNER, CHIYODA, key_of("s1")),
        lambda: written([]),
        lambda: written([ENTRIES[0], ENTRIES[2]]),
        lambda: written([*ENTRIES[:2], replace(ENTRIES[2], serial=serial(9))]),
        lambda: written([replace(ENTRIES[0], serial=serial(9)), *ENTRIES[1:]]),
    ],
    ids=[
        *("cut", "followed", "broken", "key", "algorithm", "issuer", "number", "time", "promise"),
        *("delta", "freshest", "partition"),
        *("empty", "one less", "last", "first"),
    ],
)
def test_anything_else_does_not(tmp_path: Path, wrong: Callable[[], bytes]) -> None:
    with pytest.raises(JpkiError) as error:
        check(tmp_path, wrong())
    assert (error.value.kind, error.value.code) == (Kind.INTERNAL, "crl-faulty")


DELTA_MEANT = replace(MEANT, base=3)
ARL_MEANT = replace(CHIYODA, id=ARL)


@pytest.mark.parametrize(
    ("edition", "of", "wrong"),
    [
        (DELTA_MEANT, None, MEANT),
        (DELTA_MEANT, None, replace(MEANT, base=4)),
        (replace(MEANT, freshest="http://ca.test"), None, MEANT),
        (replace(MEANT, freshest="http://ca.test"), None, replace(MEANT, freshest="http://other.test")),
        (MEANT, CHIYODA, None),
        (MEANT, ARL_MEANT, None),
    ],
    ids=["no delta", "another base", "no delta named", "another delta named", "no partition", "no arl"],
)
def test_a_list_is_what_it_is_meant_to_be_in_all_its_extensions(
    tmp_path: Path, edition: Edition, of: Partition | None, wrong: Edition | None
) -> None:
    with spooled(ENTRIES) as spool:
        right = list_of(ENTRIES, edition, SIGNER, of, key_of("s1"))
        check_list(in_file(tmp_path / "right", right), edition, SIGNER, of, spool)
        other = list_of(ENTRIES, wrong or edition, SIGNER, None if wrong is None else of, key_of("s1"))
        with pytest.raises(JpkiError, match="crl-faulty"):
            check_list(in_file(tmp_path / "wrong", other), edition, SIGNER, of, spool)


@pytest.mark.parametrize("flaw", ["swapped", "one odd octet"])
def test_a_flaw_in_the_midst_of_thousands_of_entries_does_not(tmp_path: Path, flaw: str) -> None:
    """Signed with it: the signature alone would not tell."""
    entries = many(5000)
    octets = bytearray(encode(entries))
    if flaw == "swapped":
        octets = bytearray(encode(entries[2500:] + entries[:2500]))
        entries = entries[2500:] + entries[:2500]
    else:
        octets[octets.index(b"\x17", 120_000)] = 0x16
    frame = signed_around([bytes(octets)], len(octets), MEANT, SIGNER, None, key_of("s1"))
    with pytest.raises(JpkiError, match="crl-faulty"):
        check(tmp_path, frame.head + octets + frame.tail, entries)


BLOCK = (1 << 20) // 51
"""So many entries with a reason are whole in a block of the check."""


def superseded(*numbers: int) -> list[RevokedEntry]:
    return [RevokedEntry(Serial(number), TODAY, Reason.SUPERSEDED) for number in numbers]


@pytest.mark.parametrize(
    "numbers",
    [
        [serial(1), serial(3), serial(2), serial(4)],
        [serial(1), serial(2), serial(2), serial(3)],
        [1, 200, serial(3), 5, serial(4)],
        [*range(serial(BLOCK), serial(2 * BLOCK)), *range(serial(9), serial(99)), serial(3 * BLOCK)],
        [*range(serial(0), serial(BLOCK)), *range(serial(BLOCK - 1), serial(BLOCK + 9))],
    ],
    ids=["neighbours", "twice", "lengths", "blocks", "twice over blocks"],
)
def test_entries_out_of_order_do_not(tmp_path: Path, numbers: Sequence[int]) -> None:
    """Number, first and last are as they were meant, and the signature fits."""
    in_order = superseded(*sorted(set(numbers)))
    check(tmp_path, written(in_order), in_order)
    with pytest.raises(JpkiError, match="crl-faulty"):
        check(tmp_path, written(superseded(*numbers)), superseded(*numbers))


def tampered(change: Callable[[list[bytes]], None], entries: Sequence[RevokedEntry] = ()) -> bytes:
    """A list whose fields were changed, signed as it is then."""
    fields, elements = der.Reader(x509.load_der_x509_crl(written(entries)).tbs_certlist_bytes), []
    within = der.Reader(fields.read(der.Tag.SEQUENCE))
    while (tag := within.peek()) is not None:
        elements.append(within.read_element(tag))
    change(elements)
    return signed(key_of("s1"), der.sequence(*elements))


def test_r11_an_empty_field_of_entries_does_not(tmp_path: Path) -> None:
    check(tmp_path, tampered(lambda _: None), [])
    with pytest.raises(JpkiError, match="crl-faulty"):
        check(tmp_path, tampered(lambda fields: fields.insert(5, der.sequence())), [])


def test_a_list_of_another_version_does_not(tmp_path: Path) -> None:
    with pytest.raises(JpkiError, match="crl-faulty"):
        check(tmp_path, tampered(lambda fields: fields.remove(der.integer(1))), [])


def test_an_entry_that_forbids_the_list_does_not(tmp_path: Path) -> None:
    def with_unknown(critical: bytes) -> bytes:
        more = der.sequence(der.object_identifier("2.25.1"), critical, der.octet_string(b"x"))
        entry = der.sequence(der.integer(ENTRIES[0].serial), der.time(TODAY), der.sequence(more))
        return tampered(lambda fields: fields.insert(5, der.sequence(entry)))

    check(tmp_path, with_unknown(critical=b""), ENTRIES[:1])
    with pytest.raises(JpkiError, match="crl-faulty"):
        check(tmp_path, with_unknown(critical=der.boolean(value=True)), ENTRIES[:1])


@pytest.mark.parametrize(
    "reasons", [[Reason.SUPERSEDED], [Reason.SUPERSEDED, Reason.UNSPECIFIED]], ids=["alike", "mixed"]
)
def test_octets_that_look_like_an_entry_within_a_serial_are_none(tmp_path: Path, reasons: Sequence[Reason]) -> None:
    """A serial that holds what an entry begins with, at every place where one may be looked for."""
    misleading = Serial(int.from_bytes(bytes.fromhex("40" + "302f02" * 5)))
    entries = [
        RevokedEntry(Serial(misleading + (number << 112)), TODAY, reasons[number % len(reasons)])
        for number in range(4000)
    ]
    check(tmp_path, written(entries), entries)


def test_a_list_without_number_has_none() -> None:
    builder = x509.CertificateRevocationListBuilder(x509.Name([]), TODAY, TODAY + timedelta(days=1))
    with pytest.raises(ValueError, match="no cRLNumber"):
        number_of(builder.sign(key_of("s1"), SHA256()))
