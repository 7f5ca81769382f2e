"""Clerks: who acts at a counter, in which roles. The audit and the logs know a clerk by an opaque id alone."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from jpki.acts import Actor
from jpki.counter import CounterCode

ClerkId = NewType("ClerkId", str)
"""The name in a clerk's client certificate, such as `clerk-12`; never reused."""

EVERY_COUNTER = CounterCode("*")
"""In a clerk's roles: this one and all that will be added."""
LONGEST_CLERK_NAME = 64


class Role(StrEnum):
    """What a clerk may do at a counter."""

    RECEPTION = "reception"
    """Takes cases, checks identities, hands over."""
    APPROVAL = "approval"
    """Approves and refuses."""
    ADMINISTRATOR = "administrator"
    """Looks after clerks and counters, and touches no case."""
    AUDITOR = "auditor"
    """Reads all, and changes nothing."""
    REGISTER = "register"
    """No person: a town's system that tells what happened to its residents, and nothing else."""


class ClerkState(StrEnum):
    """Whether a clerk may act now."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clerk:
    """A clerk; `name` is for the administrator's eyes, and is in no log and no audit."""

    id: ClerkId
    name: str = field(repr=False)
    state: ClerkState
    roles: Mapping[CounterCode, frozenset[Role]]

    def may(self, wanted: Collection[Role], counter: CounterCode | None) -> bool:
        """Tell whether the clerk has one of these roles at the counter, or, without one, anywhere."""
        places = self.roles if counter is None else (counter, EVERY_COUNTER)
        return any(self.roles.get(place, frozenset()).intersection(wanted) for place in places)

    def counters(self, wanted: Collection[Role]) -> frozenset[CounterCode]:
        """Return the counters at which the clerk has one of these roles; `EVERY_COUNTER` is none of them."""
        return frozenset(place for place, roles in self.roles.items() if roles.intersection(wanted)) - {EVERY_COUNTER}

    def actor(self, counter: CounterCode | None) -> Actor:
        """Return who the audit says has acted, and where."""
        return Actor("clerk", self.id if counter is None else f"{self.id}@{counter}")
