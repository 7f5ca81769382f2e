"""`jpki serve` as processes: how its workers end."""

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.interop.authority import Town, started
from tests.interop.programs import holds_within
from tests.ports import free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="there is no /proc to see processes in"),
]


def children(pid: int) -> list[int]:
    return [int(each) for file in Path(f"/proc/{pid}/task").glob("*/children") for each in file.read_text().split()]


def lives(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and was not yet collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.mark.parametrize(("how", "seconds"), [(signal.SIGKILL, 1.0), (signal.SIGTERM, 10.0)])
def test_when_the_master_ends_the_workers_end_and_the_port_is_free(
    town: Town, how: signal.Signals, seconds: float
) -> None:
    port = free_port()
    with started(town.authority, port) as master:
        assert holds_within(10, lambda: len(children(master.pid)) == 2)
        workers = children(master.pid)
        assert all(map(lives, workers))
        assert not is_free(port)
        os.kill(master.pid, how)
        assert holds_within(seconds, lambda: not any(map(lives, [master.pid, *workers])) and is_free(port))
