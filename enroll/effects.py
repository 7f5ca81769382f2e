"""What kills what: which event ends or holds which certificate of a holder, and for which reason (docs/profile.md).

One table for cases and for the register's events; nothing else in the house decides why a certificate dies.
"""

from collections.abc import Collection, Mapping

from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.event import Event
from jpki.revocation import Reason


def _both(reason: Reason) -> Mapping[Purpose, Reason]:
    return dict.fromkeys(HOLDER_PURPOSES, reason)


KILLS: Mapping[Event, Mapping[Purpose, Reason]] = {
    Event.RECORD_CHANGED: {Purpose.SIGNING: Reason.AFFILIATION_CHANGED},
    Event.DIED: _both(Reason.CESSATION_OF_OPERATION),
    Event.DELETED: _both(Reason.CESSATION_OF_OPERATION),
    Event.LEFT_COUNTRY: _both(Reason.CESSATION_OF_OPERATION),
    Event.RESIDENCY_LOST: _both(Reason.CESSATION_OF_OPERATION),
    Event.HOLDER_ASKED: _both(Reason.CESSATION_OF_OPERATION),
    Event.CARD_LOST: _both(Reason.CERTIFICATE_HOLD),
    Event.KEY_LEAKED: _both(Reason.KEY_COMPROMISE),
    Event.CARD_DESTROYED: _both(Reason.KEY_COMPROMISE),
    Event.CARD_RETURNED: _both(Reason.CESSATION_OF_OPERATION),
    Event.CARD_EXPIRED: _both(Reason.CESSATION_OF_OPERATION),
    Event.NUMBER_CHANGED: _both(Reason.CESSATION_OF_OPERATION),
    Event.REPLACED: _both(Reason.SUPERSEDED),
    Event.RECORD_WRONG: _both(Reason.AFFILIATION_CHANGED),
    Event.CA_KEY_LEAKED: _both(Reason.CA_COMPROMISE),
}
"""By event and kind the reason to revoke; `certificateHold` holds instead. A kind that is left out lives on."""
OF_NAMED = frozenset({Event.HOLDER_ASKED, Event.REPLACED, Event.RECORD_WRONG})
"""Events that touch only the certificates that they name; the others touch whatever the holder has."""


def effects(event: Event, named: Collection[Purpose] = HOLDER_PURPOSES) -> Mapping[Purpose, Reason]:
    """Return what an event does to the holder's certificates, by kind; `named` counts where the event names some."""
    return {purpose: reason for purpose, reason in KILLS[event].items() if event not in OF_NAMED or purpose in named}
