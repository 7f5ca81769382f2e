"""Events: what happens to a holder, a card or a key, and may end certificates (enroll/effects.py says which)."""

from enum import StrEnum


class Event(StrEnum):
    """What happened to a holder, a card or a key."""

    RECORD_CHANGED = "record-changed"
    """Name, address, birth date or sex changed in the register; a minor fix that an ordinance excepts is none."""
    DIED = "died"
    DELETED = "deleted"
    """The register's entry was deleted for another cause than death."""
    LEFT_COUNTRY = "left-country"
    """Moved abroad without staying in the register of domiciles."""
    RESIDENCY_LOST = "residency-lost"
    """A foreign resident's basis of residency ended."""
    HOLDER_ASKED = "holder-asked"
    CARD_LOST = "card-lost"
    """Lost or stolen; the telephone takes it day and night."""
    KEY_LEAKED = "key-leaked"
    CARD_DESTROYED = "card-destroyed"
    CARD_RETURNED = "card-returned"
    CARD_EXPIRED = "card-expired"
    NUMBER_CHANGED = "number-changed"
    """The My Number was changed, so the card ends; the number itself has no place here."""
    REPLACED = "replaced"
    """Renewed or re-issued: the old one of the same kind ends."""
    RECORD_WRONG = "record-wrong"
    """A certificate was found to record an error: the one that is wrong ends."""
    CA_KEY_LEAKED = "ca-key-leaked"
