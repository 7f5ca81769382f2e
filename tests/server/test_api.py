"""The office's API: who may what, and how it answers."""

import base64
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from enroll.console.session import Session
from enroll.http import make_blueprint
from enroll.routes import Scope
from enroll.table import ROUTES
from jpki.acts import LOCAL_OPERATOR
from jpki.case import CaseState, parse_case_number
from jpki.clerk import EVERY_COUNTER, ClerkState, Role
from jpki.clock import day_in_japan, iso, system_clock
from jpki.counter import CounterCode
from jpki.ids import Serial, format_serial
from jpki.resident_event import EventState
from server.gate import MOST_REFUSALS
from server.store import tables
from tests.conftest import SteppingClock
from tests.server.api_world import V1, ApiTown, api_at, header_of
from tests.server.conftest import copied
from tests.server.office_world import HANA, OTHER_TOWN, TOWN, clerk_row, resident_of

NEW = {"kind": "new", "counter": TOWN, "holder": HANA, "purposes": ["signing", "authentication"]}
NOBODYS = "261127-0000-000Y"


@pytest.fixture
def time() -> SteppingClock:
    return SteppingClock(system_clock())


@pytest.fixture
def town(new_home: Path, tmp_path: Path, time: SteppingClock) -> Iterator[ApiTown]:
    with api_at(copied(new_home, tmp_path / "home"), time) as opened:
        opened.office.register.enter(resident_of())
        yield opened


def issued(town: ApiTown) -> tuple[str, dict[str, Any]]:
    front, second = town.office.front, town.office.second
    number = town.done(front, "/cases", NEW)["number"]
    town.done(front, f"/cases/{number}/identity-check", {"card": town.card()})
    town.done(second, f"/cases/{number}/approval")
    return number, town.done(front, f"/cases/{number}/issuance", {"requests": town.requests()})


def delivered(town: ApiTown) -> dict[str, x509.Certificate]:
    number, told = issued(town)
    assert town.done(town.office.front, f"/cases/{number}/delivery")["state"] == "delivered"
    return {name: x509.load_der_x509_certificate(base64.b64decode(each)) for name, each in told["certificates"].items()}


# --- permissions ---------------------------------------------------------------------------------------------------

PERMISSIONS = """
GET  /me                             reception approval administrator auditor register  anywhere
GET  /counters                       reception approval administrator auditor register  anywhere
GET  /counters/<code>                reception approval administrator auditor register  anywhere
GET  /clerks                         administrator auditor                     everywhere
POST /clerks/<id>/suspension         administrator                             everywhere
POST /clerks/<id>/resumption         administrator                             everywhere
POST /cases                          reception                                 body
GET  /cases                          reception approval auditor                query
GET  /cases/<number>                 reception approval auditor                case
GET  /cases/<number>/certificates    reception approval auditor                case
GET  /cases/<number>/effects         reception approval auditor                case
POST /cases/<number>/resident        reception approval                        case
GET  /cases/<number>/possibilities   reception approval                        case
POST /cases/<number>/amendment       reception                                 case
POST /cases/<number>/card            reception                                 case
POST /cases/<number>/identity-check  reception                                 case
POST /cases/<number>/approval        approval                                  case
POST /cases/<number>/issuance        reception                                 case
POST /cases/<number>/delivery        reception                                 case
POST /cases/<number>/completion      reception                                 case
POST /cases/<number>/refusal         approval                                  case
POST /cases/<number>/cancellation    reception                                 case
POST /cases/<number>/return          approval                                  case
POST /cases/<number>/take-over       reception                                 body
GET  /terminal                       reception                                 anywhere
POST /effects                        reception                                 body
POST /search                         reception approval auditor                anywhere
GET  /certificates/<serial>          reception approval auditor                anywhere
GET  /certificates/<serial>/timeline reception approval auditor                anywhere
GET  /certificates/<serial>/details  reception approval auditor                anywhere
GET  /certificates/<serial>/answer   reception approval auditor                anywhere
GET  /holders/<code>/certificates    reception approval auditor                anywhere
GET  /holders/<code>/history         reception approval auditor                anywhere
POST /holders/<code>/suspension      reception                                 body
POST /resident-events                register                                  body
GET  /resident-events                reception approval auditor                query
POST /resident-events/<event>/settlement  approval                             body
GET  /overview                       administrator auditor                     everywhere
GET  /authority                      administrator auditor                     everywhere
GET  /forecast                       administrator auditor                     everywhere
POST /revocations/survey             administrator                             everywhere
POST /revocations                    administrator                             everywhere
GET  /campaigns                      administrator auditor                     everywhere
POST /campaigns                      administrator                             everywhere
GET  /campaigns/<campaign>           administrator auditor                     everywhere
GET  /campaigns/<campaign>/failures  administrator auditor                     everywhere
POST /campaigns/<campaign>/pause     administrator                             everywhere
POST /campaigns/<campaign>/resumption administrator                            everywhere
POST /campaigns/<campaign>/cancellation administrator                          everywhere
POST /campaigns/<campaign>/retry     administrator                             everywhere
GET  /audit                          administrator auditor                     everywhere
GET  /audit/chain                    administrator auditor                     everywhere
POST /audit/verification             administrator auditor                     everywhere
GET  /audit/lines                    administrator auditor                     everywhere
POST /counters                       administrator                             everywhere
POST /counters/<code>/closure        administrator                             everywhere
"""
"""Written down once more, by hand: who changes the table of routes changes this on purpose."""
TABLE = [line.split() for line in PERMISSIONS.strip().splitlines()]


def test_the_routes_are_those_that_were_agreed_upon() -> None:
    found = {(each.method, each.path): (each.permission.roles, each.permission.scope) for each in ROUTES}
    assert found == {
        (method, path): (frozenset(map(Role, roles)), Scope(scope)) for method, path, *roles, scope in TABLE
    }


BODIES: dict[str, Any] = {
    "/cases": NEW,
    "/cases/<number>/amendment": {"purposes": ["authentication"]},
    "/cases/<number>/card": {"number": "c-1", "not_after": "2099-12-31T23:59:59+09:00", "mode": "ordinary"},
    "/effects": NEW,
    "/cases/<number>/issuance": {"requests": {"signing": "AAAA"}},
    "/cases/<number>/refusal": {"ground": "not-eligible"},
    "/cases/<number>/take-over": {"counter": TOWN},
    "/search": {"identifier": "H-0"},
    "/holders/<code>/suspension": {"counter": TOWN},
    "/resident-events": {"counter": TOWN, "events": [{}]},
    "/resident-events/<event>/settlement": {"counter": TOWN, "state": "done", "because": "nothing-to-end"},
    "/revocations/survey": {"reason": "keyCompromise", "generation": "s1"},
    "/revocations": {"reason": "keyCompromise", "generation": "s1"},
    "/campaigns": {"ending_by": "2026-12-31"},
    "/counters": {"code": "po-7", "kind": "post-office", "name": "駅前", "municipality": str(TOWN)},
}
QUERIES = {
    "/cases": f"?counter={TOWN}",
    "/resident-events": f"?counter={TOWN}",
    "/forecast": "?ending_by=2026-12-31",
}


@pytest.mark.slow
def test_every_route_with_every_role_at_every_counter(town: ApiTown, time: SteppingClock) -> None:
    clerks = {
        (role, place): clerk_row(town.rooms, {place: [role]})
        for role in Role
        for place in (TOWN, OTHER_TOWN, EVERY_COUNTER)
    }
    number = town.done(town.office.front, "/cases", NEW)["number"]
    names = {
        "<event>": "1",
        "<campaign>": "1",
        "<number>": number,
        "<code>": HANA,
        "<id>": "clerk-1",
        "<serial>": "f" * 32,
    }
    for method, path, *roles, scope in TABLE:
        concrete = path
        for name, value in names.items():
            concrete = concrete.replace(name, value)
        for (role, place), clerk in clerks.items():
            time.advance(minutes=3)
            if method == "POST":
                answer = town.post(clerk, concrete, BODIES.get(path, {}))
            else:
                answer = town.get(clerk, concrete + QUERIES.get(path, ""))
            here = {"anywhere": True, "everywhere": place == EVERY_COUNTER}.get(scope, place != OTHER_TOWN)
            may = role in roles and here
            refused = answer.status_code == 403 and answer.json["code"] == "role-missing"
            assert refused is not may, (method, path, role, place, answer.text)
            if path.endswith(("suspension", "resumption")) and may and "clerks" in path:
                town.rooms.store.clerks.change(town.office.front.id, ClerkState.ACTIVE, LOCAL_OPERATOR, time())


def test_a_route_without_a_permission_cannot_be_written() -> None:
    with pytest.raises(TypeError):
        type(ROUTES[0])(method="GET", path="/", summary=ROUTES[0].summary, tells=ROUTES[0].tells, act=ROUTES[0].act)  # type: ignore[call-arg]
    assert make_blueprint.__annotations__["routes"]


# --- who is at the door ----------------------------------------------------------------------------------------------


def test_without_a_certificate_there_is_nothing_here_but_the_description(town: ApiTown) -> None:
    client = town.client
    for route in ROUTES:
        path = V1 + route.path.replace("<", "").replace(">", "")
        answer = client.open(path, method=route.method, json={} if route.method == "POST" else None)
        assert (answer.status_code, answer.json["code"]) == (401, "client-certificate-missing")
    assert client.get(f"{V1}/openapi.json").json["openapi"] == "3.1.0"
    page = client.get("/api/docs")
    assert page.status_code == 200
    assert "<script" not in page.text
    assert all(route.path.replace("<", "&lt;").replace(">", "&gt;") in page.text for route in ROUTES)


def test_the_first_administrator_is_a_clerk(town: ApiTown) -> None:
    known = {each.id: each for each in town.rooms.store.clerks.clerks()}
    assert dict(known["administrator-1"].roles) == {EVERY_COUNTER: {Role.ADMINISTRATOR}}  # type: ignore[index]


def test_rfc_9440_the_header_is_believed_from_the_proxy_and_refused_from_anyone_else(town: ApiTown) -> None:
    shown = dict(town.headers(town.office.front))
    client = town.client
    assert client.get(f"{V1}/me", headers=shown).json["id"] == town.office.front.id
    stranger = client.get(f"{V1}/me", headers=shown, environ_overrides={"REMOTE_ADDR": "192.0.2.7"})
    assert (stranger.status_code, stranger.json["code"]) == (400, "client-cert-untrusted")
    elsewhere = client.get("/ca/signing.cer", headers=shown, environ_overrides={"REMOTE_ADDR": "192.0.2.7"})
    assert elsewhere.status_code == 400


@pytest.mark.parametrize(
    "field", ["", ":", "::", "AAAA", ":AAAA:", ":%%%%:", "other-root", "ended"], ids=lambda each: each or "empty"
)
def test_rfc_9440_what_the_proxy_tells_is_checked_again(town: ApiTown, time: SteppingClock, field: str) -> None:
    headers = {"Client-Cert": field}
    if field == "ended":
        headers = dict(town.headers(town.office.front))
        time.advance(days=366)
    if field == "other-root":
        serial = x509.load_der_x509_certificate(
            base64.b64decode(town.headers(town.office.front)["Client-Cert"].strip(":"))
        ).serial_number
        headers = header_of(self_signed(serial))
    answer = town.client.get(f"{V1}/me", headers=headers)
    assert (answer.status_code, answer.json["code"]) == (400, "client-cert-malformed")


def test_rfc_9440_what_was_verified_counts_for_a_minute_and_not_for_another_certificate(
    town: ApiTown, time: SteppingClock
) -> None:
    shown = dict(town.headers(town.office.front))
    for _ in range(2):
        assert town.client.get(f"{V1}/me", headers=shown).json["id"] == town.office.front.id
    with town.rooms.store.database.writing() as connection:
        gone = tables.generation.update().values(compromised_at=time(), issue_until=time())
        connection.execute(gone.where(tables.generation.c.purpose == "infrastructure"))
    assert town.client.get(f"{V1}/me", headers=shown).status_code == 200
    other = header_of(client_certificate_of_nobody(town))
    assert town.client.get(f"{V1}/me", headers=other).json["code"] == "client-cert-malformed"
    time.advance(seconds=61)
    assert town.client.get(f"{V1}/me", headers=shown).json["code"] == "client-cert-malformed"


def client_certificate_of_nobody(town: ApiTown) -> x509.Certificate:
    certificate = x509.load_der_x509_certificate(
        base64.b64decode(town.headers(town.office.front)["Client-Cert"].strip(":"))
    )
    return self_signed(certificate.serial_number)


def self_signed(serial: int) -> x509.Certificate:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "clerk-2")])
    now = system_clock()
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    dated = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    return dated.serial_number(serial).sign(key, SHA256())


def test_a_verifiers_certificate_is_no_clerks(town: ApiTown) -> None:
    nobody = clerk_row(town.rooms, {TOWN: [Role.RECEPTION]})
    shown = dict(town.headers(nobody))
    with town.rooms.store.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM clerk_certificate")
    answer = town.client.get(f"{V1}/me", headers=shown)
    assert (answer.status_code, answer.json["code"]) == (403, "clerk-unknown")


def test_a_suspended_clerk_is_refused_from_the_next_request_on(town: ApiTown) -> None:
    administrator = clerk_row(town.rooms, {EVERY_COUNTER: [Role.ADMINISTRATOR]})
    front = town.office.front
    assert town.get(front, "/me").status_code == 200
    town.done(administrator, f"/clerks/{front.id}/suspension")
    assert town.get(front, "/me").json["code"] == "clerk-suspended"
    town.done(administrator, f"/clerks/{front.id}/resumption")
    assert town.get(front, "/me").status_code == 200


def test_who_is_refused_too_often_is_locked_out_for_a_while(town: ApiTown, time: SteppingClock) -> None:
    other = town.office.elsewhere
    number = town.done(town.office.front, "/cases", NEW)["number"]
    for _ in range(MOST_REFUSALS):
        assert town.get(other, f"/cases/{number}").json["code"] == "role-missing"
    locked = town.get(other, "/me")
    assert (locked.status_code, locked.json["code"], locked.headers["Retry-After"]) == (429, "locked-out", "60")
    assert town.get(town.office.front, "/me").status_code == 200
    time.advance(minutes=2)
    assert town.get(other, "/me").status_code == 200


def test_whoever_serves_people_who_are_not_eligible_is_not_locked_out(town: ApiTown) -> None:
    town.office.register.change(HANA, is_ward=True)
    number = town.done(town.office.front, "/cases", NEW)["number"]
    for _ in range(MOST_REFUSALS + 1):
        answer = town.post(town.office.front, f"/cases/{number}/identity-check", {"card": town.card()})
        assert answer.json["code"] == "not-eligible"


# --- how it answers --------------------------------------------------------------------------------------------------


def test_a_case_from_the_counter_to_the_certificates(town: ApiTown) -> None:
    certificates = delivered(town)
    serial = format_serial(certificates["signing"].serial_number)  # type: ignore[arg-type]
    told = town.get(town.office.front, f"/certificates/{serial}").json
    assert (told["state"], told["holder"], told["is_expired"]) == ("active", HANA, False)
    assert certificates["signing"].not_valid_after_utc <= certificates["authentication"].not_valid_after_utc


def test_before_the_check_a_clerk_sees_what_the_register_answers_and_which_kinds_are_possible(town: ApiTown) -> None:
    town.office.register.change(HANA, is_ward=True)
    front = town.office.front
    number = town.done(front, "/cases", NEW)["number"]
    assert town.done(front, f"/cases/{number}/resident")["is_ward"] is True
    signing, authentication = town.get(front, f"/cases/{number}/possibilities").json["possibilities"]
    assert (authentication["purpose"], authentication["is_possible"]) == ("authentication", True)
    assert (signing["purpose"], signing["is_possible"], authentication["broken"]) == ("signing", False, [])
    (rule,) = signing["broken"]
    assert rule["code"] == "ward-no-signing"
    assert all(rule[part][language] for part in ("problem", "source") for language in ("ja", "en"))
    assert town.done(front, f"/cases/{number}/amendment", {"purposes": ["authentication"]})["state"] == "received"
    assert town.done(front, f"/cases/{number}/card", town.card())["card"]["number"] == "card-1"
    assert town.done(front, f"/cases/{number}/identity-check")["purposes"] == ["authentication"]


def test_the_terminal_learns_what_to_do_for_the_case_that_lies_before_its_clerk(
    town: ApiTown, time: SteppingClock
) -> None:
    front, sessions = town.office.front, town.rooms.store.console_sessions
    nothing: dict[str, object] = {
        "case": None,
        "kind": None,
        "state": None,
        "purposes": [],
        "card": None,
        "wants": None,
    }
    assert town.get(front, "/terminal").json == nothing
    case = town.done(front, "/cases", NEW)
    for clerk in (front, town.office.elsewhere):
        session = Session(
            id=clerk.id.encode(), clerk=clerk.id, counter=TOWN, at_hand=None, began_at=time(), seen_at=time()
        )
        sessions.begin(session)
        sessions.lay(session.id, parse_case_number(case["number"]))
    told = {"case": case["number"], "kind": "new", "state": "received", "purposes": ["signing", "authentication"]}
    assert town.get(front, "/terminal").json == told | {"card": None, "wants": "card"}
    assert town.get(town.office.elsewhere, "/terminal").json == nothing
    town.done(front, f"/cases/{case['number']}/card", town.card())
    assert town.get(front, "/terminal").json == told | {"card": "card-1", "wants": None}
    time.advance(minutes=16)
    assert town.get(front, "/terminal").json == nothing


def test_wrong_fields_are_told_by_pointer_in_both_languages_and_never_repeated(town: ApiTown) -> None:
    body = {"kind": "newest", "holder": "1" * 12, "purposes": [], "express": {"ground": "x"}, "日本花子": 1}
    answer = town.post(town.office.front, "/cases", body)
    assert (answer.status_code, answer.json["code"]) == (422, "body-invalid")
    pointers = {each["pointer"] for each in answer.json["errors"]}
    assert pointers == {"/kind", "/counter", "/holder", "/purposes", "/express/ground", "/express/happened_on", ""}
    assert all(each["problem"]["ja"] and each["problem"]["en"] for each in answer.json["errors"])
    assert "日本花子" not in answer.text
    assert "newest" not in answer.text


@pytest.mark.parametrize(
    ("octets", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "body-malformed"),
        (b"[]", "application/json", 400, "body-malformed"),
        (b"{}", "text/plain", 400, "json-expected"),
        (b" " * 65_537, "application/json", 413, "body-too-large"),
    ],
    ids=["cut", "list", "text", "large"],
)
def test_what_is_no_json_object_is_refused(town: ApiTown, octets: bytes, kind: str, status: int, code: str) -> None:
    headers = dict(town.headers(town.office.front))
    answer = town.client.post(f"{V1}/cases", data=octets, content_type=kind, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (status, code)


def test_all_reasons_of_ineligibility_are_told(town: ApiTown) -> None:
    town.office.register.enter(resident_of(HANA, 14, town.office.now, is_ward=True))
    number = town.done(town.office.front, "/cases", NEW)["number"]
    answer = town.post(town.office.front, f"/cases/{number}/identity-check", {"card": town.card()})
    assert (answer.status_code, answer.json["code"]) == (403, "not-eligible")
    assert [each["code"] for each in answer.json["errors"]] == ["too-young", "minor-without-parent", "ward-no-signing"]


def test_r04_a_key_repeats_the_reply_and_nothing_else(town: ApiTown, time: SteppingClock) -> None:
    front = town.office.front
    first, again = town.done(front, "/cases", NEW, "open-1"), town.done(front, "/cases", NEW, "open-1")
    assert first == again
    other = town.post(front, "/cases", NEW | {"purposes": ["signing"]}, "open-1")
    assert (other.status_code, other.json["code"]) == (422, "idempotency-key-reused")
    elsewhere = {**NEW, "counter": OTHER_TOWN}
    assert town.done(town.office.elsewhere, "/cases", elsewhere, "open-1")["number"] != first["number"]
    time.advance(hours=25)
    assert town.done(front, "/cases", NEW, "open-1")["number"] != first["number"]


def test_r04_a_refusal_is_not_kept_under_its_key(town: ApiTown) -> None:
    number = town.done(town.office.front, "/cases", NEW)["number"]
    path, body = f"/cases/{number}/identity-check", {"card": town.card()}
    town.office.register.away = True
    away = town.post(town.office.front, path, body, "check-1")
    assert (away.status_code, away.json["code"], away.headers["Retry-After"]) == (503, "registry-away", "5")
    town.office.register.away = False
    assert town.done(town.office.front, path, body, "check-1")["state"] == "identity-checked"


@pytest.mark.parametrize("key", ["", "a b", "x" * 65, "日"], ids=["empty", "space", "long", "kanji"])
def test_a_key_is_a_short_word(town: ApiTown, key: str) -> None:
    answer = town.post(town.office.front, "/cases", NEW, key.encode().decode("latin-1"))
    assert (answer.status_code, answer.json["code"]) == (400, "idempotency-key-malformed")


def test_open_cases_come_in_pages(town: ApiTown) -> None:
    numbers = {town.done(town.office.front, "/cases", NEW)["number"] for _ in range(5)}
    seen: list[str] = []
    path = f"/cases?counter={TOWN}&limit=2"
    page = town.get(town.office.front, path).json
    while True:
        seen += [each["number"] for each in page["cases"]]
        if page["next"] is None:
            break
        page = town.get(town.office.front, f"{path}&cursor={page['next']}").json
    assert len(seen) == 5
    assert set(seen) == numbers


def test_open_cases_in_one_state_come_in_pages_of_their_own(town: ApiTown) -> None:
    numbers = [town.done(town.office.front, "/cases", NEW)["number"] for _ in range(4)]
    for each in numbers[:3]:
        town.done(town.office.front, f"/cases/{each}/identity-check", {"card": town.card()})
    path = f"/cases?counter={TOWN}&limit=2&state=identity-checked"
    page = town.get(town.office.front, path).json
    rest = town.get(town.office.front, f"{path}&cursor={page['next']}").json
    assert [each["number"] for each in (*page["cases"], *rest["cases"])] == sorted(numbers[:3])
    assert rest["next"] is None
    (received,) = town.get(town.office.front, f"/cases?counter={TOWN}&state=received").json["cases"]
    assert received["number"] == numbers[3]


def test_a_state_to_list_is_an_open_one(town: ApiTown) -> None:
    for state in CaseState:
        status = town.get(town.office.front, f"/cases?counter={TOWN}&state={state}").status_code
        assert status == (422 if state.is_closed else 200), state


def test_one_search_finds_by_any_identifier(town: ApiTown) -> None:
    certificates = delivered(town)
    signing = certificates["signing"]
    serial = format_serial(Serial(signing.serial_number))
    fingerprint = signing.fingerprint(SHA256()).hex()
    number = town.rooms.store.cases.of_holder(HANA)[0].number
    notations = {
        "32 digits": f"0x{serial}",
        "colons": ":".join(serial[index : index + 2] for index in range(0, 32, 2)),
        "decimal": str(signing.serial_number),
        "fingerprint": fingerprint,
        "fingerprint, colons": ":".join(fingerprint[index : index + 2] for index in range(0, 64, 2)).upper(),
    }
    for how, identifier in notations.items():
        found = town.done(town.office.front, "/search", {"identifier": identifier})
        assert [each["serial"] for each in found["certificates"]] == [serial], how
    found = town.done(town.office.front, "/search", {"identifier": HANA})
    assert {each["serial"] for each in found["certificates"]} == {
        format_serial(Serial(each.serial_number)) for each in certificates.values()
    }
    assert [each["number"] for each in found["cases"]] == [number]
    spoken = number.replace("-", " ").lower()
    assert town.done(town.office.front, "/search", {"identifier": spoken})["cases"][0]["case"]["number"] == number
    other = town.done(town.office.elsewhere, "/search", {"identifier": number})["cases"]
    assert other == [{"number": number, "counter": TOWN, "case": None}]


def test_a_case_number_with_one_wrong_character_is_none(town: ApiTown) -> None:
    number = town.done(town.office.front, "/cases", NEW)["number"]
    wrong = number[:-1] + ("A" if number[-1] != "A" else "B")
    assert town.get(town.office.front, f"/cases/{wrong}").json["code"] == "case-number-malformed"


def test_a_holders_history_tells_all_in_words_and_in_pages(town: ApiTown) -> None:
    delivered(town)
    town.done(town.office.front, f"/holders/{HANA}/suspension", {"counter": TOWN})
    whole = town.get(town.office.front, f"/holders/{HANA}/history").json
    told = [(each["what"], each["words"]["en"]) for each in whole["entries"]]
    assert ("status", "It came to life.") in told
    assert ("status", "It was put on hold.") in told
    assert ("case", f"The counter {TOWN} took a case: new certificates.") in told
    assert ("case", "The case (hold) is done.") in told
    entries, path = [], f"/holders/{HANA}/history?limit=3"
    page = town.get(town.office.front, path).json
    entries += page["entries"]
    while page["next"] is not None:
        page = town.get(town.office.front, f"{path}&cursor={page['next']}").json
        entries += page["entries"]
    assert entries == whole["entries"]


def test_every_look_at_a_holder_is_in_the_audit(town: ApiTown) -> None:
    delivered(town)
    before = looks(town)
    town.get(town.office.front, f"/holders/{HANA}/history")
    town.done(town.office.front, "/search", {"identifier": HANA})
    assert looks(town) == before + 2


def looks(town: ApiTown) -> int:
    with town.rooms.store.database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT body FROM audit_outbox").scalars()
        return sum("holder looked up" in body for body in rows)


def test_overdue_express_cases_come_first_and_tell_their_last_day(town: ApiTown, time: SteppingClock) -> None:
    front, express = town.office.front, {"express": {"ground": "returnee", "happened_on": str(day_in_japan(time()))}}
    late = town.done(front, "/cases", NEW | express)
    assert late["due"] == str(day_in_japan(time()) + timedelta(days=7))
    ordinary = [town.done(front, "/cases", NEW)["number"] for _ in range(2)]
    time.advance(days=7)
    assert town.rooms.store.cases.express_overdue(time()) == 0
    time.advance(days=1)
    assert town.rooms.store.cases.express_overdue(time()) == 1
    today = {"express": {"ground": "returnee", "happened_on": str(day_in_japan(time()))}}
    soon = town.done(front, "/cases", NEW | today)["number"]
    seen, cursor = [], ""
    while True:
        page = town.get(front, f"/cases?counter={TOWN}&limit=1{cursor}").json
        seen += [each["number"] for each in page["cases"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == [late["number"], *sorted([*ordinary, soon])]
    town.done(front, f"/cases/{late['number']}/cancellation")
    assert town.rooms.store.cases.express_overdue(time()) == 0


# --- what registers tell -------------------------------------------------------------------------------------------


def event(sequence: int, **changes: object) -> dict[str, object]:
    fields = {"source": TOWN, "sequence": sequence, "kind": "moved", "holder": HANA}
    return fields | {"effective_at": "2026-11-27T00:00:00+09:00"} | changes


def test_a_towns_system_tells_of_its_residents_in_order_and_again_without_effect(town: ApiTown) -> None:
    system = clerk_row(town.rooms, {TOWN: [Role.REGISTER]})
    serials = delivered(town)
    now = town.rooms.clock() + timedelta(seconds=1)
    body = {"counter": TOWN, "events": [event(2, effective_at=iso(now)), event(3, holder="H-0"), event(0), {"日": 1}]}
    told = town.done(system, "/resident-events", body, "told-1")
    assert {name: told[name] for name in ("new", "repeated", "contradicting")} == {
        "new": 2,
        "repeated": 0,
        "contradicting": 0,
    }
    assert [(each["number"], each["code"]) for each in told["wrong"]] == [(3, "event-invalid"), (4, "event-malformed")]
    assert "日" not in json.dumps(told["wrong"][1]["problem"]["en"])
    assert town.done(system, "/resident-events", body)["repeated"] == 2
    town.rooms.clock.advance(seconds=2)  # type: ignore[attr-defined]
    while town.rooms.events.work()[1]:
        pass
    signing = format_serial(Serial(serials["signing"].serial_number))
    assert town.get(town.office.front, f"/certificates/{signing}").json["reason"] == "affiliationChanged"


def test_a_town_tells_of_no_other_towns_residents(town: ApiTown) -> None:
    system = clerk_row(town.rooms, {TOWN: [Role.REGISTER]})
    body = {"counter": TOWN, "events": [event(1, source=OTHER_TOWN)]}
    (wrong,) = town.done(system, "/resident-events", body)["wrong"]
    assert wrong["code"] == "source-foreign"
    assert town.post(system, "/resident-events", body | {"counter": OTHER_TOWN}).json["code"] == "role-missing"
    assert town.rooms.store.events.sources() == []


def doubtful(town: ApiTown, *sources: str) -> list[int]:
    """Hand in an event of each source about somebody whom nobody knows; return their numbers on the work list."""
    for source in sources:
        system = clerk_row(town.rooms, {CounterCode(source): [Role.REGISTER]})
        body = {"counter": source, "events": [event(1, source=source, holder="H-0")]}
        town.done(system, "/resident-events", body)
    while town.rooms.events.work()[1]:
        pass
    return [each.number for each in town.rooms.store.events.listed(EventState.REFUSED, 0, 10)]


def test_a_counter_sees_its_own_work_list_in_pages_and_settles_it_by_a_closed_list(town: ApiTown) -> None:
    own, foreign = doubtful(town, TOWN, OTHER_TOWN)
    front = town.office.front
    listed = town.get(front, f"/resident-events?counter={TOWN}").json
    assert [(each["number"], each["doubt"]) for each in listed["events"]] == [(own, "holder-unknown")]
    assert all(listed["events"][0]["words"].values())
    assert town.get(front, "/resident-events").json["code"] == "role-missing"
    everywhere = clerk_row(town.rooms, {EVERY_COUNTER: [Role.APPROVAL]})
    first = town.get(everywhere, "/resident-events?limit=1").json
    second = town.get(everywhere, f"/resident-events?limit=1&cursor={first['next']}").json
    assert [each["number"] for page in (first, second) for each in page["events"]] == [own, foreign]
    assert second["next"] is None
    settle = {"counter": TOWN, "state": "ignored", "because": "told-in-error"}
    wrong = town.post(front, f"/resident-events/{own}/settlement", settle | {"because": "telephoned"})
    assert [each["pointer"] for each in wrong.json["errors"]] == ["/because"]
    assert town.post(front, f"/resident-events/{foreign}/settlement", settle).json["code"] == "event-unknown"
    settled = town.done(front, f"/resident-events/{own}/settlement", settle)
    assert (settled["state"], settled["because"]) == ("ignored", "told-in-error")
    again = town.post(front, f"/resident-events/{own}/settlement", settle)
    assert (again.status_code, again.json["code"]) == (409, "event-not-in-doubt")
    ignored = town.get(front, f"/resident-events?counter={TOWN}&state=ignored").json["events"]
    assert [each["because"] for each in ignored] == ["told-in-error"]
    assert town.post(front, "/resident-events/x/settlement", settle).json["code"] == "event-number-malformed"


# --- rule R21 ------------------------------------------------------------------------------------------------------


def test_r21_no_attribute_is_in_any_log_error_metric_or_answer_but_the_one_that_is_asked_for_it(
    town: ApiTown, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    canaries = {"name": "黄色　金糸雀", "address": "東京都千代田区金糸雀町９９番地"}
    substitutes = {f"{name}_substitutes": "0" * len(value) for name, value in canaries.items()}
    town.office.register.change(HANA, **canaries, **substitutes)
    answers: list[str] = []
    with caplog.at_level(logging.DEBUG):
        number, told = issued(town)
        front = town.office.front
        shown = town.done(front, f"/cases/{number}/resident")
        assert shown["name"] == canaries["name"]
        town.office.register.change(HANA, address="東京都千代田区金糸雀町１番地")
        told_otherwise = (
            town.post(front, f"/cases/{number}/delivery"),
            town.get(front, f"/cases/{number}"),
            town.get(front, f"/holders/{HANA}/history"),
            town.post(front, "/search", {"identifier": canaries["name"]}),
            town.post(front, "/cases", NEW | {"holder": canaries["name"]}),
            town.post(front, "/cases", {canaries["name"]: canaries["address"]}),
            town.get(front, f"/holders/{canaries['name']}/certificates"),
            town.get(front, f"/cases?counter={TOWN}"),
            town.client.get("/metrics"),
        )
        answers.extend(answer.text for answer in told_otherwise)
    assert json.dumps(told["certificates"])
    printed = capsys.readouterr()
    with town.rooms.store.database.reading() as connection:
        audited = "".join(connection.exec_driver_sql("SELECT body FROM audit_outbox").scalars())
    for canary in ("金糸雀", "黄色", *(json.dumps(each)[1:-1] for each in canaries.values())):
        for text in (*answers, caplog.text, printed.out, printed.err, audited):
            assert canary not in text


def test_r21_a_clerks_name_is_in_no_audit(town: ApiTown) -> None:
    delivered(town)
    with town.rooms.store.database.reading() as connection:
        audited = "".join(connection.exec_driver_sql("SELECT body FROM audit_outbox").scalars())
    assert "窓口" not in audited.encode().decode("unicode_escape")
    assert f"{town.office.front.id}@{TOWN}" in audited
