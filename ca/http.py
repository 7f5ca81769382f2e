"""The CA certificates over HTTP, as AIA's caIssuers points at them (RFC 5280 4.2.2.1), and the practice statement."""

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates
from flask import Blueprint, Response

from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.ports import Generations
from jpki.text import Text

_MAX_AGE = "public, max-age=3600"

_PRACTICE_STATEMENT = """\
JPKI Authority: certification practice statement of a laboratory
公的個人認証サービス試験環境の運用規程

Certificates of this authority are for trials. Their names (O=JPKI-LAB) and policy identifiers are not those of
Japan's Public Certification Service for Individuals, and they must not be relied on outside a laboratory.
この認証局の証明書は試験用です。名称（O=JPKI-LAB）とポリシー識別子は実際の公的個人認証サービスのものとは異なり、
試験環境の外で信頼してはなりません。
"""


def make_blueprint(generations: Generations, ever: Generations) -> Blueprint:
    """Return the routes below /ca, and /cps; `ever` has the generations that ended too, for AIA names them for ever."""
    blueprint = Blueprint("ca", __name__)

    def of(ca: str, which: Generations) -> list[Generation]:
        found = list(which(Purpose(ca))) if ca in HOLDER_PURPOSES else []
        if not found:
            raise _unknown()
        return found

    @blueprint.get("/ca/<ca>.cer")
    def current(ca: str) -> Response:
        return _reply(of(ca, generations)[0].certificate.public_bytes(Encoding.DER), "application/pkix-cert")

    @blueprint.get("/ca/<ca>/<generation>.cer")
    def one(ca: str, generation: str) -> Response:
        for each in of(ca, ever):
            if each.id == generation:
                return _reply(each.certificate.public_bytes(Encoding.DER), "application/pkix-cert")
        raise _unknown()

    @blueprint.get("/ca/<ca>.p7c")
    def bundle(ca: str) -> Response:
        certificates = [each.certificate for each in of(ca, generations)]
        return _reply(
            serialize_certificates(certificates, Encoding.DER), "application/pkcs7-mime; smime-type=certs-only"
        )

    @blueprint.get("/ca/<ca>.pem")
    def pem(ca: str) -> Response:
        chain = b"".join(each.certificate.public_bytes(Encoding.PEM) for each in of(ca, generations))
        return _reply(chain, "application/pem-certificate-chain")

    @blueprint.get("/cps")
    def practice_statement() -> Response:
        return _reply(_PRACTICE_STATEMENT.encode(), "text/plain; charset=utf-8")

    return blueprint


def _reply(body: bytes, content_type: str) -> Response:
    response = Response(body, content_type=content_type)
    response.headers["Cache-Control"] = _MAX_AGE
    return response


def _unknown() -> JpkiError:
    return JpkiError(
        Kind.NOT_FOUND,
        "ca-unknown",
        Text("そのCA証明書はありません。", "There is no such CA certificate."),
        Text("signing か authentication を指定してください。", "Ask for signing or authentication."),
    )
