"""The page /certificate: is this certificate alive? One sentence, then what the OCSP responder said, word for word.

Nothing of what a certificate tells of its holder is shown (rule R21).
"""

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from flask import Blueprint, Response, make_response, render_template, request
from werkzeug.exceptions import RequestEntityTooLarge

from jpki.certificate import Validity
from jpki.clock import Clock, day_in_japan, iso
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.ids import Serial, format_serial
from jpki.look import PAGE_HEADERS
from jpki.revocation import Reason
from jpki.text import Text

LARGEST = 64 * 1024
"""Octets of a certificate file; ours have some two thousand."""
_ROOM_FOR_MULTIPART = 4096
_HEADERS = {"Cache-Control": "no-store", **PAGE_HEADERS}

AskOcsp = Callable[[bytes], bytes]
"""Returns the OCSP response to a request, both in DER."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is told of a certificate; `tone` is how it looks: accept, refuse or undecided."""

    tone: str
    sentence: Text
    more: Sequence[Text]
    certificate: x509.Certificate
    generation: Generation | None
    response: bytes = b""
    answered: ocsp.OCSPResponse | None = None

    @property
    def serial(self) -> str:
        """The serial as 32 hexadecimal digits."""
        return format_serial(Serial(self.certificate.serial_number))

    @property
    def raw(self) -> str:
        """The OCSP response in base64."""
        return b64encode(self.response).decode()


def make_blueprint(
    generations: Callable[[], Sequence[Generation]], ask: AskOcsp, clock: Clock, base_url: str
) -> Blueprint:
    """Return GET and POST /certificate; `generations` are all there ever were of both CAs."""
    blueprint = Blueprint("certificate", __name__, template_folder="templates")

    @blueprint.get("/certificate")
    def show_form() -> Response:
        return page()

    @blueprint.post("/certificate")
    def show_finding() -> Response:
        try:
            certificate = _uploaded()
        except JpkiError as error:
            return page(413 if error.kind is Kind.TOO_LARGE else 400, error=error)
        return page(finding=examine(certificate, generations(), ask, clock()))

    def page(status: int = 200, *, finding: Finding | None = None, error: JpkiError | None = None) -> Response:
        text = render_template("certificate.html", finding=finding, error=error, base_url=base_url, iso=iso)
        return make_response(text, status, _HEADERS)

    return blueprint


def examine(certificate: x509.Certificate, generations: Sequence[Generation], ask: AskOcsp, now: datetime) -> Finding:
    """Return how a certificate stands, as our own responder says."""
    issuer = next((each for each in generations if _issued(each.certificate, certificate)), None)
    if issuer is None:
        return Finding("undecided", _NOT_OURS, [_ASK_ITS_ISSUER], certificate, None)
    # The SHA-256 CertID is understood here, as others are.
    question = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer.certificate, SHA256()).build()
    response = ask(question.public_bytes(Encoding.DER))
    answer = ocsp.load_der_ocsp_response(response)
    if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return Finding("undecided", _NO_ANSWER, [_LATER], certificate, issuer, response)
    tone, sentence, more = _told(certificate, answer, now)
    return Finding(tone, sentence, more, certificate, issuer, response, answer)


def _told(certificate: x509.Certificate, answer: ocsp.OCSPResponse, now: datetime) -> tuple[str, Text, Sequence[Text]]:
    if answer.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        since = "-" if answer.revocation_time_utc is None else iso(answer.revocation_time_utc)
        if answer.revocation_reason is x509.ReasonFlags.certificate_hold:
            return "refuse", _HELD, [Text(f"{since} から", f"Since {since}")]
        return "refuse", _REVOKED, [Text(f"{since} から", f"Since {since}"), *_why(answer.revocation_reason)]
    if answer.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        return "refuse", _UNKNOWN, [_NOT_DELIVERED]
    validity = Validity(certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    if not validity.holds(now):
        return "refuse", (_ENDED if now > validity.not_after else _NOT_BEGUN), []
    begun_today = day_in_japan(validity.not_before) == day_in_japan(now)
    return "accept", _ALIVE, [_FROM_TOMORROW] if begun_today else []


def _why(flag: x509.ReasonFlags | None) -> Sequence[Text]:
    reason = next((each for each in Reason if flag is not None and each.value == flag.value), None)
    return [] if reason is None else [Text(f"理由：{reason.text.ja}", f"Why: {reason.text.en}")]


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _uploaded() -> x509.Certificate:
    """Return the certificate in the request's field `file`, PEM or DER."""
    request.max_content_length = LARGEST + _ROOM_FOR_MULTIPART
    try:
        upload = request.files.get("file")
    except RequestEntityTooLarge:
        raise _unreadable(Kind.TOO_LARGE) from None
    octets = upload.read(LARGEST + 1) if upload is not None else b""
    try:
        if octets.startswith(b"0"):
            return x509.load_der_x509_certificate(octets)
        return x509.load_pem_x509_certificate(octets)
    except ValueError:
        raise _unreadable(Kind.MALFORMED) from None


def _unreadable(kind: Kind) -> JpkiError:
    return JpkiError(
        kind,
        "certificate-unreadable",
        Text("証明書として読めるファイルではありません。", "This file cannot be read as a certificate."),
        Text(
            "PEM又はDER形式の証明書（.cer、.crt、.pem）を選んでください。",
            "Choose a certificate in PEM or DER (.cer, .crt, .pem).",
        ),
    )


_ALIVE = Text("この証明書は有効です。", "This certificate is valid.")
_REVOKED = Text("この証明書は失効しています。", "This certificate is revoked.")
_HELD = Text("この証明書は一時停止中です。", "This certificate is on hold.")
_ENDED = Text("この証明書の有効期限は過ぎています。", "This certificate has expired.")
_NOT_BEGUN = Text("この証明書の有効期間は始まっていません。", "This certificate is not valid yet.")
_UNKNOWN = Text("この証明書は使われていません。", "This certificate is not in use.")
_NOT_DELIVERED = Text(
    "発行した記録がないか、まだ交付されていません。", "It is not on record, or was not delivered yet."
)
_NO_ANSWER = Text("今は確かめられません。", "It cannot be told now.")
_LATER = Text("しばらくしてから、もう一度お試しください。", "Try again in a while.")
_NOT_OURS = Text("この認証局の証明書ではありません。", "This certificate is not of this authority.")
_ASK_ITS_ISSUER = Text("発行した認証局に問い合わせてください。", "Ask the authority that issued it.")
_FROM_TOMORROW = Text(
    "今日発行された証明書です。e-Taxなど、翌日から使えるようになるサービスがあります。",
    "It was issued today; some services, such as e-Tax, take it from tomorrow on.",
)
