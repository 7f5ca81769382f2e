"""Search, a holder's page and a certificate's; who may see which page; what is nowhere; what no address tells."""

import logging
import re
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate, ocsp

from enroll import words
from jpki.acts import LOCAL_OPERATOR
from jpki.case import new_case_number
from jpki.certificate import Carrier, Purpose
from jpki.clerk import EVERY_COUNTER, Role
from jpki.ids import Serial, format_serial
from jpki.revocation import Reason
from jpki.signature import KeySpec
from server.own_answers import OwnAnswers
from server.sample.keys import card_request
from tests.conftest import NOON, SteppingClock
from tests.console.seats import Browser, logged_in
from tests.console.test_cases import DONE, WISH, case_of, leaked, problem_in
from tests.server.api_world import ApiTown
from tests.server.office_world import HANA, OTHER_TOWN, POST_OFFICE, TOWN, Serials, clerk_row, resident_of

SIGNING, AUTHENTICATION = Purpose.SIGNING, Purpose.AUTHENTICATION
NOBODYS = new_case_number(NOON, bytes)


def sentence(front: Browser, serial: Serial) -> str:
    """Return what the certificate's page says first, in Japanese."""
    shown = front.get(f"/certificates/{format_serial(serial)}").text
    found = re.search(r'role="status"><p class="sentence"><span class="ja" lang="ja">(.*?)</span>', shown)
    assert found is not None
    return found[1]


# --- searching -----------------------------------------------------------------------------------------------------


def test_one_box_finds_by_whatever_the_clerk_has(town: ApiTown, front: Browser, pair: Serials) -> None:
    serial = pair[SIGNING]
    certificate = load_der_x509_certificate(town.rooms.store.ledger.certificates([serial])[serial])
    number = town.rooms.store.cases.of_holder(HANA)[0].number
    link, case = f"/console/certificates/{format_serial(serial)}", f"/console/cases/{number}"
    for typed in (f"0x{format_serial(serial)}", str(serial), certificate.fingerprint(SHA256()).hex(":"), f" {HANA} "):
        assert link in front.post("/search", {"identifier": typed}).text
    for typed in (number.lower(), number.replace("-", " "), HANA):
        assert case in front.post("/search", {"identifier": typed}).text


def test_what_is_not_found_is_said_with_what_can_be_looked_for(front: Browser) -> None:
    for typed in ("H-9999", NOBODYS):
        answer = front.post("/search", {"identifier": typed})
        assert answer.status_code == 200
        assert "該当するものはありません。" in answer.text
        assert "探せるもの" in answer.text
    ambiguous = front.post("/search", {"identifier": "1" * 32})
    assert ambiguous.status_code == 400
    assert "とも読めます" in problem_in(ambiguous)
    assert front.post("/search", {"identifier": "x" * 101}).status_code == 422
    assert front.get("/search").status_code == 200
    assert front.post("/search").status_code == 200


def test_another_counters_case_is_found_by_its_number_alone(town: ApiTown, front: Browser, pair: Serials) -> None:
    assert pair
    number = leaked(front)
    elsewhere = logged_in(Browser(town, town.office.elsewhere), OTHER_TOWN)
    found = elsewhere.post("/search", {"identifier": number}).text
    assert "ほかの窓口の申請" in found
    assert HANA not in found
    assert f"/console/cases/{number}" in found


def test_a_holders_history_goes_back_page_by_page(town: ApiTown, front: Browser, pair: Serials) -> None:
    for _ in range(11):
        leaked(front)
    first = front.post("/holder", {"holder": HANA})
    assert format_serial(pair[SIGNING]) in first.text
    cursor = re.search(r'name="cursor" value="(\d+)"', first.text)
    assert cursor is not None
    seen = first.text.count("<time")
    following = front.post("/holder", {"holder": HANA, "cursor": cursor[1]})
    assert seen == 20
    assert following.text.count("<time") == len(town.rooms.office.book.of_holder(HANA)) * 2 + 2 - seen
    assert "最初の画面へ" in following.text
    assert front.get("/holder").status_code == 200


def test_what_is_no_holder_code_is_said_on_the_search_page(front: Browser) -> None:
    answer = front.post("/holder", {"holder": "1" * 12})
    assert (answer.status_code, problem_in(answer)) == (400, "利用者コードではありません。")


# --- a certificate -------------------------------------------------------------------------------------------------


def test_a_certificate_says_how_it_stands_in_one_sentence_and_what_comes_next(
    town: ApiTown, front: Browser, pair: Serials, time: SteppingClock
) -> None:
    signing, authentication = pair[SIGNING], pair[AUTHENTICATION]
    address = f"/certificates/{format_serial(signing)}"
    assert "この証明書は有効です" in sentence(front, signing)
    assert "e-Taxでは明日" in front.get(address).text
    assert "e-Tax" not in front.get(f"/certificates/{format_serial(authentication)}").text
    time.advance(days=1)
    front = logged_in(Browser(town, town.office.front))
    assert "e-Tax" not in front.get(address).text
    front.post("/open/hold", WISH | {"to": "do"})
    assert "から一時停止中です。" in sentence(front, signing)
    assert "一時停止は解除できません" in front.get(address).text
    held = front.get(f"/certificates/{format_serial(authentication)}").text
    assert "窓口で解除できます" in held
    assert 'value="preview"' in held
    front.post("/open/revocation", WISH | {"event": "holder-asked"} | DONE)
    assert "に失効しました。" in sentence(front, signing)
    revoked = front.get(address).text
    assert "使うのをやめた" in revoked
    times = re.findall(r'<time datetime="[^"]+">[^<]+</time> <div><span class="ja" lang="ja">(.*?)</span>', revoked)
    assert times == [
        "発行されました。",
        "交付され、使えるようになりました。",
        "一時停止しました。",
        "失効しました（利用の終了）。",
    ]


def test_what_verifiers_hear_is_what_our_responder_says(town: ApiTown, front: Browser, pair: Serials) -> None:
    def heard(serial: Serial) -> tuple[str, str | None]:
        told = town.get(town.office.front, f"/certificates/{format_serial(serial)}/answer").json
        return told["finding"], told["reason"]

    assert heard(pair[SIGNING]) == ("good", None)
    front.post("/open/hold", WISH | {"to": "do"})
    assert heard(pair[SIGNING]) == ("held", "certificateHold")
    front.post("/open/revocation", WISH | {"event": "key-leaked"} | DONE)
    assert heard(pair[SIGNING]) == ("revoked", "keyCompromise")
    status = town.rooms.store.ledger.find([pair[SIGNING]])[pair[SIGNING]].status
    silent = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)
    refusing = OwnAnswers(lambda _: silent.public_bytes(Encoding.DER), town.rooms.store.generations.find)
    assert refusing(status) is None


@pytest.mark.parametrize(
    ("counter", "kinds"),
    [(TOWN, {"hold", "revocation", "pin-reset"}), (POST_OFFICE, {"revocation", "pin-reset"})],
    ids=["town", "post office"],
)
def test_only_what_is_possible_at_this_counter_is_offered(
    town: ApiTown, pair: Serials, counter: str, kinds: set[str]
) -> None:
    browser = logged_in(Browser(town, town.office.front), counter)
    shown = browser.get(f"/certificates/{format_serial(pair[SIGNING])}").text
    assert set(re.findall(r'action="/console/open/([a-z-]+)"', shown)) == kinds
    approving = logged_in(Browser(town, town.office.second))
    assert "今できること" not in approving.get(f"/certificates/{format_serial(pair[SIGNING])}").text


def test_an_expired_certificate_and_one_that_was_never_handed_over(
    town: ApiTown, front: Browser, time: SteppingClock
) -> None:
    issued = town.office.issued()
    (serial, *_) = (Serial(each.serial_number) for each in issued.certificates.values())
    assert sentence(front, serial) == "この証明書はまだ使えません。"
    town.rooms.office.deliver(issued.case.number, town.office.front)
    time.advance(days=366 * 6)
    # The clerk's own certificate has ended, too.
    town.shown.clear()
    later = logged_in(Browser(town, town.office.front))
    assert "に切れました。" in sentence(later, serial)
    shown = later.get(f"/certificates/{format_serial(serial)}").text
    assert "/console/open/new" in shown
    assert "/console/open/hold" not in shown


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_everyday_words(reason: Reason) -> None:
    assert words.WHY[reason].ja.endswith(("す。", "ん。"))


def test_only_what_is_no_bodys_data_is_shown_of_a_certificate(town: ApiTown, front: Browser, pair: Serials) -> None:
    holder = resident_of().holder
    for serial in pair.values():
        shown = front.get(f"/certificates/{format_serial(serial)}").text
        certificate = load_der_x509_certificate(town.rooms.store.ledger.certificates([serial])[serial])
        assert certificate.fingerprint(SHA256()).hex(":") in shown
        assert holder.name not in shown
        assert holder.address not in shown
        assert certificate.subject.rfc4514_string() not in shown


def test_a_device_ends_with_the_card_and_the_preview_says_so(town: ApiTown, front: Browser, pair: Serials) -> None:
    assert pair
    rooms, request = town.rooms, card_request(KeySpec.P256, 1)
    phone = rooms.desk.issue(resident_of().holder, SIGNING, request, LOCAL_OPERATOR, carrier=Carrier("mobile:phone-1"))
    body = {"kind": "revocation", "counter": TOWN, "holder": HANA, "purposes": ["signing"], "event": "key-leaked"}
    foreseen = town.done(town.office.front, "/effects", body)["effects"]
    expected = {each["serial"]: (each["becomes"], each["reason"]) for each in foreseen}
    assert expected[format_serial(Serial(phone.serial_number))] == ("revoked", "cessationOfOperation")
    preview = front.post("/open/revocation", WISH | {"event": "key-leaked"}).text
    assert preview.count("失効します。すぐに使えなくなり") == 3
    front.post("/open/revocation", WISH | {"event": "key-leaked"} | DONE)
    assert "に失効しました。" in sentence(front, Serial(phone.serial_number))
    for serial, outcome in expected.items():
        told = town.get(town.office.front, f"/certificates/{serial}").json
        assert (told["state"], told["reason"]) == outcome


# --- nowhere -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "status", "says"),
    [
        ("/nowhere", 404, "この画面はありません。"),
        ("/cases/", 404, "この画面はありません。"),
        (f"/cases/{NOBODYS}", 404, f"申請 {NOBODYS} はありません。"),
        ("/cases/261127-0000-0000", 400, "申請番号の書き方が違うか、書き間違いがあります。"),
        ("/certificates/" + "f" * 32, 404, "発行番号"),
        ("/certificates/nothing", 400, "「nothing」は発行番号ではありません。"),
        ("/open/party", 404, "この画面はありません。"),
    ],
    ids=["page", "no number", "unknown case", "wrong number", "unknown serial", "no serial", "no such kind"],
)
def test_what_is_not_there_is_a_page_that_says_what_to_do(front: Browser, address: str, status: int, says: str) -> None:
    answer = front.get(address)
    assert (answer.status_code, answer.mimetype) == (status, "text/html")
    assert says in answer.text
    assert "見つかりません" in answer.text
    assert 'role="search"' in answer.text


# --- who may -------------------------------------------------------------------------------------------------------

ANYBODY = " ".join(Role)
PAGES: Mapping[str, str] = {
    "GET /": ANYBODY,
    "GET /search": ANYBODY,
    "POST /search": "reception approval auditor",
    "POST /holder": "reception approval auditor",
    "GET /certificates/<serial>": "reception approval auditor",
    "GET /cases/<case>": "reception approval auditor",
    "GET /approvals": ANYBODY,
    "GET /open/hold": ANYBODY,
    "POST /open/revocation": "reception",
    "POST /open/hold": "reception",
    "POST /open/release": "reception",
    "POST /open/pin-reset": "reception",
    "POST /cases/<case>/resident": "reception approval",
    "POST /cases/<case>/identity-check": "reception",
    "POST /cases/<case>/approval": "approval",
    "POST /cases/<case>/completion": "reception",
    "POST /cases/<case>/refusal": "approval",
    "POST /cases/<case>/cancellation": "reception",
    "POST /cases/<case>/return": "approval",
    "POST /cases/<case>/take-over": "reception",
}
"""Written down by hand, as the API's permissions are; pages that show nothing of anybody are open to every clerk."""
FIELDS = WISH | DONE | {"event": "key-leaked", "identifier": HANA, "ground": "not-eligible"}


@pytest.mark.slow
def test_every_page_with_every_role(town: ApiTown, front: Browser, pair: Serials, time: SteppingClock) -> None:
    held = leaked(front)
    for role in Role:
        for place in (TOWN, EVERY_COUNTER):
            browser = Browser(town, clerk_row(town.rooms, {place: [role]}))
            time.advance(minutes=3)
            seat: dict[str, str] = {"counter": TOWN} if place == TOWN else {"counter": "house", "code": TOWN}
            assert browser.post("/login", seat).status_code == 303
            for page, roles in PAGES.items():
                time.advance(minutes=3)
                method, address = page.split()
                address = address.replace("<serial>", format_serial(pair[SIGNING])).replace("<case>", held)
                answer = browser.get(address) if method == "GET" else browser.post(address, FIELDS)
                refused = answer.status_code == 403 and "権限" in problem_in(answer)
                assert refused is (role not in roles.split()), (page, role, place, problem_in(answer))


# --- rule R21 ------------------------------------------------------------------------------------------------------


def test_r21_no_name_address_or_code_in_an_address_a_title_or_a_log_line(
    front: Browser, pair: Serials, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [
        front.post("/search", {"identifier": HANA}),
        front.post("/holder", {"holder": HANA}),
        front.post("/open/revocation", WISH | {"event": "key-leaked"}),
        front.post("/open/revocation", WISH | {"event": "record-wrong"} | DONE),
        front.post("/open/hold", WISH | {"holder": "日本花子"}),
        front.get(f"/certificates/{format_serial(pair[SIGNING])}"),
    ]
    number = case_of(answers[3])
    answers += [front.get(f"/cases/{number}"), front.post(f"/cases/{number}/resident")]
    holder = resident_of().holder
    private = (HANA, holder.name, holder.address, "日本花子")
    for answer in answers:
        titles = re.findall("<title>(.*?)</title>", answer.text)
        addresses = re.findall(r'(?:href|action)="(.*?)"', answer.text)
        outside = [*titles, *addresses, *answer.headers.values()]
        assert not any(word in each for word in private for each in outside)
    assert len([each for each in answers if HANA in each.text]) >= 4
    assert not any(word in record.getMessage() for word in private for record in caplog.records)
