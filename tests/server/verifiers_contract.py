"""What the record of verifiers must do on every database; each one's test class inherits this."""

import pytest

from jpki.acts import LOCAL_OPERATOR as BY
from jpki.clock import day_in_japan
from jpki.errors import JpkiError
from jpki.ids import Serial
from jpki.revocation import Finding
from jpki.verifier import Admitted, LookUp, VerifierId, VerifierState
from server.wiring import Store
from tests.conftest import SteppingClock

ONE, OTHER, CARD = Serial(0x41 << 120), Serial(0x42 << 120), Serial(0x43 << 120)


class VerifiersContract:
    """The fixtures `store` and `clock` come from the implementation's tests."""

    def test_who_has_a_certificate_may_ask(self, store: Store, clock: SteppingClock) -> None:
        bank = store.verifiers.register("Bank", "accounts", 100, BY, clock())
        shop = store.verifiers.register("Shop", "age", None, BY, clock())
        assert store.verifiers.admitted(day_in_japan(clock())) == {}
        store.verifiers.certify(bank, ONE, BY, clock(), alone=False)
        store.verifiers.certify(shop, OTHER, BY, clock(), alone=False)
        assert store.verifiers.admitted(day_in_japan(clock())) == {
            ONE: Admitted(bank, 100, 0),
            OTHER: Admitted(shop, None, 0),
        }
        store.verifiers.change(shop, VerifierState.SUSPENDED, BY, clock())
        assert store.verifiers.admitted(day_in_japan(clock())).keys() == {ONE}
        assert [each.state for each in store.verifiers.verifiers(clock())] == ["active", "suspended"]

    def test_a_name_is_of_one_verifier(self, store: Store, clock: SteppingClock) -> None:
        store.verifiers.register("Bank", "accounts", None, BY, clock())
        with pytest.raises(JpkiError) as refused:
            store.verifiers.register("Bank", "loans", None, BY, clock())
        assert refused.value.code == "verifier-exists"

    def test_who_is_not_registered_can_be_given_nothing(self, store: Store, clock: SteppingClock) -> None:
        nobody = VerifierId(7)
        for act in (
            lambda: store.verifiers.certify(nobody, ONE, BY, clock(), alone=False),
            lambda: store.verifiers.change(nobody, VerifierState.SUSPENDED, BY, clock()),
            lambda: store.verifiers.verifier(nobody, clock()),
        ):
            with pytest.raises(JpkiError) as refused:
                act()
            assert refused.value.code == "verifier-unknown"

    def test_a_certificate_alone_takes_the_place_of_all(self, store: Store, clock: SteppingClock) -> None:
        bank = store.verifiers.register("Bank", "accounts", None, BY, clock())
        store.verifiers.certify(bank, ONE, BY, clock(), alone=False)
        store.verifiers.certify(bank, OTHER, BY, clock(), alone=True)
        assert store.verifiers.verifier(bank, clock()).certificates == (OTHER,)

    def test_use_is_counted_by_days_in_japan(self, store: Store, clock: SteppingClock) -> None:
        bank = store.verifiers.register("Bank", "accounts", None, BY, clock())
        store.verifiers.certify(bank, ONE, BY, clock(), alone=False)
        today = day_in_japan(clock())
        for count in (3, 4):
            store.verifiers.record([], {bank: count}, today)
        assert store.verifiers.admitted(today)[ONE].used == 7
        assert store.verifiers.verifier(bank, clock()).used == 7
        clock.advance(hours=12)
        assert store.verifiers.admitted(day_in_japan(clock()))[ONE].used == 0

    def test_look_ups_are_a_certificates_history(self, store: Store, clock: SteppingClock) -> None:
        bank = store.verifiers.register("Bank", "accounts", None, BY, clock())
        first = LookUp(clock(), bank, CARD, Finding.GOOD)
        clock.advance(seconds=1.5)
        second = LookUp(clock(), bank, CARD, Finding.HELD)
        other = LookUp(clock(), bank, ONE, Finding.REVOKED)
        store.verifiers.record([first, first, other, second], {bank: 4}, day_in_japan(clock()))
        assert store.verifiers.look_ups(CARD) == [second, first, first]
        assert store.verifiers.look_ups(OTHER) == []

    def test_nothing_is_counted_that_is_not_recorded(self, store: Store, clock: SteppingClock) -> None:
        bank = store.verifiers.register("Bank", "accounts", None, BY, clock())
        nobody = VerifierId(7)
        with pytest.raises(JpkiError):
            store.verifiers.record(
                [LookUp(clock(), nobody, CARD, Finding.GOOD)], {bank: 1, nobody: 1}, day_in_japan(clock())
            )
        assert store.verifiers.verifier(bank, clock()).used == 0
