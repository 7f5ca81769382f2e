"""The console's door: a clerk's certificate and session before every page, and errors as pages."""

from collections.abc import Sequence

from flask import Blueprint, Response, g, request, url_for
from werkzeug.wrappers import Response as Answer

from enroll.console import (
    audit,
    authority,
    campaigns,
    cases,
    certificates,
    ending,
    events,
    home,
    issue,
    login,
    people,
    revocations,
    search,
)
from enroll.console.desk import Desk, House, Link, go, page
from enroll.console.login import COOKIE
from enroll.console.session import TOUCHED_AFTER, WATCHING, Session, session_id
from enroll.console.window import Window
from enroll.http import Gate, counts_as_refusal
from jpki.clerk import Clerk
from jpki.errors import JpkiError, Kind
from jpki.text import Text

PREFIX = "/console"
_LINKS: Sequence[Link] = (
    home.LINK,
    cases.LINK,
    campaigns.LINK,
    events.LINK,
    audit.LINK,
    people.LINK,
    authority.LINK,
)
"""The navigation, in its order."""
_OPEN = {"console.show_login", "console.log_in"}
"""What a clerk without a session may see."""


def make_blueprint(house: House, gate: Gate) -> Blueprint:
    """Return the console's pages."""
    blueprint = Blueprint("console", __name__, url_prefix=PREFIX, template_folder="templates")

    @blueprint.before_request
    def seat() -> Answer | None:
        clerk = gate.clerk()
        session = _session(house, clerk)
        if session is not None:
            g.desk = Desk(window=_window(house, gate, clerk), session=session)
        elif request.endpoint in _OPEN:
            g.clerk = clerk
        else:
            return go(url_for("console.show_login"))
        return None

    @blueprint.errorhandler(JpkiError)
    def show_error(error: JpkiError) -> Response:
        back = url_for("console.show_home") if request.method == "POST" else None
        return page("error.html", house.status_of(error), error=error, back=back)

    @blueprint.context_processor
    def add_navigation() -> dict[str, object]:
        return {"navigation": _navigation, "training": house.training}

    for each in (
        *(login, home, issue, search, certificates, cases, ending),
        *(campaigns, revocations, events, audit, people, authority),
    ):
        each.add(blueprint, house)

    @blueprint.route("/<path:address>", methods=["GET", "POST"])
    def show_unknown(address: str) -> Answer:
        del address
        raise JpkiError(
            Kind.NOT_FOUND,
            "page-unknown",
            Text("この画面はありません。", "There is no such page."),
            Text("メニューから選ぶか、番号で探してください。", "Choose from the menu, or search by a number."),
        )

    return blueprint


def _session(house: House, clerk: Clerk) -> Session | None:
    """Return the clerk's own session, if it goes on; another clerk's cookie opens nothing."""
    cookie = request.cookies.get(COOKIE)
    session = None if cookie is None else house.sessions.find(session_id(cookie))
    now = house.clock()
    if session is None or session.clerk != clerk.id or not session.holds(now):
        return None
    if now - session.seen_at >= TOUCHED_AFTER and WATCHING not in request.args:
        house.sessions.seen(session.id, now)
    return session


def _window(house: House, gate: Gate, clerk: Clerk) -> Window:
    def refused(error: JpkiError) -> None:
        if counts_as_refusal(error):
            gate.refused(clerk)

    return Window(api=house.api, clerk=clerk, refused=refused)


def _navigation(here: Desk) -> Sequence[tuple[str, Text]]:
    """Return the addresses and words of the pages that a clerk has any use for."""
    return [
        (url_for(link.endpoint), link.words) for link in _LINKS if link.route is None or here.window.may(link.route)
    ]
