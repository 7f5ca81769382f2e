"""What the outside world makes of our lists: OpenSSL and pkilint."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from jpki.ids import PartitionId
from jpki.partition import ARL, COMPLETE, DELTA
from jpki.revocation import Reason
from tests.crl.authority import (
    BIRTH,
    CHIYODA,
    CHUO,
    END,
    TODAY,
    Leaf,
    certificate,
    generation,
    key_of,
    named_in,
    serial,
)
from tests.crl.fakes import World

pytestmark = pytest.mark.slow

OK = 0
NO_LIST = 3
REVOKED = 23
DIFFERENT_SCOPE = 44
AN_HOUR_LATER = str(int(TODAY.timestamp()) + 3600)


def program(name: str) -> str:
    beside_python = Path(sys.executable).parent / name
    found = str(beside_python) if beside_python.exists() else shutil.which(name)
    return found or pytest.skip(f"no {name} here")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Lists as published: a certificate for each reason in one partition, none in the other."""
    world = World(tmp_path)
    world.register.partitions.append(CHUO)
    for number, reason in enumerate(Reason):
        world.register.revoke(serial(number), CHIYODA, reason=reason)
    world.publisher().publish_due()
    return world


def list_at(world: World, partition: PartitionId = CHIYODA.id, generation_id: str = "s1") -> Path:
    return world.home / "crl" / "signing" / generation_id / f"{partition}.crl"


def pem(path: Path, *objects: x509.Certificate | x509.CertificateRevocationList) -> str:
    path.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in objects))
    return str(path)


def verdict(world: World, leaf: x509.Certificate, crl: Path, *options: str) -> int:
    """Return OpenSSL's error number for `leaf` under both generations, with this list only; 0 is OK."""
    both = pem(world.home / "roots.pem", generation("s2").certificate, generation("s1").certificate)
    command = [program("openssl"), "verify", "-x509_strict", "-crl_check", "-attime", AN_HOUR_LATER, *options]
    lists = pem(world.home / "list.pem", x509.load_der_x509_crl(crl.read_bytes()))
    done = run(*command, "-CAfile", both, "-CRLfile", lists, pem(world.home / "leaf.pem", leaf))
    if done.returncode == 0:
        return OK
    return int(next(line for line in done.stderr.splitlines() if line.startswith("error ")).split()[1])


def leaf(number: int, generation_id: str = "s1") -> x509.Certificate:
    return certificate(Leaf(serial=serial(number), generation=generation_id, points=named_in(CHIYODA, generation_id)))


def test_openssl_accepts_a_good_certificate_by_its_partition_and_by_the_complete_list(world: World) -> None:
    assert verdict(world, leaf(99), list_at(world)) == OK
    assert verdict(world, leaf(99), list_at(world, COMPLETE)) == OK


@pytest.mark.parametrize("number", range(len(Reason)))
def test_openssl_refuses_a_revoked_certificate_whatever_the_reason(world: World, number: int) -> None:
    assert verdict(world, leaf(number), list_at(world)) == REVOKED
    assert verdict(world, leaf(number), list_at(world, COMPLETE)) == REVOKED


def test_openssl_refuses_the_list_of_another_partition(world: World) -> None:
    assert verdict(world, leaf(99), list_at(world, CHUO.id)) == DIFFERENT_SCOPE


@pytest.mark.parametrize("of_list", ["s1", "s2"])
@pytest.mark.parametrize("of_leaf", ["s1", "s2"])
@pytest.mark.parametrize("partition", [CHIYODA.id, COMPLETE])
def test_r23_openssl_refuses_a_revoked_certificate_by_the_list_of_either_generation(
    world: World, of_leaf: str, of_list: str, partition: PartitionId
) -> None:
    """OpenSSL takes no list of another root's key; the certificate stays refused."""
    expected = REVOKED if of_leaf == of_list else NO_LIST
    assert verdict(world, leaf(1, of_leaf), list_at(world, partition, of_list)) == expected


@pytest.mark.parametrize("partition", [CHIYODA.id, COMPLETE])
def test_r23_openssl_finds_the_revoked_on_the_next_generations_list(world: World, partition: PartitionId) -> None:
    """Where a link certificate joins the generations, the new key's list speaks for the old key's certificates."""
    joined = "-extended_crl", "-untrusted", pem(world.home / "link.pem", link_certificate())
    assert verdict(world, leaf(1, "s1"), list_at(world, partition, "s2"), *joined) == REVOKED
    assert verdict(world, leaf(99, "s1"), list_at(world, partition, "s2"), *joined) == OK


def link_certificate() -> x509.Certificate:
    """The new generation's key under the old one's signature (RFC 4210 4.4.1, newWithOld)."""
    old, new = generation("s1"), generation("s2")
    builder = x509.CertificateBuilder(old.certificate.subject, new.certificate.subject, new.public_key, 77, BIRTH, END)
    for extension in new.certificate.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    identifier = x509.AuthorityKeyIdentifier(old.key_identifier, None, None)
    return builder.add_extension(identifier, critical=False).sign(key_of("s1"), SHA256())


@pytest.mark.parametrize("generation_id", ["s1", "s2"])
def test_openssl_reads_every_list(world: World, generation_id: str) -> None:
    root = pem(world.home / "root.pem", generation(generation_id).certificate)
    for path in (world.home / "crl" / "signing" / generation_id).iterdir():
        done = run(program("openssl"), "crl", "-inform", "DER", "-in", str(path), "-noout", "-text", "-CAfile", root)
        assert "verify OK" in done.stdout + done.stderr, path.name
        assert ("No Revoked Certificates" in done.stdout) == (path.stem in {CHUO.id, DELTA, ARL})


@pytest.mark.parametrize("partition", [CHIYODA.id, CHUO.id, COMPLETE, DELTA, ARL])
def test_pkilint_finds_nothing(world: World, partition: PartitionId) -> None:
    lint = (program("lint_crl"), "lint", "-t", "CRL", "-p", "PKIX", "-s", "WARNING")
    done = run(*lint, str(list_at(world, partition)))
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stdout + done.stderr
