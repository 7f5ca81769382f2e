"""OCSP's rules at the fast door: two workers on PostgreSQL, and each worker is asked for itself."""

import base64
import csv
import hashlib
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from itertools import count, cycle, product
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.ocsp import OCSPResponse, OCSPResponseStatus, load_der_ocsp_response
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from psycopg import sql

from ca.delegates import RESPONDER_LIFE
from ca.plan import default_plan
from ca.profile import CARD_V2
from enroll.desk import Desk
from jpki import oids
from jpki.acts import LOCAL_OPERATOR as BY
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import system_clock, whole_second
from jpki.der import integer
from jpki.generation import Generation
from jpki.ids import GenerationId, Serial
from jpki.randomness import system_randomness
from jpki.revocation import Reason
from ocsp.cache import REUSE
from ocsp.live import ANSWER_LIFE
from server.founding import found
from server.home import Home
from server.sample.keys import card_request
from server.settings import Settings
from server.wiring import Rooms
from tests.ocsp.authority import HASH_NAMES, NULL, cert_id, cert_id_of, nonce_extension, question
from tests.server.console import Answer, Jpki, refusal
from tests.server.people import someone
from tests.server.postgresql import Server, running
from tests.server.test_fast_door import Client, journal_of, serving, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="there is no /proc that tells the workers apart"),
]

WORKERS = 2
DATABASE = "town"


# --- a town, and its workers ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Town:
    """A home that the fast door serves, and its cards, each named by its generation; `rooms` is another node of it."""

    rooms: Rooms
    address: str
    generations: Mapping[GenerationId, Generation]
    cards: Mapping[str, x509.Certificate]

    def generation(self, name: str) -> Generation:
        return self.generations[GenerationId(name)]

    @property
    def home(self) -> Path:
        return self.rooms.home.path

    def asked(self, name: str, *, of: str | None = None, nonce: bytes = b"", algorithm: str = oids.SHA1) -> bytes:
        """The question about a card, of its own generation if of no other."""
        generation = self.generation(of or name.partition("-")[0])
        extensions = (nonce_extension(nonce),) if nonce else ()
        return question(
            cert_id(self.cards[name].serial_number, of=generation, algorithm=algorithm), extensions=extensions
        )


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture(scope="module")
def town(postgresql: Server, installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Three signing generations; of each a card that lives, of the first one that is revoked."""
    home = Home(tmp_path_factory.mktemp("rules") / "home")
    settings = Settings(profile="card-v2", database=postgresql.new_database(DATABASE))
    rooms = found(home, settings, system_clock, system_randomness)
    cards = {"a1": card(rooms, 1, Purpose.AUTHENTICATION), "s1": card(rooms, 2), "s1-revoked": card(rooms, 3)}
    for number in (2, 3):
        plan = default_plan(CARD_V2, {Purpose.SIGNING: number}, "a test")
        rooms.ceremonies.new_generation(plan, "a test")
        cards[f"s{number}"] = card(rooms, 2 + number)
    rooms.desk.revoke(serial_of(cards["s1-revoked"]), Reason.KEY_COMPROMISE, BY)
    generations = {each.id: each for purpose in HOLDER_PURPOSES for each in rooms.store.generations.ever(purpose)}
    with serving(installed, home.path, "--workers", str(WORKERS)) as address:
        yield Town(rooms, address, generations, cards)
    rooms.close()


def card(rooms: Rooms, number: int, purpose: Purpose = Purpose.SIGNING) -> x509.Certificate:
    """Issue the sample card of a number to a holder of its own."""
    return rooms.desk.issue(someone(f"R-{number:04}"), purpose, card_request(CARD_V2.key, number), BY)


def serial_of(certificate: x509.Certificate) -> Serial:
    return Serial(certificate.serial_number)


class OfWorker(Client):
    """A connection, and which process answers it."""

    @property
    def process(self) -> int:
        here, there = self._connection.sock.getsockname(), self._connection.sock.getpeername()
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        (inode,) = [row[9] for row in rows if row[1:3] == [_endpoint(there), _endpoint(here)]]
        for each in Path("/proc").glob("[0-9]*/fd/*"):
            with suppress(OSError):
                if str(each.readlink()) == f"socket:[{inode}]":
                    return int(each.parts[2])
        raise AssertionError("no process holds the connection")


def _endpoint(address: tuple[str, int]) -> str:
    return f"0100007F:{address[1]:04X}"


@contextmanager
def workers_at(address: str) -> Iterator[Sequence[OfWorker]]:
    """A connection to each worker."""
    with ExitStack() as stack:
        found: dict[int, OfWorker] = {}
        for _ in range(200):
            client = stack.enter_context(OfWorker(address))
            assert client.ask("GET", "/livez")[1] == b"ok\n"
            found.setdefault(client.process, client)
            if len(found) == WORKERS:
                break
        assert len(found) == WORKERS
        yield list(found.values())


@pytest.fixture
def workers(town: Town) -> Iterator[Sequence[OfWorker]]:
    with workers_at(town.address) as clients:
        wait_until_current(clients)
        yield clients


def wait_until_current(clients: Sequence[Client]) -> None:
    """Wait until each follows the journal."""
    wait_until(lambda: {journal_of(client) for client in clients} == {"ok"})


def word(response: OCSPResponse) -> str:
    successful = response.response_status is OCSPResponseStatus.SUCCESSFUL
    return (response.certificate_status if successful else response.response_status).name.lower()


def told(clients: Sequence[Client], asked: bytes) -> str:
    """What the workers say, one word if they agree; each is asked twice, for a second answer may be a kept one."""
    return " or ".join(sorted({word(client.post(asked)) for client in clients for _ in range(2)}))


# --- R13, R14 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "said"), [("a1", "good"), ("s1", "good"), ("s1-revoked", "revoked"), ("s3", "good")])
def test_r13_the_probe_finds_every_rule_held(town: Town, jpki: Jpki, tmp_path: Path, name: str, said: str) -> None:
    certificate, issuer = tmp_path / "certificate.pem", tmp_path / "issuer.pem"
    certificate.write_bytes(town.cards[name].public_bytes(Encoding.PEM))
    issuer.write_bytes(town.generation(name[:2]).certificate.public_bytes(Encoding.PEM))
    pair = ("--issuer", issuer, "--certificate", certificate)
    found = jpki.done("ocsp", "probe", f"http://{town.address}/ocsp", *pair)
    assert [each["id"] for each in found["checks"] if each["outcome"] != "ok"] == []
    assert found["checks"][0]["finding"]["en"] == f"answered: {said}"


@pytest.mark.parametrize("nonce", [b"", b"n" * 16], ids=["no nonce", "a nonce"])
def test_r14_the_responders_certificate_may_answer_and_nothing_else(
    town: Town, workers: Sequence[OfWorker], nonce: bytes
) -> None:
    for name, client in product(("a1", "s1", "s3"), workers):
        root, response = town.generation(name).certificate, client.post(town.asked(name, nonce=nonce))
        (responder,) = response.certificates
        responder.verify_directly_issued_by(root)
        extensions = {each.oid: (each.critical, each.value) for each in responder.extensions}
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
        assert extensions[ExtensionOID.EXTENDED_KEY_USAGE] == (False, usage)
        assert extensions[ExtensionOID.OCSP_NO_CHECK] == (False, x509.OCSPNoCheck())
        assert extensions[ExtensionOID.KEY_USAGE] == (True, only_digital_signature())
        assert ExtensionOID.BASIC_CONSTRAINTS not in extensions
        assert responder.not_valid_before_utc <= response.produced_at_utc
        key = responder.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(SHA256()))
        assert key != root.public_key()


def only_digital_signature() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


# --- R15 -----------------------------------------------------------------------------------------------------------

NEVER_ISSUED = (Serial(1), Serial((1 << 126) + 1), Serial((1 << 159) - 1))


def test_r15_what_was_never_issued_is_unknown_and_the_cert_id_comes_back(
    town: Town, workers: Sequence[OfWorker]
) -> None:
    for name, serial, algorithm, parameters in product(("a1", "s1", "s3"), NEVER_ISSUED, HASH_NAMES, (NULL, b"")):
        asked = cert_id(serial, of=town.generation(name), algorithm=algorithm, parameters=parameters)
        for client in workers:
            response = client.post(question(asked))
            assert word(response) == "unknown"
            assert asked in response.tbs_response_bytes


@pytest.mark.parametrize("algorithm", HASH_NAMES, ids=HASH_NAMES.values())
def test_r15_a_foreign_issuer_is_unauthorized_though_its_serial_is_known(
    town: Town, workers: Sequence[OfWorker], algorithm: str
) -> None:
    name, key = hashes(town.generation("s1"), algorithm)
    others = hashes(town.generation("a1"), algorithm)
    serial = integer(town.cards["s1"].serial_number)
    foreign = [(flipped(name), key), (name, flipped(key)), (flipped(name), flipped(key)), (key, name)]
    for pair in [*foreign, (name, others[1]), (others[0], key)]:
        assert told(workers, question(cert_id_of(algorithm, *pair, serial=serial))) == "unauthorized"
    assert told(workers, question(cert_id_of(algorithm, name, key, serial=serial))) == "good"


def hashes(generation: Generation, algorithm: str) -> tuple[bytes, bytes]:
    """The issuer's name, and its key as the BIT STRING holds it (RFC 5480 2.2)."""
    certificate, function = generation.certificate, HASH_NAMES[algorithm]
    key = certificate.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return hashlib.new(function, certificate.subject.public_bytes()).digest(), hashlib.new(function, key).digest()


def flipped(octets: bytes) -> bytes:
    return octets[:-1] + bytes((octets[-1] ^ 1,))


def test_r15_the_other_ca_knows_nothing_of_a_card(town: Town, workers: Sequence[OfWorker]) -> None:
    for name, other in (("s1", "a1"), ("s1-revoked", "a1"), ("a1", "s1"), ("a1", "s3")):
        assert told(workers, town.asked(name, of=other)) == "unknown"


def test_r15_a_card_is_unknown_until_it_is_handed_over(town: Town, workers: Sequence[OfWorker]) -> None:
    def about(certificate: x509.Certificate) -> bytes:
        return question(cert_id(certificate.serial_number, of=town.generation("s3")))

    def hand_over(certificate: x509.Certificate) -> None:
        assert told(workers, about(certificate)) == "unknown"

    request = card_request(CARD_V2.key, 20)
    issued = town.rooms.desk.issue(someone("R-0020"), Purpose.SIGNING, request, BY, hand_over)
    wait_until(lambda: told(workers, about(issued)) == "good")


# --- R6 ------------------------------------------------------------------------------------------------------------


def test_r06_no_answer_is_older_than_its_promise(town: Town, workers: Sequence[OfWorker]) -> None:
    """As a probe outside measures it, by the answers and by HTTP's own words for it."""
    encoded = quote(base64.b64encode(town.asked("s1")).decode(), safe="")
    produced = set()
    for _, client in product(range(10), workers):
        before = whole_second(system_clock())
        response, body = client.ask("GET", f"/ocsp/{encoded}")
        after = system_clock()
        answer = load_der_ocsp_response(body)
        this_update, next_update = period_of(answer)
        assert after - REUSE - timedelta(seconds=1) < this_update == answer.produced_at_utc <= after
        assert next_update == this_update + ANSWER_LIFE
        assert before < next_update
        sent, expires, modified = (
            parsedate_to_datetime(response.headers[each]) for each in ("Date", "Expires", "Last-Modified")
        )
        max_age = int(response.headers["Cache-Control"].partition("max-age=")[2].partition(",")[0])
        # The Date field may be of the second before.
        assert before - timedelta(seconds=1) <= sent <= after
        assert 0 < max_age <= 60
        assert abs(expires - after - timedelta(seconds=max_age)) <= timedelta(seconds=2)
        assert expires <= next_update
        assert modified == this_update
        produced.add((client, this_update))
        time.sleep(0.02)
    # Each worker kept what it signed: that is what might grow old.
    assert len(produced) == WORKERS


def period_of(answer: OCSPResponse) -> tuple[datetime, datetime]:
    assert answer.next_update_utc is not None
    return answer.this_update_utc, answer.next_update_utc


# --- R23 -----------------------------------------------------------------------------------------------------------


def test_r23_no_generation_vouches_for_another(town: Town, workers: Sequence[OfWorker]) -> None:
    for name, said in (("s1", "good"), ("s1-revoked", "revoked"), ("s3", "good")):
        assert told(workers, town.asked(name)) == said
        (other,) = {"s1", "s3"} - {name[:2]}
        assert told(workers, town.asked(name, of=other)) == "unknown"
    both = [cert_id(town.cards["s3"].serial_number, of=town.generation(each)) for each in ("s1", "s3")]
    assert told(workers, question(*both)) == "malformed_request"


def test_r16_r23_a_compromise_ends_its_generation_and_no_other(town: Town, workers: Sequence[OfWorker]) -> None:
    never_issued = question(cert_id(NEVER_ISSUED[1], of=town.generation("s2")))
    assert told(workers, town.asked("s2")) == "good"
    assert told(workers, never_issued) == "unknown"
    town.rooms.ceremonies.compromise(GenerationId("s2"), default_plan(CARD_V2, {}, "a test"), "a test")
    time.sleep(1)
    for asked in (town.asked("s2"), never_issued):
        assert told(workers, asked) == "revoked"
        for client in workers:
            assert client.post(asked).revocation_reason is x509.ReasonFlags.ca_compromise
    for name in ("s1", "s3", "a1"):
        assert told(workers, town.asked(name)) == "good"
    assert told(workers, town.asked("s2", of="s3")) == "unknown"


# --- R26 -----------------------------------------------------------------------------------------------------------

LATE = 1.0
"""How many seconds after its commit a change may be told of (rule R16)."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a certificate is from some moment between the call and its return on."""

    word: str
    called: float
    returned: float


@dataclass(slots=True)
class Chronicle:
    """What writers did to each certificate, one writer to each, and what readers were told."""

    until: float
    changes: dict[Serial, list[Change]] = field(default_factory=lambda: defaultdict(list))
    told: list[tuple[Serial, str, float, float]] = field(default_factory=list)

    def write(self, desk: Desk, number: int) -> None:
        """Issue, hold, release and revoke until the time is over, and five holders' at least."""
        for turn in count(first := 1000 * number):
            holder, called = someone(f"R-{turn}"), time.monotonic()
            if called > self.until and turn >= first + 5:
                return
            issued = desk.issue(holder, Purpose.AUTHENTICATION, card_request(CARD_V2.key, turn), BY)
            serial = serial_of(issued)
            self.changes[serial].append(Change("good", called, time.monotonic()))
            for _ in range(turn % 3):
                self._do(serial, "revoked", partial(desk.hold, serial, BY))
                self._do(serial, "good", partial(desk.release, serial, BY))
            if turn % 2:
                self._do(serial, "revoked", partial(desk.hold, serial, BY))
            if not turn % 5:
                self._do(serial, "revoked", partial(desk.revoke, serial, Reason.SUPERSEDED, BY))

    def _do(self, serial: Serial, said: str, act: Callable[[], object]) -> None:
        called = time.monotonic()
        act()
        self.changes[serial].append(Change(said, called, time.monotonic()))

    def read(self, client: Client, generation: Generation, ended: threading.Event) -> None:
        """Ask for one after the other."""
        while not ended.is_set():
            for serial in list(self.changes):
                self.ask(client, generation, serial)
            time.sleep(0.01)

    def ask(self, client: Client, generation: Generation, serial: Serial) -> None:
        asked = time.monotonic()
        said = word(client.post(question(cert_id(serial, of=generation))))
        self.told.append((serial, said, asked, time.monotonic()))

    def possible(self, serial: Serial, asked: float, answered: float) -> set[str]:
        """What it may have been called at that time."""
        changes = self.changes[serial]
        ends = [each.returned + LATE for each in changes[1:]] + [float("inf")]
        words = {each.word for each, end in zip(changes, ends, strict=True) if each.called <= answered and asked <= end}
        return words | ({"unknown"} if asked <= changes[0].returned + LATE else set())


def test_r16_r26_under_concurrent_writers_no_worker_misses_a_change(town: Town, workers: Sequence[OfWorker]) -> None:
    chronicle, ended = Chronicle(until=time.monotonic() + 2), threading.Event()
    generation = town.generation("a1")
    with ThreadPoolExecutor(8) as threads:
        readers = [threads.submit(chronicle.read, client, generation, ended) for client in workers]
        for each in [threads.submit(chronicle.write, town.rooms.desk, number) for number in (1, 2, 3)]:
            each.result()
        time.sleep(LATE)
        ended.set()
        for reader in readers:
            reader.result()
    assert sum(map(len, chronicle.changes.values())) > 20
    for serial in chronicle.changes:
        for client in workers:
            chronicle.ask(client, generation, serial)
    for serial, said, asked, answered in chronicle.told:
        assert said in chronicle.possible(serial, asked, answered)


def test_r26_a_restored_ledger_is_another_epoch_to_every_worker(
    town: Town, workers: Sequence[OfWorker], jpki: Jpki, postgresql: Server, tmp_path: Path
) -> None:
    """What was told of before, and is not so in the restored ledger, is forgotten; what comes after it is heard."""
    rooms = town.rooms
    lost, kept, later = (serial_of(card(rooms, number)) for number in (31, 32, 33))
    asked = [question(cert_id(each, of=town.generation("s3"))) for each in (lost, kept, later)]
    rooms.desk.revoke(kept, Reason.KEY_COMPROMISE, BY)
    jpki.done("backup", "create", "--home", town.home, "--out", tmp_path / "backup")
    rooms.desk.revoke(lost, Reason.KEY_COMPROMISE, BY)
    wait_until(lambda: [told(workers, each) for each in asked] == ["revoked", "revoked", "good"])
    url = postgresql.new_database("restored")
    restored = jpki.done("backup", "restore", tmp_path / "backup", "--home", tmp_path / "new", "--database", url)
    assert restored["epoch"] == 2
    put_in_place(url)
    wait_until(lambda: [told(workers, each) for each in asked] == ["good", "revoked", "good"])
    rooms.desk.revoke(later, Reason.KEY_COMPROMISE, BY)
    wait_until(lambda: [told(workers, each) for each in asked] == ["good", "revoked", "revoked"])


def put_in_place(url: str) -> None:
    """Give the restored database the name that the door knows, under which it then finds another ledger."""
    with psycopg.connect(url.replace("/restored", "/postgres"), autocommit=True) as owner:
        owner.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(DATABASE)))
        owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [DATABASE])
        for old, new in ((DATABASE, "before"), ("restored", DATABASE)):
            owner.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))


# --- R5, R6, R7: to the last second --------------------------------------------------------------------------------


@dataclass(slots=True)
class SlowClock:
    """A clock that is so much behind the door's."""

    behind: timedelta

    def __call__(self) -> datetime:
        return system_clock() - self.behind


@dataclass(frozen=True, slots=True)
class Neglected:
    """A home whose responders ended long ago; `pace` is how many seconds it took this machine to found it."""

    rooms: Rooms
    clock: SlowClock
    pace: float


@pytest.fixture
def neglected(postgresql: Server, tmp_path: Path) -> Iterator[Neglected]:
    begun, clock = time.monotonic(), SlowClock(timedelta(days=60))
    settings = Settings(profile="card-v2", database=postgresql.new_database("neglected"))
    rooms = found(Home(tmp_path / "neglected"), settings, clock, system_randomness)
    yield Neglected(rooms, clock, time.monotonic() - begun)
    rooms.close()


def renewed(rooms: Rooms, purpose: Purpose) -> datetime:
    """Renew the one responder of a CA, and return when its certificate ends."""
    (responder,) = rooms.delegation.renew_responders(rooms.served(purpose), BY)
    return responder.certificate.not_valid_after_utc


def test_r05_r06_r07_an_answer_ends_with_its_responder_and_a_renewed_one_takes_over(
    installed: Path, postgresql: Server, neglected: Neglected
) -> None:
    rooms, clock = neglected.rooms, neglected.clock
    home = rooms.home.path
    words: list[str | Path] = [installed, "serve", "--home", home, "--port", "0", "--door", "ocsp", "--fast", "--json"]
    begun = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert refusal(Answer(begun.returncode, begun.stdout, begun.stderr)).code == "responder-expired"
    assert begun.returncode == 75
    asked = {}
    for number, purpose in enumerate(HOLDER_PURPOSES, 41):
        (generation,) = rooms.living(purpose)
        asked[purpose] = question(cert_id(card(rooms, number, purpose).serial_number, of=generation))
    ends = {}
    # To begin to serve takes about as long as to found; on a busy machine everything has more time.
    for purpose, left in ((Purpose.SIGNING, 3), (Purpose.AUTHENTICATION, 6)):
        clock.behind = RESPONDER_LIFE - timedelta(seconds=left + 2 * neglected.pace)
        ends[purpose] = renewed(rooms, purpose)
    with serving(installed, home, "--workers", str(WORKERS)) as address, workers_at(address) as workers:
        for purpose, end in ends.items():
            for response in answers(workers, asked[purpose]):
                assert word(response) == "good"
                assert period_of(response)[1] == end == response.certificates[0].not_valid_after_utc
        # What was kept ends, whether the ledger is there or not.
        refusals = after_the_end(workers, asked[Purpose.SIGNING], ends[Purpose.SIGNING])
        assert refusals <= {"try_later", "unauthorized"}
        wait_until(lambda: told(workers, asked[Purpose.SIGNING]) == "unauthorized")
        # That one responder is gone ended everything that was kept: it has to be signed again before the ledger goes.
        assert told(workers, asked[Purpose.AUTHENTICATION]) == "good"
        with killed(postgresql):
            refusals = after_the_end(workers, asked[Purpose.AUTHENTICATION], ends[Purpose.AUTHENTICATION])
        assert refusals == {"try_later"}
        clock.behind = timedelta(0)
        for purpose in ends:
            renewed(rooms, purpose)
        wait_until_current(workers)
        time.sleep(1)
        for response in (each for question in asked.values() for each in answers(workers, question)):
            assert word(response) == "good"
            this_update, next_update = period_of(response)
            assert next_update == this_update + ANSWER_LIFE
            assert response.certificates[0].not_valid_after_utc > system_clock() + timedelta(days=29)


@contextmanager
def killed(server: Server) -> Iterator[None]:
    """Kill the server for as long as the block runs."""
    server.kill()
    try:
        yield
    finally:
        server.start()


def answers(workers: Sequence[OfWorker], asked: bytes) -> Iterator[OCSPResponse]:
    return (client.post(asked) for client in workers for _ in range(2))


def after_the_end(workers: Sequence[OfWorker], asked: bytes, end: datetime) -> set[str]:
    """Ask until every worker refuses, and return with what words; what is answered before must hold then."""
    refused: dict[OfWorker, str] = {}
    for client in cycle(workers):
        before = whole_second(system_clock())
        response = client.post(asked)
        if response.response_status is OCSPResponseStatus.SUCCESSFUL:
            assert word(response) == "good"
            assert before <= period_of(response)[1] == end
            assert client not in refused
        else:
            assert end <= system_clock()
            refused[client] = word(response)
        if len(refused) == len(workers):
            return set(refused.values())
        time.sleep(0.02)
    raise AssertionError("unreachable")


# --- cases from outside --------------------------------------------------------------------------------------------

REFUSALS = {"malformed_request", "unauthorized"}


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_outside_questions_get_what_they_must(
    town: Town, workers: Sequence[OfWorker], shared: Path, method: str
) -> None:
    """Nobody here is their issuer: none is good, none fails, none takes a second."""
    folder = shared / "conformance"
    with (folder / "expected.csv").open(encoding="utf-8", newline="") as file:
        cases = [row for row in csv.DictReader(file) if row["suite"] in {"ocsp-req", "ocsp-req-fuzz"}]
    assert len(cases) == 17
    for row, client in zip(cases, cycle(workers), strict=False):
        octets = (folder / row["path"]).read_bytes()
        begun = time.monotonic()
        encoded = quote(base64.b64encode(octets).decode(), safe="")
        response, body = (
            client.ask("POST", "/ocsp", octets, Content_Type="application/ocsp-request")
            if method == "POST"
            else client.ask("GET", f"/ocsp/{encoded}")
        )
        assert time.monotonic() - begun < 1, row["case"]
        assert response.status == 200, row["case"]
        said = word(load_der_ocsp_response(body))
        allowed = row["expected"].lower().replace("malformedrequest", "malformed_request").split("-or-")
        assert said in REFUSALS, row["case"]
        assert row["suite"] == "ocsp-req-fuzz" or said in allowed, row["case"]
    assert told(workers, town.asked("s1")) == "good"
