"""Files of a home: whole or not at all, and never over another."""

import multiprocessing
import os
import resource
import signal
import stat
from pathlib import Path

import pytest

from jpki.errors import JpkiError
from server.home import replace_file, write_new


def test_a_new_file_is_whole_with_its_mode(tmp_path: Path) -> None:
    write_new(tmp_path / "new" / "file", b"content", 0o400)
    assert (tmp_path / "new" / "file").read_bytes() == b"content"
    assert stat.S_IMODE((tmp_path / "new" / "file").stat().st_mode) == 0o400
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["file"]


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(JpkiError) as refused:
        write_new(tmp_path / "file", b"new", 0o600)
    assert refused.value.code == "file-exists"
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_file_takes_the_place_of_another(tmp_path: Path) -> None:
    for content, mode in ((b"old", 0o600), (b"new", 0o644)):
        replace_file(tmp_path / "file", content, mode)
    assert (tmp_path / "file").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def _without_room(file: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        write_new(file, b"x" * 5000, 0o600)
    except JpkiError as error:
        os._exit(7 if error.code == "file-unwritable" else 8)


def test_where_there_is_no_room_nothing_is_left(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_without_room, args=(tmp_path / "file",))
    process.start()
    process.join(60)
    assert process.exitcode == 7
    assert not list(tmp_path.iterdir())
