"""The command line as a person or a program meets it: what was asked, and what came back on the two streams."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from server.cli.frame import run

Word = str | Path


@dataclass(frozen=True, slots=True)
class Answer:
    """The exit code and what was printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as `--json` prints it."""

    exit: int
    kind: str
    code: str
    english: str
    printed: str


class Jpki:
    """`jpki` in this process, which is quicker than one process for each command."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: Word) -> Answer:
        self._capsys.readouterr()
        code = run([str(word) for word in words])
        printed = self._capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    def done(self, *words: Word) -> dict[str, Any]:
        """Run a command that must succeed, and return its JSON."""
        return self.judged(0, *words)

    def judged(self, code: int, *words: Word) -> dict[str, Any]:
        """Run a command that must end with this code and one JSON object on stdout."""
        answer = self(*words, "--json")
        assert answer.code == code, answer.err
        fields: dict[str, Any] = json.loads(answer.out)
        assert fields["schema"].startswith("jpki.")
        return fields

    def refused(self, *words: Word) -> Refusal:
        """Run a command that must fail with one clear error, and return it."""
        answer = self(*words, "--json")
        assert answer.out == ""
        return refusal(answer)

    def refused_after_progress(self, *words: Word) -> Refusal:
        """Run a command that must fail with one clear error after it told how far it came."""
        answer = self(*words, "--json")
        assert answer.out == ""
        progress, brace, error = answer.err.partition("{")
        assert progress
        return refusal(Answer(answer.code, "", brace + error))


def refusal(answer: Answer) -> Refusal:
    """Read the one error on stderr; it says what happened and what to do, in both languages."""
    printed = json.loads(answer.err)
    assert printed["schema"] == "jpki.error/1"
    error = printed["error"]
    sentences: Sequence[str] = [error[part][language] for part in ("problem", "action") for language in ("ja", "en")]
    assert all(sentences)
    return Refusal(answer.code, error["kind"], error["code"], error["problem"]["en"], answer.err)
