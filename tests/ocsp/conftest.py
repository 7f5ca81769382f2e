"""The responder that most tests ask: it speaks for three generations of two CAs."""

from collections.abc import Mapping

import pytest

from jpki.certificate import Purpose
from jpki.ids import Serial
from jpki.revocation import Status
from ocsp.issuers import Issuer
from ocsp.responder import Responder
from tests.ocsp.authority import NOW, issuer, ledger


@pytest.fixture
def issuers() -> list[Issuer]:
    return [issuer("s2"), issuer("s1"), issuer("a1", Purpose.AUTHENTICATION)]


@pytest.fixture
def rows() -> dict[Serial, Status]:
    return ledger()


@pytest.fixture
def responder(issuers: list[Issuer], rows: Mapping[Serial, Status]) -> Responder:
    return Responder(lambda: issuers, rows.get, lambda: NOW)
