"""Verdicts as people read them, in HTML: what the page `/verify` and a report that stands alone have in common."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from jpki import look
from jpki.clock import iso
from signing import words
from signing.policies import ValidationPolicy
from signing.report import FileVerdict
from signing.verdict import worst

TEMPLATES = Path(__file__).parent / "templates"

VOCABULARY: Mapping[str, object] = {
    "iso": iso,
    "decisions": words.DECISIONS,
    "steps": words.STEPS,
    "outcomes": words.OUTCOMES,
    "marks": words.MARKS,
    "attributes": words.ATTRIBUTES,
    "time_proofs": words.TIME_PROOFS,
}
"""What templates/verdict.html needs in its context."""


def report(verdicts: Sequence[FileVerdict], policy: ValidationPolicy, made_at: datetime) -> str:
    """Return a page that stands alone: no script, and nothing from any host.

    It shows of signers what the verdicts hold.
    """
    style = (look.STATIC / "style.css").read_text("utf-8")
    page = Environment(loader=FileSystemLoader([TEMPLATES, look.TEMPLATES]), autoescape=True, undefined=StrictUndefined)
    page.globals["language"] = lambda: None
    return page.get_template("report.html").render(
        VOCABULARY,
        verdicts=verdicts,
        decision=worst(verdict.decision for verdict in verdicts),
        policy=policy,
        made_at=made_at,
        style=style,
        style_sha256=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )
