"""A list that does not read as it was meant does not leave."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from crl.builder import Edition, certificate_list, encode_entries
from crl.check import check_list, number_of
from jpki.errors import JpkiError, Kind
from jpki.ports import RevokedEntry
from jpki.revocation import Reason
from tests.crl.authority import TODAY, generation, key_of, serial

ENTRIES = [RevokedEntry(serial(number), TODAY, Reason.SUPERSEDED) for number in range(3)]
MEANT = Edition(number=5, this_update=TODAY, next_update=TODAY + timedelta(days=2), revoked=encode_entries(ENTRIES))
SIGNER = generation("s1")
STRANGER = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stranger")])
RENAMED = replace(
    SIGNER,
    certificate=x509.CertificateBuilder(
        STRANGER, STRANGER, SIGNER.public_key, 1, TODAY, TODAY + timedelta(days=9)
    ).sign(key_of("s1"), SHA256()),
)


def written(edition: Edition = MEANT) -> bytes:
    return certificate_list(edition, SIGNER, None, key_of("s1"))


def with_entries(entries: Sequence[RevokedEntry]) -> bytes:
    return written(replace(MEANT, revoked=encode_entries(entries)))


def test_what_was_meant_passes() -> None:
    check_list(written(), MEANT, SIGNER, ENTRIES)
    check_list(with_entries([]), MEANT, SIGNER, [])
    check_list(with_entries(ENTRIES[:1]), MEANT, SIGNER, ENTRIES[:1])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: written()[:-1],
        lambda: written()[:-1] + bytes([written()[-1] ^ 1]),
        lambda: certificate_list(MEANT, SIGNER, None, key_of("s2")),
        lambda: certificate_list(MEANT, RENAMED, None, key_of("s1")),
        lambda: written(replace(MEANT, number=6)),
        lambda: written(replace(MEANT, this_update=TODAY + timedelta(seconds=1))),
        lambda: with_entries([]),
        lambda: with_entries([ENTRIES[0], ENTRIES[2]]),
        lambda: with_entries([*ENTRIES[:2], replace(ENTRIES[2], serial=serial(9))]),
        lambda: with_entries([replace(ENTRIES[0], serial=serial(9)), *ENTRIES[1:]]),
    ],
    ids=["cut", "broken", "key", "issuer", "number", "time", "empty", "one less", "last", "first"],
)
def test_anything_else_does_not(wrong: Callable[[], bytes]) -> None:
    with pytest.raises(JpkiError) as error:
        check_list(wrong(), MEANT, SIGNER, ENTRIES)
    assert (error.value.kind, error.value.code) == (Kind.INTERNAL, "crl-faulty")


def test_a_list_without_number_has_none() -> None:
    builder = x509.CertificateRevocationListBuilder(x509.Name([]), TODAY, TODAY + timedelta(days=1))
    with pytest.raises(ValueError, match="no cRLNumber"):
        number_of(builder.sign(key_of("s1"), SHA256()))
