"""Document validation with what a home knows: its CAs as trust anchors, its ledger as the word on revocation."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jpki.certificate import Purpose
from jpki.ports import RevocationSource
from jpki.verifier import VerifierId
from server.evidence import NotedEvidence
from server.stored_evidence import read_stored
from server.trust import configured_anchors, other_anchors
from server.wiring import Rooms
from signing.report import FileVerdict
from signing.validation import LAB_POLICIES, TrustAnchor, Validation

if TYPE_CHECKING:
    from signing.http import Upload, VerifyUpload

LAB = "lab"
"""The trust domain of a home's own CAs."""


def anchors_of(rooms: Rooms) -> Sequence[TrustAnchor]:
    """Return the home's CAs, all generations there ever were, and whom else it trusts."""
    own = [
        TrustAnchor(certificate=each.certificate, domain=LAB, policies=LAB_POLICIES)
        for each in rooms.every_generation()
    ]
    return [*own, *other_anchors(rooms.home, rooms.settings)]


def stamp_anchors_of(rooms: Rooms) -> Sequence[TrustAnchor]:
    """Return whose time-stamps the home believes: its infrastructure roots', and those that its settings name.

    After the compromise of a root nothing under it is believed: whoever has its key makes authorities of any age.

    Raises:
        JpkiError: UNPROCESSABLE `certificate-unreadable`.
    """
    roots = rooms.store.generations.ever(Purpose.INFRASTRUCTURE)
    own = [TrustAnchor(certificate=each.certificate, domain=LAB) for each in roots if each.compromised_at is None]
    return [*own, *configured_anchors(map(Path, rooms.settings.timestamp_trust), frozenset())]


def judge_upload(rooms: Rooms, verifier: Callable[[], VerifierId | None]) -> "VerifyUpload":
    """Return what judges one uploaded file, attributes masked, in the sandbox.

    `verifier` tells who asks, in `registered` mode: what the ledger tells of signers is recorded then.
    """

    def judge(upload: "Upload") -> FileVerdict:
        validation, asking = home_validation(rooms, at=upload.received_at), verifier()
        if rooms.admission is not None and asking is not None:
            noted = NotedEvidence(rooms.evidence(), partial(rooms.admission.note, asking))
            validation = replace(validation, revocation=[noted, *rooms.revocation])
        return rooms.sandbox.judge(upload.document, validation, upload.policy, upload.content)

    return judge


def home_validation(
    rooms: Rooms, *more: RevocationSource, at: datetime | None = None, show_attributes: bool = False
) -> Validation:
    """Return the terms under which a home judges: its ledger first, then the sources given, then its settings'."""
    return Validation(
        anchors=anchors_of(rooms),
        revocation=[rooms.evidence(), *more, *rooms.revocation],
        clock=rooms.clock,
        stamp_anchors=stamp_anchors_of(rooms),
        read_stored=read_stored,
        at=at,
        show_attributes=show_attributes,
    )
