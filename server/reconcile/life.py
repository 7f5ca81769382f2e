"""The life of one certificate as the audit tells it: the acts replayed through the states of docs/adr/0003."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jpki.acts import Act
from jpki.revocation import Reason, State
from server.reconcile.facts import Fact


@dataclass(slots=True)
class Life:
    """Where a certificate stands by its acts; `broken_at` is the number of the first act that could not follow."""

    state: State | None = None
    reason: Reason | None = None
    commitment: bytes | None = None
    intended: bool = False
    signed: bool = False
    broken_at: int | None = None


_MAY_BE_OUT = frozenset({State.INTENDED, State.ISSUED, State.ACTIVE, State.HELD})
_STEPS: Mapping[Act, tuple[frozenset[State | None], State]] = {
    Act.RESERVED: (frozenset({None}), State.RESERVED),
    Act.WILL_SIGN: (frozenset({State.RESERVED}), State.INTENDED),
    Act.SIGNED: (frozenset({State.INTENDED}), State.ISSUED),
    Act.ACTIVATED: (frozenset({State.ISSUED}), State.ACTIVE),
    Act.VOIDED: (frozenset({State.RESERVED}), State.VOID),
    Act.REVOKED: (_MAY_BE_OUT, State.REVOKED),
    Act.HELD: (frozenset({State.ACTIVE}), State.HELD),
    Act.RELEASED: (frozenset({State.HELD}), State.ACTIVE),
}
"""From which states each act leads, and to which."""


def lived(facts: Iterable[Fact]) -> Life:
    """Replay the acts on one certificate, in their order."""
    life = Life()
    for fact in facts:
        before, after = _STEPS[fact.act]
        if life.state not in before and life.broken_at is None:
            life.broken_at = fact.number
        life.state = after
        life.reason = Reason.CERTIFICATE_HOLD if after is State.HELD else fact.reason
        life.intended |= fact.act is Act.WILL_SIGN
        life.signed |= fact.act is Act.SIGNED
        if fact.act is Act.WILL_SIGN:
            life.commitment = fact.commitment
    return life
