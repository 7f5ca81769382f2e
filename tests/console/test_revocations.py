"""Revoking many at the console: what is named is tried out first, and a campaign is opened that others work on."""

import re
from datetime import timedelta

import pytest

from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clerk import EVERY_COUNTER, Clerk, Role
from jpki.clock import day_in_japan
from jpki.counter import CounterCode
from jpki.ids import Serial, format_serial
from jpki.revocation import Reason, State
from tests.conftest import SteppingClock
from tests.console.seats import Browser, logged_in
from tests.server.api_world import ApiTown
from tests.server.office_world import TOWN, Serials, clerk_row

UNKNOWN = "5e" * 16
SURVEY, OPEN = "/revocations/survey", "/revocations"


@pytest.fixture
def administrator(town: ApiTown) -> Clerk:
    return clerk_row(town.rooms, {EVERY_COUNTER: [Role.ADMINISTRATOR]})


@pytest.fixture
def chief(town: ApiTown, administrator: Clerk) -> Browser:
    return logged_in(Browser(town, administrator), "house")


def named(pair: Serials) -> list[str]:
    return [format_serial(pair[each]) for each in HOLDER_PURPOSES]


# --- the routes ----------------------------------------------------------------------------------------------------


def test_a_survey_tells_what_a_campaign_would_revoke_and_changes_nothing(
    town: ApiTown, administrator: Clerk, pair: Serials
) -> None:
    told = town.done(administrator, SURVEY, {"reason": "keyCompromise", "serials": [*named(pair), UNKNOWN]})
    assert told == {"authentication": 1, "signing": 1, "revoked": 0, "ended": 0, "unknown": [UNKNOWN]}
    assert town.rooms.store.campaigns.campaigns() == []


def test_certificates_are_chosen_by_how_they_were_issued(
    town: ApiTown, administrator: Clerk, pair: Serials, time: SteppingClock
) -> None:
    assert pair
    today = day_in_japan(time())
    generation = town.rooms.living(Purpose.SIGNING)[0].id
    for wish, signing in (
        ({"generation": generation}, 1),
        ({"generation": generation, "issued_from": f"{today}", "issued_until": f"{today}"}, 1),
        ({"generation": generation, "issued_from": f"{today + timedelta(days=1)}"}, 0),
        ({"generation": generation, "issued_until": f"{today - timedelta(days=1)}"}, 0),
    ):
        assert town.done(administrator, SURVEY, wish | {"reason": "cACompromise"})["signing"] == signing, wish


def test_a_campaign_is_opened_over_what_is_known_alone(town: ApiTown, administrator: Clerk, pair: Serials) -> None:
    wish = {"reason": "keyCompromise", "serials": named(pair)}
    unknown = town.post(administrator, OPEN, wish | {"serials": [*named(pair), UNKNOWN]})
    assert (unknown.status_code, unknown.json["code"]) == (404, "serials-unknown")
    opened = town.done(administrator, OPEN, wish)
    assert (opened["total"], opened["left"], opened["reason"]) == (2, 2, "keyCompromise")
    (campaign,) = town.rooms.store.campaigns.campaigns()
    assert campaign.id == opened["number"]
    assert {town.office.state(each) for each in pair.values()} == {State.ACTIVE}


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({}, "targets-unclear"),
        ({"serials": [UNKNOWN], "generation": "s1"}, "targets-unclear"),
        ({"serials": []}, "body-invalid"),
        ({"serials": ["ab cd"]}, "body-invalid"),
        ({"generation": "s99"}, "generation-unknown"),
        ({"municipality": "999999"}, "partition-unknown"),
    ],
    ids=["nothing", "both", "empty", "no serial", "generation", "municipality"],
)
def test_what_is_not_told_apart_is_refused(town: ApiTown, administrator: Clerk, wish: object, code: str) -> None:
    assert isinstance(wish, dict)
    for path in (SURVEY, OPEN):
        assert town.post(administrator, path, wish | {"reason": "superseded"}).json["code"] == code
    assert town.rooms.store.campaigns.campaigns() == []


def test_nobody_but_an_administrator_of_the_whole_house_revokes_many(town: ApiTown, pair: Serials) -> None:
    wish = {"reason": "keyCompromise", "serials": named(pair)}
    others: list[dict[CounterCode, list[Role]]] = [
        {EVERY_COUNTER: [role]} for role in Role if role is not Role.ADMINISTRATOR
    ]
    for roles in (*others, {TOWN: [Role.ADMINISTRATOR]}):
        clerk = clerk_row(town.rooms, roles)
        for path in (SURVEY, OPEN):
            answer = town.post(clerk, path, wish)
            assert (answer.status_code, answer.json["code"]) == (403, "role-missing"), roles
    assert town.rooms.store.campaigns.campaigns() == []


# --- the pages -----------------------------------------------------------------------------------------------------


def test_a_revocation_of_many_is_tried_out_and_then_opened(town: ApiTown, chief: Browser, pair: Serials) -> None:
    assert 'href="/console/revocations"' in chief.get("/campaigns").text
    assert chief.get("/revocations").status_code == 200
    fields = {"reason": "keyCompromise", "serials": "\n".join(named(pair))}
    tried = chief.post("/revocations", fields).text
    assert tried.count("1枚が失効します") == 2
    assert "2枚の一括失効を始める" in tried
    assert town.rooms.store.campaigns.campaigns() == []
    back = chief.post("/revocations", fields | {"to": "begin"}).text
    assert named(pair)[0] in back
    answer = chief.post("/revocations", fields | {"to": "do"})
    (campaign,) = town.rooms.store.campaigns.campaigns()
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/console/campaigns/{campaign.id}")
    assert f"失効（{Reason.KEY_COMPROMISE.text.ja}）" in chief.get(f"/campaigns/{campaign.id}").text
    assert "jpki campaign run 1" in chief.get(f"/campaigns/{campaign.id}").text


def test_what_is_unknown_or_missing_is_said_and_nothing_can_be_begun(
    town: ApiTown, chief: Browser, pair: Serials
) -> None:
    unknown = chief.post("/revocations", {"reason": "keyCompromise", "serials": f"{named(pair)[0]} {UNKNOWN}"})
    assert "この認証局にない発行番号が1件あります。" in unknown.text
    assert 'value="do"' not in unknown.text
    for fields in ({"serials": named(pair)[0]}, {"reason": "keyCompromise"}, {"reason": "superseded", "serials": "x"}):
        answer = chief.post("/revocations", fields)
        assert answer.status_code == 422
        assert re.search(r'role="alert"', answer.text)
        assert chief.post("/revocations", fields | {"to": "do"}).status_code == 422
    assert town.rooms.store.campaigns.campaigns() == []


def test_an_auditor_is_led_to_no_revocation(town: ApiTown) -> None:
    auditor = logged_in(Browser(town, clerk_row(town.rooms, {EVERY_COUNTER: [Role.AUDITOR]})), "house")
    assert "/console/revocations" not in auditor.get("/campaigns").text
    for answer in (auditor.get("/revocations"), auditor.post("/revocations", {"to": "begin"})):
        assert answer.status_code == 403


def test_certificates_that_are_revoked_already_need_it_no_more(
    town: ApiTown, administrator: Clerk, pair: Serials
) -> None:
    serial: Serial = pair[Purpose.SIGNING]
    town.rooms.desk.authority.revoke(serial, Reason.KEY_COMPROMISE, administrator.actor(None))
    told = town.done(administrator, SURVEY, {"reason": "keyCompromise", "serials": named(pair)})
    assert (told["signing"], told["authentication"], told["revoked"]) == (0, 1, 1)
