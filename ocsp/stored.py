"""A response that somebody kept, read again later as evidence (RFC 6960 3.2): the nonce is long forgotten."""

from datetime import datetime

from cryptography import x509
from cryptography.x509 import ocsp

from jpki.errors import JpkiError, Kind
from jpki.revocation import RevocationEvidence
from jpki.text import Text
from ocsp.judgement import UNREADABLE, Unusable, is_strong, judge_stored


class StoredResponse:
    """A `RevocationSource` of one OCSP response, which is known to have existed at `moment`.

    Who signed it must have been allowed to by then; how old it is, is the caller's to judge.
    """

    def __init__(self, octets: bytes, moment: datetime) -> None:
        """Read a response.

        Raises:
            JpkiError: UNPROCESSABLE `ocsp-unreadable`.
        """
        try:
            self._response = ocsp.load_der_ocsp_response(octets)
        except ValueError as error:
            raise _unreadable() from error
        self._moment = moment

    def evidence(
        self,
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        at: datetime,  # noqa: ARG002 - a response speaks of its own moment; the caller judges what that says of `at`
    ) -> RevocationEvidence | None:
        """Return the response's word on `certificate`, None where it has no say."""
        try:
            if self._response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
                return None
            if not is_strong(self._response):
                return None
            return judge_stored(self._response, certificate, issuer, self._moment)
        except (Unusable, *UNREADABLE):
            return None


def _unreadable() -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "ocsp-unreadable",
        Text("OCSPの応答として読み取れません。", "It cannot be read as an OCSP response."),
        Text("正しいOCSP応答を指定してください。", "Give a sound OCSP response."),
    )
