"""The web application: the doors that this process opens, and nothing in globals."""

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from functools import partial

from flask import Blueprint, Flask, Response

import ca.http
import crl.http
import enroll.console.http
import enroll.http
import ocsp.http
import signing.http
from crl.copies import behind, lagging
from enroll.console.desk import House
from enroll.history import History
from enroll.routes import Api
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clerk import Clerk, ClerkId, ClerkState
from jpki.errors import JpkiError, Kind
from jpki.look import FONTS, STATIC, STATIC_ADDRESS, TEMPLATES
from jpki.text import Text
from jpki.verifier import VerifierId
from server import (
    access,
    certificate_page,
    health,
    holder_page,
    language,
    metrics,
    portal,
    problems,
    same_site,
    watch,
)
from server.clients import Clients
from server.directory import distribution_points
from server.documents import judge_upload
from server.freshness import warning_of
from server.gate import ClerkGate
from server.metrics import Metrics
from server.oversight import oversight_of
from server.own_answers import OwnAnswers
from server.repeats import Repeats
from server.tally import HEALTH
from server.watch import Watch
from server.wiring import Rooms


class Door(StrEnum):
    """A set of routes that a process may open."""

    OCSP = "ocsp"
    CRL = "crl"
    CA = "ca"
    VERIFY = "verify"
    TSA = "tsa"
    API = "api"
    CONSOLE = "console"
    HOLDER = "holder"


_GUARDED = {Door.CRL, Door.VERIFY}
"""What only registered verifiers may use, where they are registered; OCSP sees to that itself, in its own words.

A time-stamp tells of no holder, and is for everyone. The holder's page is for the holder.
"""


_SECONDS_OF_FONTS = 365 * 24 * 3600


class _Application(Flask):
    """Flask, whose clients may keep fonts: what lies there under a name never changes."""

    def send_static_file(self, filename: str) -> Response:
        """Return what pages load."""
        answer = super().send_static_file(filename)
        if filename.startswith(FONTS):
            answer.headers["Cache-Control"] = f"public, max-age={_SECONDS_OF_FONTS}, immutable"
        return answer


def known_clients(doors: Collection[Door]) -> Sequence[Purpose]:
    """Return the CAs whose certificates a client may show here: holders' where there is a page for holders."""
    return (Purpose.INFRASTRUCTURE, Purpose.AUTHENTICATION) if Door.HOLDER in doors else (Purpose.INFRASTRUCTURE,)


def clients_of(rooms: Rooms, doors: Collection[Door]) -> Clients:
    """Return who tells whose certificate a client of these doors shows."""
    return Clients(lambda: [root for ca in known_clients(doors) for root in rooms.living(ca)], rooms.clock)


def create_app(rooms: Rooms, doors: Sequence[Door] = tuple(Door), observer: Watch | None = None) -> Flask:
    """Return the application with these doors open, and the portal, /livez, /readyz and /metrics beside them.

    Without an `observer` its requests are counted for themselves.
    """
    makers: Sequence[tuple[Door, Callable[[], Blueprint]]] = (
        (Door.OCSP, lambda: ocsp.http.make_blueprint(rooms.responder, access.client)),
        (
            Door.CRL,
            lambda: crl.http.make_blueprint(rooms.home.path / "crl", partial(distribution_points, rooms), rooms.clock),
        ),
        (Door.CA, lambda: ca.http.make_blueprint(rooms.living, rooms.store.generations.ever)),
        (Door.VERIFY, lambda: signing.http.make_blueprint(judge_upload(rooms, access.verifier), rooms.sandbox.start)),
        (
            Door.VERIFY,
            lambda: certificate_page.make_blueprint(
                rooms.every_generation, partial(_asked, rooms), rooms.clock, rooms.settings.base_url
            ),
        ),
        (Door.API, lambda: _office(rooms)),
        (Door.CONSOLE, lambda: _console(rooms, needed)),
        (Door.HOLDER, lambda: _holders_page(rooms)),
        (Door.TSA, lambda: signing.http.make_time_stamp_blueprint(rooms.time_stamps)),
    )
    app = _Application("jpki", static_folder=STATIC, static_url_path=STATIC_ADDRESS, template_folder=TEMPLATES)
    app.json.ensure_ascii = False  # type: ignore[attr-defined] # the default provider has it
    observer = observer or Watch.alone(doors, rooms.clock)
    needed = checks(rooms, doors)
    problems.register(app)
    language.register(app, japanese_first={"console"})
    opened = [(door, make()) for door, make in makers if door in doors]
    for door, blueprint in opened:
        if door in _GUARDED and rooms.admission is not None:
            access.guard(blueprint, rooms.admission)
        app.register_blueprint(blueprint)
    beside = [
        language.make_blueprint(),
        health.make_blueprint(needed),
        metrics.make_blueprint(Metrics.of(rooms, needed, observer.tally.board)),
    ]
    for blueprint in (*beside, portal.make_blueprint(rooms, doors, needed, observer.tally.board)):
        app.register_blueprint(blueprint)
    doors_by_name: dict[str, str] = {blueprint.name: door for door, blueprint in opened}
    watch.register(app, observer, doors_by_name | {blueprint.name: HEALTH for blueprint in beside})
    # After it: what is refused is counted, too.
    access.hear_clients(app, rooms.settings.client_cert_proxy, clients_of(rooms, doors))
    return app


def _office(rooms: Rooms) -> Blueprint:
    gate, repeats = ClerkGate(rooms.store.clerks, rooms.clock), Repeats(rooms.store.replies, rooms.clock)
    return enroll.http.make_blueprint(_api(rooms), gate, repeats.once, rooms.settings.base_url)


def _console(rooms: Rooms, needed: Mapping[str, health.Check]) -> Blueprint:
    house = House(
        api=_api(rooms),
        sessions=rooms.store.console_sessions,
        clock=rooms.clock,
        randomness=rooms.randomness,
        training=rooms.settings.training,
        suspension_telephone=rooms.settings.suspension_telephone,
        base_url=rooms.settings.base_url,
        status_of=lambda error: problems.STATUS[error.kind],
        standing=lambda: portal.standing(needed),
    )
    blueprint = enroll.console.http.make_blueprint(house, ClerkGate(rooms.store.clerks, rooms.clock))
    same_site.guard(blueprint)
    return blueprint


def _api(rooms: Rooms) -> Api:
    store = rooms.store

    def change_clerk(clerk: ClerkId, state: ClerkState, by: Clerk) -> Clerk:
        store.clerks.change(clerk, state, by.actor(None), rooms.clock())
        return store.clerks.clerk(clerk)

    return Api(
        office=rooms.office,
        history=_history(rooms),
        counter=store.counters.counter,
        counters=store.counters.added,
        clerks=store.clerks.clerks,
        change_clerk=change_clerk,
        certificates_of=store.cases.certificates_of,
        by_fingerprint=store.cases.by_fingerprint,
        events=store.events,
        at_hand=lambda clerk: store.console_sessions.at_hand(clerk, rooms.clock()),
        ocsp_answer=OwnAnswers(partial(_asked, rooms), store.generations.find),
        oversight=oversight_of(rooms, {"ocsp": lambda: _responders(rooms), "crl": lambda: _lists(rooms)}),
    )


def _holders_page(rooms: Rooms) -> Blueprint:
    page = holder_page.HolderPage(
        own=rooms.own_suspension,
        history=_history(rooms),
        client=partial(access.client, Purpose.AUTHENTICATION),
        telephone=rooms.settings.suspension_telephone,
    )
    return holder_page.make_blueprint(page)


def _history(rooms: Rooms) -> History:
    store = rooms.store

    def verifiers() -> dict[VerifierId, tuple[str, str]]:
        return {each.id: (each.name, each.purpose) for each in store.verifiers.verifiers(rooms.clock())}

    return History(
        certificates=store.cases.certificates_of,
        changes=store.journal.of,
        look_ups=store.verifiers.look_ups,
        verifiers=verifiers,
        cases=store.cases.of_holder,
    )


def _asked(rooms: Rooms, question: bytes) -> bytes:
    """Return our own responder's answer; in `registered` mode who asks here is known there, too."""
    return rooms.responder.answer("POST", "", {}, question, access.client()).body


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


def _lists(rooms: Rooms) -> JpkiError | None:
    """Require that every list is here and holds now; return a warning where it is old or will not hold for long."""
    now, marks = rooms.clock(), rooms.store.shelf.marks()
    if any(mark.next_update <= now for mark in marks):
        raise _stale("crl-stale", "期限の切れた失効リストがあります。", "A CRL is past its nextUpdate.")
    served = {purpose: rooms.served(purpose) for purpose in HOLDER_PURPOSES}
    lacking = list(lagging(marks, served, rooms.home.path, now))
    for mark, _ in (each for each in lacking if not each[1]):
        raise behind(mark)
    answering = {purpose: rooms.store.generations.answering(purpose, now) for purpose in HOLDER_PURPOSES}
    ending = (warning_of(mark, answering[mark.purpose], now) for mark in marks)
    warnings = [*(behind(mark) for mark, _ in lacking), *(each for each in ending if each is not None)]
    return next(iter(warnings), None)


def _stale(code: str, ja: str, en: str) -> JpkiError:
    action = Text(
        "CA鍵のあるところで jpki crl publish を実行してください。", "Run `jpki crl publish` where the CA keys are."
    )
    return JpkiError(Kind.UNAVAILABLE, code, Text(ja, en), action)
