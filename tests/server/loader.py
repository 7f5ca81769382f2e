"""A process that does for some turns what all counters do at once, for the same few holders.

It prints how many acts succeeded, by name, as JSON.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography import x509

from jpki.acts import LOCAL_OPERATOR as BY
from jpki.certificate import CARD, HOLDER_PURPOSES, Purpose
from jpki.errors import JpkiError, Kind
from jpki.ids import Serial
from jpki.revocation import Reason, State
from server.home import Home
from server.sample.draws import Draws
from server.sample.keys import card_request
from server.wiring import Rooms, open_rooms
from tests.server.people import someone

HOLDERS = 6
CODES = "L-{:06}"
_KEYS_OF_EACH = 1_000_000
TRY_AGAIN = 75


def serve(rooms: Rooms, draws: Draws, csr: x509.CertificateSigningRequest) -> str:
    """Do what one holder wants; return its name."""
    holder, purpose = someone(CODES.format(draws.below(HOLDERS))), draws.one_of(HOLDER_PURPOSES)
    desk, live = rooms.desk, rooms.store.ledger.live([holder.code], purpose, CARD, rooms.clock()).get(holder.code)
    if live is None:
        desk.issue(holder, purpose, csr, BY)
        return "issue"
    serial: Serial = live.serial
    acts: Mapping[str, Callable[[], object]] = {
        "renew": lambda: desk.renew(serial, csr, BY),
        "hold": lambda: desk.hold(serial, BY),
        "release": lambda: desk.release(serial, BY),
        "revoke": lambda: desk.revoke(serial, Reason.KEY_COMPROMISE, BY),
        "publish": rooms.publisher.publish_due,
    }
    wishes = ["renew", "renew", "revoke", "publish"]
    if live.status.state is State.HELD:
        wishes = ["release", "release", "revoke"]
    elif purpose is Purpose.AUTHENTICATION:
        # A signing certificate's hold never lifts.
        wishes = ["renew", "hold", "hold", "hold", "revoke"]
    name = draws.one_of(wishes)
    acts[name]()
    return name


def work(rooms: Rooms, number: int, turns: int) -> Counter[str]:
    """Serve so many holders; that another was quicker is no failure, and everything else is."""
    done: Counter[str] = Counter()
    for turn in range(1, turns + 1):
        csr = card_request(rooms.profile.key, number * _KEYS_OF_EACH + turn)
        try:
            done[serve(rooms, Draws("loader", number, turn), csr)] += 1
        except JpkiError as error:
            if error.kind not in (Kind.CONFLICT, Kind.FORBIDDEN) and error.code != "crl-contended":
                raise
            done["refused"] += 1
    return done


def main(home: Path, number: int, turns: int) -> int:
    """Work, and return the exit code of the command line."""
    try:
        done = work(open_rooms(Home(home)), number, turns)
    except JpkiError as error:
        print(error.code, file=sys.stderr)  # noqa: T201 - what it died of
        return TRY_AGAIN if error.kind is Kind.UNAVAILABLE else 1
    print(json.dumps(done))  # noqa: T201 - that is what it is for
    return 0
