"""The bench of lists measures what it says, in small."""

import shutil
from pathlib import Path

import pytest
from cryptography import x509

from bench import crl
from bench.revocations import OpensslCa, filled, in_use, living

pytestmark = pytest.mark.slow


def test_each_round_publishes_all_and_then_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    monkeypatch.setattr(crl, "ROUNDS", 2)
    monkeypatch.setattr(crl, "CHANGES", 3)
    rows = list(crl._complete(tmp_path, 300, ("full", 0.3), ("increment", 0.1)))  # noqa: SLF001 - in small
    assert [row["row"] for row in rows] == ["full", "increment", "crl.memory-mb"]
    assert all(len(row["raw"]["ours"]) == len(row["raw"]["openssl"]) == 2 for row in rows[:2])
    assert 10 < rows[2]["ratio"] < 250


def test_openssl_lists_the_same_certificates(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    rooms = filled(tmp_path / "home", 50, living=5)
    openssl = OpensslCa(tmp_path / "openssl", rooms)
    openssl.seconds()
    crl._forget_lists(rooms)  # noqa: SLF001 - in small
    rooms.publisher.publish_due()
    theirs = x509.load_pem_x509_crl((tmp_path / "openssl" / "list.pem").read_bytes())
    ours = x509.load_der_x509_crl(crl._list_of(rooms).read_bytes())  # noqa: SLF001 - in small
    assert {each.serial_number for each in theirs} == {each.serial_number for each in ours}
    assert len(ours) == 50
    assert not set(living(rooms)) & {each.serial_number for each in ours}
    rooms.close()


def test_a_list_of_another_length_ends_the_bench(tmp_path: Path) -> None:
    rooms = filled(tmp_path / "home", 10)
    crl._forget_lists(rooms)  # noqa: SLF001 - in small
    rooms.publisher.publish_due()
    crl._read_outside(rooms, 10)  # noqa: SLF001 - in small
    with pytest.raises(crl.WrongList):
        crl._read_outside(rooms, 11)  # noqa: SLF001 - in small
    assert in_use(rooms) > 1700
    rooms.close()
