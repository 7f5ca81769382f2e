"""Document validation with what a home knows: its CAs as trust anchors, its ledger as the word on revocation."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import IO

from jpki.ports import RevocationSource
from jpki.verifier import VerifierId
from server.evidence import NotedEvidence
from server.wiring import Rooms
from signing.report import FileVerdict
from signing.validation import TrustAnchor, Validation

LAB = "lab"
"""The trust domain of a home's own CAs."""


def anchors_of(rooms: Rooms) -> Sequence[TrustAnchor]:
    """Return the home's CAs, all generations there ever were."""
    return [TrustAnchor(certificate=each.certificate, domain=LAB) for each in rooms.every_generation()]


def judge_upload(rooms: Rooms, verifier: Callable[[], VerifierId | None]) -> Callable[[IO[bytes]], FileVerdict]:
    """Return what judges one uploaded file at the present moment, attributes masked, in the sandbox.

    `verifier` tells who asks, in `registered` mode: what the ledger tells of signers is recorded then.
    """

    def judge(document: IO[bytes]) -> FileVerdict:
        validation, asking = home_validation(rooms), verifier()
        if rooms.admission is not None and asking is not None:
            noted = NotedEvidence(rooms.evidence(), partial(rooms.admission.note, asking))
            validation = replace(validation, revocation=[noted])
        return rooms.sandbox.judge(document, validation)

    return judge


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
