"""Who is at the door: the client certificate of a connection, and what is closed to those who are not registered."""

import base64
import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID
from flask import Blueprint, Flask, Response, g, request

from ca import names
from jpki.certificate import Purpose
from jpki.clock import Clock
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.ids import Serial
from jpki.ports import Admission
from jpki.text import Text
from jpki.verifier import VerifierId

_BELIEVED = timedelta(minutes=1)
_MOST_BELIEVED = 1000
_TOLD = {
    NameOID.COUNTRY_NAME: "countryName",
    NameOID.ORGANIZATION_NAME: "organizationName",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "organizationalUnitName",
}
_ISSUERS = {
    purpose: tuple(((_TOLD[each.oid], each.value),) for each in names.authority(purpose))
    for purpose in (Purpose.INFRASTRUCTURE, Purpose.AUTHENTICATION)
}
"""The names of the CAs whose certificates a client may show, as `ssl.SSLSocket.getpeercert` tells of them."""


def serial_of(peer: Mapping[str, Any] | None, ca: Purpose = Purpose.INFRASTRUCTURE) -> Serial | None:
    """Return the serial of a client's verified certificate of `ca`, as `ssl.SSLSocket.getpeercert` tells of it.

    A clerk's and a verifier's are of the infrastructure root; a holder's is none of those, whatever its serial.
    """
    return Serial(int(peer["serialNumber"], 16)) if peer and peer["issuer"] == _ISSUERS[ca] else None


def client(ca: Purpose = Purpose.INFRASTRUCTURE) -> Serial | None:
    """Return the serial of the certificate of `ca` that the present request's client showed.

    It was shown to us in TLS, or to our proxy.
    """
    if "client" in g:
        told: tuple[Purpose, Serial] | None = g.client
        return told[1] if told is not None and told[0] is ca else None
    connection = request.environ.get("gunicorn.socket")
    return serial_of(connection.getpeercert(), ca) if isinstance(connection, ssl.SSLSocket) else None


def hear_proxies(app: Flask, proxies: Collection[str], roots: Callable[[], Sequence[Generation]], clock: Clock) -> None:
    """Believe the header Client-Cert (RFC 9440) where a configured proxy sends it, and refuse it everywhere else.

    The proxy has verified the certificate; that it is one of `roots` is verified here again, for a proxy may be set up
    to believe others. What was verified counts for a minute: a browser asks for many things after each other.
    """
    believed = _Believed(roots, clock)

    @app.before_request
    def hear() -> None:
        told = request.headers.getlist("Client-Cert")
        if request.remote_addr in proxies:
            g.client = believed.bearer(told) if told else None
        elif told or "Client-Cert-Chain" in request.headers:
            if request.blueprint != "ocsp":
                raise _not_from_proxy()
            # OCSP knows no problem documents: in its own words whoever says this is nobody.
            g.client = None


class _Believed:
    """The certificates that proxies told of lately; safe to share between threads, for each step is one of a dict's."""

    def __init__(self, roots: Callable[[], Sequence[Generation]], clock: Clock) -> None:
        self._roots = roots
        self._clock = clock
        self._known: dict[tuple[str, ...], tuple[x509.Certificate, Purpose, datetime]] = {}

    def bearer(self, told: Sequence[str]) -> tuple[Purpose, Serial]:
        """Return whose CA's the certificate is that the header holds, and its serial, if it is valid now."""
        now, field = self._clock(), tuple(told)
        known = self._known.get(field)
        if known is None or not known[2] <= now < known[2] + _BELIEVED:
            known = (*_borne(field, self._roots()), now)
            if len(self._known) >= _MOST_BELIEVED:
                self._known.clear()
            self._known[field] = known
        certificate, ca, _ = known
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise _malformed()
        return ca, Serial(certificate.serial_number)


def _borne(told: Sequence[str], roots: Sequence[Generation]) -> tuple[x509.Certificate, Purpose]:
    """Return the certificate that the header holds, a byte sequence (RFC 9440 2.2, RFC 8941 3.3.5), and whose CA's."""
    try:
        (field,) = told
        if not (field.startswith(":") and field.endswith(":") and len(field) > 2):
            raise _malformed()
        certificate = x509.load_der_x509_certificate(base64.b64decode(field[1:-1], validate=True))
    except ValueError:
        raise _malformed() from None
    for root in roots:
        try:
            certificate.verify_directly_issued_by(root.certificate)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return certificate, root.purpose
    raise _malformed()


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
