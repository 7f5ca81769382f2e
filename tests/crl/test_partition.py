"""Which partitions there are, and their names."""

import csv
from collections import Counter
from hashlib import sha256
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.partition import BUCKETS, bucket_of, later, partitions
from jpki.certificate import Purpose
from jpki.holder import Municipality
from jpki.ids import new_serial
from tests.crl.authority import SHARED, root


def municipality(code: str, prefecture: str, name: str) -> Municipality:
    return Municipality(code=code, prefecture="", name="", prefecture_romaji=prefecture, name_romaji=name)


ESASHI = [municipality("015148", "Hokkaido", "Esashi-cho"), municipality("013617", "Hokkaido", "Esashi-cho")]
CHIYODA = municipality("131016", "Tokyo-to", "Chiyoda-ku")


def names_of(*municipalities: Municipality) -> list[str]:
    return [seed.name.rfc4514_string() for seed in partitions(municipalities, root) if seed.municipality]


def test_a_municipality_has_a_partition_under_the_cas_root() -> None:
    name = "CN=Chiyoda-ku CRLDP,OU=Tokyo-to,OU=CRL Distribution Points,OU=JPKI for signing,O=JPKI-LAB,C=JP"
    assert names_of(CHIYODA) == [name]


def test_ids_follow_the_codes_and_buckets_come_last() -> None:
    seeds = partitions([CHIYODA, *ESASHI], root)
    by_code = [(seed.id, seed.municipality) for seed in seeds if seed.purpose is Purpose.SIGNING]
    assert by_code == [("p0001", "013617"), ("p0002", "015148"), ("p0003", "131016")]
    buckets = [seed for seed in seeds if seed.purpose is Purpose.AUTHENTICATION]
    assert [seed.id for seed in buckets] == [f"b{number:02}" for number in range(1, 65)]
    assert seeds[-64:] == buckets


def test_a_bucket_names_no_municipality() -> None:
    first, *_, last = (seed for seed in partitions([CHIYODA], root) if seed.municipality is None)
    tail = ",OU=CRL Distribution Points,OU=JPKI for authentication,O=JPKI-LAB,C=JP"
    assert first.name.rfc4514_string() == "CN=Bucket 01 CRLDP" + tail
    assert last.name.rfc4514_string() == "CN=Bucket 64 CRLDP" + tail


def test_country_is_a_printable_string_and_all_else_utf8() -> None:
    encoded = partitions([CHIYODA], root)[0].name.public_bytes()
    assert b"\x13\x02JP" in encoded
    assert b"\x0c\x10Chiyoda-ku CRLDP" in encoded


def test_r24_two_municipalities_of_one_name_have_two_partitions() -> None:
    codes = [name.split(",")[0] for name in names_of(*ESASHI, CHIYODA)]
    assert codes == ["CN=Esashi-cho 013617 CRLDP", "CN=Esashi-cho 015148 CRLDP", "CN=Chiyoda-ku CRLDP"]


def test_r24_names_that_differ_in_case_only_are_one_name() -> None:
    names = names_of(ESASHI[0], municipality("013617", "Hokkaido", "ESASHI-cho"))
    assert len({name.casefold() for name in names}) == 2
    assert all("CRLDP" in name and ("013617" in name or "015148" in name) for name in names)


def test_r24_no_two_partitions_of_the_whole_country_share_a_name() -> None:
    path = SHARED / "municipalities.csv"
    if not path.exists():
        pytest.skip("no municipalities.csv in ../shared or JPKI_SHARED")
    rows = csv.DictReader(path.read_text("utf-8").splitlines())
    country = [municipality(row["code"], row["prefecture_romaji"], row["municipality_romaji"]) for row in rows]
    names = names_of(*country)
    assert len(names) == len({name.casefold() for name in names}) == len(country) > 1700
    assert sum(any(digit in name for digit in "0123456789") for name in names) == 2


def test_r24_what_comes_later_shares_no_id_and_no_name_whatever_it_is_called() -> None:
    before = partitions([*ESASHI, CHIYODA], root)
    new = [municipality("131024", "Tokyo-to", "Chiyoda-ku"), municipality("019992", "Hokkaido", "Esashi-cho")]
    seeds = later(new, root)
    assert [(seed.id, seed.municipality) for seed in seeds] == [("p131024", "131024"), ("p019992", "019992")]
    names = [seed.name.rfc4514_string().split(",")[:2] for seed in seeds]
    assert names == [["CN=Chiyoda-ku 131024 CRLDP", "OU=Tokyo-to"], ["CN=Esashi-cho 019992 CRLDP", "OU=Hokkaido"]]
    assert later(new[::-1], root) == seeds[::-1], "alike in any order"
    both = [*before, *seeds]
    assert len({each.id for each in both}) == len({each.name for each in both}) == len(both)


@given(st.binary(min_size=16, max_size=16))
def test_every_serial_has_a_bucket(octets: bytes) -> None:
    bucket = bucket_of(new_serial(lambda _: octets))
    assert 1 <= int(bucket.removeprefix("b")) <= BUCKETS
    assert bucket in {seed.id for seed in partitions([], root)}


def test_buckets_fill_alike() -> None:
    streams = (sha256(bytes([high, low])).digest() for high in range(25) for low in range(256))
    drawn = Counter(bucket_of(new_serial(BytesIO(stream).read)) for stream in streams)
    assert len(drawn) == BUCKETS
    assert 60 < min(drawn.values()) <= max(drawn.values()) < 140
