"""Holders in TLS: the door to their page believes their certificates, and every other door takes them for nobody."""

import http.client
import json
import shutil
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.x509.ocsp import OCSPResponseStatus

from jpki.acts import LOCAL_OPERATOR
from jpki.clerk import ClerkId
from jpki.ids import parse_serial
from server.cli.frame import run
from server.home import Home
from server.wiring import open_rooms
from tests.server.conftest import Town, serial_in
from tests.server.console import Jpki
from tests.server.test_fast_door import request_for
from tests.server.test_registered import FAST, Open, Served, clerk_of, close_to_strangers, serving

pytestmark = pytest.mark.slow

REFUSED = (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)


@pytest.fixture(scope="module")
def opened(issued_town: Path, installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """All doors of a home in `registered` mode, in whose tables the holder's serial stands among all others, too."""
    town = Town(shutil.copytree(issued_town, tmp_path_factory.mktemp("holders") / "town"))
    close_to_strangers(town.home)
    assert run(["tls", "certify", "--home", str(town.home), "--host", "localhost"]) == 0
    with closing(open_rooms(Home(town.home))) as rooms:
        own, now = parse_serial(serial_in(town.authentication)), rooms.clock()
        rooms.store.clerks.certify(ClerkId("administrator-1"), own, LOCAL_OPERATOR, now, alone=False)
        bank = rooms.store.verifiers.register("Bank", "tests", None, LOCAL_OPERATOR, now)
        rooms.store.verifiers.certify(bank, own, LOCAL_OPERATOR, now, alone=False)
    with serving(installed, town.home) as door:
        yield Open(town, door)


def page(door: Served, client: Path | None) -> tuple[int, str]:
    response, body = door.request(client, "GET", "/holder")
    assert response.headers["Cache-Control"] == "no-store"
    return response.status, body.decode()


def test_a_holder_comes_in_and_a_clerk_or_nobody_does_not(opened: Open) -> None:
    serial = serial_in(opened.town.authentication)
    status, text = page(opened.door, opened.town.authentication)
    assert (status, serial in text) == (200, True)
    for stranger in (None, clerk_of(opened.town)):
        status, text = page(opened.door, stranger)
        assert (status, serial in text) == (200, False)
        assert "How to come in" in text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/crl/signing/s1/complete.crl", 403, "verifier-unregistered"),
        ("GET", "/crl/", 403, "verifier-unregistered"),
        ("GET", "/verify", 403, "verifier-unregistered"),
        ("GET", "/certificate", 403, "verifier-unregistered"),
        ("POST", "/api/v1/verifications", 403, "verifier-unregistered"),
        ("GET", "/api/v1/me", 401, "client-certificate-missing"),
        ("GET", "/api/v1/cases?counter=131016", 401, "client-certificate-missing"),
    ],
)
def test_at_every_other_door_a_holder_is_nobody(opened: Open, method: str, path: str, status: int, code: str) -> None:
    response, body = opened.door.request(opened.town.authentication, method, path)
    assert (response.status, json.loads(body)["code"]) == (status, code)


def test_the_console_takes_a_holder_for_no_clerk(opened: Open) -> None:
    response, body = opened.door.request(opened.town.authentication, "GET", "/console/")
    assert (response.status, "職員のクライアント証明書がありません" in body.decode()) == (401, True)


def test_ocsp_takes_a_holder_for_no_verifier(opened: Open) -> None:
    answer = opened.door.ask(opened.town.authentication, request_for(opened.town.signing))
    assert answer.response_status is OCSPResponseStatus.UNAUTHORIZED


def test_a_signing_certificate_does_not_come_in(opened: Open) -> None:
    with pytest.raises(REFUSED):
        opened.door.request(opened.town.signing, "GET", "/holder")


@pytest.mark.parametrize("doors", [FAST, ("--door", "api")], ids=["fast", "api"])
def test_a_process_without_the_page_believes_no_holders_certificate(
    opened: Open, installed: Path, doors: tuple[str, ...]
) -> None:
    with serving(installed, opened.town.home, *doors) as door, pytest.raises(REFUSED):
        door.request(opened.town.authentication, "GET", "/livez")


def test_a_hold_shuts_out_a_connection_that_stays(jpki: Jpki, opened: Open) -> None:
    serial, home = serial_in(opened.town.authentication), opened.town.home
    connection = opened.door.connected(opened.town.authentication)

    def status() -> int:
        connection.request("GET", "/holder")
        response = connection.getresponse()
        response.read()
        return response.status

    assert status() == 200
    kept = connection.sock
    jpki.done("hold", serial, "--home", home)
    assert status() == 403
    jpki.done("release", serial, "--home", home)
    assert status() == 200
    assert connection.sock is kept
    connection.close()
