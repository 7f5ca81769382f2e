"""What a responder said to one question, read without believing any of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from cryptography import x509
from cryptography.x509 import ocsp

from jpki.text import Text
from ocsp.fetch import Call, Fetch, NoReply, Reply
from ocsp.judgement import UNREADABLE

RESPONSE_STATUSES = {
    ocsp.OCSPResponseStatus.SUCCESSFUL: "successful",
    ocsp.OCSPResponseStatus.MALFORMED_REQUEST: "malformedRequest",
    ocsp.OCSPResponseStatus.INTERNAL_ERROR: "internalError",
    ocsp.OCSPResponseStatus.TRY_LATER: "tryLater",
    ocsp.OCSPResponseStatus.SIG_REQUIRED: "sigRequired",
    ocsp.OCSPResponseStatus.UNAUTHORIZED: "unauthorized",
}
"""The names of RFC 6960 4.2.1."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a CertID says: hash function, hashes, serial; `algorithm` is None for a function unknown here."""

    algorithm: str | None
    name: bytes
    key: bytes
    serial: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What is said of the certificate, without the times: two answers that claim the same agree."""

    status: ocsp.OCSPCertStatus
    revoked_at: datetime | None
    reason: x509.ReasonFlags | None


@dataclass(frozen=True, slots=True)
class Single:
    """One SingleResponse."""

    named: Named
    claim: Claim
    this_update: datetime
    next_update: datetime | None


@dataclass(frozen=True, slots=True)
class Heard:
    """What came back: nothing, something that is no OCSP response, or a response with its answers."""

    reply: Reply | None
    hung_up: bool = False
    """The other side took the call, and ended it without a reply."""
    response: ocsp.OCSPResponse | None = None
    singles: tuple[Single, ...] = ()

    @property
    def status(self) -> int:
        """The HTTP status; 0 without a reply."""
        return 0 if self.reply is None else self.reply.status

    @property
    def broke(self) -> bool:
        """Whether the question was too much for the responder: silence, or an HTTP 5xx."""
        return self.reply is None or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def answered(self) -> ocsp.OCSPResponse | None:
        """The response, if it came by HTTP 200 and is successful."""
        successful = self._has(ocsp.OCSPResponseStatus.SUCCESSFUL) and self.status == HTTPStatus.OK
        return self.response if successful else None

    @property
    def turned_down(self) -> bool:
        """Whether the question was refused as malformed: by an HTTP 4xx, or by OCSP's own status."""
        by_http = HTTPStatus.BAD_REQUEST <= self.status < HTTPStatus.INTERNAL_SERVER_ERROR
        return by_http or (self.status == HTTPStatus.OK and self._has(ocsp.OCSPResponseStatus.MALFORMED_REQUEST))

    @property
    def words(self) -> Text:
        """What came back, in a few words."""
        if self.hung_up:
            return Text("接続が切られた", "the connection was closed")
        if self.reply is None:
            return Text("HTTPの応答がない", "no HTTP reply")
        if self.status != HTTPStatus.OK:
            return Text(f"HTTP {self.status}", f"HTTP {self.status}")
        if self.response is None:
            return Text("読めるOCSP応答ではない", "not a readable OCSP response")
        said = "・".join(single.claim.status.name.lower() for single in self.singles)
        name = said or RESPONSE_STATUSES[self.response.response_status]
        return Text(name, name.replace("・", ", "))

    def about(self, named: Named) -> Single | None:
        """Return the one answer to this CertID, or None if there is none, or several."""
        found = [single for single in self.singles if single.named == named]
        return found[0] if len(found) == 1 else None

    @property
    def nonce(self) -> bytes | None:
        """The nonce in the response."""
        if self.answered is None:
            return None
        try:
            return self.answered.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
        except x509.ExtensionNotFound:
            return None

    def _has(self, status: ocsp.OCSPResponseStatus) -> bool:
        return self.response is not None and self.response.response_status is status


def hear(fetch: Fetch, call: Call) -> Heard:
    """Send a call, and return what came back, whatever it is."""
    try:
        reply = fetch(call)
    except NoReply as silence:
        return Heard(None, hung_up=silence.hung_up)
    try:
        response = ocsp.load_der_ocsp_response(reply.body)
        return Heard(reply, response=response, singles=tuple(_singles(response)))
    except UNREADABLE:
        return Heard(reply)


def _singles(response: ocsp.OCSPResponse) -> Iterator[Single]:
    if response.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL:
        for each in response.responses:
            named = Named(hash_name(each), each.issuer_name_hash, each.issuer_key_hash, each.serial_number)
            claim = Claim(each.certificate_status, each.revocation_time_utc, each.revocation_reason)
            yield Single(named, claim, each.this_update_utc, each.next_update_utc)


def hash_name(single: ocsp.OCSPSingleResponse) -> str | None:
    """Return the name of the CertID's hash function, or None for one that is unknown here."""
    try:
        return single.hash_algorithm.name
    except UNREADABLE:
        return None
