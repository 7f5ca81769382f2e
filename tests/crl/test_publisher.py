"""When lists are published, and what of them lies on disk."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from jpki.acts import SYSTEM, Act, Actor
from jpki.certificate import Purpose
from jpki.clock import iso
from jpki.errors import JpkiError
from jpki.generation import Generation
from jpki.ids import PartitionId
from jpki.partition import ARL, COMPLETE
from jpki.ports import DeltaMark, Revocations, ShelfMark
from jpki.revocation import Reason
from tests.crl.authority import BUCKET, CHIYODA, CHUO, DAY, END, NOW, TODAY, generation, generations, serial
from tests.crl.fakes import MemoryRegister, MemoryShelf, World

SECOND = timedelta(seconds=1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def stable(world: World, partition: PartitionId = CHIYODA.id, generation_id: str = "s1") -> Path:
    ca = "authentication" if generation_id.startswith("a") else "signing"
    return world.home / "crl" / ca / generation_id / f"{partition}.crl"


def read(path: Path) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(path.read_bytes())


def number_at(path: Path) -> int:
    return read(path).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def serials_at(path: Path) -> list[int]:
    return [each.serial_number for each in read(path)]


def published(marks: Sequence[ShelfMark]) -> set[tuple[str, str, int]]:
    return {(mark.purpose, mark.partition, mark.number) for mark in marks}


def code_of(error: pytest.ExceptionInfo[JpkiError]) -> str:
    return error.value.code


def test_every_partition_in_use_the_complete_lists_and_the_arls_are_published(world: World) -> None:
    everything = {
        ("signing", "complete", 1),
        ("signing", "arl", 1),
        ("signing", "p0001", 1),
        ("authentication", "complete", 1),
        ("authentication", "arl", 1),
        ("authentication", "b01", 1),
    }
    assert published(world.publisher().publish_due()) == everything
    assert published(world.shelf.marks()) == everything


def test_nothing_is_due_twice(world: World) -> None:
    world.publisher().publish_due()
    assert world.publisher().publish_due() == []
    assert len(world.publisher().publish_all()) == 6


def test_a_list_is_due_again_a_day_later_and_not_before(world: World) -> None:
    world.publisher().publish_due()
    world.clock.now = TODAY + DAY - SECOND
    assert world.publisher().publish_due() == []
    world.clock.now = TODAY + DAY
    assert len(world.publisher().publish_due()) == 6
    assert read(stable(world)).last_update_utc == TODAY + DAY


def test_a_revocation_makes_its_partition_and_the_complete_list_due(world: World) -> None:
    world.publisher().publish_due()
    world.register.revoke(serial(1))
    assert published(world.publisher().publish_due()) == {("signing", "complete", 2), ("signing", "p0001", 2)}
    assert serials_at(stable(world)) == serials_at(stable(world, COMPLETE)) == [serial(1)]


def test_lists_hold_their_own_partition_in_order_of_serial(world: World) -> None:
    world.register.partitions.append(CHUO)
    for number, partition in ((3, CHIYODA), (1, CHUO), (2, CHIYODA), (9, BUCKET)):
        world.register.revoke(serial(number), partition)
    world.publisher().publish_due()
    assert serials_at(stable(world)) == [serial(2), serial(3)]
    assert serials_at(stable(world, CHUO.id)) == [serial(1)]
    assert serials_at(stable(world, COMPLETE)) == [serial(1), serial(2), serial(3)]
    assert serials_at(stable(world, BUCKET.id, "a1")) == [serial(9)]


def test_a_list_promises_two_days(world: World) -> None:
    (mark, *_) = world.publisher().publish_due()
    assert (mark.this_update, mark.next_update) == (TODAY, TODAY + 2 * DAY)
    assert (read(stable(world)).last_update_utc, read(stable(world)).next_update_utc) == (TODAY, TODAY + 2 * DAY)


def test_all_generations_sign_the_same_list(world: World) -> None:
    world.register.revoke(serial(1))
    world.publisher().publish_due()
    for each in generations(Purpose.SIGNING):
        path = stable(world, generation_id=each.id)
        assert serials_at(path) == [serial(1)]
        assert read(path).is_signature_valid(each.public_key)
        point = read(path).extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
        assert list(point.full_name or ()) == CHIYODA.distribution_names(each.id)


def test_numbered_lists_stay_in_the_archive(world: World) -> None:
    world.publisher().publish_all()
    world.publisher().publish_all()
    archive = world.home / "crl-archive" / "signing" / "s2"
    assert sorted(each.name for each in archive.iterdir()) == [
        "arl-1.crl",
        "arl-2.crl",
        "complete-1.crl",
        "complete-2.crl",
        "delta-1.crl",
        "delta-2.crl",
        "p0001-1.crl",
        "p0001-2.crl",
    ]
    assert stable(world, generation_id="s2").read_bytes() == (archive / "p0001-2.crl").read_bytes()
    named = ["arl.crl", "complete.crl", "delta.crl", "p0001.crl"]
    assert sorted(each.name for each in stable(world).parent.iterdir()) == named


def test_any_user_of_the_machine_may_read_a_list(world: World) -> None:
    """The door may run as a user who can read nothing else."""
    world.publisher().publish_due()
    assert stable(world).stat().st_mode & 0o777 == 0o644


def test_the_audit_hears_of_a_list_before_it_is_signed(world: World) -> None:
    world.register.revoke(serial(1))
    world.publisher().publish_due()
    event = next(event for event in world.audit.events if event.subjects == ("signing/p0001",))
    assert (event.act, event.actor, event.at) == (Act.CRL_WILL_SIGN, SYSTEM, NOW)
    promise = iso(NOW + timedelta(hours=48))
    assert event.details == {"number": 1, "entries": 1, "next_update": promise}


def test_r18_without_audit_nothing_is_signed(world: World) -> None:
    world.audit.full = True
    with pytest.raises(JpkiError) as error:
        world.publisher().publish_due()
    assert code_of(error) == "audit-unavailable"
    assert not stable(world).exists()
    assert world.shelf.marks() == []


def test_one_lists_failure_does_not_keep_others_from_being_published(world: World) -> None:
    (stable(world).with_suffix(".new") / "in the way").mkdir(parents=True)
    with pytest.raises(JpkiError) as error:
        world.publisher().publish_due()
    assert code_of(error) == "crl-unwritable"
    assert stable(world, COMPLETE).exists()
    assert stable(world, BUCKET.id, "a1").exists()


def test_a_list_that_reads_otherwise_than_meant_is_not_published(world: World) -> None:
    publisher = world.publisher()
    wrong_key = replace(publisher, signer=lambda _: publisher.signer(generation("s9").key))
    with pytest.raises(JpkiError) as error:
        wrong_key.publish_due()
    assert code_of(error) == "crl-faulty"
    assert world.shelf.marks() == []
    assert not stable(world).exists()


# --- numbers and times -----------------------------------------------------------------------------------------


def test_r11_the_number_only_grows(world: World) -> None:
    numbers = []
    for _ in range(3):
        world.publisher().publish_all()
        numbers.append(number_at(stable(world)))
    assert numbers == [1, 2, 3]


def test_r11_the_number_grows_after_the_store_was_restored(world: World) -> None:
    world.publisher().publish_all()
    backup = world.shelf.marks()
    for _ in range(3):
        world.publisher().publish_all()
    world.shelf.restore(backup)
    world.publisher().repair()
    assert number_at(stable(world)) == 4
    assert len(world.publisher().publish_due()) == 6
    assert number_at(stable(world)) == 5


def test_r11_the_number_grows_after_the_store_was_lost(world: World) -> None:
    world.publisher().publish_all()
    world.publisher().publish_all()
    world.shelf = MemoryShelf()
    world.publisher().publish_due()
    assert number_at(stable(world)) == 3


def test_r11_the_number_grows_even_if_the_archive_was_moved_away(world: World) -> None:
    world.publisher().publish_all()
    world.publisher().publish_all()
    shutil.rmtree(world.home / "crl-archive")
    world.shelf = MemoryShelf()
    world.publisher().publish_due()
    assert number_at(stable(world)) == 3


def test_r11_a_number_in_the_archive_is_not_used_again(world: World) -> None:
    """It never stood under a stable name, and the store has forgotten it."""
    left = world.home / "crl-archive" / "signing" / "s1" / "p0001-1.crl"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of a time before the restore")
    world.publisher().publish_due()
    assert number_at(stable(world)) == number_at(stable(world, generation_id="s2")) == 2
    assert left.read_bytes() == b"of a time before the restore"


def test_this_update_never_goes_back(world: World) -> None:
    world.publisher().publish_all()
    world.clock.now = NOW - SECOND
    world.publisher().publish_all()
    assert (number_at(stable(world)), read(stable(world)).last_update_utc) == (2, TODAY)


def test_lists_of_a_clock_that_ran_ahead_are_made_anew_with_all_that_had_not_ended(world: World) -> None:
    world.register.revoke(serial(1), not_after=TODAY + 100 * DAY)
    world.publisher().publish_due()
    for days in (200, 201):
        world.clock.now = NOW + days * DAY
        world.publisher().publish_due()
    assert serials_at(stable(world)) == []
    world.clock.now = NOW + timedelta(hours=1)
    world.publisher().publish_due()
    for partition in (CHIYODA.id, COMPLETE):
        made_anew = read(stable(world, partition))
        assert (number_at(stable(world, partition)), made_anew.last_update_utc) == (4, TODAY + timedelta(hours=1))
        assert [each.serial_number for each in made_anew] == [serial(1)]
    assert world.shelf.newest(Purpose.SIGNING, [COMPLETE])[COMPLETE].delta == DeltaMark(base=4, entries=0)
    assert world.publisher().publish_due() == []


def test_of_two_nodes_whose_clocks_differ_by_minutes_neither_undoes_the_others_lists(world: World) -> None:
    world.publisher().publish_due()
    world.clock.now = NOW - timedelta(minutes=4)
    assert world.publisher().publish_due() == []


def test_an_entry_leaves_after_one_list_past_its_end(world: World) -> None:
    end = TODAY + timedelta(hours=30)
    world.register.revoke(serial(1), not_after=end)
    world.register.revoke(serial(2))
    seen = []
    for day in range(4):
        world.clock.now = TODAY + day * DAY
        world.publisher().publish_due()
        seen.append(serials_at(stable(world)))
    both = [serial(1), serial(2)]
    assert seen == [both, both, both, [serial(2)]]


def test_an_entry_stays_when_the_list_past_its_end_never_landed(world: World) -> None:
    world.register.revoke(serial(1), not_after=TODAY + SECOND)
    world.publisher().publish_due()
    world.clock.now = NOW + DAY
    (mark,) = [mark for mark in world.shelf.marks() if mark.partition == CHIYODA.id]
    lost = replace(mark, number=2, this_update=TODAY + DAY, next_update=TODAY + 3 * DAY)
    assert world.shelf.swap(mark, lost, Actor("test", "a publisher that died"))
    world.publisher().publish_due()
    assert (number_at(stable(world)), serials_at(stable(world))) == (3, [serial(1)])


def test_r25_no_list_outlives_its_generation(world: World) -> None:
    ending = generation("s7", end=TODAY + timedelta(hours=10))
    world.generations = lambda purpose: [generation("s2"), ending] if purpose is Purpose.SIGNING else []
    (mark, *_) = world.publisher().publish_due()
    assert read(stable(world, generation_id="s7")).next_update_utc == ending.not_after
    assert read(stable(world, generation_id="s2")).next_update_utc == TODAY + 2 * DAY == mark.next_update


def test_r25_the_mark_ends_with_the_last_generation(world: World) -> None:
    ending = [generation("s7", end=TODAY + timedelta(hours=10)), generation("s6", end=TODAY + timedelta(hours=9))]
    world.generations = lambda purpose: ending if purpose is Purpose.SIGNING else []
    assert {mark.next_update for mark in world.publisher().publish_due()} == {ending[0].not_after}


# --- R12: what is named can be read ----------------------------------------------------------------------------


def test_r12_a_partition_in_use_has_a_list_even_if_it_is_empty(world: World) -> None:
    world.publisher().publish_due()
    assert serials_at(stable(world)) == []
    assert read(stable(world)).is_signature_valid(generation("s1").public_key)


def test_r12_the_act_that_first_uses_a_partition_publishes_its_list(world: World) -> None:
    world.publisher().publish_due()
    world.register.partitions.append(CHUO)
    world.publisher().ensure_first(Purpose.SIGNING, [CHUO.id])
    assert [number_at(stable(world, CHUO.id, each)) for each in ("s1", "s2")] == [1, 1]


def test_r12_ensuring_twice_publishes_once(world: World) -> None:
    for _ in range(2):
        world.publisher().ensure_first(Purpose.SIGNING, [CHIYODA.id])
    assert number_at(stable(world)) == 1
    assert len(world.audit.events) == 1


def test_r12_a_partition_that_no_certificate_names_has_no_list(world: World) -> None:
    with pytest.raises(JpkiError) as error:
        world.publisher().ensure_first(Purpose.SIGNING, [CHUO.id])
    assert code_of(error) == "partition-not-in-use"


def test_r12_a_new_generation_has_its_lists_at_once(world: World) -> None:
    only_first: Sequence[Generation] = [generation("s1")]
    world.generations = lambda purpose: only_first if purpose is Purpose.SIGNING else []
    world.publisher().publish_due()
    world.generations = generations
    world.publisher().ensure_first(Purpose.SIGNING, [CHIYODA.id])
    assert [number_at(stable(world, generation_id=each)) for each in ("s1", "s2")] == [2, 2]
    assert ("signing", "complete", 2) in published(world.publisher().publish_due())


def test_r12_a_stable_file_that_was_removed_comes_back(world: World) -> None:
    world.publisher().publish_due()
    before = stable(world).read_bytes()
    stable(world).unlink()
    world.publisher().repair()
    assert stable(world).read_bytes() == before
    assert world.publisher().publish_due() == []
    assert list(world.home.rglob("*.new")) == []


def test_r12_a_list_whose_files_are_all_gone_is_published_anew(world: World) -> None:
    world.publisher().publish_due()
    for path in world.home.rglob("p0001*.crl"):
        path.unlink()
    assert published(world.publisher().publish_due()) == {("signing", "p0001", 2)}


def test_a_held_certificate_is_listed_as_held(world: World) -> None:
    world.register.revoke(serial(1), reason=Reason.CERTIFICATE_HOLD, not_after=END)
    world.publisher().publish_due()
    reason = read(stable(world))[0].extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason is x509.ReasonFlags.certificate_hold


# --- increments ------------------------------------------------------------------------------------------------


@dataclass
class CountingRegister(MemoryRegister):
    """Counts how often the lists of signing certificates are built of all rows."""

    anew: int = 0

    @contextmanager
    def revocations(
        self, purpose: Purpose, partition: PartitionId, ending_after: datetime | None
    ) -> Iterator[Revocations]:
        self.anew += purpose is Purpose.SIGNING and partition != ARL
        with super().revocations(purpose, partition, ending_after) as picture:
            yield picture


@pytest.fixture
def filled(tmp_path: Path) -> World:
    """A world whose two lists of signing certificates have a hundred entries, and were published."""
    register = CountingRegister()
    for number in range(0, 200, 2):
        register.revoke(serial(number << 100))
    world = World(tmp_path, register=register)
    world.publisher().publish_due()
    register.anew = 0
    return world


def built_anew(world: World) -> int:
    assert isinstance(world.register, CountingRegister)
    return world.register.anew


def test_a_few_revocations_are_laid_into_the_last_list(filled: World) -> None:
    filled.register.revoke(serial(51 << 100))
    filled.publisher().publish_due()
    wanted = [serial(number << 100) for number in sorted([*range(0, 200, 2), 51])]
    for generation_id in ("s1", "s2"):
        assert serials_at(stable(filled, generation_id=generation_id)) == wanted
        assert serials_at(stable(filled, COMPLETE, generation_id)) == wanted
    marks = [mark for mark in filled.shelf.marks() if mark.purpose is Purpose.SIGNING and mark.partition != ARL]
    assert {mark.entries for mark in marks} == {101}
    assert built_anew(filled) == 0


def test_r09_many_revocations_are_read_with_all_others(filled: World) -> None:
    for number in (1, 3, 5):
        filled.register.revoke(serial(number << 100))
    filled.publisher().publish_due()
    assert len(serials_at(stable(filled))) == 103
    assert built_anew(filled) == 2


def test_of_another_epoch_nothing_is_carried_over(filled: World) -> None:
    filled.register.epoch = 2
    filled.publisher().publish_all()
    assert built_anew(filled) == 2


@pytest.mark.parametrize("gone", ["s1", "s2"])
def test_of_a_list_that_is_not_whole_nothing_is_carried_over(filled: World, gone: str) -> None:
    (filled.home / f"crl-archive/signing/{gone}/p0001-1.crl").unlink()
    filled.publisher().publish_all()
    assert (built_anew(filled), len(serials_at(stable(filled)))) == (1, 100)


def test_of_a_list_that_the_disk_does_not_give_back_nothing_is_carried_over(filled: World) -> None:
    unreadable = filled.home / "crl-archive/signing/s2/p0001-1.crl"
    unreadable.unlink()
    unreadable.mkdir()
    filled.publisher().publish_all()
    assert (built_anew(filled), len(serials_at(stable(filled)))) == (1, 100)


def test_a_file_that_was_altered_on_disk_is_never_signed_again(filled: World) -> None:
    before = serials_at(stable(filled))
    for file in (filled.home / "crl-archive").rglob("p0001-1.crl"):
        octets = bytearray(file.read_bytes())
        octets[octets.index(serial(100 << 100).to_bytes(16)) + 15] ^= 1
        file.write_bytes(octets)
    assert serials_at(stable(filled)) != before
    filled.publisher().publish_all()
    for generation_id in ("s1", "s2"):
        assert serials_at(stable(filled, generation_id=generation_id)) == before
    assert built_anew(filled) == 1
