"""OCSP's answer is the ledger's: whatever is done to certificates, in whatever order, every door says what is so.

A state machine does at random what counters, clerks and time do, on a real home. What must be answered is reckoned by
a small table here that shares nothing with the code under test; after each step every serial is asked for.
"""

import base64
import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cache, partial
from itertools import count, cycle, product, starmap
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponseStatus, load_der_ocsp_response
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from ca.issuer import Permit
from ca.key_policy import holder_key
from ca.plan import default_plan
from ca.profile import CARD_V2
from enroll.orders import Terms, first_order, renewal_order
from jpki import oids
from jpki.acts import LOCAL_OPERATOR as BY
from jpki.certificate import CARD, HOLDER_PURPOSES, Purpose
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.ids import GenerationId, Serial
from jpki.randomness import system_randomness
from jpki.resident import taken_at_word
from jpki.revocation import Reason
from ocsp.cache import Cache, Standing
from ocsp.follower import Follower, Heard
from ocsp.responder import Responder
from server.app import Door, create_app
from server.fast import FastDoor
from server.founding import found
from server.home import Home
from server.http1 import Request
from server.sample.keys import card_request
from server.settings import Settings
from server.watch import Watch
from server.wiring import Rooms, open_rooms
from tests.conftest import SteppingClock
from tests.ocsp.authority import HASH_NAMES, NULL, cert_id, nonce_extension, question
from tests.server.people import someone

pytestmark = pytest.mark.slow

# --- doors ---------------------------------------------------------------------------------------------------------

Ask = Callable[[bytes, str], bytes]
"""A door: takes a request's DER and the method, POST or GET, and returns the response's DER."""


def doors(rooms: Rooms) -> list[Ask]:
    """Every door through which this process answers; each must say the same."""
    return [by_flask(rooms), by_the_fast_door(rooms)]


def by_flask(rooms: Rooms) -> Ask:
    client = create_app(rooms, [Door.OCSP]).test_client()

    def ask(asked: bytes, method: str) -> bytes:
        address = "/ocsp" if method == "POST" else "/ocsp/" + base64.b64encode(asked).decode()
        answered = client.open(address, method=method, data=asked if method == "POST" else None)
        assert answered.status_code == 200
        return bytes(answered.data)

    return ask


def by_the_fast_door(rooms: Rooms) -> Ask:
    """A door that keeps answers, and hears of every change right before it is asked."""
    follower = FollowerByHand(rooms.store.journal.since, rooms.issuers.refresh)
    responder = Responder(rooms.issuers, rooms.store.ledger.status, rooms.clock, follower)
    responder.start()
    door = FastDoor.of(replace(rooms, responder=responder), Watch.alone([Door.OCSP], rooms.clock))

    def ask(asked: bytes, method: str) -> bytes:
        follower.hear()
        path = b"" if method == "POST" else b"/" + base64.b64encode(asked)
        request = Request(method, b"/ocsp" + path, {}, asked if method == "POST" else b"", None)
        answered = door.at_once(request) or door.in_time(request)
        assert answered.status == 200
        return answered.body

    return ask


class FollowerByHand(Follower):
    """Follows when told to, and not in a thread, so that nothing depends on how fast this machine is."""

    def start(self, cache: Cache, _: Heard = lambda *_: None) -> None:
        self._cache = cache
        self.hear()

    def hear(self) -> None:
        self.follow(self._cache)

    def standing(self) -> Standing:
        return Standing.CURRENT


# --- the home, made once -------------------------------------------------------------------------------------------

FOUNDED = datetime(2026, 10, 1, 3, 0, tzinfo=UTC)
NOON = datetime(2036, 4, 1, 3, 0, tzinfo=UTC)
"""When the machine begins: the certificates of the town's first holder end that night, the others' some days later."""
BIRTHDAYS = {"T-0001": date(1990, 4, 1), "T-0002": date(1990, 4, 2), "T-0003": date(1990, 5, 10)}
NEWCOMERS = {"T-0004": date(1980, 7, 7), "T-0005": date(2001, 1, 31)}
HOLDERS = BIRTHDAYS | NEWCOMERS
FIRST = {Purpose.SIGNING: "s1", Purpose.AUTHENTICATION: "a1"}
SECOND = {Purpose.SIGNING: "s2", Purpose.AUTHENTICATION: "a2"}


class Stage(StrEnum):
    """How far a certificate has come."""

    RESERVED = "reserved"
    INTENDED = "intended"
    SIGNED = "signed"
    LIVE = "live"
    HELD = "held"
    ENDED = "ended"
    VOID = "void"


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A row of the table: all that is known here of a certificate.

    `pending_since` is given as long as it keeps the holder from another order. `since` and `reason` (None where none
    is told) are those of a hold or a revocation.
    """

    holder: str
    purpose: Purpose
    generation: str
    end: datetime
    stage: Stage
    renews: Serial | None = None
    pending_since: datetime | None = None
    since: datetime | None = None
    reason: x509.ReasonFlags | None = None


@dataclass(frozen=True, slots=True)
class AgedTown:
    """A home of ten years ago whose pairs are in their renewal window, and whose CAs have new keys."""

    home: Path
    lives: Mapping[Serial, Life]


@pytest.fixture(scope="module")
def aged_town(tmp_path_factory: pytest.TempPathFactory) -> AgedTown:
    clock = SteppingClock(FOUNDED)
    home = Home(tmp_path_factory.mktemp("machine") / "home")
    rooms = found(home, Settings(profile="card-v2"), clock, system_randomness)
    lives = {}
    for number, (code, purpose) in enumerate(product(BIRTHDAYS, HOLDER_PURPOSES)):
        csr = card_request(CARD_V2.key, number)
        certificate = rooms.desk.issue(someone(code, BIRTHDAYS[code]), purpose, csr, BY)
        lives[Serial(certificate.serial_number)] = Life(
            holder=code,
            purpose=purpose,
            generation=FIRST[purpose],
            end=certificate.not_valid_after_utc,
            stage=Stage.LIVE,
        )
    clock.now = NOON
    rooms.maintenance.jobs["responders"]()
    rooms.ceremonies.new_generation(default_plan(CARD_V2, dict.fromkeys(HOLDER_PURPOSES, 2), "a test"), "a test")
    rooms.close()
    return AgedTown(home.path, lives)


# --- what must be answered -----------------------------------------------------------------------------------------

ANSWER_LIFE = timedelta(minutes=15)
ABANDONED = timedelta(minutes=10)
NEVER_ISSUED = [Serial(1), Serial((1 << 126) + 1), Serial((1 << 159) - 1)]

REASONS = {
    Reason.KEY_COMPROMISE: x509.ReasonFlags.key_compromise,
    Reason.CA_COMPROMISE: x509.ReasonFlags.ca_compromise,
    Reason.AFFILIATION_CHANGED: x509.ReasonFlags.affiliation_changed,
    Reason.SUPERSEDED: x509.ReasonFlags.superseded,
    Reason.CESSATION_OF_OPERATION: x509.ReasonFlags.cessation_of_operation,
}
"""The reasons that a certificate may be revoked for, and how an answer tells them."""


class Manner(NamedTuple):
    """How to ask: so many CertIDs at once, by this method, with a nonce or with none."""

    size: int
    method: str
    nonces: Sequence[bytes]


SAME = Manner(1, "POST", ())
"""How most clients ask, and always in the same octets: so that the answer may be one that was kept."""

Word = tuple[OCSPCertStatus, datetime | None, x509.ReasonFlags | None]
UNKNOWN: Word = (OCSPCertStatus.UNKNOWN, None, None)


def word_of(life: Life) -> Word:
    match life.stage:
        case Stage.LIVE:
            return OCSPCertStatus.GOOD, None, None
        case Stage.HELD | Stage.ENDED:
            return OCSPCertStatus.REVOKED, life.since, life.reason
        case _:
            return UNKNOWN


def seconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def repeating(seed: str) -> Callable[[int], bytes]:
    """Randomness that is the same each time, so that a failure can be found again."""
    numbers = count()
    return lambda octets: hashlib.shake_256(f"{seed} {next(numbers)}".encode()).digest(octets)


def refused(act: Callable[[], object]) -> None:
    with pytest.raises(JpkiError) as caught:
        act()
    assert caught.value.kind in {Kind.CONFLICT, Kind.FORBIDDEN, Kind.UNPROCESSABLE}


class NotHandedOverError(Exception):
    """The holder did not take the certificate."""


# --- the machine ---------------------------------------------------------------------------------------------------

CODES = st.sampled_from(sorted(HOLDERS))
PURPOSES = st.sampled_from(HOLDER_PURPOSES)
NUMBERS = st.integers(0, 9999)
SELDOM = st.sampled_from((False, False, False, True))


class House(RuleBasedStateMachine):
    """A home at work, the table of what was done in it, and the doors that must agree with the table."""

    def __init__(self, town: AgedTown, folder: Path) -> None:
        super().__init__()
        self.clock = SteppingClock(NOON)
        self.folder = folder
        self.rooms = open_rooms(Home(shutil.copytree(town.home, folder)), self.clock, repeating("machine"))
        self.doors = doors(self.rooms)
        self.lives = dict(town.lives)
        self.drafts: dict[Serial, bytes] = {}
        self.compromised: dict[str, datetime] = {}
        self.cards = count(100)
        self.generations: dict[str, Generation] = {
            each.id: each for purpose in HOLDER_PURPOSES for each in self.rooms.store.generations.ever(purpose)
        }
        self.manners = cycle(starmap(Manner, product((1, 10, 20), ("POST", "GET"), ((), (b"n" * 32,)))))
        self.names = cycle(product(HASH_NAMES, (NULL, b"")))
        self.turns = count()

    def teardown(self) -> None:
        self.rooms.close()
        shutil.rmtree(self.folder)

    # --- the table -------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return seconds(self.clock())

    def note(self, serial: Serial, **changes: object) -> None:
        self.lives[serial] = replace(self.lives[serial], **changes)  # type: ignore[arg-type]

    def close(self, serial: Serial, reason: x509.ReasonFlags | None) -> None:
        """What was on hold counts as revoked from the hold on."""
        since = self.lives[serial].since or self.now
        self.note(serial, stage=Stage.ENDED, since=since, reason=reason, pending_since=None)

    def leave(self, serial: Serial) -> None:
        """A pending certificate is not delivered: void, or revoked where a signature may exist."""
        stage = self.standing(serial).stage
        self.note(serial, pending_since=None)
        if stage is Stage.RESERVED:
            self.note(serial, stage=Stage.VOID)
        elif stage in {Stage.INTENDED, Stage.SIGNED}:
            self.close(serial, None)

    def standing(self, serial: Serial) -> Life:
        """The row with its generation's compromise counted in: all that may have been signed is revoked."""
        life = self.lives[serial]
        compromised = self.compromised.get(life.generation)
        if compromised is None or life.stage in {Stage.RESERVED, Stage.VOID, Stage.ENDED}:
            return life
        return replace(life, stage=Stage.ENDED, since=life.since or compromised, reason=x509.ReasonFlags.ca_compromise)

    def is_over(self, serial: Serial) -> bool:
        return self.lives[serial].end < self.now

    def is_in(self, serial: Serial, *stages: Stage) -> bool:
        return self.standing(serial).stage in stages and not self.is_over(serial)

    def of(self, holder: str, purpose: Purpose) -> list[Serial]:
        return [serial for serial, each in self.lives.items() if (each.holder, each.purpose) == (holder, purpose)]

    def live(self, holder: str, purpose: Purpose) -> Serial | None:
        found = [serial for serial in self.of(holder, purpose) if self.is_in(serial, Stage.LIVE, Stage.HELD)]
        assert len(found) <= 1
        return found[0] if found else None

    def issuing(self, purpose: Purpose) -> str:
        return next(each[purpose] for each in (SECOND, FIRST) if each[purpose] not in self.compromised)

    def is_any_pending(self) -> bool:
        return any(life.pending_since is not None for life in self.lives.values())

    def may_order(self, holder: str, purpose: Purpose, renews: Serial | None) -> bool:
        pending = [self.lives[serial].pending_since for serial in self.of(holder, purpose)]
        if any(since is not None and since > self.clock() - ABANDONED for since in pending):
            return False
        if renews is None:
            return self.live(holder, purpose) is None
        return self.is_in(renews, Stage.LIVE) and self.lives[renews].end - self.now < timedelta(days=300)

    def renewed(self, holder: str, purpose: Purpose, *, stray: bool) -> Serial | None:
        """What an order renews: the certificate that lives, if one does; one that went astray, the other way round."""
        live = self.live(holder, purpose)
        if not stray:
            return live
        return next(reversed(self.of(holder, purpose)), None) if live is None else None

    def pick(self, number: int, *stages: Stage, purpose: Purpose | None = None) -> Serial:
        """Three times in four one that fits, each stage as likely as another, be it over or compromised; else any."""
        lives = {serial: life for serial, life in self.lives.items() if purpose in {None, life.purpose}}
        fitting = [[serial for serial, life in lives.items() if life.stage is stage] for stage in stages]
        groups = [group for group in fitting if group]
        number, is_fitting = divmod(number, 4)
        if not groups or not is_fitting:
            groups = [list(self.lives)]
        number, group = divmod(number, len(groups))
        return groups[group][number % len(groups[group])]

    # --- orders ----------------------------------------------------------------------------------------------------

    @rule(holder=CODES, purpose=PURPOSES, stray=SELDOM)
    def order(self, holder: str, purpose: Purpose, stray: bool) -> None:  # noqa: FBT001 - hypothesis names it
        """Reserve a serial, and do no more yet."""
        renews = self.renewed(holder, purpose, stray=stray)
        if not self.may_order(holder, purpose, renews):
            refused(lambda: self.prepared(holder, purpose, renews))
            return
        permit = self.prepared(holder, purpose, renews)
        ((serial, octets),) = permit.to_be_signed.items()
        self.begin(serial, holder, purpose, renews, self.rooms.desk.record(serial).validity.not_after)
        self.drafts[serial] = octets

    def prepared(self, holder: str, purpose: Purpose, renews: Serial | None) -> Permit:
        disclosed = taken_at_word(someone(holder, HOLDERS[holder]))
        terms = Terms(profile=CARD_V2, now=self.clock())
        key = holder_key(self.request(), CARD_V2.key)
        issuer = self.rooms.desk.authority.issuer
        if renews is None:
            return issuer.prepare([first_order(disclosed, purpose, CARD, key, terms)], BY)
        old = self.rooms.desk.record(renews)
        known = disclosed if purpose is Purpose.SIGNING else None
        return issuer.prepare([renewal_order(old, known, key, terms)], BY)

    def request(self) -> x509.CertificateSigningRequest:
        return card_request(CARD_V2.key, next(self.cards))

    def begin(self, serial: Serial, holder: str, purpose: Purpose, renews: Serial | None, end: datetime) -> None:
        """A new order closes one that was abandoned."""
        for each in self.of(holder, purpose):
            if self.lives[each].pending_since is not None:
                self.leave(each)
        self.lives[serial] = Life(
            holder=holder,
            purpose=purpose,
            generation=self.issuing(purpose),
            end=end,
            stage=Stage.RESERVED,
            renews=renews,
            pending_since=self.clock(),
        )

    @precondition(lambda self: self.is_any_pending())
    @rule(number=NUMBERS, stray=st.sampled_from((None, None, None, 0, 1, 2)))
    def go_on(self, number: int, stray: int | None) -> None:
        """Take a certificate one step further, sometimes one that is not its next."""
        serial = self.pick(number, Stage.RESERVED, Stage.INTENDED, Stage.SIGNED)
        steps = (self.intend, self.complete, self.activate)
        following = {Stage.RESERVED: 0, Stage.INTENDED: 1}.get(self.lives[serial].stage, 2)
        steps[following if stray is None else stray](serial)

    def intend(self, serial: Serial) -> None:
        life, octets = self.lives[serial], self.drafts.get(serial, b"")
        intend = partial(self.rooms.store.ledger.intend, {serial: octets}, BY, self.clock())
        if life.stage is not Stage.RESERVED or life.generation in self.compromised:
            refused(intend)
            return
        intend()
        self.note(serial, stage=Stage.INTENDED)

    def complete(self, serial: Serial) -> None:
        life, octets = self.lives[serial], self.drafts.get(serial, b"")
        signatures = self.rooms.keys.sign_many(self.generations[life.generation].key, [octets])
        complete = partial(self.rooms.store.ledger.complete, {serial: signatures[0]}, BY, self.clock())
        if life.stage is not Stage.INTENDED:
            refused(complete)
            return
        complete()
        self.note(serial, stage=Stage.SIGNED)

    def activate(self, serial: Serial) -> None:
        renews = self.lives[serial].renews
        activate = partial(self.rooms.desk.authority.activate, [serial], BY)
        lives_on = renews is None or self.is_in(renews, Stage.LIVE, Stage.HELD)
        if self.standing(serial).stage is not Stage.SIGNED or not lives_on:
            refused(activate)
            return
        activate()
        self.come_to_life(serial)

    def come_to_life(self, serial: Serial) -> None:
        renews = self.lives[serial].renews
        if renews is not None:
            self.close(renews, x509.ReasonFlags.superseded)
        self.note(serial, stage=Stage.LIVE, pending_since=None)

    @precondition(lambda self: self.is_any_pending())
    @rule(number=NUMBERS)
    def discard(self, number: int) -> None:
        serial = self.pick(number, Stage.RESERVED, Stage.INTENDED, Stage.SIGNED)
        self.rooms.desk.authority.discard([serial], BY)
        self.leave(serial)

    @rule(holder=CODES, purpose=PURPOSES, stray=SELDOM, is_taken=st.booleans())
    def serve(self, holder: str, purpose: Purpose, stray: bool, is_taken: bool) -> None:  # noqa: FBT001 - see above
        """Do the whole of it at the desk; the holder takes the certificate, or does not."""
        renews = self.renewed(holder, purpose, stray=stray)
        seen: list[Serial] = []

        def hand_over(certificate: x509.Certificate) -> None:
            serial = Serial(certificate.serial_number)
            self.begin(serial, holder, purpose, renews, certificate.not_valid_after_utc)
            self.note(serial, stage=Stage.SIGNED)
            seen.append(serial)
            self.every_answer_is_the_ledgers()
            if not is_taken:
                raise NotHandedOverError

        def serve() -> None:
            if renews is None:
                self.rooms.desk.issue(someone(holder, HOLDERS[holder]), purpose, self.request(), BY, hand_over)
            else:
                self.rooms.desk.renew(renews, self.request(), BY, None, hand_over)

        if not self.may_order(holder, purpose, renews) or self.has_no_time_left(holder, purpose):
            refused(serve)
        elif is_taken:
            serve()
            self.come_to_life(seen[0])
        else:
            with pytest.raises(NotHandedOverError):
                serve()
            self.leave(seen[0])

    def has_no_time_left(self, holder: str, purpose: Purpose) -> bool:
        """A signing certificate ends with the authentication certificate beside it."""
        beside = self.live(holder, Purpose.AUTHENTICATION) if purpose is Purpose.SIGNING else None
        return beside is not None and self.lives[beside].end <= self.now

    # --- ends ------------------------------------------------------------------------------------------------------

    @rule(number=NUMBERS, reason=st.sampled_from(Reason))
    def revoke(self, number: int, reason: Reason) -> None:
        stages = (Stage.INTENDED, Stage.SIGNED, Stage.LIVE, Stage.HELD)
        serial = self.pick(number, *stages)
        revoke = partial(self.rooms.desk.revoke, serial, reason, BY)
        if reason not in REASONS or not self.is_in(serial, *stages):
            refused(revoke)
            return
        revoke()
        self.close(serial, REASONS[reason])

    @rule(number=NUMBERS, lifts=st.sampled_from((None, *HOLDER_PURPOSES)))
    def hold_or_release(self, number: int, lifts: Purpose | None) -> None:
        if any(life.stage is Stage.HELD and life.purpose is lifts for life in self.lives.values()):
            self.release(self.pick(number, Stage.HELD, purpose=lifts))
        else:
            self.hold(self.pick(number, Stage.LIVE))

    def hold(self, serial: Serial) -> None:
        hold = partial(self.rooms.desk.hold, serial, BY)
        if not self.is_in(serial, Stage.LIVE):
            refused(hold)
            return
        hold()
        self.note(serial, stage=Stage.HELD, since=self.now, reason=x509.ReasonFlags.certificate_hold)

    def release(self, serial: Serial) -> None:
        """The hold of a signing certificate never lifts."""
        release = partial(self.rooms.desk.release, serial, BY)
        if self.lives[serial].purpose is Purpose.SIGNING or not self.is_in(serial, Stage.HELD):
            refused(release)
            return
        release()
        self.note(serial, stage=Stage.LIVE, since=None, reason=None)

    @precondition(lambda self: not self.compromised and len(self.lives) > 8)
    @rule(number=NUMBERS)
    def compromise(self, number: int) -> None:
        """The issuers are read each second: until then a serial that was never issued may be unknown (rule R16)."""
        serial = self.pick(number, Stage.RESERVED, Stage.INTENDED, Stage.SIGNED, Stage.LIVE)
        generation = self.lives[serial].generation
        self.rooms.ceremonies.compromise(GenerationId(generation), default_plan(CARD_V2, {}, "a test"), "a test")
        self.compromised[generation] = self.now
        self.clock.advance(seconds=1)

    # --- time ------------------------------------------------------------------------------------------------------

    @rule(by=st.sampled_from((0.3, 1, 59.9, 300, 600, 901, 6 * 3600)), is_kept=st.booleans())
    def wait(self, by: float, is_kept: bool) -> None:  # noqa: FBT001 - see above
        self.clock.advance(seconds=by)
        if is_kept:
            self.keep_house()

    @rule(number=NUMBERS, beyond=st.sampled_from((0, 0.9, 1)))
    def wait_for_an_end(self, number: int, beyond: float) -> None:
        """A certificate lives to its last second, and is not revoked by ending."""
        end = self.lives[self.pick(number, Stage.LIVE)].end + timedelta(seconds=beyond)
        if self.clock() < end < self.clock() + timedelta(days=60):
            self.clock.now = end
            self.keep_house()

    def keep_house(self) -> None:
        """What a house at work does each minute; without it no responder would be left after a month."""
        self.rooms.maintenance.jobs["responders"]()
        self.rooms.maintenance.jobs["abandoned"]()
        for serial, life in list(self.lives.items()):
            if life.pending_since is not None and life.pending_since <= self.clock() - ABANDONED:
                self.leave(serial)

    # --- answers ---------------------------------------------------------------------------------------------------

    @invariant()
    def every_answer_is_the_ledgers(self) -> None:
        for ask in self.doors:
            for generation in self.generations.values():
                serials = self.asked_of(generation)
                while serials:
                    manner = next(self.manners)
                    self.check(ask, generation, serials[: manner.size], manner)
                    serials = serials[manner.size :]

    @invariant()
    def every_kept_answer_is_the_ledgers(self) -> None:
        _, by_the_fast_door = self.doors
        for serial, life in self.lives.items():
            self.check(by_the_fast_door, self.generations[life.generation], [serial], SAME)

    def asked_of(self, generation: Generation) -> list[Serial]:
        """All that it issued, what nobody did, and some of what others did."""
        own = [serial for serial, life in self.lives.items() if life.generation == generation.id]
        others = [serial for serial, life in self.lives.items() if life.generation != generation.id]
        turn = next(self.turns)
        return [NEVER_ISSUED[turn % len(NEVER_ISSUED)], *own, *others[turn % 7 :: 7]]

    def word(self, serial: Serial, generation: Generation) -> Word:
        """Only the generation that signed a certificate vouches for it, and for nothing once it is compromised."""
        ours = serial in self.lives and self.lives[serial].generation == generation.id
        word = word_of(self.standing(serial)) if ours else UNKNOWN
        compromised = self.compromised.get(generation.id)
        if word == UNKNOWN and compromised is not None:
            return OCSPCertStatus.REVOKED, compromised, x509.ReasonFlags.ca_compromise
        return word

    def check(self, ask: Ask, generation: Generation, serials: Sequence[Serial], manner: Manner) -> None:
        names = cycle([(oids.SHA1, NULL)]) if manner is SAME else self.names
        cert_ids = [
            cert_id(serial, of=generation, algorithm=algorithm, parameters=parameters)
            for serial, (algorithm, parameters) in zip(serials, names, strict=False)
        ]
        extensions = tuple(map(nonce_extension, manner.nonces))
        response = load_der_ocsp_response(ask(question(*cert_ids, extensions=extensions), manner.method))
        assert response.response_status is OCSPResponseStatus.SUCCESSFUL
        told = [(each.serial_number, word_in(each)) for each in response.responses]
        assert told == [(serial, self.word(serial, generation)) for serial in serials]
        assert_in_order(cert_ids, response.tbs_response_bytes)
        assert [each.value for each in response.extensions] == list(map(x509.OCSPNonce, manner.nonces))
        (responder,) = response.certificates
        require_responder(responder, generation.certificate)
        check_signature(response, responder)
        # An answer may be one that was signed before, as long as it holds.
        this_update, next_update = check_period(response, responder)
        assert this_update <= self.now <= next_update


@cache
def require_responder(responder: x509.Certificate, root: x509.Certificate) -> None:
    """The generation that is asked must have named it, for this and nothing else."""
    responder.verify_directly_issued_by(root)
    usage = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.OCSP_SIGNING]


def check_signature(response: ocsp.OCSPResponse, responder: x509.Certificate) -> None:
    key = responder.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(SHA256()))
    assert response.responder_key_hash == x509.SubjectKeyIdentifier.from_public_key(key).digest


def check_period(response: ocsp.OCSPResponse, responder: x509.Certificate) -> tuple[datetime, datetime]:
    """Return from when to when the answer holds: for a quarter of an hour, within the responder's own life."""
    this_update = response.produced_at_utc
    next_update = min(this_update + ANSWER_LIFE, responder.not_valid_after_utc)
    for each in response.responses:
        assert (each.this_update_utc, each.next_update_utc) == (this_update, next_update)
    assert responder.not_valid_before_utc <= this_update
    return this_update, next_update


def word_in(told: ocsp.OCSPSingleResponse) -> Word:
    return told.certificate_status, told.revocation_time_utc, told.revocation_reason


def assert_in_order(parts: Sequence[bytes], whole: bytes) -> None:
    at = 0
    for part in parts:
        at = whole.index(part, at) + len(part)


# --- proofs --------------------------------------------------------------------------------------------------------


def test_r15_every_door_says_what_the_ledger_says(aged_town: AgedTown, tmp_path: Path, at_length: bool) -> None:  # noqa: FBT001 - a fixture's value
    examples, steps = (100, 60) if at_length else (5, 35)
    # To make a failure's history shorter takes minutes: only `make soak` has them.
    phases = tuple(Phase) if at_length else (Phase.reuse, Phase.generate)
    numbers = count()
    run_state_machine_as_test(
        lambda: House(aged_town, tmp_path / str(next(numbers))),  # type: ignore[arg-type] # it takes any maker
        settings=settings(max_examples=examples, stateful_step_count=steps, phases=phases),
    )
