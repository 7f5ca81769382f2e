"""A counter's terminal as a program of its own: the page for the resident, and the looks at what the office wants."""

import signal
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from socketserver import ThreadingMixIn
from threading import Event, Thread
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates
from flask import Flask

from enroll.card import http
from enroll.card.file import card_at
from enroll.card.office_client import OfficeClient
from enroll.card.screen import Screen
from enroll.card.terminal import Terminal
from jpki.errors import JpkiError, Kind
from jpki.look import STATIC, STATIC_ADDRESS, TEMPLATES
from jpki.randomness import alphanumeric, system_randomness
from jpki.text import Text
from server import language, problems, same_site

LOOPBACK = "127.0.0.1"
_PASSWORD_LENGTH = 32


def attend(
    card: Path, office: OfficeClient, port: int, ready: Callable[[str], object], tell: Callable[[JpkiError], object]
) -> None:
    """Serve the reader with this card in it, until SIGTERM or SIGINT; `ready` is told the screen's address.

    Raises:
        JpkiError: CONFLICT `port-busy`; where the office does not know the clerk.
    """
    woken, ended = Event(), Event()

    def end(*_: object) -> None:
        ended.set()
        woken.set()

    insert = partial(card_at, card)
    screen = Screen(insert, woken.set)
    former = {each: signal.signal(each, end) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        with _served(screen_app(screen), port) as address:
            ready(address)
            Terminal(office, insert, screen).attend(woken, ended, tell)
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)


def screen_app(screen: Screen) -> Flask:
    """Return the resident's page as an application; only its own form may be sent to it."""
    app = Flask("jpki-screen", static_folder=STATIC, static_url_path=STATIC_ADDRESS, template_folder=TEMPLATES)
    problems.register(app)
    language.register(app, japanese_first=())
    blueprint = http.make_blueprint(screen)
    same_site.guard(blueprint)
    app.register_blueprint(blueprint)
    app.register_blueprint(language.make_blueprint())
    return app


def clerk_context(bundle: Path, password: Path, root: Path) -> ssl.SSLContext:
    """Return what the office is spoken to with: the clerk's certificate, and the root above the server's.

    Raises:
        JpkiError: UNPROCESSABLE `clerk-files-unusable`.
    """
    try:
        context = ssl.create_default_context(cafile=root)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # TLS reads them from a file only; there the key lies under a passphrase that nobody learns.
        passphrase = alphanumeric(system_randomness, _PASSWORD_LENGTH)
        pem = _pem(bundle.read_bytes(), password.read_bytes().strip(), passphrase.encode())
        with tempfile.NamedTemporaryFile() as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(file.name, password=passphrase)
    except (OSError, ValueError) as error:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "clerk-files-unusable",
            Text(
                "職員の証明書（PKCS#12）・パスワード・ルート証明書を読めません。",
                "The clerk's PKCS#12 file, its password or the root cannot be used.",
            ),
            Text(
                "jpki clerk add と jpki tls certify が書いたファイルを指定してください。",
                "Name the files that `jpki clerk add` and `jpki tls certify` wrote.",
            ),
        ) from error
    return context


def _pem(bundle: bytes, password: bytes, passphrase: bytes) -> bytes:
    key, certificate, _ = load_key_and_certificates(bundle, password)
    if key is None or certificate is None:
        raise ValueError("no key, or no certificate")
    protection = BestAvailableEncryption(passphrase)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection) + certificate.public_bytes(Encoding.PEM)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Write nothing down."""


@contextmanager
def _served(app: Flask, port: int) -> Iterator[str]:
    """Serve the page while the block runs; yield its address."""
    try:
        server = make_server(LOOPBACK, port, app, server_class=_Server, handler_class=_Handler)
    except OSError as error:
        raise JpkiError(
            Kind.CONFLICT,
            "port-busy",
            Text(f"{LOOPBACK}:{port} で待ち受けできません。", f"Cannot listen on {LOOPBACK}:{port}."),
            Text("--screen-port で別のものを指定してください。", "Name another with --screen-port."),
        ) from error
    thread = Thread(target=server.serve_forever, args=(0.1,))
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
