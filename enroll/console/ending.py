"""Revocation, hold, release and PIN reset: what it will do is shown first, and then it is done in one go.

A clerk chooses in everyday words what happened; what the register sees to by itself is said, and not done here.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from flask import Blueprint, Response, request, url_for
from werkzeug.wrappers import Response as Answer

from enroll import words
from enroll.case_paths import EVENTS, WHO
from enroll.console.cases import PROOFS, carried_on, chosen, require_checked, show
from enroll.console.desk import Desk, House, again, desk, go, page
from enroll.effects import OF_NAMED
from enroll.messages import CaseTold, EffectsTold, Found, no_holder_code
from jpki.case import Applicant, CaseKind, Step
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.errors import JpkiError
from jpki.event import Event
from jpki.text import Text

KINDS = (CaseKind.REVOCATION, CaseKind.HOLD, CaseKind.RELEASE, CaseKind.PIN_RESET)
_BOTH = "both"
_TWICE = timedelta(seconds=10)
"""Within which a second press of a button is taken for one by accident."""
_APPLICANTS: Mapping[CaseKind, Sequence[Applicant]] = {
    CaseKind.REVOCATION: tuple(Applicant),
    CaseKind.HOLD: (Applicant.HOLDER, Applicant.LEGAL_PROXY, Applicant.VOLUNTARY_PROXY),
    CaseKind.RELEASE: (Applicant.HOLDER, Applicant.LEGAL_PROXY, Applicant.VOLUNTARY_PROXY),
    CaseKind.PIN_RESET: (Applicant.HOLDER, Applicant.LEGAL_PROXY, Applicant.VOLUNTARY_PROXY),
}
_ELSEWHERE: Mapping[Event, Text] = {
    Event.CARD_LOST: Text(
        "なくしたカードは、まず一時停止します。見つからないときは再発行に進んでください。",
        "A lost card is put on hold first; if it is not found, go on with a re-issue.",
    ),
    Event.RECORD_CHANGED: Text(
        "引っ越しや改氏名は住民の記録から届き、署名用電子証明書は自動で失効します。ここですることはありません。",
        "The register tells of a move or a new name, and the signing certificate ends by itself. Nothing to do here.",
    ),
    Event.DIED: Text(
        "死亡は住民の記録から届き、両方の証明書が自動で失効します。ここですることはありません。",
        "The register tells of a death, and both certificates end by themselves. Nothing to do here.",
    ),
}
"""What a clerk may take for a reason to revoke here, and what happens instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was filled in, as it came."""

    kind: CaseKind
    holder: str = ""
    applicant: str = Applicant.HOLDER
    event: str | None = None
    which: str = _BOTH
    documents: Sequence[str] = ()
    identity: Sequence[str] = ()

    @property
    def elsewhere(self) -> Text | None:
        """What is said where the event is none that is dealt with here."""
        own = EVENTS[self.kind]
        return next((told for event, told in _ELSEWHERE.items() if event == self.event and event not in own), None)

    def body(self, counter: str) -> Mapping[str, object]:
        """Return the case to open."""
        told: dict[str, object] = {
            "kind": self.kind,
            "counter": counter,
            "holder": self.holder,
            "purposes": self._purposes(),
            "applicant": self.applicant,
        }
        if self.event is not None:
            told["event"] = self.event
        return told

    def _purposes(self) -> Sequence[str]:
        if self.kind is CaseKind.RELEASE:
            return [Purpose.AUTHENTICATION]
        named = self.kind is CaseKind.PIN_RESET or self.event in OF_NAMED
        return list(HOLDER_PURPOSES) if self.which == _BOTH or not named else [self.which]


def add(blueprint: Blueprint, house: House) -> None:
    """Add GET and POST /open/<kind> for the kinds of cases of which no certificate comes."""
    address = "/open/<any(revocation, hold, release, 'pin-reset'):kind>"

    @blueprint.get(address)
    def show_ending(kind: str) -> Response:
        return _form(Wish(kind=CaseKind(kind)))

    @blueprint.post(address)
    def go_on_ending(kind: str) -> Response | Answer:
        here, wish = desk(), _filled_in(CaseKind(kind))
        match request.form.get("to"):
            case "begin":
                return _form(wish)
            case "do":
                return _do(house, here, wish)
            case _:
                return _preview(house, here, wish)


def _filled_in(kind: CaseKind) -> Wish:
    form = request.form
    events = EVENTS[kind]
    return Wish(
        kind=kind,
        holder=unicodedata.normalize("NFKC", form.get("holder", "")).strip(),
        applicant=form.get("applicant", Applicant.HOLDER),
        event=next(iter(events)) if len(events) == 1 else form.get("event", "") if events else None,
        which=form.get("which", _BOTH),
        documents=form.getlist("document"),
        identity=form.getlist("identity"),
    )


def _form(wish: Wish, status: int = 200, error: JpkiError | None = None) -> Response:
    events = EVENTS[wish.kind]
    if wish.holder.isdigit():
        # Digits alone could be somebody's My Number, which stands nowhere.
        wish = replace(wish, holder="")
    return page(
        "ending.html",
        status,
        wish=wish,
        applicants=_APPLICANTS[wish.kind],
        events=[*(each for each in Event if each in events), *_ELSEWHERE] if len(events) > 1 else [],
        named=[words.EVENTS[each] for each in Event if each in events and each in OF_NAMED],
        both_kinds=_BOTH,
        purposes=HOLDER_PURPOSES,
        error=error,
        again=again(to="begin"),
    )


def _preview(house: House, here: Desk, wish: Wish, error: JpkiError | None = None) -> Response:
    if wish.elsewhere is not None:
        return _form(wish)
    try:
        if wish.event == "":
            chosen("event", words.WHAT_HAPPENED)
        told = here.window.ask("post-effects", EffectsTold, wish.body(here.session.counter or ""))
    except JpkiError as refused:
        # The holder code is all that is typed here.
        typed_wrong = any(each.pointer == "/holder" for each in refused.faults)
        told_of = no_holder_code() if typed_wrong else refused
        return _form(wish, house.status_of(refused), told_of)
    return page(
        "ending_preview.html",
        200 if error is None else house.status_of(error),
        wish=wish,
        effects=told.effects,
        four_eyes=told.four_eyes,
        waits=wish.kind in _APPROVED and (bool(told.four_eyes) or not _may_approve(here)),
        proof=PROOFS.get(wish.applicant),
        by_telephone=wish.kind is CaseKind.HOLD,
        error=error,
        again=again(to="preview"),
    )


_APPROVED = (CaseKind.REVOCATION, CaseKind.RELEASE)


def _may_approve(here: Desk) -> bool:
    return here.clerk.may(WHO[Step.APPROVE], here.session.counter)


def _do(house: House, here: Desk, wish: Wish) -> Response | Answer:
    """Open the case, and take every step that waits for nobody else."""
    try:
        if wish.kind not in (CaseKind.HOLD, CaseKind.PIN_RESET):
            require_checked()
        case = here.window.ask("post-cases", CaseTold, wish.body(here.session.counter or ""))
    except JpkiError as error:
        before = _pressed_twice(house, here, wish) if error.code == "not-eligible" else None
        if before is not None:
            return go(url_for("console.show_case", number=before.number))
        return _preview(house, here, wish, error)
    if wish.kind is not CaseKind.PIN_RESET:
        # For another PIN the card is read first, at the counter's terminal.
        try:
            carried_on(here, case, wish.documents)
        except JpkiError as error:
            return show(house, here, here.window.ask("get-cases-number", CaseTold, number=case.number), error)
    return go(url_for("console.show_case", number=case.number))


def _pressed_twice(house: House, here: Desk, wish: Wish) -> CaseTold | None:
    """Return the case that the same button has just opened: a second press finds nothing left to do."""
    found = here.window.ask("post-search", Found, {"identifier": wish.holder}).cases
    opened = (each.case for each in found if each.case is not None and each.case.kind is wish.kind)
    own = (each for each in opened if each.opened_by == here.clerk.id)
    return next((each for each in own if house.clock() - each.opened_at < _TWICE), None)
