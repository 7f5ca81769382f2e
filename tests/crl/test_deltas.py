"""Deltas and ARLs as they are published: of which list a delta is, and what both say."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from jpki.certificate import Purpose
from jpki.ids import GenerationId
from jpki.partition import ARL, COMPLETE, DELTA
from jpki.ports import DeltaMark
from jpki.revocation import Reason
from tests.crl.authority import (
    BASE_URL,
    BUCKET,
    CHIYODA,
    DAY,
    END,
    NOW,
    SIGNING_ARL,
    TODAY,
    generation,
    generations,
    serial,
)
from tests.crl.combining import base_of, combined, entries_of, number_of
from tests.crl.fakes import MemoryShelf, World

HOUR = timedelta(hours=1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def at(world: World, name: str, generation_id: str = "s1") -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl((world.home / "crl" / "signing" / generation_id / f"{name}.crl").read_bytes())


def archived(world: World, number: int, generation_id: str = "s1") -> x509.CertificateRevocationList:
    file = world.home / "crl-archive" / "signing" / generation_id / f"complete-{number}.crl"
    return x509.load_der_x509_crl(file.read_bytes())


def delta_of(world: World) -> tuple[int, int, int]:
    """The base, the number and the count of entries of the newest delta, which the mark must tell too."""
    delta = at(world, DELTA)
    mark = world.shelf.newest(Purpose.SIGNING, [COMPLETE])[COMPLETE]
    assert mark.delta == DeltaMark(base_of(delta), len(delta))
    assert mark.number == number_of(delta) == number_of(at(world, COMPLETE))
    return base_of(delta), number_of(delta), len(delta)


def published(world: World, hours: int, revoked: int | None = None) -> tuple[int, int, int]:
    """What the delta is of some hours after the beginning."""
    world.clock.now = NOW + hours * HOUR
    if revoked is not None:
        world.register.revoke(serial(revoked))
    world.publisher().publish_due()
    return delta_of(world)


def test_the_first_list_is_its_own_base(world: World) -> None:
    world.register.revoke(serial(1))
    assert published(world, 0) == (1, 1, 0)
    assert len(at(world, COMPLETE)) == 1


def test_the_base_is_the_oldest_list_that_still_holds(world: World) -> None:
    told = [published(world, hours, hours) for hours in (0, 1, 2, 20, 47, 48, 49, 60, 69)]
    # The first holds to its last second (rule R11); the fourth was published at hour 20, the fifth at 47.
    assert told == [
        (1, 1, 0), (1, 2, 1), (1, 3, 2), (1, 4, 3), (1, 5, 4), (1, 6, 5), (2, 7, 5), (4, 8, 4), (5, 9, 4)
    ]  # fmt: skip


def test_every_list_that_still_holds_becomes_the_newest_one(world: World) -> None:
    for step in range(30):
        world.clock.now = NOW + step * 5 * HOUR
        world.register.revoke(serial(step), not_after=TODAY + (100 + step) * HOUR if step % 2 else END)
        world.publisher().publish_due()
        for each in generations(Purpose.SIGNING):
            delta, newest = at(world, DELTA, each.id), at(world, COMPLETE, each.id)
            assert delta.is_signature_valid(each.public_key)
            for number in range(1, step + 1):
                complete = archived(world, number, each.id)
                assert complete.next_update_utc is not None
                if complete.next_update_utc >= newest.last_update_utc:
                    assert combined(complete, delta) == entries_of(newest)
    reasons = {reason for _, reason in entries_of(at(world, DELTA)).values()}
    assert x509.ReasonFlags.remove_from_crl in reasons


def test_a_certificate_that_left_because_it_ended_is_removed_as_of_its_end(world: World) -> None:
    end = TODAY + 30 * HOUR
    world.register.revoke(serial(1), not_after=end)
    for hours in (0, 24, 48):
        published(world, hours)
        assert serial(1) not in entries_of(at(world, DELTA))
    published(world, 72)
    assert entries_of(at(world, DELTA)) == {serial(1): (end, x509.ReasonFlags.remove_from_crl)}
    assert entries_of(at(world, COMPLETE)) == {}


def test_it_bears_times_and_scope_of_the_list_that_it_came_with(world: World) -> None:
    published(world, 0)
    published(world, 3, 1)
    delta, complete = at(world, DELTA), at(world, COMPLETE)
    assert delta.last_update_utc == complete.last_update_utc == TODAY + 3 * HOUR
    assert delta.next_update_utc == complete.next_update_utc == TODAY + 51 * HOUR
    for kind in (x509.IssuingDistributionPoint, x509.FreshestCRL):
        with pytest.raises(x509.ExtensionNotFound):
            delta.extensions.get_extension_for_class(kind)


@pytest.mark.parametrize("generation_id", ["s1", "s2"])
def test_the_complete_list_tells_where_its_delta_is_and_no_other_list_does(world: World, generation_id: str) -> None:
    published(world, 0)
    url = x509.UniformResourceIdentifier(f"{BASE_URL}/crl/signing/{generation_id}/delta.crl")
    freshest = at(world, COMPLETE, generation_id).extensions.get_extension_for_class(x509.FreshestCRL)
    assert freshest.value == x509.FreshestCRL([x509.DistributionPoint([url], None, None, None)])
    for other in (CHIYODA.id, ARL):
        with pytest.raises(x509.ExtensionNotFound):
            at(world, other, generation_id).extensions.get_extension_for_class(x509.FreshestCRL)


def test_deltas_are_of_complete_lists_alone(world: World) -> None:
    published(world, 0)
    with_delta = {(mark.purpose, mark.partition) for mark in world.shelf.marks() if mark.delta is not None}
    assert with_delta == {(purpose, COMPLETE) for purpose in (Purpose.SIGNING, Purpose.AUTHENTICATION)}


def test_the_audit_is_told_of_the_delta_that_will_be_signed(world: World) -> None:
    published(world, 0)
    published(world, 1, 1)
    event = [event for event in world.audit.events if event.subjects == ("signing/complete",)][-1]
    assert (event.details["number"], event.details["base"], event.details["changes"]) == (2, 1, 1)


# --- where the journal cannot tell ---------------------------------------------------------------------------------


def test_r11_in_another_epoch_the_list_is_its_own_base(world: World) -> None:
    published(world, 0)
    world.register.epoch = 2
    assert published(world, 1, 1) == (2, 2, 0)
    assert published(world, 2, 2) == (2, 3, 1)
    assert [mark.number for mark in world.shelf.bases(Purpose.SIGNING)] == [2, 3]


def test_r23_a_new_generation_begins_with_a_list_that_it_signed_itself(world: World) -> None:
    both = world.generations
    world.generations = lambda purpose: both(purpose)[-1:]
    published(world, 0)
    published(world, 1, 1)
    world.generations = both
    assert published(world, 2, 2) == (3, 3, 0)
    assert published(world, 3, 3) == (3, 4, 1)
    for each in generations(Purpose.SIGNING):
        assert archived(world, base_of(at(world, DELTA, each.id)), each.id).is_signature_valid(each.public_key)


def test_r11_after_the_store_was_lost_the_list_is_its_own_base(world: World) -> None:
    published(world, 0)
    published(world, 1, 1)
    world.shelf = MemoryShelf()
    assert published(world, 2, 2) == (3, 3, 0)


def test_where_a_base_is_gone_the_next_one_is_taken(world: World) -> None:
    for hours in range(4):
        published(world, hours, hours)
    (world.home / "crl-archive/signing/s2/complete-1.crl").unlink()
    assert published(world, 4, 4) == (2, 5, 3)


def test_after_a_publication_that_never_landed_the_list_is_its_own_base(world: World) -> None:
    """What had left before is on it again, and no delta would tell of that."""
    world.register.revoke(serial(1), not_after=TODAY + HOUR)
    for hours in (0, 24, 48):
        published(world, hours)
    mark = world.shelf.newest(Purpose.SIGNING, [COMPLETE])[COMPLETE]
    lost = replace(mark, number=4, delta=DeltaMark(1, 0))
    assert world.shelf.swap(mark, lost, world.audit.events[0].actor)
    assert published(world, 49) == (5, 5, 0)
    assert set(entries_of(at(world, COMPLETE))) == {serial(1)}


def test_a_complete_list_from_before_there_were_deltas_is_due(world: World) -> None:
    published(world, 0)
    mark = world.shelf.newest(Purpose.SIGNING, [COMPLETE])[COMPLETE]
    world.shelf.restore([replace(mark, delta=None)])
    assert published(world, 1) == (1, 2, 0)


# --- its files -----------------------------------------------------------------------------------------------------


def test_r12_a_delta_that_was_removed_comes_back(world: World) -> None:
    published(world, 0)
    published(world, 1, 1)
    file = world.home / "crl/signing/s1/delta.crl"
    before = file.read_bytes()
    file.unlink()
    world.publisher().repair()
    assert file.read_bytes() == before
    for path in (world.home / "crl").rglob("delta.crl"):
        path.unlink()
    for path in (world.home / "crl-archive").rglob("delta-2.crl"):
        path.unlink()
    assert published(world, 2) == (1, 3, 1)


def test_r11_a_number_that_a_delta_bore_is_not_used_again(world: World) -> None:
    left = world.home / "crl-archive/signing/s1/delta-1.crl"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of a time before the restore")
    assert published(world, 0) == (2, 2, 0)
    assert left.read_bytes() == b"of a time before the restore"


def test_r11_the_number_passes_the_deltas_that_the_world_reads(world: World) -> None:
    for hours in range(3):
        published(world, hours, hours)
    for path in world.home.rglob("complete*.crl"):
        path.unlink()
    for path in (world.home / "crl-archive").rglob("delta*.crl"):
        path.unlink()
    world.shelf = MemoryShelf()
    assert published(world, 4) == (4, 4, 0)


# --- ARLs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("generation_id", ["s1", "s2"])
def test_r12_an_arl_stands_from_the_first_day_and_is_empty(world: World, generation_id: str) -> None:
    published(world, 0)
    arl = at(world, ARL, generation_id)
    assert (len(arl), number_of(arl)) == (0, 1)
    point = arl.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    assert (point.critical, point.value.only_contains_ca_certs) == (True, True)
    assert list(point.value.full_name or ()) == SIGNING_ARL.distribution_names(GenerationId(generation_id))
    assert arl.is_signature_valid(generation(generation_id).public_key)


def test_an_arl_lists_compromised_roots_and_numbers_for_itself(world: World) -> None:
    published(world, 0, 1)
    published(world, 1, 2)
    assert number_of(at(world, ARL)) == 1
    world.register.revoke(serial(7), SIGNING_ARL, reason=Reason.CA_COMPROMISE)
    published(world, 2)
    for each in ("s1", "s2"):
        assert entries_of(at(world, ARL, each)) == {serial(7): (TODAY, x509.ReasonFlags.ca_compromise)}
        assert number_of(at(world, ARL, each)) == 2


def test_an_arl_is_renewed_each_day(world: World) -> None:
    published(world, 0)
    world.clock.now = TODAY + DAY
    world.publisher().publish_due()
    assert at(world, ARL).last_update_utc == TODAY + DAY
    assert at(world, ARL).next_update_utc == TODAY + 3 * DAY


def test_the_other_ca_has_lists_of_its_own(world: World) -> None:
    world.register.revoke(serial(1), BUCKET)
    world.publisher().publish_due()
    for name in (DELTA, ARL):
        path = world.home / "crl/authentication/a1" / f"{name}.crl"
        parsed = x509.load_der_x509_crl(path.read_bytes())
        assert parsed.is_signature_valid(generation("a1", Purpose.AUTHENTICATION).public_key)
