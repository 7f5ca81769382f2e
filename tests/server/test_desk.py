"""The desk on a real home: what it delivers, and that whatever fails can be tried again."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from cryptography import x509

from ca.key_policy import holder_key
from ca.profile import CARD_V1
from enroll.municipalities import municipalities
from enroll.orders import Terms, first_order
from jpki.acts import LOCAL_OPERATOR as BY
from jpki.certificate import CARD, Purpose
from jpki.clock import day_in_japan, end_of_day
from jpki.errors import JpkiError, Kind
from jpki.holder import Holder
from jpki.ids import Serial
from jpki.randomness import system_randomness
from jpki.resident import Registration, Resident, taken_at_word
from jpki.revocation import Reason, State
from jpki.text import Text
from server.founding import found
from server.home import Home
from server.settings import Settings
from server.wiring import Rooms, open_rooms
from tests.conftest import SteppingClock
from tests.server.conftest import copied
from tests.server.office_world import Register
from tests.server.people import card_key, request, someone

FOUNDED = datetime(2026, 10, 1, 3, 0, tzinfo=UTC)
HOLDER = someone(birth_date=date(1990, 4, 1))
MOVED = replace(
    HOLDER, address="大阪府大阪市北区", address_substitutes="00000000", municipality=municipalities()["271004"]
)


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rooms = found(Home(tmp_path_factory.mktemp("desk") / "home"), Settings(), lambda: FOUNDED, system_randomness)
    rooms.store.database.close()
    return rooms.home.path


@dataclass(slots=True)
class Counter:
    """A desk, and how a test talks to it."""

    rooms: Rooms
    clock: SteppingClock

    def issue(self, purpose: Purpose = Purpose.SIGNING, holder: Holder = HOLDER, card: int = 1) -> Serial:
        return self.serial(self.rooms.desk.issue(holder, purpose, request(card_key(card)), BY))

    def renew(self, old: Serial, holder: Holder | None = None, card: int = 2) -> Serial:
        return self.serial(self.rooms.desk.renew(old, request(card_key(card)), BY, holder))

    def serial(self, certificate: x509.Certificate) -> Serial:
        return Serial(certificate.serial_number)

    def state(self, serial: Serial) -> State:
        return self.rooms.desk.authority.record(serial).status.state

    def certificate(self, serial: Serial) -> x509.Certificate:
        der = self.rooms.store.ledger.certificates([serial]).get(serial)
        assert der is not None
        return x509.load_der_x509_certificate(der)

    def names(self, serial: Serial) -> x509.SubjectAlternativeName:
        return self.certificate(serial).extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    def end(self, serial: Serial) -> datetime:
        return self.certificate(serial).not_valid_after_utc

    def live(self, purpose: Purpose = Purpose.SIGNING) -> Serial | None:
        record = self.rooms.store.ledger.live([HOLDER.code], purpose, CARD, self.clock()).get(HOLDER.code)
        return None if record is None else record.serial

    def open_the_window(self, serial: Serial) -> None:
        """Go to the last day of the certificate, which is a birthday."""
        self.clock.now = self.end(serial).replace(hour=3)


@pytest.fixture
def counter(founded: Path, tmp_path: Path) -> Counter:
    clock = SteppingClock(FOUNDED)
    home = Home(copied(founded, tmp_path / "home"))
    return Counter(open_rooms(home, clock, system_randomness), clock)


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(JpkiError) as caught:
        call()
    return caught.value.code


# --- issue ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", [Purpose.SIGNING, Purpose.AUTHENTICATION])
def test_what_is_issued_is_live_and_its_list_can_be_read(counter: Counter, purpose: Purpose) -> None:
    serial = counter.issue(purpose)
    status = counter.rooms.desk.authority.record(serial).status
    assert status.state is State.ACTIVE
    assert counter.live(purpose) == serial
    folder = counter.rooms.home.path / "crl" / purpose / status.generation
    assert (folder / f"{status.partition}.crl").is_file()


@pytest.mark.parametrize("purpose", [Purpose.SIGNING, Purpose.AUTHENTICATION])
def test_r08_the_record_names_the_profile_by_which_it_was_made(counter: Counter, purpose: Purpose) -> None:
    assert counter.rooms.desk.authority.record(counter.issue(purpose)).profile_hash == CARD_V1.hash


def test_validity_ends_with_the_fifth_birthday(counter: Counter) -> None:
    assert counter.end(counter.issue()) == end_of_day(date(2031, 4, 1))


def test_a_signing_certificate_never_outlives_the_authentication_certificate(counter: Counter) -> None:
    beside = counter.issue(Purpose.AUTHENTICATION)
    counter.clock.advance(days=365)
    signing = counter.issue(Purpose.SIGNING, card=2)
    assert counter.end(signing) == counter.end(beside) == end_of_day(date(2031, 4, 1))
    counter.rooms.desk.revoke(beside, Reason.CESSATION_OF_OPERATION, BY)
    counter.rooms.desk.revoke(signing, Reason.CESSATION_OF_OPERATION, BY)
    assert counter.end(counter.issue(Purpose.SIGNING, card=3)) == end_of_day(date(2032, 4, 1))


def test_the_authentication_certificate_is_not_capped_by_the_signing_one(counter: Counter) -> None:
    counter.issue(Purpose.SIGNING)
    counter.clock.advance(days=365)
    assert counter.end(counter.issue(Purpose.AUTHENTICATION, card=2)) == end_of_day(date(2032, 4, 1))


def test_r21_only_a_signing_certificate_discloses_its_holder(counter: Counter) -> None:
    assert len(counter.names(counter.issue(Purpose.SIGNING))) >= 6
    authentication = counter.certificate(counter.issue(Purpose.AUTHENTICATION, card=2))
    der = authentication.tbs_certificate_bytes
    for secret in (HOLDER.name, HOLDER.address, HOLDER.code, "19900401", "Chiyoda"):
        assert secret.encode() not in der


def test_fifteen_is_old_enough_on_the_birthday_itself(counter: Counter) -> None:
    today = day_in_japan(counter.clock())
    child = someone(birth_date=today.replace(year=today.year - 15))
    eve = someone(birth_date=date.fromordinal(child.birth_date.toordinal() + 1))
    assert refused(lambda: counter.issue(holder=eve)) == "too-young"
    assert counter.state(counter.issue(holder=child)) is State.ACTIVE


# --- the register, where there is one ------------------------------------------------------------------------------


def asking(counter: Counter, *residents: Resident) -> Register:
    """Let the desk ask a register, in which these are."""
    register = Register({each.code: each for each in residents})
    rooms = counter.rooms
    counter.rooms = replace(rooms, desk=replace(rooms.desk, registry=register))
    return register


@pytest.mark.parametrize(
    ("changes", "purpose", "code"),
    [
        ({"registration": Registration.ENDED}, Purpose.AUTHENTICATION, "register-ended"),
        ({"is_ward": True}, Purpose.SIGNING, "ward-no-signing"),
        ({"stay_until": date(2026, 9, 30)}, Purpose.AUTHENTICATION, "stay-ended"),
        ({"name": "日本　太郎"}, Purpose.SIGNING, "register-disagrees"),
        ({"birth_date": date(1980, 4, 1)}, Purpose.AUTHENTICATION, "register-disagrees"),
    ],
    ids=["dead", "ward", "stay over", "another name", "another birth date"],
)
def test_the_operator_gets_nothing_past_the_register(
    counter: Counter, changes: dict[str, object], purpose: Purpose, code: str
) -> None:
    register = asking(counter, taken_at_word(HOLDER))
    register.change(HOLDER.code, **changes)
    assert refused(lambda: counter.issue(purpose)) == code
    assert counter.rooms.store.cases.certificates_of(HOLDER.code) == []


def test_a_renewal_says_what_the_register_says_and_nothing_where_that_forbids_it(counter: Counter) -> None:
    old = counter.issue()
    counter.open_the_window(old)
    register = asking(counter)
    assert refused(lambda: counter.renew(old)) == "resident-unknown"
    register.enter(taken_at_word(MOVED))
    assert refused(lambda: counter.renew(old, HOLDER)) == "register-disagrees"
    register.change(HOLDER.code, is_ward=True)
    assert refused(lambda: counter.renew(old)) == "ward-no-signing"
    register.change(HOLDER.code, is_ward=False)
    register.away = True
    assert refused(lambda: counter.renew(old)) == "registry-away"
    register.away = False
    new = counter.renew(old)
    assert MOVED.address.encode() in counter.names(new).public_bytes()
    assert counter.state(old) is State.REVOKED


def test_what_the_register_says_of_a_stay_caps(counter: Counter) -> None:
    asking(counter, replace(taken_at_word(HOLDER), stay_until=date(2028, 3, 31)))
    assert counter.end(counter.issue()) == end_of_day(date(2028, 3, 31))


# --- the card's end, where one was read ----------------------------------------------------------------------------


def written_to_a_card(counter: Counter, purpose: Purpose, end: date) -> Serial:
    """Issue as a counter does, which has read the card."""
    rooms, key = counter.rooms, holder_key(request(card_key(50)), CARD_V1.key)
    terms = Terms(profile=CARD_V1, now=counter.clock(), card_end=end_of_day(end))
    order = first_order(taken_at_word(HOLDER), purpose, CARD, key, terms)
    (certificate,) = rooms.desk.delivery.deliver([order], BY, lambda _: None)
    assert isinstance(certificate, x509.Certificate)
    return counter.serial(certificate)


@pytest.mark.parametrize("purpose", [Purpose.SIGNING, Purpose.AUTHENTICATION])
def test_a_renewal_ends_with_the_card_of_the_old_one(counter: Counter, purpose: Purpose) -> None:
    old = written_to_a_card(counter, purpose, date(2034, 9, 9))
    assert counter.end(old) == end_of_day(date(2031, 4, 1))
    counter.open_the_window(old)
    new = counter.renew(old)
    assert counter.end(new) == end_of_day(date(2034, 9, 9))
    assert counter.rooms.desk.record(new).card_end == end_of_day(date(2034, 9, 9))


def test_what_comes_to_a_card_ends_with_it_as_the_other_certificate_knows(counter: Counter) -> None:
    written_to_a_card(counter, Purpose.SIGNING, date(2029, 9, 9))
    assert counter.end(counter.issue(Purpose.AUTHENTICATION)) == end_of_day(date(2029, 9, 9))


# --- what fails can be tried again ---------------------------------------------------------------------------------


def fail(certificate: x509.Certificate) -> None:
    del certificate
    raise JpkiError(Kind.UNPROCESSABLE, "printer-on-fire", Text("だめ", "no"), Text("-", "-"))


def test_what_was_not_handed_over_is_discarded_and_never_lives(counter: Counter) -> None:
    seen: list[Serial] = []

    def drop(certificate: x509.Certificate) -> None:
        seen.append(counter.serial(certificate))
        assert counter.state(seen[0]) is State.ISSUED
        fail(certificate)

    wish = request(card_key(1))
    assert refused(lambda: counter.rooms.desk.issue(HOLDER, Purpose.SIGNING, wish, BY, drop)) == "printer-on-fire"
    assert counter.state(seen[0]) is State.REVOKED
    assert counter.live() is None
    assert counter.state(counter.issue(card=2)) is State.ACTIVE


def test_what_was_revoked_while_it_was_handed_over_is_no_success(counter: Counter) -> None:
    def revoked_meanwhile(certificate: x509.Certificate) -> None:
        counter.rooms.desk.revoke(Serial(certificate.serial_number), Reason.KEY_COMPROMISE, BY)

    with pytest.raises(JpkiError):
        counter.rooms.desk.issue(someone(), Purpose.AUTHENTICATION, request(card_key(1)), BY, revoked_meanwhile)


def test_a_renewal_that_is_not_handed_over_leaves_the_old_one_alive(counter: Counter) -> None:
    old = counter.issue()
    counter.open_the_window(old)
    wish = request(card_key(2))
    assert refused(lambda: counter.rooms.desk.renew(old, wish, BY, None, fail)) == "printer-on-fire"
    assert counter.live() == old
    assert counter.state(counter.renew(old, card=3)) is State.ACTIVE
    assert counter.state(old) is State.REVOKED


def test_r12_nothing_lives_whose_list_cannot_be_published(counter: Counter) -> None:
    lists = counter.rooms.home.path / "crl"
    shutil.rmtree(lists)
    lists.write_text("in the way")
    refused(counter.issue)
    assert counter.live() is None
    lists.unlink()
    assert counter.state(counter.issue(card=2)) is State.ACTIVE


def test_a_lost_ca_key_leaves_nothing_pending(counter: Counter) -> None:
    key = counter.rooms.home.keys / "ca-signing-s1.pem"
    aside = key.rename(key.with_suffix(".aside"))
    assert refused(counter.issue) == "key-not-found"
    aside.rename(key)
    assert counter.state(counter.issue()) is State.ACTIVE


# --- renew ---------------------------------------------------------------------------------------------------------


def test_without_a_fresh_answer_the_old_data_are_kept(counter: Counter) -> None:
    old = counter.issue()
    counter.open_the_window(old)
    new = counter.renew(old)
    assert counter.names(new) == counter.names(old)
    assert list(counter.certificate(new).subject)[:-1] == list(counter.certificate(old).subject)[:-1]
    records = [counter.rooms.desk.authority.record(serial) for serial in (old, new)]
    assert records[0].status.partition == records[1].status.partition
    assert (records[0].status.state, records[0].status.reason) == (State.REVOKED, Reason.SUPERSEDED)
    assert records[1].holder == HOLDER.code


def test_a_fresh_answer_takes_the_place_of_the_old_data(counter: Counter) -> None:
    old = counter.issue()
    counter.open_the_window(old)
    new = counter.renew(old, MOVED)
    assert counter.names(new) != counter.names(old)
    assert MOVED.address.encode() in counter.certificate(new).tbs_certificate_bytes
    partition = counter.rooms.desk.authority.record(new).status.partition
    assert counter.rooms.store.partitions.municipality_of(partition) == "271004"


def test_a_renewed_authentication_certificate_ends_on_a_birthday_too(counter: Counter) -> None:
    old = counter.issue(Purpose.AUTHENTICATION)
    counter.open_the_window(old)
    assert counter.end(counter.renew(old)) == end_of_day(date(2036, 4, 1))


def test_whoever_renews_early_gets_the_sixth_birthday(counter: Counter) -> None:
    old = counter.issue()
    counter.clock.now = datetime(2031, 1, 10, 3, 0, tzinfo=UTC)
    assert counter.end(counter.renew(old)) == end_of_day(date(2036, 4, 1))


def test_the_window_opens_on_its_day_in_japan(counter: Counter) -> None:
    old = counter.issue()
    counter.clock.now = datetime(2031, 1, 1, 14, 59, 59, tzinfo=UTC)
    assert refused(lambda: counter.renew(old)) == "renewal-closed"
    counter.clock.advance(seconds=1)
    assert counter.state(counter.renew(old)) is State.ACTIVE


def test_what_is_revoked_or_over_is_not_renewed(counter: Counter) -> None:
    old = counter.issue()
    counter.clock.now = counter.end(old)
    counter.clock.advance(seconds=1)
    assert refused(lambda: counter.renew(old)) == "not-live"
    counter.clock.advance(seconds=-3)
    counter.rooms.desk.revoke(old, Reason.KEY_COMPROMISE, BY)
    assert refused(lambda: counter.renew(old)) == "not-live"


def test_another_holders_answer_is_refused(counter: Counter) -> None:
    old = counter.issue()
    counter.open_the_window(old)
    assert refused(lambda: counter.renew(old, someone("T-0002"))) == "other-holder"
    assert counter.live() == old


def test_r17_a_renewal_needs_a_new_key(counter: Counter) -> None:
    old = counter.issue()
    counter.open_the_window(old)
    assert refused(lambda: counter.renew(old, card=1)) == "key-reused"
    assert counter.live() == old
