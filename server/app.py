"""The web application: the doors that this process opens, and nothing in globals."""

from collections.abc import Callable, Sequence
from enum import StrEnum

from flask import Blueprint, Flask

import ca.http
import crl.http
import ocsp.http
import signing.http
from jpki.certificate import HOLDER_PURPOSES
from jpki.errors import JpkiError, Kind
from jpki.text import Text
from server import access, health, problems
from server.documents import judge_upload
from server.wiring import Rooms


class Door(StrEnum):
    """A set of routes that a process may open."""

    OCSP = "ocsp"
    CRL = "crl"
    CA = "ca"
    VERIFY = "verify"
    TSA = "tsa"


_GUARDED = {Door.CRL, Door.VERIFY}
"""What only registered verifiers may use, where they are registered; OCSP sees to that itself, in its own words.

A time-stamp tells of no holder, and is for everyone.
"""


def create_app(rooms: Rooms, doors: Sequence[Door] = tuple(Door)) -> Flask:
    """Return the application with these doors open, and /livez and /readyz beside them."""
    makers: dict[Door, Callable[[], Blueprint]] = {
        Door.OCSP: lambda: ocsp.http.make_blueprint(rooms.responder, access.client),
        Door.CRL: lambda: crl.http.make_blueprint(rooms.home.path / "crl"),
        Door.CA: lambda: ca.http.make_blueprint(rooms.living, rooms.store.generations.ever),
        Door.VERIFY: lambda: signing.http.make_blueprint(judge_upload(rooms, access.verifier)),
        Door.TSA: lambda: signing.http.make_time_stamp_blueprint(rooms.time_stamps),
    }
    app = Flask("jpki", static_folder=None)
    app.json.ensure_ascii = False  # type: ignore[attr-defined] # the default provider has it
    problems.register(app)
    for door in doors:
        blueprint = makers[door]()
        if door in _GUARDED and rooms.admission is not None:
            access.guard(blueprint, rooms.admission)
        app.register_blueprint(blueprint)
    app.register_blueprint(health.make_blueprint(checks(rooms, doors)))
    return app


def checks(rooms: Rooms, doors: Sequence[Door]) -> dict[str, health.Check]:
    """Return what must hold for these doors to be of use."""
    needed: dict[str, health.Check] = {"database": lambda: _database(rooms)}
    if Door.OCSP in doors:
        needed["ocsp"] = lambda: _responders(rooms)
        needed["journal"] = rooms.responder.require_current
    if Door.CRL in doors:
        needed["crl"] = lambda: _lists(rooms)
    if Door.TSA in doors:
        needed["tsa"] = rooms.time_stamps.require_ready
    return needed


def _database(rooms: Rooms) -> None:
    for purpose in HOLDER_PURPOSES:
        rooms.living(purpose)


def _responders(rooms: Rooms) -> None:
    now = rooms.clock()
    for purpose in HOLDER_PURPOSES:
        for generation in rooms.living(purpose):
            responders = rooms.store.delegates.responders(generation.id)
            if not any(each.certificate.not_valid_after_utc >= now for each in responders):
                raise _stale(
                    "responder-expired", "OCSPレスポンダ証明書が期限切れです。", "An OCSP responder has expired."
                )


def _lists(rooms: Rooms) -> None:
    if any(mark.next_update <= rooms.clock() for mark in rooms.store.shelf.marks()):
        raise _stale("crl-stale", "期限の切れた失効リストがあります。", "A CRL is past its nextUpdate.")


def _stale(code: str, ja: str, en: str) -> JpkiError:
    action = Text(
        "CA鍵のあるところで jpki crl publish を実行してください。", "Run `jpki crl publish` where the CA keys are."
    )
    return JpkiError(Kind.UNAVAILABLE, code, Text(ja, en), action)
