"""The console's first page: what waits at the counter, and how the house stands."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, Response

from enroll.case_paths import PATHS, WHO
from enroll.console.campaigns import aim
from enroll.console.desk import Desk, House, Link, desk, page
from enroll.counters import MAY, where_instead
from enroll.messages import CasesTold, CaseTold
from enroll.overseen import CampaignsTold, CampaignTold, OverviewTold
from jpki.campaign import CampaignState
from jpki.case import CaseKind, CaseState, Step
from jpki.clerk import Clerk
from jpki.counter import Counter, CounterCode, CounterState
from jpki.text import Text

_MOST_CASES = 50
LINK = Link("console.show_home", Text("ホーム", "Home"))


@dataclass(frozen=True, slots=True)
class Waiting:
    """An open case as the home page lists it; `mine` where the clerk has the role for the next step."""

    case: CaseTold
    next: Step | None
    mine: bool


def add(blueprint: Blueprint, house: House) -> None:
    """Add GET /."""

    @blueprint.get("/")
    def show_home() -> Response:
        here = desk()
        counter = here.counter
        return page(
            "home.html",
            closed=_where_instead(counter),
            waiting=_waiting(here),
            kinds=_kinds(here.clerk, counter),
            standing=house.standing(),
            overview=here.window.ask("get-overview", OverviewTold) if here.window.may("get-overview") else None,
            campaigns=_running(here),
            aim=aim,
        )


def next_step(kind: CaseKind, state: CaseState) -> Step | None:
    """Return the step that a case's path takes from a state; None at its end."""
    path = PATHS[kind]
    befores = (CaseState.RECEIVED, *(after for _, after in path))
    return next((step for (step, _), before in zip(path, befores, strict=False) if before is state), None)


def _waiting(here: Desk) -> Sequence[Waiting]:
    """Return the counter's open cases, those that wait for this clerk first, and of each the longest waiting first."""
    if here.session.counter is None or not here.window.may("get-cases"):
        return []
    wanted = {"counter": here.session.counter, "limit": _MOST_CASES}
    told = here.window.ask("get-cases", CasesTold, wanted).cases
    found = [_of(each, here) for each in told]
    return sorted(found, key=lambda each: (not each.mine, each.case.opened_at))


def _of(case: CaseTold, here: Desk) -> Waiting:
    step = next_step(case.kind, case.state)
    mine = step is not None and here.clerk.may(WHO[step], CounterCode(case.counter))
    return Waiting(case, step, mine)


def _running(here: Desk) -> Sequence[CampaignTold]:
    """Return the campaigns that are not done yet."""
    if not here.window.may("get-campaigns"):
        return []
    found = here.window.ask("get-campaigns", CampaignsTold).campaigns
    return [each for each in found if each.left and each.state is not CampaignState.CANCELLED]


def _where_instead(counter: Counter | None) -> Text | None:
    """Return where to go on if the counter is closed; no case of it takes another step here."""
    return where_instead(counter) if counter is not None and counter.state is CounterState.CLOSED else None


def _kinds(clerk: Clerk, counter: Counter | None) -> Sequence[CaseKind]:
    """Return what the clerk may open here."""
    if counter is None or counter.state is CounterState.CLOSED or not clerk.may(WHO[Step.OPEN], counter.code):
        return []
    return [kind for kind in CaseKind if kind in MAY[counter.kind]]
