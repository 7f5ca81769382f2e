"""Days of an office as texts (scenarios/*.txt): each line is a call of the API, or what a verifier hears then.

A clerk's line names what is done to which case; `-> code …` is the refusal that is expected, with all its reasons.
`H-1'` is what the holder had before the latest.
"""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPCertStatus, OCSPRequestBuilder, load_der_ocsp_response

from enroll.effects import effects
from enroll.renewal import holder_of
from jpki.acts import Actor
from jpki.certificate import Purpose
from jpki.clerk import Clerk
from jpki.clock import day_in_japan, system_clock, years_later
from jpki.event import Event
from jpki.ids import HolderCode, Serial
from jpki.resident import Registration
from jpki.revocation import Reason
from tests.conftest import SteppingClock
from tests.server.api_world import ApiTown, api_at
from tests.server.conftest import copied
from tests.server.office_world import OTHER_TOWN, TOWN, resident_of

pytestmark = pytest.mark.slow

TEXTS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))
BOTH = ("signing", "authentication")
STEPS = {
    "checks": "identity-check",
    "approves": "approval",
    "issues": "issuance",
    "delivers": "delivery",
    "completes": "completion",
    "refuses": "refusal",
    "cancels": "cancellation",
    "returns": "return",
    "takes": "take-over",
}
REGISTER = Actor("system", "register")


class Play:
    """One scenario: the cases by their names here, and what each holder was given."""

    def __init__(self, town: ApiTown, time: SteppingClock) -> None:
        self.town = town
        self.time = time
        self.numbers: dict[str, str] = {}
        self.wanted: dict[str, tuple[str, Sequence[str]]] = {}
        self.waiting: dict[str, Mapping[str, x509.Certificate]] = {}
        self.given: dict[tuple[str, str], list[x509.Certificate]] = {}
        self.moves = 0

    def line(self, line: str) -> None:
        said, _, expected = line.partition(" -> ")
        first, *words = said.split()
        if first in ("front", "second", "elsewhere"):
            self.clerk(getattr(self.town.office, first), words, expected.split())
        elif first.startswith("H-"):
            self.happens(HolderCode(first), words[0])
        else:
            acts: Mapping[str, Callable[..., None]] = {
                "resident": self.resident,
                "whole": self.whole,
                "ocsp": self.ocsp,
                "crl": self.crl,
                "says": self.says,
                "wait": self.wait,
                "until": self.until,
                "register": self.register,
                "tidy": self.tidy,
            }
            acts[first](*words)

    # --- clerks ----------------------------------------------------------------------------------------------------

    def clerk(self, clerk: Clerk, words: Sequence[str], expected: Sequence[str]) -> None:
        verb, *rest = words
        if verb == "opens":
            answer = self.opens(clerk, rest)
        elif verb == "suspends":
            answer = self.town.post(clerk, f"/holders/{rest[0]}/suspension", {"counter": TOWN})
        else:
            answer = self.step(clerk, verb, rest[0])
        if expected:
            told = [answer.json["code"], *(each["code"] for each in answer.json.get("errors", []))]
            assert told == expected, answer.text
        else:
            assert answer.status_code in (200, 201), answer.text

    def opens(self, clerk: Clerk, words: Sequence[str]) -> Any:  # noqa: ANN401 - an answer
        kind, *pairs = words
        more = dict(zip(pairs[::2], pairs[1::2], strict=True))
        purposes = (more["of"],) if "of" in more else BOTH
        body: dict[str, object] = {"kind": kind, "counter": TOWN, "holder": more["for"], "purposes": purposes}
        body |= {"applicant": more["by"]} if "by" in more else {}
        body |= {"documents": [more["with"]]} if "with" in more else {}
        body |= {"event": more["on"]} if "on" in more else {}
        answer = self.town.post(clerk, "/cases", body)
        if answer.status_code == 201:
            self.numbers[more["as"]] = answer.json["number"]
            self.wanted[more["as"]] = (more["for"], purposes)
        return answer

    def step(self, clerk: Clerk, verb: str, name: str) -> Any:  # noqa: ANN401 - an answer
        holder, purposes = self.wanted[name]
        bodies: Mapping[str, Callable[[], object]] = {
            "checks": lambda: {"card": self.town.card()},
            "issues": lambda: {"requests": self.town.requests(*map(Purpose, purposes))},
            "refuses": lambda: {"ground": "not-eligible"},
            "takes": lambda: {"counter": OTHER_TOWN},
        }
        body = bodies[verb]() if verb in bodies else {}
        answer = self.town.post(clerk, f"/cases/{self.numbers[name]}/{STEPS[verb]}", body)
        if verb == "issues" and answer.status_code == 200:
            encoded = answer.json["certificates"].items()
            found = {kind: x509.load_der_x509_certificate(base64.b64decode(each)) for kind, each in encoded}
            self.waiting[name] = found
            for kind, certificate in found.items():
                self.given.setdefault((holder, kind), [])
                if not self.given[holder, kind]:
                    self.given[holder, kind].append(certificate)
        if verb == "delivers" and answer.status_code == 200:
            for kind, certificate in self.waiting.pop(name).items():
                if certificate not in self.given[holder, kind]:
                    self.given[holder, kind].append(certificate)
        return answer

    def whole(self, kind: str, holder: str, *of: str) -> None:
        """Take a case from its beginning to its end."""
        more = " ".join(of)
        for line in (
            f"front opens {kind} for {holder} {more} as whole",
            "front checks whole",
            "second approves whole",
            "front issues whole",
            "front delivers whole",
        ):
            self.line(line)

    # --- what happens ----------------------------------------------------------------------------------------------

    def resident(self, code: str, age: str) -> None:
        resident = resident_of(HolderCode(code))
        # The next birthday is five months away, so that the first generation issues still when a renewal is due.
        born = years_later(day_in_japan(self.time()) + timedelta(days=150), -int(age) - 1)
        self.town.office.register.enter(replace(resident, holder=replace(resident.holder, birth_date=born)))

    def happens(self, holder: HolderCode, what: str) -> None:
        """Write it in the register, and do what the worker of its events does."""
        register = self.town.office.register
        self.moves += 1
        match what:
            case "moves":
                address = f"東京都千代田区一番町{chr(ord('０') + self.moves)}番地"
                register.change(holder, address=address, address_substitutes="0" * len(address))
                event = Event.RECORD_CHANGED
            case "marries":
                register.change(holder, name="新　花子", name_substitutes="0000")
                event = Event.RECORD_CHANGED
            case _:
                register.change(holder, registration=Registration.ENDED)
                event = Event.DIED
        live = self.town.rooms.desk.on_card(holder)
        for purpose, reason in effects(event).items():
            if purpose in live:
                self.town.rooms.desk.revoke(live[purpose].serial, reason, REGISTER)

    def register(self, how: str) -> None:
        self.town.office.register.away = how == "away"

    def wait(self, count: str, unit: str) -> None:
        self.time.advance(**{unit: int(count)})
        self.town.rooms.maintenance.jobs["responders"]()

    def until(self, days: str, *rest: str) -> None:
        end = self.latest(rest[-1], "authentication").not_valid_after_utc
        self.time.now = end - timedelta(days=int(days))
        # The clerks' own certificates have ended long ago: each gets a new one.
        self.town.shown.clear()
        self.town.rooms.maintenance.jobs["responders"]()

    def tidy(self) -> None:
        for job in ("cases", "abandoned"):
            self.town.rooms.maintenance.jobs[job]()

    # --- what a verifier hears -------------------------------------------------------------------------------------

    def latest(self, holder: str, kind: str) -> x509.Certificate:
        found = self.given[holder.rstrip("'"), kind]
        return found[-2] if holder.endswith("'") else found[-1]

    def ocsp(self, holder: str, kind: str, expected: str) -> None:
        certificate = self.latest(holder, kind)
        (issuer,) = self.town.rooms.living(Purpose(kind))
        asked = OCSPRequestBuilder().add_certificate(certificate, issuer.certificate, SHA256()).build()
        answer = self.town.client.post("/ocsp", data=asked.public_bytes(Encoding.DER))
        heard = load_der_ocsp_response(answer.data)
        match heard.certificate_status:
            case OCSPCertStatus.GOOD:
                assert expected == "good", (holder, kind)
            case OCSPCertStatus.UNKNOWN:
                assert expected == "unknown", (holder, kind)
            case _:
                assert heard.revocation_reason is not None
                assert heard.revocation_reason.value == expected, (holder, kind)

    def crl(self, holder: str, kind: str, expected: str) -> None:
        self.town.rooms.publisher.publish_due()
        (issuer,) = self.town.rooms.living(Purpose(kind))
        answer = self.town.client.get(f"/crl/{kind}/{issuer.id}/complete.crl", buffered=True)
        listed = x509.load_der_x509_crl(answer.data)
        serial = Serial(self.latest(holder, kind).serial_number)
        entry = listed.get_revoked_certificate_by_serial_number(serial)
        if entry is None:
            assert expected == "absent", (holder, kind)
        else:
            reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
            assert Reason(reason.value) == expected, (holder, kind)

    def says(self, code: str, *_: str) -> None:
        """The signing certificate discloses what the register says."""
        resident = self.town.office.register.residents[HolderCode(code)]
        disclosed = holder_of(resident.code, self.latest(code, "signing"), resident.holder.municipality.code)
        assert disclosed == resident.holder


@pytest.fixture
def play(new_home: Path, tmp_path: Path) -> Iterator[Play]:
    time = SteppingClock(system_clock())
    with api_at(copied(new_home, tmp_path / "home"), time) as town:
        yield Play(town, time)


@pytest.mark.parametrize("text", TEXTS, ids=[each.stem for each in TEXTS])
def test_a_day_of_the_office(play: Play, text: Path) -> None:
    for number, line in enumerate(text.read_text("utf-8").splitlines(), start=1):
        if line and not line.startswith("#"):
            try:
                play.line(line)
            except AssertionError as error:
                raise AssertionError(f"{text.name}:{number}: {line}\n{error}") from error
