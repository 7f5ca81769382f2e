"""Who gets in, for how long, and from where a form may come."""

from datetime import timedelta

import pytest

from enroll.console.session import IDLE, LONGEST
from jpki.clerk import EVERY_COUNTER, ClerkState, Role
from tests.conftest import SteppingClock
from tests.console.seats import Browser, is_sent_to_log_in, logged_in
from tests.server.api_world import ApiTown
from tests.server.office_world import OTHER_TOWN, TOWN, clerk_row


@pytest.fixture
def front(town: ApiTown) -> Browser:
    return Browser(town, town.office.front)


def test_without_a_session_every_page_leads_to_the_log_in(front: Browser) -> None:
    assert is_sent_to_log_in(front.get("/"))
    assert is_sent_to_log_in(front.post("/logout"))
    assert front.get("/login").status_code == 200


def test_without_a_certificate_or_with_nobodys_there_is_a_page_that_says_so(town: ApiTown) -> None:
    client = town.app.test_client()
    answer = client.get("/console/")
    assert answer.status_code == 401
    assert "クライアント証明書がありません" in answer.text
    town.office.rooms.store.clerks.change(
        town.office.front.id, ClerkState.SUSPENDED, town.office.front.actor(None), town.office.now
    )
    assert Browser(town, town.office.front).get("/").status_code == 403


def test_the_cookie_is_for_this_host_over_tls_and_opens_nothing_in_the_store(town: ApiTown, front: Browser) -> None:
    answer = front.post("/login", {"counter": TOWN})
    (cookie,) = [each for each in answer.headers.getlist("Set-Cookie") if each.startswith("__Host-console=")]
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Strict"} <= set(cookie.split("; "))
    value = cookie.partition("=")[2].partition(";")[0]
    assert len(value) == 32
    with town.rooms.store.database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM console_session").all()
    assert len(rows) == 1
    assert value not in repr(rows)


def test_a_session_ends_when_nobody_used_it_for_a_quarter_of_an_hour(front: Browser, time: SteppingClock) -> None:
    logged_in(front)
    for _ in range(3):
        time.now += IDLE - timedelta(seconds=1)
        assert front.get("/").status_code == 200
    time.now += IDLE + timedelta(seconds=61)
    assert is_sent_to_log_in(front.get("/"))


def test_a_session_ends_with_the_working_day_however_busy_it_was(front: Browser, time: SteppingClock) -> None:
    logged_in(front)
    steps = int(LONGEST / IDLE)
    for _ in range(steps):
        assert front.get("/").status_code == 200
        time.now += IDLE - timedelta(seconds=1)
    time.now += timedelta(minutes=2)
    assert is_sent_to_log_in(front.get("/"))


def test_whoever_logs_out_or_logs_in_elsewhere_is_out(town: ApiTown, front: Browser) -> None:
    logged_in(front)
    elsewhere = logged_in(Browser(town, town.office.front))
    assert is_sent_to_log_in(front.get("/"))
    before = elsewhere.cookies()
    assert is_sent_to_log_in(elsewhere.post("/logout"))
    assert before
    assert not elsewhere.cookies()
    assert is_sent_to_log_in(elsewhere.get("/"))


def test_a_stolen_cookie_opens_nothing_for_another_clerk(town: ApiTown, front: Browser) -> None:
    logged_in(front)
    thief = Browser(town, town.office.second)
    thief.take(front)
    assert is_sent_to_log_in(thief.get("/"))


@pytest.mark.parametrize(
    "said",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://localhost"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {},
    ],
    ids=["cross-site", "same-site", "none", "its word counts", "other origin", "no origin", "nothing"],
)
def test_a_form_of_another_site_is_refused(front: Browser, said: dict[str, str]) -> None:
    answer = front.post("/login", {"counter": TOWN}, said)
    assert answer.status_code == 403
    assert "この画面以外から" in answer.text
    assert not front.cookies()


def test_a_browser_that_names_no_site_names_our_origin(front: Browser) -> None:
    assert front.post("/login", {"counter": TOWN}, {"Origin": "https://localhost"}).status_code == 303


@pytest.mark.parametrize("counter", [OTHER_TOWN, "999999", "", "house", "*"])
def test_nobody_sits_where_they_have_no_role(front: Browser, counter: str) -> None:
    answer = front.post("/login", {"counter": counter})
    assert answer.status_code in (403, 404)
    assert 'role="alert"' in answer.text
    assert not front.cookies()


def test_a_clerk_of_the_whole_house_sits_at_any_counter_or_at_none(town: ApiTown) -> None:
    chief = clerk_row(town.rooms, {EVERY_COUNTER: [Role.ADMINISTRATOR]})
    assert "全体" in logged_in(Browser(town, chief), "house").get("/").text
    browser = Browser(town, chief)
    assert browser.post("/login", {"counter": "house", "code": OTHER_TOWN}).status_code == 303
    assert OTHER_TOWN in browser.get("/").text


def test_pages_are_kept_by_nobody_and_run_scripts_of_this_host_alone(front: Browser) -> None:
    headers = logged_in(front).get("/").headers
    assert headers["Cache-Control"] == "no-store"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["Referrer-Policy"] == "no-referrer"
