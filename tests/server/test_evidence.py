"""What the ledger says to document validation of certificates whose CA key was compromised."""

from dataclasses import replace
from datetime import timedelta

import pytest

from jpki.certificate import Purpose
from jpki.ids import GenerationId, PartitionId, Serial
from jpki.ports import StatusSource
from jpki.revocation import Finding, Reason, RevocationEvidence, State, Status
from server.evidence import LedgerEvidence
from tests.ca import world

ISSUER, _ = world.authority(Purpose.SIGNING)
SINCE = world.NOW + timedelta(days=3)
NOW = world.NOW + timedelta(days=5)
CERTIFICATE = ISSUER.certificate
"""Any certificate will do: the ledger is asked by its serial."""


def said(status: StatusSource, *, days: int, compromised: bool = True) -> RevocationEvidence:
    generation = replace(ISSUER, compromised_at=SINCE if compromised else None)
    evidence = LedgerEvidence(lambda: [generation], status, lambda: NOW)
    found = evidence.evidence(CERTIFICATE, generation.certificate, world.NOW + timedelta(days=days))
    assert found is not None
    return found


def nothing(serial: Serial) -> None:
    del serial


def elsewhere(serial: Serial) -> Status:
    return Status(
        serial=serial,
        generation=GenerationId("s2"),
        partition=PartitionId("p0001"),
        not_after=NOW,
        state=State.ACTIVE,
    )


@pytest.mark.parametrize("status", [nothing, elsewhere])
def test_what_the_ledger_does_not_know_may_be_forged_from_the_compromise_on(status: StatusSource) -> None:
    after = said(status, days=3)
    assert (after.finding, after.revoked_at, after.reason) == (Finding.REVOKED, SINCE, Reason.CA_COMPROMISE)
    # Before it, it is not vouched for either: whoever has the key can date a certificate back.
    assert said(status, days=2).finding is Finding.UNKNOWN
    assert said(status, days=4, compromised=False).finding is Finding.UNKNOWN


def test_a_stranger_is_none_of_its_business() -> None:
    other, _ = world.authority(Purpose.AUTHENTICATION)
    evidence = LedgerEvidence(lambda: [ISSUER], nothing, lambda: NOW)
    assert evidence.evidence(CERTIFICATE, other.certificate, NOW) is None
