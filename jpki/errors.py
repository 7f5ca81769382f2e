"""The one error of the house: what happened and why, what to do next, and of which kind it is.

A room raises `JpkiError` and nothing else; an exception of a foreign library is translated where that
library is called. The kind decides the HTTP status (server/problems.py) and the exit code (server/cli).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from jpki.text import Language, Text


class Kind(StrEnum):
    """Whose fault it is, and so what can be done about it."""

    MALFORMED = "malformed"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    CONFLICT = "conflict"
    TOO_LARGE = "too-large"
    UNPROCESSABLE = "unprocessable"
    LIMITED = "limited"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Fault:
    """One of several things that are wrong at once; `pointer` names the field where it is one (RFC 6901)."""

    code: str
    problem: Text
    pointer: str | None = None


class JpkiError(Exception):
    """A refusal or a failure that a person can act on.

    `code` is kebab-case and stable, for programs; `problem` says what happened and why, `action` what to do
    next; `faults` are all reasons, where there are several. None of them ever holds an attribute of a holder, a PIN or
    a passphrase (rule R21).
    """

    def __init__(self, kind: Kind, code: str, problem: Text, action: Text, faults: Sequence[Fault] = ()) -> None:
        super().__init__(f"{code}: {problem.en}")
        self.kind = kind
        self.code = code
        self.problem = problem
        self.action = action
        self.faults = faults

    def __reduce__(self) -> tuple[type["JpkiError"], tuple[Kind, str, Text, Text, Sequence[Fault]]]:
        """Let the error travel whole between processes."""
        return JpkiError, (self.kind, self.code, self.problem, self.action, self.faults)

    def to(self, language: Language) -> str:
        """Return problem and action as two lines in `language`."""
        return f"{self.problem.to(language)}\n  → {self.action.to(language)}"
