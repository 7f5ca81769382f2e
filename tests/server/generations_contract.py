"""What every ledger must do with delegates and with generations that die; each database's test class inherits this."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ca.delegates import Delegation
from ca.plan import default_plan
from ca.profile import CARD_V1
from ca.recorder import Recorder
from jpki.acts import LOCAL_OPERATOR as BY
from jpki.certificate import CARD, Purpose, Validity
from jpki.delegate import Delegate, DelegateKind
from jpki.errors import JpkiError
from jpki.ids import GenerationId, HolderCode, PartitionId, Serial, new_serial
from jpki.partition import ARL, COMPLETE
from jpki.ports import Reservation, RevokedEntry
from jpki.randomness import system_randomness
from jpki.revocation import Reason, State
from server.store.ceremonies import CeremonyKind
from server.wiring import Store
from tests.ca import world
from tests.conftest import SteppingClock
from tests.server.ledger_contract import TBS, published, told
from tests.server.pictures import pictured

S1, P0001 = GenerationId("s1"), PartitionId("p0001")
NOBODY_ELSE = default_plan(CARD_V1, {}, "a test").as_json()
_numbers = count(1)


def reservation(clock: SteppingClock) -> Reservation:
    """A new holder's wish."""
    return Reservation(
        serial=new_serial(system_randomness),
        purpose=Purpose.SIGNING,
        carrier=CARD,
        holder=HolderCode(f"G-{next(_numbers):04}"),
        generation=S1,
        partition=P0001,
        base_url="http://127.0.0.1:8080",
        profile_hash="0" * 64,
        key_hash=system_randomness(32),
        validity=Validity(clock(), clock() + timedelta(days=1800)),
    )


def brought_to(store: Store, clock: SteppingClock, state: State) -> Reservation:
    """A certificate in this state."""
    wanted = reservation(clock)
    serial, ledger = wanted.serial, store.ledger
    ledger.reserve([wanted], BY, clock())
    if state is State.VOID:
        ledger.discard([serial], BY, clock())
    if state in {State.RESERVED, State.VOID}:
        return wanted
    ledger.intend({serial: TBS}, BY, clock())
    if state is State.INTENDED:
        return wanted
    ledger.complete({serial: b"signature"}, BY, clock())
    if state is State.ISSUED:
        return wanted
    ledger.activate([serial], BY, clock())
    if state is State.HELD:
        ledger.hold(serial, BY, clock())
    if state is State.REVOKED:
        ledger.revoke([serial], Reason.SUPERSEDED, BY, clock())
    return wanted


def compromise(store: Store, at: datetime) -> None:
    store.ceremonies.open(CeremonyKind.COMPROMISE, NOBODY_ELSE, "jpki ceremony compromise", BY, at, S1)


def delegate(serial: Serial | None = None) -> Delegate:
    return Delegate(
        serial=serial or new_serial(system_randomness),
        generation=S1,
        kind=DelegateKind.CLERK,
        name="clerk-1",
        key=None,
        not_after=world.NOW,
        to_be_signed=b"other octets",
    )


class GenerationsContract:
    """The fixtures `store` (two generations, two partitions) and `clock` come from the implementation's tests."""

    # --- delegates -------------------------------------------------------------------------------------------------

    def delegation(self, store: Store, clock: SteppingClock) -> Delegation:
        _, keys = world.authority(Purpose.SIGNING)
        recorder = Recorder(ledger=store.delegates, clock=clock, randomness=system_randomness)
        return Delegation(keys=keys, recorder=recorder, book=store.delegates, clock=clock, randomness=system_randomness)

    def test_r02_a_delegate_is_on_record_before_and_after_its_signature(
        self, store: Store, clock: SteppingClock
    ) -> None:
        generation, _ = world.authority(Purpose.SIGNING)
        (responder,) = self.delegation(store, clock).renew_responders([generation], BY)
        assert list(store.delegates.responders(S1)) == [responder]
        assert list(store.delegates.certificates(S1)) == [(DelegateKind.RESPONDER, responder.certificate)]

    def test_time_stamping_units_are_known_by_their_generation(self, store: Store, clock: SteppingClock) -> None:
        generation, _ = world.authority(Purpose.SIGNING)
        delegation = self.delegation(store, clock)
        delegation.renew_responders([generation], BY)
        first = delegation.time_stamping_unit(generation, BY)
        clock.advance(days=1)
        second = delegation.time_stamping_unit(generation, BY)
        assert list(store.delegates.time_stamping_units(S1)) == [second, first]
        assert store.delegates.time_stamping_units(GenerationId("i9")) == []
        assert len(store.delegates.responders(S1)) == 1

    def test_r02_what_was_intended_is_completed_once_and_with_its_own_octets(
        self, store: Store, clock: SteppingClock
    ) -> None:
        generation, _ = world.authority(Purpose.SIGNING)
        (responder,) = self.delegation(store, clock).renew_responders([generation], BY)
        der = responder.certificate.public_bytes(Encoding.DER)
        store.delegates.intend(other := delegate(), BY, clock())
        for serial in (other.serial, Serial(responder.certificate.serial_number), new_serial(system_randomness)):
            with pytest.raises(JpkiError) as refused:
                store.delegates.complete(serial, der, BY, clock())
            assert refused.value.code == "not-intended"
        assert len(store.delegates.certificates(S1)) == 1

    def test_r01_a_serial_is_of_one_certificate_only_of_whatever_kind(self, store: Store, clock: SteppingClock) -> None:
        store.delegates.intend(ours := delegate(), BY, clock())
        theirs = brought_to(store, clock, State.ACTIVE)
        for serial in (ours.serial, theirs.serial):
            with pytest.raises(JpkiError) as refused:
                store.delegates.intend(delegate(serial), BY, clock())
            assert refused.value.code == "serial-taken"
            with pytest.raises(JpkiError) as refused:
                store.ledger.reserve([replace(reservation(clock), serial=serial)], BY, clock())
            assert refused.value.code == "serial-taken"

    # --- a compromise ----------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("state", State)
    def test_all_that_a_compromised_key_may_have_signed_is_revoked(
        self, store: Store, clock: SteppingClock, state: State
    ) -> None:
        before = clock()
        wanted = brought_to(store, clock, state)
        clock.advance(hours=1)
        compromise(store, clock())
        status = store.ledger.status(wanted.serial)
        assert status is not None
        listed = {each.serial: (each.reason, each.revoked_at) for each in pictured(store, P0001).entries}
        expected = {
            State.REVOKED: (Reason.SUPERSEDED, before),
            State.HELD: (Reason.CA_COMPROMISE, before),
        }.get(state, (Reason.CA_COMPROMISE, clock()))
        if state in {State.RESERVED, State.VOID}:
            assert status.state is state
            assert listed == {}
        else:
            assert (status.state, status.reason, status.revoked_at) == (State.REVOKED, *expected)
            assert listed == {wanted.serial: expected}

    def test_it_is_one_row_and_one_entry_of_the_journal(self, store: Store, clock: SteppingClock) -> None:
        for _ in range(3):
            brought_to(store, clock, State.ACTIVE)
        register = store.partitions
        before = pictured(store, P0001)
        compromise(store, clock())
        after = pictured(store, P0001)
        assert (after.position - before.position, len(before.entries), len(after.entries)) == (1, 0, 3)
        for each in (P0001, PartitionId("p0002"), COMPLETE):
            assert register.last_change(Purpose.SIGNING, each) == after.position
        assert register.last_change(Purpose.AUTHENTICATION, COMPLETE) == 0

    def test_of_a_list_nothing_but_all_is_told_from_then_on(self, store: Store, clock: SteppingClock) -> None:
        since = published(store, COMPLETE)
        assert store.partitions.changes(since, clock(), 9) is not None
        compromise(store, clock())
        assert store.partitions.changes(since, clock(), 9) is None
        assert store.partitions.changes(replace(since, purpose=Purpose.AUTHENTICATION), clock(), 9) is not None

    def test_of_the_complete_list_there_is_no_delta_from_then_on(self, store: Store, clock: SteppingClock) -> None:
        base = published(store, COMPLETE)
        now = replace(base, ending_after=clock())
        compromise(store, clock())
        then = replace(published(store, COMPLETE), ending_after=clock())
        assert told(store, base, now) == {}, "it was before"
        assert told(store, base, then) is None
        assert told(store, then, then) is None
        assert told(store, *(replace(each, purpose=Purpose.AUTHENTICATION) for each in (base, then))) == {}

    def test_its_root_is_on_the_arl_until_it_has_ended(self, store: Store, clock: SteppingClock) -> None:
        generation = store.generations.find(S1)
        assert pictured(store, ARL).entries == []
        compromise(store, clock())
        entry = RevokedEntry(Serial(generation.certificate.serial_number), clock(), Reason.CA_COMPROMISE)
        for moment in (None, clock(), generation.not_after):
            assert pictured(store, ARL, ending_after=moment).entries == [entry]
        assert pictured(store, ARL, ending_after=generation.not_after + timedelta(seconds=1)).entries == []
        assert pictured(store, ARL, Purpose.AUTHENTICATION).entries == []
        assert store.partitions.last_change(Purpose.SIGNING, ARL) == pictured(store, ARL).position
        assert store.partitions.last_change(Purpose.AUTHENTICATION, ARL) == 0

    def test_it_leaves_the_other_ca_alone(self, store: Store, clock: SteppingClock) -> None:
        wanted = replace(
            reservation(clock),
            purpose=Purpose.AUTHENTICATION,
            generation=GenerationId("a1"),
            partition=PartitionId("b01"),
        )
        store.ledger.reserve([wanted], BY, clock())
        store.ledger.intend({wanted.serial: TBS}, BY, clock())
        compromise(store, clock())
        status = store.ledger.status(wanted.serial)
        assert status is not None
        assert status.state is State.INTENDED
        assert pictured(store, COMPLETE, Purpose.AUTHENTICATION).entries == []

    def test_ended_certificates_leave_their_lists_as_ever(self, store: Store, clock: SteppingClock) -> None:
        brought_to(store, clock, State.ACTIVE)
        compromise(store, clock())
        after_end = clock() + timedelta(days=1801)
        assert pictured(store, P0001, ending_after=after_end).entries == []

    def test_its_holders_can_have_new_certificates(self, store: Store, clock: SteppingClock) -> None:
        wanted = brought_to(store, clock, State.ACTIVE)
        where = ([wanted.holder], wanted.purpose, wanted.carrier)
        assert set(store.ledger.live(*where, clock())) == {wanted.holder}
        compromise(store, clock())
        assert store.ledger.live(*where, clock()) == {}
        again = replace(reservation(clock), holder=wanted.holder)
        store.ledger.reserve([again], BY, clock())

    def test_what_it_signed_is_revoked_and_held_no_more(self, store: Store, clock: SteppingClock) -> None:
        living, held = (brought_to(store, clock, state).serial for state in (State.ACTIVE, State.HELD))
        compromise(store, clock())
        acts: list[Callable[[], object]] = [
            lambda: store.ledger.revoke([living], Reason.KEY_COMPROMISE, BY, clock()),
            lambda: store.ledger.hold(living, BY, clock()),
            lambda: store.ledger.release(held, BY, clock()),
        ]
        for act in acts:
            with pytest.raises(JpkiError) as refused:
                act()
            assert refused.value.code == "already-revoked"

    def test_nothing_of_it_comes_to_life(self, store: Store, clock: SteppingClock) -> None:
        wanted = brought_to(store, clock, State.ISSUED)
        compromise(store, clock())
        with pytest.raises(JpkiError) as refused:
            store.ledger.activate([wanted.serial], BY, clock())
        assert refused.value.code == "already-revoked"

    def test_nothing_is_signed_by_it_that_was_reserved_before(self, store: Store, clock: SteppingClock) -> None:
        """It would be handed over, and be on no list before the next day's."""
        serial = brought_to(store, clock, State.RESERVED).serial
        compromise(store, clock())
        with pytest.raises(JpkiError) as refused:
            store.ledger.intend({serial: TBS}, BY, clock())
        assert refused.value.code == "already-revoked"
        assert store.ledger.discard([serial], BY, clock()) == 1
        status = store.ledger.status(serial)
        assert status is not None
        assert status.state is State.VOID

    def test_a_generation_dies_once(self, store: Store, clock: SteppingClock) -> None:
        compromise(store, clock())
        with pytest.raises(JpkiError) as refused:
            compromise(store, clock())
        assert refused.value.code == "generation-compromised"
        assert len(store.ceremonies.unfinished()) == 1

    def test_r22_it_is_never_refused_for_a_clock_and_never_dated_back(self, store: Store, clock: SteppingClock) -> None:
        wanted = brought_to(store, clock, State.ACTIVE)
        known = clock()
        compromise(store, clock() - timedelta(hours=1))
        status = store.ledger.status(wanted.serial)
        assert status is not None
        assert status.revoked_at == known

    # --- how generations stand --------------------------------------------------------------------------------------

    def test_a_compromised_generation_answers_and_is_trusted_no_more(self, store: Store, clock: SteppingClock) -> None:
        (before,) = store.generations.issuing(Purpose.SIGNING, clock())
        compromise(store, clock())
        (after,) = store.generations.answering(Purpose.SIGNING, clock())
        assert after == replace(before, compromised_at=clock())
        assert store.generations.live(Purpose.SIGNING, clock()) == []
        assert store.generations.issuing(Purpose.SIGNING, clock()) == []

    def test_r11_a_generation_answers_to_its_last_second(self, store: Store) -> None:
        (ours,) = store.generations.ever(Purpose.SIGNING)
        last = ours.not_after + timedelta(milliseconds=999)
        assert store.generations.answering(Purpose.SIGNING, last) == [ours]
        assert store.generations.answering(Purpose.SIGNING, ours.not_after + timedelta(seconds=1)) == []

    def test_what_is_still_being_made_comes_last_and_does_not_issue(self, store: Store, clock: SteppingClock) -> None:
        (first,) = store.generations.ever(Purpose.SIGNING)
        made = replace(first, id=GenerationId("s2"), issues_from=None)
        store.generations.add(made, 2)
        assert store.generations.live(Purpose.SIGNING, clock()) == [first, made]
        assert store.generations.issuing(Purpose.SIGNING, clock()) == [first]
        assert store.generations.made()[Purpose.SIGNING] == 2

    # --- ceremonies ------------------------------------------------------------------------------------------------

    def test_one_ceremony_that_makes_or_destroys_keys_at_a_time(self, store: Store, clock: SteppingClock) -> None:
        def begin() -> int:
            kind = CeremonyKind.NEW_GENERATION
            return store.ceremonies.open(kind, NOBODY_ELSE, "jpki ceremony new-generation", BY, clock()).number

        first = begin()
        with pytest.raises(JpkiError) as refused:
            begin()
        assert refused.value.code == "ceremony-unfinished"
        compromise(store, clock())
        store.ceremonies.close(first, "record", [], BY, clock())
        third = begin()
        assert [each.number for each in store.ceremonies.unfinished()] == [2, third]
        assert [each.record for each in store.ceremonies.closed()] == ["record"]
