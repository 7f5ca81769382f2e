"""TLS for doors that ask who is there: the home's server certificate, and clients' certificates below its own roots."""

import socket
import ssl
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from jpki.text import Text
from server.wiring import Rooms

_HANDSHAKE_SECONDS = 10.0


class ServerContext(ssl.SSLContext):
    """A context whose handshakes end in time: gunicorn's threaded worker waits for them in the thread itself."""

    def wrap_socket(self, sock: socket.socket, *arguments: Any, **more: Any) -> ssl.SSLSocket:  # noqa: ANN401 - ssl's own signature
        """Shake hands within `_HANDSHAKE_SECONDS`, and leave the socket blocking as it was."""
        sock.settimeout(_HANDSHAKE_SECONDS)
        more["do_handshake_on_connect"] = True
        wrapped = super().wrap_socket(sock, *arguments, **more)
        wrapped.settimeout(None)
        return wrapped


def context_of(rooms: Rooms, clients: Sequence[Purpose]) -> ssl.SSLContext:
    """Return what a home's doors speak TLS with; clients may show a certificate of these CAs.

    Raises:
        JpkiError: NOT_FOUND `tls-missing`; UNPROCESSABLE `tls-unusable`.
    """
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    for root in (each for ca in clients for each in rooms.living(ca)):
        context.load_verify_locations(cadata=root.certificate.public_bytes(Encoding.DER))
    try:
        context.load_cert_chain(rooms.home.tls_certificate, rooms.home.tls_key)
    except FileNotFoundError as error:
        raise _missing() from error
    except (ssl.SSLError, OSError) as error:
        raise _unusable() from error
    return context


def _missing() -> JpkiError:
    return JpkiError(
        Kind.NOT_FOUND,
        "tls-missing",
        Text("TLSのサーバー証明書がありません。", "There is no certificate for TLS."),
        Text(
            "jpki tls certify で作成するか、tls/certificate.pem と tls/key.pem を置いてください。",
            "Make one with `jpki tls certify`, or put one at tls/certificate.pem and tls/key.pem.",
        ),
    )


def _unusable() -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "tls-unusable",
        Text("TLSのサーバー証明書と鍵が使えません。", "The certificate for TLS and its key cannot be used."),
        Text(
            "tls/certificate.pem と tls/key.pem の組と権限を確認してください。",
            "See that tls/certificate.pem and tls/key.pem belong together, and who may read them.",
        ),
    )
