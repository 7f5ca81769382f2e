"""Uploads to a home of ours: what a policy and a time of receipt do there."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from jpki.clock import iso, system_clock
from server.app import Door, create_app
from server.home import Home
from server.wiring import Rooms, open_rooms
from signing.samples import tax_return_pdf
from tests.server.conftest import Town, serial_in
from tests.server.console import Jpki
from tests.signing.uploading import upload

ROUTE = "/api/v1/verifications"


@pytest.fixture
def rooms(town: Town) -> Iterator[Rooms]:
    rooms = open_rooms(Home.open(town.home))
    yield rooms
    rooms.close()


@pytest.fixture
def client(rooms: Rooms) -> FlaskClient:
    return create_app(rooms, [Door.VERIFY]).test_client()


@pytest.fixture
def signed(jpki: Jpki, town: Town, tmp_path: Path) -> bytes:
    plain = tmp_path / "return.pdf"
    plain.write_bytes(tax_return_pdf(["Income"]))
    pair = ("--certificate", town.signing / "certificate.pem", "--key", town.signing / "key.pem")
    jpki.done("sign", plain, *pair, "--out", tmp_path / "signed.pdf")
    return (tmp_path / "signed.pdf").read_bytes()


def asked(client: FlaskClient, document: bytes, **fields: str) -> str:
    answer = upload(client, ROUTE, document, "return.pdf", **fields)
    assert answer.status_code == 200
    return str(answer.get_json()["decision"])


@pytest.mark.slow
def test_what_was_received_before_the_revocation_is_accepted_on_the_callers_word(
    client: FlaskClient, jpki: Jpki, town: Town, signed: bytes
) -> None:
    received = iso(system_clock())
    assert asked(client, signed) == "accept"
    time.sleep(1)  # a revocation is dated to a second
    jpki.done("revoke", serial_in(town.signing), "--home", town.home, "--reason", "affiliationChanged")
    assert asked(client, signed) == "refuse"
    assert asked(client, signed, received_at=received) == "accept"
    assert asked(client, signed, received_at=received, policy="e-tax-strict") == "accept"
    assert asked(client, signed, received_at=received, policy="archive") == "undecided"


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["0001-01-02", "9999-12-31"])
def test_a_time_of_receipt_beyond_all_reason_is_no_fault_of_ours(
    client: FlaskClient, signed: bytes, moment: str
) -> None:
    assert asked(client, signed, received_at=moment) == "undecided"
