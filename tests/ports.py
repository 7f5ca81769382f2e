"""Ports for what must know its own before it listens, and listens on it again after a while."""

import socket

from jpki.randomness import system_randomness

_LOWEST, _EPHEMERAL = 10_000, 32_768


def free_port() -> int:
    """Return a port that nobody listens on, below those from which the kernel gives one to any connection (Linux)."""
    while True:
        port = _LOWEST + int.from_bytes(system_randomness(4)) % (_EPHEMERAL - _LOWEST)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
