"""Revoking many at the console: what is named, what a campaign would do with it, and the campaign, which only then is.

Nothing ends by that alone, but when `jpki campaign run` is given on the authority's machine.
"""

from collections.abc import Mapping

from flask import Blueprint, Response, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as Answer

from enroll.console.desk import Desk, House, again, desk, go, page
from enroll.overseen import CampaignTold, SurveyTold
from jpki.errors import JpkiError
from jpki.revocation import Reason

_REASONS = (
    Reason.KEY_COMPROMISE,
    Reason.CA_COMPROMISE,
    Reason.AFFILIATION_CHANGED,
    Reason.SUPERSEDED,
    Reason.CESSATION_OF_OPERATION,
)
"""Why many are revoked; a hold, and what was never delivered, are for one at a time."""
_OF_ISSUE = ("generation", "municipality", "issued_from", "issued_until")

_Form = MultiDict[str, str]


def add(blueprint: Blueprint, house: House) -> None:
    """Add GET and POST /revocations."""

    @blueprint.get("/revocations")
    def show_revocations() -> Response:
        return _form(house, desk(), MultiDict())

    @blueprint.post("/revocations")
    def go_on_revoking() -> Response | Answer:
        here, form = desk(), request.form
        try:
            match form.get("to"):
                case "begin":
                    return _form(house, here, form)
                case "do":
                    opened = here.window.ask("post-revocations", CampaignTold, _wish(form))
                    return go(url_for("console.show_campaign", number=opened.number))
                case _:
                    return _form(house, here, form, here.window.ask("post-revocations-survey", SurveyTold, _wish(form)))
        except JpkiError as error:
            return _form(house, here, form, error=error)


def _form(
    house: House, here: Desk, form: _Form, survey: SurveyTold | None = None, error: JpkiError | None = None
) -> Response:
    here.window.require("post-revocations")
    return page(
        "revocations.html",
        house.status_of(error) if error else 200,
        form=form,
        reasons=_REASONS,
        survey=survey,
        error=error,
        again=again(to="begin" if survey is None else "survey"),
    )


def _wish(form: _Form) -> Mapping[str, object]:
    """Return the body of `POST /revocations`; what was not filled in is left out."""
    wish: dict[str, object] = {name: value for name in _OF_ISSUE if (value := form.get(name, "").strip())}
    serials = form.get("serials", "").split()
    return wish | {"reason": form.get("reason", "")} | ({"serials": serials} if serials else {})
