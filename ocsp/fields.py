"""HTTP header fields as they go over the wire: those of a kept answer are put together once for all clients."""

from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache


def fields(named: Mapping[str, str]) -> bytes:
    """Return header fields, each with its line's end (RFC 9112 5)."""
    return "".join([f"{name}: {value}\r\n" for name, value in named.items()]).encode("latin-1")


def by_name(octets: bytes) -> dict[str, str]:
    """Return the header fields that `fields` made."""
    lines = (line.partition(": ") for line in octets.decode("latin-1").splitlines())
    return {name: value for name, _, value in lines}


@lru_cache(maxsize=1024)
def http_date(second: int) -> str:
    """Return a moment, in seconds since 1970, as HTTP writes it (RFC 9110 5.6.7)."""
    return formatdate(second, usegmt=True)
