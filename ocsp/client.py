"""Asking an OCSP responder about a certificate: one configured address, never one that a certificate names."""

from datetime import datetime
from http import HTTPStatus

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from jpki.clock import Clock
from jpki.errors import JpkiError, Kind
from jpki.randomness import Randomness
from jpki.revocation import RevocationEvidence
from jpki.text import Text
from ocsp.fetch import NoReply, fetcher, post, unreachable
from ocsp.judgement import MALFORMED, Unusable, is_strong, judge

_NONCE_OCTETS = 32  # RFC 9654 2.1
_LATER = (ocsp.OCSPResponseStatus.TRY_LATER, ocsp.OCSPResponseStatus.INTERNAL_ERROR)


class OcspClient:
    """A `RevocationSource` that asks the OCSP responder at `url`.

    `timeout` bounds, in seconds, the way there, and then all that comes back.

    Raises:
        JpkiError: MALFORMED `ocsp-url-malformed` if `url` is not http or https with a host.
    """

    def __init__(self, url: str, clock: Clock, randomness: Randomness, timeout: float = 5.0) -> None:
        self._url = url
        self._fetch = fetcher(url, timeout)
        self._clock = clock
        self._randomness = randomness

    def evidence(
        self,
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        at: datetime,  # noqa: ARG002 - a responder speaks of the present; the caller judges what that says of `at`
    ) -> RevocationEvidence | None:
        """Ask about `certificate`; None where the responder says that it does not answer for `issuer`.

        Raises:
            JpkiError: UNAVAILABLE `ocsp-unreachable`; UNPROCESSABLE `ocsp-unusable` when what came back is no
                answer that may be believed now.
        """
        found = self.response(certificate, issuer)
        return found and found[1]

    def response(
        self, certificate: x509.Certificate, issuer: x509.Certificate
    ) -> tuple[bytes, RevocationEvidence] | None:
        """Ask as `evidence` does, and return the response's DER too: for whoever keeps it for later."""
        request = self._request(certificate, issuer)
        body = self._ask(request.public_bytes(Encoding.DER))
        try:
            evidence = self._read(body, request, issuer)
        except Unusable as judgement:
            raise _unusable(self._url, judgement.reason) from judgement
        return None if evidence is None else (body, evidence)

    def _request(self, certificate: x509.Certificate, issuer: x509.Certificate) -> ocsp.OCSPRequest:
        # The SHA-1 CertID is the one that every responder knows (RFC 5019 2.1.1); it only finds the certificate.
        builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, SHA1())  # noqa: S303 - see above
        nonce = x509.OCSPNonce(self._randomness(_NONCE_OCTETS))
        return builder.add_extension(nonce, critical=False).build()

    def _read(self, body: bytes, request: ocsp.OCSPRequest, issuer: x509.Certificate) -> RevocationEvidence | None:
        response = _parse(body)
        status = response.response_status
        if status is ocsp.OCSPResponseStatus.UNAUTHORIZED:
            return None
        if status in _LATER:
            raise unreachable(self._url)
        if status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise Unusable(Text(f"応答状態 {status.name}", f"response status {status.name}"))
        if not is_strong(response):
            raise Unusable(Text("弱い署名アルゴリズム", "weak signature algorithm"))
        return judge(response, request, issuer, self._clock())

    def _ask(self, question: bytes) -> bytes:
        try:
            reply = self._fetch(post(question))
        except NoReply as silence:
            raise unreachable(self._url) from silence
        if reply.status != HTTPStatus.OK:
            raise unreachable(self._url)
        return reply.body


def _parse(body: bytes) -> ocsp.OCSPResponse:
    try:
        return ocsp.load_der_ocsp_response(body)
    except ValueError as error:
        raise Unusable(MALFORMED) from error


def _unusable(url: str, reason: Text) -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "ocsp-unusable",
        Text(
            f"OCSPレスポンダ {url} の回答は信頼できません（{reason.ja}）。",
            f"The answer of the OCSP responder {url} cannot be relied on ({reason.en}).",
        ),
        Text(
            "接続先が発行者のレスポンダであること、時計が正しいことを確認してください。",
            "Check that the address is that of the issuer's responder, and that the clock is right.",
        ),
    )
