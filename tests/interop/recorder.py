"""A proxy on the loopback that passes everything on and remembers what was asked, so that a client is believed only
when it was seen to ask."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came: the method, the whole URL, and how many octets its body had."""

    method: str
    url: str
    octets: int


@dataclass(frozen=True, slots=True)
class Recorder:
    """A running proxy, and what it saw so far."""

    port: int
    seen: list[Asked] = field(default_factory=list)


@contextmanager
def recording(host: str | None = None) -> Iterator[Recorder]:
    """Run a proxy while the block runs; it passes all on to `host`, or else to whom it is for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    recorder = Recorder(server.server_port)

    class Handler(BaseHTTPRequestHandler):
        """Passes one request on, by its absolute URL (RFC 9112 3.2.2)."""

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            recorder.seen.append(Asked(self.command, self.path, len(body)))
            url = urlsplit(self.path)
            onward = http.client.HTTPConnection(host or url.netloc, timeout=20)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "proxy-connection"}
            onward.request(self.command, self.path.partition(url.netloc)[2], body, headers)
            answer = onward.getresponse()
            content = answer.read()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"transfer-encoding", "connection"}:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            onward.close()

        do_GET = do_POST = pass_on  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server.RequestHandlerClass = Handler
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield recorder
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
