"""Tables of municipalities as a later release might ship them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from enroll import municipalities
from enroll.municipalities import read_table
from tests.conftest import PROJECT

SHIPPED = PROJECT / "enroll" / "municipalities.csv"


def lines_of(mergers: Mapping[str, str], *new: str) -> list[str]:
    """The shipped table with these mergers, from code to code, and new rows after its own."""
    lines = SHIPPED.read_text("utf-8").splitlines()
    return [f"{line}{mergers.get(line.split(',')[0], '')}" for line in lines] + list(new)


@contextmanager
def merged(mergers: Mapping[str, str], *new: str) -> Iterator[None]:
    """Let the house have such a table while the block runs."""
    table = read_table(lines_of(mergers, *new))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(municipalities, "_shipped", lambda: table)
        yield
