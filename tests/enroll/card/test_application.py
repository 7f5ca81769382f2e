"""A card does what it may on the word of whoever may ask for it, wherever its power is cut."""

import re
from collections.abc import Callable

import pytest
from cryptography import x509

from enroll.card.application import Application
from enroll.card.pins import TRIES, KeptPin, scrypt
from enroll.card.reader import Reader
from enroll.card.state import CounterAct
from jpki.card import CardMode
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.errors import JpkiError
from jpki.randomness import system_randomness
from jpki.signature import check, sign
from tests.enroll.card.cards import OTHERS, PINS, Memory, PowerCutError, certified, furnished, leave, new_state, plainly

SIGNING, AUTHENTICATION = Purpose.SIGNING, Purpose.AUTHENTICATION
WRONG = {SIGNING: "WRONG000", AUTHENTICATION: "1234"}


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(JpkiError) as error:
        act()
    return error.value.code


def lock(card: Application, purpose: Purpose) -> None:
    for _ in range(TRIES[purpose]):
        assert refused(lambda: card.unlocked(purpose, WRONG[purpose])) in {"pin-wrong", "pin-locked"}


# --- PINs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", HOLDER_PURPOSES)
def test_the_right_pin_opens_a_key_that_signs_and_never_leaves(purpose: Purpose) -> None:
    card = furnished().card()
    key = card.unlocked(purpose, PINS[purpose])
    check(card.public_key(purpose), b"document", sign(key, b"document"))
    with pytest.raises(JpkiError, match="key-not-exportable"):
        key.private_numbers()


@pytest.mark.parametrize(("purpose", "tries"), [(SIGNING, 5), (AUTHENTICATION, 3)])
def test_so_many_misses_in_a_row_lock_a_pin_for_the_right_one_too(purpose: Purpose, tries: int) -> None:
    card = furnished().card()
    codes = [refused(lambda: card.unlocked(purpose, WRONG[purpose])) for _ in range(tries)]
    assert codes == ["pin-wrong"] * (tries - 1) + ["pin-locked"]
    assert refused(lambda: card.unlocked(purpose, PINS[purpose])) == "pin-locked"
    (other,) = set(HOLDER_PURPOSES) - {purpose}
    card.unlocked(other, PINS[other])


@pytest.mark.parametrize("purpose", HOLDER_PURPOSES)
def test_a_success_resets_the_count(purpose: Purpose) -> None:
    card = furnished().card()
    for _ in range(3):
        for _ in range(TRIES[purpose] - 1):
            refused(lambda: card.unlocked(purpose, WRONG[purpose]))
        assert card.tries[purpose] == 1
        card.unlocked(purpose, PINS[purpose])
        assert card.tries[purpose] == TRIES[purpose]


@pytest.mark.parametrize("purpose", HOLDER_PURPOSES)
def test_a_miss_counts_though_the_power_is_cut_at_any_step(purpose: Purpose) -> None:
    memory = furnished()
    for left in reversed(range(TRIES[purpose])):
        memory.steps_left = 1
        with pytest.raises((PowerCutError, JpkiError)):
            memory.card().unlocked(purpose, WRONG[purpose])
        memory.steps_left = None
        assert memory.card().tries[purpose] == left
    assert refused(lambda: memory.card().unlocked(purpose, PINS[purpose])) == "pin-locked"


def test_a_pin_is_not_even_compared_before_the_try_is_counted() -> None:
    memory = furnished()
    memory.steps_left = 0

    def never(*_: bytes) -> bytes:
        pytest.fail("compared first")

    with pytest.raises(PowerCutError):
        memory.card(never).unlocked(SIGNING, PINS[SIGNING])


@pytest.mark.parametrize(
    ("purpose", "pin"),
    [
        (SIGNING, "ABC12"),
        (SIGNING, "A1" * 8 + "B"),
        (SIGNING, "ABCDEF"),
        (SIGNING, "123456"),
        (SIGNING, "abc123"),
        (SIGNING, "ABC123\n"),
        (SIGNING, "ＡＢＣ１２３"),
        (AUTHENTICATION, "123"),
        (AUTHENTICATION, "12345"),
        (AUTHENTICATION, "12a4"),
        (AUTHENTICATION, "１２３４"),
    ],
)
def test_r21_a_new_pin_of_another_form_is_refused_and_not_repeated(purpose: Purpose, pin: str) -> None:
    with pytest.raises(JpkiError) as error:
        furnished().card().change_pin(purpose, PINS[purpose], pin)
    assert error.value.code == "pin-form"
    assert pin not in repr(error.value) + error.value.problem.en + error.value.action.en


@pytest.mark.parametrize("pin", ["ABC123", "A" * 15 + "1", "1" * 15 + "A"])
def test_a_signing_pin_has_6_to_16_letters_and_digits(pin: str) -> None:
    card = furnished().card()
    card.change_pin(SIGNING, PINS[SIGNING], pin)
    assert refused(lambda: card.unlocked(SIGNING, PINS[SIGNING])) == "pin-wrong"
    card.unlocked(SIGNING, pin)


def test_to_change_a_pin_takes_the_old_one() -> None:
    card = furnished().card()
    assert refused(lambda: card.change_pin(AUTHENTICATION, "1111", "2222")) == "pin-wrong"
    assert card.tries[AUTHENTICATION] == 2


def test_a_kept_pin_is_salted_and_stretched() -> None:
    first, second = (KeptPin.of(AUTHENTICATION, "1234", system_randomness, scrypt) for _ in range(2))
    assert first.digest != second.digest
    assert first.is_of("1234", scrypt)
    assert not first.is_of("1235", scrypt)


# --- unlocking -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", HOLDER_PURPOSES)
def test_a_counter_unlocks_a_pin_to_what_the_holder_chose(purpose: Purpose) -> None:
    memory = furnished()
    lock(memory.card(), purpose)
    memory.card().unlock({purpose: OTHERS[purpose]}, leave(CounterAct.UNLOCK))
    memory.card().unlocked(purpose, OTHERS[purpose])


def test_a_case_gives_leave_once_for_one_card_and_one_act() -> None:
    card = furnished().card()
    given = leave(CounterAct.UNLOCK)
    card.unlock({SIGNING: OTHERS[SIGNING]}, given)
    assert refused(lambda: card.unlock({SIGNING: PINS[SIGNING]}, given)) == "leave-used"
    foreign = leave(CounterAct.UNLOCK, "case-2", "CARD-2")
    assert refused(lambda: card.unlock({SIGNING: PINS[SIGNING]}, foreign)) == "leave-foreign"
    assert refused(lambda: card.go_pinless(leave(CounterAct.UNLOCK, "case-3"))) == "leave-foreign"


def test_a_pin_of_another_form_does_not_use_up_the_leave() -> None:
    card = furnished().card()
    given = leave(CounterAct.UNLOCK)
    assert refused(lambda: card.unlock({AUTHENTICATION: "12"}, given)) == "pin-form"
    card.unlock({AUTHENTICATION: "1212"}, given)


@pytest.mark.parametrize("purpose", HOLDER_PURPOSES)
def test_one_pin_unlocks_the_other_if_it_still_works(purpose: Purpose) -> None:
    card = furnished().card()
    (other,) = set(HOLDER_PURPOSES) - {purpose}
    lock(card, purpose)
    assert refused(lambda: card.unlock_by_other(purpose, WRONG[other], OTHERS[purpose])) == "pin-wrong"
    card.unlock_by_other(purpose, PINS[other], OTHERS[purpose])
    card.unlocked(purpose, OTHERS[purpose])
    lock(card, purpose)
    lock(card, other)
    assert refused(lambda: card.unlock_by_other(purpose, PINS[other], PINS[purpose])) == "pin-locked"


# --- keys and certificates -------------------------------------------------------------------------------------------


def test_any_reader_reads_the_authentication_certificate_and_only_the_pin_the_signing_one() -> None:
    memory = furnished()
    reader = Reader(memory.card())
    read = x509.load_der_x509_certificate(reader.authentication_certificate())
    assert read.public_key() == reader.public_key(AUTHENTICATION)
    signing = memory.card().signing_certificate(PINS[SIGNING])
    assert x509.load_der_x509_certificate(signing).public_key() == reader.public_key(SIGNING)
    assert refused(lambda: memory.card().signing_certificate(WRONG[SIGNING])) == "pin-wrong"
    assert not {name for name in dir(reader) if "pin" in name or "unlock" in name or "signing" in name}


def test_r17_a_request_proves_its_key_and_names_nobody() -> None:
    csr = x509.load_der_x509_csr(Memory(new_state()).card().request(SIGNING))
    assert csr.is_signature_valid
    assert list(csr.subject) == []
    assert list(csr.extensions) == []


def test_the_old_key_serves_until_the_next_one_is_certified() -> None:
    card = furnished().card()
    before = card.public_key(SIGNING)
    request = card.request(SIGNING)
    assert card.public_key(SIGNING) == before
    certificate = certified(request)
    assert card.load(certificate) is SIGNING
    assert card.public_key(SIGNING) == x509.load_der_x509_csr(request).public_key() != before
    assert card.load(certificate) is SIGNING


def test_a_certificate_of_another_key_is_not_loaded() -> None:
    card = furnished().card()
    other = certified(furnished().card().request(SIGNING))
    assert refused(lambda: card.load(other)) == "card-certificate-foreign"
    assert refused(lambda: card.load(b"no certificate")) == "card-certificate-unreadable"
    abandoned = certified(card.request(SIGNING))
    card.request(SIGNING)
    assert refused(lambda: card.load(abandoned)) == "card-certificate-foreign"


def test_a_new_card_has_no_key_yet() -> None:
    card = Memory(new_state()).card()
    for act in (
        lambda: card.public_key(SIGNING),
        card.authentication_certificate,
        lambda: card.unlocked(SIGNING, PINS[SIGNING]),
        lambda: card.signing_certificate(PINS[SIGNING]),
    ):
        assert refused(act) == "card-key-missing"


# --- PIN-less --------------------------------------------------------------------------------------------------------


def test_a_pinless_card_authenticates_by_face_and_has_no_signing_key() -> None:
    card = furnished(CardMode.PINLESS).card()
    check(card.public_key(AUTHENTICATION), b"here", sign(card.unlocked(AUTHENTICATION, None), b"here"))
    assert card.tries == {}
    for act in (
        lambda: card.request(SIGNING),
        lambda: card.signing_certificate(PINS[SIGNING]),
        lambda: card.unlocked(AUTHENTICATION, PINS[AUTHENTICATION]),
        lambda: card.change_pin(AUTHENTICATION, PINS[AUTHENTICATION], "1212"),
        lambda: card.unlock({AUTHENTICATION: "1212"}, leave(CounterAct.UNLOCK)),
        lambda: card.go_pinless(leave(CounterAct.GO_PINLESS)),
    ):
        assert refused(act) == "card-pinless"


def test_an_ordinary_card_asks_for_a_pin_whatever_the_face() -> None:
    card = furnished().card()
    assert refused(lambda: card.unlocked(AUTHENTICATION, None)) == "pin-missing"
    assert refused(lambda: card.unlocked(SIGNING, None)) == "pin-missing"
    assert card.tries == TRIES


def test_a_card_is_switched_both_ways_and_its_signing_key_does_not_come_back() -> None:
    memory = furnished()
    card = memory.card()
    authentication = card.authentication_certificate()
    card.go_pinless(leave(CounterAct.GO_PINLESS))
    assert memory.state.facts.mode is CardMode.PINLESS
    assert memory.state.slots[SIGNING].key is None
    card.go_ordinary(OTHERS, leave(CounterAct.GO_ORDINARY, "case-2"))
    assert memory.card().facts.mode is CardMode.ORDINARY
    assert card.authentication_certificate() == authentication
    card.unlocked(AUTHENTICATION, OTHERS[AUTHENTICATION])
    assert refused(lambda: card.unlocked(SIGNING, OTHERS[SIGNING])) == "card-key-missing"
    assert refused(lambda: card.go_ordinary(OTHERS, leave(CounterAct.GO_ORDINARY, "case-3"))) == "card-has-pins"


def test_r21_nothing_of_a_card_prints_its_secrets() -> None:
    memory = furnished()
    printed = " ".join(map(repr, (memory.state, memory.state.slots[SIGNING], memory.state.slots[SIGNING].pin)))
    assert re.search("digest|salt|Key|CANARY", printed) is None
    assert plainly(PINS[SIGNING].encode(), b"").decode() not in printed
