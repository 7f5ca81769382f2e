"""What administrators and auditors are told over the API, and what administrators do."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from enroll.oversight_words import ACTS
from jpki.acts import LOCAL_OPERATOR, Act, AuditEvent
from jpki.campaign import CampaignId
from jpki.certificate import Purpose
from jpki.clerk import EVERY_COUNTER, Clerk, Role
from jpki.clock import day_in_japan, iso, system_clock
from jpki.ids import Serial, format_serial
from server.audit.file import read_lines
from server.audit.lines import records
from server.audit.trust import Trust
from server.audit.verify import verify
from tests.conftest import SteppingClock
from tests.server.api_world import ApiTown, api_at
from tests.server.conftest import copied
from tests.server.office_world import POST_OFFICE, TOWN, clerk_row, resident_of


@pytest.fixture
def time() -> SteppingClock:
    return SteppingClock(system_clock())


@pytest.fixture
def town(new_home: Path, tmp_path: Path, time: SteppingClock) -> Iterator[ApiTown]:
    with api_at(copied(new_home, tmp_path / "home"), time) as opened:
        opened.office.register.enter(resident_of())
        yield opened


@pytest.fixture
def chief(town: ApiTown) -> Clerk:
    return clerk_row(town.rooms, {EVERY_COUNTER: [Role.ADMINISTRATOR]})


@pytest.fixture
def auditor(town: ApiTown) -> Clerk:
    return clerk_row(town.rooms, {EVERY_COUNTER: [Role.AUDITOR]})


def near_the_end(town: ApiTown, time: SteppingClock) -> date:
    """Have both certificates of a card delivered, wait until they end in thirty days, and return that day."""
    found = town.rooms.store.ledger.find(list(town.office.delivered().values()))
    end = min(each.validity.not_after for each in found.values())
    time.advance(seconds=(end - timedelta(days=30) - time()).total_seconds())
    return day_in_japan(end)


def told(town: ApiTown, clerk: Clerk, path: str) -> dict[str, Any]:
    answer = town.get(clerk, path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


# --- campaigns -----------------------------------------------------------------------------------------------------


def test_a_forecast_tells_what_ends_by_week_and_town_and_from_when_it_may_be_renewed(
    town: ApiTown, time: SteppingClock, auditor: Clerk
) -> None:
    day = near_the_end(town, time) + timedelta(days=120)
    forecast = told(town, auditor, f"/forecast?ending_by={day}")
    assert forecast["total"] == 2
    assert [(each["authentication"], each["signing"]) for each in forecast["weeks"]] == [(1, 1)]
    assert [(each["code"], each["name"], each["signing"]) for each in forecast["towns"]] == [(TOWN, "千代田区", 1)]
    assert forecast["opens"] > day_in_japan(time()).isoformat()
    far = town.get(auditor, f"/forecast?ending_by={day + timedelta(days=400)}")
    assert (far.status_code, far.json["code"]) == (422, "forecast-too-far")


def test_a_campaign_is_opened_in_its_window_alone_and_by_an_administrator(
    town: ApiTown, time: SteppingClock, chief: Clerk, auditor: Clerk
) -> None:
    town.office.delivered()
    early = town.post(chief, "/campaigns", {"ending_by": str(day_in_japan(time()) + timedelta(days=300))})
    assert (early.status_code, early.json["code"]) == (409, "renewal-closed")
    assert town.post(auditor, "/campaigns", {"ending_by": "2026-01-01"}).json["code"] == "role-missing"


def test_a_campaign_is_paused_resumed_and_cancelled_for_good(town: ApiTown, time: SteppingClock, chief: Clerk) -> None:
    opened = town.done(chief, "/campaigns", {"ending_by": str(near_the_end(town, time))})
    number = opened["number"]
    assert (opened["total"], opened["left"], opened["state"], opened["finish"]) == (2, 2, "running", None)
    assert town.done(chief, f"/campaigns/{number}/pause")["state"] == "paused"
    assert town.done(chief, f"/campaigns/{number}/resumption")["state"] == "running"
    ended = town.done(chief, f"/campaigns/{number}/cancellation")
    assert (ended["state"], ended["cancelled"], ended["left"]) == ("cancelled", 2, 0)
    assert town.post(chief, f"/campaigns/{number}/resumption").json["code"] == "campaign-cancelled"
    assert [each["number"] for each in told(town, chief, "/campaigns")["campaigns"]] == [number]
    assert town.get(chief, "/campaigns/77").json["code"] == "campaign-unknown"
    assert town.get(chief, "/campaigns/x").json["code"] == "campaign-number-malformed"


def test_what_failed_is_listed_in_pages_and_waits_again_after_a_retry(
    town: ApiTown, time: SteppingClock, chief: Clerk
) -> None:
    opened = town.done(chief, "/campaigns", {"ending_by": str(near_the_end(town, time))})
    number, book = opened["number"], town.rooms.store.campaigns
    serials: list[Serial] = []
    for _ in range(2):
        taken = book.take(CampaignId(number), 1, time())
        serials += taken.serials
        book.finish(CampaignId(number), taken, {}, dict.fromkeys(taken.serials, "request-missing"))
    first = told(town, chief, f"/campaigns/{number}/failures?limit=1")
    second = told(town, chief, f"/campaigns/{number}/failures?limit=1&cursor={first['next']}")
    assert [each["serial"] for each in first["failures"] + second["failures"]] == list(
        map(format_serial, sorted(serials))
    )
    assert first["failures"][0]["code"] == "request-missing"
    assert second["next"] is None
    again = town.done(chief, f"/campaigns/{number}/retry")
    assert (again["failed"], again["left"]) == (0, 2)


# --- the audit -----------------------------------------------------------------------------------------------------


def test_the_audit_is_read_from_its_end_in_pages_without_a_gap(town: ApiTown, auditor: Clerk) -> None:
    town.office.delivered()
    page = told(town, auditor, "/audit?limit=7")
    numbers = [each["number"] for each in page["lines"]]
    while page["next"] is not None:
        page = told(town, auditor, f"/audit?limit=7&cursor={page['next']}")
        numbers += [each["number"] for each in page["lines"]]
    assert numbers == list(range(numbers[0], 0, -1))


def test_the_audit_is_read_by_act_actor_and_day(town: ApiTown, time: SteppingClock, auditor: Clerk) -> None:
    town.office.delivered()
    front = town.office.front
    opened = told(town, auditor, "/audit?act=case%20opened")["lines"]
    assert [each["act"] for each in opened] == ["case opened"]
    assert opened[0]["words"] == ACTS[Act.CASE_OPENED].as_json()
    assert opened[0]["actor"] == f"{front.id}@{TOWN}"
    of_front = told(town, auditor, f"/audit?actor={front.id}")["lines"]
    assert of_front
    assert all(each["actor"].startswith(f"{front.id}@") for each in of_front)
    assert told(town, auditor, f"/audit?actor={front.id}0")["lines"] == []
    today = day_in_japan(time())
    time.advance(days=3)
    town.rooms.store.clerks.add("追加", {TOWN: frozenset({Role.RECEPTION})}, LOCAL_OPERATOR, time())
    then = told(town, auditor, f"/audit?act=case%20opened&day={today}")
    assert len(then["lines"]) == 1
    later = told(town, auditor, f"/audit?day={today + timedelta(days=3)}")
    assert "clerk added" in [each["act"] for each in later["lines"]]
    assert all(each["at"] >= iso(time() - timedelta(days=1)) for each in later["lines"])
    assert told(town, auditor, f"/audit?day={today + timedelta(days=1)}")["lines"] == []


def test_few_of_many_acts_come_in_pages_that_may_be_empty(
    town: ApiTown, auditor: Clerk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.store.audit_log._LOOKED_THROUGH", 5)
    page = told(town, auditor, "/audit?act=ceremony%20closed")
    pages, lines = 1, page["lines"]
    while page["next"] is not None:
        page = told(town, auditor, f"/audit?act=ceremony%20closed&cursor={page['next']}")
        pages, lines = pages + 1, lines + page["lines"]
    assert pages > 1
    assert [each["act"] for each in lines] == ["ceremony closed"]


def test_a_day_is_found_at_once_however_many_acts_came_after_it(
    town: ApiTown, time: SteppingClock, auditor: Clerk, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = day_in_japan(time())
    time.advance(days=4)
    for number in range(30):
        event = AuditEvent(at=time(), actor=LOCAL_OPERATOR, act=Act.TRUST_ADDED, subjects=(f"trust/{number}",))
        town.rooms.store.audit.record(event)
    town.rooms.notary.chain()
    monkeypatch.setattr("server.store.audit_log._LOOKED_THROUGH", 20)
    lines = told(town, auditor, f"/audit?day={day}")["lines"]
    assert lines
    assert all(each["act"] != "trust anchor added" for each in lines)
    assert told(town, auditor, f"/audit?day={day + timedelta(days=2)}") == {"lines": [], "next": None}


def test_an_erased_body_leaves_a_line_with_its_number_alone(town: ApiTown, auditor: Clerk) -> None:
    town.rooms.notary.chain()
    town.rooms.store.audit.erase(1)
    last = told(town, auditor, "/audit?cursor=2")["lines"]
    assert [(each["number"], each["at"], each["act"]) for each in last] == [(1, None, None)]
    assert told(town, auditor, "/audit?cursor=2&act=ceremony")["lines"] == []


def test_the_newest_head_is_shown_with_whether_it_holds(town: ApiTown, auditor: Clerk) -> None:
    town.rooms.notary.sign()
    chain = told(town, auditor, "/audit/chain")
    assert chain["head"]["holds"] is True
    assert chain["head"]["number"] <= chain["entries"]
    with town.rooms.store.database.writing() as connection:
        connection.exec_driver_sql(
            "UPDATE audit_chain SET hash = zeroblob(32) WHERE number = ?", (chain["head"]["number"],)
        )
    assert told(town, auditor, "/audit/chain")["head"]["holds"] is False


def test_the_whole_audit_is_checked_on_demand_and_a_change_found(
    town: ApiTown, auditor: Clerk, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.rooms.notary.sign()
    whole = town.done(auditor, "/audit/verification")
    assert (whole["whole"], whole["fault"]) == (True, None)
    assert whole["entries"] >= whole["sealed"] > 0
    with town.rooms.store.database.writing() as connection:
        connection.exec_driver_sql("UPDATE audit_body SET body = replace(body, 'local', 'nobody') WHERE number = 3")
    broken = town.done(auditor, "/audit/verification")
    assert (broken["whole"], broken["number"]) == (False, 3)
    assert broken["fault"]["ja"]
    monkeypatch.setattr("server.audit_reading.MOST_CHECKED", 2)
    refused = town.post(auditor, "/audit/verification")
    assert (refused.status_code, refused.json["code"]) == (413, "audit-too-long")


@pytest.mark.parametrize("most", [1, 2, 3, 2000])
def test_the_log_that_is_handed_out_is_the_one_that_is_exported(
    town: ApiTown, auditor: Clerk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("server.audit_reading.MOST_LINES", most)
    town.rooms.notary.export(tmp_path / "exported")
    town.office.opened()
    town.rooms.notary.chain()
    page = told(town, auditor, "/audit/lines")
    lines = page["lines"]
    while page["next"] is not None:
        page = told(town, auditor, f"/audit/lines?cursor={page['next']}")
        lines += page["lines"]
    file = tmp_path / "handed-out"
    file.write_text("".join(f"{line}\n" for line in lines))
    assert file.read_bytes() == (tmp_path / "exported").read_bytes()
    trust = Trust.of_certificates(
        each.certificate for each in town.rooms.store.generations.ever(Purpose.INFRASTRUCTURE)
    )
    assert verify(records(read_lines(file)), trust, {}).fault is None
    assert town.get(auditor, "/audit/lines?cursor=99999-0-").json["code"] == "cursor-malformed"


def test_every_act_has_words() -> None:
    assert set(ACTS) == set(Act)
    assert len({text.ja for text in ACTS.values()}) == len(Act)
    assert len({text.en for text in ACTS.values()}) == len(Act)


# --- counters and the house ----------------------------------------------------------------------------------------


def test_a_counter_is_added_and_closed_by_an_administrator(town: ApiTown, chief: Clerk) -> None:
    body = {"code": "po-9", "kind": "post-office", "name": "神田郵便局", "municipality": str(TOWN)}
    assert town.done(chief, "/counters", body)["state"] == "open"
    assert town.post(chief, "/counters", body).json["code"] == "counter-exists"
    assert town.done(chief, "/counters/po-9/closure")["state"] == "closed"
    assert town.post(chief, "/counters/none/closure").json["code"] == "counter-unknown"
    unfit = town.post(chief, "/counters", {"code": "po-8", "kind": "post-office", "name": "x"})
    assert (unfit.status_code, unfit.json["errors"][0]["pointer"]) == (422, "/municipality")
    online = town.post(chief, "/counters", {**body, "code": "po-8", "kind": "online"})
    assert (online.status_code, online.json["errors"][0]["pointer"]) == (422, "/kind")
    wrong = town.post(chief, "/counters", {**body, "code": "ü", "name": "a\nb"})
    assert {each["pointer"] for each in wrong.json["errors"]} == {"/code", "/name"}
    assert POST_OFFICE in [each["code"] for each in told(town, chief, "/counters")["counters"]]


def state_of(overview: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["state"] for each in overview["setup"]}


def test_the_setting_up_tells_what_is_missing_with_the_command(
    town: ApiTown, time: SteppingClock, auditor: Clerk
) -> None:
    overview = told(town, auditor, "/overview")
    assert state_of(overview) == {
        "registry": "missing",
        "tls": "unknown",
        "clerks": "done",
        "audit-anchor": "missing",
        "freshness": "done",
        "security-contact": "missing",
        "backup": "missing",
    }
    assert all(each["command"] and each["words"]["ja"] for each in overview["setup"])
    assert {each["purpose"] for each in overview["lists"]} == {"signing", "authentication"}
    assert all(each["number"] and each["next_update"] for each in overview["lists"])
    assert len(overview["responders"]) == 2
    event = AuditEvent(at=time(), actor=LOCAL_OPERATOR, act=Act.BACKUP_MADE, subjects=("backup",))
    town.rooms.store.audit.record(event)
    town.rooms.notary.chain()
    assert state_of(told(town, auditor, "/overview"))["backup"] == "done"
    time.advance(days=2)
    late = state_of(told(town, auditor, "/overview"))
    assert (late["backup"], late["freshness"]) == ("missing", "missing")


def test_two_clerks_with_different_roles_are_two(town: ApiTown, auditor: Clerk) -> None:
    store = town.rooms.store
    with store.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM clerk_role WHERE role IN ('reception', 'approval')")
    clerk_row(town.rooms, {TOWN: [Role.RECEPTION, Role.APPROVAL]})
    assert state_of(told(town, auditor, "/overview"))["clerks"] == "missing"
    clerk_row(town.rooms, {TOWN: [Role.APPROVAL]})
    assert state_of(told(town, auditor, "/overview"))["clerks"] == "done"


def test_the_authority_tells_of_keys_lists_and_ceremonies(town: ApiTown, auditor: Clerk) -> None:
    authority = told(town, auditor, "/authority")
    current = [each for each in authority["generations"] if each["is_current"]]
    assert {each["purpose"] for each in current} == {"signing", "authentication", "infrastructure"}
    assert all(each["key"]["attributes"]["storage"] == "software" for each in current)
    assert all(len(each["fingerprint"]) == 64 for each in current)
    assert authority["tokens"] == [{"name": "software", "works": True, "problem": None}]
    assert [(each["number"], each["kind"], each["closed"]) for each in authority["ceremonies"]] == [(1, "found", True)]


def test_a_key_that_is_away_is_told_with_why(town: ApiTown, auditor: Clerk) -> None:
    told(town, auditor, "/me")
    for file in town.rooms.home.keys.iterdir():
        file.unlink()
    town.rooms.keys.close()
    authority = told(town, auditor, "/authority")
    assert all(each["key"]["problem"]["ja"] for each in authority["generations"])
    assert [each["works"] for each in authority["tokens"]] == [False]
