"""What passes between whoever has a file judged and the process that judges it: typed JSON in frames, never pickle.

That process may belong to a stranger by now, so what it says is read as a stranger's: its size first, then its types.
A frame is four octets of length, big-endian, and as many octets of JSON.
"""

import base64
import socket
import struct
import time
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Annotated, Generic, Literal, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import Field, PlainSerializer, PlainValidator, TypeAdapter, ValidationError

from jpki.revocation import RevocationEvidence
from signing.caps import LARGEST_MESSAGE
from signing.report import FileVerdict
from signing.validation import ExpectedHolder

_LENGTH = struct.Struct(">I")
_T = TypeVar("_T")


def _load(text: object) -> x509.Certificate:
    if not isinstance(text, str):
        raise ValueError("no certificate")  # noqa: TRY004 - what pydantic asks of a validator
    return x509.load_der_x509_certificate(base64.b64decode(text, validate=True))


def _dump(certificate: x509.Certificate) -> str:
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")


_Certificate = Annotated[x509.Certificate, PlainValidator(_load), PlainSerializer(_dump)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What judging one file may cost: octets of address space, and seconds of processor time."""

    memory: int
    processor_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A `signing.validation.TrustAnchor`."""

    certificate: _Certificate
    domain: str
    policies: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A `signing.validation.Validation`, and the name of a policy.

    Of its revocation sources it tells only how many there are, of its clock the time, of `read_stored` whether there
    is one: the judging process has its own.
    """

    anchors: tuple[Anchor, ...]
    stamp_anchors: tuple[Anchor, ...]
    sources: int
    reads_stored: bool
    now: datetime
    at: datetime | None
    holder: ExpectedHolder | None
    show_attributes: bool
    policy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The judging process asks the word of one revocation source; see `jpki.ports.RevocationSource`."""

    kind: Literal["question"] = "question"
    source: Annotated[int, Field(ge=0)]
    certificate: _Certificate
    issuer: _Certificate
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The source's word, None where it has no say or cannot be reached."""

    evidence: RevocationEvidence | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The judging process has begun: from here on its time counts."""

    kind: Literal["ready"] = "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The verdict, its path left open: the judging process does not know it."""

    kind: Literal["judged"] = "judged"
    verdict: FileVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The judging process came to no verdict: it had no memory left, or `late` names what was not imported in time."""

    kind: Literal["stopped"] = "stopped"
    late: str | None = None


Said = Annotated[Ready | Question | Judged | Stopped, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a judging process ended, in the words of the one that started it: its exit code, or minus a signal."""

    code: int


class Form(Generic[_T]):
    """How messages of one type are written and read."""

    def __init__(self, kind: type[_T]) -> None:
        self._adapter: TypeAdapter[_T] = TypeAdapter(kind)

    def write(self, message: _T) -> bytes:
        """Return the message's octets."""
        return self._adapter.dump_json(message)

    def read(self, octets: bytes) -> _T:
        """Return the message.

        Raises:
            Breach: it is not of this type.
        """
        try:
            return self._adapter.validate_json(octets)
        except ValidationError as error:
            raise Breach from error


class Breach(Exception):  # noqa: N818 - a judgement on a message
    """What came is no message of the type that was expected."""


class Silence(Exception):  # noqa: N818 - what is heard
    """The other side closed the channel."""


class Channel:
    """One end of a stream socket between the two.

    `deadline` is the moment of `time.monotonic` after which nothing is waited for any more.
    """

    def __init__(self, stream: socket.socket, deadline: float = inf) -> None:
        self._stream = stream
        self.deadline = deadline

    def send(self, octets: bytes) -> None:
        """Send one message.

        Raises:
            TimeoutError: the deadline passed; Silence: the other side is gone.
        """
        self._wait()
        try:
            self._stream.sendall(_LENGTH.pack(len(octets)) + octets)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Silence from error

    def receive(self) -> bytes:
        """Return the next message's octets.

        Raises:
            TimeoutError: the deadline passed; Silence: the other side is gone; Breach: the message is too large.
        """
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        if length > LARGEST_MESSAGE:
            raise Breach
        return self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        received = bytearray()
        while len(received) < count:
            self._wait()
            try:
                part = self._stream.recv(count - len(received))
            except ConnectionResetError as error:
                raise Silence from error
            if not part:
                raise Silence
            received += part
        return bytes(received)

    def _wait(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._stream.settimeout(None if left == inf else left)
