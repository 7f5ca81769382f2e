"""Clerks and counters at the console. Keys and certificates of clerks are made at the command line and never here."""

from flask import Blueprint, Response, request, url_for
from werkzeug.wrappers import Response as Answer

from enroll import oversight_words
from enroll.console.desk import House, Link, desk, go, page
from enroll.messages import ClerksTold, ClerkTold, CountersTold, CounterTold
from jpki.clerk import EVERY_COUNTER, ClerkState
from jpki.counter import CounterCode, CounterKind, CounterState
from jpki.errors import JpkiError
from jpki.text import Text

LINK = Link("console.show_people", Text("窓口と職員", "Counters and clerks"), "get-clerks")


def add(blueprint: Blueprint, house: House) -> None:
    """Add GET /people, and the posts that suspend and resume clerks, and add and close counters."""

    @blueprint.get("/people")
    def show_people() -> Response:
        return people()

    @blueprint.post("/people/clerks/<clerk>/<any(suspension, resumption):change>")
    def change_clerk(clerk: str, change: str) -> Response | Answer:
        try:
            desk().window.ask(f"post-clerks-id-{change}", ClerkTold, {}, id=clerk)
        except JpkiError as error:
            return people(error)
        return go(url_for("console.show_people"))

    @blueprint.post("/people/counters")
    def add_counter() -> Response | Answer:
        fields = {name: request.form.get(name, "").strip() for name in ("code", "kind", "name", "municipality")}
        body = {name: value for name, value in fields.items() if value or name != "municipality"}
        try:
            desk().window.ask("post-counters", CounterTold, body)
        except JpkiError as error:
            return people(error, fields)
        return go(f"{url_for('console.show_people')}#counters")

    @blueprint.post("/people/counters/<code>/closure")
    def close_counter(code: str) -> Response | Answer:
        try:
            desk().window.ask("post-counters-code-closure", CounterTold, {}, code=code)
        except JpkiError as error:
            return people(error)
        return go(f"{url_for('console.show_people')}#counters")

    def people(error: JpkiError | None = None, typed: dict[str, str] | None = None) -> Response:
        window = desk().window
        clerks = window.ask("get-clerks", ClerksTold).clerks
        places = {place for each in clerks for place in each.roles} - {EVERY_COUNTER}
        return page(
            "people.html",
            house.status_of(error) if error else 200,
            clerks=clerks,
            counters=window.ask("get-counters", CountersTold).counters,
            names={place: house.api.counter(CounterCode(place)).name for place in places},
            everywhere=EVERY_COUNTER,
            active=ClerkState.ACTIVE,
            opened=CounterState.OPEN,
            counter_states=oversight_words.COUNTER_STATES,
            kinds=[kind for kind in CounterKind if kind is not CounterKind.ONLINE],
            may_change=window.may("post-counters"),
            typed=typed or {},
            error=error,
            back=url_for("console.show_people"),
        )
