"""The time-stamp door of a home: who stamps, when the certificate is renewed, and what is said without a key."""

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from asn1crypto import tsp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ca.delegates import TIME_STAMPING_LIFE
from ca.plan import default_plan
from ca.profile import CARD_V1
from jpki import signature
from jpki.certificate import Purpose
from jpki.clock import system_clock
from jpki.delegate import TimeStampingUnit
from jpki.errors import JpkiError, Kind
from jpki.ids import GenerationId
from server.app import Door, create_app
from server.cli.frame import run
from server.doctor import examine
from server.home import Home
from server.stamping import RENEW_BEFORE
from server.wiring import Rooms, open_rooms
from tests.conftest import SteppingClock
from tests.server.console import Jpki
from tests.server.test_cli_serve import serving, status_of
from tests.server.test_tokens import PIN_FILES, away

ATTENDANCE = default_plan(CARD_V1, {}, "a test")
QUERY = tsp.TimeStampReq(
    {
        "version": "v1",
        "message_imprint": {
            "hash_algorithm": {"algorithm": "sha256"},
            "hashed_message": hashlib.sha256(b"a tax return").digest(),
        },
        "cert_req": True,
    }
).dump()


@pytest.fixture
def time() -> SteppingClock:
    return SteppingClock(system_clock())


@pytest.fixture
def rooms(home: Path, time: SteppingClock) -> Iterator[Rooms]:
    """A home in which nothing was stamped yet."""
    with closing(open_rooms(Home(home), time)) as opened:
        yield opened


@pytest.fixture
def stamping(rooms: Rooms) -> Rooms:
    """The same, with the door opened."""
    rooms.units.open()
    return rooms


def units(rooms: Rooms) -> list[TimeStampingUnit]:
    roots = rooms.store.generations.ever(Purpose.INFRASTRUCTURE)
    return [unit for root in roots for unit in rooms.store.delegates.time_stamping_units(root.id)]


def stamp(answer: bytes) -> dict[str, Any]:
    """Return the TSTInfo of a granted answer, whose one certificate made its signature."""
    response = tsp.TimeStampResp.load(answer, strict=True)
    assert response["status"]["status"].native == "granted"
    signed = response["time_stamp_token"]["content"]
    certificate = x509.load_der_x509_certificate(signed["certificates"][0].chosen.dump())
    (signer,) = signed["signer_infos"]
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signature.check(key, signer["signed_attrs"].untag().dump(), signer["signature"].native)
    info: dict[str, Any] = signed["encap_content_info"]["content"].parsed.native
    return info | {"certificate": certificate}


def refusal(answer: bytes) -> str:
    # asn1crypto's TimeStampResp cannot do without a token, and a rejection is its status alone.
    (failure,) = tsp.PKIStatusInfo.load(answer[2:], strict=True)["fail_info"].native
    return str(failure)


# --- whose certificate ---------------------------------------------------------------------------------------------


def test_the_first_use_of_the_door_makes_one_unit_and_a_second_none(rooms: Rooms) -> None:
    assert units(rooms) == []
    rooms.units.open()
    rooms.units.open()
    (unit,) = units(rooms)
    assert stamp(rooms.time_stamps.answer(QUERY))["certificate"] == unit.certificate


def test_a_request_makes_no_key(rooms: Rooms) -> None:
    assert refusal(rooms.time_stamps.answer(QUERY)) == "system_failure"
    assert units(rooms) == []
    assert not list((rooms.home.path / "keys").glob("tsa-*"))


def test_a_house_that_does_not_stamp_gets_no_unit_by_the_job(rooms: Rooms) -> None:
    rooms.maintenance.run()
    assert units(rooms) == []


def test_the_job_renews_when_less_than_a_year_is_left_and_not_before(stamping: Rooms, time: SteppingClock) -> None:
    (first,) = units(stamping)
    time.now = first.certificate.not_valid_after_utc - RENEW_BEFORE
    stamping.maintenance.run()
    assert units(stamping) == [first]
    time.advance(seconds=60)
    stamping.maintenance.run()
    second, same = units(stamping)
    assert same == first
    assert stamp(stamping.time_stamps.answer(QUERY))["certificate"] == second.certificate
    life = second.certificate.not_valid_after_utc - second.certificate.not_valid_before_utc
    assert life == TIME_STAMPING_LIFE


def test_a_process_that_only_stamps_renews_too(stamping: Rooms, time: SteppingClock) -> None:
    time.advance(days=2.5 * 365)
    only = stamping.maintenance.only("time-stamping")
    assert set(only.jobs) == {"time-stamping"}
    only.run()
    assert len(units(stamping)) == 2


def test_r25_no_unit_outlives_its_root_and_the_last_one_serves_to_the_end(rooms: Rooms, time: SteppingClock) -> None:
    (root,) = rooms.living(Purpose.INFRASTRUCTURE)
    time.now = root.not_after - timedelta(days=30)
    rooms.units.open()
    (last,) = units(rooms)
    assert last.certificate.not_valid_after_utc == root.not_after
    rooms.units.renew()
    assert units(rooms) == [last]
    time.now = root.not_after
    assert stamp(rooms.time_stamps.answer(QUERY))["gen_time"] == root.not_after
    time.advance(seconds=1)
    assert refusal(rooms.time_stamps.answer(QUERY)) == "system_failure"


def test_r25_nothing_is_stamped_past_the_certificates_end_or_before_its_beginning(
    stamping: Rooms, time: SteppingClock
) -> None:
    (unit,) = units(stamping)
    time.now = unit.certificate.not_valid_after_utc + timedelta(milliseconds=999)
    assert stamp(stamping.time_stamps.answer(QUERY))["gen_time"] == unit.certificate.not_valid_after_utc
    time.advance(milliseconds=1)
    assert refusal(stamping.time_stamps.answer(QUERY)) == "system_failure"
    with pytest.raises(JpkiError) as refused:
        stamping.units.credential(unit.certificate.not_valid_before_utc - timedelta(seconds=1))
    assert refused.value.code == "time-stamping-unit-missing"


def test_after_the_roots_compromise_its_unit_stamps_no_more_and_the_job_makes_another(stamping: Rooms) -> None:
    (root,) = stamping.living(Purpose.INFRASTRUCTURE)
    plan = default_plan(CARD_V1, {Purpose.INFRASTRUCTURE: 2}, "a test")
    stamping.ceremonies.new_generation(plan, "jpki ceremony new-generation")
    stamping.ceremonies.compromise(GenerationId(root.id), ATTENDANCE, "jpki ceremony compromise")
    assert refusal(stamping.time_stamps.answer(QUERY)) == "system_failure"
    stamping.units.renew()
    told = stamp(stamping.time_stamps.answer(QUERY))["certificate"]
    told.verify_directly_issued_by(stamping.living(Purpose.INFRASTRUCTURE)[0].certificate)
    assert stamping.living(Purpose.INFRASTRUCTURE)[0].id != root.id


def test_with_a_root_that_is_retired_its_units_keys_are_destroyed(stamping: Rooms, time: SteppingClock) -> None:
    (unit,), (root,) = units(stamping), stamping.living(Purpose.INFRASTRUCTURE)
    plan = default_plan(CARD_V1, {Purpose.INFRASTRUCTURE: 2}, "a test")
    time.now = root.not_after - timedelta(days=1)
    stamping.ceremonies.new_generation(plan, "jpki ceremony new-generation")
    time.advance(days=2)
    stamping.ceremonies.retire(root.id, ATTENDANCE, "jpki ceremony retire")
    with pytest.raises(JpkiError) as refused:
        stamping.keys.signer(unit.key)
    assert refused.value.code == "key-not-found"


def test_a_unit_whose_key_is_lost_is_passed_over_and_the_job_makes_another(home: Path, time: SteppingClock) -> None:
    with closing(open_rooms(Home(home), time)) as rooms:
        rooms.units.open()
    for key in (home / "keys").glob("tsa-*"):
        key.unlink()
    with closing(open_rooms(Home(home), time)) as rooms:
        assert refusal(rooms.time_stamps.answer(QUERY)) == "system_failure"
        rooms.units.renew()
        assert len(units(rooms)) == 2
        stamp(rooms.time_stamps.answer(QUERY))


def test_where_the_root_is_away_a_unit_that_ends_soon_will_do(
    home: Path, time: SteppingClock, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(open_rooms(Home(home), time)) as rooms:
        rooms.units.open()
    for key in (home / "keys").glob("ca-*"):
        key.unlink()
    time.advance(days=2.5 * 365)
    with closing(open_rooms(Home(home), time)) as rooms, caplog.at_level(logging.WARNING):
        rooms.units.open()
        assert [record.getMessage() for record in caplog.records] == ["time-stamping unit not renewed: key-not-found"]
        stamp(rooms.time_stamps.answer(QUERY))
        with pytest.raises(JpkiError) as refused:
            rooms.units.renew()
        assert refused.value.code == "key-not-found"
        time.advance(days=365)
        with pytest.raises(JpkiError) as refused:
            rooms.units.open()
        assert refused.value.code == "key-not-found"


# --- the door ------------------------------------------------------------------------------------------------------


def test_the_door_stamps_and_is_ready(stamping: Rooms) -> None:
    client = create_app(stamping, [Door.TSA]).test_client()
    given = client.post("/tsa", data=QUERY, content_type="application/timestamp-query")
    assert stamp(given.data)["message_imprint"]["hashed_message"] == hashlib.sha256(b"a tax return").digest()
    assert (given.mimetype, given.headers["Cache-Control"]) == ("application/timestamp-reply", "no-store")
    assert client.get("/readyz").json["checks"] == {"database": "ok", "tsa": "ok"}  # type: ignore[index]
    assert client.get("/tsa").status_code == 405
    assert client.post("/ocsp").status_code == 404


def test_a_door_without_a_unit_is_not_ready(rooms: Rooms) -> None:
    given = create_app(rooms, [Door.TSA]).test_client().get("/readyz")
    assert given.status_code == 503
    assert given.json["checks"]["tsa"] == "time-stamping-unit-missing"  # type: ignore[index]


def test_the_door_is_for_everyone_in_registered_mode(stamping: Rooms) -> None:
    def nobody(_client: object) -> object:
        raise AssertionError

    closed = replace(stamping, admission=type("Closed", (), {"admit": staticmethod(nobody)})())
    stamp(create_app(closed, [Door.TSA]).test_client().post("/tsa", data=QUERY).data)


def test_r22_a_clock_behind_the_ledger_stops_the_door(stamping: Rooms, time: SteppingClock) -> None:
    """Another process wrote later moments: the ledger alone tells this one."""
    client = create_app(stamping, [Door.TSA]).test_client()
    database = stamping.store.database
    with database.writing() as connection:
        database.advance_clock(connection, time() + timedelta(seconds=10))
    given = client.post("/tsa", data=QUERY)
    assert (given.status_code, refusal(given.data)) == (200, "time_not_available")
    assert client.get("/readyz").json["checks"]["tsa"] == "clock-went-back"  # type: ignore[index]
    database.accept_clock(time())
    stamp(client.post("/tsa", data=QUERY).data)


def test_a_ledger_that_is_away_is_a_system_failure_and_comes_back(stamping: Rooms) -> None:
    client = create_app(stamping, [Door.TSA]).test_client()
    file = stamping.home.path / "jpki.sqlite"
    stamping.store.database.close()
    file.rename(file.with_suffix(".away"))
    given = client.post("/tsa", data=QUERY)
    assert (given.status_code, refusal(given.data)) == (200, "system_failure")
    file.with_suffix(".away").rename(file)
    stamp(client.post("/tsa", data=QUERY).data)


def test_doctor_looks_at_the_certificate_for_time_stamps(stamping: Rooms, time: SteppingClock) -> None:
    def found() -> JpkiError | None:
        return {each.name: each.error for each in examine(stamping)}["time-stamps"]

    assert found() is None
    time.advance(days=2 * 365 - 1)
    assert found() is None
    time.advance(days=1)
    error = found()
    assert error is not None
    assert (error.kind, error.code) == (Kind.CONFLICT, "time-stamping-unit-ends")
    stamping.units.renew()
    assert found() is None


# --- served --------------------------------------------------------------------------------------------------------


def asked(url: str) -> bytes:
    request = Request(f"{url}/tsa", QUERY, {"Content-Type": "application/timestamp-query"})
    with urlopen(request, timeout=20) as answer:
        body: bytes = answer.read()
        return body


@pytest.mark.slow
def test_serials_are_unique_over_workers_and_crashes(home: Path, installed: Path) -> None:
    serials, moments = [], []
    for _ in range(2):
        with serving(installed, home, "--door", "tsa", "--workers", "2") as begun, ThreadPoolExecutor(8) as pool:
            for info in map(stamp, pool.map(lambda _: asked(begun.url), range(150))):
                serials.append(info["serial_number"])
                moments.append(info["gen_time"])
            begun.process.kill()
    assert len(set(serials)) == 300
    assert max(moments) - min(moments) < timedelta(minutes=5)
    with closing(open_rooms(Home(home))) as rooms:
        assert len(units(rooms)) == 1


@pytest.mark.slow
def test_the_door_needs_no_ca_key_once_it_has_a_unit(jpki: Jpki, home: Path, installed: Path) -> None:
    with closing(open_rooms(Home(home))) as rooms:
        rooms.units.open()
    for key in (home / "keys").glob("ca-*"):
        key.unlink()
    with serving(installed, home, "--door", "tsa") as begun:
        assert status_of(f"{begun.url}/readyz") == 200
        stamp(asked(begun.url))
    for key in (home / "keys").glob("tsa-*"):
        key.unlink()
    refused = jpki.refused("serve", "--home", home, "--port", "0", "--door", "tsa")
    assert (refused.exit, refused.code) == (75, "key-not-found")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Path:
    """A home with a SoftHSM token for each role."""
    program("softhsm2-util")
    home = tmp_path_factory.mktemp("stamping") / "home"
    assert run(["init", "--home", str(home), "--keys", "pkcs11", "--json"]) == 0
    return home


@pytest.mark.slow
def test_the_door_works_with_the_infrastructure_tokens_pin_alone(tokens: Path, installed: Path, tmp_path: Path) -> None:
    home = shutil.copytree(tokens, tmp_path / "home")
    for name in PIN_FILES:
        if name != "infrastructure-token-pin":
            (home / "secrets" / name).unlink()
    with serving(installed, home, "--door", "tsa") as begun:
        first = stamp(asked(begun.url))
        assert stamp(asked(begun.url))["serial_number"] != first["serial_number"]
    with closing(open_rooms(Home(home))) as rooms:
        (unit,) = units(rooms)
        assert unit.certificate == first["certificate"]
        assert unit.key.startswith("pkcs11:token=jpki-infrastructure-")


@pytest.mark.slow
def test_while_the_token_is_away_there_is_no_stamp_and_then_there_is(tokens: Path) -> None:
    with closing(open_rooms(Home(tokens))) as rooms:
        rooms.units.open()
        client = create_app(rooms, [Door.TSA]).test_client()
        stamp(client.post("/tsa", data=QUERY).data)
        with away(tokens):
            given = client.post("/tsa", data=QUERY)
            assert (given.status_code, refusal(given.data)) == (200, "system_failure")
        deadline = system_clock() + timedelta(seconds=20)
        while b"\x02\x01\x02" in client.post("/tsa", data=QUERY).data[:8]:
            assert system_clock() < deadline
        assert _gen_time(client.post("/tsa", data=QUERY).data) <= system_clock()


def _gen_time(answer: bytes) -> datetime:
    moment: datetime = stamp(answer)["gen_time"]
    return moment
