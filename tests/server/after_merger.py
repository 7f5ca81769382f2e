"""What an operator does with the release that tells of a merger: run by itself, by that release's own code.

Its words are the home, a folder for what is made, holder.json, the serial of a certificate to revoke, and the code of a
municipality that was merged. It prints what it was told, as JSON.
"""

import io
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, redirect_stdout
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import enroll
from jpki.acts import LOCAL_OPERATOR
from jpki.clock import day_in_japan, system_clock
from jpki.counter import CounterCode
from jpki.ids import Serial, format_serial
from jpki.ports import CertificateRecord
from server.app import Door, create_app
from server.campaigns import worker_of
from server.cli.frame import run
from server.home import Home
from server.wiring import Rooms, open_rooms

LATER = timedelta(days=3)
"""Longer than any list is fresh."""


def main(home: str, out: str, holder: str, serial: str, merged: str) -> None:
    told: dict[str, object] = {"code": str(Path(enroll.__file__).parent)}
    told["added"] = [_done("db", "upgrade", "--home", home)["partitions"] for _ in range(2)]
    told["issued"] = _done("issue", "--home", home, "--kind", "signing", "--holder", holder, "--out", out)["serial"]
    told["revoked"] = _done("revoke", serial, "--home", home, "--reason", "affiliationChanged")["state"]
    with closing(open_rooms(Home(Path(home)))) as rooms:
        told["counter"] = asdict(rooms.store.counters.counter(CounterCode(merged)))
        told["failures"] = _campaign(rooms)
        told["lists"] = create_app(rooms, [Door.CRL]).test_client().get("/crl/index.json").json
    with closing(open_rooms(Home(Path(home)), lambda: system_clock() + LATER)) as rooms:
        told["published_later"] = sorted(mark.partition for mark in rooms.publisher.publish_due())
    sys.stdout.write(json.dumps(told))


def _done(*words: str) -> Any:  # noqa: ANN401 - JSON
    with redirect_stdout(io.StringIO()) as said:
        assert run([*words, "--json"]) == 0, words
    return json.loads(said.getvalue())


def _campaign(rooms: Rooms) -> dict[str, str]:
    """Renew all that ends before long, without a single card's request; return what kept each from it."""
    campaigns = rooms.store.campaigns
    ending_by = day_in_japan(rooms.clock() + timedelta(days=60))
    begun = campaigns.open(ending_by, LOCAL_OPERATOR, rooms.clock())
    worker = worker_of(rooms, _no_requests, lambda _: None)
    while worker.work(begun.id)[1]:
        pass
    return {format_serial(serial): code for serial, code in campaigns.failures(begun.id, None, 10)}


def _no_requests(_: Sequence[CertificateRecord]) -> Mapping[Serial, bytes]:
    return {}


if __name__ == "__main__":
    main(*sys.argv[1:])
