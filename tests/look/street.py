"""A town at a day that never changes: its office's pages and the public ones, as bytes that repeat."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

from cryptography import x509
from werkzeug.test import TestResponse

from jpki.acts import LOCAL_OPERATOR
from jpki.case import CaseNumber
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clerk import EVERY_COUNTER, Role
from jpki.clock import day_in_japan
from jpki.ids import HolderCode, format_serial, parse_serial
from jpki.randomness import Randomness
from jpki.resident import Registration, Resident
from jpki.resident_event import EventState, Kind, ResidentEvent, SourceName
from server.app import Door, create_app
from server.founding import found
from server.home import Home
from server.sample.holders import sample_code, sample_holder
from server.settings import Settings
from tests.conftest import NOON, SteppingClock
from tests.console.seats import Browser, logged_in
from tests.server.api_world import ApiTown, api_at, header_of
from tests.server.many_certificates import with_many
from tests.server.office_world import TOWN, clerk_row

TELEPHONE = "0120-000-000"
_AT_HOME, _LOST, _PROXY, _NEXT = map(sample_code, (5, 7, 33, 9))
"""Sample holders: one with a pair and 髙 in the name, one whose card is lost, a child with a parent, one who comes."""


@dataclass
class Street:
    """The town, whoever works in it, and what a holder got; only the front is logged in."""

    town: ApiTown
    clock: SteppingClock
    front: Browser
    second: Browser
    chief: Browser
    pair: Mapping[Purpose, str] = field(default_factory=dict)

    def opened(self, holder: HolderCode, kind: str = "new", **fields: Any) -> str:  # noqa: ANN401 - a form's fields
        self.clock.advance(minutes=2)
        answer = self.front.post(f"/open/{kind}", {"holder": holder} | fields)
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"].rpartition("/")[2]

    def presented(self, number: str) -> str:
        self.town.done(self.town.office.front, f"/cases/{number}/card", self.town.card())
        return number

    def checked(self, number: str, purposes: Sequence[Purpose] = HOLDER_PURPOSES) -> str:
        kinds: Any = list(purposes)
        assert self.front.post(f"/issue/{self.presented(number)}/kinds", {"purposes": kinds}).status_code == 303
        return number

    def issued(self, number: str) -> str:
        self.clock.advance(minutes=1)
        requests = self.town.requests(*self.town.rooms.store.cases.case(CaseNumber(number)).purposes)
        self.town.done(self.town.office.front, f"/cases/{number}/issuance", {"requests": requests})
        return number

    def delivered(self, number: str) -> str:
        assert self.front.post(f"/issue/{number}/delivery").status_code == 303
        return number

    def serials(self, number: str) -> Mapping[Purpose, str]:
        ordered = self.town.rooms.store.cases.certificates(CaseNumber(number))
        return {each.purpose: format_serial(each.serial) for each in ordered}


def rising() -> Randomness:
    """Return octets that rise with every draw: what is sorted by them comes in the order in which it was made."""
    numbers = count(1)

    def draw(octets: int) -> bytes:
        number = next(numbers).to_bytes(4)
        return (number + sha256(number).digest() * (1 + octets // 32))[:octets]

    return draw


@contextmanager
def street_at(folder: Path) -> Iterator[Street]:
    """Found a town at noon, let a morning's work pass, and keep everybody at their desks."""
    clock, randomness, home = SteppingClock(NOON), rising(), folder / "home"
    found(Home(home), Settings(suspension_telephone=TELEPHONE), clock, randomness).close()
    with api_at(home, clock, randomness) as town:
        town.app = create_app(town.rooms, [each for each in Door if each is not Door.TSA])
        for each in map(sample_code, range(1, 60)):
            holder = sample_holder("hall", int(each[-8:]))
            town.office.register.enter(
                Resident(holder=holder, registration=Registration.RESIDENT, is_ward=False, stay_until=None)
            )
        chief = clerk_row(town.rooms, {EVERY_COUNTER: [Role.ADMINISTRATOR, Role.AUDITOR]}, "管理　三四郎")
        second = clerk_row(town.rooms, {TOWN: [Role.APPROVAL]}, "承認　次郎")
        front = clerk_row(town.rooms, {TOWN: [Role.RECEPTION, Role.APPROVAL]}, "窓口　花")
        town.office.front, town.office.second = front, second
        yield Street(
            town,
            clock,
            front=logged_in(Browser(town, front)),
            second=Browser(town, second),
            chief=Browser(town, chief),
        )


# --- what is shown -------------------------------------------------------------------------------------------------

LANGUAGES = ("ja", "en")
_VARIES: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "5a" * 32),
    (re.compile(r"\b[0-9a-f]{32}\b"), "5e" * 16),
    (re.compile(r"\b[0-9a-f]{2}(:[0-9a-f]{2}){31}\b"), ":".join(["5a"] * 32)),
    (re.compile(r"\b\d{36,39}\b"), "1" * 39),
    (re.compile(r"\bb\d\d\b"), "b42"),
    (re.compile(r"\bMII[0-9A-Za-z+/=]{1000,}"), "MIIEagoBAKCCBGMwggRf" * 72),
    (re.compile(r"\b(\d{6})-[0-9A-Z]{4}-[0-9A-Z]{4}\b"), r"\1-7KQ4-M2XC"),
)
"""What is drawn at random, and what stands in its place: as long, so that lines break where they do."""


@dataclass
class Album:
    """Pages by name and language, as they are shown to a browser."""

    shown: dict[tuple[str, str], str] = field(default_factory=dict)

    def take(self, name: str, who: "Browser | Passer", path: str, fields: Mapping[str, Any] | None = None) -> None:
        """Ask for a page in each language, by a form that changes nothing where it has fields."""
        for language in LANGUAGES:
            who.speak(language)
            answer = who.get(path) if fields is None or isinstance(who, Passer) else who.post(path, dict(fields))
            self.keep(name, language, answer)
        who.speak("ja")

    def keep(self, name: str, language: str, answer: TestResponse) -> None:
        text = answer.text
        assert text.startswith("<!DOCTYPE html>"), (name, answer.status_code, answer.location)
        for pattern, instead in _VARIES:
            text = pattern.sub(instead, text)
        self.shown[name, language] = text


class Passer:
    """Anybody at the public pages, with a certificate or without."""

    def __init__(self, street: Street, certificate: x509.Certificate | None = None) -> None:
        self._client: Any = street.town.app.test_client()
        self._borne = {} if certificate is None else header_of(certificate)

    def speak(self, language: str) -> None:
        self._client.set_cookie("lang", language)

    def get(self, path: str) -> TestResponse:
        answer: TestResponse = self._client.get(path, headers=self._borne, base_url="https://localhost")
        return answer

    def upload(self, path: str, octets: bytes) -> TestResponse:
        file = (BytesIO(octets), "certificate.der")
        answer: TestResponse = self._client.post(path, data={"file": file}, base_url="https://localhost")
        return answer


def album_of(street: Street) -> Album:
    """Let a day pass in the town, and take every page where it says the most."""
    album, front, second, chief = Album(), street.front, street.second, street.chief
    album.take("login", Browser(street.town, street.town.office.front), "/login")
    _issue(street, album)
    _end(street, album)
    _wait(street, album)
    _oversee(street, album)
    album.take("home", front, "/")
    album.take("home-chief", chief, "/")
    album.take("search", front, "/search", {"identifier": str(_AT_HOME)})
    album.take("approvals", second, "/approvals")
    _pass(street, album)
    return album


def _issue(street: Street, album: Album) -> None:
    """Issue for a holder whose name is hard to write, by the five steps."""
    front = street.front
    album.take("issue-application", front, "/open/new")
    album.take("issue-error", front, "/open/new", {"holder": "123456789012"})
    number = street.opened(_AT_HOME)
    album.take("issue-data", front, f"/issue/{number}")
    album.take("issue-reader", front, f"/issue/{number}?step=kinds&still=1")
    street.presented(number)
    album.take("issue-kinds", front, f"/issue/{number}?step=kinds")
    street.checked(number)
    album.take("issue-pins", front, f"/issue/{number}?still=1")
    street.issued(number)
    album.take("issue-delivery", front, f"/issue/{number}")
    street.delivered(number)
    album.take("issue-receipt", front, f"/issue/{number}")
    street.pair = street.serials(number)


def _end(street: Street, album: Album) -> None:
    """Hold what a lost card bears, and look at what a revocation of the other pair would do."""
    front, lost = street.front, street.opened(_LOST)
    for step in (street.checked, street.issued, street.delivered):
        step(lost)
    street.clock.advance(minutes=7)
    wish = {"holder": str(_LOST), "event": "", "applicant": "holder", "which": "both", "to": "do"}
    answer = front.post("/open/hold", wish)
    assert answer.status_code == 303, answer.text
    album.take("case-done", front, answer.headers["Location"].removeprefix("/console") + "?still=1")
    album.take("certificate-held", front, f"/certificates/{street.serials(lost)[Purpose.AUTHENTICATION]}")
    album.take("certificate", front, f"/certificates/{street.pair[Purpose.SIGNING]}")
    album.take("revocation", front, "/open/revocation")
    wish = {"holder": str(_AT_HOME), "event": "holder-asked", "applicant": "holder", "which": "both", "to": "preview"}
    album.take("revocation-preview", front, "/open/revocation", wish)


def _wait(street: Street, album: Album) -> None:
    """Leave cases and an event to other clerks."""
    child = street.opened(_PROXY, applicant="legal-proxy", documents="legal-proof")
    street.checked(child, [Purpose.AUTHENTICATION])
    album.take("issue-approval", street.front, f"/issue/{child}?still=1")
    street.opened(_NEXT)
    street.clock.advance(minutes=5)
    wish = {"holder": str(_LOST), "applicant": "holder", "which": "both", "identity": "checked", "to": "do"}
    assert street.front.post("/open/release", wish).status_code == 303
    moved = ResidentEvent(
        source=SourceName(TOWN), sequence=1, kind=Kind.MOVED, holder=_NEXT, effective_at=street.clock()
    )
    for each in (moved, replace(moved, kind=Kind.DIED)):
        street.town.rooms.store.events.receive([each], LOCAL_OPERATOR, street.clock())
    (doubtful,) = street.town.rooms.store.events.listed(EventState.REFUSED, 0, 9)
    album.take("events", logged_in(street.second), "/events")
    album.take("event", street.second, f"/events/{doubtful.number}")


def _oversee(street: Street, album: Album) -> None:
    """Plan campaigns, and look at the house."""
    rooms, chief = street.town.rooms, street.chief
    with_many(rooms, 400, weeks=11)
    today = day_in_japan(street.clock())
    campaign = rooms.store.campaigns.open(today + timedelta(days=20), LOCAL_OPERATOR, street.clock()).id
    taken = rooms.store.campaigns.take(campaign, 50, street.clock())
    street.clock.advance(minutes=4)
    failed = dict.fromkeys(taken.serials[40:], "request-missing")
    rooms.store.campaigns.finish(campaign, taken, dict.fromkeys(taken.serials[:40]), failed)
    rooms.notary.sign()
    album.take("audit", logged_in(chief, "house"), "/audit")
    album.take("campaigns", chief, f"/campaigns?ending_by={(today + timedelta(days=80)).isoformat()}")
    album.take("campaign", chief, f"/campaigns/{campaign}")
    pair = " ".join(street.pair[each] for each in HOLDER_PURPOSES)
    album.take("revocations", chief, "/revocations")
    album.take("revocations-survey", chief, "/revocations", {"reason": "keyCompromise", "serials": pair})
    album.take("people", chief, "/people")
    album.take("authority", chief, "/authority")


def _pass(street: Street, album: Album) -> None:
    """Be a verifier, and a holder."""
    octets = street.town.rooms.store.ledger.certificates
    signing, authentication = (
        octets([number])[number] for number in (parse_serial(street.pair[each]) for each in HOLDER_PURPOSES)
    )
    passer, holder = Passer(street), Passer(street, x509.load_der_x509_certificate(authentication))
    album.take("portal", passer, "/")
    album.take("verify", passer, "/verify")
    album.take("certificate-check", passer, "/certificate")
    album.take("holder-entrance", passer, "/holder")
    album.take("holder", holder, "/holder")
    album.take("holder-suspension", holder, "/holder/suspension")
    album.take("accessibility", passer, "/accessibility")
    album.take("lists", passer, "/crl/?q=大洗&ca=signing")
    for language in LANGUAGES:
        passer.speak(language)
        album.keep("certificate-answer", language, passer.upload("/certificate", signing))
