"""A case's page: what it is about, how far it is, and the next step for whoever may take it; and what waits here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import Blueprint, Response, request, url_for
from werkzeug.wrappers import Response as Answer

from enroll import words
from enroll.case_paths import PATHS, WHO
from enroll.console.certificates import Spoken, spoken
from enroll.console.desk import Desk, House, Link, desk, go, page
from enroll.console.home import next_step
from enroll.console.session import WATCHING
from enroll.messages import (
    MOST_ON_A_PAGE,
    CasesTold,
    CaseTold,
    CertificatesTold,
    CertificateTold,
    CounterTold,
    EffectsTold,
    EffectTold,
    Found,
    ResidentTold,
)
from jpki.case import Applicant, CaseKind, CaseNumber, CaseState, Document, Step
from jpki.certificate import HOLDER_PURPOSES
from jpki.clock import in_japan
from jpki.counter import CounterCode
from jpki.errors import JpkiError, Kind
from jpki.text import Text

LINK = Link("console.show_approvals", Text("承認待ち", "Approvals"), "post-cases-number-approval")
_ROUTES = {
    Step.CHECK_IDENTITY: "identity-check",
    Step.APPROVE: "approval",
    Step.COMPLETE: "completion",
    Step.REFUSE: "refusal",
    Step.CANCEL: "cancellation",
    Step.RETURN: "return",
    Step.TAKE_OVER: "take-over",
}
"""The steps that are taken on a case's page, and how their routes are called."""
_STEPS = {name: step for step, name in _ROUTES.items()}
_LOOKS_AGAIN = 5
"""Seconds after which a page looks for what somebody else did."""
_ENDING = (CaseKind.REVOCATION, CaseKind.HOLD, CaseKind.RELEASE)
PROOFS: Mapping[str, Document] = {
    Applicant.LEGAL_PROXY: Document.LEGAL_PROOF,
    Applicant.VOLUNTARY_PROXY: Document.REPLY_LETTER,
}


@dataclass(frozen=True, slots=True)
class Now:
    """A certificate of the holder as it stands after the case, and what verifiers hear of it."""

    certificate: CertificateTold
    spoken: Spoken


def add(blueprint: Blueprint, house: House) -> None:
    """Add GET /cases/<number>, a POST for each step, and GET /approvals."""

    @blueprint.get("/cases/<number>")
    def show_case(number: str) -> Response | Answer:
        return _shown(house, desk(), number)

    @blueprint.post(
        "/cases/<number>/<any('identity-check', approval, completion, refusal, cancellation, return, 'take-over'):name>"
    )
    def take_case_step(number: str, name: str) -> Response | Answer:
        here, step = desk(), _STEPS[name]
        try:
            case = here.window.ask(f"post-cases-number-{name}", CaseTold, _body(here, step), number=number)
        except JpkiError as error:
            return _again(house, here, number, error)
        if case.state.is_closed:
            house.sessions.lay(here.session.id, None)
        return go(url_for("console.show_case", number=case.number))

    @blueprint.post("/cases/<number>/resident")
    def show_resident(number: str) -> Response | Answer:
        here = desk()
        try:
            resident = here.window.ask("post-cases-number-resident", ResidentTold, {}, number=number)
        except JpkiError as error:
            return _again(house, here, number, error)
        return show(house, here, here.window.ask("get-cases-number", CaseTold, number=number), resident=resident)

    @blueprint.get("/approvals")
    def show_approvals() -> Response:
        return page("approvals.html", waiting=_waiting(desk()))


def _shown(house: House, here: Desk, number: str) -> Response | Answer:
    try:
        case = here.window.ask("get-cases-number", CaseTold, number=number)
    except JpkiError as error:
        if error.code != "role-missing" or not _may_take_over(here):
            raise
        return _elsewhere(here, number, error)
    if _belongs_to_the_wizard(here, case):
        return go(url_for("console.show_issue", number=case.number))
    return show(house, here, case)


def show(
    house: House, here: Desk, case: CaseTold, error: JpkiError | None = None, resident: ResidentTold | None = None
) -> Response:
    """Return a case's page, with what went wrong at its top; a case that needs the card lies before the clerk now."""
    step = next_step(case.kind, case.state)
    if case.kind is CaseKind.PIN_RESET and step is not None and may(here, step, case):
        house.sessions.lay(here.session.id, CaseNumber(case.number))
    certificates = _now(here, case) if case.state is CaseState.DONE else []
    goes_on = step is not None and may(here, step, case) and not needs_another(here, case)
    unheard = any(not each.spoken.is_current for each in certificates)
    looks_again = error is None and (unheard or _waits(case, step, here))
    shown = page(
        "case.html",
        200 if error is None else house.status_of(error),
        case=case,
        step=step,
        sentence=_sentence(here, case, step),
        tone=_TONES.get(case.state, "plain"),
        labels=[words.STEPS[Step.OPEN], *(words.STEPS[each] for each, _ in PATHS[case.kind])],
        position=_position(case),
        may={name: may(here, each, case) for each, name in _ROUTES.items()},
        may_go_on=goes_on,
        waits_for_card=_waits_for_card(case, step),
        counter=here.window.ask("get-counters-code", CounterTold, code=case.counter),
        needs_another=needs_another(here, case),
        effects=effects(here, case) if goes_on and case.kind in _ENDING else [],
        certificates=certificates,
        proof=PROOFS.get(case.applicant),
        may_take_over=_may_take_over(here) and here.session.counter != case.counter,
        may_see_resident=case.kind.issues
        and step is not None
        and case.state is not CaseState.RECEIVED
        and here.clerk.may(WHO[Step.APPROVE] | WHO[Step.CHECK_IDENTITY], CounterCode(case.counter)),
        resident=resident,
        looks_again=looks_again,
        is_still="still" in request.args,
        error=error,
        back=url_for("console.show_case", number=case.number),
    )
    if looks_again and "still" not in request.args:
        seconds = 1 if certificates else _LOOKS_AGAIN
        address = f"{url_for('console.show_case', number=case.number)}?{WATCHING}=1"
        shown.headers["Refresh"] = f"{seconds}; url={address}"
    return shown


def may(here: Desk, step: Step, case: CaseTold) -> bool:
    """Tell whether the clerk has the role for a step of the case."""
    return here.clerk.may(WHO[step], CounterCode(case.counter))


def needs_another(here: Desk, case: CaseTold) -> bool:
    """Tell whether the case waits for somebody else's approval, because this clerk checked the identity."""
    return case.state is CaseState.IDENTITY_CHECKED and bool(case.four_eyes) and case.checked_by == here.clerk.id


def effects(here: Desk, case: CaseTold) -> Sequence[EffectTold]:
    """Return what the case will do to the holder's certificates."""
    return here.window.ask("get-cases-number-effects", EffectsTold, number=case.number).effects


def carried_on(here: Desk, case: CaseTold, documents: Sequence[str]) -> CaseTold:
    """Note the check of identity, and take every step after it that waits for nobody else.

    Raises:
        JpkiError: as the office refuses; the steps before stand.
    """
    wanted = {"documents": list(documents)}
    case = here.window.ask("post-cases-number-identity-check", CaseTold, wanted, number=case.number)
    for step in (Step.APPROVE, Step.COMPLETE):
        if next_step(case.kind, case.state) is step and may(here, step, case) and not needs_another(here, case):
            case = here.window.ask(f"post-cases-number-{_ROUTES[step]}", CaseTold, {}, number=case.number)
    return case


def _body(here: Desk, step: Step) -> dict[str, object]:
    """Return what the step takes, out of the form.

    Raises:
        JpkiError: UNPROCESSABLE `identity-unchecked`.
    """
    match step:
        case Step.CHECK_IDENTITY:
            require_checked()
            return {"documents": request.form.getlist("document")}
        case Step.REFUSE:
            return {"ground": chosen("ground", words.WHY_REFUSED)}
        case Step.TAKE_OVER:
            return {"counter": here.session.counter or ""}
        case _:
            return {}


def chosen(name: str, legend: Text) -> str:
    """Return what was chosen in a question of one choice.

    Raises:
        JpkiError: UNPROCESSABLE `choice-missing`.
    """
    value = request.form.get(name, "")
    if value:
        return value
    raise JpkiError(
        Kind.UNPROCESSABLE,
        "choice-missing",
        Text(f"「{legend.ja}」が選ばれていません。", f"Nothing is chosen for: {legend.en}."),
        Text("一つ選んでください。", "Choose one."),
    )


def require_checked() -> None:
    """Require that the clerk ticked that the identity was checked.

    Raises:
        JpkiError: UNPROCESSABLE `identity-unchecked`.
    """
    if "checked" not in request.form.getlist("identity"):
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "identity-unchecked",
            Text("本人確認の欄に印がありません。", "The check of identity is not ticked."),
            Text("本人確認をしてから、印を付けて進んでください。", "Check the identity, tick the box, and go on."),
        )


def _again(house: House, here: Desk, number: str, error: JpkiError) -> Response:
    """Return the case's page with an error at its top; a case that cannot be read is not shown."""
    if error.code in ("role-missing", "case-unknown", "case-number-malformed"):
        raise error
    return show(house, here, here.window.ask("get-cases-number", CaseTold, number=number), error)


def _belongs_to_the_wizard(here: Desk, case: CaseTold) -> bool:
    """Tell whether the clerk goes on with the case where certificates are issued; who approves does so here."""
    step = next_step(case.kind, case.state)
    approves = step is Step.APPROVE and may(here, step, case)
    return case.kind.issues and step is not None and may(here, Step.ISSUE, case) and not approves


def _may_take_over(here: Desk) -> bool:
    return here.session.counter is not None and here.clerk.may(WHO[Step.TAKE_OVER], here.session.counter)


def _elsewhere(here: Desk, number: str, error: JpkiError) -> Response:
    """Return the page of another counter's case: where it is, and the button that takes it over."""
    found = here.window.ask("post-search", Found, {"identifier": number}).cases
    if not found:
        raise error
    counter = here.window.api.counter(CounterCode(found[0].counter))
    return page("case_elsewhere.html", number=found[0].number, counter=counter)


def _waits(case: CaseTold, step: Step | None, here: Desk) -> bool:
    """Tell whether the page looks again by itself: for somebody else's approval, or for the card."""
    waits_for_another = step is Step.APPROVE and (needs_another(here, case) or not may(here, step, case))
    return waits_for_another or _waits_for_card(case, step)


def _waits_for_card(case: CaseTold, step: Step | None) -> bool:
    return case.kind is CaseKind.PIN_RESET and step is Step.CHECK_IDENTITY and case.card is None


def _position(case: CaseTold) -> int:
    """Return the number of the next step, the taking of the case being the first; 0 where there is none to come."""
    states = [CaseState.RECEIVED, *(after for _, after in PATHS[case.kind])]
    return states.index(case.state) + 2 if case.state in states else 0


def _now(here: Desk, case: CaseTold) -> Sequence[Now]:
    """Return the holder's latest certificate of each kind and carrier that the case was about."""
    if case.kind is CaseKind.PIN_RESET:
        return []
    told = here.window.ask("get-holders-code-certificates", CertificatesTold, code=case.holder).certificates
    latest: dict[tuple[str, str], CertificateTold] = {}
    for each in told:
        latest.setdefault((each.purpose, each.carrier), each)
    chosen = sorted(latest.values(), key=lambda each: (HOLDER_PURPOSES.index(each.purpose), each.carrier))
    return [Now(each, spoken(here, each)) for each in chosen]


def _sentence(here: Desk, case: CaseTold, step: Step | None) -> Text:
    at = in_japan(case.changed_at)
    if case.state is CaseState.DONE:
        done = words.DONE[case.kind]
        return Text(f"{at} に{done.ja}", f"{done.en} ({at})")
    if step is None:
        state = words.STATES[case.state]
        return Text(f"この申請は {at} に終わりました（{state.ja}）。", f"This case ended on {at}: {state.en}.")
    if needs_another(here, case):
        return Text("ほかの職員の承認を待っています。", "This case waits for another clerk's approval.")
    if _waits_for_card(case, step) and may(here, step, case):
        return Text("カードを端末に置いてください。", "Put the card into the reader.")
    name = words.STEPS[step]
    if may(here, step, case):
        return Text(f"次は「{name.ja}」です。", f"Next: {name.en}.")
    return Text(f"「{name.ja}」をする職員を待っています。", f"This case waits for a clerk who may: {name.en}.")


_TONES = {
    CaseState.DONE: "accept",
    CaseState.DELIVERED: "accept",
    CaseState.REFUSED: "refuse",
    CaseState.EXPIRED: "undecided",
}


def _waiting(here: Desk) -> Sequence[CaseTold]:
    """Return the counter's cases that this clerk may approve, and then those only another may, the oldest first."""
    if here.session.counter is None or not here.clerk.may(WHO[Step.APPROVE], here.session.counter):
        return []
    found: list[CaseTold] = []
    # Whatever the path, a case is approved after the check of identity.
    wanted: dict[str, object] = {
        "counter": here.session.counter,
        "state": CaseState.IDENTITY_CHECKED,
        "limit": MOST_ON_A_PAGE,
    }
    while True:
        told = here.window.ask("get-cases", CasesTold, wanted)
        found += [each for each in told.cases if next_step(each.kind, each.state) is Step.APPROVE]
        if told.next is None:
            return sorted(found, key=lambda each: (needs_another(here, each), each.opened_at))
        wanted["cursor"] = told.next
