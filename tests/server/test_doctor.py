"""`jpki doctor`: a new home is well, and each thing that can be wrong is found and named with what to do."""

import shutil
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from jpki.acts import LOCAL_OPERATOR
from jpki.case import Express, ExpressGround
from jpki.certificate import Purpose
from jpki.clock import day_in_japan, start_of_day, system_clock, whole_second
from jpki.ids import HolderCode
from jpki.partition import COMPLETE
from jpki.resident_event import Kind, ResidentEvent, SourceName
from server.app import Door, create_app
from server.doctor import examine
from server.freshness import warning_of
from server.home import Home
from server.store import tables
from server.store.database import Database
from server.wiring import open_rooms
from tests.server.console import Jpki
from tests.server.office_world import office_at


def failing(jpki: Jpki, home: Path) -> dict[str, Any]:
    found = jpki.judged(1, "doctor", "--home", home)
    assert not found["healthy"]
    return {each["name"]: each for each in found["checks"] if not each["ok"]}


def test_a_new_home_is_well(jpki: Jpki, home: Path) -> None:
    found = jpki.done("doctor", "--home", home)
    assert found["healthy"]
    assert all(each["ok"] for each in found["checks"])
    assert "✓" in jpki("doctor", "--home", home, "--lang", "ja").out


def test_lost_lists_are_found(jpki: Jpki, home: Path) -> None:
    shutil.rmtree(home / "crl")
    assert set(failing(jpki, home)) == {"lists"}
    jpki.done("crl", "publish", "--home", home)
    assert jpki.done("doctor", "--home", home)["healthy"]


def promise(home: Path, given: timedelta, left: timedelta) -> None:
    """Let one list's promise, so long when it was given, have so much left."""
    database = Database.at_file(home / "jpki.sqlite")
    end = whole_second(system_clock()) + left
    with database.writing() as connection:
        chosen = tables.crl.c.partition == "complete", tables.crl.c.purpose == "signing"
        connection.execute(update(tables.crl).where(*chosen).values(this_update=end - given, next_update=end))
    database.close()


def ready(home: Path) -> dict[str, Any]:
    rooms = open_rooms(Home.open(home))
    answer: dict[str, Any] = create_app(rooms, [Door.CRL]).test_client().get("/readyz").get_json()
    rooms.close()
    return answer


def test_lists_that_end_before_long_are_told_of_while_they_still_hold(jpki: Jpki, home: Path) -> None:
    two_days, quarter = timedelta(days=2), timedelta(hours=12)
    promise(home, two_days, quarter + timedelta(minutes=1))
    assert jpki.done("doctor", "--home", home)["healthy"]
    assert ready(home)["warnings"] == {}
    promise(home, two_days, quarter - timedelta(minutes=1))
    found = failing(jpki, home)
    assert set(found) == {"lists"}
    assert "signing/complete ends soon" in found["lists"]["problem"]["en"]
    assert (ready(home)["ready"], ready(home)["warnings"]) == (True, {"crl": "crl-ends-soon"})
    promise(home, two_days, -timedelta(minutes=1))
    assert (ready(home)["ready"], ready(home)["checks"]["crl"]) == (False, "crl-stale")


def test_r25_a_list_that_ends_with_its_generation_is_as_long_as_it_can_be(home: Path) -> None:
    rooms = open_rooms(Home.open(home))
    (generation,) = rooms.living(Purpose.SIGNING)
    (mark,) = rooms.store.shelf.newest(Purpose.SIGNING, [COMPLETE]).values()
    rooms.close()
    last = replace(mark, this_update=generation.not_after - timedelta(hours=8), next_update=generation.not_after)
    almost = generation.not_after - timedelta(hours=1)
    assert warning_of(last, [generation], almost) is None
    assert warning_of(replace(last, next_update=last.next_update - timedelta(seconds=1)), [generation], almost)


def test_a_lost_responder_key_is_found_and_mended(jpki: Jpki, home: Path) -> None:
    for key in (home / "keys").glob("ocsp-s1-*"):
        key.unlink()
    assert set(failing(jpki, home)) == {"responders"}
    jpki.done("crl", "publish", "--home", home)
    assert jpki.done("doctor", "--home", home)["healthy"]


def test_a_wrong_ca_key_is_found(jpki: Jpki, home: Path) -> None:
    keys = home / "keys"
    shutil.copy(keys / "ca-signing-s1.pem", keys / "ca-authentication-a1.pem")
    assert failing(jpki, home)["ca-keys"]["problem"]["en"].startswith("The key")


def test_a_wrong_passphrase_is_found(jpki: Jpki, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPKI_KEY_PASSPHRASE", "wrong")
    assert set(failing(jpki, home)) == {"ca-keys", "responders"}


def test_a_clock_that_went_back_is_found(jpki: Jpki, home: Path) -> None:
    database = Database.at_file(home / "jpki.sqlite")
    with database.writing() as connection:
        database.advance_clock(connection, system_clock() + timedelta(hours=1))
    database.close()
    found = failing(jpki, home)
    assert "accept-clock" in found["clock"]["action"]["en"]


def test_resident_events_that_nobody_handles_are_found(jpki: Jpki, home: Path) -> None:
    now = system_clock()
    told = ResidentEvent(
        source=SourceName("131016"), sequence=1, kind=Kind.DIED, holder=HolderCode("T-1"), effective_at=now
    )
    with closing(open_rooms(Home(home))) as rooms:
        rooms.store.events.receive([told], LOCAL_OPERATOR, now)
        assert jpki.done("doctor", "--home", home)["healthy"]
        with rooms.store.database.writing() as connection:
            earlier = whole_second(now) - timedelta(minutes=6)
            connection.execute(update(tables.resident_event).values(received_at=earlier, effective_at=earlier))
        assert failing(jpki, home)["resident-events"]["code"] == "resident-events-wait"
        jpki.done("events", "run", "--home", home, "--workers", "1")
        assert jpki.done("doctor", "--home", home)["healthy"]


def test_overdue_express_cases_are_found(jpki: Jpki, home: Path) -> None:
    with office_at(home, system_clock) as town:
        today = day_in_japan(town.now)
        case = town.opened(express=Express(ground=ExpressGround.RETURNEE, happened_on=today))
        assert case.due == today + timedelta(days=7)
        assert jpki.done("doctor", "--home", home)["healthy"]
        with town.rooms.store.database.writing() as connection:
            connection.execute(update(tables.case).values(opened_at=start_of_day(today - timedelta(days=7))))
        assert jpki.done("doctor", "--home", home)["healthy"]
        with town.rooms.store.database.writing() as connection:
            before = start_of_day(today - timedelta(days=7)) - timedelta(seconds=1)
            connection.execute(update(tables.case).values(opened_at=before))
        assert failing(jpki, home)["express"]["code"] == "express-overdue"


def test_a_readable_secret_is_found(jpki: Jpki, home: Path) -> None:
    (home / "keys" / "ca-signing-s1.pem").chmod(0o644)
    assert set(failing(jpki, home)) == {"permissions"}


def test_a_certificate_for_tls_that_ends_is_found(jpki: Jpki, home: Path) -> None:
    jpki.done("tls", "certify", "--home", home, "--host", "localhost")
    assert jpki.done("doctor", "--home", home)["healthy"]
    rooms = open_rooms(Home.open(home))
    later = replace(rooms, clock=lambda: system_clock() + timedelta(days=336))
    found = {each.name: each.error for each in examine(later)}
    rooms.close()
    assert found["tls"] is not None
    assert found["tls"].code == "tls-ends"


def test_a_registered_home_without_tls_is_found(jpki: Jpki, home: Path) -> None:
    settings = home / "jpki.toml"
    settings.write_text(settings.read_text().replace('verifiers = "open"', 'verifiers = "registered"'))
    assert "tls certify" in failing(jpki, home)["tls"]["action"]["en"]
    jpki.done("tls", "certify", "--home", home, "--host", "localhost")
    (home / "tls" / "key.pem").chmod(0o644)
    assert set(failing(jpki, home)) == {"permissions"}
