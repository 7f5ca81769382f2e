"""Who is at the door: the client certificate of a connection, and what is closed to those who are not registered."""

import base64
import ssl
from collections.abc import Collection, Sequence

from flask import Blueprint, Flask, Response, g, request

from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from jpki.ids import Serial
from jpki.ports import Admission
from jpki.text import Text
from jpki.verifier import VerifierId
from server.clients import Clients


def client(ca: Purpose = Purpose.INFRASTRUCTURE) -> Serial | None:
    """Return the serial of the certificate of `ca` that the present request's client showed.

    It was shown to us in TLS, or to our proxy. A clerk's and a verifier's are of the infrastructure root; a holder's is
    none of those, whatever its serial.
    """
    told: tuple[Purpose, Serial] | None = g.client
    return told[1] if told is not None and told[0] is ca else None


def hear_clients(app: Flask, proxies: Collection[str], clients: Clients) -> None:
    """Note with each request who sends it.

    The header Client-Cert (RFC 9440) is believed where a configured proxy sends it, and refused everywhere else. The
    proxy has verified the certificate; whose it is we see for ourselves, for a proxy may be set up to believe others.
    """

    @app.before_request
    def hear() -> None:
        g.client = None
        told = request.headers.getlist("Client-Cert")
        if request.remote_addr in proxies:
            if told:
                g.client = bearer(_certificate(told))
                if g.client is None:
                    raise _malformed()
        elif told or "Client-Cert-Chain" in request.headers:
            # OCSP knows no problem documents: in its own words whoever says this is nobody.
            if request.blueprint != "ocsp":
                raise _not_from_proxy()
        else:
            connection = request.environ.get("gunicorn.socket")
            shown = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLSocket) else None
            g.client = None if shown is None else bearer(shown)

    def bearer(certificate: bytes) -> tuple[Purpose, Serial] | None:
        clients.keep_up()
        return clients.bearer(certificate)


def _certificate(told: Sequence[str]) -> bytes:
    """Return the certificate that the header holds, a byte sequence (RFC 9440 2.2, RFC 8941 3.3.5)."""
    try:
        (field,) = told
        if not (field.startswith(":") and field.endswith(":") and len(field) > 2):
            raise _malformed()
        return base64.b64decode(field[1:-1], validate=True)
    except ValueError:
        raise _malformed() from None


def verifier() -> VerifierId | None:
    """Return who sent the present request, through a guarded door."""
    found: VerifierId | None = g.get("verifier")
    return found


def guard(blueprint: Blueprint, admission: Admission) -> None:
    """Close a door's routes to all but registered verifiers, and let no cache give on what it gives."""

    @blueprint.before_request
    def admit() -> None:
        g.verifier = admission.admit(client())

    @blueprint.after_request
    def keep_private(response: Response) -> Response:
        if response.cache_control.public:
            response.cache_control.public = False
            response.cache_control.private = True
        return response


def _not_from_proxy() -> JpkiError:
    return JpkiError(
        Kind.MALFORMED,
        "client-cert-untrusted",
        Text(
            "Client-Cert ヘッダーは設定されたプロキシからだけ受け付けます。",
            "The header Client-Cert is taken from a configured proxy only.",
        ),
        Text("jpki.toml の client_cert_proxy を確認してください。", "See client_cert_proxy in jpki.toml."),
    )


def _malformed() -> JpkiError:
    return JpkiError(
        Kind.MALFORMED,
        "client-cert-malformed",
        Text(
            "プロキシが送ったクライアント証明書が使えません。",
            "The client certificate that the proxy sent cannot be used.",
        ),
        Text("プロキシの信頼する認証局を確認してください。", "Check which CA the proxy believes."),
    )
