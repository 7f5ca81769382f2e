"""What the outside world makes of our deltas and ARLs: OpenSSL, GnuTLS, Java and pkilint."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from jpki.clock import system_clock
from jpki.partition import ARL, DELTA
from jpki.revocation import Reason
from tests.crl.authority import CHIYODA, END, SIGNING_ARL, Leaf, certificate, generation, named_in, serial
from tests.crl.combining import entries_of
from tests.crl.fakes import World
from tests.crl.test_outside import pem, program, run
from tests.interop.java import java

pytestmark = pytest.mark.slow

OK, NO_LIST, STALE, REVOKED, DIFFERENT_SCOPE = 0, 3, 12, 23, 44
HOUR = timedelta(hours=1)
LISTED, HELD, NEWLY, LAST, NEVER = range(1, 6)
"""Revoked and on hold in the first list; the second revokes another and releases the held one; the third one more."""
VERIFY = "verify", "-x509_strict", "-crl_check"
WITH_DELTAS = *VERIFY, "-extended_crl", "-use_deltas"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Three publications, up to an hour ago."""
    world = World(tmp_path_factory.mktemp("deltas"))
    begun, register = system_clock() - 3 * HOUR, world.register
    for step in range(3):
        now = world.clock.now = begun + step * HOUR
        if step == 0:
            register.revoke(serial(LISTED), at=now)
            register.revoke(serial(HELD), at=now, reason=Reason.CERTIFICATE_HOLD)
        elif step == 1:
            register.revoke(serial(NEWLY), at=now)
            register.release(serial(HELD), now)
        else:
            register.revoke(serial(LAST), at=now)
        world.publisher().publish_due()
    return world


def lists(world: World, names: Sequence[str], generation_id: str = "s1") -> str:
    archive = world.home / "crl-archive" / "signing" / generation_id
    found = [x509.load_der_x509_crl((archive / f"{name}.crl").read_bytes()) for name in names]
    return pem(world.home / "lists.pem", *found)


def leaf(world: World, number: int, generation_id: str = "s1") -> str:
    wanted = Leaf(serial=serial(number), generation=generation_id, points=named_in(CHIYODA, generation_id))
    return pem(world.home / f"{number}.pem", certificate(wanted))


def root(world: World, generation_id: str = "s1") -> str:
    return pem(world.home / f"{generation_id}.pem", generation(generation_id).certificate)


def by_openssl(world: World, number: int, *names: str, command: Sequence[str] = WITH_DELTAS, at: str = "") -> int:
    """Return the number of OpenSSL's error."""
    moment = ("-attime", at) if at else ()
    done = run(
        program("openssl"), *command, *moment, "-CAfile", root(world), "-CRLfile", lists(world, names),
        leaf(world, number),
    )  # fmt: skip
    if done.returncode == 0:
        return OK
    return int(next(line for line in done.stderr.splitlines() if line.startswith("error ")).split()[1])


@pytest.mark.parametrize(
    ("names", "verdicts"),
    [
        (("complete-1",), [REVOKED, REVOKED, OK, OK, OK]),
        (("complete-1", "delta-2"), [REVOKED, OK, REVOKED, OK, OK]),
        (("delta-3", "complete-1"), [REVOKED, OK, REVOKED, REVOKED, OK]),
        (("complete-2", "delta-3"), [REVOKED, OK, REVOKED, REVOKED, OK]),
        (("complete-3", "delta-2"), [REVOKED, OK, REVOKED, REVOKED, OK]),
        (("complete-3", "delta-3"), [REVOKED, OK, REVOKED, REVOKED, OK]),
        (("complete-1", "delta-1"), [REVOKED, REVOKED, OK, OK, OK]),
        (("delta-3",), [NO_LIST] * 5),
    ],
    ids=["no delta", "its delta", "a later delta", "of a list between", "stale", "its own number", "empty", "no list"],
)
def test_openssl_brings_a_list_up_to_date_by_a_delta_of_it(
    world: World, names: Sequence[str], verdicts: Sequence[int]
) -> None:
    assert [by_openssl(world, number, *names) for number in range(LISTED, NEVER + 1)] == verdicts


@pytest.mark.parametrize("command", [VERIFY, (*VERIFY, "-use_deltas")], ids=["no option", "use_deltas alone"])
def test_openssl_without_extended_crl_takes_a_delta_for_a_complete_list(world: World, command: Sequence[str]) -> None:
    """A danger that verifiers are told of (docs/verifiers.md): a revoked certificate passes."""
    assert by_openssl(world, LISTED, "complete-1", command=command) == REVOKED
    assert by_openssl(world, LISTED, "complete-1", "delta-3", command=command) == OK


def test_with_openssl_a_list_that_ended_lasts_as_long_as_a_delta_of_it(world: World) -> None:
    """The first list ends 45 hours from now, the third and its delta 47."""

    def in_hours(hours: int, *names: str) -> int:
        return by_openssl(world, NEVER, *names, at=str(int((system_clock() + hours * HOUR).timestamp())))

    assert [in_hours(46, "complete-1"), in_hours(46, "complete-1", "delta-3")] == [STALE, OK]
    assert in_hours(48, "complete-1", "delta-3") == in_hours(48, "complete-3", "delta-3") == STALE


def test_r23_openssl_takes_no_delta_of_another_generation(world: World) -> None:
    archive = world.home / "crl-archive" / "signing"
    first = x509.load_der_x509_crl((archive / "s1" / "complete-1.crl").read_bytes())
    other = x509.load_der_x509_crl((archive / "s2" / "delta-3.crl").read_bytes())
    both = pem(world.home / "both.pem", generation("s2").certificate, generation("s1").certificate)
    given = pem(world.home / "given.pem", first, other)
    done = run(program("openssl"), *WITH_DELTAS, "-CAfile", both, "-CRLfile", given, leaf(world, HELD))
    assert f"error {REVOKED} " in done.stderr, "it was released by that delta"


@pytest.mark.parametrize("command", [VERIFY, WITH_DELTAS], ids=["plain", "extended"])
def test_openssl_takes_no_arl_for_a_holders_certificate(world: World, command: Sequence[str]) -> None:
    assert by_openssl(world, LISTED, "arl-1", command=command) == DIFFERENT_SCOPE
    assert by_openssl(world, LISTED, "complete-1", "arl-1", command=command) == REVOKED


def test_openssl_decides_about_a_compromised_root_by_the_arl(tmp_path: Path) -> None:
    """As it would be asked about a root that another key signed: by the CA's own name in its distribution point."""
    world = World(tmp_path)
    world.clock.now = system_clock() - HOUR
    world.register.revoke(serial(7), SIGNING_ARL, at=world.clock.now, reason=Reason.CA_COMPROMISE)
    world.publisher().publish_due()
    name = x509.DirectoryName(generation("s1").certificate.subject)
    points = [x509.DistributionPoint(full_name=[name], relative_name=None, reasons=None, crl_issuer=None)]
    verdicts = []
    for number in (7, 8):
        authority = pem(tmp_path / "ca.pem", certificate(Leaf(serial=serial(number), points=points, ca=True)))
        done = run(
            program("openssl"), "verify", "-crl_check", "-CAfile", root(world),
            "-CRLfile", lists(world, ["arl-1"]), authority,
        )  # fmt: skip
        verdicts.append(f"error {REVOKED} " in done.stderr if done.returncode else None)
    assert verdicts == [True, None]


def test_gnutls_takes_a_delta_for_a_complete_list(world: World) -> None:
    """Another danger that verifiers are told of; the list alone it judges rightly."""

    def by_certtool(number: int, *names: str) -> bool:
        done = run(
            program("certtool"), "--verify", "--verify-profile", "medium", "--load-ca-certificate", root(world),
            "--load-crl", lists(world, names), "--infile", leaf(world, number),
        )  # fmt: skip
        assert "Chain verification output" in done.stdout
        return done.returncode == 0

    assert [by_certtool(number, "complete-3") for number in range(LISTED, NEVER + 1)] == [
        False,
        True,
        False,
        False,
        True,
    ]
    assert by_certtool(LISTED, "complete-3", "delta-3")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("complete-1", "delta-2"), ["revoked", "revoked", "good"]),
        (("complete-3", "delta-3"), ["revoked", "good", "revoked"]),
        (("delta-3",), ["UNDETERMINED_REVOCATION_STATUS"] * 3),
        (("arl-1",), ["UNDETERMINED_REVOCATION_STATUS"] * 3),
    ],
    ids=["older list", "newest list", "delta alone", "arl"],
)
def test_java_goes_by_the_complete_list_and_passes_over_deltas(
    world: World, names: Sequence[str], words: Sequence[str]
) -> None:
    """PKIXRevocationChecker knows no deltas: the critical extension keeps it from taking one for a list."""
    found = []
    for number in (LISTED, HELD, NEWLY):
        done = java("GenerationCheck", leaf(world, number), lists(world, names), root(world))
        assert done.code == 0, done.text
        found.append(done.text.split()[0])
    assert found == words


@pytest.mark.parametrize("name", ["delta-1", "delta-2", "delta-3", "arl-1"])
def test_pkilint_finds_nothing(world: World, name: str) -> None:
    assert findings(world.home / "crl-archive" / "signing" / "s1" / f"{name}.crl") == (0, "")


def test_pkilint_finds_nothing_in_a_delta_that_removes_what_ended(tmp_path: Path) -> None:
    world = World(tmp_path)
    begun = world.clock.now = system_clock() - 80 * HOUR
    for number in range(4):
        world.register.revoke(serial(number), at=begun, not_after=begun + 30 * HOUR if number % 2 else END)
    for hours in (0, 20, 40, 60):
        world.clock.now = begun + hours * HOUR
        world.register.revoke(serial(hours + 9), at=world.clock.now)
        world.publisher().publish_due()
    file = world.home / "crl" / "signing" / "s1" / f"{DELTA}.crl"
    flags = {reason for _, reason in entries_of(x509.load_der_x509_crl(file.read_bytes())).values()}
    assert x509.ReasonFlags.remove_from_crl in flags
    assert findings(file) == (0, "")
    assert findings(file.with_name(f"{ARL}.crl")) == (0, "")


def findings(file: Path) -> tuple[int, str]:
    done = run(program("lint_crl"), "lint", "-t", "CRL", "-p", "PKIX", "-s", "WARNING", str(file))
    return done.returncode, done.stdout.strip() + done.stderr
