"""Sample holders: fictitious people of all ages, in all municipalities, some with names that are hard to write.

Nobody of these lives. Each passes the checks of holder.json (enroll/holder_file.py).
"""

from datetime import date, timedelta
from functools import cache

from enroll.municipalities import municipalities, successor
from jpki.holder import Gender, Holder, Municipality
from jpki.ids import HolderCode
from server.sample.draws import Draws
from server.sample.words import words

CODE_PREFIX = "SAMPLE-"
"""Begins the holder code of a sample, and of nobody else; the number follows."""
_ELDEST = date(1926, 12, 25)
_YOUNGEST = date(2025, 12, 31)
_FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
_GENDERS = (Gender.MALE, Gender.FEMALE)


def sample_holder(seed: str, number: int) -> Holder:
    """Return the sample holder of this number, from 1 on: it follows from seed and number alone."""
    draws = Draws("sample holder", seed, number)
    gender = Gender.UNSPECIFIED if draws.one_in(100) else draws.one_of(_GENDERS)
    municipality = draws.one_of(_present_municipalities())
    name, name_substitutes = _written(_name(draws, gender))
    address, address_substitutes = _written(_address(draws, municipality))
    return Holder(
        code=sample_code(number),
        name=name,
        name_substitutes=name_substitutes,
        birth_date=_ELDEST + timedelta(days=draws.below((_YOUNGEST - _ELDEST).days + 1)),
        gender=gender,
        address=address,
        address_substitutes=address_substitutes,
        municipality=municipality,
    )


def sample_code(number: int) -> HolderCode:
    """Return the holder code of the sample with this number."""
    return HolderCode(f"{CODE_PREFIX}{number:08}")


@cache
def _present_municipalities() -> tuple[Municipality, ...]:
    return tuple(each for each in municipalities().values() if successor(each.code) is None)


def _name(draws: Draws, gender: Gender) -> str:
    """Draw a name: one in fifty is a foreign one, one in five has a rare character."""
    if draws.one_in(50):
        return draws.one_of(words()["foreign_names"])
    family = draws.one_of(words()["rare_family_names" if draws.one_in(5) else "family_names"])
    kind = draws.one_of(_GENDERS) if gender is Gender.UNSPECIFIED else gender
    return f"{family}\u3000{draws.one_of(words()[f'{kind}_names'])}"


def _address(draws: Draws, municipality: Municipality) -> str:
    """Draw an address in the municipality, numbered in one of the ways that registers have."""
    one, two, three = (1 + draws.below(limit) for limit in (9, 30, 20))
    numbers = draws.one_of(
        (
            f"{one}丁目{two}番{three}号",
            f"{one * 100 + two}番地{three}",
            f"{two}番地",
            f"{one}−{two}−{three}",
            f"{one}－{two}",
        )
    )
    building = f"\u3000{draws.one_of(words()['buildings'])}{one}{two:02}号" if draws.one_in(3) else ""
    place = f"{municipality.prefecture}{municipality.name}{draws.one_of(words()['towns'])}"
    return f"{place}{numbers}{building}".translate(_FULL_WIDTH)


def _written(text: str) -> tuple[str, str]:
    """Take out the asterisks, and return the substitute flags that they stand for."""
    plain = text.replace("*", "")
    flags = "".join(
        "1" if following == "*" else "0" for here, following in zip(text, f"{text[1:]} ", strict=True) if here != "*"
    )
    return plain, flags
