"""Whom jpki.toml names to ask about revocation: real servers on loopback that answer, lie, hang and are away."""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import BytesIO

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from jpki.ports import RevocationSource
from jpki.randomness import system_randomness
from server import revocation_sources as room
from server.revocation_sources import LONGEST_KEPT, PAUSE, revocation_sources
from server.settings import RevocationSettings
from signing.intake import Format
from signing.verdict import Cause, Decision
from signing.verify import judge
from tests.conftest import SteppingClock
from tests.ocsp.servers import replying, talking
from tests.signing.expect import causes
from tests.signing.stamps import list_of, signed
from tests.signing.town import NOW, Authority, Town, make_certificate, make_town

HOUR = timedelta(hours=1)
SOON = 1.0
Said = tuple[int, dict[str, str], bytes]
GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN


@pytest.fixture(scope="module")
def foreign() -> Town:
    """Another CA with its holders."""
    return make_town()


@dataclass
class Servers:
    """The servers of a CA, and how often each was asked: what the responder and the list say can be changed."""

    ca: Authority
    clock: SteppingClock
    status: ocsp.OCSPCertStatus = GOOD
    revoked: Sequence[x509.Certificate] = ()
    made_at: datetime = NOW - HOUR
    asked: list[str] = field(default_factory=list)

    def responder(self, body: bytes) -> Said:
        self.asked.append("ocsp")
        request = ocsp.load_der_ocsp_request(body)
        now, gone = self.clock(), self.status is REVOKED
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            request.issuer_name_hash,
            request.issuer_key_hash,
            request.serial_number,
            SHA1(),  # noqa: S303 - the CertID that was asked for
            self.status,
            now,
            now + HOUR,
            NOW - 2 * HOUR if gone else None,
            x509.ReasonFlags.key_compromise if gone else None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.ca.certificate)
        return 200, {}, builder.sign(self.ca.key, SHA256()).public_bytes(Encoding.DER)

    def list(self, _: bytes) -> Said:
        self.asked.append("crl")
        entries = [(each, NOW - 2 * HOUR, x509.ReasonFlags.key_compromise) for each in self.revoked]
        return 200, {}, list_of(self.ca, self.made_at, *entries)


@dataclass
class World:
    """A CA's servers, and the sources that ask them."""

    foreign: Town
    servers: Servers
    clock: SteppingClock
    sources: Sequence[RevocationSource]

    def found(self) -> tuple[Decision, set[Cause]]:
        """Judge what a holder of the CA signed."""
        document = signed(Format.CMS, self.foreign.holder, None)
        verdict = judge(BytesIO(document), self.foreign.validation(*self.sources))
        (one,) = causes(verdict)
        return verdict.decision, one

    def finding(self, certificate: x509.Certificate, issuer: Authority) -> str | None:
        """Ask the sources one after the other, and return the first word."""
        words = (each.evidence(certificate, issuer.certificate, self.clock()) for each in self.sources)
        return next((word.finding for word in words if word is not None), None)


ACCEPTED = (Decision.ACCEPT, set[Cause]())
UNCHECKED = (Decision.UNDECIDED, {Cause.REVOCATION_UNCHECKED})
REFUSED = (Decision.REFUSE, {Cause.REVOKED_UNPROVEN_TIME})


@contextmanager
def world(
    foreign: Town,
    *,
    ocsp_url: str | None = None,
    crl_url: str | None = None,
    responder: bool = True,
    lists: bool = True,
) -> Iterator[World]:
    """Serve what is wanted of the CA's own; the URLs take the place of that."""
    clock = SteppingClock(NOW)
    servers = Servers(foreign.root, clock)
    with ExitStack() as running:
        if responder and ocsp_url is None:
            ocsp_url = running.enter_context(replying(servers.responder))
        if lists and crl_url is None:
            crl_url = running.enter_context(replying(servers.list))
        named = RevocationSettings.model_validate({"issuer": sha256(foreign.root), "ocsp": ocsp_url, "crl": crl_url})
        sources = revocation_sources([named], clock, system_randomness, ocsp_seconds=SOON, list_seconds=SOON)
        yield World(foreign, servers, clock, sources)


def sha256(authority: Authority) -> str:
    return authority.certificate.fingerprint(SHA256()).hex()


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def hang(connection: socket.socket) -> None:
    """Say nothing until the other side hangs up."""
    with suppress(OSError):
        connection.recv(1)


def drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"0")
        time.sleep(SOON / 4)


def refusal(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)


def always(status: int, body: bytes = b"") -> Callable[[bytes], Said]:
    return lambda _: (status, {}, body)


@contextmanager
def away() -> Iterator[str]:
    yield closed_port()


NO_ANSWERS: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "hangs": lambda: talking(hang),
    "drips": lambda: talking(drip),
    "is down": away,
    "hangs up": lambda: talking(lambda connection: connection.close()),
    "garbage": lambda: replying(always(200, b"\x30\x03garbage")),
    "empty": lambda: replying(always(200)),
    "a page": lambda: replying(always(200, b"<html>Welcome</html>")),
    "500": lambda: replying(always(500)),
    "404": lambda: replying(always(404)),
    "tryLater": lambda: replying(always(200, refusal(ocsp.OCSPResponseStatus.TRY_LATER))),
    "unauthorized": lambda: replying(always(200, refusal(ocsp.OCSPResponseStatus.UNAUTHORIZED))),
}
FAILURES = pytest.mark.parametrize("failing", NO_ANSWERS)


# --- OCSP, then the list -------------------------------------------------------------------------------------------


def test_a_foreign_document_is_accepted_by_the_responder_and_the_list_is_not_asked(foreign: Town) -> None:
    with world(foreign) as here:
        assert here.found() == ACCEPTED
        assert here.servers.asked == ["ocsp"]


@FAILURES
def test_a_responder_without_an_answer_leaves_it_to_the_list(foreign: Town, failing: str) -> None:
    with NO_ANSWERS[failing]() as url, world(foreign, ocsp_url=url) as here:
        begun = time.monotonic()
        assert here.found() == ACCEPTED
        assert time.monotonic() - begun < 4 * SOON
        assert here.servers.asked == ["crl"]


@FAILURES
def test_where_neither_answers_nothing_is_decided(foreign: Town, failing: str) -> None:
    with NO_ANSWERS[failing]() as url, world(foreign, ocsp_url=url, crl_url=url) as here:
        assert here.found() == UNCHECKED


def test_a_revoked_signer_is_refused_by_either(foreign: Town) -> None:
    with world(foreign, lists=False) as here:
        here.servers.status = REVOKED
        assert here.found() == REFUSED
    with world(foreign, responder=False) as here:
        here.servers.revoked = [foreign.holder.certificate]
        assert here.found() == REFUSED
    with world(foreign, ocsp_url=closed_port()) as here:
        here.servers.revoked = [foreign.holder.certificate]
        assert here.found() == REFUSED


def test_r15_what_the_responder_does_not_know_is_never_good_whatever_the_list_says(foreign: Town) -> None:
    with world(foreign) as here:
        here.servers.status = UNKNOWN
        assert here.found() == UNCHECKED
        assert here.servers.asked == ["ocsp"]


# --- who is asked, and where ---------------------------------------------------------------------------------------


def test_r23_another_issuers_source_is_never_asked_even_of_the_same_name(foreign: Town) -> None:
    assert foreign.root.certificate.subject == foreign.next_root.certificate.subject
    with world(foreign) as here:
        assert here.finding(foreign.accountant.certificate, foreign.next_root) is None
        assert here.servers.asked == []
        assert here.finding(foreign.holder.certificate, foreign.root) == "good"


def test_each_issuer_has_its_own_sources(foreign: Town) -> None:
    clock = SteppingClock(NOW)
    first, second = Servers(foreign.root, clock), Servers(foreign.next_root, clock, status=REVOKED)
    with replying(first.responder) as one, replying(second.responder) as two:
        named = [
            RevocationSettings(issuer=sha256(foreign.root), ocsp=one),
            RevocationSettings(issuer=sha256(foreign.next_root), ocsp=two),
        ]
        (source,) = revocation_sources(named, clock, system_randomness)
        found = source.evidence(foreign.holder.certificate, foreign.root.certificate, NOW)
        other = source.evidence(foreign.accountant.certificate, foreign.next_root.certificate, NOW)
    assert (found and found.finding, other and other.finding) == ("good", "revoked")
    assert (first.asked, second.asked) == (["ocsp"], ["ocsp"])


def test_a_url_in_a_certificate_is_never_asked(foreign: Town) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap, world(foreign, ocsp_url=closed_port(), lists=False) as here:
        trap.settimeout(0.05)
        url = x509.UniformResourceIdentifier(f"http://127.0.0.1:{trap.getsockname()[1]}/")
        access = [
            x509.AccessDescription(method, url)
            for method in (AuthorityInformationAccessOID.OCSP, AuthorityInformationAccessOID.CA_ISSUERS)
        ]
        points = x509.CRLDistributionPoints([x509.DistributionPoint([url], None, None, None)])
        extensions = [x509.AuthorityInformationAccess(access), points]
        certificate = make_certificate(foreign.holder.key, foreign.root, critical=extensions)
        assert here.finding(certificate, foreign.root) is None
        with pytest.raises(TimeoutError):
            trap.accept()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(foreign: Town, status: int) -> None:
    servers = Servers(foreign.root, SteppingClock(NOW))
    with (
        replying(servers.responder) as responder,
        replying(servers.list) as listing,
        replying(lambda _: (status, {"Location": responder}, b"")) as one,
        replying(lambda _: (status, {"Location": listing}, b"")) as two,
        world(foreign, ocsp_url=one, crl_url=two) as here,
    ):
        assert here.found() == UNCHECKED
    assert servers.asked == []


def test_proxies_of_the_environment_are_not_used(foreign: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", closed_port())
    with world(foreign, responder=False) as here:
        assert here.found() == ACCEPTED


# --- the list is kept ----------------------------------------------------------------------------------------------


def test_a_list_is_fetched_once_for_many_certificates_and_again_when_it_is_due(foreign: Town) -> None:
    with world(foreign, responder=False) as here:
        for _ in range(20):
            assert here.found() == ACCEPTED
        assert here.servers.asked == ["crl"]
        here.clock.advance(seconds=LONGEST_KEPT.total_seconds() - 1)
        assert here.found() == ACCEPTED
        assert here.servers.asked == ["crl"]
        here.servers.revoked = [foreign.holder.certificate]
        here.clock.advance(seconds=1)
        assert here.found() == REFUSED
        assert here.servers.asked == ["crl"] * 2


def test_a_list_is_fetched_again_after_its_next_update(foreign: Town) -> None:
    with world(foreign, responder=False) as here:
        here.servers.made_at = NOW - timedelta(days=2) + timedelta(minutes=2)
        assert here.finding(foreign.holder.certificate, foreign.root) == "good"
        here.servers.made_at, here.servers.revoked = NOW, [foreign.holder.certificate]
        here.clock.advance(seconds=119)
        assert here.finding(foreign.holder.certificate, foreign.root) == "good"
        here.clock.advance(seconds=1)
        assert here.finding(foreign.holder.certificate, foreign.root) == "revoked"
        assert here.servers.asked == ["crl"] * 2


def test_a_stale_list_decides_nothing_and_is_asked_for_once_a_minute(foreign: Town) -> None:
    with world(foreign, responder=False) as here:
        here.servers.made_at = NOW - timedelta(days=2, seconds=1)
        for _ in range(3):
            assert here.found() == (Decision.UNDECIDED, {Cause.REVOCATION_STALE})
        assert here.servers.asked == ["crl"]
        here.servers.made_at = NOW
        here.clock.advance(seconds=PAUSE.total_seconds())
        assert here.found() == ACCEPTED


def test_a_list_goes_on_to_serve_while_its_server_is_away_and_no_longer_than_it_promised(foreign: Town) -> None:
    servers, answers = Servers(foreign.root, SteppingClock(NOW)), [True]

    def reply(body: bytes) -> Said:
        said = servers.list(body)
        return said if answers[0] else (500, {}, b"")

    with replying(reply) as url, world(foreign, crl_url=url, responder=False) as here:
        assert here.found() == ACCEPTED
        answers[0] = False
        here.clock.advance(minutes=6)
        assert here.found() == ACCEPTED
        assert servers.asked == ["crl"] * 2
        here.clock.advance(days=2)
        later = here.foreign.validation(*here.sources, at=here.clock())
        verdict = judge(BytesIO(signed(Format.CMS, foreign.holder, None)), later)
        assert causes(verdict) == [{Cause.REVOCATION_STALE}]


@pytest.mark.parametrize("which", ["garbage", "another key's", "another issuer's", "older", "a delta"])
def test_what_is_no_newer_list_of_the_issuer_does_not_take_a_lists_place(foreign: Town, which: str) -> None:
    gone = (foreign.holder.certificate, NOW - 2 * HOUR, x509.ReasonFlags.key_compromise)
    delta = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(foreign.root.certificate.subject)
        .last_update(NOW)
        .next_update(NOW + HOUR)
        .add_extension(x509.DeltaCRLIndicator(1), critical=True)
        .add_extension(x509.CRLNumber(2), critical=False)
        .sign(foreign.root.key, SHA256())
    )
    others = {
        "garbage": b"garbage",
        "another key's": list_of(foreign.root, NOW, key=foreign.spare_keys[0]),
        "another issuer's": list_of(foreign.next_root, NOW),
        "older": list_of(foreign.root, NOW - 2 * HOUR),
        "a delta": delta.public_bytes(Encoding.DER),
    }
    bodies = [list_of(foreign.root, NOW - HOUR, gone), others[which]]
    with replying(lambda _: (200, {}, bodies.pop(0))) as url, world(foreign, crl_url=url, responder=False) as here:
        assert here.found() == REFUSED
        here.clock.advance(minutes=6)
        assert here.found() == REFUSED
    assert bodies == []


def test_threads_that_need_a_list_at_once_fetch_it_once(foreign: Town) -> None:
    servers = Servers(foreign.root, SteppingClock(NOW))

    def slowly(body: bytes) -> Said:
        time.sleep(SOON / 3)
        return servers.list(body)

    with replying(slowly) as url, world(foreign, crl_url=url, responder=False) as here, ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(here.finding, foreign.holder.certificate, foreign.root) for _ in range(6)]
        assert [each.result() for each in asked] == ["good"] * 6
    assert servers.asked == ["crl"]


def test_nobody_waits_for_a_new_list_while_the_last_one_holds(foreign: Town) -> None:
    servers, hangs = Servers(foreign.root, SteppingClock(NOW)), [False]

    def reply(body: bytes) -> Said:
        if hangs[0]:
            time.sleep(2 * SOON)
        return servers.list(body)

    with replying(reply) as url, world(foreign, crl_url=url, responder=False) as here, ThreadPoolExecutor(1) as pool:
        assert here.found() == ACCEPTED
        hangs[0] = True
        here.clock.advance(minutes=6)
        fetching = pool.submit(here.finding, foreign.holder.certificate, foreign.root)
        time.sleep(SOON / 3)
        assert here.finding(foreign.holder.certificate, foreign.root) == "good"
        assert not fetching.done()
        assert fetching.result() == "good"


def test_a_list_that_is_too_large_is_none(foreign: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LARGEST_LIST", 100)
    with world(foreign, responder=False) as here:
        assert here.found() == UNCHECKED


# --- a server that is away costs little ----------------------------------------------------------------------------


def test_servers_that_hang_are_asked_once_a_minute(foreign: Town) -> None:
    asked = []

    def talk(connection: socket.socket) -> None:
        asked.append(1)
        hang(connection)

    with talking(talk) as url, world(foreign, ocsp_url=url, crl_url=url) as here:
        begun = time.monotonic()
        for _ in range(20):
            assert here.finding(foreign.holder.certificate, foreign.root) is None
        assert time.monotonic() - begun < 6 * SOON
        assert len(asked) == 2
        here.clock.advance(seconds=PAUSE.total_seconds() - 1)
        assert here.finding(foreign.holder.certificate, foreign.root) is None
        assert len(asked) == 2
        here.clock.advance(seconds=1)
        assert here.finding(foreign.holder.certificate, foreign.root) is None
        assert len(asked) == 4


def test_a_clock_that_was_ahead_silences_nobody(foreign: Town) -> None:
    with world(foreign, responder=False) as here:
        here.clock.advance(days=300)
        assert here.finding(foreign.holder.certificate, foreign.root) == "good"
        here.clock.advance(days=-300)
        assert here.finding(foreign.holder.certificate, foreign.root) == "good"
        assert here.servers.asked == ["crl"] * 2


def test_an_outage_is_told_without_a_word_on_the_certificate(foreign: Town, caplog: pytest.LogCaptureFixture) -> None:
    with world(foreign, ocsp_url=closed_port(), crl_url=closed_port()) as here:
        assert here.found() == UNCHECKED
    told = " ".join(record.getMessage() for record in caplog.records)
    assert ("ocsp-unreachable" in told, "crl-unreachable" in told) == (True, True)
    assert f"{foreign.holder.certificate.serial_number:x}" not in told
