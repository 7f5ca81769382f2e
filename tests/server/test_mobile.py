"""Certificates on mobile devices, beside both cards: what they are, what they hang on, and when they are renewed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ca.profile import MOBILE_V1, MOBILE_V2, profile_for
from hsm_adapter.software import generate
from jpki.acts import LOCAL_OPERATOR as BY
from jpki.campaign import ItemState
from jpki.certificate import CARD, HOLDER_PURPOSES, Carrier, Purpose, parse_carrier
from jpki.clock import JST
from jpki.errors import JpkiError
from jpki.ids import Serial
from jpki.ports import CertificateRecord
from jpki.randomness import system_randomness
from jpki.revocation import Reason, State
from server.campaigns import revoker_of
from server.founding import found
from server.home import Home
from server.settings import Settings
from server.wiring import Rooms, open_rooms
from signing.samples import tax_return_pdf, tax_return_xtx
from tests.conftest import SteppingClock
from tests.server.conftest import Town, certificate_in, copied, serial_in
from tests.server.console import Jpki
from tests.server.crashing import OneByOne
from tests.server.people import HOLDER_FILE, request, someone

FOUNDED = datetime(2026, 10, 1, 3, 0, tzinfo=UTC)
HOLDER = someone(birth_date=date(1990, 4, 1))
PHONE, TABLET = Carrier("mobile:phone-1"), Carrier("mobile:tablet_2")
PURPOSES = pytest.mark.parametrize("purpose", HOLDER_PURPOSES)
CARDS = ["card-v1", "card-v2"]


@pytest.fixture(scope="session", params=CARDS)
def founded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = Settings(profile=request.param)
    rooms = found(Home(tmp_path_factory.mktemp(request.param) / "home"), settings, lambda: FOUNDED, system_randomness)
    rooms.store.database.close()
    return rooms.home.path


@dataclass(frozen=True, slots=True)
class Counter:
    """A desk whose holder brings a card and devices."""

    rooms: Rooms
    clock: SteppingClock

    def issue(self, purpose: Purpose, carrier: Carrier = CARD, met: Callable[[], object] = lambda: None) -> Serial:
        """Issue; `met` happens while the certificate is handed over."""
        wish = self._request(carrier)
        issued = self.rooms.desk.issue(HOLDER, purpose, wish, BY, lambda _: met(), carrier)
        return Serial(issued.serial_number)

    def renew(self, old: Serial) -> Serial:
        return Serial(
            self.rooms.desk.renew(old, self._request(self.record(old).carrier), BY).serial_number,
        )

    def record(self, serial: Serial) -> CertificateRecord:
        return self.rooms.desk.record(serial)

    def state(self, serial: Serial) -> State:
        return self.record(serial).status.state

    def certificate(self, serial: Serial) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.rooms.store.ledger.certificates([serial])[serial])

    def _request(self, carrier: Carrier) -> x509.CertificateSigningRequest:
        return request(generate(profile_for(self.rooms.profile, carrier).key))


@pytest.fixture
def counter(founded: Path, tmp_path: Path) -> Counter:
    clock = SteppingClock(FOUNDED)
    home = Home(copied(founded, tmp_path / "home"))
    return Counter(open_rooms(home, clock, system_randomness), clock)


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(JpkiError) as caught:
        call()
    return caught.value.code


# --- what they are -------------------------------------------------------------------------------------------------


@PURPOSES
def test_one_on_a_device_differs_from_the_cards_in_key_and_policy(counter: Counter, purpose: Purpose) -> None:
    serials = [counter.issue(purpose, carrier) for carrier in (CARD, PHONE)]
    card, phone = map(counter.certificate, serials)
    mobile = {"card-v1": MOBILE_V1, "card-v2": MOBILE_V2}[counter.rooms.profile.name]
    key = phone.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == {"mobile-v1": "secp256r1", "mobile-v2": "secp384r1"}[mobile.name]
    policies = [
        each.extensions.get_extension_for_class(x509.CertificatePolicies).value[0].policy_identifier.dotted_string
        for each in (card, phone)
    ]
    assert policies == [counter.rooms.profile.policy(purpose), mobile.policy(purpose)]
    assert policies[0] != policies[1]
    assert card.issuer == phone.issuer
    records = list(map(counter.record, serials))
    assert [each.carrier for each in records] == [CARD, PHONE]
    assert records[1].profile_hash == mobile.hash != records[0].profile_hash
    if purpose is Purpose.SIGNING:
        assert records[0].status.partition == records[1].status.partition


@PURPOSES
def test_r20_a_device_bears_one_and_another_device_another(counter: Counter, purpose: Purpose) -> None:
    counter.issue(purpose)
    first, other = counter.issue(purpose, PHONE), counter.issue(purpose, TABLET)
    assert refused(lambda: counter.issue(purpose, PHONE)) == "certificate-live"
    counter.rooms.desk.revoke(first, Reason.CESSATION_OF_OPERATION, BY)
    assert counter.state(counter.issue(purpose, PHONE)) is State.ACTIVE
    assert counter.state(other) is State.ACTIVE


def test_r17_a_device_brings_a_key_of_its_own_kind(counter: Counter) -> None:
    counter.issue(Purpose.AUTHENTICATION)
    wrong = request(ec.generate_private_key(ec.SECP521R1()))
    wish = (HOLDER, Purpose.AUTHENTICATION, wrong, BY)
    assert refused(lambda: counter.rooms.desk.issue(*wish, lambda _: None, PHONE)) == "key-wrong-kind"


def test_a_hold_lifts_on_a_device_for_authentication_only(counter: Counter) -> None:
    for purpose in HOLDER_PURPOSES:
        counter.issue(purpose)
    signing, authentication = (counter.issue(purpose, PHONE) for purpose in HOLDER_PURPOSES)
    for serial in (signing, authentication):
        assert counter.rooms.desk.hold(serial, BY).status.state is State.HELD
    assert counter.rooms.desk.release(authentication, BY).status.state is State.ACTIVE
    assert refused(lambda: counter.rooms.desk.release(signing, BY)) == "hold-final"
    assert counter.rooms.desk.revoke(signing, Reason.KEY_COMPROMISE, BY).on_devices == ()


# --- what they hang on ---------------------------------------------------------------------------------------------


@PURPOSES
def test_without_the_cards_certificate_of_the_same_kind_there_is_none(counter: Counter, purpose: Purpose) -> None:
    (other,) = set(HOLDER_PURPOSES) - {purpose}
    counter.issue(other)
    assert refused(lambda: counter.issue(purpose, PHONE)) == "card-certificate-missing"
    card = counter.issue(purpose)
    counter.rooms.desk.hold(card, BY)
    assert refused(lambda: counter.issue(purpose, PHONE)) == "card-certificate-missing"


@PURPOSES
def test_one_on_a_device_never_outlives_the_cards(counter: Counter, purpose: Purpose) -> None:
    card = counter.issue(purpose)
    counter.clock.advance(days=2 * 365)
    phone = counter.issue(purpose, PHONE)
    assert counter.record(phone).validity.not_after == counter.record(card).validity.not_after
    counter.clock.now = counter.record(card).validity.not_after + timedelta(seconds=1)
    assert refused(lambda: counter.issue(purpose, TABLET)) == "card-certificate-missing"


@pytest.mark.parametrize(
    ("reason", "follows"),
    [
        (Reason.AFFILIATION_CHANGED, Reason.AFFILIATION_CHANGED),
        (Reason.KEY_COMPROMISE, Reason.CESSATION_OF_OPERATION),
    ],
)
def test_with_the_cards_revocation_those_on_devices_end(counter: Counter, reason: Reason, follows: Reason) -> None:
    cards = {purpose: counter.issue(purpose) for purpose in HOLDER_PURPOSES}
    beside = counter.issue(Purpose.AUTHENTICATION, PHONE)
    devices = [counter.issue(Purpose.SIGNING, carrier) for carrier in (PHONE, TABLET)]
    counter.rooms.desk.hold(devices[1], BY)
    revoked = counter.rooms.desk.revoke(cards[Purpose.SIGNING], reason, BY)
    assert set(revoked.on_devices) == set(devices)
    statuses = [counter.record(serial).status for serial in devices]
    assert [(each.state, each.reason) for each in statuses] == [(State.REVOKED, follows)] * 2
    assert counter.state(beside) is State.ACTIVE


def test_a_revocation_that_is_refused_leaves_those_on_devices_alive(counter: Counter) -> None:
    card, phone = (counter.issue(Purpose.SIGNING, carrier) for carrier in (CARD, PHONE))
    assert refused(lambda: counter.rooms.desk.revoke(card, Reason.CERTIFICATE_HOLD, BY)) == "reason-not-allowed"
    assert counter.state(phone) is State.ACTIVE


def test_a_revocation_that_was_stopped_half_way_is_finished_by_the_next(counter: Counter) -> None:
    card, phone = (counter.issue(Purpose.SIGNING, carrier) for carrier in (CARD, PHONE))
    counter.rooms.desk.authority.revoke(card, Reason.AFFILIATION_CHANGED, BY)
    assert counter.state(phone) is State.ACTIVE
    again = lambda: counter.rooms.desk.revoke(card, Reason.AFFILIATION_CHANGED, BY)  # noqa: E731
    assert refused(again) == "already-revoked"
    assert counter.record(phone).status.reason is Reason.AFFILIATION_CHANGED


def test_where_another_ends_one_on_a_device_first_the_cards_ends_all_the_same(counter: Counter) -> None:
    card, phone = (counter.issue(Purpose.SIGNING, carrier) for carrier in (CARD, PHONE))
    counter.rooms.desk.revoke(phone, Reason.KEY_COMPROMISE, BY)
    late = replace(counter.rooms.desk, on_devices=lambda holders, *_: {each: [phone] for each in holders})
    assert late.revoke(card, Reason.AFFILIATION_CHANGED, BY).record.status.state is State.REVOKED
    assert counter.record(phone).status.reason is Reason.KEY_COMPROMISE


def test_one_that_is_handed_over_while_the_cards_is_revoked_never_lives(counter: Counter) -> None:
    card = counter.issue(Purpose.SIGNING)
    seen: list[Serial] = []

    def card_is_revoked() -> None:
        seen.extend(counter.rooms.desk.revoke(card, Reason.AFFILIATION_CHANGED, BY).on_devices)

    assert refused(lambda: counter.issue(Purpose.SIGNING, PHONE, card_is_revoked)) == "card-certificate-missing"
    assert list(map(counter.state, seen)) == [State.REVOKED]


def many_revoked(counter: Counter, named: Sequence[Serial], meanwhile: Callable[[], object] = lambda: None) -> None:
    """Revoke these by a campaign, in this order; `meanwhile` happens between its opening and its work."""
    book, now = counter.rooms.store.campaigns, counter.clock()
    targets = sorted(book.survey(named, now).targets, key=lambda each: named.index(each.serial))
    campaign = book.open_revocation(Reason.KEY_COMPROMISE, targets, BY, now)
    meanwhile()
    one_by_one = OneByOne(book)
    revoker = replace(revoker_of(counter.rooms, Reason.KEY_COMPROMISE), book=one_by_one)  # type: ignore[arg-type]
    while revoker.work(campaign.id)[1]:
        pass
    assert book.campaign(campaign.id).counts[ItemState.FAILED] == 0


@pytest.mark.parametrize("listed", [False, True])
@PURPOSES
def test_r09_with_cards_that_many_are_revoked_with_end_those_on_devices(
    counter: Counter, purpose: Purpose, *, listed: bool
) -> None:
    card, phone, tablet = (counter.issue(purpose, carrier) for carrier in (CARD, PHONE, TABLET))
    many_revoked(counter, [card, phone] if listed else [card])
    reasons = [counter.record(each).status.reason for each in (card, phone, tablet)]
    follows = Reason.CESSATION_OF_OPERATION
    assert reasons == [Reason.KEY_COMPROMISE, Reason.KEY_COMPROMISE if listed else follows, follows]


def test_r09_what_another_did_to_the_cards_decides_about_those_on_devices(counter: Counter) -> None:
    card, phone = (counter.issue(Purpose.SIGNING, carrier) for carrier in (CARD, PHONE))
    half_done = lambda: counter.rooms.desk.authority.revoke(card, Reason.AFFILIATION_CHANGED, BY)  # noqa: E731
    many_revoked(counter, [card], half_done)
    assert counter.record(phone).status.reason is Reason.AFFILIATION_CHANGED


def test_r09_where_the_cards_was_renewed_meanwhile_those_on_devices_live_on(counter: Counter) -> None:
    card, phone = (counter.issue(Purpose.AUTHENTICATION, carrier) for carrier in (CARD, PHONE))
    counter.clock.now = counter.record(card).validity.not_after - timedelta(days=30)
    many_revoked(counter, [card], lambda: counter.renew(card))
    assert counter.record(card).status.reason is Reason.SUPERSEDED
    assert counter.state(phone) is State.ACTIVE


def test_a_superseded_cards_leaves_those_on_devices_until_they_end(counter: Counter) -> None:
    card, phone = (counter.issue(Purpose.AUTHENTICATION, carrier) for carrier in (CARD, PHONE))
    counter.clock.now = counter.record(card).validity.not_after - timedelta(days=30)
    counter.renew(card)
    assert counter.state(phone) is State.ACTIVE
    assert refused(lambda: counter.rooms.desk.revoke(card, Reason.SUPERSEDED, BY)) == "already-revoked"
    assert counter.state(phone) is State.ACTIVE


# --- renewal -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("carrier", [CARD, PHONE], ids=["card", "mobile"])
@PURPOSES
def test_the_window_of_each_profile_opens_on_its_day_in_japan(
    counter: Counter, purpose: Purpose, carrier: Carrier
) -> None:
    """Born on 1 April: three months before the end is 1 January, twelve months before it is 1 April."""
    old = counter.issue(purpose)
    if carrier != CARD:
        old = counter.issue(purpose, carrier)
    opens = {"card-v1": datetime(2031, 1, 2, tzinfo=JST), "card-v2": datetime(2035, 4, 2, tzinfo=JST)}
    counter.clock.now = opens[counter.rooms.profile.name].astimezone(UTC) - timedelta(seconds=1)
    assert refused(lambda: counter.renew(old)) == "renewal-closed"
    counter.clock.advance(seconds=1)
    new = counter.renew(old)
    assert (counter.state(old), counter.state(new)) == (State.REVOKED, State.ACTIVE)
    assert counter.record(old).status.reason is Reason.SUPERSEDED
    assert counter.record(new).carrier == carrier


def test_after_the_cards_renewal_one_on_a_device_is_renewed_to_the_same_end(counter: Counter) -> None:
    card, phone = (counter.issue(Purpose.SIGNING, carrier) for carrier in (CARD, PHONE))
    counter.clock.now = counter.record(card).validity.not_after - timedelta(days=30)
    renewed = counter.renew(card)
    assert counter.record(counter.renew(phone)).validity.not_after == counter.record(renewed).validity.not_after


# --- at the command line -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["card", "mobile:phone-1", "mobile:" + "x" * 57])
def test_a_carrier_is_read(text: str) -> None:
    assert parse_carrier(text) == text


@pytest.mark.parametrize(
    "text", ["", "Card", "phone", "mobile", "mobile:", "mobile:a b", "mobile:携帯", "mobile:" + "x" * 58]
)
def test_what_is_no_carrier_is_refused(text: str) -> None:
    assert refused(lambda: parse_carrier(text)) == "carrier-malformed"


def test_a_device_is_not_named_by_a_my_number() -> None:
    assert refused(lambda: parse_carrier("mobile:123456789012")) == "carrier-malformed"


def test_a_phone_at_the_command_line(jpki: Jpki, town: Town) -> None:
    words = ("--home", town.home)
    asked = ("issue", *words, "--kind", "signing", "--holder", HOLDER_FILE, "--out", town.folder / "phone")
    assert jpki.refused(*asked, "--carrier", "phone").exit == 64
    issued = jpki.done(*asked, "--carrier", "mobile:phone-1")
    assert (issued["carrier"], issued["state"]) == ("mobile:phone-1", "active")
    assert isinstance(certificate_in(town.folder / "phone").public_key(), ec.EllipticCurvePublicKey)
    serial = serial_in(town.folder / "phone")
    assert jpki.done("status", serial_in(town.signing), *words)["carrier"] == "card"
    assert "移動端末 phone-1" in jpki("status", serial, *words, "--lang", "ja").out
    assert "mobile device phone-1" in jpki("status", serial, *words, "--lang", "en").out
    revoked = jpki.done("revoke", serial_in(town.signing), *words, "--reason", "affiliationChanged")
    assert revoked["on_devices"] == [serial]
    assert jpki.done("status", serial, *words)["state"] == "revoked"


@pytest.mark.parametrize("form", ["pdf", "pades", "xml", "cms"])
def test_a_phone_signs_documents_and_ends_with_the_card(jpki: Jpki, town: Town, form: str) -> None:
    words = ("--home", town.home)
    phone, signed = town.folder / "phone", town.folder / "signed"
    asked = ("--kind", "signing", "--holder", HOLDER_FILE, "--carrier", "mobile:phone-1", "--out", phone)
    jpki.done("issue", *words, *asked)
    document = town.folder / "document"
    document.write_bytes(tax_return_pdf(["Income"]) if form in {"pdf", "pades"} else tax_return_xtx("日本　花子", 2025))
    pair = ("--certificate", phone / "certificate.pem", "--key", phone / "key.pem")
    jpki.done("sign", document, *pair, "--out", signed, "--format", form)
    assert jpki.done("verify", signed, *words)["decision"] == "accept"
    jpki.done("revoke", serial_in(town.signing), *words, "--reason", "affiliationChanged")
    assert jpki.judged(1, "verify", signed, *words)["decision"] == "refuse"
