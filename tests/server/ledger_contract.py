"""What every implementation of `CertificateLedger` must do; each one's test class inherits this."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from cryptography.x509.oid import NameOID

from ca import names
from crl.partition import PartitionSeed
from jpki.acts import LOCAL_OPERATOR as BY
from jpki.certificate import CARD, Purpose, Validity
from jpki.errors import JpkiError
from jpki.ids import GenerationId, HolderCode, PartitionId, Serial, new_serial
from jpki.ports import DeltaMark, KeyProvider, Reservation, RevocationChanges, RevokedEntry, ShelfMark
from jpki.randomness import system_randomness
from jpki.revocation import REMOVED_FROM_LIST, Reason, State
from jpki.signature import assembled
from server.store.database import Database
from server.wiring import Store, store_of
from tests.ca import world
from tests.conftest import SteppingClock
from tests.server.pictures import pictured

TBS = world.draft(Purpose.SIGNING).to_be_signed()


def furnished(database: Database, keys: KeyProvider | None = None) -> Store:
    """A store over an empty ledger, with two signing partitions, one authentication bucket, both CAs, and a seal."""
    store = store_of(database, keys or world.wrapping_keys(), system_randomness)
    store.seals.use(keys.create_wrapping_key("seal-0") if keys else world.WRAPPING_KEY)
    partitions = {"p0001": Purpose.SIGNING, "p0002": Purpose.SIGNING, "b01": Purpose.AUTHENTICATION}
    store.partitions.add(
        PartitionSeed(
            id=PartitionId(name),
            purpose=purpose,
            name=names.below_root(purpose, (NameOID.COMMON_NAME, name)),
            municipality=None,
        )
        for name, purpose in partitions.items()
    )
    for purpose in (Purpose.SIGNING, Purpose.AUTHENTICATION):
        generation, _ = world.authority(purpose)
        store.generations.add(generation, 1)
    return store


def stand_again(database: Database) -> Store:
    """A store over a copy of a ledger that was furnished in this process."""
    return store_of(database, world.wrapping_keys(), system_randomness)


def code_of(refused: pytest.ExceptionInfo[JpkiError]) -> str:
    return refused.value.code


class LedgerContract:
    """The fixtures `store` (two generations, two partitions) and `clock` come from the implementation's tests."""

    def wanted(self, clock: SteppingClock, holder: str = "H-0001", renews: Serial | None = None) -> Reservation:
        return Reservation(
            serial=new_serial(system_randomness),
            purpose=Purpose.SIGNING,
            carrier=CARD,
            holder=HolderCode(holder),
            generation=GenerationId("s1"),
            partition=PartitionId("p0001"),
            base_url="http://127.0.0.1:8080",
            profile_hash="0" * 64,
            key_hash=system_randomness(32),
            validity=Validity(clock(), clock() + timedelta(days=1800)),
            renews=renews,
        )

    def live(
        self,
        store: Store,
        clock: SteppingClock,
        holder: str = "H-0001",
        renews: Serial | None = None,
        purpose: Purpose = Purpose.SIGNING,
        partition: str = "p0001",
    ) -> Serial:
        generation = GenerationId("s1" if purpose is Purpose.SIGNING else "a1")
        wanted = self.wanted(clock, holder, renews)
        reservation = replace(wanted, purpose=purpose, partition=PartitionId(partition), generation=generation)
        serial = reservation.serial
        store.ledger.reserve([reservation], BY, clock())
        store.ledger.intend({serial: TBS}, BY, clock())
        store.ledger.complete({serial: b"signature"}, BY, clock())
        store.ledger.activate([serial], BY, clock())
        return serial

    def state(self, store: Store, serial: Serial) -> State:
        status = store.ledger.status(serial)
        assert status is not None
        return status.state

    def test_a_certificate_goes_through_its_states_in_order(self, store: Store, clock: SteppingClock) -> None:
        reservation = self.wanted(clock)
        serial = reservation.serial
        assert store.ledger.status(serial) is None
        store.ledger.reserve([reservation], BY, clock())
        assert self.state(store, serial) is State.RESERVED
        store.ledger.intend({serial: TBS}, BY, clock())
        assert self.state(store, serial) is State.INTENDED
        store.ledger.complete({serial: b"signature"}, BY, clock())
        assert self.state(store, serial) is State.ISSUED
        store.ledger.activate([serial], BY, clock())
        assert self.state(store, serial) is State.ACTIVE
        record = store.ledger.find([serial]).get(serial)
        assert record is not None
        assert store.ledger.certificates([serial]).get(serial) == assembled(TBS, b"signature")
        assert record.validity == reservation.validity

    def test_no_step_can_be_left_out_or_done_twice(self, store: Store, clock: SteppingClock) -> None:
        reservation = self.wanted(clock)
        serial = reservation.serial
        store.ledger.reserve([reservation], BY, clock())
        with pytest.raises(JpkiError) as refused:
            store.ledger.complete({serial: b"signature"}, BY, clock())
        assert code_of(refused) == "state-changed"
        with pytest.raises(JpkiError) as refused:
            store.ledger.activate([serial], BY, clock())
        assert code_of(refused) == "state-changed"
        store.ledger.intend({serial: TBS}, BY, clock())
        with pytest.raises(JpkiError):
            store.ledger.intend({serial: TBS}, BY, clock())

    def test_r20_a_second_live_certificate_is_refused(self, store: Store, clock: SteppingClock) -> None:
        self.live(store, clock)
        with pytest.raises(JpkiError) as refused:
            store.ledger.reserve([self.wanted(clock)], BY, clock())
        assert code_of(refused) == "certificate-live"

    def test_r20_of_many_at_once_one_succeeds(self, store: Store, clock: SteppingClock) -> None:
        def attempt(_: int) -> str:
            try:
                self.live(store, clock)
            except JpkiError as error:
                return error.code
            return "live"

        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(attempt, range(24)))
        assert outcomes.count("live") == 1
        assert set(outcomes) <= {"live", "certificate-live", "certificate-pending"}

    def test_r20_the_first_orders_of_a_partition_do_not_disturb_each_other(
        self, store: Store, clock: SteppingClock
    ) -> None:
        with ThreadPoolExecutor(8) as pool:
            serials = list(pool.map(lambda number: self.live(store, clock, f"H-{number:04}"), range(8)))
        assert {self.state(store, serial) for serial in serials} == {State.ACTIVE}

    def test_r20_holders_and_purposes_do_not_disturb_each_other(self, store: Store, clock: SteppingClock) -> None:
        self.live(store, clock, "H-0001")
        self.live(store, clock, "H-0002")
        other = replace(
            self.wanted(clock),
            purpose=Purpose.AUTHENTICATION,
            generation=GenerationId("a1"),
            partition=PartitionId("b01"),
        )
        store.ledger.reserve([other], BY, clock())

    def test_an_expired_certificate_makes_room(self, store: Store, clock: SteppingClock) -> None:
        old = self.live(store, clock)
        clock.advance(days=1801)
        assert (
            store.ledger.live([HolderCode("H-0001")], Purpose.SIGNING, CARD, clock()).get(HolderCode("H-0001")) is None
        )
        with pytest.raises(JpkiError) as refused:
            store.ledger.revoke([old], Reason.KEY_COMPROMISE, BY, clock())
        assert code_of(refused) == "not-live"
        new = self.live(store, clock)
        assert self.state(store, old) is State.ACTIVE
        live = store.ledger.live([HolderCode("H-0001")], Purpose.SIGNING, CARD, clock()).get(HolderCode("H-0001"))
        assert live is not None
        assert live.serial == new

    def test_a_renewal_supersedes_in_the_instant_it_becomes_live(self, store: Store, clock: SteppingClock) -> None:
        old = self.live(store, clock)
        clock.advance(days=1700)
        new = self.live(store, clock, renews=old)
        status = store.ledger.status(old)
        assert status is not None
        assert (status.state, status.reason) == (State.REVOKED, Reason.SUPERSEDED)
        assert self.state(store, new) is State.ACTIVE

    def test_a_renewal_whose_old_one_was_revoked_meanwhile_is_refused(self, store: Store, clock: SteppingClock) -> None:
        old = self.live(store, clock)
        reservation = self.wanted(clock, renews=old)
        store.ledger.reserve([reservation], BY, clock())
        store.ledger.intend({reservation.serial: TBS}, BY, clock())
        store.ledger.complete({reservation.serial: b"signature"}, BY, clock())
        store.ledger.revoke([old], Reason.KEY_COMPROMISE, BY, clock())
        with pytest.raises(JpkiError) as refused:
            store.ledger.activate([reservation.serial], BY, clock())
        assert code_of(refused) == "already-revoked"
        assert self.state(store, reservation.serial) is State.ISSUED

    def ending(
        self, store: Store, clock: SteppingClock, purpose: Purpose, days: int, renews: Serial | None = None
    ) -> Serial:
        """Bring one to where it waits to be delivered."""
        is_signing = purpose is Purpose.SIGNING
        reservation = replace(
            self.wanted(clock, renews=renews),
            purpose=purpose,
            generation=GenerationId("s1" if is_signing else "a1"),
            partition=PartitionId("p0001" if is_signing else "b01"),
            validity=Validity(clock(), clock() + timedelta(days=days)),
        )
        store.ledger.reserve([reservation], BY, clock())
        store.ledger.intend({reservation.serial: TBS}, BY, clock())
        store.ledger.complete({reservation.serial: b"signature"}, BY, clock())
        return reservation.serial

    @pytest.mark.parametrize("last", [Purpose.SIGNING, Purpose.AUTHENTICATION])
    def test_no_signing_certificate_comes_to_outlive_the_authentication_certificate(
        self, store: Store, clock: SteppingClock, last: Purpose
    ) -> None:
        signing = self.ending(store, clock, Purpose.SIGNING, 1800)
        authentication = self.ending(store, clock, Purpose.AUTHENTICATION, 30)
        first, second = (authentication, signing) if last is Purpose.SIGNING else (signing, authentication)
        store.ledger.activate([first], BY, clock())
        with pytest.raises(JpkiError) as refused:
            store.ledger.activate([second], BY, clock())
        assert code_of(refused) == "signing-outlives"
        assert self.state(store, second) is State.ISSUED
        store.ledger.revoke([first], Reason.CESSATION_OF_OPERATION, BY, clock())
        store.ledger.activate([second], BY, clock())
        assert self.state(store, second) is State.ACTIVE

    def test_both_may_come_to_life_together_whatever_they_replace(self, store: Store, clock: SteppingClock) -> None:
        old = self.ending(store, clock, Purpose.AUTHENTICATION, 30)
        store.ledger.activate([old], BY, clock())
        new = self.ending(store, clock, Purpose.AUTHENTICATION, 1800, old)
        signing = self.ending(store, clock, Purpose.SIGNING, 1800)
        store.ledger.activate([signing, new], BY, clock())
        assert {self.state(store, each) for each in (signing, new)} == {State.ACTIVE}

    def test_nothing_comes_to_life_that_outlives_its_card_or_that_of_what_it_renews(
        self, store: Store, clock: SteppingClock
    ) -> None:
        def issued(days: int, card_days: int | None, renews: Serial | None = None, holder: str = "H-0001") -> Serial:
            wanted = self.wanted(clock, holder, renews)
            card_end = None if card_days is None else clock() + timedelta(days=card_days)
            end = Validity(clock(), clock() + timedelta(days=days))
            reservation = replace(wanted, validity=end, card_end=card_end)
            store.ledger.reserve([reservation], BY, clock())
            store.ledger.intend({reservation.serial: TBS}, BY, clock())
            store.ledger.complete({reservation.serial: b"signature"}, BY, clock())
            return reservation.serial

        def refused(*serials: Serial) -> None:
            with pytest.raises(JpkiError) as refusal:
                store.ledger.activate(serials, BY, clock())
            assert code_of(refusal) == "card-outlived"
            store.ledger.discard(serials, BY, clock())

        fine = issued(31, 31, holder="H-0002")
        refused(fine, issued(31, 30))
        old = issued(30, 30)
        store.ledger.activate([old], BY, clock())
        assert store.ledger.find([old])[old].card_end == clock() + timedelta(days=30)
        refused(issued(31, None, old))
        assert self.state(store, old) is State.ACTIVE
        new = issued(31, 40, old)
        store.ledger.activate([new], BY, clock())
        assert (self.state(store, old), self.state(store, new)) == (State.REVOKED, State.ACTIVE)

    def test_an_ended_one_and_a_held_one_bind_nobody(self, store: Store, clock: SteppingClock) -> None:
        authentication = self.ending(store, clock, Purpose.AUTHENTICATION, 30)
        store.ledger.activate([authentication], BY, clock())
        clock.advance(days=31)
        signing = self.ending(store, clock, Purpose.SIGNING, 1800)
        store.ledger.activate([signing], BY, clock())
        store.ledger.hold(signing, BY, clock())
        new = self.ending(store, clock, Purpose.AUTHENTICATION, 1000)
        store.ledger.activate([new], BY, clock())
        assert self.state(store, new) is State.ACTIVE

    def test_of_two_that_come_to_life_at_once_the_later_sees_the_other(
        self, store: Store, clock: SteppingClock
    ) -> None:
        def attempt(serial: Serial) -> str:
            try:
                store.ledger.activate([serial], BY, clock())
            except JpkiError as error:
                return error.code
            return "live"

        for _ in range(12):
            pair = [
                self.ending(store, clock, Purpose.SIGNING, 1800),
                self.ending(store, clock, Purpose.AUTHENTICATION, 30),
            ]
            with ThreadPoolExecutor(2) as pool:
                outcomes = sorted(pool.map(attempt, pair))
            assert outcomes == ["live", "signing-outlives"]
            store.ledger.revoke(pair, Reason.CESSATION_OF_OPERATION, BY, clock())

    def test_revocation_is_at_once_and_for_good(self, store: Store, clock: SteppingClock) -> None:
        serial = self.live(store, clock)
        clock.advance(seconds=1.75)
        store.ledger.revoke([serial], Reason.AFFILIATION_CHANGED, BY, clock())
        status = store.ledger.status(serial)
        assert status is not None
        assert status.revoked_at == clock().replace(microsecond=0)
        with pytest.raises(JpkiError) as refused:
            store.ledger.revoke([serial], Reason.KEY_COMPROMISE, BY, clock())
        assert code_of(refused) == "already-revoked"
        self.live(store, clock)

    def test_r09_many_are_revoked_in_one_block_of_the_journal_or_none(self, store: Store, clock: SteppingClock) -> None:
        serials = [self.live(store, clock, f"H-{number:04}") for number in range(4)]
        store.ledger.hold(serials[2], BY, clock())
        before = pictured(store, "p0001").position
        for wrong, code in ((Serial(5), "serial-unknown"), (serials[0], "already-revoked")):
            with pytest.raises(JpkiError) as refused:
                store.ledger.revoke([*serials[1:], wrong], Reason.KEY_COMPROMISE, BY, clock())
            assert code_of(refused) == code
            assert [self.state(store, each) for each in serials[1:]] == [State.ACTIVE, State.HELD, State.ACTIVE]
            if code == "serial-unknown":
                store.ledger.revoke(serials[:1], Reason.KEY_COMPROMISE, BY, clock())
        store.ledger.revoke(serials[1:], Reason.KEY_COMPROMISE, BY, clock())
        entries = store.journal.since(before, 9).entries
        in_order = [serials[0], *sorted(serials[1:])]
        assert [(each.position, each.serial) for each in entries] == list(enumerate(in_order, start=before + 1))
        assert {each.state for each in entries} == {State.REVOKED}

    def test_of_a_block_each_counts_from_its_own_hold_and_all_others_from_the_act(
        self, store: Store, clock: SteppingClock
    ) -> None:
        serials = [self.live(store, clock, f"H-{number:04}") for number in range(3)]
        held_at = clock()
        store.ledger.hold(serials[1], BY, held_at)
        clock.advance(hours=3)
        before = pictured(store, "p0001").position
        store.ledger.revoke(serials, Reason.KEY_COMPROMISE, BY, clock())
        since = {serial: clock() if serial != serials[1] else held_at for serial in serials}
        entries = store.journal.since(before, 9).entries
        assert {each.serial: each.effective_at for each in entries} == {
            serial: moment.replace(microsecond=0) for serial, moment in since.items()
        }
        assert {(each.reason, each.recorded_at, each.listed, each.partition) for each in entries} == {
            (Reason.KEY_COMPROMISE, clock(), True, PartitionId("p0001"))
        }
        for each in entries:
            status = store.ledger.status(each.serial)
            assert status is not None
            told = (each.state, each.reason, each.effective_at, each.position)
            assert (status.state, status.reason, status.revoked_at, status.position) == told

    def test_among_many_holders_each_is_found_whatever_stands_in_its_code(
        self, store: Store, clock: SteppingClock
    ) -> None:
        codes = ["H-0001", "O'Neil", 'x", "y', "back\\slash", "{a,b}", "髙𠮷", "%s?:x", "NULL"]
        serials = {code: self.live(store, clock, code) for code in codes}
        found = store.ledger.live([*map(HolderCode, codes), HolderCode("nobody")], Purpose.SIGNING, CARD, clock())
        assert {holder: record.serial for holder, record in found.items()} == serials
        assert store.ledger.live([], Purpose.SIGNING, CARD, clock()) == {}

    def test_a_hold_is_listed_and_released_and_listed_no_more(self, store: Store, clock: SteppingClock) -> None:
        serial = self.live(store, clock)
        store.ledger.hold(serial, BY, clock())
        listed = pictured(store, "p0001")
        assert [entry.reason for entry in listed.entries] == [Reason.CERTIFICATE_HOLD]
        with pytest.raises(JpkiError) as refused:
            store.ledger.reserve([self.wanted(clock)], BY, clock())
        assert code_of(refused) == "certificate-live"
        store.ledger.release(serial, BY, clock())
        assert self.state(store, serial) is State.ACTIVE
        assert pictured(store, "p0001").entries == []
        assert store.partitions.last_change(Purpose.SIGNING, PartitionId("p0001")) > listed.position

    def test_what_was_on_hold_counts_as_revoked_from_the_hold_on(self, store: Store, clock: SteppingClock) -> None:
        serial = self.live(store, clock)
        held_at = clock()
        store.ledger.hold(serial, BY, held_at)
        clock.advance(hours=5)
        store.ledger.revoke([serial], Reason.KEY_COMPROMISE, BY, clock())
        status = store.ledger.status(serial)
        assert status is not None
        assert (status.revoked_at, status.reason) == (held_at, Reason.KEY_COMPROMISE)

    def test_only_what_is_on_hold_is_released(self, store: Store, clock: SteppingClock) -> None:
        serial = self.live(store, clock)
        with pytest.raises(JpkiError) as refused:
            store.ledger.release(serial, BY, clock())
        assert code_of(refused) == "not-live"
        store.ledger.revoke([serial], Reason.KEY_COMPROMISE, BY, clock())
        with pytest.raises(JpkiError) as refused:
            store.ledger.release(serial, BY, clock())
        assert code_of(refused) == "already-revoked"

    def test_an_unknown_serial_cannot_be_revoked(self, store: Store, clock: SteppingClock) -> None:
        with pytest.raises(JpkiError) as refused:
            store.ledger.revoke([Serial(5)], Reason.KEY_COMPROMISE, BY, clock())
        assert code_of(refused) == "serial-unknown"

    def test_what_was_never_signed_becomes_void_and_is_not_listed(self, store: Store, clock: SteppingClock) -> None:
        reservation = self.wanted(clock)
        store.ledger.reserve([reservation], BY, clock())
        store.ledger.discard([reservation.serial], BY, clock())
        assert self.state(store, reservation.serial) is State.VOID
        assert not pictured(store, "p0001").entries
        self.live(store, clock)

    @pytest.mark.parametrize("completed", [False, True])
    def test_r04_what_may_have_been_signed_is_revoked(
        self, store: Store, clock: SteppingClock, *, completed: bool
    ) -> None:
        reservation = self.wanted(clock)
        store.ledger.reserve([reservation], BY, clock())
        store.ledger.intend({reservation.serial: TBS}, BY, clock())
        if completed:
            store.ledger.complete({reservation.serial: b"signature"}, BY, clock())
        store.ledger.discard([reservation.serial], BY, clock())
        entries = pictured(store, "p0001").entries
        assert [(entry.serial, entry.reason) for entry in entries] == [(reservation.serial, Reason.UNSPECIFIED)]

    def test_an_abandoned_certificate_blocks_for_ten_minutes_only(self, store: Store, clock: SteppingClock) -> None:
        reservation = self.wanted(clock)
        store.ledger.reserve([reservation], BY, clock())
        store.ledger.intend({reservation.serial: TBS}, BY, clock())
        with pytest.raises(JpkiError) as refused:
            store.ledger.reserve([self.wanted(clock)], BY, clock())
        assert code_of(refused) == "certificate-pending"
        clock.advance(minutes=10)
        self.live(store, clock)
        assert self.state(store, reservation.serial) is State.REVOKED

    def test_r17_a_key_that_a_certificate_bears_is_refused(self, store: Store, clock: SteppingClock) -> None:
        reservation = self.wanted(clock)
        store.ledger.reserve([reservation], BY, clock())
        store.ledger.intend({reservation.serial: TBS}, BY, clock())
        store.ledger.complete({reservation.serial: b"signature"}, BY, clock())
        again = replace(self.wanted(clock, "H-0002"), key_hash=reservation.key_hash)
        with pytest.raises(JpkiError) as refused:
            store.ledger.reserve([again], BY, clock())
        assert code_of(refused) == "key-reused"

    def test_r17_a_blocked_key_is_refused(self, store: Store, clock: SteppingClock) -> None:
        wish = self.wanted(clock)
        assert store.blocked_keys.block(wish.key_hash, BY, clock())
        assert not store.blocked_keys.block(wish.key_hash, BY, clock()), "blocked twice"
        with pytest.raises(JpkiError) as refused:
            store.ledger.reserve([wish], BY, clock())
        assert code_of(refused) == "key-blocked"
        assert store.ledger.status(wish.serial) is None
        store.ledger.reserve([self.wanted(clock)], BY, clock())

    def test_r17_the_bearer_of_a_key_is_known(self, store: Store, clock: SteppingClock) -> None:
        wish = self.wanted(clock)
        assert store.blocked_keys.bearer(wish.key_hash) is None
        store.ledger.reserve([wish], BY, clock())
        assert store.blocked_keys.bearer(wish.key_hash) == wish.serial

    @pytest.mark.parametrize("reason", [None, Reason.KEY_COMPROMISE])
    def test_r17_a_key_may_be_tried_again_unless_it_was_compromised(
        self, store: Store, clock: SteppingClock, reason: Reason | None
    ) -> None:
        """The first order left no certificate: it was discarded, or revoked while it was being signed."""
        wish = self.wanted(clock)
        store.ledger.reserve([wish], BY, clock())
        store.ledger.intend({wish.serial: TBS}, BY, clock())
        if reason is None:
            store.ledger.discard([wish.serial], BY, clock())
        else:
            store.ledger.revoke([wish.serial], reason, BY, clock())
        again = replace(self.wanted(clock), key_hash=wish.key_hash)
        if reason is None:
            store.ledger.reserve([again], BY, clock())
            return
        with pytest.raises(JpkiError) as refused:
            store.ledger.reserve([again], BY, clock())
        assert code_of(refused) == "key-reused"

    def test_r22_a_clock_that_goes_back_stops_signing_but_not_revoking(
        self, store: Store, clock: SteppingClock
    ) -> None:
        serial = self.live(store, clock)
        clock.advance(seconds=10)
        other = self.live(store, clock, "H-0002")
        clock.advance(seconds=-5)
        with pytest.raises(JpkiError) as refused:
            store.ledger.reserve([self.wanted(clock, "H-0003")], BY, clock())
        assert code_of(refused) == "clock-went-back"
        store.ledger.revoke([serial], Reason.KEY_COMPROMISE, BY, clock())
        clock.advance(seconds=4)
        store.ledger.revoke([other], Reason.KEY_COMPROMISE, BY, clock())
        store.ledger.reserve([self.wanted(clock, "H-0003")], BY, clock())

    def test_r26_positions_are_gap_free_under_concurrent_writers(self, store: Store, clock: SteppingClock) -> None:
        serials = [self.live(store, clock, f"H-{number:04}") for number in range(12)]
        begun = pictured(store, "p0001").position
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda serial: store.ledger.revoke([serial], Reason.SUPERSEDED, BY, clock()), serials))
        statuses = [store.ledger.status(serial) for serial in serials]
        positions = sorted(status.position for status in statuses if status)
        assert positions == list(range(begun + 1, begun + 13))

    def test_the_journal_tells_all_that_changed_after_a_position(self, store: Store, clock: SteppingClock) -> None:
        one, other = self.live(store, clock), self.live(store, clock, "H-0002")
        store.ledger.hold(one, BY, clock())
        clock.advance(hours=1)
        store.ledger.revoke([one], Reason.KEY_COMPROMISE, BY, clock())
        changes = store.journal.since(1, 100)
        assert changes.epoch == 1
        assert [(each.position, each.serial, each.state, each.reason, each.listed) for each in changes.entries] == [
            (2, other, State.ACTIVE, None, False),
            (3, one, State.HELD, Reason.CERTIFICATE_HOLD, True),
            (4, one, State.REVOKED, Reason.KEY_COMPROMISE, True),
        ]
        held, revoked = changes.entries[1:]
        assert held.effective_at == revoked.effective_at == held.recorded_at < revoked.recorded_at
        assert [each.position for each in store.journal.since(1, 2).entries] == [2, 3]
        assert store.journal.since(4, 100).entries == []

    def test_lists_hold_their_partition_and_the_complete_list_all(self, store: Store, clock: SteppingClock) -> None:
        one = self.live(store, clock, "H-0001")
        store.ledger.revoke([one], Reason.KEY_COMPROMISE, BY, clock())
        register = store.partitions
        assert [each.id for each in register.partitions_in_use(Purpose.SIGNING)] == ["p0001"]
        for listed in ("p0001", "complete"):
            assert [e.serial for e in pictured(store, listed).entries] == [one]
            assert register.last_change(Purpose.SIGNING, PartitionId(listed)) == 2
        assert pictured(store, "p0002").entries == []
        assert register.last_change(Purpose.AUTHENTICATION, PartitionId("complete")) == 0

    def test_of_both_cas_each_list_holds_its_own(self, store: Store, clock: SteppingClock) -> None:
        signing, elsewhere = self.live(store, clock), self.live(store, clock, "H-0002", partition="p0002")
        other = self.live(store, clock, purpose=Purpose.AUTHENTICATION, partition="b01")
        store.ledger.hold(elsewhere, BY, clock())
        store.ledger.revoke([signing, other], Reason.KEY_COMPROMISE, BY, clock())
        lists = {
            (Purpose.SIGNING, "p0001"): {signing},
            (Purpose.SIGNING, "p0002"): {elsewhere},
            (Purpose.SIGNING, "complete"): {signing, elsewhere},
            (Purpose.AUTHENTICATION, "b01"): {other},
            (Purpose.AUTHENTICATION, "complete"): {other},
        }
        after_end = clock() + timedelta(days=1801)
        for (purpose, partition), wanted in lists.items():
            assert {each.serial for each in pictured(store, partition, purpose).entries} == wanted
            changes = store.partitions.changes(published(store, partition, purpose), after_end, 9)
            assert changes is not None
            assert changes.entries == dict.fromkeys(wanted)

    def test_an_ended_certificate_leaves_its_list_when_told(self, store: Store, clock: SteppingClock) -> None:
        one = self.live(store, clock)
        store.ledger.revoke([one], Reason.KEY_COMPROMISE, BY, clock())
        after_end = clock() + timedelta(days=1801)
        assert pictured(store, "p0001", ending_after=after_end).entries == []

    def test_r26_what_changed_in_a_list_since_it_was_published_is_told(
        self, store: Store, clock: SteppingClock
    ) -> None:
        held, live, other = (self.live(store, clock, f"H-{number:04}") for number in range(3))
        store.ledger.hold(held, BY, clock())
        store.ledger.revoke([other], Reason.SUPERSEDED, BY, clock())
        since = published(store, "complete")
        store.ledger.release(held, BY, clock())
        store.ledger.revoke([live], Reason.KEY_COMPROMISE, BY, clock())
        entry = RevokedEntry(live, clock(), Reason.KEY_COMPROMISE)
        for mark in (since, replace(since, partition=PartitionId("p0001"))):
            changes = store.partitions.changes(mark, clock(), 2)
            assert changes == RevocationChanges(since.position + 2, {held: None, live: entry})
            assert store.partitions.changes(mark, clock(), 1) is None
        assert store.partitions.changes(replace(since, partition=PartitionId("p0002")), clock(), 0) is not None
        nothing = store.partitions.changes(replace(since, position=since.position + 2), clock(), 0)
        assert nothing == RevocationChanges(since.position + 2, {})

    def test_what_ended_since_a_list_was_published_is_told(self, store: Store, clock: SteppingClock) -> None:
        one = self.live(store, clock)
        store.ledger.revoke([one], Reason.SUPERSEDED, BY, clock())
        since = published(store, "complete")
        after_end = clock() + timedelta(days=1801)
        for mark in (since, replace(since, ending_after=clock()), replace(since, partition=PartitionId("p0001"))):
            changes = store.partitions.changes(mark, after_end, 1)
            assert changes == RevocationChanges(since.position, {one: None})
        left_already = store.partitions.changes(replace(since, ending_after=after_end), after_end, 0)
        assert left_already == RevocationChanges(since.position, {})

    def test_of_a_list_of_another_epoch_no_changes_are_told(self, store: Store, clock: SteppingClock) -> None:
        since = published(store, "complete")
        assert store.partitions.changes(replace(since, epoch=since.epoch + 1), clock(), 9) is None

    def test_r26_a_delta_tells_how_each_stood_at_the_later_list_whatever_came_after(
        self, store: Store, clock: SteppingClock
    ) -> None:
        held, live, other, lasting, back = (self.live(store, clock, f"H-{number:04}") for number in range(5))
        store.ledger.hold(held, BY, clock())
        store.ledger.hold(lasting, BY, clock())
        store.ledger.revoke([other], Reason.SUPERSEDED, BY, clock())
        base = published(store, "complete")
        begun = clock()
        clock.advance(hours=1)
        store.ledger.hold(live, BY, clock())
        store.ledger.hold(back, BY, clock())
        clock.advance(hours=1)
        store.ledger.release(held, BY, clock())
        store.ledger.release(back, BY, clock())
        store.ledger.revoke([live], Reason.KEY_COMPROMISE, BY, clock())
        now = replace(published(store, "complete"), number=2, ending_after=base.this_update)
        after = {
            held: (clock(), REMOVED_FROM_LIST),
            back: (clock(), REMOVED_FROM_LIST),
            live: (begun + timedelta(hours=1), Reason.KEY_COMPROMISE.number),
        }
        assert told(store, base, now) == after
        store.ledger.revoke([held], Reason.SUPERSEDED, BY, clock())
        store.ledger.release(lasting, BY, clock())
        store.ledger.revoke([self.live(store, clock, "H-0009")], Reason.SUPERSEDED, BY, clock())
        assert told(store, base, now) == after
        assert told(store, now, now) == {}

    def test_a_delta_removes_what_ended_between_two_lists_as_of_its_end(
        self, store: Store, clock: SteppingClock
    ) -> None:
        early, late = (self.live(store, clock, f"H-{number:04}") for number in range(2))
        end = clock() + timedelta(days=1800)
        store.ledger.revoke([early], Reason.SUPERSEDED, BY, clock())
        base = published(store, "complete")
        store.ledger.revoke([late], Reason.SUPERSEDED, BY, clock())
        both = {early: (end, REMOVED_FROM_LIST), late: (end, REMOVED_FROM_LIST)}
        later = replace(published(store, "complete"), ending_after=end + timedelta(seconds=1))
        for mark in (base, replace(base, ending_after=end)):
            assert told(store, mark, later) == both
        # It was not on the base any more; the other was, at least on a list between.
        assert told(store, replace(base, ending_after=later.ending_after), later) == {late: both[late]}
        lasting = replace(later, ending_after=end)
        assert told(store, base, lasting) == {late: (clock(), Reason.SUPERSEDED.number)}

    def test_a_delta_removes_whatever_its_base_held_and_nothing_that_was_closed_after_its_end(
        self, store: Store, clock: SteppingClock
    ) -> None:
        first, last = (self.live(store, clock, f"H-{number:04}") for number in range(2))
        pending = self.wanted(clock, "H-0009")
        store.ledger.reserve([pending], BY, clock())
        store.ledger.intend({pending.serial: TBS}, BY, clock())
        end = clock() + timedelta(days=1800)
        for each in (first, last):
            store.ledger.revoke([each], Reason.SUPERSEDED, BY, clock())
        base = published(store, "complete")
        later = replace(base, number=2, ending_after=end + timedelta(seconds=1))
        removed = {first: (end, REMOVED_FROM_LIST), last: (end, REMOVED_FROM_LIST)}
        assert told(store, base, later) == removed
        clock.advance(days=1801)
        store.ledger.discard([pending.serial], BY, clock())
        assert told(store, base, later) == removed

    def test_a_delta_is_of_one_ca_in_order_of_serial(self, store: Store, clock: SteppingClock) -> None:
        base = published(store, "complete")
        serials = [self.live(store, clock, f"H-{number:04}") for number in range(9)]
        for each in serials:
            store.ledger.revoke([each], Reason.SUPERSEDED, BY, clock())
        now = replace(published(store, "complete"), ending_after=base.this_update)
        assert list(told(store, base, now) or ()) == sorted(serials)
        assert told(store, *(replace(each, purpose=Purpose.AUTHENTICATION) for each in (base, now))) == {}

    def test_there_is_no_delta_between_epochs_nor_to_a_list_that_holds_all_that_ever_left(
        self, store: Store, clock: SteppingClock
    ) -> None:
        base = published(store, "complete")
        now = replace(base, ending_after=clock())
        assert told(store, base, now) == {}
        assert told(store, replace(base, epoch=base.epoch + 1), now) is None
        assert told(store, base, base) is None

    def test_the_shelf_keeps_the_lists_that_a_delta_may_be_of(self, store: Store) -> None:
        first = replace(published(store, "complete"), delta=DeltaMark(1, 0), ending_after=world.NOW)
        other = replace(first, purpose=Purpose.AUTHENTICATION)
        marks = [first, *(replace(first, number=each, delta=DeltaMark(1, 9)) for each in (2, 3))]
        assert store.shelf.swap(None, other, BY)
        assert store.shelf.swap(None, first, BY)
        for old, new in pairwise(marks):
            assert store.shelf.swap(old, new, BY)
        kept = [replace(each, delta=None) for each in marks]
        assert store.shelf.bases(Purpose.SIGNING) == kept
        last = replace(first, number=4, delta=DeltaMark(3, 2))
        assert not store.shelf.swap(marks[0], last, BY)
        assert store.shelf.bases(Purpose.SIGNING) == kept
        assert store.shelf.swap(marks[-1], last, BY)
        assert [each.number for each in store.shelf.bases(Purpose.SIGNING)] == [3, 4]
        assert [each.number for each in store.shelf.bases(Purpose.AUTHENTICATION)] == [1]
        assert store.shelf.newest(Purpose.SIGNING, [last.partition]) == {last.partition: last}


def told(store: Store, base: ShelfMark, now: ShelfMark) -> dict[Serial, tuple[datetime, int]] | None:
    """What the delta between two complete lists says, None where there is none."""
    with store.partitions.delta(base, now) as changes:
        if changes is None:
            return None
        return {serial: (moment, reason) for lines in changes for serial, moment, reason in lines}


def published(store: Store, partition: str, purpose: Purpose = Purpose.SIGNING) -> ShelfMark:
    """The mark of a list that pictures the ledger as it is."""
    picture = pictured(store, partition, purpose)
    return ShelfMark(
        purpose=purpose,
        partition=PartitionId(partition),
        number=1,
        this_update=world.NOW,
        next_update=world.NOW,
        epoch=1,
        position=picture.position,
        ending_after=None,
        entries=len(picture.entries),
    )
