"""The process that starts those that judge: all libraries imported, nothing of the authority in it, forks alone.

It is started anew and not forked, so that no key, no passphrase and no connection of the service is in its memory or
in that of its children. It is asked over a socket, one message with its descriptors for each file: the channel to
whoever asked, a pipe for how it ended, the file, and what that signs where it lies apart. Whoever asked closes that
pipe to have the file's process killed; where the socket closes, all of them die.
"""

import gc
import os
import select
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import IO, NoReturn

from cryptography import x509

from jpki.revocation import RevocationEvidence
from signing import confinement
from signing.ahead import Run, copy_ahead, written_pages
from signing.caps import DEEPEST_CALLS
from signing.policies import POLICIES, ValidationPolicy
from signing.rehearsal import rehearse
from signing.report import FileVerdict
from signing.validation import ReadStored, TrustAnchor, Validation
from signing.wire import Anchor, Answer, Channel, Ended, Form, Judged, Limits, Question, Ready, Said, Stopped, Terms

Judge = Callable[[IO[bytes], Validation, ValidationPolicy, IO[bytes] | None], FileVerdict]

_LIMITS = Form(Limits)
_TERMS = Form(Terms)
_ANSWER = Form(Answer)
_ENDED = Form(Ended)
_SAID: Form[Said] = Form(Said)  # type: ignore[arg-type] # a union is no class
_LONGEST_REQUEST = 1024
_DESCRIPTORS = 4
_CORES = os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Court:
    """What the processes do with a file: how they judge it, and how they read the revocation data that it holds."""

    judge: Judge
    read_stored: ReadStored


# --- the fork server -------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class _Child:
    """A process that judges, or waits for the file; `orders` leads to it until then, `ended` tells how it ended."""

    pid: int
    handle: int
    orders: socket.socket
    ended: int | None = None


class Zygote:
    """Forks a process for each file that it is asked to have judged, until whoever asks is gone.

    Where a core is idle the next process is forked ahead of its file. `pages` are copied in each one beforehand.
    """

    def __init__(self, control: socket.socket, court: Court, pages: Sequence[Run]) -> None:
        self._control = control
        self._court = court
        self._pages = pages
        self._nowhere = os.open(os.devnull, os.O_RDWR)
        self._selector = selectors.DefaultSelector()
        self._busy: set[_Child] = set()
        self._ready: _Child | None = None

    def serve(self) -> None:
        """Answer until the other side of the socket is closed, by whatever means; then kill all children."""
        self._selector.register(self._control, selectors.EVENT_READ, self._asked)
        self._prepare()
        while self._control in self._selector.get_map():
            for key, _ in self._selector.select():
                key.data()
        for child in (*self._busy, *([self._ready] if self._ready else ())):
            signal.pidfd_send_signal(child.handle, signal.SIGKILL)

    def _asked(self) -> None:
        request, descriptors, _, _ = socket.recv_fds(self._control, _LONGEST_REQUEST, _DESCRIPTORS)
        if not request:
            self._selector.unregister(self._control)
            return
        channel, ended, *files = descriptors
        child, self._ready = self._ready or self._forked(), None
        child.ended = ended
        self._busy.add(child)
        # A pipe whose reader is gone is ready: nobody wants to know any more.
        self._selector.register(ended, selectors.EVENT_READ, lambda: self._kill(child))
        with suppress(OSError):  # It was killed while it waited: whoever asked hears of it as of any other.
            socket.send_fds(child.orders, [request], [channel, *files])
        for each in (channel, *files):
            os.close(each)
        child.orders.close()
        self._prepare()

    def _prepare(self) -> None:
        if self._ready is None and len(self._busy) < _CORES:
            self._ready = self._forked()

    def _forked(self) -> _Child:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent, pid = os.getpid(), os.fork()
        if pid == 0:
            _live(self._court, theirs, self._nowhere, self._pages, parent)
        theirs.close()
        child = _Child(pid, os.pidfd_open(pid), ours)
        self._selector.register(child.handle, selectors.EVENT_READ, lambda: self._bury(child))
        return child

    def _kill(self, child: _Child) -> None:
        if child not in self._busy or child.ended is None:
            return  # It ended by itself in the meantime.
        self._selector.unregister(child.ended)
        signal.pidfd_send_signal(child.handle, signal.SIGKILL)

    def _bury(self, child: _Child) -> None:
        _, status = os.waitpid(child.pid, 0)
        self._selector.unregister(child.handle)
        os.close(child.handle)
        child.orders.close()
        self._busy.discard(child)
        if child is self._ready:
            self._ready = None
        if child.ended is not None:
            self._tell(child.ended, Ended(code=os.waitstatus_to_exitcode(status)))
        self._prepare()

    def _tell(self, pipe: int, how: Ended) -> None:
        if pipe in self._selector.get_map():
            self._selector.unregister(pipe)
        with suppress(BrokenPipeError):
            os.write(pipe, _ENDED.write(how))
        os.close(pipe)


# --- a child ---------------------------------------------------------------------------------------------------------


def _live(court: Court, orders: socket.socket, nowhere: int, pages: Sequence[Run], parent: int) -> NoReturn:
    """Be the process that judges one file; never return."""
    code = 1
    try:
        confinement.die_with(parent)
        confinement.keep_open((orders.fileno(),), nowhere)
        if not select.select([orders], [], [], 0)[0]:  # Nobody waits yet.
            copy_ahead(pages)
        request, (channel, *files), _, _ = socket.recv_fds(orders, _LONGEST_REQUEST, _DESCRIPTORS)
        orders.close()
        limits = _LIMITS.read(request)
        confinement.limit(limits.memory, limits.processor_seconds)
        confinement.live_without_descriptors()
        _converse(court, [os.fdopen(each, "rb") for each in files], Channel(socket.socket(fileno=channel)))
        code = 0
    finally:
        os._exit(code)


def _converse(court: Court, files: Sequence[IO[bytes]], channel: Channel) -> None:
    channel.send(_SAID.write(Ready()))
    terms = _TERMS.read(channel.receive())
    validation = _validation(terms, channel, court.read_stored)
    document, *apart = files
    document.seek(0)
    said: Said = Stopped()
    try:
        said = Judged(verdict=court.judge(document, validation, POLICIES[terms.policy], next(iter(apart), None)))
    except MemoryError:
        pass  # Said below, when what filled the memory is let go.
    except confinement.LateImport as late:
        said = Stopped(late=str(late))
    channel.send(_SAID.write(said))


def _validation(terms: Terms, channel: Channel, read_stored: ReadStored) -> Validation:
    return Validation(
        anchors=_anchors(terms.anchors),
        revocation=[_Asked(channel, source) for source in range(terms.sources)],
        clock=lambda: terms.now,
        stamp_anchors=_anchors(terms.stamp_anchors),
        read_stored=read_stored if terms.reads_stored else None,
        at=terms.at,
        holder=terms.holder,
        show_attributes=terms.show_attributes,
    )


def _anchors(anchors: Sequence[Anchor]) -> Sequence[TrustAnchor]:
    return [TrustAnchor(certificate=each.certificate, domain=each.domain, policies=each.policies) for each in anchors]


class _Asked:
    """A source of the process that had the file judged: asked over the channel, by its number.

    It is asked the same thing once: time-stamps of a document are weighed anew for each signature that they cover.
    """

    def __init__(self, channel: Channel, source: int) -> None:
        self._channel = channel
        self._source = source
        self._heard = lru_cache(maxsize=None)(self._ask)

    def evidence(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> RevocationEvidence | None:
        """Return the source's word; see `jpki.ports.RevocationSource`."""
        return self._heard(certificate, issuer, at)

    def _ask(self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime) -> RevocationEvidence | None:
        question = Question(source=self._source, certificate=certificate, issuer=issuer, at=at)
        self._channel.send(_SAID.write(question))
        return _ANSWER.read(self._channel.receive()).evidence


# --- the start -------------------------------------------------------------------------------------------------------


def start(judge: Judge, read_stored: ReadStored) -> None:
    """Be the fork server of the socket whose descriptor is this process's argument.

    `read_stored` reads the revocation data that documents hold, in the process that judges the document.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.setrecursionlimit(DEEPEST_CALLS)
    control = socket.socket(fileno=int(sys.argv[1]))
    again = rehearse(read_stored)
    gc.collect()
    gc.freeze()
    pages = written_pages(again)
    os.chdir("/")
    confinement.give_up_root()
    confinement.give_up_privileges()
    Zygote(control, Court(judge, read_stored), pages).serve()
