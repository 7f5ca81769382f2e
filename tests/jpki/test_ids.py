"""Serials: how they are drawn (rule R1) and how people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jpki.errors import JpkiError
from jpki.ids import Serial, format_serial, new_serial, parse_serial
from jpki.randomness import alphanumeric, system_randomness

_DRAWN = 100_000


def test_r01_serials_are_126_random_bits_in_16_octets() -> None:
    serials = [new_serial(system_randomness) for _ in range(_DRAWN)]
    assert len(set(serials)) == _DRAWN
    assert all(serial >> 126 == 1 for serial in serials)
    for bit in range(126):
        ones = sum(serial >> bit & 1 for serial in serials)
        # Five standard deviations of a fair coin over 100,000 throws: one run in ten thousand fails by chance.
        assert abs(ones - _DRAWN / 2) < 5 * (_DRAWN / 4) ** 0.5, f"bit {bit}"


def test_r01_octets_of_serials_are_uniform_by_chi_square() -> None:
    counts = [0] * 256
    for _ in range(_DRAWN):
        for octet in new_serial(system_randomness).to_bytes(16)[1:]:
            counts[octet] += 1
    expected = sum(counts) / 256
    chi_square = sum((count - expected) ** 2 / expected for count in counts)
    assert chi_square < 380, "255 degrees of freedom: beyond this lies one run in a million"


def test_r01_serials_are_not_sequential() -> None:
    first, second = new_serial(system_randomness), new_serial(system_randomness)
    assert abs(first - second) > 2**64


@given(st.integers(2**126, 2**127 - 1).map(Serial))
def test_every_notation_of_a_serial_reads_back(serial: Serial) -> None:
    digits = format_serial(serial)
    colons = ":".join(digits[at : at + 2] for at in range(0, 32, 2))
    for written in (f"0x{digits}", colons, colons.upper(), f"0X{digits.upper()}", str(int(serial))):
        assert parse_serial(written) == serial
    if not digits.isdigit():
        assert parse_serial(digits) == serial


def test_a_serial_that_reads_two_ways_is_refused_with_both_readings() -> None:
    written = "4" * 32
    with pytest.raises(JpkiError) as refused:
        parse_serial(written)
    assert refused.value.code == "serial-ambiguous"
    assert f"0x{written}" in refused.value.problem.en
    assert f"0x{int(written):x}" in refused.value.problem.en


@pytest.mark.parametrize("written", ["", "xyz", "0x", "12 34", "-5", "abc", "0x" + "f" * 41, "1" * 60, "½"])
def test_what_is_no_serial_is_refused(written: str) -> None:
    with pytest.raises(JpkiError) as refused:
        parse_serial(written)
    assert refused.value.code == "serial-malformed"


def test_identifiers_use_every_letter_and_digit_alike() -> None:
    drawn = alphanumeric(system_randomness, 72_000)
    counts = {character: drawn.count(character) for character in set(drawn)}
    assert len(counts) == 36
    assert all(abs(count - 2000) < 5 * 2000**0.5 for count in counts.values())
