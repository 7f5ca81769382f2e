"""Uploads to a served home: on the disk without a name, gone whatever happens, and hostile ones hold up nobody else."""

import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from signing.caps import LARGEST_UPLOAD
from tests.server.test_cli_serve import Served, serving, status_of
from tests.signing.hostile import huge_value

pytestmark = pytest.mark.slow

ROUTE = "/api/v1/verifications"
MIB = 1024 * 1024
UPLOADS = Path("/var/tmp")  # noqa: S108 - read only
HEAD = b'--X\r\nContent-Disposition: form-data; name="file"; filename="return.pdf"\r\n\r\n'
TAIL = b"\r\n--X--\r\n"
HANGING = huge_value(8 * MIB)
"""Reading it takes more than it is given."""


@pytest.fixture
def served(home: Path, installed: Path) -> Iterator[Served]:
    with serving(installed, home, "--door", "verify", "--door", "ca") as begun:
        yield begun


def sent(served: Served, content: bytes) -> tuple[int, dict[str, str], bytes]:
    """Upload a file; return status, headers and body."""
    where = urlsplit(served.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
    try:
        headers = {"Content-Type": "multipart/form-data; boundary=X"}
        connection.request("POST", ROUTE, HEAD + content + TAIL, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


@contextmanager
def begun_upload(served: Served, content: bytes) -> Iterator[None]:
    """Send half of a file, and no more while the block runs."""
    where = urlsplit(served.url)
    with socket.create_connection((where.hostname or "", where.port or 0)) as connection:
        length = len(HEAD) + 2 * len(content) + len(TAIL)
        head = f"POST {ROUTE} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=X\r\n"
        connection.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode() + HEAD + content)
        yield


def children(pid: int) -> list[int]:
    found = list[int]()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # A thread may end meanwhile.
            found += map(int, (task / "children").read_text().split())
    return found


def worker_of(served: Served) -> int:
    """Return the worker, once one that was killed is replaced."""
    until(lambda: children(served.process.pid) and not any(map(_is_gone, children(served.process.pid))))
    (worker,) = children(served.process.pid)
    return worker


def files_of(pid: int) -> list[str]:
    """Return what the process has open in the folder for uploads."""
    found = list[str]()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # It may be closed meanwhile.
            found.append(str(descriptor.readlink()))
    return [each for each in found if each.startswith(f"{UPLOADS}/")]


def until(condition: Callable[[], object], seconds: float = 10.0) -> float:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds
        time.sleep(0.02)
    return time.monotonic() - begun


def named_files() -> set[Path]:
    return {each for each in UPLOADS.iterdir() if each.is_file()}


def test_an_upload_has_no_name_and_is_gone_with_its_worker(served: Served) -> None:
    worker, before = worker_of(served), named_files()
    with begun_upload(served, bytes(4 * MIB)):
        until(lambda: files_of(worker))
        (file,) = files_of(worker)
        assert file.endswith(" (deleted)")
        assert named_files() <= before
        os.kill(worker, signal.SIGKILL)
        until(lambda: worker not in children(served.process.pid))
    assert named_files() <= before
    until(lambda: status_of(f"{served.url}/livez") == 200)


def test_an_upload_is_gone_when_its_client_is(served: Served) -> None:
    worker = worker_of(served)
    with begun_upload(served, bytes(4 * MIB)):
        until(lambda: files_of(worker))
    until(lambda: not files_of(worker))


def test_an_upload_is_on_disk_and_not_in_memory(served: Served) -> None:
    assert sent(served, b"garbage")[0] == 200
    worker = worker_of(served)
    before = _most_memory(worker)
    status, _, body = sent(served, bytes(LARGEST_UPLOAD))
    assert (status, json.loads(body)["decision"]) == (200, "unreadable")
    assert _most_memory(worker) - before < 8 * MIB


def _most_memory(pid: int) -> int:
    (line,) = (each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def test_a_body_of_another_form_is_no_file(served: Served) -> None:
    where = urlsplit(served.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=10)
    connection.request("POST", ROUTE, b"file=x", {"Content-Type": "application/x-www-form-urlencoded"})
    assert connection.getresponse().status == 400
    connection.close()


def test_hostile_files_hold_up_nobody_and_too_many_are_told_to_come_again(served: Served) -> None:
    assert sent(served, b"garbage")[0] == 200
    with ThreadPoolExecutor(6) as threads:
        hanging = [threads.submit(sent, served, HANGING) for _ in range(6)]
        slowest = 0.0
        while not all(each.done() for each in hanging):
            begun = time.monotonic()
            assert status_of(f"{served.url}/ca/signing.cer") == 200
            slowest = max(slowest, time.monotonic() - begun)
            time.sleep(0.2)
        assert slowest < 3
    answers = [each.result() for each in hanging]
    refused = [headers for status, headers, _ in answers if status == 503]
    judged = [json.loads(body) for status, _, body in answers if status == 200]
    assert len(refused) + len(judged) == len(answers)
    assert refused
    assert all(headers["Retry-After"] == "5" for headers in refused)
    assert judged
    assert {each["decision"] for each in judged} == {"unreadable"}
    assert {"broken off" in each["files"][0]["reason"]["en"] for each in judged} == {True}
    assert sent(served, b"garbage")[0] == 200


@pytest.mark.parametrize("victim", ["worker", "master"])
def test_what_judges_dies_with_the_service(served: Served, victim: str) -> None:
    worker = worker_of(served)
    with ThreadPoolExecutor(1) as threads:
        threads.submit(sent, served, HANGING)
        until(lambda: any(len(children(each)) == 2 for each in children(worker)), 30)
        (server,) = children(worker)
        started = [server, *children(server)]
        os.kill(worker if victim == "worker" else served.process.pid, signal.SIGKILL)
        assert until(lambda: all(map(_is_gone, started))) < 1


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
