"""The state machine of cases, as data: each kind's path, who takes a step, and where two pairs of eyes are asked for.

`decide` is the one function that moves a case; it is pure. Who writes its answer swaps on the case's version.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from enroll.counters import MAY, where_instead
from jpki.card import CardFacts
from jpki.case import OPEN_STATES, Applicant, Case, CaseKind, CaseState, Change, Document, Ground, Step
from jpki.certificate import Purpose
from jpki.clerk import Clerk, Role
from jpki.counter import Counter, CounterState
from jpki.errors import JpkiError, Kind
from jpki.event import Event
from jpki.resident import Resident
from jpki.text import Text

_ISSUING = (
    (Step.CHECK_IDENTITY, CaseState.IDENTITY_CHECKED),
    (Step.APPROVE, CaseState.APPROVED),
    (Step.ISSUE, CaseState.ISSUED),
    (Step.DELIVER, CaseState.DELIVERED),
)
_APPROVED = ((Step.CHECK_IDENTITY, CaseState.IDENTITY_CHECKED), (Step.APPROVE, CaseState.APPROVED))
PATHS: Mapping[CaseKind, Sequence[tuple[Step, CaseState]]] = {
    CaseKind.NEW: _ISSUING,
    CaseKind.RENEWAL: _ISSUING,
    CaseKind.REISSUE: _ISSUING,
    CaseKind.REVOCATION: (*_APPROVED, (Step.COMPLETE, CaseState.DONE)),
    CaseKind.RELEASE: (*_APPROVED, (Step.COMPLETE, CaseState.DONE)),
    # A lost card and a forgotten PIN wait for nobody's approval.
    CaseKind.HOLD: ((Step.CHECK_IDENTITY, CaseState.IDENTITY_CHECKED), (Step.COMPLETE, CaseState.DONE)),
    CaseKind.PIN_RESET: ((Step.CHECK_IDENTITY, CaseState.IDENTITY_CHECKED), (Step.COMPLETE, CaseState.DONE)),
}
"""From `received` on, the steps in their order and where each leads."""

_ASIDE: Mapping[Step, tuple[frozenset[CaseState], CaseState | None]] = {
    Step.AMEND: (frozenset({CaseState.RECEIVED, CaseState.IDENTITY_CHECKED}), CaseState.RECEIVED),
    Step.PRESENT_CARD: (frozenset({CaseState.RECEIVED, CaseState.IDENTITY_CHECKED}), None),
    Step.REFUSE: (frozenset(OPEN_STATES), CaseState.REFUSED),
    Step.CANCEL: (frozenset(OPEN_STATES), CaseState.CANCELLED),
    Step.EXPIRE: (frozenset(OPEN_STATES), CaseState.EXPIRED),
    Step.RETURN: (frozenset(OPEN_STATES) - {CaseState.RECEIVED}, CaseState.RECEIVED),
    Step.TAKE_OVER: (frozenset(OPEN_STATES), None),
}
"""Steps beside the path: from which states, and where to; None where the case stays in its state."""

_ONWARD = frozenset({Step.AMEND, Step.PRESENT_CARD, Step.TAKE_OVER})
"""Those of them that lead a case on, which a counter may do only with what it takes, as the steps of the path."""

WHO: Mapping[Step, frozenset[Role]] = {
    Step.OPEN: frozenset({Role.RECEPTION}),
    Step.AMEND: frozenset({Role.RECEPTION}),
    Step.PRESENT_CARD: frozenset({Role.RECEPTION}),
    Step.CHECK_IDENTITY: frozenset({Role.RECEPTION}),
    Step.APPROVE: frozenset({Role.APPROVAL}),
    Step.ISSUE: frozenset({Role.RECEPTION}),
    Step.DELIVER: frozenset({Role.RECEPTION}),
    Step.COMPLETE: frozenset({Role.RECEPTION}),
    Step.REFUSE: frozenset({Role.APPROVAL}),
    Step.CANCEL: frozenset({Role.RECEPTION}),
    Step.RETURN: frozenset({Role.APPROVAL}),
    Step.TAKE_OVER: frozenset({Role.RECEPTION}),
    Step.EXPIRE: frozenset(),
}
"""The roles, at the case's counter, that may take a step; expiry is the house's own."""

EVENTS: Mapping[CaseKind, frozenset[Event]] = {
    CaseKind.NEW: frozenset(),
    CaseKind.RENEWAL: frozenset(),
    CaseKind.REISSUE: frozenset(
        {Event.CARD_LOST, Event.CARD_DESTROYED, Event.KEY_LEAKED, Event.RECORD_WRONG, Event.NUMBER_CHANGED}
    ),
    CaseKind.REVOCATION: frozenset(
        {
            Event.HOLDER_ASKED,
            Event.KEY_LEAKED,
            Event.CARD_DESTROYED,
            Event.CARD_RETURNED,
            Event.NUMBER_CHANGED,
            Event.RECORD_WRONG,
        }
    ),
    CaseKind.HOLD: frozenset({Event.CARD_LOST}),
    CaseKind.RELEASE: frozenset(),
    CaseKind.PIN_RESET: frozenset(),
}
"""What a case of each kind may be about; where there is anything, one must be named. The rest the register tells."""


class Wants(StrEnum):
    """What a case needs of the card in the counter's reader now."""

    CARD = "card"
    """Its number, end and mode."""
    KEYS = "keys"
    """Key pairs, requests for them, and a place for the certificates."""
    PIN = "pin"
    """A new PIN, which the holder chooses on a screen of their own."""


def wants(case: Case, now: datetime) -> Wants | None:
    """Return what a case needs of its card now; keys until the delivery, for writing them may have to be repeated."""
    if now >= case.expires_at:
        return None
    match case.kind, case.state:
        case kind, CaseState.RECEIVED | CaseState.IDENTITY_CHECKED if case.card is None and _needs_card(kind):
            return Wants.CARD
        case kind, CaseState.APPROVED | CaseState.ISSUED if kind.issues:
            return Wants.KEYS
        case CaseKind.PIN_RESET, CaseState.IDENTITY_CHECKED:
            return Wants.PIN
        case _:
            return None


def _needs_card(kind: CaseKind) -> bool:
    return kind.issues or kind is CaseKind.PIN_RESET


_MONTH = timedelta(days=30)
LIFE: Mapping[CaseKind, timedelta] = {
    CaseKind.NEW: _MONTH,
    CaseKind.RENEWAL: _MONTH,
    CaseKind.REISSUE: _MONTH,
    CaseKind.REVOCATION: timedelta(days=7),
    CaseKind.HOLD: timedelta(days=1),
    CaseKind.RELEASE: timedelta(days=7),
    CaseKind.PIN_RESET: timedelta(days=1),
}
"""How long a case may take; what was issued in it and not delivered ends with it."""


@dataclass(frozen=True, slots=True)
class FourEyes:
    """When the one who approves must be another than the one who checked the identity, and why."""

    source: str
    asks: Callable[[Case], bool]
    words: Text
    """The reason as a clerk reads it."""


_PROXIES = (Applicant.LEGAL_PROXY, Applicant.VOLUNTARY_PROXY)
FOUR_EYES: Sequence[FourEyes] = (
    FourEyes(
        "a proxy's application (JPKI.md 2.5)",
        lambda case: case.applicant in _PROXIES,
        Text("代理人からの申請です。", "A proxy applies."),
    ),
    FourEyes(
        "somebody else's report that a key leaked",
        lambda case: case.applicant is Applicant.THIRD_PARTY,
        Text("本人以外からの、鍵の漏えいの届出です。", "Somebody else reports that the key leaked."),
    ),
    FourEyes(
        "what was lost comes back (JPKI.md 2.2: release)",
        lambda case: case.kind is CaseKind.RELEASE,
        Text("なくしたカードの証明書が、また使えるようになります。", "What was lost becomes usable again."),
    ),
    FourEyes(
        "an error of our own record (JPKI.md 2.2)",
        lambda case: case.event is Event.RECORD_WRONG,
        Text("証明書の記載誤りは、発行した側の間違いです。", "The error in the certificate is our own."),
    ),
    FourEyes(
        "express issue (JPKI.md 2.5)",
        lambda case: case.express is not None,
        Text("特急発行の申請です。", "This is an express issue."),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What comes with a step: the card in the reader, further documents, the register's answer, or a ground.

    `purposes` are the kinds of certificates that are asked for from now on.
    """

    card: CardFacts | None = None
    purposes: tuple[Purpose, ...] = ()
    documents: frozenset[Document] = frozenset()
    resident: Resident | None = None
    ground: Ground | None = None


NOTHING = Shown()


def roles_of(step: Step) -> frozenset[Role]:
    """Return the roles that may take a step, for routes to declare."""
    return WHO[step]


def require_may_open(kind: CaseKind, counter: Counter, clerk: Clerk) -> None:
    """Require that such a case may be opened at the counter, by this clerk.

    Raises:
        JpkiError: FORBIDDEN `role-missing`, `counter-closed` or `counter-may-not`.
    """
    _require_role(Step.OPEN, counter, clerk)
    _require_counter(kind, counter)


def decide(case: Case, step: Step, clerk: Clerk, counter: Counter, now: datetime, shown: Shown = NOTHING) -> Change:
    """Return what a step makes of a case; `counter` is the case's, or the one that takes it over.

    Raises:
        JpkiError: FORBIDDEN `role-missing`, `counter-closed`, `counter-may-not`, `not-this-counter` or `four-eyes`;
            CONFLICT `case-closed`, `case-expired` or `step-not-now`.
    """
    if step is Step.TAKE_OVER or counter.code == case.counter:
        _require_role(step, counter, clerk)
    else:
        raise _not_this_counter(case)
    if step in _ONWARD or step in (each for each, _ in PATHS[case.kind]):
        _require_counter(case.kind, counter)
    require_open(case, now)
    target = _target(case, step)
    if step is Step.APPROVE and case.checked_by == clerk.id and any(rule.asks(case) for rule in FOUR_EYES):
        raise _four_eyes()
    return Change(
        before=case, after=_moved(case, step, target, clerk, counter, now, shown), step=step, resident=shown.resident
    )


def require_open(case: Case, now: datetime) -> None:
    """Require that a case goes on.

    Raises:
        JpkiError: CONFLICT `case-closed` or `case-expired`.
    """
    if case.state.is_closed:
        raise _closed(case)
    if now >= case.expires_at:
        raise _expired(case)


def expire(case: Case, now: datetime) -> Change:
    """Return the end of a case whose time is over."""
    after = replace(case, state=CaseState.EXPIRED, version=case.version + 1, changed_at=now)
    return Change(before=case, after=after, step=Step.EXPIRE)


def return_changed(case: Case, now: datetime) -> Change:
    """Return a case's way back to the beginning, because the register tells otherwise now: nobody's decision."""
    return Change(before=case, after=_begun_again(case, now), step=Step.RETURN)


def _target(case: Case, step: Step) -> CaseState:
    if step in _ASIDE:
        sources, target = _ASIDE[step]
        if case.state in sources:
            return case.state if target is None else target
        raise _not_now(case, step)
    path = PATHS[case.kind]
    sources_by_step = dict(zip(path, (CaseState.RECEIVED, *(state for _, state in path)), strict=False))
    for (each, target), source in sources_by_step.items():
        if each is step and source is case.state:
            return target
    raise _not_now(case, step)


def _moved(
    case: Case, step: Step, target: CaseState, clerk: Clerk, counter: Counter, now: datetime, shown: Shown
) -> Case:
    moved = replace(case, state=target, version=case.version + 1, changed_at=now)
    begun_again = _begun_again(case, now)
    documents = case.documents | shown.documents
    match step:
        case Step.AMEND:
            moved = replace(begun_again, purposes=shown.purposes)
        case Step.PRESENT_CARD:
            moved = replace(moved, card=shown.card)
        case Step.CHECK_IDENTITY:
            moved = replace(moved, checked_by=clerk.id, card=shown.card or case.card, documents=documents)
        case Step.APPROVE:
            moved = replace(moved, approved_by=clerk.id)
        case Step.REFUSE:
            moved = replace(moved, ground=shown.ground)
        case Step.TAKE_OVER:
            moved = replace(moved, counter=counter.code)
        case Step.RETURN:
            moved = begun_again
    return moved


def _begun_again(case: Case, now: datetime) -> Case:
    version = case.version + 1
    return replace(case, state=CaseState.RECEIVED, version=version, changed_at=now, checked_by=None, approved_by=None)


def _require_role(step: Step, counter: Counter, clerk: Clerk) -> None:
    if not clerk.may(WHO[step], counter.code):
        raise role_missing(WHO[step])


def _require_counter(kind: CaseKind, counter: Counter) -> None:
    if counter.state is CounterState.CLOSED:
        raise JpkiError(
            Kind.FORBIDDEN,
            "counter-closed",
            Text(f"窓口 {counter.code} は閉鎖されています。", f"The counter {counter.code} is closed."),
            where_instead(counter),
        )
    if kind not in MAY[counter.kind]:
        raise JpkiError(
            Kind.FORBIDDEN,
            "counter-may-not",
            Text(
                "この種類の窓口では扱えない申請です。", f"A counter of the kind {counter.kind} takes no {kind} cases."
            ),
            Text("市区町村の窓口を案内してください。", "Send the holder to the municipality's counter."),
        )


def role_missing(wanted: frozenset[Role]) -> JpkiError:
    """Return the refusal to whoever lacks the role."""
    names = ", ".join(sorted(wanted)) or "-"
    return JpkiError(
        Kind.FORBIDDEN,
        "role-missing",
        Text(f"この窓口での権限（{names}）がありません。", f"This needs the role {names} at this counter."),
        Text("権限のある職員に依頼してください。", "Ask a clerk who has it."),
    )


def _not_this_counter(case: Case) -> JpkiError:
    return JpkiError(
        Kind.FORBIDDEN,
        "not-this-counter",
        Text(f"申請 {case.number} は別の窓口のものです。", f"The case {case.number} is another counter's."),
        Text("続けるには引き継いでください。", "Take it over to go on with it."),
    )


def _closed(case: Case) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "case-closed",
        Text(
            f"申請 {case.number} は終了しています（{case.state}）。", f"The case {case.number} is closed: {case.state}."
        ),
        Text("必要なら新しい申請を受け付けてください。", "Open a new one if it is needed."),
    )


def _expired(case: Case) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "case-expired",
        Text(f"申請 {case.number} の期限が過ぎました。", f"The time of the case {case.number} is over."),
        Text("新しい申請を受け付けてください。", "Open a new one."),
    )


def _not_now(case: Case, step: Step) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "step-not-now",
        Text(
            f"申請 {case.number}（{case.state}）は今この操作（{step}）ができません。",
            f"The case {case.number} is {case.state}: {step} is not its next step.",
        ),
        Text("申請の状態を見直してください。", "Look at the case again."),
    )


def _four_eyes() -> JpkiError:
    return JpkiError(
        Kind.FORBIDDEN,
        "four-eyes",
        Text(
            "本人確認をした職員は、この申請を承認できません。", "Whoever checked the identity cannot approve this case."
        ),
        Text("別の職員が承認してください。", "Another clerk must approve it."),
    )
