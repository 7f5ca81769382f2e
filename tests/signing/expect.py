"""Shorthand for what a test expects of a verdict."""

from signing.report import FileVerdict
from signing.verdict import Cause


def causes(verdict: FileVerdict) -> list[set[Cause]]:
    """Return, for each signature, all that stands in its way."""
    return [{check.cause for check in one.checks if check.cause is not None} for one in verdict.signatures]
