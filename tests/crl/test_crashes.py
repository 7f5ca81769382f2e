"""Publishers that die at any step, meet, or oversleep: the world always reads a whole list, never an older one."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509

from crl.files import locked
from crl.publisher import Publisher
from jpki.acts import Actor
from jpki.certificate import Purpose
from jpki.errors import JpkiError
from jpki.ids import PartitionId
from jpki.partition import ARL, COMPLETE, DELTA
from jpki.ports import RevocationChanges, Revocations, ShelfMark
from tests.crl.authority import CHIYODA, generation, generations, serial
from tests.crl.combining import base_of, combined, entries_of, number_of
from tests.crl.fakes import Crash, Fuse, MemoryRegister, MemoryShelf, World

ENDLESS = 1_000_000


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def lists_of(world: World) -> dict[str, x509.CertificateRevocationList]:
    """Every list that the world can read; one that is not whole, or not by its own generation, fails here."""
    found = {}
    for path in sorted((world.home / "crl").rglob("*.crl")):
        parsed = x509.load_der_x509_crl(path.read_bytes())
        purpose = Purpose(path.parent.parent.name)
        assert parsed.is_signature_valid(generation(path.parent.name, purpose).public_key)
        found[f"{path.parent.name}/{path.stem}"] = parsed
    return found


def numbers_of(world: World) -> dict[str, int]:
    return {name: number_of(parsed) for name, parsed in lists_of(world).items()}


def archive_of(world: World) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (world.home / "crl-archive").rglob("*.crl")}


def steps_of(tmp_path: Path, publish: Callable[[Publisher], object]) -> int:
    """Return how many steps the publication takes when nothing happens."""
    fuse = Fuse(ENDLESS)
    publish(prepared(tmp_path).fused(fuse))
    return ENDLESS - fuse.left


def prepared(home: Path) -> World:
    """A world of one CA that has published once, and where a certificate was revoked since."""
    world = World(home, generations=lambda purpose: generations(purpose) if purpose is Purpose.SIGNING else [])
    world.publisher().publish_due()
    world.register.revoke(serial(1))
    return world


def test_a_crash_at_any_step_leaves_whole_lists_and_the_next_publisher_goes_on(tmp_path: Path) -> None:
    steps = steps_of(tmp_path / "whole", Publisher.publish_due)
    assert steps > 30
    for step in range(steps):
        world = prepared(tmp_path / str(step))
        before, archived = numbers_of(world), archive_of(world)
        with pytest.raises(Crash):
            world.fused(Fuse(step)).publish_due()
        crashed = numbers_of(world)
        assert all(crashed[name] >= before[name] for name in before)
        world.publisher().repair()
        world.publisher().publish_due()
        after = numbers_of(world)
        assert all(after[name] >= crashed[name] for name in before)
        assert all(after[name] > before[name] for name in before if not name.endswith(ARL))
        assert_all_stand(world)
        assert archived.items() <= archive_of(world).items()


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_crash_between_two_files_leaves_no_complete_list_beside_a_delta_of_a_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    """In the second epoch the journal cannot tell what changed: the new list is its own base."""
    burning: list[Fuse] = [Fuse(ENDLESS)]
    for name in ("replace", "hardlink_to"):
        plain = getattr(Path, name)
        monkeypatch.setattr(Path, name, lambda *paths, plain=plain: burning[0].call(plain)(*paths))
    seen = set()
    for step in range(ENDLESS):
        world = prepared(tmp_path / str(step))
        world.register.epoch = epoch
        burning[0] = Fuse(step)
        try:
            world.publisher().publish_due()
        except Crash:
            burning[0] = Fuse(ENDLESS)
            seen |= pairs_of(world)
            world.publisher().repair()
            seen |= pairs_of(world)
            world.publisher().publish_due()
            assert_all_stand(world)
        else:
            break
    # Behind the old delta's back the new list may come, never the new delta before its list.
    assert seen >= {(1, 1), (2, 1), (2, 2)}
    assert all(delta <= complete for complete, delta in seen)


def pairs_of(world: World) -> set[tuple[int, int]]:
    """The numbers of each generation's complete list and delta as the world reads them; what they say is required."""
    lists, pairs = lists_of(world), set()
    for each in generations(Purpose.SIGNING):
        complete, delta = lists[f"{each.id}/{COMPLETE}"], lists[f"{each.id}/{DELTA}"]
        assert base_of(delta) <= number_of(complete)
        archived = world.home / "crl-archive" / "signing" / each.id
        if base_of(delta) < number_of(delta) == number_of(complete):
            base = x509.load_der_x509_crl((archived / f"complete-{base_of(delta)}.crl").read_bytes())
            assert combined(base, delta) == entries_of(complete)
        pairs.add((number_of(complete), number_of(delta)))
    return pairs


def test_a_crash_in_the_first_publication_of_a_partition(tmp_path: Path) -> None:
    def first(publisher: Publisher) -> None:
        publisher.ensure_first(Purpose.SIGNING, [CHIYODA.id])

    fuse = Fuse(ENDLESS)
    first(World(tmp_path / "whole").fused(fuse))
    for step in range(ENDLESS - fuse.left):
        world = World(tmp_path / str(step))
        with pytest.raises(Crash):
            first(world.fused(Fuse(step)))
        lists_of(world)
        first(world.publisher())
        assert set(numbers_of(world)) == {"s1/p0001", "s2/p0001"}
        assert_all_stand(world)


def assert_all_stand(world: World) -> None:
    """Every mark's number is what each of its generations publishes, and the revoked are on it."""
    lists, numbers = lists_of(world), numbers_of(world)
    for mark in world.shelf.marks():
        entries = world.register.entries(mark.purpose, mark.partition)
        for each in generations(mark.purpose):
            name = f"{each.id}/{mark.partition}"
            assert {numbers[f"{each.id}/{listed}"] for listed in mark.lists} == {mark.number}
            assert [entry.serial_number for entry in lists[name]] == [entry.serial for entry in entries]


def test_what_a_dead_publisher_left_is_never_published(world: World) -> None:
    archive = world.home / "crl-archive" / "signing" / "s1"
    archive.mkdir(parents=True)
    (archive / ".p0001-1.crl.abcdefgh").write_bytes(b"left by a dead publisher")
    published = world.home / "crl" / "signing" / "s1"
    published.mkdir(parents=True)
    (published / "p0001.new").write_bytes(b"left by a dead publisher")
    world.publisher().publish_due()
    assert sorted(each.name for each in published.iterdir()) == ["arl.crl", "complete.crl", "delta.crl", "p0001.crl"]
    assert numbers_of(world)["s1/p0001"] == 1
    assert_all_stand(world)


@pytest.mark.parametrize("in_the_way", ["crl-archive", "crl-archive/signing", "crl-archive/signing/s1", "crl"])
def test_a_disk_that_refuses_is_said_and_survived(world: World, in_the_way: str) -> None:
    blocked = world.home / in_the_way
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_bytes(b"")
    with pytest.raises(JpkiError, match="crl-unwritable"):
        world.publisher().publish_due()
    blocked.unlink()
    world.publisher().publish_due()
    assert_all_stand(world)
    assert [path for path in world.home.rglob("*") if path.is_file() and path.suffix != ".crl"] == [
        world.home / "crl-archive" / "lock"
    ]


@pytest.mark.parametrize("name", ["crl-archive/signing/s1/complete-2.crl", "crl/signing/s1/complete.new"])
def test_a_disk_that_refuses_after_the_swap_and_between_two_generations(tmp_path: Path, name: str) -> None:
    world = prepared(tmp_path)
    before = numbers_of(world)
    obstacle = tmp_path / name / "not empty"
    refusing = SteppedShelf(world.shelf, lambda: obstacle.mkdir(parents=True, exist_ok=True))
    with pytest.raises(JpkiError, match="crl-unwritable"):
        replace(world.publisher(), shelf=refusing).publish_due()
    between = numbers_of(world)
    assert between["s1/complete"] == before["s1/complete"]
    obstacle.rmdir()
    obstacle.parent.rmdir()
    world.publisher().publish_due()
    assert_all_stand(world)
    assert numbers_of(world)["s2/complete"] >= between["s2/complete"]


@dataclass
class MeetingRegister(MemoryRegister):
    """Lets publishers go on only when as many have read the mark and the picture: they all want the same number."""

    meeting: threading.Barrier = field(default_factory=lambda: threading.Barrier(2, timeout=10))

    @contextmanager
    def revocations(
        self, purpose: Purpose, partition: PartitionId, ending_after: datetime | None
    ) -> Iterator[Revocations]:
        with super().revocations(purpose, partition, ending_after) as picture:
            self.meeting.wait()
            yield picture

    def changes(self, since: ShelfMark, ending_after: datetime, at_most: int) -> RevocationChanges | None:
        changes = super().changes(since, ending_after, at_most)
        if changes is not None:
            self.meeting.wait()
        return changes


def test_two_publishers_of_one_number_never_both_publish_it(tmp_path: Path) -> None:
    register = MeetingRegister()
    world = World(tmp_path, register=register)
    rounds = 10
    with ThreadPoolExecutor(2) as pool:
        for number in range(1, rounds + 1):
            both = [pool.submit(world.publisher().publish_all) for _ in range(2)]
            assert sum(len(each.result(timeout=30)) for each in both) == 6
            assert set(numbers_of(world).values()) == {number}
            register.revoke(serial(number))
    register.meeting.abort()
    assert [path.name for path in tmp_path.rglob(".*")] == []


def test_two_acts_that_first_use_a_partition_both_find_its_list(tmp_path: Path) -> None:
    world = World(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        acts = [pool.submit(world.publisher().ensure_first, Purpose.SIGNING, [CHIYODA.id]) for _ in range(8)]
        for act in acts:
            act.result(timeout=30)
    assert_all_stand(world)


@dataclass(frozen=True, slots=True)
class SteppedShelf:
    """Lets something happen right after a publisher won its number."""

    shelf: MemoryShelf
    meanwhile: Callable[[], object]

    def newest(self, purpose: Purpose, partitions: Collection[PartitionId]) -> Mapping[PartitionId, ShelfMark]:
        return self.shelf.newest(purpose, partitions)

    def marks(self) -> Sequence[ShelfMark]:
        return self.shelf.marks()

    def bases(self, purpose: Purpose) -> Sequence[ShelfMark]:
        return self.shelf.bases(purpose)

    def swap(self, old: ShelfMark | None, new: ShelfMark, by: Actor) -> bool:
        won = self.shelf.swap(old, new, by)
        self.meanwhile()
        return won


def test_a_publisher_that_overslept_does_not_put_its_list_back(world: World) -> None:
    def another_publishes() -> None:
        world.register.revoke(serial(len(world.register.rows)))
        world.publisher().publish_due()

    sleeper = replace(world.publisher(), shelf=SteppedShelf(world.shelf, another_publishes))
    sleeper.publish_all()
    lists = {"s1": ["p0001"], "s2": ["p0001"], "a1": ["b01"]}
    assert set(numbers_of(world)) == {
        f"{each}/{name}" for each, own in lists.items() for name in ("complete", "delta", "arl", *own)
    }
    assert_all_stand(world)


def test_stable_names_change_under_the_lock_only(world: World) -> None:
    landed, stable = (world.home / "crl-archive/signing/s1/p0001-1.crl", world.home / "crl/signing/s1/p0001.crl")
    with ThreadPoolExecutor(1) as pool:
        with locked(world.home):
            act = pool.submit(world.publisher().ensure_first, Purpose.SIGNING, [CHIYODA.id])
            while not landed.exists():
                assert not act.done()
            with pytest.raises(TimeoutError):
                act.result(timeout=0.05)
            assert not stable.exists()
        act.result(timeout=10)
    assert stable.exists()


class LosingShelf(MemoryShelf):
    """Another node is always faster."""

    def swap(self, old: ShelfMark | None, new: ShelfMark, by: Actor) -> bool:
        super().swap(old, replace(new, entries=new.entries + 1), by)
        return False


def test_a_loser_publishes_nothing_and_leaves_nothing(world: World) -> None:
    world.shelf = LosingShelf()
    assert world.publisher().publish_all() == []
    assert archive_of(world) == {}
    assert list(world.home.rglob(".*")) == []
    with pytest.raises(JpkiError, match="crl-contended"):
        world.publisher().ensure_first(Purpose.SIGNING, [CHIYODA.id])


def test_repair_signs_nothing(world: World) -> None:
    world.publisher().publish_due()
    for path in (world.home / "crl").rglob("*.crl"):
        path.unlink()
    replace(world.publisher(), signer=Fuse(0).call(world.publisher().signer)).repair()
    assert_all_stand(world)
    assert COMPLETE in {mark.partition for mark in world.shelf.marks()}
