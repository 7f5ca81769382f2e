"""Sample holders, their cards' keys, and the towns made of them."""

import json
import math
from dataclasses import asdict
from datetime import date
from hashlib import shake_256
from pathlib import Path
from time import process_time

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from ca.key_policy import holder_key
from enroll.holder_file import read_holder
from enroll.municipalities import municipalities
from jpki.certificate import Purpose
from jpki.clock import day_in_japan, system_clock, years_later
from jpki.errors import JpkiError
from jpki.holder import Gender, Holder
from jpki.signature import KeySpec
from server.home import Home
from server.sample import holders
from server.sample.holders import sample_holder
from server.sample.keys import card_key, card_request
from server.sample.town import wishes
from server.wiring import open_rooms
from tests.mergers import merged
from tests.server.console import Jpki

TODAY = date(2026, 10, 1)
SPECS = pytest.mark.parametrize("spec", [KeySpec.RSA_2048, KeySpec.P256, KeySpec.P384])


@pytest.fixture(scope="module")
def many() -> list[Holder]:
    return [sample_holder("jpki", number) for number in range(1, 20_001)]


# --- holders -------------------------------------------------------------------------------------------------------


def test_a_sample_holder_follows_from_seed_and_number_alone() -> None:
    assert asdict(sample_holder("jpki", 7)) == asdict(sample_holder("jpki", 7))
    assert asdict(sample_holder("jpki", 7)) != asdict(sample_holder("jpki", 8))
    assert sample_holder("jpki", 7).name != sample_holder("another", 7).name


def test_the_first_sample_holder_is_the_same_for_ever() -> None:
    first = sample_holder("jpki", 1)
    assert (first.code, first.name, first.birth_date) == ("SAMPLE-00000001", "福田\u3000節子", date(1981, 8, 19))


def test_every_sample_passes_the_checks_of_a_holder_file(many: list[Holder]) -> None:
    for holder in many[:3000]:
        fields = asdict(holder) | {"birth_date": str(holder.birth_date), "municipality": holder.municipality.code}
        assert asdict(read_holder(json.dumps(fields).encode(), TODAY)) == asdict(holder)


def test_samples_live_in_every_municipality_and_say_so(many: list[Holder]) -> None:
    assert {holder.municipality.code for holder in many} == set(municipalities())
    for holder in many:
        assert holder.address.startswith(holder.municipality.prefecture + holder.municipality.name)


def test_no_sample_lives_where_a_merger_left_no_municipality(monkeypatch: pytest.MonkeyPatch) -> None:
    first = sample_holder("jpki", 1).municipality.code
    present = holders._present_municipalities.__wrapped__  # noqa: SLF001 - not as this process keeps it
    monkeypatch.setattr(holders, "_present_municipalities", present)
    with merged({first: "131016"}):
        assert first not in {each.code for each in present()}
        assert sample_holder("jpki", 1).municipality.code != first


def test_samples_are_of_all_ages_and_genders(many: list[Holder]) -> None:
    ages = {TODAY.year - holder.birth_date.year for holder in many}
    assert ages >= set(range(1, 100))
    assert {holder.gender for holder in many} == set(Gender)
    assert 0.1 < sum(years_later(holder.birth_date, 15) > TODAY for holder in many) / len(many) < 0.2


def test_samples_have_names_that_are_hard_to_write(many: list[Holder]) -> None:
    names = "".join(holder.name for holder in many)
    for character in "髙﨑𣘺邊Ａレ":
        assert character in names
    substituted = [holder for holder in many if "1" in holder.name_substitutes]
    assert any(holder.name[holder.name_substitutes.index("1")] == "吉" for holder in substituted)
    assert any("1" in holder.address_substitutes for holder in many)
    assert not any("*" in holder.name + holder.address for holder in many)


# --- keys ----------------------------------------------------------------------------------------------------------


@SPECS
def test_r17_sample_keys_are_distinct_and_fit_for_certificates(spec: KeySpec) -> None:
    numbers = [*range(120), *range(200_000, 200_030)]
    assert len({holder_key(card_request(spec, number), spec).hash for number in numbers}) == len(numbers)


@SPECS
def test_a_sample_key_follows_from_its_number(spec: KeySpec) -> None:
    assert card_key(spec, 41).private_numbers() == card_key(spec, 41).private_numbers()


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4950, 523_775])
def test_a_sample_rsa_key_is_whole(number: int) -> None:
    numbers = card_key(KeySpec.RSA_2048, number).private_numbers()
    assert isinstance(numbers, rsa.RSAPrivateNumbers)
    # This load checks everything: primes, exponents, coefficient.
    assert numbers.private_key().key_size == 2048


def test_there_are_half_a_million_rsa_keys_and_then_a_clear_end() -> None:
    with pytest.raises(JpkiError) as refused:
        card_key(KeySpec.RSA_2048, 523_776)
    assert refused.value.code == "sample-keys-exhausted"


@pytest.mark.parametrize("number", [0, 1023])
def test_the_primes_of_the_pool_are_what_they_are_said_to_be(number: int) -> None:
    """Each is the first prime from a published number on: nothing was chosen."""
    begin = int.from_bytes(shake_256(f"jpki sample prime {number}".encode()).digest(128)) | 3 << 1022 | 1
    prime = next(each for each in range(begin, begin + 100_000, 2) if is_prime(each))
    rows = [card_key(KeySpec.RSA_2048, 0), card_key(KeySpec.RSA_2048, 523_775)]
    numbers = rows[number > 0].private_numbers()
    assert isinstance(numbers, rsa.RSAPrivateNumbers)
    assert prime in {numbers.p, numbers.q}


SMALL = math.prod(number for number in range(3, 2000) if all(number % other for other in range(2, number)))


def is_prime(number: int) -> bool:
    return math.gcd(number, SMALL) == 1 and pow(2, number - 1, number) == 1


@pytest.mark.slow
def test_a_sample_request_takes_hardly_more_than_its_signature() -> None:
    """Making an RSA key takes thirty milliseconds."""
    begun = process_time()
    for number in range(500):
        card_request(KeySpec.RSA_2048, number)
    assert (process_time() - begun) / 500 < 0.005


# --- towns ---------------------------------------------------------------------------------------------------------


def test_under_fifteen_a_sample_wishes_for_no_signing_certificate() -> None:
    asked = list(wishes("jpki", range(1, 400), TODAY))
    signing = [wish for wish in asked if wish.purpose is Purpose.SIGNING]
    assert len(asked) - len(signing) == 399
    assert 300 < len(signing) < 399
    assert all(years_later(wish.holder.birth_date, 15) <= TODAY for wish in signing)
    assert len({wish.card for wish in asked}) == len(asked)
    assert 0 < sum(wish.ends is not None for wish in asked) < len(asked) / 10


@pytest.mark.slow
def test_a_town_counts_what_it_issued_and_revoked(jpki: Jpki, home: Path) -> None:
    asked = list(wishes("jpki", range(1, 31), day_in_japan(system_clock())))
    made = jpki.done("sample-town", "--home", home, "--holders", "30")
    assert (made["schema"], made["first"], made["holders"]) == ("jpki.sample-town/1", 1, 30)
    for ca in made["cas"]:
        of_this = [wish for wish in asked if wish.purpose == ca["ca"]]
        assert (ca["issued"], ca["revoked"]) == (len(of_this), sum(wish.ends is not None for wish in of_this))
    jpki.done("crl", "publish", "--home", home)
    lists = jpki.done("crl", "list", "--home", home)["lists"]
    assert {each["ca"]: each["entries"] for each in lists if each["partition"] == "complete"} == {
        ca["ca"]: ca["revoked"] for ca in made["cas"]
    }
    more = jpki.done("sample-town", "--home", home, "--holders", "2", "--seed", "another")
    assert (more["first"], more["holders"]) == (31, 2)
    rooms = open_rooms(Home(home))
    assert rooms.store.samples.last_code("SAMPLE-") == "SAMPLE-00000032"
    rooms.close()
