"""gunicorn as the process that serves: one master, workers that open the home for themselves."""

import gc
import socket
import ssl
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from time import monotonic
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker

from server.app import Door, create_app, known_clients
from server.fast import FastDoor
from server.home import Home
from server.http1 import refusal
from server.jobs import ARCHIVE, COPIES, TIME_STAMPING
from server.processes import die_with
from server.tally import MOST_ROWS, OTHER, Board, Tally
from server.tls import context_of
from server.watch import Exchange, Lines, Watch
from server.wiring import Rooms, open_rooms


class Server(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """Serves a home on a listening socket that is bound already."""

    def __init__(
        self,
        home: Home,
        listener: socket.socket,
        doors: Sequence[Door],
        workers: int,
        *,
        fast: bool = False,
        tls: bool = False,
    ) -> None:
        self._home = home
        self._listener = listener
        self._doors = doors
        self._workers = workers
        self._fast = fast
        self._tls = tls
        self._rooms: Rooms | None = None
        self._board = Board(doors)
        self.watch: Watch
        """What this process notes of its requests, once it is a worker that has loaded."""
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn's options."""
        options: dict[str, Any] = {
            "bind": f"fd://{self._listener.fileno()}",
            "workers": self._workers,
            "timeout": 60,
            "graceful_timeout": 5,
            "keepalive": 15,
            "limit_request_line": 8190,
            "control_socket_disable": True,
            "accesslog": None,
            "errorlog": "-",
            "loglevel": "warning",
            "pre_fork": self._take_row,
            "post_fork": _die_with_master,
            "worker_exit": self._end_worker,
            "child_exit": self._close_row,
            **(_FAST if self._fast else _PLAIN),
        }
        if self._tls:
            # The files say that there is TLS; the context, made in each worker, says how.
            certificate, key = str(self._home.tls_certificate), str(self._home.tls_key)
            options |= {"certfile": certificate, "keyfile": key, "ssl_context": self._ssl_context}
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Callable[..., Any] | FastDoor:
        """Open the home and build what answers; called in each worker, after the fork."""
        rooms = self._rooms = open_rooms(self._home)
        self._log = Lines(sys.stderr)
        self.watch = Watch(self._tally, rooms.clock, self._log.write)
        # Whoever holds the CA keys keeps responders and lists fresh; a process of OCSP and CRL doors needs no CA key.
        if Door.CA in self._doors:
            rooms.maintenance.start()
        else:
            stamps = [TIME_STAMPING] if Door.TSA in self._doors else []
            copies = [COPIES, ARCHIVE] if Door.CRL in self._doors and rooms.settings.nodes else []
            if own := stamps + copies:
                rooms.maintenance.only(*own).start()
        if Door.OCSP in self._doors:
            self._tally.heard(0, monotonic())
            rooms.responder.start(self._tally.heard)
        if rooms.admission is not None:
            rooms.admission.start()
        if self._tls:
            self._context = context_of(rooms, known_clients(self._doors))
        door = FastDoor.of(rooms, self.watch) if self._fast else create_app(rooms, self._doors, self.watch)
        # What was loaded stays as long as the worker lives: the garbage collector need not walk it again and again.
        gc.freeze()
        return door

    def _take_row(self, arbiter: Any, worker: Any) -> None:  # noqa: ANN401 - gunicorn's signature
        """Choose, in the master, where the worker that is about to be forked will count.

        Were there ever more than there are rows, the last ones would share one, and miss a count now and then.
        """
        taken = {each.row for each in arbiter.WORKERS.values()}
        worker.row = next((row for row in range(MOST_ROWS) if row not in taken), MOST_ROWS - 1)
        self._tally = Tally(self._board, worker.row)

    def _close_row(self, _: Any, worker: Any) -> None:  # noqa: ANN401 - gunicorn's signature
        self._board.close(worker.row)

    def _ssl_context(self, _config: object, _default: object) -> ssl.SSLContext:
        return self._context

    def _end_worker(self, _arbiter: object, _worker: object) -> None:
        if self._rooms is not None:
            self._rooms.close()
            self._log.close()


_PLAIN: Mapping[str, Any] = {"worker_class": "server.wsgi.Worker", "threads": 8}
_FAST: Mapping[str, Any] = {"worker_class": "server.fast.FastWorker", "asgi_loop": "uvloop"}


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's threaded worker, which repeats nothing that a client sent (rule R21)."""

    def notify(self) -> None:
        """Tell the master that it lives, and the others how many connections it has."""
        super().notify()
        self.app.watch.tally.connections(self.nr_conns)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:  # noqa: ANN401, ARG002 - gunicorn's signature
        """Answer what is no HTTP request with a fixed 400, and log the kind of fault only."""
        fault = type(exc).__name__
        self.log.warning("no HTTP request: %s", fault)
        self.app.watch.note(_refused(addr))
        with suppress(OSError):
            client.sendall(_BAD_REQUEST)


_REFUSAL = refusal(HTTPStatus.BAD_REQUEST)
_BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_REFUSAL.body), _REFUSAL.body)
)


def _refused(address: Any) -> Exchange:  # noqa: ANN401 - a socket's
    status, octets = HTTPStatus.BAD_REQUEST, len(_REFUSAL.body)
    client = address[0] if address else ""
    return Exchange(door=OTHER, route=OTHER, method="", status=status, octets=octets, seconds=0.0, client=client)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket on the address.

    Raises:
        OSError: when the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    listener.set_inheritable(True)
    return listener


def _die_with_master(arbiter: Any, worker: Any) -> None:  # noqa: ANN401, ARG001 - gunicorn's signature
    """End this worker when the master ends, by whatever means."""
    die_with(arbiter.pid)
