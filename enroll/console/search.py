"""One search box for everything, and a holder's page. What is looked for stands in no address (rule R21)."""

from flask import Blueprint, Response, request

from enroll.console.desk import House, again, desk, page
from enroll.messages import CertificatesTold, Found, HistoryTold
from jpki.errors import JpkiError

_LINES = 20
"""Of a history on a page."""
_NOTHING = Found(certificates=[], cases=[])


def add(blueprint: Blueprint, house: House) -> None:
    """Add GET and POST /search, and GET and POST /holder: what a POST found is its answer, and is kept nowhere."""

    @blueprint.get("/search")
    @blueprint.get("/holder", endpoint="show_no_holder")
    def show_search() -> Response:
        return page("search.html")

    @blueprint.post("/search")
    def search() -> Response:
        typed = request.form.get("identifier", "").strip()
        try:
            found = desk().window.ask("post-search", Found, {"identifier": typed}) if typed else _NOTHING
        except JpkiError as error:
            return page("search.html", house.status_of(error), error=error, again=again())
        holders = {each.holder for each in found.certificates} | {each.case.holder for each in found.cases if each.case}
        return page("search.html", found=found, holders=sorted(holders), again=again())

    @blueprint.post("/holder")
    def show_holder() -> Response:
        here, code = desk(), request.form.get("holder", "").strip()
        wanted = {"limit": str(_LINES)}
        cursor = request.form.get("cursor")
        if cursor:
            wanted["cursor"] = cursor
        try:
            certificates = here.window.ask("get-holders-code-certificates", CertificatesTold, code=code)
            history = here.window.ask("get-holders-code-history", HistoryTold, wanted, code=code)
        except JpkiError as error:
            return page("search.html", house.status_of(error), error=error, again=again())
        return page(
            "holder.html",
            holder=code,
            certificates=certificates.certificates,
            history=history,
            is_first=not cursor,
            again=again(),
        )
