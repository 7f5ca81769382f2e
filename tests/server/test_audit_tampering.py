"""Any value changed by chance anywhere in the audit's tables is found. Chosen cases: tests/server/audit_contract.py."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jpki.errors import JpkiError
from server.audit.verify import Flaw
from server.store.database import Database
from tests.ca.world import NOW
from tests.conftest import SteppingClock
from tests.server.audit_world import Office, office

_KEYS = {"audit_chain": "number", "audit_body": "number", "audit_head": "number", "audit_tip": "id"}
"""The tables whose rows the chain is made of. A signer nobody names is no part of it."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tampering")
    database = Database.at_file(folder / "jpki.sqlite", create=True)
    database.found(NOW)
    here = office(database, SteppingClock(NOW), anchor=folder / "anchor")
    for turn in range(3):
        for number in range(5):
            here.act(f"{turn}-{number}")
        here.notary.attest()
    database.close()
    return folder


def opened(folder: Path) -> Office:
    return office(Database.at_file(folder / "jpki.sqlite"), SteppingClock(NOW))


def test_untouched_it_is_whole(made: Path) -> None:
    here = opened(made)
    assert here.verify(made / "anchor").fault is None
    here.database.close()


@given(data=st.data())
def test_any_change_of_any_row_is_found(
    made: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("tampered")
    for name in ("jpki.sqlite", "anchor"):
        shutil.copy(made / name, folder / name)
    with closing(sqlite3.connect(folder / "jpki.sqlite", isolation_level=None)) as database:
        changed = _change(database, data)
    here = opened(folder)
    found = _finds_a_fault(here, folder / "anchor")
    here.database.close()
    shutil.rmtree(folder)
    assert found == changed


def _finds_a_fault(here: Office, anchor: Path) -> bool:
    try:
        return here.verify(anchor).fault is not None
    except JpkiError as error:
        return error.code == "audit-damaged"


def _change(database: sqlite3.Connection, data: st.DataObject) -> bool:
    """Change or delete one row; tell whether anything is different now."""
    table = data.draw(st.sampled_from(sorted(_KEYS)))
    key = _KEYS[table]
    before = _all(database, table)
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    number = data.draw(st.sampled_from([row[columns.index(key)] for row in before]))
    if table != "audit_tip" and data.draw(st.booleans()):
        database.execute(f"DELETE FROM {table} WHERE {key} = ?", (number,))  # noqa: S608 - its own names
    else:
        column = data.draw(st.sampled_from(columns[1:]))
        values = st.one_of(st.binary(max_size=40), st.text(max_size=40), st.integers(-(1 << 63), (1 << 63) - 1))
        statement = f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {key} = ?"  # noqa: S608 - its own names
        database.execute(statement, (data.draw(values), number))
    return _all(database, table) != before


def _all(database: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    return database.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()  # noqa: S608 - its own names


def test_a_body_under_a_number_that_was_never_given_is_found(made: Path, tmp_path: Path) -> None:
    """The foreign key keeps it out only until somebody switches that off."""
    shutil.copy(made / "jpki.sqlite", tmp_path / "jpki.sqlite")
    with closing(sqlite3.connect(tmp_path / "jpki.sqlite", isolation_level=None)) as database:
        database.execute("INSERT INTO audit_body SELECT number + 100, salt, body FROM audit_body WHERE number = 3")
    here = opened(tmp_path)
    fault = here.verify().fault
    here.database.close()
    assert fault is not None
    assert (fault.number, fault.flaw) == (103, Flaw.UNCHAINED)
