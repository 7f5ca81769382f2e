"""The archive keeps what is told of it, always what the next list builds on, and never what the dead left."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crl.archive import Archive
from crl.files import staged
from jpki.clock import JST
from jpki.errors import JpkiError
from tests.conftest import PROJECT, SteppingClock
from tests.crl.authority import serial
from tests.crl.fakes import MemoryShelf, World
from tests.crl.test_publisher import number_at, serials_at, stable

NOON = datetime(2026, 10, 1, 12, 0, tzinfo=JST).astimezone(UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "crl-archive" / "signing" / "s1"
    made.mkdir(parents=True)
    return made


def put(folder: Path, name: str, written: datetime) -> Path:
    path = folder / name
    path.write_bytes(b"a list")
    os.utime(path, (written.timestamp(),) * 2)
    return path


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def tidied(folder: Path, now: datetime = NOON) -> list[str]:
    Archive(folder.parents[2], SteppingClock(now)).tidy()
    return names(folder)


def numbers(kept: Sequence[str], of: str = "complete") -> list[int]:
    return sorted(int(name.removeprefix(f"{of}-").removesuffix(".crl")) for name in kept if name.startswith(of))


def test_every_list_of_two_days_is_kept_to_the_last_second(folder: Path) -> None:
    for number in range(1, 60):
        put(folder, f"complete-{number}.crl", NOON - 59 * HOUR + number * HOUR)
    two_days = [number for number in range(1, 60) if 59 - number <= 48]
    assert set(numbers(tidied(folder))) - {1, 2} >= set(two_days)
    assert set(numbers(names(folder))) - set(two_days) == set()


def test_then_the_last_of_each_day_in_japan_and_then_of_each_month(folder: Path) -> None:
    begin = datetime(2026, 7, 1, 0, 30, tzinfo=JST)
    written = [begin + count * 6 * HOUR for count in range(4 * 92 + 2)]
    for number, moment in enumerate(written, start=1):
        put(folder, f"p0001-{number}.crl", moment)
    kept = [written[number - 1] for number in numbers(tidied(folder), "p0001")]
    evening = datetime(2026, 7, 31, 18, 30, tzinfo=JST)
    assert [each for each in kept if each < NOON - 31 * DAY] == [evening]
    of_a_month = [evening + day * DAY for day in range(31, 60)]
    assert [each for each in kept if NOON - 31 * DAY <= each < NOON - 2 * DAY] == of_a_month
    young = [each for each in written if each >= NOON - 2 * DAY]
    assert [each for each in kept if each >= NOON - 2 * DAY] == young


@pytest.mark.parametrize(("older", "kept"), [(timedelta(), [1, 2]), (timedelta(seconds=1), [2])])
def test_the_last_of_each_day_is_kept_for_31_days_to_the_second(
    folder: Path, older: timedelta, kept: Sequence[int]
) -> None:
    now = NOON + 9 * DAY
    put(folder, "complete-1.crl", now - 31 * DAY - older)
    put(folder, "complete-2.crl", now - 28 * DAY)
    assert numbers(tidied(folder, now)) == kept


@pytest.mark.parametrize(("later", "is_tidied"), [(HOUR / 2, False), (HOUR, True), (-HOUR, True)])
def test_it_is_tidied_once_an_hour_and_where_the_clock_went_back(
    folder: Path,
    later: timedelta,
    is_tidied: bool,  # noqa: FBT001
) -> None:
    clock = SteppingClock(NOON)
    archive = Archive(folder.parents[2], clock)
    archive.tidy()
    left = put(folder, ".complete-3.crl.left", NOON - 4 * HOUR)
    clock.now = NOON + later
    archive.tidy()
    assert left.exists() is not is_tidied


def test_what_is_kept_does_not_depend_on_how_often_it_is_tidied(folder: Path, tmp_path: Path) -> None:
    at_once = tmp_path / "once" / "crl-archive" / "signing" / "s1"
    at_once.mkdir(parents=True)
    for count in range(200):
        now = NOON + count * 10 * HOUR
        for each in (folder, at_once):
            put(each, f"complete-{count + 1}.crl", now)
        tidied(folder, now)
    assert names(folder) == tidied(at_once, NOON + 1990 * HOUR)
    assert len(names(folder)) < 45


def test_the_newest_is_kept_however_old_it_is_and_so_is_what_is_published(folder: Path) -> None:
    for number in (1, 2, 9, 10):
        put(folder, f"complete-{number}.crl", NOON - 400 * DAY)
    (folder / "stable.crl").hardlink_to(folder / "complete-2.crl")
    assert tidied(folder) == ["complete-10.crl", "complete-2.crl", "stable.crl"]


def test_each_list_is_thinned_for_itself_and_nothing_else_is_touched(folder: Path) -> None:
    for name in ("p0001-1.crl", "p0002-1.crl", "p0001-2.crl", "notes-1.txt", "p0001-x.crl", "lock"):
        put(folder, name, NOON - 400 * DAY)
    assert tidied(folder) == ["lock", "notes-1.txt", "p0001-2.crl", "p0001-x.crl", "p0002-1.crl"]


def test_it_is_tidied_once_an_hour_in_a_process(folder: Path) -> None:
    clock = SteppingClock(NOON)
    archive = Archive(folder.parents[2], clock)
    archive.tidy()
    put(folder, "complete-1.crl", NOON - 400 * DAY)
    put(folder, "complete-2.crl", NOON - 400 * DAY)
    clock.advance(minutes=59)
    archive.tidy()
    assert len(names(folder)) == 2
    clock.advance(minutes=1)
    archive.tidy()
    assert names(folder) == ["complete-2.crl"]


def test_a_home_without_an_archive_is_tidy(tmp_path: Path) -> None:
    Archive(tmp_path, SteppingClock(NOON)).tidy()


def test_an_archive_that_cannot_be_changed_is_told(folder: Path) -> None:
    (folder / ".complete-1.crl.in-the-way").mkdir()
    grow_old(folder, 3 * DAY)
    with pytest.raises(JpkiError) as refused:
        tidied(folder)
    assert refused.value.code == "crl-unwritable"


# --- publishing goes on --------------------------------------------------------------------------------------------


def test_a_list_is_published_out_of_the_newest_after_the_archive_was_thinned(tmp_path: Path) -> None:
    world = World(tmp_path)
    for number in range(100):
        world.register.revoke(serial(number))
    for _ in range(3):
        world.publisher().publish_all()
    for path in (tmp_path / "crl-archive").rglob("*.crl"):
        os.utime(path, (world.clock.now.timestamp(),) * 2)
    world.clock.now += 400 * DAY
    Archive(tmp_path, world.clock).tidy()
    kept = {path.name for path in (tmp_path / "crl-archive/signing/s1").iterdir()}
    assert kept == {"complete-3.crl", "delta-3.crl", "arl-3.crl", "p0001-3.crl"}
    world.register.revoke(serial(200))
    world.publisher().publish_due()
    assert number_at(stable(world)) == 4
    assert len(serials_at(stable(world))) == 101


def test_r11_a_number_above_a_gap_is_not_used_again(tmp_path: Path) -> None:
    """Store and stable names are those of long ago, and the archive was thinned since."""
    world = World(tmp_path)
    for _ in range(5):
        world.publisher().publish_all()
    archive = tmp_path / "crl-archive/signing"
    for number in (1, 2, 3, 4):
        for path in archive.glob(f"*/p0001-{number}.crl"):
            path.unlink()
    stable(world).unlink()
    stable(world, generation_id="s2").unlink()
    world.shelf = MemoryShelf()
    world.publisher().publish_due()
    assert number_at(stable(world)) == 6


# --- waiting files -------------------------------------------------------------------------------------------------


@contextmanager
def waiting_in_another_process(target: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that has staged a file and waits; it has no chance to clean up."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom crl.files import staged\n"
        "with staged([(Path(sys.argv[1]), [b'a list'])]):\n    print('staged', flush=True)\n    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, target], stdout=subprocess.PIPE, cwd=PROJECT) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"staged\n"
            yield process
        finally:
            process.kill()


def grow_old(folder: Path, age: timedelta) -> None:
    for each in folder.iterdir():
        os.utime(each, ((NOON - age).timestamp(),) * 2)


def test_what_a_publisher_that_was_killed_left_is_swept_and_of_one_that_lives_nothing(folder: Path) -> None:
    with waiting_in_another_process(folder / "complete-7.crl") as publisher:
        grow_old(folder, 3 * DAY)
        (waiting,) = tidied(folder)
        assert waiting.startswith(".complete-7.crl.")
        publisher.send_signal(signal.SIGSTOP)
        assert tidied(folder) == [waiting]
        publisher.kill()
        publisher.wait()
        assert names(folder) == [waiting]
        grow_old(folder, HOUR)
        assert tidied(folder) == [waiting], "it may have been made just now"
        grow_old(folder, HOUR + timedelta(seconds=1))
        assert tidied(folder) == []


def test_what_waits_in_this_process_is_not_swept_and_lands(folder: Path) -> None:
    target = folder / "complete-7.crl"
    with staged([(target, [b"a list"])]) as waiting:
        grow_old(folder, 3 * DAY)
        assert len(tidied(folder)) == 1
        waiting[target].replace(target)
    assert target.read_bytes() == b"a list"
    assert tidied(folder) == ["complete-7.crl"]
