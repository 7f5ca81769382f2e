"""The holder's own page: who comes in, what is told, and the suspension that the holder alone makes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from flask.testing import FlaskClient
from lxml import html
from werkzeug.test import TestResponse

from ca.plan import default_plan
from ca.profile import CARD_V1
from ca.validity import renewal_opens
from enroll.own_page import LINES_ON_A_PAGE
from enroll.own_suspension import OwnSuspension
from hsm_adapter.software import generate
from jpki.acts import LOCAL_OPERATOR, Actor
from jpki.case import BY_HOLDER, Case, CaseKind, CaseState
from jpki.certificate import Carrier, Purpose
from jpki.clerk import ClerkId
from jpki.clock import start_of_day
from jpki.counter import CounterCode
from jpki.errors import JpkiError
from jpki.ids import GenerationId, HolderCode, Serial, format_serial
from jpki.look import PAGE_HEADERS
from jpki.ports import CaseBook
from jpki.randomness import system_randomness
from jpki.revocation import Finding, Reason, State
from jpki.signature import KeySpec
from jpki.verifier import LookUp
from server.app import Door, create_app
from server.home import Home as Homestead
from server.settings import check_settings, read_settings
from server.wiring import assemble, database_of, keys_of, store_of
from tests.conftest import SteppingClock
from tests.server.api_world import PROXY, ApiTown, api_at, client_certificate, header_of
from tests.server.conftest import copied
from tests.server.office_world import CONSULATE, HANA, TOWN, OfficeTown, Register, resident_of
from tests.server.people import request, someone

SIGNING, AUTHENTICATION = Purpose.SIGNING, Purpose.AUTHENTICATION
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}
TELEPHONE = "0120-000-000"
NOW = datetime.fromisoformat("2026-12-01T03:00:00+00:00")
Certificates = Mapping[Purpose, x509.Certificate]


@dataclass(frozen=True)
class Home:
    """A town with a holder, and the app whose doors are all open."""

    town: ApiTown
    client: FlaskClient
    cards: Certificates

    def headers(self, certificate: x509.Certificate | None) -> dict[str, str]:
        return {} if certificate is None else header_of(certificate)

    def get(self, certificate: x509.Certificate | None, address: str = "/holder", status: int = 200) -> Any:  # noqa: ANN401 - lxml has no types
        return read(self.client.get(address, headers=self.headers(certificate)), status)

    def suspend(self, certificate: x509.Certificate | None, status: int = 200, **more: str) -> Any:  # noqa: ANN401 - lxml has no types
        headers = self.headers(certificate) | (more or OWN_PAGE)
        return read(self.client.post("/holder/suspension", headers=headers), status)

    @property
    def own(self) -> x509.Certificate:
        return self.cards[AUTHENTICATION]

    def state(self, purpose: Purpose) -> State:
        return self.town.office.state(serial_of(self.cards[purpose]))


def read(answer: TestResponse, status: int) -> Any:  # noqa: ANN401 - lxml has no types
    assert answer.status_code == status, answer.text
    assert {"Cache-Control": "no-store", **PAGE_HEADERS}.items() <= dict(answer.headers).items()
    return html.fromstring(answer.text)


def words(page: Any) -> str:  # noqa: ANN401 - lxml has no types
    return " ".join(page.text_content().split())


def sentences(page: Any) -> list[str]:  # noqa: ANN401 - lxml has no types
    return [str(each) for each in page.xpath("//*[contains(@class, 'sentence')]//span[@class='en']/text()")]


def serial_of(certificate: x509.Certificate) -> Serial:
    return Serial(certificate.serial_number)


def enrolled(town: ApiTown, holder: HolderCode = HANA) -> Certificates:
    issued = town.office.issued(holder=holder)
    town.rooms.office.deliver(issued.case.number, town.office.front)
    return issued.certificates


def on_phone(town: ApiTown, purpose: Purpose = AUTHENTICATION) -> x509.Certificate:
    wish = request(generate(KeySpec.P256))
    return town.rooms.desk.issue(someone(HANA), purpose, wish, LOCAL_OPERATOR, carrier=Carrier("mobile:phone-1"))


@pytest.fixture
def time() -> SteppingClock:
    return SteppingClock(NOW)


@dataclass(frozen=True)
class Settled:
    """A home in which the holder has both certificates already."""

    folder: Path
    clerks: Sequence[ClerkId]
    cards: Certificates


@pytest.fixture(scope="module")
def settled(new_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Settled:
    folder = copied(new_home, tmp_path_factory.mktemp("settled") / "home")
    with api_at(folder, SteppingClock(NOW)) as town:
        town.office.register.enter(resident_of())
        office = town.office
        return Settled(folder, [each.id for each in (office.front, office.second, office.elsewhere)], enrolled(town))


@pytest.fixture
def home(settled: Settled, tmp_path: Path, time: SteppingClock) -> Iterator[Home]:
    place, register = Homestead(copied(settled.folder, tmp_path / "home")), Register()
    told = {"client_cert_proxy": (PROXY,), "suspension_telephone": TELEPHONE}
    settings = check_settings(read_settings(place.settings).model_dump() | told)
    keys = keys_of(place, settings)
    store = store_of(database_of(place, settings), keys, system_randomness)
    with closing(assemble(place, settings, keys, store, time, system_randomness, register)) as rooms:
        register.enter(resident_of())
        front, second, elsewhere = map(store.clerks.clerk, settled.clerks)
        # The cards before these were enrolled already, and no key is taken twice.
        office = OfficeTown(rooms, register, front, second, elsewhere, cards=100)
        app = create_app(rooms)
        yield Home(ApiTown(office, app, {}), app.test_client(), settled.cards)


# --- who comes in ----------------------------------------------------------------------------------------------------


def test_without_a_certificate_one_reads_how_to_come_in_and_whom_to_call(home: Home) -> None:
    page = home.get(None)
    assert "How to come in" in words(page)
    assert page.xpath("//a[starts-with(@href, 'tel:')]/@href") == ["tel:0120000000"]
    assert not page.xpath("//*[@role='alert']")


def test_without_a_certificate_nothing_is_suspended(home: Home) -> None:
    assert "No authentication certificate was shown." in words(home.get(None, "/holder/suspension", 401))
    home.suspend(None, 401)
    assert home.state(SIGNING) is home.state(AUTHENTICATION) is State.ACTIVE


def test_one_comes_in_with_the_authentication_certificate_of_card_or_phone(home: Home) -> None:
    phone = on_phone(home.town)
    for certificate in (home.own, phone):
        assert format_serial(serial_of(certificate)) in words(home.get(certificate))


def test_a_signing_certificate_opens_nothing(home: Home) -> None:
    for address in ("/holder", "/holder/suspension"):
        assert "cannot be used" in words(home.get(home.cards[SIGNING], address, 400))


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (State.HELD, "The certificate that was shown is on hold"),
        (State.REVOKED, "The certificate that was shown is revoked"),
    ],
)
def test_what_is_not_active_now_opens_nothing_from_the_next_request_on(home: Home, state: State, said: str) -> None:
    home.get(home.own)
    desk, serial = home.town.rooms.desk, serial_of(home.own)
    if state is State.HELD:
        desk.hold(serial, LOCAL_OPERATOR)
    else:
        desk.revoke(serial, Reason.CESSATION_OF_OPERATION, LOCAL_OPERATOR)
    for address in ("/holder", "/holder/suspension"):
        page = home.get(home.own, address, 403)
        assert said in words(page)
        assert TELEPHONE in words(page)
    home.suspend(home.own, 403)
    assert home.state(SIGNING) is State.ACTIVE


def test_what_was_released_opens_it_again(home: Home) -> None:
    desk, serial = home.town.rooms.desk, serial_of(home.own)
    desk.hold(serial, LOCAL_OPERATOR)
    home.get(home.own, status=403)
    desk.release(serial, LOCAL_OPERATOR)
    home.get(home.own)


def test_what_was_not_delivered_yet_opens_nothing(home: Home) -> None:
    home.town.office.register.enter(resident_of(HolderCode("H-2")))
    issued = home.town.office.issued(holder=HolderCode("H-2"))
    assert "no authentication certificate in use" in words(home.get(issued.certificates[AUTHENTICATION], status=403))


def test_what_has_ended_opens_nothing(home: Home, time: SteppingClock) -> None:
    own = home.town.rooms.own_suspension
    time.now = home.own.not_valid_after_utc
    assert own.bearer(serial_of(home.own)).holder == HANA
    time.advance(seconds=1)
    with pytest.raises(JpkiError, match="certificate-ended"):
        own.bearer(serial_of(home.own))
    # TLS, and the look at what a proxy tells, come before the ledger.
    assert home.client.get("/holder", headers=header_of(home.own)).status_code == 400


def test_what_a_compromised_key_signed_opens_nothing(home: Home) -> None:
    shown = serial_of(home.own)
    plan = default_plan(CARD_V1, {}, "a test")
    home.town.rooms.ceremonies.compromise(GenerationId("a1"), plan, "a test")
    with pytest.raises(JpkiError, match="certificate-revoked"):
        home.town.rooms.own_suspension.bearer(shown)


@pytest.mark.parametrize("purpose", [SIGNING, AUTHENTICATION])
def test_only_an_authentication_certificate_of_ours_bears_a_holder(home: Home, purpose: Purpose) -> None:
    other = serial_of(home.cards[SIGNING]) if purpose is SIGNING else Serial(1 << 126)
    with pytest.raises(JpkiError, match="holder-unknown"):
        home.town.rooms.own_suspension.bearer(other)


# --- who is nobody elsewhere -----------------------------------------------------------------------------------------


def test_a_clerk_is_no_holder(home: Home) -> None:
    clerk = client_certificate(home.town.rooms, home.town.office.front.id)
    assert "How to come in" in words(home.get(clerk))
    home.suspend(clerk, 401)


def test_a_holder_is_no_clerk_though_the_serial_stood_among_theirs(home: Home) -> None:
    headers = header_of(home.own)
    for _ in range(2):
        assert refusal(home.client.get("/api/v1/me", headers=headers)) == (401, "client-certificate-missing")
        assert "職員のクライアント証明書がありません" in home.client.get("/console/", headers=headers).text
        rooms = home.town.rooms
        front, now = home.town.office.front.id, rooms.clock()
        rooms.store.clerks.certify(front, Serial(serial_of(home.own)), LOCAL_OPERATOR, now, alone=True)


def test_a_process_without_the_page_believes_no_holders_certificate(home: Home) -> None:
    app = create_app(home.town.rooms, [door for door in Door if door is not Door.HOLDER])
    answer = app.test_client().get("/api/v1/me", headers=header_of(home.own))
    assert refusal(answer) == (400, "client-cert-malformed")


def refusal(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, json.loads(answer.data)["code"]


# --- what is told ----------------------------------------------------------------------------------------------------


def test_each_certificate_is_told_in_a_sentence_with_its_renewal(home: Home, time: SteppingClock) -> None:
    assert sentences(home.get(home.own)) == ["It is valid, until 1 April 2031."] * 2
    opens = renewal_opens(CARD_V1, home.own.not_valid_after_utc)
    assert words(home.get(home.own)).count("It can be renewed from 2 January 2031 on.") == 2
    time.now = start_of_day(opens) - timedelta(seconds=1)
    assert "It can be renewed now." not in words(home.get(home.own))
    time.advance(seconds=1)
    assert words(home.get(home.own)).count("It can be renewed now.") == 2


def test_what_is_on_hold_or_revoked_is_told_with_since_when_and_why(home: Home) -> None:
    desk, signing = home.town.rooms.desk, serial_of(home.cards[SIGNING])
    desk.hold(signing, LOCAL_OPERATOR)
    assert told(home) == [
        *("Signing certificate, card", "It is on hold.", "Since 2026-12-01 12:00"),
        "The hold of a signing certificate cannot be lifted: have a new one issued at the counter.",
    ]
    desk.revoke(signing, Reason.AFFILIATION_CHANGED, LOCAL_OPERATOR)
    assert told(home) == [
        *("Signing certificate, card", "It is revoked.", "Since 2026-12-01 12:00"),
        "the recorded data changed (move, name …)",
    ]


def told(home: Home) -> list[str]:
    """What is said of the first certificate."""
    box = home.get(home.own).xpath("//div[contains(@class, 'verdict')]")[0]
    return [str(each) for each in box.xpath("./*[not(contains(@class, 'hint'))]//span[@class='en']/text()")]


def test_a_holder_without_a_signing_certificate_is_told_so(home: Home) -> None:
    code = home.town.office.register.enter(resident_of(HolderCode("H-3")))
    issued = home.town.office.issued(holder=code, purposes=(AUTHENTICATION,))
    home.town.rooms.office.deliver(issued.case.number, home.town.office.front)
    page = home.get(issued.certificates[AUTHENTICATION])
    assert sentences(page)[0] == "There is none."
    assert sentences(page)[1].startswith("It is valid")


def test_of_a_renewed_certificate_the_one_that_lives_is_told(home: Home, time: SteppingClock) -> None:
    time.now = home.own.not_valid_after_utc - timedelta(days=30)
    issued = home.town.office.issued(CaseKind.RENEWAL)
    home.town.rooms.office.deliver(issued.case.number, home.town.office.front)
    new = issued.certificates[AUTHENTICATION]
    assert sentences(home.get(new)) == ["It is valid, until 1 April 2036."] * 2
    assert "is revoked" in words(home.get(home.own, status=403))


def test_devices_stand_beside_the_card(home: Home) -> None:
    on_phone(home.town)
    page = home.get(home.own)
    titles = page.xpath("//h3//span[@class='en']/text()")
    assert titles == [
        "Signing certificate, card",
        "Authentication certificate, card",
        "Authentication certificate, mobile device phone-1",
    ]


def test_r21_no_attribute_and_no_code_is_shown_or_in_an_address(home: Home) -> None:
    holder = home.town.office.register.residents[HANA].holder
    pages = [home.get(home.own), home.get(home.own, "/holder/suspension"), home.suspend(home.own)]
    for page in pages:
        text = html.tostring(page, encoding="unicode")
        for secret in (holder.name, holder.address, holder.birth_date.isoformat(), HANA, "19900401"):
            assert secret not in text
        for address in page.xpath("//@href | //@action"):
            assert address in {
                *("/", "/holder", "/holder/suspension", "/holder#history", "/language"),
                *("/look/style.css", "/look/fonts/noto-sans-jp-5.3.1/faces.css"),
                "tel:0120000000",
            }


def test_verifiers_are_named_with_their_purpose(home: Home, time: SteppingClock) -> None:
    look(home, time, "Bank of Tests", "opening accounts", Finding.GOOD)
    page = home.get(home.own)
    entry = page.xpath("//ol[contains(@class, 'points')]/li")[0]
    assert "Bank of Tests (opening accounts) asked and was told: good." in words(entry)
    assert "Authentication certificate, card" in words(entry)
    assert "2026-12-01 13:00" in words(entry)


def look(home: Home, time: SteppingClock, name: str, purpose: str, *findings: Finding) -> None:
    verifiers = home.town.rooms.store.verifiers
    number = verifiers.register(name, purpose, None, LOCAL_OPERATOR, time())
    told = []
    for finding in findings:
        time.advance(hours=1)
        told.append(LookUp(time(), number, serial_of(home.own), finding))
    verifiers.record(told, {}, time().date())


def test_the_history_is_the_latest_first_and_whole_page_by_page(home: Home, time: SteppingClock) -> None:
    look(home, time, "Bank of Tests", "opening accounts", *[Finding.GOOD] * (2 * LINES_ON_A_PAGE))
    seen, address = list[str](), "/holder"
    while address:
        page = home.get(home.own, address)
        times = [str(each) for each in page.xpath("//ol[contains(@class, 'points')]//time/text()")]
        earlier = page.xpath("//nav//a[contains(@href, 'before')]/@href")
        address = str(earlier[0]).partition("#")[0] if earlier else ""
        assert len(times) == LINES_ON_A_PAGE or not address
        # The certificates stand on the first page alone.
        assert bool(page.xpath("//section[@aria-labelledby='certificates']")) is not bool(seen)
        if not seen:
            # What is added meanwhile moves nothing.
            home.town.rooms.desk.hold(serial_of(home.cards[SIGNING]), LOCAL_OPERATOR)
        seen += times
    assert seen == sorted(seen, reverse=True)
    # The case was opened and delivered, and two certificates came to life.
    assert len(seen) == 2 * LINES_ON_A_PAGE + 4


@pytest.mark.parametrize("before", ["-5", "x", "99999999", "0"])
def test_a_place_that_is_none_does_no_harm(home: Home, before: str) -> None:
    home.get(home.own, f"/holder?before={before}")


# --- the suspension --------------------------------------------------------------------------------------------------


def test_the_confirmation_says_what_follows_and_changes_nothing(home: Home) -> None:
    page = home.get(home.own, "/holder/suspension")
    for said in ("Neither the signing nor the authentication", "counter only", "never lifted", "does not open"):
        assert said in words(page)
    assert "mobile devices" not in words(page)
    assert page.xpath("//main//form/@action") == ["/holder/suspension"]
    assert home.state(SIGNING) is home.state(AUTHENTICATION) is State.ACTIVE


def test_the_holder_suspends_both_at_once_and_is_out(home: Home) -> None:
    page = home.suspend(home.own)
    assert sentences(page) == ["The card's certificates are on hold."]
    assert home.state(SIGNING) is home.state(AUTHENTICATION) is State.HELD
    (case,) = (each for each in home.town.rooms.store.cases.of_holder(HANA) if each.kind is CaseKind.HOLD)
    assert (case.state, case.counter, case.opened_by, case.checked_by) == (
        *(CaseState.DONE, "online", BY_HOLDER, BY_HOLDER),
    )
    assert case.number in words(page)
    for status in (home.get(home.own, status=403), home.suspend(home.own, 403)):
        assert "is on hold" in words(status)
    assert len(home.town.rooms.store.cases.of_holder(HANA)) == 2


def test_the_audit_names_the_holder_by_the_certificate_that_was_shown(home: Home) -> None:
    home.suspend(home.own)
    with home.town.rooms.store.database.reading() as connection:
        bodies = [json.loads(each) for each in connection.exec_driver_sql("SELECT body FROM audit_outbox").scalars()]
    own = [each for each in bodies if each["role"] == "holder"]
    assert [each["act"] for each in own] == ["case opened", "certificate held", "certificate held", "case moved"]
    assert {each["name"] for each in own} == {format_serial(serial_of(home.own))}
    held = [each["subjects"] for each in own if each["act"] == "certificate held"]
    # The one that opened the page comes last: until then the holder may come in again.
    assert held == [[format_serial(serial_of(home.cards[each]))] for each in (SIGNING, AUTHENTICATION)]


def test_the_history_tells_that_the_holder_did_it(home: Home) -> None:
    phone = on_phone(home.town)
    home.suspend(phone)
    assert "A case came by the holder's own page: hold." in words(home.get(phone))


def test_what_is_on_hold_is_released_at_the_counter(home: Home) -> None:
    home.suspend(home.own)
    office, town = home.town.rooms.office, home.town.office
    case = town.approved(CaseKind.RELEASE, purposes=(AUTHENTICATION,))
    office.complete(case.number, town.front)
    assert home.state(AUTHENTICATION) is State.ACTIVE
    assert home.state(SIGNING) is State.HELD
    assert sentences(home.get(home.own)) == ["It is on hold.", "It is valid, until 1 April 2031."]


def test_from_the_phone_the_lost_card_is_suspended_and_the_phone_lives_on(home: Home) -> None:
    phone = on_phone(home.town)
    assert "mobile devices are not touched" in words(home.get(phone, "/holder/suspension"))
    assert "mobile devices are not on hold" in words(home.suspend(phone))
    assert home.state(SIGNING) is home.state(AUTHENTICATION) is State.HELD
    page = home.get(phone)
    assert not page.xpath("//a[@href='/holder/suspension']")
    assert "There is nothing to put on hold" in words(home.get(phone, "/holder/suspension"))


def test_where_one_is_on_hold_the_other_follows(home: Home) -> None:
    home.town.rooms.desk.hold(serial_of(home.cards[SIGNING]), LOCAL_OPERATOR)
    home.suspend(home.own)
    assert home.state(AUTHENTICATION) is State.HELD


def test_where_the_card_has_none_that_lives_there_is_no_case(home: Home) -> None:
    code = home.town.office.register.enter(resident_of(HolderCode("H-4")))
    cards = enrolled(home.town, code)
    phone = request(generate(KeySpec.P256))
    device = home.town.rooms.desk.issue(
        someone(code), AUTHENTICATION, phone, LOCAL_OPERATOR, carrier=Carrier("mobile:phone-2")
    )
    for purpose in (SIGNING, AUTHENTICATION):
        # By the authority itself: a counter's revocation would end the phone's, too.
        home.town.rooms.desk.authority.revoke(serial_of(cards[purpose]), Reason.CESSATION_OF_OPERATION, LOCAL_OPERATOR)
    assert "The requirements are not met" in words(home.suspend(device, 403))
    assert [each.kind for each in home.town.rooms.store.cases.of_holder(code)] == [CaseKind.NEW]


def test_another_sites_form_suspends_nothing(home: Home) -> None:
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        assert "another site's page" in words(home.suspend(home.own, 403, **headers))
    assert home.state(SIGNING) is home.state(AUTHENTICATION) is State.ACTIVE


class Forestalled:
    """A book of cases beside which a clerk suspends the same card, while the holder's own case is opened."""

    def __init__(self, town: ApiTown) -> None:
        self._town = town
        self._book: CaseBook = town.rooms.store.cases

    def open(self, case: Case, by: Actor, at: datetime) -> None:
        self._town.rooms.office.suspend(HANA, TOWN, self._town.office.front)
        self._book.open(case, by, at)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the rest is the book's
        return getattr(self._book, name)


def test_who_is_forestalled_by_the_telephone_has_a_case_that_is_done_all_the_same(home: Home) -> None:
    own: OwnSuspension = replace(home.town.rooms.own_suspension, book=Forestalled(home.town))
    assert own.suspend(serial_of(home.own)).state is CaseState.DONE
    assert home.state(SIGNING) is home.state(AUTHENTICATION) is State.HELD


# --- the counter at which no clerk stands ----------------------------------------------------------------------------


def test_no_clerk_takes_a_case_at_the_holders_counter(home: Home) -> None:
    office = home.town.rooms.office
    everywhere = home.town.office.front
    everywhere = replace(everywhere, roles={CounterCode("*"): everywhere.roles[CONSULATE]})
    with pytest.raises(JpkiError, match="counter-may-not"):
        office.suspend(HANA, CounterCode("online"), everywhere)
    other = home.town.office.opened(CaseKind.HOLD, event="card-lost")
    with pytest.raises(JpkiError, match="counter-may-not"):
        office.take_over(other.number, CounterCode("online"), everywhere)


def test_there_is_one_such_counter_and_none_is_added_or_closed(home: Home) -> None:
    counters = home.town.rooms.store.counters
    online = counters.counter(CounterCode("online"))
    with pytest.raises(JpkiError, match="counter-exists"):
        counters.add(online, LOCAL_OPERATOR, home.town.rooms.clock())
    with pytest.raises(JpkiError, match="counter-unknown"):
        counters.close(online.code, LOCAL_OPERATOR, home.town.rooms.clock())
