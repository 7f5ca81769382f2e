"""The portal `/`: what this authority is, where everything lies, and how it stands now, on one page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.hashes import SHA256
from flask import Blueprint, Response, make_response, render_template

from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import iso, whole_second
from jpki.errors import JpkiError
from jpki.generation import Generation
from jpki.look import PAGE_HEADERS
from jpki.partition import COMPLETE, crl_url
from jpki.ports import ShelfMark
from jpki.text import Text
from ocsp.responder import Outcome
from server.health import Check, readiness
from server.tally import Board
from server.wiring import Rooms

_SECONDS_TO_KEEP = 60
WORDS = {
    "database": Text("台帳", "Ledger"),
    "ocsp": Text("OCSPレスポンダ", "OCSP responders"),
    "journal": Text("失効の即時反映", "Changes of status are heard of"),
    "crl": Text("失効リスト", "Revocation lists"),
    "tsa": Text("タイムスタンプ", "Time-stamps"),
}
"""What the parts that readiness looks at are called."""


@dataclass(frozen=True, slots=True)
class _Root:
    """A CA's root as the page shows it; `is_current` that certificates are issued under it."""

    generation: Generation
    is_current: bool

    @property
    def address(self) -> str:
        return f"/ca/{self.generation.purpose}/{self.generation.id}.cer"

    @property
    def sha256(self) -> str:
        return self.generation.certificate.fingerprint(SHA256()).hex()


@dataclass(frozen=True, slots=True)
class _List:
    """The newest complete list of a CA, under the root that issues."""

    mark: ShelfMark
    url: str


@dataclass(frozen=True, slots=True)
class _Standing:
    """What the ledger tells for the page."""

    roots: Mapping[Purpose, Sequence[_Root]]
    lists: Sequence[_List]


def make_blueprint(rooms: Rooms, doors: Sequence[str], checks: Mapping[str, Check], board: Board) -> Blueprint:
    """Return the routes GET /, /accessibility and, where a contact is set, /.well-known/security.txt (RFC 9116).

    Of what lies behind doors that are not open here the page says nothing.
    """
    blueprint = Blueprint("portal", __name__, template_folder="templates")

    @blueprint.get("/")
    def portal() -> Response:
        _, ready = readiness(checks)
        page = render_template(
            "portal.html",
            base_url=rooms.settings.base_url,
            doors=doors,
            registered=rooms.settings.verifiers == "registered",
            ready=ready,
            words=WORDS,
            standing=_standing(rooms),
            answers=_ocsp_answers(board),
            contact=rooms.settings.security_contact,
            telephone=rooms.settings.suspension_telephone,
            iso=iso,
        )
        return make_response(page, {"Cache-Control": f"public, max-age={_SECONDS_TO_KEEP}", **PAGE_HEADERS})

    @blueprint.get("/accessibility")
    def accessibility() -> Response:
        page = render_template("accessibility.html", contact=rooms.settings.security_contact)
        return make_response(page, {"Cache-Control": f"public, max-age={_SECONDS_TO_KEEP}", **PAGE_HEADERS})

    contact = rooms.settings.security_contact
    if contact is not None:

        @blueprint.get("/.well-known/security.txt")
        def security() -> Response:
            text = _security(contact, rooms.settings.base_url, rooms.clock())
            return Response(text, content_type="text/plain; charset=utf-8")

    return blueprint


def standing(checks: Mapping[str, Check]) -> Sequence[tuple[Text, str]]:
    """Return each part's words, and `ok`, `warning` or the code of what failed."""
    _, ready = readiness(checks)
    return [
        (WORDS[name], "warning" if name in ready["warnings"] else outcome) for name, outcome in ready["checks"].items()
    ]


def _security(contact: str, base_url: str, now: datetime) -> str:
    """Return whom to tell of a weakness (RFC 9116). It holds for half a year from whenever it is asked for."""
    ends = iso(whole_second(now) + timedelta(days=180))
    address = f"{base_url}/.well-known/security.txt"
    return f"Contact: {contact}\nExpires: {ends}\nPreferred-Languages: ja, en\nCanonical: {address}\n"


def _standing(rooms: Rooms) -> _Standing | None:
    """Return what the ledger tells, None while it is away: the page's addresses and commands go on."""
    try:
        living = {purpose: rooms.living(purpose) for purpose in HOLDER_PURPOSES}
        roots = {
            purpose: [_Root(each, is_current=each == found[0]) for each in found] for purpose, found in living.items()
        }
        return _Standing(roots, list(_lists(rooms, living)))
    except JpkiError:
        return None


def _lists(rooms: Rooms, living: Mapping[Purpose, Sequence[Generation]]) -> Iterator[_List]:
    for purpose, generations in living.items():
        mark = rooms.store.shelf.newest(purpose, [COMPLETE]).get(COMPLETE)
        if mark is not None and generations:
            yield _List(mark, crl_url(rooms.settings.base_url, purpose, generations[0].id, COMPLETE))


def _ocsp_answers(board: Board) -> tuple[int, float]:
    """Return how many questions all workers answered since they began, and the microseconds that one took on average.

    Questions that were refused are not among them.
    """
    answered = [total for (_, _, outcome), total in board.totals() if outcome in (Outcome.KEPT, Outcome.SIGNED)]
    count, seconds = sum(each.count for each in answered), sum(each.seconds for each in answered)
    return count, seconds / count * 1e6 if count else 0.0
