"""The work list of resident events: what a register told and nobody could act on alone, until a clerk settles it."""

from collections.abc import Mapping

from flask import Blueprint, Response, request, url_for
from werkzeug.wrappers import Response as Answer

from enroll import oversight_words
from enroll.console.desk import Desk, House, Link, desk, go, page
from enroll.messages import EventsTold, EventTold
from jpki.errors import JpkiError, Kind
from jpki.resident_event import EventState, Settlement
from jpki.text import Text

LINK = Link("console.show_events", Text("要確認の異動", "Doubtful events"), "get-resident-events")
OUTCOMES: Mapping[Settlement, EventState] = {
    Settlement.REVOKED_BY_HAND: EventState.DONE,
    Settlement.DONE_IN_A_CASE: EventState.DONE,
    Settlement.NOTHING_TO_END: EventState.IGNORED,
    Settlement.TOLD_ANEW: EventState.IGNORED,
    Settlement.TOLD_IN_ERROR: EventState.IGNORED,
    Settlement.NO_SUCH_HOLDER: EventState.IGNORED,
}
"""Whether something was done about an event, by the reason that the clerk names: one question is enough."""


def add(blueprint: Blueprint, house: House) -> None:
    """Add GET /events, and GET and POST /events/<number>."""

    @blueprint.get("/events")
    def show_events() -> Response:
        cursor = request.args.get("after")
        wanted = _here(desk()) | ({} if cursor is None else {"cursor": cursor})
        told = desk().window.ask("get-resident-events", EventsTold, wanted)
        return page("events.html", told=told, kinds=oversight_words.EVENT_KINDS, settled=request.args.get("settled"))

    @blueprint.get("/events/<int:number>")
    def show_event(number: int) -> Response:
        return event(number)

    @blueprint.post("/events/<int:number>")
    def settle_event(number: int) -> Response | Answer:
        try:
            because = _chosen(request.form.get("because", ""))
            body = {**_here(desk()), "state": OUTCOMES[because], "because": because}
            desk().window.ask("post-resident-events-event-settlement", EventTold, body, event=str(number))
        except JpkiError as error:
            return event(number, error)
        return go(url_for("console.show_events", settled=number))

    def event(number: int, error: JpkiError | None = None) -> Response:
        window = desk().window
        wanted = {**_here(desk()), "cursor": str(max(0, number - 1)), "limit": 1}
        found = [each for each in window.ask("get-resident-events", EventsTold, wanted).events if each.number == number]
        if not found:
            raise error or _not_there(number)
        return page(
            "event.html",
            house.status_of(error) if error else 200,
            event=found[0],
            kinds=oversight_words.EVENT_KINDS,
            next_steps=oversight_words.DOUBTS,
            reasons=list(Settlement),
            may_settle=window.may("post-resident-events-event-settlement"),
            error=error,
        )


def _here(here: Desk) -> dict[str, object]:
    """Return whose events are asked for: those of the clerk's town, or all."""
    return {} if here.session.counter is None else {"counter": here.session.counter}


def _chosen(because: str) -> Settlement:
    try:
        return Settlement(because)
    except ValueError:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "reason-missing",
            Text("理由が選ばれていません。", "No reason is chosen."),
            Text("一覧から理由を選んでください。", "Choose one of the list."),
        ) from None


def _not_there(number: int) -> JpkiError:
    return JpkiError(
        Kind.NOT_FOUND,
        "event-not-in-doubt",
        Text(f"第{number}号の異動は、要確認の一覧にありません。", f"Event {number} is not on the work list."),
        Text("要確認の異動の一覧から選んでください。", "Choose one of the list of doubtful events."),
    )
