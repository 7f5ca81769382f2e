"""A client of the bench's own, which knows what each answer must say: it reads by pyca and trusts the CAs alone."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from bench.questions import NONCE_OCTETS, Question
from jpki.acts import LOCAL_OPERATOR
from jpki.clock import system_clock
from jpki.randomness import system_randomness
from jpki.revocation import Reason
from server.wiring import Rooms

REVOCATIONS_PER_SECOND, CHECKS_PER_SECOND = 5, 20
ALLOWED_SECONDS = 1.0
"""How long after its commit a revocation may stay unseen before the answer counts as wrong."""
_TRIES = 200
_SEEN_SECONDS = 10


class WrongAnswer(Exception):  # noqa: N818 - a judgement on an answer
    """An answer that must not have been given: not signed by whom it must be, or not what the ledger says."""


def said(response: bytes, question: Question, nonce: bytes | None = None) -> ocsp.OCSPCertStatus:
    """Return what a response says about the certificate asked for.

    Raises:
        WrongAnswer: unless it is signed by a responder that the generation delegated to, answers this question, holds
            now, and repeats the nonce.
    """
    answer = ocsp.load_der_ocsp_response(response)
    if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise WrongAnswer(answer.response_status)
    _require_signature(answer, question.generation.certificate)
    if answer.serial_number != question.serial:
        raise WrongAnswer("another serial")
    end = answer.next_update_utc
    if end is None or not answer.this_update_utc <= system_clock() < end:
        raise WrongAnswer("not of now")
    if nonce is not None and answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce != nonce:
        raise WrongAnswer("another nonce")
    return answer.certificate_status


def _require_signature(answer: ocsp.OCSPResponse, authority: x509.Certificate) -> None:
    responder = answer.certificates[0]
    responder.verify_directly_issued_by(authority)
    usage = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    key, algorithm = responder.public_key(), answer.signature_hash_algorithm
    if ExtendedKeyUsageOID.OCSP_SIGNING not in usage or algorithm is None:
        raise WrongAnswer("not by a responder")
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(answer.signature, answer.tbs_response_bytes, PKCS1v15(), algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(algorithm))
    else:
        raise WrongAnswer("an odd key")


def ask(connection: HTTPConnection, question: Question, nonce: bytes | None = None) -> ocsp.OCSPCertStatus:
    """Ask over a connection that stays open, and return what the answer says; see `said`."""
    connection.request("POST", "/ocsp", question.der(nonce), {"Content-Type": "application/ocsp-request"})
    return said(connection.getresponse().read(), question, nonce)


def require_good(question: Question, connections: Sequence[HTTPConnection]) -> None:
    """Require that the answer is "good" over each of these connections.

    Raises:
        WrongAnswer: at the first that is not.
    """
    for connection in connections:
        status = ask(connection, question)
        if status is not ocsp.OCSPCertStatus.GOOD:
            raise WrongAnswer(status)


# --- a connection to each worker -----------------------------------------------------------------------------------


@contextmanager
def a_connection_to_each_worker(port: int, workers: Sequence[str]) -> Iterator[Sequence[HTTPConnection]]:
    """Open connections until each worker process has accepted one, and yield one of each.

    Which worker has a connection, the kernel tells: the server's end is an open file of that process.
    """
    found: dict[str, HTTPConnection] = {}
    with ExitStack() as kept:
        for _ in range(_TRIES):
            connection = HTTPConnection("127.0.0.1", port, timeout=10)
            kept.callback(connection.close)
            connection.connect()
            connection.request("GET", "/livez")
            connection.getresponse().read()
            connection.auto_open = 0  # to open it again silently might be to reach another worker
            found.setdefault(_holder(connection.sock, workers), connection)
            if len(found) == len(workers):
                yield list(found.values())
                return
    raise WrongAnswer(f"no connection to some of the workers {workers}")


def _holder(end: socket.socket, processes: Sequence[str]) -> str:
    """Return which process holds the other end of a loopback connection."""
    ours, theirs = (f"0100007F:{address[1]:04X}" for address in (end.getsockname(), end.getpeername()))
    sockets = (line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:])
    inode = next(fields[9] for fields in sockets if fields[1:3] == [theirs, ours])
    for process in processes:
        if any(_is_socket(descriptor, inode) for descriptor in Path(f"/proc/{process}/fd").iterdir()):
            return process
    raise WrongAnswer("a connection that no worker holds")


def _is_socket(descriptor: Path, inode: str) -> bool:
    try:
        return str(descriptor.readlink()) == f"socket:[{inode}]"
    except FileNotFoundError:  # closed meanwhile
        return False


# --- while the load goes on ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Revocation:
    """When, by the monotonic clock, a revocation was begun and was committed; no commit yet is infinity."""

    begun: float
    committed: float = float("inf")


def require_right(status: ocsp.OCSPCertStatus, sent: float, received: float, revocation: Revocation | None) -> None:
    """Require that an answer to a question sent and received at these moments says what the ledger said then.

    Raises:
        WrongAnswer: "good" well after a commit, "revoked" before a revocation was begun, or anything else.
    """
    may_be_good = revocation is None or sent < revocation.committed + ALLOWED_SECONDS
    may_be_revoked = revocation is not None and received > revocation.begun
    allowed = {ocsp.OCSPCertStatus.GOOD: may_be_good, ocsp.OCSPCertStatus.REVOKED: may_be_revoked}
    if not allowed.get(status, False):
        raise WrongAnswer(status)


@dataclass(frozen=True, slots=True)
class Life:
    """An authority at work: certificates are revoked, and a sample of what verifiers hear is checked."""

    rooms: Rooms
    questions: Sequence[Question]
    revoked: dict[Question, Revocation] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    def revoke(self) -> int:
        """Revoke one certificate after another until the end, and return how many."""
        for question in self.questions[:: max(1, len(self.questions) // 2000)]:
            if self.ended.wait(1 / REVOCATIONS_PER_SECOND):
                break
            begun = time.monotonic()
            self.revoked[question] = Revocation(begun)
            _revoke(self.rooms, question)
            self.revoked[question] = Revocation(begun, time.monotonic())
        return len(self.revoked)

    def check(self, connections: Sequence[HTTPConnection]) -> int:
        """Ask one worker after another until the end, with a nonce and without; return how many answers were right.

        Raises:
            WrongAnswer: at the first that was not.
        """
        number = 0
        while not self.ended.wait(1 / CHECKS_PER_SECOND):
            question = self._one_to_check(number)
            nonce = system_randomness(NONCE_OCTETS) if number // len(connections) % 2 else None
            revocation, sent = self.revoked.get(question), time.monotonic()
            status = ask(connections[number % len(connections)], question, nonce)
            require_right(status, sent, time.monotonic(), revocation or self.revoked.get(question))
            number += 1
        return number

    def _one_to_check(self, number: int) -> Question:
        """Return, every third time, what was revoked last; else any."""
        recent = [*self.revoked][-1:] if number % 3 == 0 else []
        return recent[0] if recent else self.questions[number * 7919 % len(self.questions)]


@contextmanager
def life(rooms: Rooms, questions: Sequence[Question], port: int, workers: Sequence[str]) -> Iterator[None]:
    """Let an authority live while the block runs.

    Raises:
        WrongAnswer: if any answer was not right, or none was asked for.
    """
    living = Life(rooms, questions)
    with a_connection_to_each_worker(port, workers) as connections, ThreadPoolExecutor(2) as threads:
        running = [threads.submit(living.revoke), threads.submit(living.check, connections)]
        try:
            yield
        finally:
            living.ended.set()
        if not all(each.result() for each in running):
            raise WrongAnswer("nothing was revoked, or nothing was checked")


# --- how soon a revocation is seen ---------------------------------------------------------------------------------


def seen_everywhere(rooms: Rooms, question: Question, connections: Sequence[HTTPConnection]) -> float:
    """Revoke one certificate, and return how many milliseconds after the commit the last of the workers says so.

    Raises:
        WrongAnswer: if one does not say "good" before, or "revoked" within `_SEEN_SECONDS`.
    """
    require_good(question, connections)
    _revoke(rooms, question)
    committed, waiting = time.monotonic(), connections
    while waiting:
        if time.monotonic() - committed > _SEEN_SECONDS:
            raise WrongAnswer("still good")
        waiting = [each for each in waiting if ask(each, question) is not ocsp.OCSPCertStatus.REVOKED]
    return (time.monotonic() - committed) * 1000


def _revoke(rooms: Rooms, question: Question) -> None:
    rooms.store.ledger.revoke([question.serial], Reason.AFFILIATION_CHANGED, LOCAL_OPERATOR, system_clock())
