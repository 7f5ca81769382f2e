"""What tests/conftest.py knows by name is there, and what shares a town stays together."""

import pytest

from tests import conftest
from tests.conftest import PROJECT, town_of


@pytest.mark.parametrize("name", [*conftest._LONGEST, *conftest._OF_ITS_OWN, *conftest._ALONE])  # noqa: SLF001 - its names
def test_what_is_known_by_name_is_there(name: str) -> None:
    assert (PROJECT / name).exists()


def test_clients_of_one_town_stay_together() -> None:
    towns = {town_of(f"tests/interop/test_{name}.py::test_it") for name in ("java", "nss", "time_stamps")}
    assert towns == {"tests/interop"}
    assert town_of("tests/interop/test_canary.py::test_it[1]") == "tests/interop/test_canary.py"
    assert town_of("tests/crl/test_check.py::test_it") == "tests/crl/test_check.py"
