"""The language of pages: one for the whole house, chosen by whoever reads them."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from server.app import Door, create_app
from server.home import Home
from server.wiring import open_rooms

JA, EN = "証明書の確認", "Is this certificate valid?"


@pytest.fixture
def client(new_home: Path) -> Iterator[FlaskClient]:
    with closing(open_rooms(Home(new_home))) as rooms:
        yield create_app(rooms, [Door.VERIFY]).test_client()


@pytest.mark.parametrize(
    ("chosen", "shown", "lang"),
    [(None, {JA, EN}, "ja"), ("both", {JA, EN}, "ja"), ("ja", {JA}, "ja"), ("en", {EN}, "en"), ("fr", {JA, EN}, "ja")],
    ids=["nothing", "both", "Japanese", "English", "neither"],
)
def test_a_page_is_in_the_language_that_was_chosen(
    client: FlaskClient, chosen: str | None, shown: set[str], lang: str
) -> None:
    if chosen is not None:
        client.set_cookie("lang", chosen)
    page = client.get("/certificate")
    assert {each for each in (JA, EN) if f">{each}<" in page.text} == shown
    assert f'<html lang="{lang}">' in page.text
    assert "Cookie" in page.headers["Vary"]


def test_whoever_chooses_comes_back_to_the_same_page(client: FlaskClient) -> None:
    answer = client.post("/language", data={"to": "en", "back": "/crl/?q=Chiyoda"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/crl/?q=Chiyoda")
    assert EN in client.get("/certificate").text
    assert JA not in client.get("/certificate").text


@pytest.mark.parametrize(
    "address",
    [
        "https://elsewhere.example/",
        "//elsewhere.example/",
        "/\\elsewhere.example/",
        "elsewhere",
        "",
        "/a\nSet-Cookie: b",
    ],
    ids=["another site", "without a scheme", "backslash", "no path", "nothing", "two lines"],
)
def test_nobody_is_sent_to_another_site(client: FlaskClient, address: str) -> None:
    answer = client.post("/language", data={"to": "fr", "back": address})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert "Set-Cookie" not in answer.headers
