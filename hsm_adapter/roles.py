"""Whose keys are whose: the roles that may each have a token and a PIN of their own."""

from enum import StrEnum


class Role(StrEnum):
    """Whose keys a token holds."""

    CA = "ca"
    OCSP = "ocsp"
    INFRASTRUCTURE = "infrastructure"


def role_of(label: str) -> Role:
    """Return whose key has this label: the CAs for holders' and the responders' are named so, all else is neither."""
    if label.startswith("ocsp-"):
        return Role.OCSP
    if label.startswith("ca-") and not label.startswith("ca-infrastructure-"):
        return Role.CA
    return Role.INFRASTRUCTURE
