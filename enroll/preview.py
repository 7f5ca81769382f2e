"""What completing or delivering a case would do to the holder's certificates: said before anything happens."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from enroll.effects import effects
from enroll.mobile import reason_after
from jpki.case import Case, CaseKind
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.ports import CertificateRecord
from jpki.revocation import Reason, State

BesideCard = Callable[[Purpose], Iterator[CertificateRecord]]
"""Returns the holder's live certificates of a kind that hang on the card's, on mobile devices."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What becomes of one certificate: the state that it will be in, and the reason that verifiers will hear."""

    record: CertificateRecord
    becomes: State
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class Preview:
    """A case, opened or not, and what it would do."""

    case: Case
    effects: Sequence[Effect]


def foreseen(case: Case, live: Mapping[Purpose, CertificateRecord], beside: BesideCard) -> Iterator[Effect]:
    """Yield every live certificate of the holder and what the case makes of it; most stay as they are."""
    for purpose in (each for each in HOLDER_PURPOSES if each in live):
        record = live[purpose]
        becomes, reason = _after(case, record)
        yield Effect(record, becomes, reason)
        for device in beside(purpose):
            ends = becomes is State.REVOKED and reason is not Reason.SUPERSEDED
            yield Effect(device, State.REVOKED, reason_after(reason)) if ends else _kept(device)


def _after(case: Case, record: CertificateRecord) -> tuple[State, Reason | None]:
    state = record.status.state
    if case.kind is CaseKind.RELEASE:
        released = state is State.HELD and record.purpose is Purpose.AUTHENTICATION
        return (State.ACTIVE, None) if released else (state, record.status.reason)
    reason = None if case.event is None else effects(case.event, case.purposes).get(record.purpose)
    if case.kind.issues and record.purpose in case.purposes and reason in (None, Reason.CERTIFICATE_HOLD):
        return State.REVOKED, Reason.SUPERSEDED
    if reason is None:
        return state, record.status.reason
    return (State.HELD if reason is Reason.CERTIFICATE_HOLD else State.REVOKED), reason


def _kept(record: CertificateRecord) -> Effect:
    return Effect(record, record.status.state, record.status.reason)
