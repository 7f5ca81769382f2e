"""An act as the octets that are chained: canonical JSON in ASCII, which holds no attribute of a person (rule R21)."""

import json
from datetime import UTC, datetime

from jpki.acts import Act, Actor, AuditEvent


def encode(event: AuditEvent) -> str:
    """Return the event's body; equal events have equal bodies."""
    fields = {
        "act": event.act,
        "at": event.at.astimezone(UTC).isoformat(),
        "details": event.details,
        "name": event.actor.name,
        "role": event.actor.role,
        "subjects": event.subjects,
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def decode(body: str) -> AuditEvent:
    """Return the event of a body.

    Raises:
        ValueError, KeyError, TypeError: when it is none; only a body that nobody checked can be that.
    """
    fields = json.loads(body)
    return AuditEvent(
        at=datetime.fromisoformat(fields["at"]),
        actor=Actor(fields["role"], fields["name"]),
        act=Act(fields["act"]),
        subjects=tuple(fields["subjects"]),
        details=fields["details"],
    )
