"""Document validation with what a home knows: its CAs as trust anchors, its ledger as the word on revocation."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from jpki.ports import RevocationSource
from server.wiring import Rooms
from signing.report import FileVerdict
from signing.validation import TrustAnchor, Validation
from signing.verify import verify

LAB = "lab"
"""The trust domain of a home's own CAs."""


def anchors_of(rooms: Rooms) -> Sequence[TrustAnchor]:
    """Return the home's CAs, all generations there ever were."""
    return [TrustAnchor(certificate=each.certificate, domain=LAB) for each in rooms.every_generation()]


def judge_upload(rooms: Rooms) -> Callable[[Path], FileVerdict]:
    """Return what judges one uploaded file at the present moment, attributes masked."""
    return lambda document: verify(document, home_validation(rooms))


def home_validation(
    rooms: Rooms, *more: RevocationSource, at: datetime | None = None, show_attributes: bool = False
) -> Validation:
    """Return the terms under which a home judges: its ledger first, then the sources given."""
    return Validation(
        anchors=anchors_of(rooms),
        revocation=[rooms.evidence(), *more],
        clock=rooms.clock,
        at=at,
        show_attributes=show_attributes,
    )
