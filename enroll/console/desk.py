"""What all console pages share: who is there, what they may ask, and how an error looks."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, g, make_response, render_template, request
from werkzeug.wrappers import Response as Answer

from enroll import words
from enroll.console.session import Session, Sessions
from enroll.console.window import Window
from enroll.routes import Api
from jpki.clerk import Clerk
from jpki.clock import Clock, in_japan, iso
from jpki.counter import Counter
from jpki.errors import JpkiError
from jpki.look import SCRIPTED_HEADERS
from jpki.randomness import Randomness
from jpki.text import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What the console knows of the house beside the office's routes."""

    api: Api
    sessions: Sessions
    clock: Clock
    randomness: Randomness
    training: bool
    """Whether clerks learn here, with nobody's real certificates."""
    suspension_telephone: str | None
    """Takes calls about lost cards, day and night."""
    base_url: str
    """Where verifiers and holders find the house."""
    status_of: Callable[[JpkiError], int]
    """The HTTP status of an error."""
    standing: Callable[[], Sequence[tuple[Text, str]]]
    """How each part of the house stands: its words, and `ok`, `warning` or what failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One clerk at the console, for one request."""

    window: Window
    session: Session

    @property
    def clerk(self) -> Clerk:
        """Who it is."""
        return self.window.clerk

    @property
    def counter(self) -> Counter | None:
        """The counter at which the clerk sits; None for an administrator or auditor of the whole house."""
        code = self.session.counter
        return None if code is None else self.window.api.counter(code)


def desk() -> Desk:
    """Return the desk of the present request; every console page but the log-in has one."""
    found: Desk = g.desk
    return found


@dataclass(frozen=True, slots=True)
class Link:
    """A page that the navigation leads to, for whoever may use the office's route that it is made of."""

    endpoint: str
    words: Text
    route: str | None = None


def page(template: str, status: int = 200, /, **shown: Any) -> Response:  # noqa: ANN401 - what templates are given
    """Return a page of the console, which nobody keeps."""
    text = render_template(f"console/{template}", desk=g.get("desk"), words=words, in_japan=in_japan, iso=iso, **shown)
    return make_response(text, status, {"Cache-Control": "no-store", **SCRIPTED_HEADERS})


def again(**instead: str) -> Sequence[tuple[str, str]] | None:
    """Return the fields of the present form, and what is said `instead` of some: a page asks for itself by them anew.

    That is for forms that change nothing, whose answer is wanted in another language; None where there was no form.
    What could be a My Number stands nowhere.
    """
    if request.method != "POST":
        return None
    kept = [(name, _shown(value)) for name, value in request.form.items(multi=True) if name not in instead]
    return [*kept, *instead.items()]


def _shown(value: str) -> str:
    meant = unicodedata.normalize("NFKC", value).strip()
    return "" if len(meant) == 12 and meant.isdigit() else meant


def go(address: str) -> Answer:
    """Send the browser on after a POST (303), so that going back or reloading does nothing twice."""
    return Answer(status=303, headers={"Location": address, "Cache-Control": "no-store"})
