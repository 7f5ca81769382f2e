"""A counter's terminal: the card in its reader, the resident's screen, and an office that never learns a PIN."""

import http.client
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from socketserver import ThreadingMixIn
from threading import Event, Thread
from typing import Any
from urllib.parse import urlencode, urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from cryptography import x509
from playwright.sync_api import Browser, Route

from enroll.card.application import Application
from enroll.card.file import card_at, make_card
from enroll.card.office_client import OfficeClient
from enroll.card.screen import Screen, Showing
from enroll.card.state import CardState, CounterAct, Leave
from enroll.card.terminal import Terminal
from enroll.case_paths import NOTHING
from enroll.console.session import Session
from enroll.office import Application as Wish
from jpki.acts import LOCAL_OPERATOR
from jpki.card import CardFacts, CardMode
from jpki.case import CaseKind, CaseNumber, parse_case_number
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clerk import Clerk, ClerkState, Role
from jpki.clock import system_clock, whole_second
from jpki.errors import JpkiError, Kind
from jpki.revocation import State
from jpki.signature import KeySpec
from jpki.text import Text
from server.card_terminal import screen_app
from server.home import Home
from server.wiring import open_rooms
from tests.chromium import LARGE, SMALL, chromium, require_for_everyone
from tests.conftest import SteppingClock
from tests.enroll.card.cards import OTHERS, PINS, plainly
from tests.server.api_world import ApiTown, api_at
from tests.server.conftest import copied
from tests.server.console import Jpki
from tests.server.office_world import HANA, TOWN, clerk_row, resident_of
from tests.server.test_fast_door import wait_until

NEW = {"kind": "new", "counter": TOWN, "holder": HANA, "purposes": list(HOLDER_PURPOSES)}
SIGNING, AUTHENTICATION = HOLDER_PURPOSES
OURS = {"Sec-Fetch-Site": "same-origin"}


@dataclass
class Wire:
    """What went over the network to the authority, and how often its answers get lost."""

    octets: list[bytes] = field(default_factory=list)
    losing: int = 0


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None: ...


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


@dataclass
class Counter:
    """A clerk at a counter with a terminal, whose reader has a card in it."""

    town: ApiTown
    clerk: Clerk
    wire: Wire
    office: OfficeClient
    card: Path
    woken: Event
    screen: Screen
    terminal: Terminal

    def insert(self) -> AbstractContextManager[Application]:
        return card_at(self.card, stretch=plainly)

    def restart(self) -> None:
        self.screen = Screen(self.insert, self.woken.set)
        self.terminal = Terminal(self.office, self.insert, self.screen)

    def put_in(self, number: str, mode: CardMode = CardMode.ORDINARY) -> None:
        """Put a new card into the reader, as it comes from the factory."""
        self.card = self.card.with_name(f"{number}.json")
        facts = CardFacts(number=number, not_after=whole_second(system_clock()) + timedelta(days=3000), mode=mode)
        make_card(self.card, CardState(facts=facts, spec=KeySpec.RSA_2048))

    def lay(self, body: dict[str, Any]) -> str:
        """Open a case, and lay it before the clerk."""
        number: str = self.town.done(self.clerk, "/cases", body)["number"]
        session = Session(
            id=b"x", clerk=self.clerk.id, counter=TOWN, at_hand=None, began_at=self.now(), seen_at=self.now()
        )
        self.town.rooms.store.console_sessions.begin(session)
        self.town.rooms.store.console_sessions.lay(b"x", parse_case_number(number))
        return number

    def now(self) -> Any:  # noqa: ANN401 - the clock's
        return self.town.rooms.clock()

    def step(self, number: str, name: str, body: object = None) -> dict[str, Any]:
        return self.town.done(self.clerk, f"/cases/{number}/{name}", body)

    def approved(self, purposes: Sequence[Purpose] = HOLDER_PURPOSES) -> str:
        """Bring a case for a new card to its approval, the card read by the terminal."""
        number = self.lay(NEW | {"purposes": list(purposes)})
        self.terminal.look()
        self.step(number, "identity-check")
        self.step(number, "approval")
        return number

    def choose(self, number: str, pins: dict[Purpose, str] = PINS) -> None:
        self.terminal.look()
        assert self.screen.shown()[0] is Showing.PINS
        self.screen.choose(number, pins, pins)

    def states(self, number: str) -> list[State]:
        store = self.town.rooms.store
        serials = [each.serial for each in store.cases.certificates(CaseNumber(number))]
        return [store.ledger.find([each])[each].status.state for each in serials]

    def loaded(self) -> list[int]:
        with self.insert() as card:
            octets = card.signing_certificate(PINS[SIGNING]), card.authentication_certificate()
        return [x509.load_der_x509_certificate(each).serial_number for each in octets]


@pytest.fixture
def counter(new_home: Path, tmp_path: Path) -> Iterator[Counter]:
    with api_at(copied(new_home, tmp_path / "home"), SteppingClock(system_clock())) as town:
        town.office.register.enter(resident_of())
        clerk, wire = clerk_row(town.rooms, {TOWN: [Role.RECEPTION, Role.APPROVAL]}), Wire()
        with served(town, clerk, wire) as url:
            office = OfficeClient(url=url, tls=None, seconds=20)
            woken = Event()
            made = Counter(town, clerk, wire, office, tmp_path / "none", woken, None, None)  # type: ignore[arg-type]
            made.put_in("CARD-1")
            made.restart()
            yield made


@contextmanager
def served(town: ApiTown, clerk: Clerk, wire: Wire) -> Iterator[str]:
    """Serve the office's app as a proxy does that has seen the clerk's certificate; write down all that passes."""
    (shown,) = town.headers(clerk).values()

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        asked = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']}"
        told = [f"{name}: {value}" for name, value in environ.items() if name.startswith("HTTP_")]
        wire.octets += ["\n".join([asked, *told]).encode(), body]
        headers = [("Client-Cert", shown), ("Content-Type", environ.get("CONTENT_TYPE", ""))]
        answer = town.app.test_client().open(
            environ["PATH_INFO"], method=environ["REQUEST_METHOD"], data=body, headers=headers
        )
        if wire.losing and environ["REQUEST_METHOD"] == "POST":
            wire.losing -= 1
            start("502 Bad Gateway", [])
            return [b""]
        wire.octets.append(answer.data)
        start(answer.status, [("Content-Type", answer.content_type)])
        return [answer.data]

    server = make_server("127.0.0.1", 0, app, server_class=Threaded, handler_class=QuietHandler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(JpkiError) as refused:
        act()
    return refused.value.code


# --- a new card ------------------------------------------------------------------------------------------------------


def test_r21_a_new_card_gets_keys_certificates_and_its_holders_pins_of_which_the_office_learns_nothing(
    counter: Counter,
) -> None:
    counter.terminal.look()
    assert counter.screen.shown() == (Showing.WELCOME, None)
    number = counter.approved()
    assert counter.town.rooms.store.cases.case(CaseNumber(number)).card is not None
    counter.choose(number)
    assert counter.woken.is_set()
    counter.terminal.look()
    assert counter.screen.shown()[0] is Showing.DONE
    assert counter.states(number) == [State.ISSUED, State.ISSUED]
    counter.step(number, "delivery")
    assert counter.states(number) == [State.ACTIVE, State.ACTIVE]
    found = counter.town.rooms.desk.on_card(HANA)
    assert counter.loaded() == [found[SIGNING].serial, found[AUTHENTICATION].serial]
    with counter.insert() as card:
        for purpose, pin in PINS.items():
            card.unlocked(purpose, pin)
    counter.terminal.look()
    assert counter.screen.shown() == (Showing.WELCOME, None)
    assert len(counter.wire.octets) > 10
    assert words_in(counter.wire).isdisjoint(PINS.values())


def words_in(wire: Wire) -> set[str]:
    """Return all words that went over the network; requests and certificates in base64 are one word each."""
    return set(re.findall(r"\w+", b"\n".join(wire.octets).decode()))


def test_pins_are_asked_for_only_of_what_the_case_is_about_and_once(counter: Counter) -> None:
    number = counter.approved([AUTHENTICATION])
    counter.choose(number)
    with counter.insert() as card:
        assert dict(card.tries) == {AUTHENTICATION: 3}
        assert code_of(lambda: card.choose_pins({AUTHENTICATION: "0000"})) == "card-has-pins"
    counter.terminal.look()
    assert counter.states(number) == [State.ISSUED]


def test_a_pinless_card_is_asked_for_no_pin(counter: Counter) -> None:
    counter.put_in("CARD-2", CardMode.PINLESS)
    number = counter.approved([AUTHENTICATION])
    counter.terminal.look()
    assert counter.states(number) == [State.ISSUED]


def test_another_card_than_the_one_that_was_read_is_not_touched(counter: Counter) -> None:
    number = counter.approved()
    counter.terminal.look()
    own = counter.card
    counter.put_in("CARD-2")
    assert code_of(counter.terminal.look) == "other-card"
    assert code_of(lambda: counter.screen.choose(number, PINS, PINS)) == "other-card"
    with counter.insert() as card:
        assert dict(card.tries) == {}
    counter.card = own
    counter.choose(number)
    counter.terminal.look()
    assert counter.screen.shown()[0] is Showing.DONE


# --- again -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restarts", [False, True], ids=["same", "restarted"])
def test_r04_an_answer_that_got_lost_is_asked_for_again_and_nothing_is_doubled(
    counter: Counter,
    restarts: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    number = counter.approved()
    counter.choose(number)
    counter.wire.losing = 1
    assert code_of(counter.terminal.look) == "office-unreadable"
    if restarts:
        counter.restart()
    counter.terminal.look()
    assert counter.screen.shown()[0] is Showing.DONE
    assert counter.states(number) == [State.ISSUED, State.ISSUED]
    counter.step(number, "delivery")
    found = counter.town.rooms.desk.on_card(HANA)
    assert counter.loaded() == [found[SIGNING].serial, found[AUTHENTICATION].serial]


def test_r04_a_card_that_was_taken_out_between_two_certificates_gets_the_other_later(counter: Counter) -> None:
    number = counter.approved()
    counter.choose(number)
    whole = counter.card.read_bytes()
    loads = 0

    class Torn(Application):
        def load(self, certificate: bytes) -> Purpose:
            nonlocal loads
            loads += 1
            if loads == 2:
                raise JpkiError(Kind.UNPROCESSABLE, "card-file-unusable", Text("-", "-"), Text("-", "-"))
            return super().load(certificate)

    @contextmanager
    def torn() -> Iterator[Application]:
        with counter.insert() as card:
            card.__class__ = Torn
            yield card

    counter.terminal = Terminal(counter.office, torn, counter.screen)
    assert code_of(counter.terminal.look) == "card-file-unusable"
    assert counter.card.read_bytes() != whole
    counter.restart()
    counter.terminal.look()
    assert counter.states(number) == [State.ISSUED, State.ISSUED]
    assert set(counter.loaded()) == {
        each.serial for each in counter.town.rooms.store.cases.certificates(CaseNumber(number))
    }


def test_a_case_that_begins_again_gets_new_keys_and_what_was_issued_never_lives(counter: Counter) -> None:
    number = counter.approved()
    counter.choose(number)
    counter.wire.losing = 1
    code_of(counter.terminal.look)
    counter.step(number, "return")
    counter.step(number, "identity-check")
    counter.step(number, "approval")
    assert code_of(counter.terminal.look) == "key-reused"
    counter.terminal.look()
    counter.step(number, "delivery")
    assert sorted(counter.states(number)) == [State.ACTIVE, State.ACTIVE, State.REVOKED, State.REVOKED]
    found = counter.town.rooms.desk.on_card(HANA)
    assert counter.loaded() == [found[SIGNING].serial, found[AUTHENTICATION].serial]


def test_a_written_card_is_let_be_until_the_case_begins_again(counter: Counter) -> None:
    number = counter.approved()
    counter.choose(number)
    counter.terminal.look()
    before = len(counter.wire.octets), counter.card.read_bytes()
    counter.terminal.look()
    assert (len(counter.wire.octets) - 3, counter.card.read_bytes()) == before
    counter.step(number, "return")
    counter.step(number, "identity-check")
    counter.step(number, "approval")
    counter.terminal.look()
    counter.step(number, "delivery")
    assert State.ACTIVE in counter.states(number)


# --- a forgotten PIN -------------------------------------------------------------------------------------------------


@pytest.fixture
def locked(counter: Counter) -> Counter:
    """A card whose PINs its holder has forgotten."""
    with counter.insert() as card:
        card.choose_pins(PINS)
        for _ in range(5):
            assert code_of(lambda: card.signing_certificate("WRONG9")) in {"pin-wrong", "pin-locked"}
    return counter


def test_r21_a_forgotten_pin_is_set_anew_on_the_screen_once_and_the_office_learns_that_it_is_done(
    locked: Counter,
) -> None:
    number = locked.lay(NEW | {"kind": "pin-reset"})
    locked.terminal.look()
    locked.terminal.look()
    assert locked.screen.shown()[0] is Showing.WELCOME
    locked.step(number, "identity-check")
    locked.choose(number, OTHERS)
    for _ in range(2):
        locked.terminal.look()
        assert locked.screen.shown()[0] is Showing.DONE
    locked.restart()
    locked.terminal.look()
    assert locked.screen.shown()[0] is Showing.DONE
    with locked.insert() as card:
        assert dict(card.tries) == {SIGNING: 5, AUTHENTICATION: 3}
        leave = Leave(case=number, card=card.facts.number, act=CounterAct.UNLOCK)
        assert code_of(lambda: card.unlock({SIGNING: "AGAIN1"}, leave)) == "leave-used"
    assert locked.step(number, "completion")["state"] == "done"
    assert words_in(locked.wire).isdisjoint(OTHERS.values())


def test_until_the_holder_was_identified_no_pin_is_set(locked: Counter) -> None:
    number = locked.lay(NEW | {"kind": "pin-reset"})
    locked.terminal.look()
    locked.screen.choose(number, OTHERS, OTHERS)
    with locked.insert() as card:
        assert dict(card.tries) == {SIGNING: 0, AUTHENTICATION: 3}


# --- troubles --------------------------------------------------------------------------------------------------------


def test_trouble_is_told_once_and_shown_to_the_resident_and_passes(counter: Counter) -> None:
    told: list[str] = []
    ended, looks = Event(), 0

    class Waited(Event):
        def wait(self, timeout: float | None = None) -> bool:
            nonlocal looks
            looks += 1
            showing.append(counter.screen.shown()[0])
            if looks == 2:
                counter.town.office.register.away = False
                counter.card.with_name("away").rename(counter.card)
            if looks == 3:
                ended.set()
            return timeout is not None

    showing: list[Showing] = []
    counter.lay(NEW)
    counter.card.rename(counter.card.with_name("away"))
    counter.terminal.attend(Waited(), ended, lambda error: told.append(error.code))
    assert told == ["card-file-unusable"]
    assert showing == [Showing.HELP, Showing.HELP, Showing.WORKING]


def test_a_clerk_whom_the_office_does_not_know_is_not_locked_out_by_a_terminal(counter: Counter) -> None:
    counter.town.rooms.store.clerks.change(counter.clerk.id, ClerkState.SUSPENDED, LOCAL_OPERATOR, counter.now())
    assert code_of(lambda: counter.terminal.attend(Event(), Event(), print)) == "clerk-suspended"


# --- the page --------------------------------------------------------------------------------------------------------


@pytest.fixture
def page(counter: Counter) -> Any:  # noqa: ANN401 - Flask's client
    counter.number = counter.approved()  # type: ignore[attr-defined]
    counter.terminal.look()
    return screen_app(counter.screen).test_client()


def form(number: str, **changes: str) -> dict[str, str]:
    typed = {"case": number, "signing": "CANARY42XQ", "signing-again": "CANARY42XQ"}
    return typed | {"authentication": "7391", "authentication-again": "7391"} | changes


def test_r21_the_page_takes_pins_twice_and_never_shows_them(counter: Counter, page: Any) -> None:  # noqa: ANN401 - as above
    number: str = counter.number  # type: ignore[attr-defined]
    shown = page.get("/")
    assert shown.headers["Cache-Control"] == "no-store"
    assert "Refresh" not in shown.headers
    assert "<script" not in shown.text
    assert shown.text.count('type="password"') == 4
    for changes, field_name in (
        ({"signing-again": "CANARY43XQ"}, "一致しません"),
        ({"authentication": "739", "authentication-again": "739"}, "数字4桁"),
        ({"signing": "CANARY", "signing-again": "CANARY"}, "6～16文字"),
    ):
        answer = page.post("/", data=form(number, **changes), headers=OURS)
        assert answer.status_code == 422
        assert field_name in answer.text
        assert "CANARY" not in answer.text
    # In the mode in which a keyboard happens to be.
    wide = {"signing": "ｃａｎａｒｙ４２ｘｑ", "authentication": "７３９１"}
    done = page.post("/", data=form(number, **wide), headers=OURS)
    assert (done.status_code, done.headers["Location"]) == (303, "/")
    with counter.insert() as card:
        assert dict(card.tries) == {SIGNING: 5, AUTHENTICATION: 3}
    assert page.get("/").headers["Refresh"] == "2"


def test_what_was_typed_for_another_case_or_sent_from_another_page_sets_nothing(
    counter: Counter,
    page: Any,  # noqa: ANN401 - as above
) -> None:
    number: str = counter.number  # type: ignore[attr-defined]
    assert page.post("/", data=form("261127-0000-000Y"), headers=OURS).status_code == 303
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://elsewhere.example"}, {}):
        assert page.post("/", data=form(number), headers=headers).status_code == 403
    with counter.insert() as card:
        assert dict(card.tries) == {}


def test_a_page_that_asks_for_nothing_looks_again_by_itself(counter: Counter) -> None:
    page = screen_app(counter.screen).test_client()
    for showing in (each for each in Showing if each is not Showing.PINS):
        counter.screen.show(showing)
        shown = page.get("/")
        assert shown.headers["Refresh"] == "2"
        assert "<form" not in shown.text.split("<main>")[1]


def stand_still(route: Route) -> None:
    """Let a page not load itself again while it is looked at."""
    answer = route.fetch()
    kept = {name: value for name, value in answer.headers.items() if name.lower() != "refresh"}
    route.fulfill(response=answer, headers=kept)


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.mark.slow
def test_the_page_is_for_everyone(counter: Counter, browser: Browser, page: Any) -> None:  # noqa: ANN401 - as above
    del page
    server = make_server("127.0.0.1", 0, screen_app(counter.screen), Threaded, QuietHandler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    for width in (SMALL, LARGE):
        shown = browser.new_page(viewport={"width": width, "height": 900}, locale="ja-JP")
        shown.goto(f"http://127.0.0.1:{server.server_port}/")
        require_for_everyone(shown, width)
        shown.fill("#signing", "CANARY42XQ")
        shown.click("main button")
        require_for_everyone(shown, width)
    for name, pin in form("").items():
        if name != "case":
            shown.fill(f"#{name}", pin)
    shown.click("main button")
    assert shown.locator("h1").inner_text().startswith("カードを処理しています")
    shown.route("**/", stand_still)
    for showing in (each for each in Showing if each is not Showing.PINS):
        counter.screen.show(showing)
        shown.goto(f"http://127.0.0.1:{server.server_port}/")
        require_for_everyone(shown, width)
    server.shutdown()
    thread.join()
    server.server_close()


# --- the program -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_program_resets_a_pin_at_a_counter_over_tls_and_ends_when_it_is_told_to(
    jpki: Jpki, home: Path, tmp_path: Path, installed: Path
) -> None:
    jpki.done("tls", "certify", "--home", home, "--host", "127.0.0.1")
    hired: list[str | Path] = ["clerk", "add", "--home", home, "--name", "x", "--counter", TOWN, "--role", "reception"]
    clerk = jpki.done(*hired, "--out", tmp_path / "clerk")
    card = tmp_path / "card.json"
    jpki.done("card", "make", "--card", card, "--until", "2034-04-01", "--without-pins")
    with (
        closing(open_rooms(Home(home))) as rooms,
        program(
            [installed, "serve", "--home", home, "--port", "0", "--tls", "--door", "api"], "Answering on"
        ) as office,
    ):
        files = clerk["files"]
        words: list[str | Path] = [installed, "card", "terminal", "--card", card, "--url", office.told]
        words += ["--certificate", files["bundle"], "--password-file", files["password"]]
        words += ["--root", home / "tls" / "root.pem", "--screen-port", "0"]
        with program(words, "The resident's screen:") as terminal:
            assert "いらっしゃいませ" in asked(terminal.told)
            who = rooms.store.clerks.clerk(clerk["id"])
            wish = Wish(kind=CaseKind.PIN_RESET, counter=TOWN, holder=HANA, purposes=(AUTHENTICATION,))
            case = rooms.office.open(wish, who)
            now = rooms.clock()
            rooms.store.console_sessions.begin(
                Session(id=b"x", clerk=who.id, counter=TOWN, at_hand=case.number, began_at=now, seen_at=now)
            )
            wait_until(lambda: rooms.store.cases.case(case.number).card is not None)
            rooms.office.check_identity(case.number, NOTHING, who)
            wait_until(lambda: "password" in asked(terminal.told))
            typed = form(case.number, authentication="4321", **{"authentication-again": "4321"})
            assert posted(terminal.told, typed) == 303
            wait_until(lambda: "終わりました" in asked(terminal.told))
            terminal.process.send_signal(signal.SIGTERM)
            assert terminal.process.wait(20) == 0
            assert terminal.process.stderr is not None
            assert terminal.process.stderr.read() == ""
    assert jpki.done("card", "info", "--card", card)["tries"] == {"authentication": 3}
    wrong = [*words[1:], "--root", files["bundle"]]
    assert jpki.refused(*wrong).code == "clerk-files-unusable"


@dataclass(frozen=True, slots=True)
class Program:
    """A program that runs, and the address that it told."""

    process: subprocess.Popen[str]
    told: str


@contextmanager
def program(words: Sequence[str | Path], announcing: str) -> Iterator[Program]:
    with subprocess.Popen([*map(str, words), "--lang", "en"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            lines = iter(process.stderr.readline, "")
            told = next(line for line in lines if announcing in line)
            yield Program(process, told.partition(announcing)[2].split()[0])
        finally:
            process.terminate()
            process.wait(20)


def asked(url: str) -> str:
    address = urlsplit(url)
    with closing(http.client.HTTPConnection(address.netloc, timeout=20)) as connection:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()


def posted(url: str, fields: dict[str, str]) -> int:
    address = urlsplit(url)
    with closing(http.client.HTTPConnection(address.netloc, timeout=20)) as connection:
        headers = {"Content-Type": "application/x-www-form-urlencoded", **OURS}
        connection.request("POST", "/", urlencode(fields), headers)
        return connection.getresponse().status
