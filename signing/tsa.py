"""The time-stamp authority: a TimeStampReq in, a TimeStampResp out, whatever comes in (RFC 3161, RFC 5816)."""

# mypy: allow-untyped-calls
# asn1crypto bears no types.

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from asn1crypto import tsp

from jpki import der, oids
from jpki.clock import Clock, whole_second
from jpki.der import DerError, Reader, Tag, context, read_integer
from jpki.errors import JpkiError, Kind
from jpki.ids import new_serial
from jpki.randomness import Randomness
from jpki.text import Text
from signing.cms_writer import write_time_stamp
from signing.credential import Credential

MAX_REQUEST_OCTETS = 4096
ACCURACY_SECONDS = 1
"""A stamp names the second in which it was made."""

_DIGEST_OCTETS: Mapping[bytes, int] = {
    der.object_identifier(oids.SHA256): 32,
    der.object_identifier(oids.SHA384): 48,
    der.object_identifier(oids.SHA512): 64,
}
_PARAMETERS = (b"", der.tlv(Tag.NULL))
"""SHA-2 has none, which is written in two ways (RFC 5754 2)."""
_POLICY = der.object_identifier(oids.LAB_TIMESTAMP_POLICY)
_CLOCK_TOLERANCE = timedelta(seconds=2)
_CLOCK_WENT_BACK = "clock-went-back"

_log = logging.getLogger(__name__)

Stamping = Callable[[datetime], Credential]
"""Returns what stamps at a moment: a certificate that is valid then, and its key.

Raises:
    JpkiError: UNAVAILABLE where there is none.
"""


class TimeStampAuthority:
    """Stamps digests; any number of threads may ask, and of processes too.

    `latest` returns the latest moment that is on record anywhere in the house, to a second (rule R22). Serials are 126
    random bits: unlike a counter's they need no record to be unique, across processes and crashes alike.
    """

    def __init__(
        self, stamping: Stamping, latest: Callable[[], datetime], clock: Clock, randomness: Randomness
    ) -> None:
        self._stamping = stamping
        self._latest = latest
        self._clock = clock
        self._randomness = randomness
        self._lock = threading.Lock()
        self._last: datetime | None = None

    def answer(self, octets: bytes) -> bytes:
        """Return the DER of the TimeStampResp: a token, or a rejection that names what is wrong."""
        try:
            return _granted(self._token(_parse(octets)))
        except _Refused as refusal:
            return _rejected(refusal.failure, str(refusal))
        except JpkiError as error:
            _log.error("no time-stamp: %s", error.code)
            if error.code == _CLOCK_WENT_BACK:
                return _rejected("time_not_available", "the clock went back")
            return _rejected("system_failure", "try again later")

    def require_ready(self) -> None:
        """Require that a stamp could be made now, short of its signature.

        Raises:
            JpkiError: UNAVAILABLE `clock-went-back`; as `Stamping` and the ledger do.
        """
        self._stamping(self._moment())

    def _token(self, request: "_Request") -> bytes:
        moment = self._moment()
        credential = self._stamping(moment)
        info = tsp.TSTInfo(
            {
                "version": "v1",
                "policy": oids.LAB_TIMESTAMP_POLICY,
                "message_imprint": tsp.MessageImprint.load(request.imprint),
                "serial_number": new_serial(self._randomness),
                "gen_time": moment,
                "accuracy": {"seconds": ACCURACY_SECONDS},
            }
            | ({} if request.nonce is None else {"nonce": request.nonce})
        )
        return write_time_stamp(info.dump(), credential, with_certificate=request.wants_certificate)

    def _moment(self) -> datetime:
        """Return the present second, if the clock did not go back."""
        recorded = self._latest()
        with self._lock:
            # Read in here, so that whoever waited for the lock is not taken for one whose clock went back.
            now = self._clock()
            latest = recorded if self._last is None else max(recorded, self._last)
            if latest - now > _CLOCK_TOLERANCE:
                raise JpkiError(
                    Kind.UNAVAILABLE,
                    _CLOCK_WENT_BACK,
                    Text(
                        "時計が過去に戻ったため、タイムスタンプを停止しました。",
                        "The clock went back, so time-stamping is stopped.",
                    ),
                    Text("時刻同期を確認してください。", "Check the machine's time synchronisation."),
                )
            self._last = now if self._last is None else max(now, self._last)
        return whole_second(now)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What is asked: `imprint` is the MessageImprint's DER."""

    imprint: bytes
    nonce: int | None
    wants_certificate: bool


class _Refused(Exception):  # noqa: N818 - it is an answer
    """The request gets a rejection with this PKIFailureInfo, by asn1crypto's name; the text says why."""

    def __init__(self, failure: str, why: str) -> None:
        super().__init__(why)
        self.failure = failure


def _parse(octets: bytes) -> _Request:
    if len(octets) > MAX_REQUEST_OCTETS:
        raise _Refused("bad_data_format", f"the request is longer than {MAX_REQUEST_OCTETS} octets")
    try:
        return _read(octets)
    except DerError as error:
        raise _Refused("bad_data_format", f"the request is not DER: {error}") from error


def _read(octets: bytes) -> _Request:
    outer = Reader(octets)
    fields = Reader(outer.read(Tag.SEQUENCE))
    outer.finish()
    if read_integer(fields.read(Tag.INTEGER)) != 1:
        raise _Refused("bad_request", "the version is not 1")
    imprint = fields.read_element(Tag.SEQUENCE)
    policy = fields.read_element(Tag.OBJECT_IDENTIFIER) if fields.peek() == Tag.OBJECT_IDENTIFIER else None
    nonce = fields.read_optional(Tag.INTEGER)
    request = _Request(
        imprint=imprint,
        nonce=None if nonce is None else read_integer(nonce),
        wants_certificate=_is_true(fields.read_optional(Tag.BOOLEAN)),
    )
    extensions = fields.read_optional(context(0))
    fields.finish()
    _require_imprint(imprint)
    if policy not in {None, _POLICY}:
        raise _Refused("unaccepted_policy", f"the policy is {oids.LAB_TIMESTAMP_POLICY}")
    if extensions is not None:
        raise _Refused("unaccepted_extensions", "no extension is supported")
    return request


def _is_true(content: bytes | None) -> bool:
    """Read certReq: DER leaves out what is FALSE, the default (X.690 11.5)."""
    if content not in {None, b"\xff"}:
        raise DerError("certReq is neither TRUE nor left out")
    return content is not None


def _require_imprint(imprint: bytes) -> None:
    fields = Reader(Reader(imprint).read(Tag.SEQUENCE))
    algorithm = Reader(fields.read(Tag.SEQUENCE))
    digest = fields.read(Tag.OCTET_STRING)
    fields.finish()
    octets = _DIGEST_OCTETS.get(algorithm.read_element(Tag.OBJECT_IDENTIFIER))
    if octets is None or algorithm.rest() not in _PARAMETERS:
        raise _Refused("bad_alg", "the hash is none of SHA-256, SHA-384 and SHA-512")
    if len(digest) != octets:
        raise _Refused("bad_data_format", "the digest has not its hash's length")


def _granted(token: bytes) -> bytes:
    return der.sequence(tsp.PKIStatusInfo({"status": "granted"}).dump(), token)


def _rejected(failure: str, why: str) -> bytes:
    status = tsp.PKIStatusInfo({"status": "rejection", "status_string": [why], "fail_info": {failure}})
    # asn1crypto's TimeStampResp cannot do without a token, which a rejection must not have (RFC 3161 2.4.2).
    return der.sequence(status.dump())
