"""Randomness: always passed in. `system_randomness` is the only place that asks the machine."""

import secrets  # noqa: TID251 - this is the one place
from collections.abc import Callable

Randomness = Callable[[int], bytes]
"""Takes a number of octets and returns as many from a cryptographically secure source."""

_ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def system_randomness(octets: int) -> bytes:
    """Return `octets` octets from the operating system's CSPRNG."""
    return secrets.token_bytes(octets)


def alphanumeric(randomness: Randomness, length: int) -> str:
    """Return `length` upper-case letters and digits, each equally likely."""
    chosen: list[str] = []
    # An octet from 252 on is thrown away: 252 is the largest multiple of 36 in an octet, so no character is favoured.
    fair = 256 - 256 % len(_ALPHANUMERIC)
    while len(chosen) < length:
        chosen += [_ALPHANUMERIC[octet % len(_ALPHANUMERIC)] for octet in randomness(length) if octet < fair]
    return "".join(chosen[:length])
