"""The world outside the house: a door on loopback, and what the `openssl` command has to say."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server


class _QuietHandler(WSGIRequestHandler):
    """Answers without a line in the terminal for each request: the story is told there."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing."""


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve the app on a free loopback port while the block runs, and yield its URL."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_QuietHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def openssl_is_here() -> bool:
    """Tell whether there is an `openssl` command."""
    return shutil.which("openssl") is not None


def openssl_ocsp(url: str, certificate: Path, ca: Path) -> str:
    """Return what `openssl ocsp` finds: `good`, `revoked`, `unknown`, or nothing where it does not trust the answer."""
    said = _openssl("ocsp", "-sha256", "-issuer", ca, "-CAfile", ca, "-cert", certificate, "-url", f"{url}/ocsp")
    words = [line.removeprefix(f"{certificate}: ") for line in said.splitlines() if line.startswith(f"{certificate}: ")]
    return words[0] if words and "Response verify OK" in said else ""


def openssl_verify(certificate: Path, ca: Path, crl: Path) -> str:
    """Return what `openssl verify -crl_check` finds: `OK`, or its error's number, 23 for revoked."""
    said = _openssl("verify", "-x509_strict", "-crl_check", "-CAfile", ca, "-CRLfile", crl, certificate)
    if f"{certificate}: OK" in said:
        return "OK"
    return said.partition("error ")[2].partition(" ")[0]


def _openssl(*words: str | Path) -> str:
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False, timeout=30)
    return done.stdout + done.stderr
