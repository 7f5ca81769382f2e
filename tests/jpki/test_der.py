"""The DER writer and reader, against X.690 and against asn1crypto."""

from datetime import UTC, datetime

import pytest
from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from jpki import der
from jpki.der import DerError, Reader, Tag


@given(st.integers(min_value=0, max_value=2**200))
def test_integers_are_written_as_asn1crypto_writes_them(value: int) -> None:
    assert der.integer(value) == core.Integer(value).dump()
    assert der.read_integer(Reader(der.integer(value)).read(Tag.INTEGER)) == value


@given(
    st.integers(0, 2),
    st.integers(0, 39),
    st.lists(st.integers(min_value=0, max_value=2**130), max_size=8),
)
def test_object_identifiers_are_written_as_asn1crypto_writes_them(first: int, second: int, rest: list[int]) -> None:
    dotted = ".".join(map(str, (first, second, *rest)))
    assert der.object_identifier(dotted) == core.ObjectIdentifier(dotted).dump()


@pytest.mark.parametrize("length", [0, 1, 127, 128, 255, 256, 65535, 65536])
def test_lengths_are_minimal_at_every_boundary(length: int) -> None:
    content = bytes(length)
    assert der.octet_string(content) == core.OctetString(content).dump()
    assert Reader(der.octet_string(content)).read(Tag.OCTET_STRING) == content


def test_times_change_their_form_in_2050() -> None:
    assert der.time(datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC))[0] == Tag.UTC_TIME
    assert der.time(datetime(2050, 1, 1, tzinfo=UTC))[0] == Tag.GENERALIZED_TIME


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x04",
        b"\x04\x02\x00",
        b"\x04\x80\x00\x00",
        b"\x04\x81\x01\x00",
        b"\x04\x82\x00\x80" + bytes(128),
        b"\x04\x85\x01\x00\x00\x00\x00",
        b"\x05\x00",
    ],
    ids=["empty", "no-length", "short", "indefinite", "not-minimal", "leading-zero", "five-octets", "other-tag"],
)
def test_the_reader_refuses_what_is_not_der(octets: bytes) -> None:
    with pytest.raises(DerError):
        Reader(octets).read(Tag.OCTET_STRING)


def test_the_reader_refuses_trailing_octets() -> None:
    reader = Reader(der.integer(1) + b"\x00")
    reader.read(Tag.INTEGER)
    with pytest.raises(DerError):
        reader.finish()


@pytest.mark.parametrize("content", [b"", b"\x00\x01", b"\xff\x80"])
def test_integers_that_are_not_minimal_are_refused(content: bytes) -> None:
    with pytest.raises(DerError):
        der.read_integer(content)


@given(st.binary(max_size=200))
def test_the_reader_raises_its_own_error_or_none(octets: bytes) -> None:
    reader = Reader(octets)
    try:
        while (tag := reader.peek()) is not None:
            reader.read(tag)
    except DerError:
        pass
