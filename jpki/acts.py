"""Who did what: the actor behind every write, and the audit's events."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a role and an opaque name, never a person's attributes."""

    role: str
    name: str


LOCAL_OPERATOR = Actor("operator", "local")
"""Whoever runs `jpki` on the home's own machine."""

SYSTEM = Actor("system", "maintenance")
"""The house itself: publications and renewals that nobody asks for one by one."""

REGISTERS = Actor("register", "resident events")
"""What registers of residents tell, acted on by the house."""


class Act(StrEnum):
    """What the audit records."""

    CEREMONY = "ceremony"
    CEREMONY_WILL_SIGN = "ceremony record will be signed"
    CEREMONY_CLOSED = "ceremony closed"
    GENERATION_COMPROMISED = "generation compromised"
    GENERATION_ISSUES = "generation issues"
    KEY_WILL_BE_DESTROYED = "key will be destroyed"
    KEY_DESTROYED = "key destroyed"
    RESERVED = "certificate reserved"
    WILL_SIGN = "certificate will be signed"
    SIGNED = "certificate signed"
    ACTIVATED = "certificate activated"
    VOIDED = "certificate voided"
    REVOKED = "certificate revoked"
    HELD = "certificate held"
    RELEASED = "certificate released"
    DELEGATE_WILL_SIGN = "root, responder, clerk or audit certificate will be signed"
    DELEGATE_SIGNED = "root, responder, clerk or audit certificate signed"
    VERIFIER_REGISTERED = "verifier registered"
    VERIFIER_CERTIFIED = "verifier may bear a certificate"
    VERIFIER_CHANGED = "verifier changed"
    KEY_BLOCKED = "key blocked"
    TRUST_ADDED = "trust anchor added"
    TRUST_REMOVED = "trust anchor removed"
    CLOCK_ACCEPTED = "clock accepted"
    SEALING_KEY_MADE = "sealing key will be made"
    SEALING_KEY_DESTROYED = "sealing key will be destroyed"
    ROLE_ADMITTED = "database role admitted"
    CASE_OPENED = "case opened"
    CASE_STEP = "case moved"
    RESIDENT_SHOWN = "register's answer shown"
    HOLDER_LOOKED_UP = "holder looked up"
    CLERK_ADDED = "clerk added"
    CLERK_CERTIFIED = "clerk may bear a certificate"
    CLERK_CHANGED = "clerk changed"
    COUNTER_ADDED = "counter added"
    COUNTER_CLOSED = "counter closed"
    CAMPAIGN_OPENED = "campaign opened"
    CAMPAIGN_CHANGED = "campaign changed"
    EVENTS_RECEIVED = "resident events received"
    EVENTS_HANDLED = "resident events handled"
    EVENT_SETTLED = "resident event settled"
    EVENTS_REPLAYED = "resident events to be handled again"
    CRL_WILL_SIGN = "crl will be signed"
    CRL_PUBLISHED = "crl published"
    AUDIT_ERASED = "audit bodies erased"
    BACKUP_MADE = "backup will be made"
    RESTORED = "ledger restored from a backup"
    RECORD_LOST = "record lost before a restore"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One line of the audit. It holds no attribute of a person (rule R21).

    `subjects` are the serials, the generation or the list that the act was done to: a batch is one act on many.
    """

    at: datetime
    actor: Actor
    act: Act
    subjects: tuple[str, ...]
    details: dict[str, str | int] = field(default_factory=dict)
