"""A clerk's browser without a browser: forms are posted from the console's own pages, cookies are kept."""

from typing import Any

from werkzeug.test import TestResponse

from jpki.clerk import Clerk
from tests.server.api_world import ApiTown
from tests.server.office_world import TOWN

OURS = {"Sec-Fetch-Site": "same-origin"}


class Browser:
    """A clerk's browser: it bears the certificate, keeps cookies, and says where its forms come from."""

    def __init__(self, town: ApiTown, clerk: Clerk) -> None:
        self._client: Any = town.app.test_client()
        self._borne = dict(town.headers(clerk))

    def get(self, path: str) -> TestResponse:
        answer: TestResponse = self._client.get(f"/console{path}", headers=self._borne, base_url="https://localhost")
        return answer

    def post(self, path: str, fields: dict[str, str] | None = None, said: dict[str, str] | None = None) -> TestResponse:
        headers = self._borne | (OURS if said is None else said)
        answer: TestResponse = self._client.post(
            f"/console{path}", data=fields, headers=headers, base_url="https://localhost"
        )
        return answer

    def speak(self, language: str) -> None:
        """Choose the language of all pages."""
        self._client.set_cookie("lang", language)

    def cookies(self) -> list[Any]:
        return list(self._client._cookies.values())  # noqa: SLF001 - the test client tells of them in no other way

    def take(self, other: "Browser") -> None:
        """Bring another's cookies along, as a thief would."""
        self._client._cookies.update(other._client._cookies)  # noqa: SLF001 - as above


def logged_in(browser: Browser, counter: str = TOWN) -> Browser:
    answer = browser.post("/login", {"counter": counter})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console/")
    assert browser.get("/").status_code == 200
    return browser


def is_sent_to_log_in(answer: TestResponse) -> bool:
    return (answer.status_code, answer.headers.get("Location")) == (303, "/console/login")
