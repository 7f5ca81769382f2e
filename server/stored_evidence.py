"""Revocation data that documents keep for later: read as evidence, and collected for a signer."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from io import BytesIO

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from crl.reader import CrlFile
from jpki.clock import iso
from jpki.errors import JpkiError, Kind
from jpki.ports import RevocationSource
from jpki.revocation import Finding, RevocationEvidence
from jpki.text import Text
from ocsp.client import OcspClient
from ocsp.stored import StoredResponse
from signing.validation import Stored, StoredKind

_PEM = b"-----BEGIN"


def read_stored(stored: Stored, moment: datetime) -> RevocationSource:
    """Read what a document holds, which is known to have existed at `moment`; see `signing.validation.ReadStored`."""
    if stored.kind is StoredKind.OCSP:
        return StoredResponse(stored.octets, moment)
    return CrlFile(BytesIO(stored.octets))


class Collector:
    """Finds what is to be kept with a signature, in lists that are at hand and at one responder; see `Collect`."""

    def __init__(self, lists: Sequence[bytes], responder: OcspClient | None) -> None:
        self._lists = lists
        self._responder = responder

    def __call__(self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime) -> Stored:
        """Return a list or a response, made at `at` or later, by which the certificate was good.

        Raises:
            JpkiError: FORBIDDEN `certificate-revoked`; UNPROCESSABLE `revocation-data-missing`, or `-old`; as
                `OcspClient`, and of a list that cannot be read.
        """
        old: RevocationEvidence | None = None
        for stored, evidence in self._found(certificate, issuer, at):
            if evidence.finding in {Finding.REVOKED, Finding.HELD}:
                raise _revoked()
            if evidence.finding is Finding.GOOD and evidence.as_of >= at:
                return stored
            old = evidence
        raise _missing() if old is None else _old(old, at)

    def _found(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> Iterator[tuple[Stored, RevocationEvidence]]:
        for octets in self._lists:
            evidence = CrlFile(BytesIO(octets)).evidence(certificate, issuer, at)
            if evidence is not None:
                yield Stored(kind=StoredKind.CRL, octets=_der(octets)), evidence
        if self._responder is not None:
            answer = self._responder.response(certificate, issuer)
            if answer is not None:
                yield Stored(kind=StoredKind.OCSP, octets=answer[0]), answer[1]


def _der(octets: bytes) -> bytes:
    if octets.lstrip().startswith(_PEM):
        return x509.load_pem_x509_crl(octets).public_bytes(Encoding.DER)
    return octets


def _revoked() -> JpkiError:
    return JpkiError(
        Kind.FORBIDDEN,
        "certificate-revoked",
        Text("証明書は失効しています。文書は署名されていません。", "The certificate was revoked. Nothing was signed."),
        Text("有効な証明書で署名してください。", "Sign with a certificate that is valid."),
    )


def _missing() -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "revocation-data-missing",
        Text(
            "長期検証に必要な失効情報（署名者又は時刻認証局のもの）がありません。",
            "There is no revocation data to keep with the signature, of the signer or of the time-stamp authority.",
        ),
        Text(
            "--ocsp でOCSPレスポンダを、又は --crl で失効リストを指定してください。",
            "Give --ocsp with the responder's URL, or --crl with the list.",
        ),
    )


def _old(evidence: RevocationEvidence, at: datetime) -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "revocation-data-old",
        Text(
            f"失効情報（{iso(evidence.as_of)}現在）はタイムスタンプ（{iso(at)}）より古く、署名時の証明になりません。",
            f"The revocation data is of {iso(evidence.as_of)}, before the time-stamp of {iso(at)}: it proves nothing.",
        ),
        Text(
            "--ocsp を使うか、タイムスタンプの後に発行された失効リストを待ってください。",
            "Use --ocsp, or wait for a list that is made after the time-stamp.",
        ),
    )
