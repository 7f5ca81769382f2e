"""The portal: what is open, how it stands, and what it says where the ledger or a door is away."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from flask.testing import FlaskClient
from lxml import html

from jpki.certificate import HOLDER_PURPOSES
from jpki.clock import iso
from jpki.errors import JpkiError
from jpki.look import PAGE_HEADERS
from ocsp.responder import Outcome
from server.app import Door, create_app
from server.home import Home
from server.settings import check_settings
from server.tally import Board, Tally
from server.watch import Watch
from server.wiring import Rooms, open_rooms
from tests.server.conftest import Town

NOW = datetime(2026, 4, 1, 3, 2, 1, tzinfo=UTC)


def page_of(client: FlaskClient) -> Any:  # noqa: ANN401 - lxml has no types
    answer = client.get("/")
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    assert answer.headers["Cache-Control"] == "public, max-age=60"
    assert PAGE_HEADERS.items() <= dict(answer.headers).items()
    return html.fromstring(answer.text)


def words(page: Any) -> str:  # noqa: ANN401 - lxml has no types
    return " ".join(page.text_content().split())


@pytest.fixture
def rooms(town: Town) -> Iterator[Rooms]:
    rooms = open_rooms(Home.open(town.home))
    yield rooms
    rooms.close()


def test_roots_and_lists_are_as_the_ledger_has_them(rooms: Rooms) -> None:
    text = words(page_of(create_app(rooms).test_client()))
    for purpose in HOLDER_PURPOSES:
        for each in rooms.living(purpose):
            assert each.certificate.fingerprint(SHA256()).hex() in text
            assert f"{rooms.settings.base_url}/ca/{purpose}/{each.id}.cer" in text
            assert f"{rooms.settings.base_url}/crl/{purpose}/{each.id}/complete.crl" in text
    for mark in rooms.store.shelf.marks():
        if mark.partition == "complete":
            assert iso(mark.next_update) in text


@pytest.mark.parametrize("door", list(Door))
def test_it_tells_of_open_doors_alone(rooms: Rooms, door: Door) -> None:
    page = page_of(create_app(rooms, [door]).test_client())
    sections = {
        Door.OCSP: "ocsp",
        Door.CRL: "lists",
        Door.CA: "roots",
        Door.VERIFY: "documents",
        Door.TSA: "stamps",
        Door.API: "office",
        Door.CONSOLE: "console",
        Door.HOLDER: "holder",
    }
    assert page.xpath("//section/@aria-labelledby") == ["standing", sections[door]]
    client = create_app(rooms, [door]).test_client()
    for address in page.xpath("//a/@href"):
        if address.startswith("/") and "ca/" not in address:
            # The console asks who is there.
            assert client.get(address).status_code == (401 if address == "/console/" else 200)


def test_what_fails_is_named_and_the_page_goes_on(rooms: Rooms, town: Town) -> None:
    # Time-stamps need a certificate, which a server that stamps makes for itself.
    client = create_app(rooms, [door for door in Door if door is not Door.TSA]).test_client()
    assert "すべて動いています" in words(page_of(client))
    rooms.store.database.close()
    for file in town.home.glob("jpki.sqlite*"):
        file.unlink()
    page = page_of(client)
    assert "一部が止まっています" in words(page)
    failing = page.xpath("//tr[@class='failed']/th/span[@class='ja']/text()")
    assert "台帳" in failing
    assert f"{rooms.settings.base_url}/ocsp" in words(page)


def test_ocsp_answers_of_all_workers_are_counted_and_refusals_are_not(rooms: Rooms) -> None:
    board = Board(list(Door), rows=2)
    for row, seconds in enumerate((0.0001, 0.0003)):
        Tally(board, row).count("ocsp", 200, Outcome.KEPT, seconds)
    Tally(board, 0).count("ocsp", 200, Outcome.MALFORMED_REQUEST, 5.0)
    client = create_app(rooms, list(Door), Watch(Tally(board), rooms.clock, lambda _: None)).test_client()
    assert "OCSP answers since the start: 2, 200 microseconds on average" in words(page_of(client))


def test_fonts_are_kept_for_a_year_and_style_sheets_are_asked_about_again(rooms: Rooms) -> None:
    client = create_app(rooms).test_client()
    sheet, *_ = page_of(client).xpath("//link/@href")
    for address in (sheet, sheet.replace("faces.css", "latin.woff2")):
        with client.get(address) as answer:
            assert answer.status_code == 200
            assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    with client.get("/look/style.css") as answer:
        assert answer.headers["Cache-Control"] == "no-cache"
    assert client.get(sheet.replace("faces", "none")).status_code == 404


def test_registered_mode_is_said(town: Town) -> None:
    settings = Path(town.home / "jpki.toml")
    settings.write_text(settings.read_text().replace('verifiers = "open"', 'verifiers = "registered"'))
    rooms = open_rooms(Home.open(town.home))
    assert "Only registered verifiers may ask" in words(page_of(create_app(rooms).test_client()))
    rooms.close()


def test_whom_to_tell_of_a_weakness(rooms: Rooms) -> None:
    assert create_app(rooms).test_client().get("/.well-known/security.txt").status_code == 404
    settings = check_settings(rooms.settings.model_dump() | {"security_contact": "mailto:security@example.org"})
    client = create_app(replace(rooms, settings=settings, clock=lambda: NOW)).test_client()
    answer = client.get("/.well-known/security.txt")
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.text.splitlines() == [
        "Contact: mailto:security@example.org",
        "Expires: 2026-09-28T03:02:01Z",
        "Preferred-Languages: ja, en",
        f"Canonical: {settings.base_url}/.well-known/security.txt",
    ]
    assert page_of(client).xpath("//footer//a/@href") == ["/accessibility", "/.well-known/security.txt"]
    assert "mailto:security@example.org" in client.get("/accessibility").text


@pytest.mark.parametrize("contact", ["security@example.org", "http://example.org", "mailto:a b@c", "javascript:x", ""])
def test_a_contact_that_is_none_is_refused(contact: str) -> None:
    with pytest.raises(JpkiError, match="security_contact"):
        check_settings({"security_contact": contact})


def test_the_telephone_for_lost_cards_is_on_the_portal_whichever_doors_are_open(rooms: Rooms) -> None:
    settings = check_settings(rooms.settings.model_dump() | {"suspension_telephone": "+81-120-000-000"})
    for doors in ([Door.OCSP], list(Door)):
        page = page_of(create_app(replace(rooms, settings=settings), doors).test_client())
        assert page.xpath("//section[@aria-labelledby='holder']//a[starts-with(@href, 'tel:')]/@href") == [
            "tel:+81120000000"
        ]
