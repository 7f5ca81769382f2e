"""The issue wizard: a new issue, a renewal or a re-issue in five steps, one page each.

Every step is a step of the case: any of them can be left and taken up again, here or at another counter.
"""

import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as Answer

from enroll.case_paths import EVENTS, WHO
from enroll.console.desk import Desk, House, again, desk, go, page
from enroll.console.glyphs import conspicuous, pieces
from enroll.console.japanese_dates import age, in_era
from enroll.console.session import WATCHING
from enroll.messages import CaseTold, CertificatesTold, CertificateTold, PossibilitiesTold, ResidentTold
from enroll.paper.receipt import Receipt, make_ready, receipt
from jpki.case import Applicant, CaseKind, CaseNumber, CaseState, Step
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import day_in_japan
from jpki.counter import CounterCode
from jpki.errors import Fault, JpkiError, Kind
from jpki.event import Event
from jpki.text import Text

_KIND = "<any('new','renewal','re-issue'):kind>"
_STEP = "<any('pinless','kinds','approval','delivery','cancellation','refusal'):step>"
_KINDS, _PINLESS = "kinds", "pinless"
_PINLESS_KINDS = {"purposes": [Purpose.AUTHENTICATION]}
"""All that a PIN-less card takes; such a card is refused by a case for more."""
_APPLICANTS = (Applicant.HOLDER, Applicant.LEGAL_PROXY, Applicant.VOLUNTARY_PROXY)
STEPS: Sequence[Text] = (
    Text("申請", "Application"),
    Text("記録と字体", "Data and characters"),
    Text("種類", "Kinds"),
    Text("カード", "Card and PINs"),
    Text("交付", "Handing over"),
)
_Form = MultiDict[str, str]


def add(blueprint: Blueprint, house: House) -> None:
    """Add GET and POST /open/<kind> for what issues, and /issue/<number> with its steps."""

    @blueprint.get(f"/open/{_KIND}")
    def show_application(kind: str) -> Response:
        _seat(desk())
        return _application(house, CaseKind(kind), MultiDict())

    @blueprint.post(f"/open/{_KIND}")
    def open_issue(kind: str) -> Response | Answer:
        return _open(house, desk(), CaseKind(kind), request.form)

    @blueprint.get("/issue/<number>")
    def show_issue(number: str) -> Response | Answer:
        return _case(house, number, request.args.get("step"))

    @blueprint.get(f"/issue/<number>/{_STEP}")
    def show_after_step(number: str, step: str) -> Answer:
        return go(_address(number, _KINDS if step in (_KINDS, _PINLESS) else None))

    @blueprint.post(f"/issue/<number>/{_STEP}")
    def take_step(number: str, step: str) -> Response | Answer:
        here = desk()
        try:
            _take(here, number, step, request.form)
        except JpkiError as error:
            return _case(house, number, step, _readable(error))
        return go(_address(number, _KINDS if step == _PINLESS else None))

    @blueprint.get("/issue/<number>/receipt")
    def print_receipt(number: str) -> Response | Answer:
        return _printed(house, number)

    @blueprint.post("/issue/<number>/take-over")
    def take_over_issue(number: str) -> Answer:
        here = desk()
        here.window.ask("post-cases-number-take-over", CaseTold, {"counter": _seat(here)}, number=number)
        return go(_address(number))


# --- the first step, before there is a case ------------------------------------------------------------------------


def _open(house: House, here: Desk, kind: CaseKind, form: _Form) -> Response | Answer:
    if form.get("to") == "begin":
        return _application(house, kind, form)
    try:
        case = _opened(here, _wish(kind, _seat(here), form))
    except JpkiError as error:
        return _application(house, kind, form, _readable(error))
    house.sessions.lay(here.session.id, CaseNumber(case.number))
    return go(_address(case.number))


def _application(house: House, kind: CaseKind, form: _Form, error: JpkiError | None = None) -> Response:
    return page(
        "issue_application.html",
        200 if error is None else house.status_of(error),
        labels=STEPS,
        kind=kind,
        form=_kept(form),
        applicants=_APPLICANTS,
        events=[each for each in Event if each in EVENTS[kind]],
        may_be_express=kind is not CaseKind.RENEWAL,
        error=error,
        again=again(to="begin"),
    )


def _kept(form: _Form) -> _Form:
    """Return what was typed, to be shown again; what could be a My Number stands nowhere."""
    kept: _Form = MultiDict(form)
    if _holder(form).isdigit():
        kept["holder"] = ""
    return kept


def _holder(form: _Form) -> str:
    """Return the holder code as it is meant, whatever mode the keyboard was in."""
    return unicodedata.normalize("NFKC", form.get("holder", "")).strip()


def _wish(kind: CaseKind, counter: CounterCode, form: _Form) -> Mapping[str, object]:
    """Return the body of `POST /cases`; what was not chosen is left out."""
    wish: dict[str, object] = {
        "kind": kind,
        "counter": counter,
        "holder": _holder(form),
        "applicant": form.get("applicant", Applicant.HOLDER),
        "documents": form.getlist("documents"),
    }
    if EVENTS[kind]:
        wish["event"] = form.get("event", "")
    if form.get("express"):
        wish["express"] = {"ground": form["express"], "happened_on": form.get("happened_on", "")}
    return wish


def _opened(here: Desk, wish: Mapping[str, object]) -> CaseTold:
    """Open a case for both kinds, or for the one that is possible; the step of the kinds tells why not the other."""
    first: JpkiError | None = None
    for purposes in (HOLDER_PURPOSES, *((each,) for each in HOLDER_PURPOSES)):
        try:
            return here.window.ask("post-cases", CaseTold, {**wish, "purposes": purposes})
        except JpkiError as error:
            if error.code != "not-eligible":
                raise
            first = first or error
    assert first is not None  # noqa: S101 - nothing was opened
    raise first


# --- the steps of a case -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """A case before a clerk, for one request; `step` is the one that was asked for or tried, `error` what it met."""

    house: House
    here: Desk
    case: CaseTold
    step: str | None
    error: JpkiError | None

    @property
    def is_over(self) -> bool:
        """Whether its time has run out, noted already or not."""
        return not self.case.state.is_closed and self.house.clock() >= self.case.expires_at

    def page(self, step: str, error: JpkiError | None = None, /, **shown: Any) -> Response:  # noqa: ANN401 - what templates are given
        """Return the page of a step."""
        error = self.error or error
        return page(
            f"issue_{step}.html",
            200 if error is None else self.house.status_of(error),
            labels=STEPS,
            case=self.case,
            may_refuse=self.here.clerk.may(WHO[Step.REFUSE], CounterCode(self.case.counter)),
            last_day=lambda certificate: day_in_japan(certificate.not_after),
            in_era=in_era,
            error=error,
            **shown,
        )

    def waiting_page(self, step: str, /, **shown: Any) -> Response:  # noqa: ANN401 - what templates are given
        """Return a page that looks again by itself: its reader, or an error, stops that.

        Without scripts the browser loads it anew. A script asks whether there is anything new, and gets 204 while there
        is not, so that nothing moves under its reader's hands.
        """
        address = _address(self.case.number, _KINDS if self.step in (_KINDS, _PINLESS) else None)
        mark = "&" if "?" in address else "?"
        if "HX-Request" in request.headers and request.args.get(WATCHING) == step:
            return Response(status=204)
        is_still = "still" in request.args or self.error is not None
        return self.page(
            step,
            address=address,
            watch=None if is_still else f"{address}{mark}{WATCHING}={step}",
            stop=f"{address}{mark}still=1",
            **shown,
        )


def _case(house: House, number: str, step: str | None, error: JpkiError | None = None) -> Response | Answer:
    """Show the page of the state that the case is in; what went wrong stands at its top."""
    here = desk()
    case = _told(here, number)
    if case is None or case.counter != here.session.counter:
        return page("issue_elsewhere.html", number=number, case=case)
    if not case.kind.issues:
        return go(f"{url_for('console.show_home')}cases/{case.number}")
    before = _Before(house=house, here=here, case=case, step=step, error=error)
    _lay(before)
    show = _closed if before.is_over else _PAGES.get(case.state, _closed)
    return show(before)


def _told(here: Desk, number: str) -> CaseTold | None:
    """Return the case; None where it is of a counter at which the clerk has no role, and could be taken over."""
    try:
        return here.window.ask("get-cases-number", CaseTold, number=number)
    except JpkiError as error:
        if error.code != "role-missing" or not here.window.may("post-cases-number-take-over"):
            raise
        return None


def _lay(before: _Before) -> None:
    """Let the case before the clerk be the one that the counter's terminal works on."""
    session, number = before.here.session, CaseNumber(before.case.number)
    is_at_hand = session.at_hand == number
    if before.case.state.is_closed or before.is_over:
        if is_at_hand:
            before.house.sessions.lay(session.id, None)
    elif not is_at_hand:
        before.house.sessions.lay(session.id, number)


def _received(before: _Before) -> Response:
    return _kinds(before) if before.step in (_KINDS, _PINLESS) else _data(before)


def _data(before: _Before) -> Response:
    try:
        resident = before.here.window.ask("post-cases-number-resident", ResidentTold, number=before.case.number)
    except JpkiError as error:
        return before.page("data", error, resident=None)
    name = pieces(resident.name, resident.name_substitutes)
    address = pieces(resident.address, resident.address_substitutes)
    return before.page(
        "data",
        resident=resident,
        name=name,
        address=address,
        seen=conspicuous([*name, *address]),
        age=age(resident.birth_date, day_in_japan(before.house.clock())),
    )


def _kinds(before: _Before) -> Response:
    if before.case.card is None:
        return before.waiting_page("reader")
    try:
        asked = before.here.window.ask("get-cases-number-possibilities", PossibilitiesTold, number=before.case.number)
    except JpkiError as error:
        return before.page("data", error, resident=None)
    return before.page("kinds", possibilities=asked.possibilities)


def _approval(before: _Before) -> Response:
    here, case = before.here, before.case
    may = here.clerk.may(WHO[Step.APPROVE], CounterCode(case.counter)) and not _asks_another(here, case)
    return before.page("approval", may_approve=True) if may else before.waiting_page("approval", may_approve=False)


def _card(before: _Before) -> Response:
    # While the holder chooses PINs, what prints the receipt is made ready.
    make_ready()
    return before.waiting_page("card")


def _delivery(before: _Before) -> Response:
    return before.page("delivery", certificates=_certificates(before))


def _receipt(before: _Before) -> Response:
    is_today = day_in_japan(before.case.changed_at) == day_in_japan(before.house.clock())
    return before.page("receipt", certificates=_certificates(before), is_today=is_today)


def _printed(house: House, number: str) -> Response | Answer:
    """Return the receipt on paper (PDF), as nobody keeps it."""
    here = desk()
    case = here.window.ask("get-cases-number", CaseTold, number=number)
    counter = house.api.counter(CounterCode(case.counter))
    if case.state is not CaseState.DELIVERED:
        return go(_address(case.number))
    asked = here.window.ask("get-cases-number-certificates", CertificatesTold, number=case.number)
    facts = Receipt(
        case=CaseNumber(case.number),
        kind=case.kind,
        counter=counter.name,
        opened_on=day_in_japan(case.opened_at),
        done_on=day_in_japan(case.changed_at),
        days={each.purpose: day_in_japan(each.not_after) for each in asked.certificates},
        suspension_telephone=house.suspension_telephone,
        base_url=house.base_url,
    )
    answer = Response(receipt(facts), content_type="application/pdf")
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Content-Disposition"] = f'inline; filename="{case.number}.pdf"'
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def _closed(before: _Before) -> Response:
    return before.page("closed")


_PAGES: Mapping[CaseState, Callable[[_Before], Response]] = {
    CaseState.RECEIVED: _received,
    CaseState.IDENTITY_CHECKED: _approval,
    CaseState.APPROVED: _card,
    CaseState.ISSUED: _delivery,
    CaseState.DELIVERED: _receipt,
}
"""By the state of an open or delivered case; every other has ended."""


def _take(here: Desk, number: str, step: str, form: _Form) -> None:
    """Take a step, with what its form says."""
    match step:
        case "pinless":
            here.window.ask("post-cases-number-amendment", CaseTold, _PINLESS_KINDS, number=number)
        case "kinds":
            _check(here, number, form.getlist("purposes"))
        case "refusal":
            ground = {"ground": form.get("ground", "")}
            here.window.ask("post-cases-number-refusal", CaseTold, ground, number=number)
        case _:
            here.window.ask(f"post-cases-number-{step}", CaseTold, number=number)


def _check(here: Desk, number: str, purposes: Collection[str]) -> None:
    """Note the kinds and the check of the identity; approve at once where the clerk may and no other has to."""
    window = here.window
    case = window.ask("get-cases-number", CaseTold, number=number)
    if set(purposes) != set(case.purposes):
        window.ask("post-cases-number-amendment", CaseTold, {"purposes": purposes}, number=number)
    case = window.ask("post-cases-number-identity-check", CaseTold, number=number)
    if here.clerk.may(WHO[Step.APPROVE], CounterCode(case.counter)) and not _asks_another(here, case):
        window.ask("post-cases-number-approval", CaseTold, number=number)


def _asks_another(here: Desk, case: CaseTold) -> bool:
    """Tell whether another clerk than this one has to approve the case."""
    return bool(case.four_eyes) and case.checked_by == here.clerk.id


def _certificates(before: _Before) -> Sequence[CertificateTold]:
    """Return what the case is to deliver, or delivered."""
    asked = before.here.window.ask("get-cases-number-certificates", CertificatesTold, number=before.case.number)
    return asked.certificates


def _seat(here: Desk) -> CounterCode:
    """Return the counter at which the clerk sits.

    Raises:
        JpkiError: FORBIDDEN `no-counter`.
    """
    counter = here.session.counter
    if counter is None:
        raise JpkiError(
            Kind.FORBIDDEN,
            "no-counter",
            Text("窓口に座っていないため、申請を受け付けられません。", "You sit at no counter, so you take no cases."),
            Text("ログアウトし、窓口を選んでログインし直してください。", "Log out, and log in again with a counter."),
        )
    return counter


def _address(number: str, step: str | None = None) -> str:
    return url_for("console.show_issue", number=number) + ("" if step is None else f"?step={step}")


# --- words ---------------------------------------------------------------------------------------------------------

_WRONG: Mapping[str, Text] = {
    "/holder": Text(
        "利用者コードは英数字・ハイフン・下線で、64字までです。個人番号（12桁の数字）は入力しないでください。",
        "A holder code has up to 64 letters, digits, - and _. Never enter a My Number (12 digits).",
    ),
    "/event": Text("再発行の理由を選んでください。", "Choose why the certificates are issued again."),
    "/express/happened_on": Text(
        "特急発行には、その事由が生じた日が必要です。", "Express issue needs the day of what gives the right to it."
    ),
    "/ground": Text("不受理の理由を選んでください。", "Choose why the case is refused."),
    "/purposes": Text("証明書の種類を1つ以上選んでください。", "Choose at least one kind of certificate."),
}


_NOT_MET = Text("要件を満たしていないため、進めません。", "The requirements are not met, so this cannot go on.")


def _readable(error: JpkiError) -> JpkiError:
    """Return a refusal with its reasons one by one, and fields called as the pages call them."""
    faults = [Fault(each.code, _WRONG.get(each.pointer or "", each.problem), each.pointer) for each in error.faults]
    problem = _NOT_MET if error.code == "not-eligible" else error.problem
    return JpkiError(error.kind, error.code, problem, error.action, faults)
