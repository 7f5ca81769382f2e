"""The page /certificate: one sentence for each way in which a certificate may stand, and the responder's own words."""

from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from flask.testing import FlaskClient
from lxml import html

from jpki.clock import iso, system_clock
from jpki.look import PAGE_HEADERS
from server.app import Door, create_app
from server.certificate_page import LARGEST, examine
from server.home import Home
from server.wiring import Rooms, open_rooms
from tests.conftest import SteppingClock
from tests.server.conftest import AgedHome, Town, certificate_in, serial_in
from tests.server.console import Jpki


@pytest.fixture
def rooms(town: Town) -> Iterator[Rooms]:
    rooms = open_rooms(Home.open(town.home))
    yield rooms
    rooms.close()


@pytest.fixture
def client(rooms: Rooms) -> FlaskClient:
    return create_app(rooms, [Door.VERIFY, Door.CA]).test_client()


def page_of(client: FlaskClient, octets: bytes | None, status: int = 200) -> Any:  # noqa: ANN401 - lxml has no types
    fields = {} if octets is None else {"file": (BytesIO(octets), "c.pem")}
    answer = client.post("/certificate", data=fields)
    assert answer.status_code == status
    assert {"Cache-Control": "no-store", **PAGE_HEADERS}.items() <= dict(answer.headers).items()
    return html.fromstring(answer.text)


def sentences(page: Any) -> list[str]:  # noqa: ANN401 - lxml has no types
    return [str(each) for each in page.xpath("//*[contains(@class, 'verdict')]//span[@class='en']/text()")]


def pem_of(folder: Path) -> bytes:
    return (folder / "certificate.pem").read_bytes()


def test_a_certificate_of_today_is_valid_and_e_tax_takes_it_tomorrow(client: FlaskClient, town: Town) -> None:
    for octets in (pem_of(town.signing), certificate_in(town.signing).public_bytes(Encoding.DER)):
        page = page_of(client, octets)
        assert sentences(page) == [
            "This certificate is valid.",
            "It was issued today; some services, such as e-Tax, take it from tomorrow on.",
        ]
        assert serial_in(town.signing) in page.text_content()


def test_what_the_responder_said_is_shown_signed(client: FlaskClient, town: Town) -> None:
    page = page_of(client, pem_of(town.signing))
    answer = ocsp.load_der_ocsp_response(b64decode(page.xpath("//details/p")[0].text))
    assert answer.certificate_status is ocsp.OCSPCertStatus.GOOD
    assert answer.serial_number == certificate_in(town.signing).serial_number
    assert iso(answer.next_update_utc or answer.this_update_utc) in page.text_content()


def test_a_revoked_one_is_told_with_when_and_why(jpki: Jpki, client: FlaskClient, town: Town) -> None:
    revoked = jpki.done("revoke", serial_in(town.signing), "--home", town.home, "--reason", "affiliationChanged")
    sentence, since, why = sentences(page_of(client, pem_of(town.signing)))
    assert sentence == "This certificate is revoked."
    assert since == f"Since {revoked['revoked_at']}"
    assert why.startswith("Why: the recorded data changed")


def test_one_on_hold_is_told_as_that(jpki: Jpki, client: FlaskClient, town: Town) -> None:
    jpki.done("hold", serial_in(town.authentication), "--home", town.home)
    assert sentences(page_of(client, pem_of(town.authentication)))[0] == "This certificate is on hold."
    jpki.done("release", serial_in(town.authentication), "--home", town.home)
    assert sentences(page_of(client, pem_of(town.authentication)))[0] == "This certificate is valid."


def test_before_and_after_its_validity_a_good_one_is_not_valid(rooms: Rooms, town: Town) -> None:
    certificate = certificate_in(town.signing)

    def told(at: datetime) -> str:
        answer = lambda question: rooms.responder.answer("POST", "", {}, question).body  # noqa: E731
        return examine(certificate, rooms.every_generation(), answer, at).sentence.en

    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    second = timedelta(seconds=1)
    assert told(begin - second) == "This certificate is not valid yet."
    assert told(begin) == told(end) == "This certificate is valid."
    assert told(end + second) == "This certificate has expired."


def test_another_authoritys_is_not_judged(client: FlaskClient, aged: AgedHome) -> None:
    rooms = open_rooms(Home.open(aged.home))
    other = rooms.every_generation()[0].certificate
    rooms.close()
    assert (
        sentences(page_of(client, other.public_bytes(Encoding.PEM)))[0] == "This certificate is not of this authority."
    )


def test_while_nothing_can_be_told_nothing_is(rooms: Rooms, town: Town) -> None:
    late = replace(rooms, clock=SteppingClock(system_clock()))
    refusal = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(Encoding.DER)
    finding = examine(certificate_in(town.signing), late.every_generation(), lambda _: refusal, late.clock())
    assert (finding.tone, finding.sentence.en) == ("undecided", "It cannot be told now.")


def test_r21_no_attribute_is_shown(client: FlaskClient, town: Town) -> None:
    names = certificate_in(town.signing).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    attributes = [each.value[2:].decode() for each in names if isinstance(each, x509.OtherName) and len(each.value) > 8]
    assert any("花子" in each for each in attributes)
    text = client.post("/certificate", data={"file": (BytesIO(pem_of(town.signing)), "hanako.pem")}).text
    assert not [each for each in [*attributes, "hanako"] if each in text]


@pytest.mark.parametrize(
    ("octets", "status"), [(None, 400), (b"", 400), (b"0\x82", 400), (b"x" * 99, 400), (b"0" * 2 * LARGEST, 413)],
    ids=["none", "empty", "broken", "other", "large"],
)  # fmt: skip
def test_what_is_no_certificate_is_said_on_the_page(client: FlaskClient, octets: bytes | None, status: int) -> None:
    assert sentences(page_of(client, octets, status))[0] == "This file cannot be read as a certificate."


def test_the_form_is_there_and_reaches_the_portal(client: FlaskClient) -> None:
    form, portal = (links_of(client, address) for address in ("/certificate", "/"))
    assert "/certificate" in form[0]
    assert "/" in form[1]
    assert "/certificate" in portal[1]


def links_of(client: FlaskClient, address: str) -> tuple[list[str], list[str]]:
    """Where a page's forms and links lead."""
    page: Any = html.fromstring(client.get(address).text)
    return page.xpath("//form/@action"), page.xpath("//a/@href")
