"""A process that works in a home until its fuse has burnt down, and then kills itself with SIGKILL.

It is forked (tests/forked.py), so that thousands of them can die.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Engine, event

from ca.key_policy import holder_key
from jpki.acts import LOCAL_OPERATOR as BY
from jpki.campaign import CampaignId, Taken
from jpki.certificate import Purpose
from jpki.ids import HolderCode, KeyUri, Serial, format_serial
from jpki.ports import CampaignBook, CertificateRecord, KeyProvider
from jpki.randomness import system_randomness
from jpki.resident import Registration, Resident
from jpki.revocation import Reason
from jpki.signature import KeySpec, assembled
from server.campaigns import BundleFolder, worker_of
from server.home import Home, write_new
from server.sample.keys import card_request
from server.settings import read_settings
from server.wiring import Rooms, assemble, database_of, keys_of, store_of
from tests import forked
from tests.crl.fakes import Fuse
from tests.server.people import AskedOneByOne, someone

SECOND = 1_000_000
_FILE_EVENTS = {"os.rename", "os.link", "os.remove", "os.truncate", "open"}


@dataclass
class Deadly(Fuse):
    """A fuse that ends the process as `kill -9` does."""

    def burn(self) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def burn_deep_down(self) -> None:
        """Burn before and after every statement, and before every commit and change of a file as well."""
        for moment in ("before_cursor_execute", "after_cursor_execute"):
            event.listen(Engine, moment, lambda *_: self.burn())
        event.listen(Engine, "commit", lambda *_: self.burn())
        sys.addaudithook(lambda name, _: self.burn() if name in _FILE_EVENTS else None)


class WatchedKeys:
    """Writes down, before it is signed, which certificate the CA's key is asked to sign."""

    def __init__(self, keys: KeyProvider, log: Path) -> None:
        self._keys = keys
        self._log = log

    def __getattr__(self, name: str) -> object:
        return getattr(self._keys, name)

    def sign_many(self, uri: KeyUri, messages: Sequence[bytes]) -> Sequence[bytes]:
        with self._log.open("a") as log:
            for message in messages:
                serial = x509.load_der_x509_certificate(assembled(message, b"")).serial_number
                log.write(f"{format_serial(Serial(serial))}\n")
        return self._keys.sign_many(uri, messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What a process shall do: the n-th attempt at something, which dies after so many steps."""

    home: Path
    number: int
    now: datetime
    steps: int
    deep: bool
    serial: Serial | None = None

    @property
    def holder(self) -> str:
        """Who wants one; a second attempt has a number of its own, and another key."""
        return f"I-{self.number % SECOND:06}"

    @property
    def out(self) -> Path:
        """Where certificates are delivered."""
        return self.home.with_name("out")

    @property
    def log(self) -> Path:
        """Where it is written what was signed."""
        return self.home.with_name("signed")

    def hand_over(self, certificate: x509.Certificate) -> None:
        serial = format_serial(Serial(certificate.serial_number))
        write_new(self.out / f"{serial}.pem", certificate.public_bytes(Encoding.PEM), 0o600)


def issue(rooms: Rooms, attempt: Attempt) -> None:
    csr = card_request(rooms.profile.key, attempt.number)
    rooms.desk.issue(someone(attempt.holder), Purpose.SIGNING, csr, BY, attempt.hand_over)


def renew(rooms: Rooms, attempt: Attempt) -> None:
    csr = card_request(rooms.profile.key, attempt.number)
    rooms.desk.renew(_serial(attempt), csr, BY, hand_over=attempt.hand_over)


def revoke(rooms: Rooms, attempt: Attempt) -> None:
    serial = _serial(attempt)
    # Not by the desk, which lifts no hold of a signing certificate: theirs are on two lists only.
    rooms.store.ledger.hold(serial, BY, attempt.now)
    rooms.store.ledger.release(serial, BY, attempt.now)
    rooms.desk.revoke(serial, Reason.KEY_COMPROMISE, BY)
    rooms.publisher.publish_due()


def campaign(rooms: Rooms, attempt: Attempt) -> None:
    """Renew one certificate of the campaign: a batch of one, so that many processes can die in one campaign."""
    worker = worker_of(rooms, Cards(attempt.number), BundleFolder(attempt.out))
    small = replace(worker, book=OneByOne(worker.book))  # type: ignore[arg-type]
    small.work(CampaignId(1))


class OneByOne:
    """A campaign book that gives out one renewal at a time."""

    def __init__(self, book: CampaignBook) -> None:
        self._book = book

    def __getattr__(self, name: str) -> object:
        return getattr(self._book, name)

    def take(self, campaign: CampaignId, count: int, at: datetime) -> Taken:
        return self._book.take(campaign, min(count, 1), at)


@dataclass(frozen=True, slots=True)
class Cards:
    """The cards of a campaign: each makes another key at each attempt."""

    attempt: int

    def __call__(self, records: Sequence[CertificateRecord]) -> Mapping[Serial, bytes]:
        return {record.serial: self._request(record.serial) for record in records}

    def _request(self, serial: Serial) -> bytes:
        number = serial % (SECOND * SECOND) * SECOND + self.attempt
        return card_request(KeySpec.P384, number).public_bytes(Encoding.DER)


class AnyResident(AskedOneByOne):
    """A register in which everybody is, and nobody moves."""

    def resident(self, code: HolderCode) -> Resident:
        return Resident(holder=someone(code), registration=Registration.RESIDENT, is_ward=False, stay_until=None)


def case(rooms: Rooms, attempt: Attempt) -> None:
    """Issue and deliver in the holder's one case, which is approved already; the card keeps its keys for a retry."""
    found = rooms.store.cases.of_holder(HolderCode(attempt.holder))[0]
    (clerk,) = (each for each in rooms.store.clerks.clerks() if each.id != "administrator-1")
    spec = rooms.profile.key
    keys = {
        purpose: holder_key(card_request(spec, SECOND * 5 + attempt.number * 2 + index), spec)
        for index, purpose in enumerate(found.purposes)
    }
    issued = rooms.office.issue(found.number, keys, clerk)
    rooms.office.deliver(found.number, clerk)
    for certificate in issued.certificates.values():
        attempt.hand_over(certificate)


OPERATIONS: Mapping[str, Callable[[Rooms, Attempt], None]] = {
    "issue": issue,
    "renew": renew,
    "revoke": revoke,
    "campaign": campaign,
    "case": case,
}


def fused_rooms(attempt: Attempt, fuse: Deadly) -> Rooms:
    """Open the home as `server.wiring.open_rooms` does, with the fuse at every port."""
    home = Home(attempt.home)
    settings = read_settings(home.settings)
    keys = fuse.port(WatchedKeys(keys_of(home, settings), attempt.log))
    store = store_of(database_of(home, settings), keys, system_randomness)  # type: ignore[arg-type]
    fused = replace(
        store,
        ledger=fuse.port(store.ledger),
        partitions=fuse.port(store.partitions),
        shelf=fuse.port(store.shelf),
        audit=fuse.port(store.audit),
        campaigns=fuse.port(store.campaigns),
        cases=fuse.port(store.cases),
    )
    return assemble(home, settings, keys, fused, lambda: attempt.now, system_randomness, AnyResident())  # type: ignore[arg-type]


def run(operation: str, attempt: Attempt) -> None:
    """Do it in this process, which dies of it unless there are fewer steps."""
    fuse = Deadly(attempt.steps)
    rooms = fused_rooms(attempt, fuse)
    if attempt.deep:
        fuse.burn_deep_down()
    OPERATIONS[operation](rooms, attempt)


def killed(operation: str, attempt: Attempt) -> bool:
    """Do it in a process of its own; tell whether that was killed before it was done."""
    process = forked.process(run, operation, attempt)
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL), f"{operation} ended with {process.exitcode}"
    return bool(process.exitcode)


def _serial(attempt: Attempt) -> Serial:
    assert attempt.serial is not None
    return attempt.serial
