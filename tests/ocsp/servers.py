"""Real servers on loopback, each on a free port and stopped afterwards."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from threading import Thread

from flask import Flask
from werkzeug.serving import make_server

from ocsp.http import make_blueprint
from ocsp.responder import Responder


@contextmanager
def serving(responder: Responder) -> Iterator[str]:
    """Serve `responder` by Flask, and give its address."""
    app = Flask(__name__)
    app.register_blueprint(make_blueprint(responder, lambda: None))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    with _running(server):
        yield f"http://127.0.0.1:{server.server_port}/ocsp"


@contextmanager
def replying(reply: Callable[[bytes], tuple[int, dict[str, str], bytes]]) -> Iterator[str]:
    """Serve whatever `reply` makes of a POST's body, of none for a GET, and give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(reply(b""))

        def do_POST(self) -> None:
            self._say(reply(self.rfile.read(int(self.headers["Content-Length"]))))

        def _say(self, said: tuple[int, dict[str, str], bytes]) -> None:
            status, headers, body = said
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, _running(server):
        yield f"http://127.0.0.1:{server.server_port}/"


@contextmanager
def talking(talk: Callable[[socket.socket], object]) -> Iterator[str]:
    """Let `talk` do as it likes with each connection, and give the address."""

    def serve() -> None:
        # Closing the listener ends it; a client that hangs up ends a talk.
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    connection.settimeout(5)
                    connection.recv(64 * 1024)
                    talk(connection)
                    # A request that came in two pieces is read to its end, or the kernel would break off what was said.
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(64 * 1024):
                        pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextmanager
def _running(server: HTTPServer) -> Iterator[None]:
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
