"""The town hall's server: what docs/registry.md asks of a register of residents, for trials and training."""

import json
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from enroll.registry_client import AT_ONCE, SCHEMA, SCHEMA_OF_MANY
from jpki.clock import Clock
from jpki.errors import JpkiError
from jpki.holder import Holder
from jpki.ids import HolderCode
from jpki.resident import Resident
from server.sample.town_hall import Register, TownHall

PATH = "/residents"
_LARGEST_QUESTION = 16_384
_SECONDS = 10.0


def town_server(
    hall: TownHall, address: tuple[str, int], clock: Clock, tls: ssl.SSLContext | None
) -> ThreadingHTTPServer:
    """Return a server, listening; with `tls` it answers those only whose certificate that believes."""
    register = hall.register(clock())

    class Handler(BaseHTTPRequestHandler):
        """Answers who a code stands for."""

        timeout = _SECONDS

        def do_POST(self) -> None:
            """Answer one question, about one person or some, whose codes are in its body."""
            answer = self._answer()
            if answer is None:
                self.send_error(HTTPStatus.BAD_REQUEST)
                return
            body = json.dumps(answer).encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _answer(self) -> dict[str, object] | None:
            """Return what is answered, None where nothing was asked."""
            try:
                length = int(self.headers.get("Content-Length", "0"))
                question = json.loads(self.rfile.read(length)) if 0 < length <= _LARGEST_QUESTION else {}
                return _answer(question, register.updated(clock())) if self.path == PATH else None
            except (ValueError, TypeError, KeyError):
                return None

        def log_message(self, *_: object) -> None:
            """Write nothing down: who is asked about is nobody else's business (rule R21)."""

    return _Server(address, Handler, tls)


def _answer(question: Mapping[str, Any], register: Register) -> dict[str, object]:
    """Answer about one person, or about some.

    Raises:
        KeyError, TypeError, ValueError: that is no question.
    """
    if "holders" not in question:
        return {"schema": SCHEMA, "resident": _of(question["holder"], register)}
    codes = question["holders"]
    if not isinstance(codes, list) or len(codes) > AT_ONCE:
        raise ValueError("too many")
    return {"schema": SCHEMA_OF_MANY, "residents": [_of(each, register) for each in codes]}


def _of(code: object, register: Register) -> dict[str, object] | None:
    try:
        return _fields(register.resident(HolderCode(str(code))))
    except JpkiError:
        return None


class _Server(ThreadingHTTPServer):
    """Shakes hands in the thread of the connection, so that nobody waits for a client that does not."""

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(address, handler)
        self._tls = tls

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's signature
        """Speak TLS first, where there is one."""
        request.settimeout(_SECONDS)
        if self._tls is None:
            super().finish_request(request, client_address)
        else:
            with self._tls.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's signature
        """Let a connection that failed go."""


def server_context(certificate: Path, key: Path, roots: Path) -> ssl.SSLContext:
    """Return what a register's server speaks TLS with: a client must show a certificate under `roots`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(roots))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    return context


def _fields(resident: Resident) -> dict[str, object]:
    return {
        "holder": _holder_fields(resident.holder),
        "registration": resident.registration,
        "is_ward": resident.is_ward,
        "stay_until": None if resident.stay_until is None else resident.stay_until.isoformat(),
    }


def _holder_fields(holder: Holder) -> dict[str, str]:
    return {
        "code": holder.code,
        "name": holder.name,
        "name_substitutes": holder.name_substitutes,
        "birth_date": holder.birth_date.isoformat(),
        "gender": holder.gender,
        "address": holder.address,
        "address_substitutes": holder.address_substitutes,
        "municipality": holder.municipality.code,
    }
