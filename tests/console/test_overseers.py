"""What administrators and auditors find at the console, and what nobody else does."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enroll import oversight_words, words
from enroll.console.chart import Chart, total
from enroll.console.events import OUTCOMES
from enroll.overseen import WeekTold
from jpki.acts import LOCAL_OPERATOR
from jpki.campaign import CampaignId
from jpki.clerk import EVERY_COUNTER, ClerkState, Role
from jpki.clock import day_in_japan
from jpki.counter import CounterCode, CounterState
from jpki.resident_event import Doubt, EventState, ResidentEvent, Settlement, SourceName
from jpki.resident_event import Kind as EventKind
from tests.conftest import SteppingClock
from tests.console.seats import Browser, logged_in
from tests.server.api_world import ApiTown
from tests.server.office_world import HANA, OTHER_TOWN, TOWN, clerk_row


def seated(town: ApiTown, *roles: Role) -> Browser:
    """A browser of a clerk with these roles for every counter, who sits at none."""
    return logged_in(Browser(town, clerk_row(town.rooms, {EVERY_COUNTER: list(roles)})), "house")


@pytest.fixture
def chief(town: ApiTown) -> Browser:
    return seated(town, Role.ADMINISTRATOR)


@pytest.fixture
def auditor(town: ApiTown) -> Browser:
    return seated(town, Role.AUDITOR)


# --- who sees and does what ----------------------------------------------------------------------------------------

READ = ("/campaigns", "/campaigns/1", "/audit", "/audit/log", "/people", "/authority")
CHECK = ("/audit/verification",)
ACT = (
    "/revocations",
    "/campaigns",
    "/campaigns/1/pause",
    "/campaigns/1/resumption",
    "/campaigns/1/cancellation",
    "/campaigns/1/retry",
    "/people/clerks/clerk-1/suspension",
    "/people/clerks/clerk-1/resumption",
    "/people/counters",
    "/people/counters/131016/closure",
)
OVERSEERS = frozenset({Role.ADMINISTRATOR, Role.AUDITOR})


def test_pages_are_refused_to_every_role_that_has_no_use_for_them(town: ApiTown, time: SteppingClock) -> None:
    town.rooms.store.campaigns.open(day_in_japan(time()), LOCAL_OPERATOR, time())
    for role in Role:
        everywhere, here = seated(town, role), Browser(town, clerk_row(town.rooms, {TOWN: [role]}))
        logged_in(here)
        for method, paths, may in (
            ("get", READ, OVERSEERS),
            ("post", CHECK, OVERSEERS),
            ("post", ACT, frozenset({Role.ADMINISTRATOR})),
        ):
            for path in paths:
                time.advance(minutes=3)
                for browser, allowed in ((everywhere, role in may), (here, False)):
                    answer = getattr(browser, method)(path)
                    refused = answer.status_code == 403 and "権限のある職員に依頼" in answer.text
                    assert refused is not allowed, (role, method, path, answer.status_code)


def test_the_navigation_shows_what_a_clerk_has_a_use_for(town: ApiTown, auditor: Browser) -> None:
    own = ("/console/campaigns", "/console/audit", "/console/people", "/console/authority")
    page = auditor.get("/").text
    assert all(f'href="{address}"' in page for address in own)
    of_one_counter = Browser(town, clerk_row(town.rooms, {TOWN: [Role.AUDITOR, Role.ADMINISTRATOR]}))
    for other in (Browser(town, town.office.front), of_one_counter):
        page = logged_in(other).get("/").text
        assert not any(f'href="{address}"' in page for address in own)


def test_an_auditor_is_offered_nothing_that_acts(town: ApiTown, time: SteppingClock) -> None:
    day = card_about_to_end(town, time)
    chief = seated(town, Role.ADMINISTRATOR)
    chief.post("/campaigns", {"ending_by": str(day)})
    auditor = seated(town, Role.AUDITOR)
    for path in ("/campaigns", "/campaigns/1", "/people", "/"):
        assert posts_of(auditor.get(path).text) == set(), path
        if path != "/":
            assert posts_of(chief.get(path).text), path


def posts_of(page: str) -> set[str]:
    """Return where a page's own forms are sent; the search and the log-out stand on every page."""
    return set(re.findall(r'method="post" action="(/console/(?!logout|search)[^"]*)"', page))


# --- home ------------------------------------------------------------------------------------------------------------


def test_the_home_page_of_an_overseer_tells_how_far_the_house_is_set_up(auditor: Browser, town: ApiTown) -> None:
    page = auditor.get("/").text
    assert "認証局の準備" in page
    assert "jpki backup create" in page
    assert "audit_anchor" in page
    assert "進行中の一括処理はありません" in page
    assert "認証局の準備" not in logged_in(Browser(town, town.office.front)).get("/").text


# --- campaigns -------------------------------------------------------------------------------------------------------


def card_about_to_end(town: ApiTown, time: SteppingClock) -> date:
    """Have both certificates of a card delivered, wait until they end in thirty days, and return that day."""
    found = town.rooms.store.ledger.find(list(town.office.delivered().values()))
    end = min(each.validity.not_after for each in found.values())
    time.advance(seconds=(end - timedelta(days=30) - time()).total_seconds())
    return day_in_japan(end)


def test_a_campaign_from_its_forecast_to_its_end(town: ApiTown, time: SteppingClock) -> None:
    day = card_about_to_end(town, time)
    chief = seated(town, Role.ADMINISTRATOR)
    page = chief.get(f"/campaigns?ending_by={day}").text
    assert "<svg" in page
    assert "千代田区" in page
    assert f"{day} までの一括更新を開始する" in page
    opened = chief.post("/campaigns", {"ending_by": str(day)})
    assert (opened.status_code, opened.headers["Location"]) == (303, "/console/campaigns/1")
    assert "実行中" in chief.get("/campaigns/1").text
    assert "jpki campaign run 1" in chief.get("/campaigns/1").text
    assert "第1号" in chief.get("/").text
    assert chief.post("/campaigns/1/pause").status_code == 303
    assert "再開する" in chief.get("/campaigns/1").text
    chief.post("/campaigns/1/resumption")
    book = town.rooms.store.campaigns
    taken = book.take(CampaignId(1), 1, time())
    book.finish(CampaignId(1), taken, {}, dict.fromkeys(taken.serials, "request-missing"))
    page = chief.get("/campaigns/1").text
    assert "カードからの証明書要求がまだ届いていない" in page
    assert "失敗した1件をやり直す" in page
    chief.post("/campaigns/1/retry")
    assert "やり直す" not in chief.get("/campaigns/1").text
    chief.post("/campaigns/1/cancellation")
    assert "中止" in chief.get("/campaigns/1").text
    again = chief.post("/campaigns/1/resumption")
    assert again.status_code == 409
    assert 'role="alert"' in again.text
    assert "進行中の一括処理はありません" in chief.get("/").text


@pytest.mark.parametrize(
    ("day", "status", "said"),
    [
        ("2020-01-01", 200, "までに終わる証明書はありません"),
        ("yesterday", 422, "日付"),
        ("2199-01-01", 422, "400日先まで"),
        ("0001-01-01", 422, "この値は使えません"),
    ],
    ids=["past", "no day", "far", "no year"],
)
def test_a_forecast_says_what_is_wrong_with_the_day(auditor: Browser, day: str, status: int, said: str) -> None:
    answer = auditor.get(f"/campaigns?ending_by={day}")
    assert answer.status_code == status
    assert said in answer.text


def test_a_campaign_outside_its_window_is_refused_on_the_same_page(chief: Browser, time: SteppingClock) -> None:
    day = day_in_japan(time()) + timedelta(days=300)
    answer = chief.post("/campaigns", {"ending_by": str(day)})
    assert answer.status_code == 409
    assert "もっと早い日を指定してください" in answer.text
    assert f'value="{day}"' in answer.text


@pytest.mark.parametrize("number", ["77", "x", "0" * 12])
def test_an_unknown_campaign_is_a_page_that_says_so(auditor: Browser, number: str) -> None:
    answer = auditor.get(f"/campaigns/{number}")
    assert answer.status_code in (400, 404)
    assert 'role="alert"' in answer.text


weeks = st.lists(
    st.builds(
        WeekTold,
        week=st.integers(0, 60).map(lambda number: date(2026, 11, 30) + timedelta(weeks=number)),
        authentication=st.integers(0, 5_000_000),
        signing=st.integers(0, 5_000_000),
    ).filter(lambda each: total(each) > 0),
    min_size=1,
    max_size=60,
    unique_by=lambda each: each.week,
)


@given(told=weeks)
def test_every_week_is_a_bar_as_high_as_its_count_and_inside_the_drawing(told: Sequence[WeekTold]) -> None:
    chart = Chart.of(told)
    assert len(chart.bars) == (max(each.week for each in told) - min(each.week for each in told)).days // 7 + 1
    assert 1 <= sum(bar.label is not None for bar in chart.bars) <= 5
    top = chart.ticks[-1]
    assert top.count >= max(map(total, told))
    scale = (chart.bottom - top.height) / top.count
    first = min(each.week for each in told)
    for each in told:
        bar = chart.bars[(each.week - first).days // 7]
        assert bar.authentication[1] - bar.authentication[0] == pytest.approx(each.authentication * scale, abs=0.02)
        assert bar.authentication[0] - bar.signing[0] == pytest.approx(each.signing * scale, abs=0.02)
        assert bar.signing[1] == bar.authentication[0]
    assert all(chart.left <= bar.left and bar.left + chart.bar_width <= chart.right + 0.01 for bar in chart.bars)
    assert total(chart.most) == max(map(total, told))


# --- the audit -------------------------------------------------------------------------------------------------------


def test_the_audit_is_read_in_words_with_the_clerks_name_and_goes_further_back(town: ApiTown, auditor: Browser) -> None:
    town.office.opened()
    page = auditor.get("/audit").text
    assert "申請を受け付けた" in page
    assert town.office.front.name in page
    assert f"{town.office.front.id}@{TOWN}" in page
    assert "さらに前へ" in page
    further = auditor.get("/audit?before=5").text
    assert '<span class="place-number">4</span>' in further
    assert '<span class="place-number">5</span>' not in further


def test_the_audit_is_filtered_and_says_where_nothing_is_found(town: ApiTown, auditor: Browser) -> None:
    town.office.opened()
    page = auditor.get(f"/audit?act=case+opened&actor={town.office.front.id}&day=").text
    assert page.count('class="place-number"') == 1
    assert '<option value="case opened" selected>' in page
    assert "該当する記録はありません" in auditor.get("/audit?day=2020-01-01").text
    wrong = auditor.get("/audit?act=nonsense")
    assert wrong.status_code == 422
    assert 'role="alert"' in wrong.text


def test_the_badge_tells_how_far_the_audit_is_signed_and_a_check_whether_it_is_whole(
    town: ApiTown, auditor: Browser
) -> None:
    assert "まだ署名されていません" in auditor.get("/audit").text or "まで署名済み" in auditor.get("/audit").text
    head = town.rooms.notary.sign()
    assert head is not None
    assert f"第{head.number}号まで署名済み" in auditor.get("/audit").text
    assert "監査記録は完全です" in auditor.post("/audit/verification").text
    with town.rooms.store.database.writing() as connection:
        connection.exec_driver_sql("UPDATE audit_body SET body = replace(body, 'local', 'nobody') WHERE number = 3")
    broken = auditor.post("/audit/verification").text
    assert "第3号" in broken
    assert "監査記録に異常があります" in broken


def test_the_log_is_downloaded_as_it_is_exported(
    town: ApiTown, auditor: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.audit_reading.MOST_LINES", 7)
    town.rooms.notary.export(tmp_path / "exported")
    answer = auditor.get("/audit/log")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="audit.log"'
    assert answer.data == (tmp_path / "exported").read_bytes()


# --- resident events -------------------------------------------------------------------------------------------------


@pytest.fixture
def doubtful(town: ApiTown) -> int:
    """An event of the town that contradicts an earlier one."""
    event = ResidentEvent(
        source=SourceName(TOWN), sequence=1, kind=EventKind.MOVED, holder=HANA, effective_at=town.office.now
    )
    for each in (event, replace(event, kind=EventKind.DIED)):
        town.rooms.store.events.receive([each], LOCAL_OPERATOR, town.office.now)
    (listed,) = town.rooms.store.events.listed(EventState.REFUSED, 0, 9)
    return listed.number


def test_a_doubtful_event_is_settled_by_a_reason_of_the_list(town: ApiTown, doubtful: int) -> None:
    second = logged_in(Browser(town, town.office.second))
    assert "亡くなった" in second.get("/events").text
    page = second.get(f"/events/{doubtful}").text
    assert "同じ通番で別の内容が届きました" in page
    assert HANA in page
    for because in ("", "nonsense"):
        wrong = second.post(f"/events/{doubtful}", {"because": because})
        assert wrong.status_code == 422
        assert "理由が選ばれていません" in wrong.text
    settled = second.post(f"/events/{doubtful}", {"because": "told-in-error"})
    assert (settled.status_code, settled.headers["Location"]) == (303, f"/console/events?settled={doubtful}")
    assert "要確認の異動はありません" in second.get(f"/events?settled={doubtful}").text
    (listed,) = town.rooms.store.events.listed(EventState.IGNORED, 0, 9)
    assert (listed.number, listed.because) == (doubtful, Settlement.TOLD_IN_ERROR)
    assert second.get(f"/events/{doubtful}").status_code == 404


def test_whoever_does_not_approve_looks_at_events_and_settles_none(town: ApiTown, doubtful: int) -> None:
    reception = logged_in(Browser(town, clerk_row(town.rooms, {TOWN: [Role.RECEPTION]})))
    for browser in (reception, seated(town, Role.AUDITOR)):
        assert "亡くなった" in browser.get("/events").text
        assert 'name="because"' not in browser.get(f"/events/{doubtful}").text
        assert browser.post(f"/events/{doubtful}", {"because": "told-in-error"}).status_code == 403
    elsewhere = logged_in(Browser(town, town.office.elsewhere), OTHER_TOWN)
    assert "要確認の異動はありません" in elsewhere.get("/events").text
    assert elsewhere.get(f"/events/{doubtful}").status_code == 404
    assert seated(town, Role.ADMINISTRATOR).get("/events").status_code == 403


def test_every_event_doubt_and_reason_has_words_and_an_outcome() -> None:
    assert set(oversight_words.EVENT_KINDS) == set(EventKind)
    assert set(oversight_words.DOUBTS) == set(Doubt)
    assert set(OUTCOMES) == set(Settlement)


# --- counters and clerks ---------------------------------------------------------------------------------------------


def test_a_clerk_is_suspended_and_resumed(town: ApiTown, chief: Browser) -> None:
    front = town.office.front
    clerk_row(town.rooms, {TOWN: list(Role)})
    page = chief.get("/people").text
    assert all(role.ja in page for role in words.ROLES.values())
    assert f"/people/clerks/{front.id}/suspension" in page
    assert front.name in page
    assert chief.post(f"/people/clerks/{front.id}/suspension").status_code == 303
    assert town.rooms.store.clerks.clerk(front.id).state is ClerkState.SUSPENDED
    assert f"/people/clerks/{front.id}/resumption" in chief.get("/people").text
    chief.post(f"/people/clerks/{front.id}/resumption")
    assert town.rooms.store.clerks.clerk(front.id).state is ClerkState.ACTIVE
    assert chief.post("/people/clerks/clerk-999/suspension").status_code == 404


def test_nobody_is_offered_to_suspend_themselves(town: ApiTown, chief: Browser) -> None:
    own = next(each.id for each in town.rooms.store.clerks.clerks() if each.id in town.shown)
    others = [each.id for each in town.rooms.store.clerks.clerks() if each.id != own]
    page = chief.get("/people").text
    assert f"/clerks/{own}/suspension" not in page
    assert all(f"/clerks/{other}/suspension" in page for other in others)


def test_a_counter_is_added_and_closed_and_what_was_typed_stays_when_it_is_wrong(town: ApiTown, chief: Browser) -> None:
    fields = {"code": "po-9", "kind": "post-office", "name": "神田郵便局", "municipality": "999999"}
    wrong = chief.post("/people/counters", fields)
    assert wrong.status_code == 422
    assert 'role="alert"' in wrong.text
    assert 'value="神田郵便局"' in wrong.text
    assert chief.post("/people/counters", fields | {"municipality": str(TOWN)}).status_code == 303
    assert "神田郵便局" in chief.get("/people").text
    assert chief.post("/people/counters/po-9/closure").status_code == 303
    assert town.rooms.store.counters.counter(CounterCode("po-9")).state is CounterState.CLOSED
    consulate = {"code": "c-9", "kind": "consulate", "name": "在外公館", "municipality": ""}
    assert chief.post("/people/counters", consulate).status_code == 303


def test_no_private_key_and_no_certificate_of_a_clerk_passes_the_console(chief: Browser) -> None:
    page = chief.get("/people").text
    assert "jpki clerk add" in page
    assert "PRIVATE" not in page
    assert 'type="file"' not in page
    assert 'value="online"' not in page


# --- the authority ---------------------------------------------------------------------------------------------------


def test_the_cas_keys_lists_and_ceremonies_are_shown_and_nothing_is_changed(town: ApiTown, auditor: Browser) -> None:
    page = auditor.get("/authority").text
    for generation in ("s1", "a1", "i1"):
        assert f'<span class="code">{generation}</span>' in page
    assert "RSA-2048" in page
    assert "認証局の開設" in page
    assert posts_of(page) == set()
    for file in town.rooms.home.keys.iterdir():
        file.unlink()
    town.rooms.keys.close()
    assert "応答あり" not in auditor.get("/authority").text
