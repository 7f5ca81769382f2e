"""Load by wrk: prepared HTTP requests in turns, over connections that stay open.

wrk has no rate of its own. For a rate each connection pauses before each request, for a random time around the
connections divided by the rate: many connections that mostly pause are nearly as good as clients that know nothing of
each other. What wrk then tells of latencies counts the requests, too, that a slow answer held back.
"""

import json
import re
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.questions import NONCE_OCTETS

SECONDS = 3
CONNECTIONS = 64
PACED_CONNECTIONS = 256

_CYCLE = """
local requests, turn = {}, 0
function init(args)
  local file = assert(io.open(args[1], "rb"))
  for length in function() return file:read("*n") end do
    file:read(1)
    requests[#requests + 1] = file:read(length)
  end
  file:close()
  math.randomseed(tonumber(args[2]))
  turn = math.random(#requests)
end
local function following()
  turn = turn % #requests + 1
  return requests[turn]
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('\\n{"requests": %d, "microseconds": %d, "octets": %d, "errors": %d, "p99": %d}\\n',
    summary.requests, summary.duration, summary.bytes,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout, latency:percentile(99)))
end
"""
_AS_PREPARED = """
request = following
"""
_FRESH_NONCE = """
local random, kept = math.random, -%d - 1
function request()
  return following():sub(1, kept) .. string.format("%%08x%%08x%%08x%%08x",
    random(0, 4294967295), random(0, 4294967295), random(0, 4294967295), random(0, 4294967295))
end
"""
_PAUSE = """
function delay()
  return math.random(0, %d)
end
"""


class LoadFailed(Exception):  # noqa: N818 - it is the load's failure and no error of a caller
    """Requests went unanswered, or answers were refusals."""


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk tells of one run: answers a second, octets of an answer with its headers, and the latency's p99."""

    rate: float
    octets: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Requests:
    """A file of prepared requests; with `fresh_nonce` each ends in a nonce that is drawn anew when it is sent."""

    file: Path
    first: bytes
    fresh_nonce: bool = False

    @classmethod
    def written(cls, file: Path, requests: Sequence[bytes], *, fresh_nonce: bool = False) -> "Requests":
        """Write the requests to a file that wrk's script reads."""
        file.write_bytes(b"".join(b"%d\n%b" % (len(request), request) for request in requests))
        return cls(file, requests[0], fresh_nonce)


def load(
    port: int,
    requests: Requests,
    *,
    seconds: int = SECONDS,
    connections: int = CONNECTIONS,
    per_second: float | None = None,
) -> Load:
    """Load a server on loopback, as much as it bears or at about the rate `per_second`.

    Raises:
        LoadFailed: as the exception says.
    """
    whole = answer_octets(port, requests.first)
    script = requests.file.with_suffix(".lua")
    script.write_text(_script(requests, connections, per_second))
    words = ("-t1", f"-c{connections}", f"-d{seconds}s", "-s", script, f"http://127.0.0.1:{port}/", "--")
    seed = str(time.time_ns() % 2**31)
    ran = subprocess.run(["wrk", *words, requests.file, seed], capture_output=True, text=True, check=True)
    return told(ran.stdout, whole)


def _script(requests: Requests, connections: int, per_second: float | None) -> str:
    script = _CYCLE + (_FRESH_NONCE % NONCE_OCTETS if requests.fresh_nonce else _AS_PREPARED)
    return script if per_second is None else script + _PAUSE % round(2000 * connections / per_second)


def answer_octets(port: int, request: bytes) -> int:
    """Ask one request, and return how many octets the answer has with its headers."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while not (head := re.match(rb"(?s).*?\r\n\r\n", answer)) and (more := connection.recv(4096)):
            answer += more
    length = head and re.search(rb"(?i)\r\ncontent-length: *(\d+)", head[0])
    if not (head and length):
        raise LoadFailed(answer)
    return len(head[0]) + int(length[1])


_LIKE_THE_FIRST = 0.98
"""How long answers are on average, at least, of the one that was looked at: that one may tell of a revocation, in some
octets more. A refusal has a fifth."""


def told(output: str, whole: int) -> Load:
    """Read what the script wrote when the run was done; a whole answer with its headers has `whole` octets.

    Raises:
        LoadFailed: as the exception says.
    """
    figures = json.loads(output.splitlines()[-1])
    if figures["errors"] or not figures["requests"]:
        raise LoadFailed(output)
    octets = figures["octets"] / figures["requests"]
    if octets < whole * _LIKE_THE_FIRST:
        raise LoadFailed(f"{octets} octets an answer, not {whole}\n{output}")
    return Load(figures["requests"] / figures["microseconds"] * 1e6, octets, figures["p99"] / 1000)
