"""What tests/conftest.py knows by name is there, what shares a town stays together, and browsers bear their mark."""

import subprocess
import sys

import pytest

from tests import conftest
from tests.conftest import PROJECT, town_of


@pytest.mark.parametrize("name", [*conftest._LONGEST, *conftest._OF_ITS_OWN, *conftest._WALKED, *conftest._ALONE])  # noqa: SLF001 - its names
def test_what_is_known_by_name_is_there(name: str) -> None:
    assert (PROJECT / name).exists()


def test_clients_of_one_town_stay_together() -> None:
    towns = {town_of(f"tests/interop/test_{name}.py::test_it") for name in ("java", "nss", "time_stamps")}
    assert towns == {"tests/interop"}
    assert town_of("tests/console/test_login.py::test_it") == town_of("tests/console/test_issue_walk.py::test_it")
    assert town_of("tests/interop/test_canary.py::test_it[1]") == "tests/interop/test_canary.py"
    assert town_of("tests/crl/test_check.py::test_it") == "tests/crl/test_check.py"


@pytest.mark.slow
def test_what_takes_the_browser_is_chosen_by_its_mark() -> None:
    line = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "browser", "tests/look"]
    listed = subprocess.run(line, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert "test_screenshots.py::test_a_page_looks_as_it_was_accepted[home-1280-ja]" in listed
    assert "test_gallery.py::test_the_gallery_is_for_everyone" in listed
    assert "test_every_part_is_in_the_gallery" not in listed
    assert "test_picture.py" not in listed
