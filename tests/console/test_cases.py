"""Revocation, hold, release and PIN reset at the console, approvals, and cases of other counters."""

import html
import re

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate, ocsp
from werkzeug.test import TestResponse

from enroll.case_paths import EVENTS
from jpki.acts import LOCAL_OPERATOR, Act
from jpki.case import CaseKind, CaseState, parse_case_number
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clerk import Role
from jpki.ids import HolderCode, Serial, format_serial
from jpki.randomness import system_randomness
from jpki.revocation import State
from tests.conftest import SteppingClock
from tests.console.seats import Browser, logged_in
from tests.mergers import merged
from tests.server.api_world import ApiTown
from tests.server.office_world import HANA, OTHER_TOWN, POST_OFFICE, TOWN, Serials, clerk_row, resident_of

WISH = {"holder": HANA, "applicant": "holder", "which": "both"}
DONE = {"to": "do", "identity": "checked"}
SIGNING, AUTHENTICATION = Purpose.SIGNING, Purpose.AUTHENTICATION


@pytest.fixture
def second(town: ApiTown) -> Browser:
    return logged_in(Browser(town, town.office.second))


def case_of(answer: TestResponse) -> str:
    """Return the number of the case that a POST has led to."""
    assert answer.status_code == 303, problem_in(answer)
    found = re.fullmatch(r"/console/cases/([0-9A-Z-]{16})", answer.headers["Location"])
    assert found is not None
    return found[1]


def problem_in(answer: TestResponse) -> str:
    """Return the sentence of the problem that a page shows."""
    found = re.search(r'role="alert">\s*<p class="sentence">(.*?)</p>', answer.text, re.DOTALL)
    return "" if found is None else html.unescape(re.sub("<[^>]+>", "", found[1])).strip()


def looked_up(town: ApiTown) -> list[tuple[Act, str]]:
    while town.rooms.store.audit.chain(system_randomness):
        pass
    entries = town.rooms.store.audit_log.entries(subject=f"holder/{HANA}")
    return [(each.event.act, each.event.actor.name) for each in entries if each.event is not None]


def states(town: ApiTown, pair: Serials) -> list[State]:
    return [town.office.state(pair[SIGNING]), town.office.state(pair[AUTHENTICATION])]


def cases(town: ApiTown) -> int:
    return len(town.rooms.store.cases.of_holder(HANA))


def ocsp_of(town: ApiTown, serial: Serial) -> ocsp.OCSPResponse:
    octets = town.rooms.store.ledger.certificates([serial])[serial]
    certificate = load_der_x509_certificate(octets)
    status = town.rooms.store.ledger.find([serial])[serial].status
    issuer = town.rooms.store.generations.find(status.generation).certificate
    question = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, SHA1()).build()  # noqa: S303 - RFC 5019
    answer = town.client.post(
        "/ocsp", data=question.public_bytes(Encoding.DER), content_type="application/ocsp-request"
    )
    return ocsp.load_der_ocsp_response(answer.data)


# --- what is shown before anything happens -----------------------------------------------------------------------


def test_a_preview_changes_nothing_and_the_audit_tells_who_looked(town: ApiTown, front: Browser, pair: Serials) -> None:
    before = cases(town)
    answer = front.post("/open/revocation", WISH | {"event": "key-leaked"})
    assert answer.status_code == 200
    assert answer.text.count("失効します。すぐに使えなくなり") == 2
    assert states(town, pair) == [State.ACTIVE, State.ACTIVE]
    assert cases(town) == before
    assert looked_up(town) == [(Act.HOLDER_LOOKED_UP, town.office.front.id)]


@pytest.mark.slow
def test_what_is_foreseen_is_what_happens(town: ApiTown) -> None:
    wishes = [(event, which) for event in sorted(EVENTS[CaseKind.REVOCATION]) for which in ("both", *HOLDER_PURPOSES)]
    front, second = town.office.front, town.office.second
    for number, (event, which) in enumerate(wishes):
        holder = town.office.register.enter(resident_of(HolderCode(f"H-{number}")))
        town.office.delivered(holder=holder)
        purposes = list(HOLDER_PURPOSES) if which == "both" else [which]
        body = {"kind": "revocation", "counter": TOWN, "holder": holder, "purposes": purposes, "event": event}
        foreseen = town.done(front, "/effects", body)["effects"]
        case = town.done(front, "/cases", body)["number"]
        assert town.get(front, f"/cases/{case}/effects").json["effects"] == foreseen
        town.done(front, f"/cases/{case}/identity-check", {})
        town.done(second, f"/cases/{case}/approval")
        town.done(front, f"/cases/{case}/completion")
        assert len(foreseen) == 2
        for each in foreseen:
            told = town.get(front, f"/certificates/{each['serial']}").json
            assert (told["state"], told["reason"]) == (each["becomes"], each["reason"]), (event, which)


@pytest.mark.parametrize(
    ("event", "says"),
    [("record-changed", "自動で失効します"), ("died", "自動で失効します"), ("card-lost", "まず一時停止します")],
)
def test_what_is_done_elsewhere_is_said_and_not_done(
    town: ApiTown, front: Browser, pair: Serials, event: str, says: str
) -> None:
    before = cases(town)
    answer = front.post("/open/revocation", WISH | {"event": event})
    assert answer.status_code == 200
    assert says in answer.text
    assert cases(town) == before
    assert states(town, pair) == [State.ACTIVE, State.ACTIVE]


def test_a_form_that_is_refused_keeps_what_was_typed(town: ApiTown, front: Browser) -> None:
    nothing = front.post("/open/hold", WISH)
    assert (nothing.status_code, problem_in(nothing)) == (403, "要件を満たしていません：有効な証明書がありません。")
    assert f'value="{HANA}"' in nothing.text
    no_reason = front.post("/open/revocation", WISH | {"event": ""})
    assert (no_reason.status_code, problem_in(no_reason)) == (422, "「どうしましたか」が選ばれていません。")
    no_code = front.post("/open/release", WISH | {"holder": "日本 花子"})
    assert (no_code.status_code, problem_in(no_code)) == (422, "利用者コードではありません。")
    number = front.post("/open/hold", WISH | {"holder": "1" * 12})
    assert (number.status_code, problem_in(number)) == (422, "利用者コードではありません。")
    assert "1" * 12 not in number.text
    assert 'value="Ｈ' not in front.post("/open/hold", WISH | {"holder": "Ｈ－1001"}).text
    assert not cases(town)


# --- doing it ------------------------------------------------------------------------------------------------------


def test_a_revocation_in_one_go_and_ocsp_tells_of_it(town: ApiTown, front: Browser, pair: Serials) -> None:
    number = case_of(front.post("/open/revocation", WISH | {"event": "holder-asked", "which": "signing"} | DONE))
    assert states(town, pair) == [State.REVOKED, State.ACTIVE]
    assert ocsp_of(town, pair[SIGNING]).certificate_status is ocsp.OCSPCertStatus.REVOKED
    assert ocsp_of(town, pair[AUTHENTICATION]).certificate_status is ocsp.OCSPCertStatus.GOOD
    shown = front.get(f"/cases/{number}").text
    assert "に失効しました。" in shown
    spoken = re.findall(r'class="spoken">.*?lang="ja">(.*?)</span>', shown)
    assert spoken == ["失効", "有効"]


def test_a_button_pressed_twice_shows_what_the_first_press_did(
    town: ApiTown, front: Browser, time: SteppingClock, pair: Serials
) -> None:
    assert pair
    wish = WISH | {"event": "holder-asked"} | DONE
    number = case_of(front.post("/open/revocation", wish))
    assert case_of(front.post("/open/revocation", wish)) == number
    time.advance(seconds=10)
    later = front.post("/open/revocation", wish)
    assert (later.status_code, problem_in(later)) == (403, "要件を満たしていません：有効な証明書がありません。")
    assert cases(town) == 2


def test_without_a_check_of_identity_nothing_is_opened(town: ApiTown, front: Browser, pair: Serials) -> None:
    before = cases(town)
    answer = front.post("/open/revocation", WISH | {"event": "holder-asked", "to": "do"})
    assert (answer.status_code, problem_in(answer)) == (422, "本人確認の欄に印がありません。")
    assert cases(town) == before
    assert states(town, pair) == [State.ACTIVE, State.ACTIVE]


def test_a_lost_card_is_on_hold_after_two_posts_and_a_second_call_finds_that(
    town: ApiTown, front: Browser, pair: Serials
) -> None:
    assert "一時停止します。すぐに使えなくなります。" in front.post("/open/hold", WISH).text
    number = case_of(front.post("/open/hold", WISH | {"to": "do"}))
    assert states(town, pair) == [State.HELD, State.HELD]
    shown = front.get(f"/cases/{number}").text
    assert "に一時停止しました。" in shown
    assert "カードが見つかったら" in shown
    assert "変わりません（一時停止中のまま）" in front.post("/open/hold", WISH).text


def test_a_release_takes_four_eyes(town: ApiTown, front: Browser, second: Browser, pair: Serials) -> None:
    front.post("/open/hold", WISH | {"to": "do"})
    preview = front.post("/open/release", WISH).text
    assert "ほかの職員の承認が必要です。" in preview
    assert "また使えるようになります。" in preview
    number = case_of(front.post("/open/release", WISH | DONE))
    waiting = front.get(f"/cases/{number}")
    assert "ほかの職員の承認を待っています。" in waiting.text
    assert waiting.headers["Refresh"] == f"5; url=/console/cases/{number}?watching=1"
    assert f"/cases/{number}/approval" not in waiting.text
    assert "Refresh" not in front.get(f"/cases/{number}?still=1").headers
    refused = front.post(f"/cases/{number}/approval")
    assert (refused.status_code, problem_in(refused)) == (403, "本人確認をした職員は、この申請を承認できません。")
    assert states(town, pair) == [State.HELD, State.HELD]
    assert case_of(second.post(f"/cases/{number}/approval")) == number
    assert case_of(front.post(f"/cases/{number}/completion")) == number
    assert states(town, pair) == [State.HELD, State.ACTIVE]
    life = town.get(town.office.front, f"/certificates/{format_serial(pair[AUTHENTICATION])}/timeline").json["passages"]
    assert [each["state"] for each in life] == ["issued", "active", "held", "active", None]
    assert life[3]["words"]["ja"] == "一時停止が解除され、また使えるようになりました。"
    assert "Refresh" not in front.get(f"/cases/{number}").headers


def test_a_proxys_papers_are_asked_for_and_a_case_without_them_stays_open(
    town: ApiTown, front: Browser, pair: Serials
) -> None:
    wish = WISH | {"event": "card-returned", "applicant": "legal-proxy"}
    assert "戸籍謄本など" in front.post("/open/revocation", wish).text
    refused = front.post("/open/revocation", wish | DONE)
    assert (refused.status_code, problem_in(refused)) == (
        403,
        "要件を満たしていません：代理権を確認する書類がありません。",
    )
    number = next(each.number for each in town.rooms.store.cases.of_holder(HANA) if not each.state.is_closed)
    assert number in refused.text
    checked = {"identity": "checked", "document": "legal-proof"}
    assert case_of(front.post(f"/cases/{number}/identity-check", checked)) == number
    assert "代理人からの申請です。" in front.get(f"/cases/{number}").text
    assert states(town, pair) == [State.ACTIVE, State.ACTIVE]


def test_for_a_new_pin_the_case_lies_at_hand_until_it_is_finished(
    town: ApiTown, front: Browser, time: SteppingClock, pair: Serials
) -> None:
    sessions, clerk = town.rooms.store.console_sessions, town.office.front
    assert "ご本人が専用の画面で決めます" in front.post("/open/pin-reset", WISH).text
    number = case_of(front.post("/open/pin-reset", WISH | {"to": "do"}))
    waiting = front.get(f"/cases/{number}")
    assert "カードを端末に置いてください。" in waiting.text
    assert "Refresh" in waiting.headers
    assert sessions.at_hand(clerk.id, time()) == number
    town.done(clerk, f"/cases/{number}/card", town.card())
    read = front.get(f"/cases/{number}")
    assert "Refresh" not in read.headers
    assert "本人確認済みにする" in read.text
    case_of(front.post(f"/cases/{number}/identity-check", {"identity": "checked"}))
    assert town.get(clerk, "/terminal").json["wants"] == "pin"
    assert "完了する" in front.get(f"/cases/{number}").text
    front.post(f"/cases/{number}/completion")
    assert sessions.at_hand(clerk.id, time()) is None
    assert "に暗証番号を再設定しました。" in front.get(f"/cases/{number}").text
    assert states(town, pair) == [State.ACTIVE, State.ACTIVE]


# --- other ends ----------------------------------------------------------------------------------------------------


def leaked(front: Browser) -> str:
    return case_of(front.post("/open/revocation", WISH | {"event": "key-leaked", "applicant": "third-party"} | DONE))


def state(town: ApiTown, number: str) -> CaseState:
    return town.rooms.store.cases.case(parse_case_number(number)).state


def test_a_case_is_refused_on_a_ground_of_the_list_and_on_no_other(
    town: ApiTown, front: Browser, second: Browser, pair: Serials
) -> None:
    number = leaked(front)
    for ground, says in (
        ({}, "「不受理の理由」が選ばれていません。"),
        ({"ground": "I do not like 花子"}, "項目に誤りがあります。"),
    ):
        answer = second.post(f"/cases/{number}/refusal", ground)
        assert (answer.status_code, problem_in(answer)) == (422, says)
        assert "花子" not in answer.text
    case_of(second.post(f"/cases/{number}/refusal", {"ground": "suspected-fraud"}))
    shown = second.get(f"/cases/{number}").text
    assert "この申請は" in shown
    assert "なりすましの疑いがある" in shown
    assert states(town, pair) == [State.ACTIVE, State.ACTIVE]


def test_a_case_goes_back_and_is_checked_again_and_is_withdrawn(
    town: ApiTown, front: Browser, second: Browser, pair: Serials
) -> None:
    number = leaked(front)
    case_of(second.post(f"/cases/{number}/return"))
    assert state(town, number) is CaseState.RECEIVED
    unticked = front.post(f"/cases/{number}/identity-check")
    assert (unticked.status_code, problem_in(unticked)) == (422, "本人確認の欄に印がありません。")
    case_of(front.post(f"/cases/{number}/identity-check", {"identity": "checked"}))
    assert state(town, number) is CaseState.IDENTITY_CHECKED
    case_of(front.post(f"/cases/{number}/cancellation"))
    again = front.post(f"/cases/{number}/cancellation")
    assert again.status_code == 409
    assert problem_in(again).startswith(f"申請 {number} は終了しています")
    assert states(town, pair) == [State.ACTIVE, State.ACTIVE]


def test_another_counters_case_is_taken_over_by_whoever_has_its_number(
    town: ApiTown, front: Browser, pair: Serials
) -> None:
    assert pair
    elsewhere = logged_in(Browser(town, town.office.elsewhere), OTHER_TOWN)
    number = leaked(front)
    shown = elsewhere.get(f"/cases/{number}")
    assert shown.status_code == 200
    assert "千代田区（131016）が受け付けました" in shown.text
    assert HANA not in shown.text
    assert case_of(elsewhere.post(f"/cases/{number}/take-over")) == number
    assert town.rooms.store.cases.case(parse_case_number(number)).counter == OTHER_TOWN
    taken = elsewhere.get(f"/cases/{number}").text
    assert "承認する" in taken
    # Whoever gave it away by that sees that it is elsewhere now, and may take it back.
    assert "ほかの窓口の申請" in front.get(f"/cases/{number}").text


def test_whoever_issues_goes_on_with_a_case_in_the_wizard_and_whoever_approves_here(
    town: ApiTown, front: Browser, second: Browser
) -> None:
    case = town.office.opened()
    address, wizard = f"/cases/{case.number}", f"/console/issue/{case.number}"
    sent_on = front.get(address)
    assert (sent_on.status_code, sent_on.headers["Location"]) == (303, wizard)
    town.done(town.office.front, f"/cases/{case.number}/identity-check", {"card": town.card()})
    reception = logged_in(Browser(town, clerk_row(town.rooms, {TOWN: [Role.RECEPTION]})))
    assert reception.get(address).headers["Location"] == wizard
    assert "承認する" in front.get(address).text
    assert "承認する" in second.get(address).text
    case_of(second.post(f"{address}/approval"))
    assert second.get(address).status_code == 200
    assert front.get(address).headers["Location"] == wizard
    town.done(town.office.front, f"{address}/cancellation")
    assert "（取下げ）" in front.get(address).text


# --- what waits for approval ---------------------------------------------------------------------------------------


def test_what_waits_for_approval_comes_oldest_first_and_says_why_another_is_needed(
    town: ApiTown, front: Browser, second: Browser, time: SteppingClock, pair: Serials
) -> None:
    assert pair
    town.office.register.enter(resident_of("H-2"))  # type: ignore[arg-type]
    new = town.office.opened(holder="H-2", counter=TOWN)  # type: ignore[arg-type]
    time.advance(minutes=1)
    older = leaked(front)
    time.advance(minutes=1)
    town.done(town.office.front, f"/cases/{new.number}/identity-check", {"card": town.card()})
    shown = second.get("/approvals").text
    assert re.findall(r"/console/cases/([0-9A-Z-]{16})", shown) == [new.number, older]
    assert shown.count("別の職員の承認が必要") == 1
    assert "本人以外からの、鍵の漏えいの届出です。" in shown
    # What the clerk may not approve comes last.
    own = front.get("/approvals").text
    assert re.findall(r"/console/cases/([0-9A-Z-]{16})", own) == [new.number, older]
    assert own.count("あなたが本人確認をした") == 1
    second.post(f"/cases/{new.number}/approval")
    second.post(f"/cases/{older}/approval")
    assert "承認を待っている申請はありません" in second.get("/approvals").text


def test_approvals_show_more_than_one_page_of_open_cases(
    second: Browser, front: Browser, pair: Serials, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pair
    monkeypatch.setattr("enroll.console.cases.MOST_ON_A_PAGE", 2)
    numbers = {leaked(front) for _ in range(3)}
    assert set(re.findall(r"/console/cases/([0-9A-Z-]{16})", second.get("/approvals").text)) == numbers


def test_who_approves_sees_the_registers_answer_and_the_audit_tells_of_it(town: ApiTown, second: Browser) -> None:
    case = town.office.opened()
    town.done(town.office.front, f"/cases/{case.number}/identity-check", {"card": town.card()})
    name = resident_of().holder.name
    assert name not in second.get(f"/cases/{case.number}").text
    assert name in second.post(f"/cases/{case.number}/resident").text
    auditor = logged_in(Browser(town, clerk_row(town.rooms, {TOWN: [Role.AUDITOR]})))
    assert auditor.get(f"/cases/{case.number}").status_code == 200
    assert auditor.post(f"/cases/{case.number}/resident").status_code == 403


# --- a counter that is no more -----------------------------------------------------------------------------------


def test_a_merged_counters_page_says_where_to_go_on_and_offers_no_case(front: Browser) -> None:
    assert "受付をはじめる" in front.get("/").text
    with merged({TOWN: OTHER_TOWN}):
        page = front.get("/").text
        assert "この窓口は閉鎖されています。" in page
        assert f"合併により横浜市の窓口（{OTHER_TOWN}）が引き継いでいます。" in page
        assert "受付をはじめる" not in page
        front.speak("en")
        assert f"By a merger the counter of Yokohama-shi, {OTHER_TOWN}, has taken its place." in front.get("/").text
    assert "この窓口は閉鎖されています。" not in front.get("/").text


def test_so_does_that_of_a_post_office_that_was_closed(town: ApiTown) -> None:
    seat = logged_in(Browser(town, town.office.front), POST_OFFICE)
    town.rooms.store.counters.close(POST_OFFICE, LOCAL_OPERATOR, town.rooms.clock())
    page = seat.get("/").text
    assert "別の窓口で引き継いでください。" in page
    assert "受付をはじめる" not in page
