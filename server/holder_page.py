"""The page /holder: how a holder's own certificates stand, what happened to them, and their suspension.

Who is there is proven by the authentication certificate that the browser shows, which must be active at each request.
Nothing is shown of what certificates tell of the holder, and no address holds anything about a person (rule R21).
"""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, Response, make_response, render_template, request

from enroll.history import History
from enroll.own_page import Records, can_be_suspended, history_page, live_on_devices, standings
from enroll.own_suspension import OwnSuspension
from jpki.case import CaseNumber
from jpki.errors import JpkiError, Kind
from jpki.ids import Serial, format_serial
from jpki.look import PAGE_HEADERS
from jpki.ports import CertificateRecord
from jpki.text import Text
from server import same_site
from server.problems import STATUS

_HEADERS = {"Cache-Control": "no-store", **PAGE_HEADERS}


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderPage:
    """What the page is made of.

    `client` tells the serial of the authentication certificate that was verified in TLS, None where none was shown;
    `telephone` takes lost cards day and night.
    """

    own: OwnSuspension
    history: History
    client: Callable[[], Serial | None]
    telephone: str | None

    def show(self) -> Response:
        """Show how everything stands; to whoever shows no certificate, how to come in."""
        if self.client() is None:
            return self._page("holder_entrance.html", error=None)
        known = self._bearer()
        # The records come after the lines: they are of all certificates that the lines are about.
        lines = self.history.of(known.holder)
        records, now = self._records(known), self.own.clock()
        return self._page(
            "holder.html",
            serial=format_serial(known.serial),
            standings=standings(records, self.own.profile, now),
            can_be_suspended=can_be_suspended(records, now),
            history=history_page(lines, records, request.args.get("before", type=int)),
        )

    def ask(self) -> Response:
        """Say what a suspension brings, and ask whether it shall be."""
        return self._suspension(self._bearer(), None)

    def suspend(self) -> Response:
        """Suspend, and say what to do next."""
        known = self._bearer()
        return self._suspension(known, self.own.suspend(known.serial).number)

    def refuse(self, error: JpkiError) -> Response:
        """Say what was wrong, and how to come in."""
        return self._page("holder_entrance.html", STATUS[error.kind], error=error)

    def _suspension(self, known: CertificateRecord, case: CaseNumber | None) -> Response:
        records, now = self._records(known), self.own.clock()
        return self._page(
            "holder_suspension.html",
            case=case,
            can_be_suspended=can_be_suspended(records, now),
            live_on_devices=live_on_devices(records, now),
        )

    def _bearer(self) -> CertificateRecord:
        serial = self.client()
        if serial is None:
            raise _missing()
        return self.own.bearer(serial)

    def _records(self, known: CertificateRecord) -> Records:
        return self.own.desk.ledger.find(self.history.certificates(known.holder))

    def _page(self, template: str, status: int = 200, **values: object) -> Response:
        return make_response(render_template(template, telephone=self.telephone, **values), status, _HEADERS)


def make_blueprint(page: HolderPage) -> Blueprint:
    """Return GET /holder, and GET and POST /holder/suspension."""
    blueprint = Blueprint("holder", __name__, template_folder="templates")
    blueprint.add_url_rule("/holder", "show", page.show, methods=["GET"])
    blueprint.add_url_rule("/holder/suspension", "ask", page.ask, methods=["GET"])
    blueprint.add_url_rule("/holder/suspension", "suspend", page.suspend, methods=["POST"])
    same_site.guard(blueprint)
    blueprint.register_error_handler(JpkiError, page.refuse)
    return blueprint


def _missing() -> JpkiError:
    return JpkiError(
        Kind.UNAUTHENTICATED,
        "holder-certificate-missing",
        Text(
            "利用者証明用電子証明書が示されていません。",
            "No authentication certificate was shown.",
        ),
        Text(
            "利用者のページをもう一度開き、ブラウザーが尋ねたら証明書を選んでください。",
            "Open the holder's page again, and choose it when the browser asks.",
        ),
    )
