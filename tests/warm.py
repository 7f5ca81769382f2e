"""What the server of forked processes has done before the first is forked, so that none of them begins with it.

The commands of a day in a home were run once: what they import is imported, and their SQL statements are compiled. The
home is gone then, and so is every connection to it.
"""

import gc
import io
import os
import threading
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography import x509

from jpki.acts import LOCAL_OPERATOR as BY
from jpki.ids import Serial, format_serial
from server.cli.frame import run
from server.home import Home
from server.reconcile.reconcile import reconcile
from server.wiring import open_rooms
from tests import statements, templates
from tests.cheap_keys import CheapKeys
from tests.server.people import HOLDER_FILE

_KEYS = 500_000
"""No process's keys begin here: tests/cheap_keys.py."""


def _a_day(folder: Path) -> None:
    home = folder / "home"
    _done("init", "--home", home)
    for kind in ("authentication", "signing"):
        _done("issue", "--home", home, "--kind", kind, "--holder", HOLDER_FILE, "--out", folder / kind)
    certificate = x509.load_pem_x509_certificate((folder / "signing" / "certificate.pem").read_bytes())
    serial = format_serial(Serial(certificate.serial_number))
    _done("status", serial, "--home", home)
    _done("revoke", serial, "--home", home, "--reason", "keyCompromise")
    _done("crl", "publish", "--home", home)
    _done("doctor", "--home", home)
    rooms = open_rooms(Home(home))
    reconcile(rooms, BY, lambda _: None)
    rooms.close()


def _done(*words: str | Path) -> None:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as said:
        code = run([str(word) for word in words])
    assert code == 0, said.getvalue()


with TemporaryDirectory() as _folder, pytest.MonkeyPatch.context() as _patch:
    for _name in [name for name in os.environ if name.startswith("JPKI_")]:
        _patch.delenv(_name)
    CheapKeys(Path(_folder), _KEYS).install(_patch)
    statements.share(_patch)
    templates.share(_patch)
    _a_day(Path(_folder))
# What is forked shares this memory as long as no collector of garbage writes in it.
gc.collect()
gc.freeze()
assert threading.active_count() == 1, "what was forked beside a thread may wait for ever"
