"""Has a stranger's file judged in a process of its own, which may come to any harm: there is a verdict all the same.

The processes are forked by a server of ours (signing/zygote.py) that starts once and has all libraries in memory, so
that a file costs milliseconds. What they ask of the ledger, of lists and of OCSP is answered here: they have no
database, no network and no files (docs/adr/0022).
"""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Self

from jpki.errors import JpkiError, Kind
from jpki.text import Text, shown
from signing import caps
from signing.policies import GENERAL, ValidationPolicy
from signing.report import FileVerdict
from signing.validation import TrustAnchor, Validation
from signing.verdict import Decision
from signing.wire import (
    Anchor,
    Answer,
    Breach,
    Channel,
    Ended,
    Form,
    Judged,
    Limits,
    Question,
    Ready,
    Said,
    Silence,
    Stopped,
    Terms,
)

_LIMITS = Form(Limits)
_TERMS = Form(Terms)
_ANSWER = Form(Answer)
_ENDED = Form(Ended)
_SAID: Form[Said] = Form(Said)  # type: ignore[arg-type] # a union is no class

_END_SECONDS = 1.0
"""How long a process that hung up may take to end; it is killed then."""
_ENVIRONMENT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL")
"""What of our environment the judging processes have: no passphrase, no address of a database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What judging one file may cost: `limits` of its process, and seconds on the clock."""

    limits: Limits
    seconds: float


USUAL = Budget(
    limits=Limits(memory=caps.MEMORY, processor_seconds=caps.PROCESSOR_SECONDS),
    seconds=caps.SECONDS,
)
"""The budget of every stranger's file."""


class Sandbox:
    """Judges files for many threads, `places` at once; `waiting` more wait for a place, for `patience` seconds.

    `server` is the module that is started as the fork server, and calls `signing.zygote.start`; a process has
    `start_seconds` to begin, and the first one waits until all libraries are imported.
    """

    def __init__(
        self,
        places: int,
        *,
        server: str,
        waiting: int = sys.maxsize,
        patience: float | None = None,
        budget: Budget = USUAL,
        start_seconds: float = 60.0,
    ) -> None:
        self._room = threading.Semaphore(places)
        self._queue = threading.Semaphore(places + waiting)
        self._patience = patience
        self._budget = budget
        self._server = _Server(server, start_seconds)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the fork server, without waiting for it; else the first file starts it."""
        self._server.start()

    def close(self) -> None:
        """End the fork server and every process of it."""
        self._server.close()

    def judge(
        self,
        document: IO[bytes],
        validation: Validation,
        policy: ValidationPolicy = GENERAL,
        content: IO[bytes] | None = None,
    ) -> FileVerdict:
        """Judge open files, which must have descriptors; see `signing.verify.judge`. Their process has ended then.

        Where `validation` has a `read_stored`, the fork server's own is used: what a document holds is a stranger's.

        Raises:
            JpkiError: UNAVAILABLE `validation-busy` where too many files wait; UNAVAILABLE `validation-away` where no
                process can be started, or `validation-unprepared` where it lacked a module.
        """
        files = [each.fileno() for each in (document, content) if each is not None]
        with self._place():
            try:
                return self._judge(files, validation, policy)
            except _Away:
                # The server ended, with all that it had started. A new one is started, once.
                with suppress(_Away):
                    return self._judge(files, validation, policy)
                raise _away() from None

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._queue.acquire(blocking=False):
            raise _busy()
        try:
            if not self._room.acquire(timeout=self._patience):
                raise _busy()
            try:
                yield
            finally:
                self._room.release()
        finally:
            self._queue.release()

    def _judge(self, files: Sequence[int], validation: Validation, policy: ValidationPolicy) -> FileVerdict:
        with self._server.forked(files, self._budget.limits) as case:
            try:
                _tell(case.channel, _terms(validation, policy), self._budget.seconds)
                return _heard(case.channel, validation)
            except TimeoutError:
                return _unreadable(_TOO_LONG)
            except Breach:
                return _unreadable(_NONSENSE)
            except MemoryError:
                return _unreadable(_NO_MEMORY)
            except Silence:
                return _unreadable(_sentence_for(case.how_it_ended()))


# --- the conversation with one process -------------------------------------------------------------------------------


def _tell(channel: Channel, terms: Terms, seconds: float) -> None:
    """Wait until the process begins, and tell it the terms; from then on it has so many seconds.

    Raises:
        TimeoutError, Silence, Breach: as `Channel`; _Away: it never began.
    """
    try:
        begun = _SAID.read(channel.receive())
    except TimeoutError as error:
        raise _Away from error  # No fault of the file, of which nothing was read yet.
    if not isinstance(begun, Ready):
        raise Breach
    channel.deadline = time.monotonic() + seconds
    channel.send(_TERMS.write(terms))


def _heard(channel: Channel, validation: Validation) -> FileVerdict:
    """Hear the process out, and answer what it asks.

    Raises:
        TimeoutError, Silence, Breach: as `Channel`; MemoryError: the process has none left.
    """
    for _ in range(caps.MOST_QUESTIONS * len(validation.revocation) + 1):
        match _SAID.read(channel.receive()):
            case Judged(verdict=verdict):
                return verdict
            case Question() as question:
                channel.send(_ANSWER.write(_answer(question, validation, channel)))
            case Stopped(late=None):
                raise MemoryError
            case Stopped(late=str(late)):
                raise _unprepared(late)
            case Ready():
                raise Breach
    raise Breach


def _terms(validation: Validation, policy: ValidationPolicy) -> Terms:
    return Terms(
        anchors=_anchors(validation.anchors),
        stamp_anchors=_anchors(validation.stamp_anchors),
        sources=len(validation.revocation),
        reads_stored=validation.read_stored is not None,
        now=validation.clock(),
        at=validation.at,
        holder=validation.holder,
        show_attributes=validation.show_attributes,
        policy=policy.name,
    )


def _anchors(anchors: Sequence[TrustAnchor]) -> tuple[Anchor, ...]:
    return tuple(Anchor(certificate=each.certificate, domain=each.domain, policies=each.policies) for each in anchors)


def _answer(question: Question, validation: Validation, channel: Channel) -> Answer:
    if question.source >= len(validation.revocation):
        raise Breach
    asked = time.monotonic()
    try:
        evidence = validation.revocation[question.source].evidence(question.certificate, question.issuer, question.at)
    except JpkiError:
        evidence = None
    channel.deadline += time.monotonic() - asked
    return Answer(evidence=evidence)


# --- the fork server -------------------------------------------------------------------------------------------------


class _Away(Exception):  # noqa: N818 - a state of things
    """The fork server has ended."""


class _Case:
    """One process that judges: the channel to it, and the pipe that tells how it ended."""

    def __init__(self, channel: Channel, ended: int) -> None:
        self.channel = channel
        self._ended = ended

    def how_it_ended(self) -> Ended:
        """Return how the process ended, which has hung up; one that goes on living ended as far as we are concerned.

        Raises:
            _Away: nobody can tell, for whoever started it has ended too.
        """
        poll = select.poll()
        poll.register(self._ended)
        if not poll.poll(1000 * _END_SECONDS):
            return Ended(code=0)
        with open(self._ended, "rb", closefd=False) as pipe:
            told = pipe.read()
        if not told:
            raise _Away
        return _ENDED.read(told)


class _Server:
    """The fork server's process, started when it is needed and again when it ended."""

    def __init__(self, module: str, start_seconds: float) -> None:
        self._module = module
        self._start_seconds = start_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Start the process unless it runs."""
        with self._lock:
            self._started()

    def close(self) -> None:
        """End the process; those that it started end with it."""
        with self._lock:
            self._end()

    @contextmanager
    def forked(self, files: Sequence[int], limits: Limits) -> Iterator[_Case]:
        """Yield a new process for the files of these descriptors; it is killed when the block is left.

        Raises:
            _Away: the server has ended.
        """
        ours, theirs = socket.socketpair()
        ended, tell = os.pipe()
        with ours:
            try:
                control = self._ask(limits, (theirs.fileno(), tell, *files))
            finally:
                theirs.close()
                os.close(tell)
            try:
                yield _Case(Channel(ours, time.monotonic() + self._start_seconds), ended)
            except _Away:
                self._forget(control)
                raise
            finally:
                os.close(ended)

    def _ask(self, limits: Limits, descriptors: tuple[int, ...]) -> socket.socket:
        with self._lock:
            control = self._started()
            try:
                socket.send_fds(control, [_LIMITS.write(limits)], descriptors)
            except OSError as error:
                self._end()
                raise _Away from error
            return control

    def _forget(self, control: socket.socket) -> None:
        """End the server of this socket, which is of no use any more, unless another was started already."""
        with self._lock:
            if self._control is control:
                self._end()

    def _started(self) -> socket.socket:
        if self._control is not None and self._process is not None and self._process.poll() is None:
            return self._control
        self._end()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                # -P keeps the working directory, which may be a stranger's, off the path.
                [sys.executable, "-P", "-m", self._module, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._control = ours
        return ours

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._control = None


# --- what a broken-off judgement says --------------------------------------------------------------------------------


def _unreadable(sentence: Text) -> FileVerdict:
    return FileVerdict(path="", decision=Decision.UNREADABLE, sentence=sentence)


_TOO_LONG = Text(
    "ファイルの判定に時間がかかりすぎるため、打ち切りました。",
    "Judging the file took too long, and was broken off.",
)
_TOO_MUCH_PROCESSOR = Text(
    "ファイルの判定に必要な計算が多すぎるため、打ち切りました。",
    "Judging the file took too much processor time, and was broken off.",
)
_NO_MEMORY = Text(
    "ファイルの判定に必要なメモリが多すぎるため、打ち切りました。",
    "Judging the file took too much memory, and was broken off.",
)
_NONSENSE = Text(
    "ファイルを判定するプロセスの答えが不正なため、採用しません。",
    "The process that judged the file gave an answer of no valid form, which is not believed.",
)
_NO_WORD = Text(
    "ファイルを判定するプロセスが、判定を告げずに終了しました。",
    "The process that judged the file ended without a verdict.",
)


def _sentence_for(ended: Ended) -> Text:
    if ended.code >= 0:
        return _NO_WORD
    if -ended.code == signal.SIGXCPU:
        return _TOO_MUCH_PROCESSOR
    name = signal.Signals(-ended.code).name
    return Text(
        f"ファイルを判定するプロセスが異常終了しました（{name}）。",
        f"The process that judged the file was ended by {name}.",
    )


def _busy() -> JpkiError:
    return JpkiError(
        Kind.UNAVAILABLE,
        "validation-busy",
        Text("検証を待つファイルが多すぎます。", "Too many files are waiting to be verified."),
        Text("しばらくしてからもう一度送ってください。", "Send the file again in a while."),
    )


def _away() -> JpkiError:
    return JpkiError(
        Kind.UNAVAILABLE,
        "validation-away",
        Text("文書を判定するプロセスを起動できません。", "No process to judge documents can be started."),
        Text("メモリとプロセス数を確認してください。", "Check the machine's memory and its number of processes."),
    )


def _unprepared(module: str) -> JpkiError:
    name = shown(module)
    return JpkiError(
        Kind.UNAVAILABLE,
        "validation-unprepared",
        Text(
            f"判定に必要なモジュール「{name}」が用意されていませんでした。",
            f"The module '{name}', which judging the file needs, was not imported in time.",
        ),
        Text("開発者に報告してください。", "Report this to the developers: signing/rehearsal.py lacks it."),
    )
