"""Log-in: the client certificate says who it is, the clerk says at which counter; and log-out."""

from datetime import timedelta

from flask import Blueprint, Response, g, request, url_for
from werkzeug.wrappers import Response as Answer

from enroll.console.desk import House, go, page
from enroll.console.session import LONGEST, Session, session_id
from jpki.clerk import EVERY_COUNTER, Clerk
from jpki.counter import Counter, CounterCode
from jpki.errors import JpkiError, Kind
from jpki.randomness import alphanumeric
from jpki.text import Text

COOKIE = "__Host-console"
"""A name that browsers take from https alone, for this host alone (RFC 6265bis 4.1.3.2)."""
_COOKIE_LENGTH = 32
"""Of 36 characters each: 165 bits."""
_WHOLE_HOUSE = "house"


def add(blueprint: Blueprint, house: House) -> None:
    """Add GET and POST /login, and POST /logout."""

    @blueprint.get("/login")
    def show_login() -> Response:
        return form(_clerk())

    @blueprint.post("/login")
    def log_in() -> Response | Answer:
        clerk, now = _clerk(), house.clock()
        try:
            counter = _chosen(house, clerk)
        except JpkiError as error:
            return form(clerk, error)
        cookie = alphanumeric(house.randomness, _COOKIE_LENGTH)
        house.sessions.begin(
            Session(id=session_id(cookie), clerk=clerk.id, counter=counter, at_hand=None, began_at=now, seen_at=now)
        )
        answer = go(url_for("console.show_home"))
        answer.set_cookie(COOKIE, cookie, max_age=LONGEST, path="/", secure=True, httponly=True, samesite="Strict")
        return answer

    @blueprint.post("/logout")
    def log_out() -> Answer:
        house.sessions.end(g.desk.session.id)
        answer = go(url_for("console.show_login"))
        answer.set_cookie(COOKIE, "", max_age=timedelta(0), path="/", secure=True, httponly=True, samesite="Strict")
        return answer

    def form(clerk: Clerk, error: JpkiError | None = None) -> Response:
        places = [house.api.counter(code) for code in sorted(set(clerk.roles) - {EVERY_COUNTER})]
        return page(
            "login.html",
            house.status_of(error) if error else 200,
            clerk=clerk,
            counters=places,
            everywhere=EVERY_COUNTER in clerk.roles,
            whole_house=_WHOLE_HOUSE,
            error=error,
        )


def _clerk() -> Clerk:
    """Return who the certificate says it is, with a session already or not."""
    clerk: Clerk = g.desk.clerk if "desk" in g else g.clerk
    return clerk


def _chosen(house: House, clerk: Clerk) -> CounterCode | None:
    """Return the counter that the clerk chose, None for the whole house.

    Raises:
        JpkiError: FORBIDDEN `no-role-there`; NOT_FOUND `counter-unknown`.
    """
    chosen = request.form.get("counter", "")
    typed = request.form.get("code", "").strip()
    everywhere = EVERY_COUNTER in clerk.roles
    if everywhere and not typed and chosen in ("", _WHOLE_HOUSE):
        return None
    counter: Counter = house.api.counter(CounterCode(typed if everywhere and typed else chosen))
    if not everywhere and counter.code not in clerk.roles:
        raise JpkiError(
            Kind.FORBIDDEN,
            "no-role-there",
            Text("この窓口での役割がありません。", "You have no role at this counter."),
            Text("一覧から窓口を選んでください。", "Choose a counter of the list."),
        )
    return counter.code
