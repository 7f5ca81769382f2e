"""A municipality's office as its clerks' browsers meet it: over TLS, a register beside it, a certificate each."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

from playwright.sync_api import Browser, BrowserContext, Page

from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import Purpose
from jpki.clerk import EVERY_COUNTER, ClerkId, Role
from jpki.clock import system_clock
from jpki.counter import CounterCode
from jpki.randomness import system_randomness
from jpki.resident_event import SourceName
from server.clerk_bundle import Certified, certified_clerk
from server.cli.frame import run
from server.founding import found
from server.home import Home
from server.sample.town_hall import TownHall
from server.sample.town_server import town_server
from server.settings import RegistrySettings, Settings
from server.wiring import Rooms, open_rooms
from tests.chromium import LARGE
from tests.server.test_cli_serve import serving

TOWN, OTHER_TOWN = CounterCode("131016"), CounterCode("141003")
RESIDENTS = 200
FRONT, SECOND, CHIEF, AUDITOR, ELSEWHERE = "窓口　花", "承認　次郎", "管理　三四郎", "監査　五月", "隣町　六"
"""The clerks: reception and approval at the town's counter, approval alone, administrator, auditor, another town's."""
_ROLES: Mapping[str, Mapping[CounterCode, frozenset[Role]]] = {
    FRONT: {TOWN: frozenset({Role.RECEPTION, Role.APPROVAL})},
    SECOND: {TOWN: frozenset({Role.APPROVAL})},
    CHIEF: {EVERY_COUNTER: frozenset({Role.ADMINISTRATOR})},
    AUDITOR: {EVERY_COUNTER: frozenset({Role.AUDITOR})},
    ELSEWHERE: {OTHER_TOWN: frozenset({Role.RECEPTION, Role.APPROVAL})},
}


@dataclass(frozen=True, slots=True)
class OfficeServed:
    """The served office; `rooms` looks at the same ledger from outside."""

    url: str
    home: Path
    rooms: Rooms
    clerks: Mapping[str, tuple[ClerkId, Certified]]
    hall: TownHall
    browser: Browser
    said: list[str] = field(default_factory=list)
    """What pages wrote to the browser's console: nothing should."""

    @contextmanager
    def visited(
        self, name: str, width: int = LARGE, *, scripts: bool = True, language: str | None = None
    ) -> Iterator[Page]:
        """Open a clerk's browser."""
        context = self._context(name, width, scripts=scripts)
        if language is not None:
            context.add_cookies([{"name": "lang", "value": language, "url": self.url}])
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: self.said.append(message.text))
        try:
            yield page
        finally:
            context.close()

    @contextmanager
    def seated(
        self, name: str, width: int = LARGE, *, scripts: bool = True, language: str | None = None
    ) -> Iterator[Page]:
        """Open a clerk's browser and log in."""
        with self.visited(name, width, scripts=scripts, language=language) as page:
            page.goto(f"{self.url}/console/login")
            focused(page)
            page.keyboard.press("Enter")
            page.wait_for_url("**/console/")
            yield page

    def _context(self, name: str, width: int, *, scripts: bool) -> BrowserContext:
        certified = self.clerks[name][1]
        return self.browser.new_context(
            viewport={"width": width, "height": 900},
            java_script_enabled=scripts,
            locale="ja-JP",
            ignore_https_errors=True,
            client_certificates=[
                {"origin": self.url, "pfx": certified.bundle, "passphrase": certified.password.decode()}
            ],
        )


def focused(page: Page) -> None:
    """Wait until something of the page itself has the focus, as it has before a person presses a key."""
    page.locator("main :focus").wait_for()


@contextmanager
def office_served(folder: Path, command: Path, browser: Browser) -> Iterator[OfficeServed]:
    """Found an office, hire its clerks, and serve it beside a town hall."""
    hall = TownHall(folder / "journal", "hall", RESIDENTS, SourceName(TOWN))
    register = town_server(hall, ("127.0.0.1", 0), system_clock, None)
    thread = Thread(target=register.serve_forever, args=(0.05,))
    thread.start()
    url = f"http://127.0.0.1:{register.server_port}/residents"
    home = Home(folder / "home")
    try:
        settings = Settings(registry=RegistrySettings(url=url))
        found(home, settings, system_clock, system_randomness).close()
        assert run(["tls", "certify", "--home", str(home.path), "--host", "127.0.0.1"]) == 0
        rooms = open_rooms(home)
        clerks = {name: _hired(rooms, name) for name in _ROLES}
        with serving(command, home.path, "--tls") as served:
            yield OfficeServed(served.url, home.path, rooms, clerks, hall, browser)
        rooms.close()
    finally:
        register.shutdown()
        thread.join()
        register.server_close()


def _hired(rooms: Rooms, name: str) -> tuple[ClerkId, Certified]:
    clerk = rooms.store.clerks.add(name, _ROLES[name], LOCAL_OPERATOR, rooms.clock())
    root = rooms.living(Purpose.INFRASTRUCTURE)[0]
    return clerk, certified_clerk(rooms, root, clerk, system_randomness, alone=True)
