"""The issue wizard without a browser: which page a case has, what each says, and every refusal once."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from enroll.case_paths import LIFE
from enroll.console.japanese_dates import age, in_era
from enroll.console.session import IDLE
from jpki.case import CaseKind, CaseNumber, CaseState, new_case_number
from jpki.clerk import EVERY_COUNTER, Clerk, Role
from jpki.clock import day_in_japan, system_clock
from jpki.holder import Gender
from jpki.ids import HolderCode, format_serial
from jpki.randomness import system_randomness
from jpki.resident import Registration
from tests.conftest import SteppingClock
from tests.console.seats import Browser, is_sent_to_log_in, logged_in
from tests.server.api_world import ApiTown, api_at
from tests.server.conftest import copied
from tests.server.office_world import OTHER_TOWN, TOWN, clerk_row, resident_of

BOTH: Any = ["signing", "authentication"]
PROXY: dict[str, Any] = {"applicant": "legal-proxy", "documents": ["legal-proof"]}


@pytest.fixture(scope="module")
def time() -> SteppingClock:
    return SteppingClock(system_clock())


@pytest.fixture(scope="module")
def town(new_home: Path, tmp_path_factory: pytest.TempPathFactory, time: SteppingClock) -> Iterator[ApiTown]:
    with api_at(copied(new_home, tmp_path_factory.mktemp("issue") / "home"), time) as opened:
        yield opened


@pytest.fixture
def holder(town: ApiTown) -> HolderCode:
    """Somebody of 36 years in the register, another one in each test."""
    return entered(town)


@pytest.fixture
def front(town: ApiTown, time: SteppingClock) -> Browser:
    """The town's counter, whose clerk receives and approves."""
    time.advance(minutes=3)
    return logged_in(Browser(town, town.office.front))


class Scripted(Browser):
    """What a script on a page asks, with the browser's certificate and cookies."""

    def __init__(self, browser: Browser) -> None:
        self._client = browser._client  # noqa: SLF001 - the same cookies
        self._borne = browser._borne | {"HX-Request": "true"}  # noqa: SLF001 - the same certificate


def entered(town: ApiTown, years: int = 36, **more: object) -> HolderCode:
    code = HolderCode(f"H-{len(town.office.register.residents) + 1:04}")
    return town.office.register.enter(resident_of(code, years, town.office.now, **more))


def opened(browser: Browser, holder: str, kind: str = "new", **fields: str) -> str:
    answer = browser.post(f"/open/{kind}", {"holder": holder} | fields)
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"].removeprefix("/console/issue/")


def presented(town: ApiTown, number: str, clerk: Clerk | None = None) -> None:
    """Be the terminal: tell of the card in the reader."""
    town.done(clerk or town.office.front, f"/cases/{number}/card", town.card())


def issued(town: ApiTown, number: str, clerk: Clerk | None = None) -> None:
    """Be the terminal: have certificates issued for the card's keys."""
    purposes = town.rooms.store.cases.case(CaseNumber(number)).purposes
    town.done(clerk or town.office.front, f"/cases/{number}/issuance", {"requests": town.requests(*purposes)})


def stands(town: ApiTown, number: str) -> CaseState:
    return town.rooms.store.cases.case(CaseNumber(number)).state


def main_of(browser: Browser, path: str, status: int = 200) -> str:
    answer = browser.get(path)
    assert answer.status_code == status, answer.text
    return read(answer.text)


def read(page: str) -> str:
    """Return what the page says, without its marks."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page.partition("<main>")[2]))


def watched_by(page: str) -> str | None:
    """Return the address that a page asks for again by itself: the same without scripts and with them."""
    found = {re.search(pattern, page) for pattern in (r'content="2; url=/console([^"]+)"', r'hx-get="/console([^"]+)"')}
    addresses = {None if each is None else each[1].replace("&amp;", "&") for each in found}
    (address,) = addresses
    return address


def checked(town: ApiTown, front: Browser, number: str, *kinds: str) -> None:
    presented(town, number)
    chosen: Any = list(kinds) or BOTH
    assert front.post(f"/issue/{number}/kinds", {"purposes": chosen}).status_code == 303


def delivered(town: ApiTown, front: Browser, holder: str, *kinds: str, **fields: str) -> str:
    number = opened(front, holder, **fields)
    checked(town, front, number, *kinds)
    issued(town, number)
    assert front.post(f"/issue/{number}/delivery").status_code == 303
    return number


def test_every_state_has_its_page_and_each_page_leads_to_the_next(
    town: ApiTown, front: Browser, holder: HolderCode
) -> None:
    number = opened(front, holder)
    address = f"/issue/{number}"
    assert "住民の記録と書類を見比べる" in main_of(front, address)
    assert "カードを読み取り機に置く" in main_of(front, f"{address}?step=kinds")
    presented(town, number)
    assert "発行する証明書を選ぶ" in main_of(front, f"{address}?step=kinds")
    assert front.post(f"{address}/kinds", {"purposes": BOTH}).headers["Location"] == f"/console{address}"
    assert stands(town, number) is CaseState.APPROVED
    assert "利用者が暗証番号を決め" in main_of(front, address)
    issued(town, number)
    told = main_of(front, address)
    assert "確かめて交付する" in told
    serials = [format_serial(each.serial) for each in town.rooms.store.cases.certificates(CaseNumber(number))]
    assert [serial in told for serial in serials] == [True, True]
    assert front.post(f"{address}/delivery").headers["Location"] == f"/console{address}"
    told = main_of(front, address)
    assert "証明書は有効になりました" in told
    assert "明日から使えるようになる" in told
    assert [serial in told for serial in serials] == [True, True]


def test_the_data_page_tells_what_a_document_shows_in_a_document_s_own_way(town: ApiTown, front: Browser) -> None:
    holder = entered(town, 40, stay_until=date(2030, 3, 31), registration=Registration.ABROAD)
    town.office.register.change(holder, name="髙橋　花", name_substitutes="0000", gender=Gender.FEMALE)
    told = main_of(front, f"/issue/{opened(front, holder)}")
    for each in ("髙橋 花", "U+9AD9", "字体の違う文字", "40歳", "女", "国外転出者", "令和12年3月31日"):
        assert each in told
    assert "成年被後見人" not in told
    ward = entered(town, is_ward=True)
    assert "成年被後見人" in main_of(front, f"/issue/{opened(front, ward)}")


def test_a_case_is_taken_up_where_it_was_left(town: ApiTown, front: Browser, holder: HolderCode) -> None:
    number = opened(front, holder)
    checked(town, front, number)
    again = logged_in(Browser(town, town.office.front))
    assert "利用者が暗証番号を決め" in main_of(again, f"/issue/{number}")


def test_another_counter_takes_a_case_over_and_goes_on_with_it(
    town: ApiTown, front: Browser, holder: HolderCode
) -> None:
    number = opened(front, holder)
    checked(town, front, number)
    elsewhere = logged_in(Browser(town, town.office.elsewhere), OTHER_TOWN)
    told = main_of(elsewhere, f"/issue/{number}")
    assert "ほかの窓口の申請です" in told
    assert "監査の記録に残ります" in told
    assert elsewhere.post(f"/issue/{number}/take-over").headers["Location"] == f"/console/issue/{number}"
    assert "利用者が暗証番号を決め" in main_of(elsewhere, f"/issue/{number}")
    assert "ほかの窓口の申請です" in main_of(front, f"/issue/{number}")
    issued(town, number, town.office.elsewhere)
    assert elsewhere.post(f"/issue/{number}/delivery").status_code == 303
    assert stands(town, number) is CaseState.DELIVERED


def test_a_clerk_with_roles_at_both_counters_is_asked_all_the_same(town: ApiTown, holder: HolderCode) -> None:
    both = clerk_row(town.rooms, {TOWN: [Role.RECEPTION], OTHER_TOWN: [Role.RECEPTION]})
    number = opened(logged_in(Browser(town, both)), holder)
    assert "ほかの窓口の申請です" in main_of(logged_in(Browser(town, both), OTHER_TOWN), f"/issue/{number}")


def test_the_case_on_the_page_is_the_one_that_the_terminal_works_on(town: ApiTown, front: Browser) -> None:
    def at_hand() -> str | None:
        case: str | None = town.get(town.office.front, "/terminal").json["case"]
        return case

    assert at_hand() is None
    first = opened(front, entered(town))
    assert at_hand() == first
    second = opened(front, entered(town))
    assert at_hand() == second
    front.get(f"/issue/{first}")
    assert at_hand() == first
    checked(town, front, first)
    issued(town, first)
    front.post(f"/issue/{first}/delivery")
    front.get(f"/issue/{first}")
    assert at_hand() is None
    front.get(f"/issue/{second}")
    front.post(f"/issue/{second}/cancellation")
    front.get(f"/issue/{second}")
    assert at_hand() is None


def test_at_fourteen_signing_is_refused_in_words_and_authentication_goes_on(town: ApiTown, front: Browser) -> None:
    number = opened(front, entered(town, 14), **PROXY)
    presented(town, number)
    told = main_of(front, f"/issue/{number}?step=kinds")
    assert "署名用電子証明書は発行できません" in told
    assert "15歳未満の方には署名用電子証明書を発行できません。 制度の運用" in told
    page = front.get(f"/issue/{number}?step=kinds").text
    assert 'value="signing"' not in page
    assert re.search(r'value="authentication" checked', page)
    assert front.post(f"/issue/{number}/kinds", {"purposes": "authentication"}).status_code == 303
    assert town.rooms.store.cases.case(CaseNumber(number)).purposes == ("authentication",)
    assert stands(town, number) is CaseState.IDENTITY_CHECKED


def test_where_nothing_can_be_issued_the_page_says_so_and_offers_the_end(town: ApiTown, front: Browser) -> None:
    number = opened(front, entered(town, registration=Registration.ENDED))
    presented(town, number)
    told = main_of(front, f"/issue/{number}?step=kinds")
    assert "発行できる証明書がありません" in told
    assert "住民基本台帳又は附票に記録がありません" in told
    assert "本人確認をした：次へ" not in told
    assert front.post(f"/issue/{number}/cancellation").status_code == 303
    assert "取り下げられました" in main_of(front, f"/issue/{number}")


def test_a_pinless_card_is_taken_once_the_clerk_says_that_it_is_one(
    town: ApiTown, front: Browser, holder: HolderCode
) -> None:
    number = opened(front, holder)
    assert "顔認証カードです" in main_of(front, f"/issue/{number}?step=kinds")
    card = town.card() | {"mode": "pinless"}
    assert town.post(town.office.front, f"/cases/{number}/card", card).status_code == 403
    answer = front.post(f"/issue/{number}/pinless")
    assert answer.headers["Location"] == f"/console/issue/{number}?step=kinds"
    assert "顔認証カードです" not in main_of(front, f"/issue/{number}?step=kinds")
    town.done(town.office.front, f"/cases/{number}/card", card)
    told = main_of(front, f"/issue/{number}?step=kinds")
    assert "顔認証カードには署名用電子証明書を発行できません" in told
    assert front.post(f"/issue/{number}/kinds", {"purposes": "authentication"}).status_code == 303
    assert stands(town, number) is CaseState.APPROVED


def test_a_proxy_s_application_waits_for_another_clerk_and_goes_on_by_itself(
    town: ApiTown, front: Browser, holder: HolderCode
) -> None:
    number = opened(front, holder, **PROXY)
    presented(town, number)
    told = main_of(front, f"/issue/{number}?step=kinds")
    assert "別の職員の承認が必要です： 代理人からの申請です。" in told
    checked(town, front, number)
    assert stands(town, number) is CaseState.IDENTITY_CHECKED
    page = front.get(f"/issue/{number}").text
    assert "別の職員の承認を待っています。" in page
    assert f"/issue/{number}/approval" not in page
    watched = watched_by(page)
    assert watched == f"/issue/{number}?watching=approval"
    town.done(town.office.second, f"/cases/{number}/approval")
    assert "利用者が暗証番号を決め" in main_of(front, watched)


def test_four_eyes_count_as_no_refusals_of_the_clerk(town: ApiTown, front: Browser) -> None:
    def refusals() -> object:
        with town.rooms.store.database.reading() as connection:
            return connection.exec_driver_sql("SELECT * FROM clerk_refusal").all()

    before = refusals()
    for _ in range(3):
        checked(town, front, opened(front, entered(town), **PROXY))
    assert refusals() == before


def test_another_clerk_at_the_counter_may_approve_on_the_page(town: ApiTown, holder: HolderCode) -> None:
    reception = clerk_row(town.rooms, {TOWN: [Role.RECEPTION]})
    first = logged_in(Browser(town, reception))
    number = opened(first, holder, **PROXY)
    presented(town, number, reception)
    assert first.post(f"/issue/{number}/kinds", {"purposes": BOTH}).status_code == 303
    assert "承認する" not in main_of(first, f"/issue/{number}")
    other = logged_in(Browser(town, town.office.front))
    page = other.get(f"/issue/{number}").text
    assert "承認する" in read(page)
    assert watched_by(page) is None
    assert other.post(f"/issue/{number}/approval").status_code == 303
    assert stands(town, number) is CaseState.APPROVED


def test_a_waiting_page_looks_again_by_itself_until_its_reader_stops_that(front: Browser, holder: HolderCode) -> None:
    number = opened(front, holder)
    page = front.get(f"/issue/{number}?step=kinds").text
    assert watched_by(page) == f"/issue/{number}?step=kinds&watching=reader"
    stop = re.search(r'href="/console([^"]+still=1)"', page)
    assert stop is not None
    still = front.get(stop[1].replace("&amp;", "&")).text
    assert watched_by(still) is None
    assert "今の状態を見る" in still
    assert watched_by(front.get(f"/issue/{number}").text) is None


def test_a_script_gets_a_page_only_when_there_is_something_new(
    town: ApiTown, front: Browser, holder: HolderCode
) -> None:
    number = opened(front, holder)
    asked = Scripted(front)
    assert asked.get(f"/issue/{number}?step=kinds&watching=reader").status_code == 204
    presented(town, number)
    moved = asked.get(f"/issue/{number}?step=kinds&watching=reader")
    assert (moved.status_code, "発行する証明書を選ぶ" in read(moved.text)) == (200, True)
    checked(town, front, number)
    assert "利用者が暗証番号を決め" in main_of(asked, f"/issue/{number}?watching=approval")
    assert asked.get(f"/issue/{number}?watching=card").status_code == 204
    issued(town, number)
    assert "確かめて交付する" in main_of(asked, f"/issue/{number}?watching=card")


def test_a_page_that_looks_by_itself_keeps_no_session_alive(
    front: Browser, holder: HolderCode, time: SteppingClock
) -> None:
    number = opened(front, holder)
    for _ in range(3):
        time.advance(minutes=4)
        assert front.get(f"/issue/{number}?step=kinds&watching=reader").status_code == 200
    time.now += IDLE - timedelta(minutes=12) + timedelta(seconds=1)
    assert is_sent_to_log_in(front.get(f"/issue/{number}?step=kinds&watching=reader"))


def test_when_the_register_is_away_the_page_says_so_and_asks_again(
    town: ApiTown, front: Browser, holder: HolderCode
) -> None:
    number = opened(front, holder)
    presented(town, number)
    town.office.register.away = True
    answers = [front.get(f"/issue/{number}"), front.get(f"/issue/{number}?step=kinds")]
    town.office.register.away = False
    for answer in answers:
        assert answer.status_code == 503
        assert "もう一度照会する" in read(answer.text)
    assert "一致している：次へ" in main_of(front, f"/issue/{number}")


def test_what_lives_already_is_not_issued_again_and_the_other_kind_is(
    town: ApiTown, front: Browser, holder: HolderCode
) -> None:
    delivered(town, front, holder, "authentication")
    number = opened(front, holder)
    presented(town, number)
    told = main_of(front, f"/issue/{number}?step=kinds")
    assert "利用者証明用電子証明書は発行できません" in told
    assert "有効な証明書が既にあります" in told
    assert front.post(f"/issue/{number}/kinds", {"purposes": "signing"}).status_code == 303
    assert stands(town, number) is CaseState.APPROVED


def test_the_tomorrow_of_e_tax_is_told_on_the_day_of_issue_alone(
    town: ApiTown, front: Browser, holder: HolderCode, time: SteppingClock
) -> None:
    number = delivered(town, front, holder)
    assert "明日から" in main_of(front, f"/issue/{number}")
    time.advance(days=1)
    assert "明日から" not in main_of(logged_in(Browser(town, town.office.front)), f"/issue/{number}")


def test_the_receipt_is_printed_once_the_case_is_delivered(town: ApiTown, front: Browser, holder: HolderCode) -> None:
    number = opened(front, holder)
    early = front.get(f"/issue/{number}/receipt")
    assert early.headers["Location"] == f"/console/issue/{number}"
    checked(town, front, number)
    issued(town, number)
    front.post(f"/issue/{number}/delivery")
    assert f"/issue/{number}/receipt" in front.get(f"/issue/{number}").text
    answer = front.get(f"/issue/{number}/receipt")
    if answer.status_code == 503:
        pytest.skip("what makes PDFs is not installed")
    assert (answer.status_code, answer.mimetype, answer.data[:5]) == (200, "application/pdf", b"%PDF-")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Disposition"] == f'inline; filename="{number}.pdf"'


def test_the_address_of_a_step_leads_to_the_case(front: Browser, holder: HolderCode) -> None:
    number = opened(front, holder)
    assert front.get(f"/issue/{number}/delivery").headers["Location"] == f"/console/issue/{number}"
    assert front.get(f"/issue/{number}/kinds").headers["Location"] == f"/console/issue/{number}?step=kinds"


def test_what_was_discarded_on_the_way_is_not_on_the_receipt(town: ApiTown, front: Browser, holder: HolderCode) -> None:
    number = opened(front, holder)
    checked(town, front, number)
    issued(town, number)
    town.office.register.change(holder, address="東京都千代田区霞が関三丁目１－１", address_substitutes="0" * 17)
    refused = front.post(f"/issue/{number}/delivery")
    assert refused.status_code == 409
    assert "本人確認からやり直し" in read(refused.text)
    assert "住民の記録と書類を見比べる" in read(refused.text)
    checked(town, front, number)
    issued(town, number)
    assert front.post(f"/issue/{number}/delivery").status_code == 303
    ordered = [format_serial(each.serial) for each in town.rooms.store.cases.certificates(CaseNumber(number))]
    told = town.get(town.office.front, f"/cases/{number}/certificates").json["certificates"]
    assert [(each["serial"], each["state"]) for each in told] == [(each, "active") for each in ordered[2:]]
    page = main_of(front, f"/issue/{number}")
    assert [each in page for each in ordered] == [False, False, True, True]


@pytest.mark.parametrize("is_swept", [False, True])
def test_a_case_whose_time_is_over_says_so(
    town: ApiTown, front: Browser, holder: HolderCode, time: SteppingClock, *, is_swept: bool
) -> None:
    number = opened(front, holder)
    time.now += LIFE[CaseKind.NEW]
    if is_swept:
        town.rooms.office.expire_due()
    told = main_of(logged_in(Browser(town, town.office.front)), f"/issue/{number}")
    assert "期限" in told
    assert "過ぎました" in told
    assert town.get(town.office.front, "/terminal").json["case"] is None


def test_a_case_is_refused_on_a_ground_of_the_list(town: ApiTown, front: Browser, holder: HolderCode) -> None:
    number = opened(front, holder)
    refused = front.post(f"/issue/{number}/refusal")
    assert refused.status_code == 422
    assert "不受理の理由を選んでください" in read(refused.text)
    assert stands(town, number) is CaseState.RECEIVED
    assert front.post(f"/issue/{number}/refusal", {"ground": "suspected-fraud"}).status_code == 303
    assert "不受理になりました：なりすましの疑いがある" in main_of(front, f"/issue/{number}")


def test_only_whoever_may_refuse_is_offered_it(town: ApiTown, front: Browser, holder: HolderCode) -> None:
    number = opened(front, holder)
    assert "不受理にする" in main_of(front, f"/issue/{number}")
    reception = logged_in(Browser(town, clerk_row(town.rooms, {TOWN: [Role.RECEPTION]})))
    assert "不受理にする" not in main_of(reception, f"/issue/{number}")


def test_a_case_of_another_kind_has_its_own_page(town: ApiTown, front: Browser, holder: HolderCode) -> None:
    delivered(town, front, holder)
    hold = {"kind": "hold", "counter": TOWN, "holder": holder, "purposes": BOTH, "event": "card-lost"}
    number = town.done(town.office.front, "/cases", hold)["number"]
    assert front.get(f"/issue/{number}").headers["Location"] == f"/console/cases/{number}"


def test_a_re_issue_names_its_ground_and_express_its_day(town: ApiTown, front: Browser, holder: HolderCode) -> None:
    day = str(day_in_japan(town.office.now))
    fields = {"event": "card-lost", "express": "lost-card", "happened_on": day}
    case = town.rooms.store.cases.case(CaseNumber(opened(front, holder, "re-issue", **fields)))
    assert (case.kind, case.event) == ("re-issue", "card-lost")
    assert case.express is not None
    assert str(case.express.happened_on) == day


def test_a_code_typed_in_wide_characters_is_the_same_code(town: ApiTown, front: Browser, holder: HolderCode) -> None:
    wide = holder.translate({each: each + 0xFEE0 for each in range(0x21, 0x7F)})
    number = opened(front, f" {wide} ")
    assert town.rooms.store.cases.case(CaseNumber(number)).holder == holder


def test_r21_what_could_be_a_my_number_is_neither_taken_nor_shown_again(front: Browser) -> None:
    answer = front.post("/open/new", {"holder": "123456789012"})
    assert answer.status_code == 422
    assert "個人番号（12桁の数字）は入力しないでください" in answer.text
    assert "123456789012" not in answer.text


def test_r21_neither_title_nor_address_names_anybody(town: ApiTown, front: Browser, holder: HolderCode) -> None:
    number = opened(front, holder)
    page = front.get(f"/issue/{number}").text
    resident = town.office.register.residents[holder].holder
    title = re.search("<title>(.*?)</title>", page)
    assert title is not None
    for each in (resident.name, resident.address, holder):
        assert each not in title[1]
        assert not re.search(rf'(href|action)="[^"]*{each}', page)


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "fields", "status", "says"),
    [
        ("new", {"holder": "日本花子"}, 422, "利用者コードは英数字・ハイフン・下線で、64字までです"),
        ("new", {"holder": ""}, 422, "利用者コードは英数字・ハイフン・下線で、64字までです"),
        ("re-issue", {}, 422, "再発行の理由を選んでください"),
        ("re-issue", {"event": "died"}, 422, "再発行の理由を選んでください"),
        ("new", {"express": "newborn"}, 422, "特急発行には、その事由が生じた日が必要です"),
        ("new", {"express": "newborn", "happened_on": "2020-01-01"}, 403, "事由の発生から30日以内に申請します"),
        ("new", {"applicant": "third-party"}, 403, "第三者が申し出られるのは秘密鍵の漏えいだけです"),
        ("renewal", {}, 403, "更新する有効な証明書がありません"),
    ],
)
def test_a_refused_application_says_why_and_keeps_what_was_typed(
    front: Browser, holder: HolderCode, kind: str, fields: dict[str, str], status: int, says: str
) -> None:
    sent = {"holder": holder, "applicant": "legal-proxy"} | fields
    answer = front.post(f"/open/{kind}", sent)
    assert answer.status_code == status
    told = read(answer.text)
    assert says in told
    assert told.count(says) == 1
    assert f'value="{sent["holder"]}"' in answer.text
    assert 'role="alert"' in answer.text
    if sent["applicant"] == "legal-proxy":
        assert 'value="legal-proxy" checked' in answer.text


def test_a_second_application_while_both_kinds_live_is_refused(
    town: ApiTown, front: Browser, holder: HolderCode
) -> None:
    delivered(town, front, holder)
    answer = front.post("/open/new", {"holder": holder})
    assert answer.status_code == 403
    assert "有効な証明書が既にあります" in read(answer.text)
    early = front.post("/open/renewal", {"holder": holder})
    assert "更新の受付期間前です" in read(early.text)


def test_without_a_card_the_identity_is_not_checked(town: ApiTown, front: Browser, holder: HolderCode) -> None:
    number = opened(front, holder)
    answer = front.post(f"/issue/{number}/kinds", {"purposes": BOTH})
    assert answer.status_code == 403
    assert "カードが読み取られていません" in read(answer.text)
    assert "カードを読み取り機に置く" in read(answer.text)
    assert watched_by(answer.text) is None
    assert stands(town, number) is CaseState.RECEIVED


def test_without_a_kind_nothing_goes_on(town: ApiTown, front: Browser, holder: HolderCode) -> None:
    number = opened(front, holder)
    presented(town, number)
    answer = front.post(f"/issue/{number}/kinds", {})
    assert answer.status_code == 422
    assert "証明書の種類を1つ以上選んでください" in read(answer.text)
    assert "発行する証明書を選ぶ" in read(answer.text)


def test_a_proxy_without_proof_is_refused_at_the_check(town: ApiTown, front: Browser, holder: HolderCode) -> None:
    number = opened(front, holder, applicant="voluntary-proxy")
    presented(town, number)
    assert "代理権を確認する書類がありません" in main_of(front, f"/issue/{number}?step=kinds")
    answer = front.post(f"/issue/{number}/kinds", {"purposes": BOTH})
    assert "代理権を確認する書類がありません" in read(answer.text)


def test_a_step_that_was_taken_already_is_refused_and_the_page_of_now_is_shown(
    town: ApiTown, front: Browser, holder: HolderCode
) -> None:
    number = opened(front, holder)
    assert "今この操作" in read(front.post(f"/issue/{number}/delivery").text)
    checked(town, front, number)
    answer = front.post(f"/issue/{number}/kinds", {"purposes": BOTH})
    assert answer.status_code == 409
    assert "利用者が暗証番号を決め" in read(answer.text)


def test_a_certificate_lost_before_delivery_sends_the_case_back(
    town: ApiTown, front: Browser, holder: HolderCode
) -> None:
    number = opened(front, holder)
    checked(town, front, number)
    issued(town, number)
    serials = [each.serial for each in town.rooms.store.cases.certificates(CaseNumber(number))]
    town.rooms.office.desk.authority.discard(serials[:1], town.office.front.actor(None))
    answer = front.post(f"/issue/{number}/delivery")
    assert answer.status_code == 409
    assert "証明書は失効したため、本人確認からやり直し" in read(answer.text)


def test_an_address_of_no_case_says_so(town: ApiTown, front: Browser) -> None:
    assert "申請番号の書き方が違うか、書き間違いがあります" in main_of(front, "/issue/261127-7KQ4-M2XX", 400)
    unknown = new_case_number(town.office.now, system_randomness)
    assert f"申請 {unknown} はありません" in main_of(front, f"/issue/{unknown}", 404)


def test_who_nobody_knows_is_told_on_the_data_page(front: Browser) -> None:
    answer = front.get(f"/issue/{opened(front, 'H-nobody')}")
    assert answer.status_code == 404
    assert 'role="alert"' in answer.text


def test_whoever_sits_nowhere_takes_no_application(town: ApiTown) -> None:
    chief = clerk_row(town.rooms, {EVERY_COUNTER: [Role.ADMINISTRATOR]})
    browser = logged_in(Browser(town, chief), "house")
    assert "窓口に座っていないため" in main_of(browser, "/open/new", 403)


@pytest.mark.parametrize("role", [Role.APPROVAL, Role.AUDITOR])
@pytest.mark.parametrize("step", ["kinds", "pinless", "delivery", "cancellation", "take-over"])
def test_whoever_lacks_the_role_takes_no_step(
    town: ApiTown, front: Browser, holder: HolderCode, role: Role, step: str
) -> None:
    number = opened(front, holder)
    other = logged_in(Browser(town, clerk_row(town.rooms, {TOWN: [role]})))
    answer = other.post(f"/issue/{number}/{step}", {"purposes": BOTH})
    assert answer.status_code == 403
    assert "権限" in read(answer.text)
    assert stands(town, number) is CaseState.RECEIVED


def test_whoever_only_reads_sees_no_data_of_the_holder(town: ApiTown, front: Browser, holder: HolderCode) -> None:
    number = opened(front, holder)
    auditor = logged_in(Browser(town, clerk_row(town.rooms, {TOWN: [Role.AUDITOR]})))
    answer = auditor.get(f"/issue/{number}")
    assert answer.status_code == 403
    assert town.office.register.residents[holder].holder.name not in answer.text


# --- days ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "ja", "en"),
    [
        (date(2019, 4, 30), "平成31年4月30日", "Heisei 31, 04-30"),
        (date(2019, 5, 1), "令和元年5月1日", "Reiwa 1, 05-01"),
        (date(1989, 1, 7), "昭和64年1月7日", "Showa 64, 01-07"),
        (date(1926, 12, 25), "昭和元年12月25日", "Showa 1, 12-25"),
        (date(1912, 7, 29), "明治45年7月29日", "Meiji 45, 07-29"),
        (date(1850, 2, 3), "1850年2月3日", "1850-02-03"),
    ],
)
def test_days_in_their_era(day: date, ja: str, en: str) -> None:
    assert (in_era(day).ja, in_era(day).en) == (ja, en)


def test_an_age_grows_on_the_birthday() -> None:
    assert [age(date(2011, 11, 28), date(2026, 11, day)) for day in (27, 28)] == [14, 15]
