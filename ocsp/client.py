"""Asking an OCSP responder about a certificate: one configured address, never one that a certificate names."""

from datetime import datetime
from http import HTTPStatus
from http.client import HTTPException
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, Request

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from jpki.clock import Clock
from jpki.errors import JpkiError, Kind
from jpki.randomness import Randomness
from jpki.revocation import RevocationEvidence
from jpki.text import Text
from ocsp.judgement import MALFORMED, UNREADABLE, Unusable, judge

MAX_RESPONSE_OCTETS = 64 * 1024
"""No more is read; a longer response is cut, and so malformed."""
_NONCE_OCTETS = 32  # RFC 9654 2.1
_STRONG_HASHES = ("sha256", "sha384", "sha512")
_LATER = (ocsp.OCSPResponseStatus.TRY_LATER, ocsp.OCSPResponseStatus.INTERNAL_ERROR)


class OcspClient:
    """A `RevocationSource` that asks the OCSP responder at `url`.

    `timeout` bounds, in seconds, each wait for the network.

    Raises:
        JpkiError: MALFORMED `ocsp-url-malformed` if `url` is not http or https with a host.
    """

    def __init__(self, url: str, clock: Clock, randomness: Randomness, timeout: float = 5.0) -> None:
        self._url = _checked(url)
        self._clock = clock
        self._randomness = randomness
        self._timeout = timeout

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
        request = self._request(certificate, issuer)
        body = self._fetch(request.public_bytes(Encoding.DER))
        try:
            return self._read(body, request, issuer)
        except Unusable as judgement:
            raise _unusable(self._url, judgement.reason) from judgement

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
            raise _unreachable(self._url)
        if status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise Unusable(Text(f"応答状態 {status.name}", f"response status {status.name}"))
        if not _is_strong(response):
            raise Unusable(Text("弱い署名アルゴリズム", "weak signature algorithm"))
        return judge(response, request, issuer, self._clock())

    def _fetch(self, question: bytes) -> bytes:
        headers = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
        request = Request(self._url, question, headers)  # noqa: S310 - `_checked` lets only http and https through
        try:
            with _OPENER.open(request, timeout=self._timeout) as response:
                status, body = response.status, response.read(MAX_RESPONSE_OCTETS)
        except (OSError, HTTPException, ValueError) as error:
            raise _unreachable(self._url) from error
        if status != HTTPStatus.OK:
            raise _unreachable(self._url)
        return bytes(body)


def _opener() -> OpenerDirector:
    """Return an opener that knows http and https and nothing else: no proxies, redirects, cookies or files."""
    opener = OpenerDirector()
    opener.add_handler(HTTPHandler())
    opener.add_handler(HTTPSHandler())
    return opener


_OPENER = _opener()


def _parse(body: bytes) -> ocsp.OCSPResponse:
    try:
        return ocsp.load_der_ocsp_response(body)
    except ValueError as error:
        raise Unusable(MALFORMED) from error


def _is_strong(response: ocsp.OCSPResponse) -> bool:
    """Tell whether the response, and the certificates it brings along, are signed over strong hashes."""
    try:
        hashes = [certificate.signature_hash_algorithm for certificate in response.certificates]
        hashes.append(response.signature_hash_algorithm)
    except UNREADABLE:
        return False
    return all(algorithm is not None and algorithm.name in _STRONG_HASHES for algorithm in hashes)


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None and url.isascii()
    except ValueError:
        fits = False
    if fits:
        return url
    raise JpkiError(
        Kind.MALFORMED,
        "ocsp-url-malformed",
        Text("OCSPの接続先として使えないURLです。", "The URL cannot be the address of an OCSP responder."),
        Text(
            "http:// または https:// で始まるURLを、ユーザー名を含めずに指定してください。",
            "Give a URL that begins with http:// or https:// and holds no user name.",
        ),
    )


def _unreachable(url: str) -> JpkiError:
    return JpkiError(
        Kind.UNAVAILABLE,
        "ocsp-unreachable",
        Text(
            f"OCSPレスポンダ {url} から回答を得られませんでした。",
            f"The OCSP responder {url} could not give an answer.",
        ),
        Text(
            "接続先を確認し、しばらくしてからもう一度試してください。", "Check the address, and try again in a while."
        ),
    )


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
