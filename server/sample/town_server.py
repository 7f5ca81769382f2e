"""The town hall's server: what docs/registry.md asks of a register of residents, for trials and training."""

import json
import ssl
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from enroll.registry_client import SCHEMA
from jpki.clock import Clock
from jpki.errors import JpkiError
from jpki.holder import Holder
from jpki.ids import HolderCode
from jpki.resident import Resident
from server.sample.town_hall import TownHall

PATH = "/residents"
_LARGEST_QUESTION = 4096
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
            """Answer one question, whose code is in its body."""
            code = self._asked()
            if code is None:
                self.send_error(HTTPStatus.BAD_REQUEST)
                return
            try:
                resident = _fields(register.updated(clock()).resident(code))
            except JpkiError:
                resident = None
            body = json.dumps({"schema": SCHEMA, "resident": resident}).encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _asked(self) -> HolderCode | None:
            try:
                length = int(self.headers.get("Content-Length", "0"))
                question = json.loads(self.rfile.read(length)) if 0 < length <= _LARGEST_QUESTION else None
                return HolderCode(str(question["holder"])) if self.path == PATH and question is not None else None
            except (ValueError, TypeError, KeyError):
                return None

        def log_message(self, *_: object) -> None:
            """Write nothing down: who is asked about is nobody else's business (rule R21)."""

    return _Server(address, Handler, tls)


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
