"""What an event does to a holder's certificates, as the judge decides it without a ledger."""

from datetime import UTC, datetime, timedelta

import pytest

from enroll.resident_events import Judge, Judged, NotNow
from jpki.certificate import CARD, Carrier, Purpose, Validity
from jpki.holder import Holder
from jpki.ids import GenerationId, HolderCode, PartitionId, Serial
from jpki.ports import CertificateRecord
from jpki.resident import Registration, Resident
from jpki.resident_event import CARD_KINDS, Kind, ResidentEvent, SourceName
from jpki.revocation import Reason, State, Status
from tests.ca.world import HANAKO

THEN = datetime(2026, 11, 1, tzinfo=UTC)
PHONE = Carrier("mobile:phone-1")
SIGNING, AUTHENTICATION = Purpose.SIGNING, Purpose.AUTHENTICATION
BEFORE, SINCE = -1, 1
HERE = Resident(holder=HANAKO, registration=Registration.RESIDENT, is_ward=False, stay_until=None)


def certificate(
    number: int, purpose: Purpose, days: int, carrier: Carrier = CARD, state: State = State.ACTIVE
) -> CertificateRecord:
    validity = Validity(THEN + timedelta(days=days), THEN + timedelta(days=2000))
    return CertificateRecord(
        serial=Serial(number),
        purpose=purpose,
        carrier=carrier,
        holder=HANAKO.code,
        validity=validity,
        profile_hash="0" * 64,
        status=Status(
            serial=Serial(number),
            generation=GenerationId("s1"),
            partition=PartitionId("p0001"),
            not_after=validity.not_after,
            state=state,
        ),
    )


def judged(kind: Kind, *records: CertificateRecord, asking: bool = True, disclosed: Holder = HANAKO) -> Judged:
    event = ResidentEvent(
        source=SourceName("131016"), sequence=1, kind=kind, holder=HolderCode(HANAKO.code), effective_at=THEN
    )
    judge = Judge(ask=(lambda _: HERE) if asking else None, disclosed=lambda *_: disclosed)
    return judge.judge(event, records, dead=False)


@pytest.mark.parametrize("kind", sorted(CARD_KINDS))
def test_what_hangs_on_a_later_card_outlives_the_old_one(kind: Kind) -> None:
    old = certificate(1, AUTHENTICATION, BEFORE)
    phone, own = certificate(2, SIGNING, BEFORE, PHONE), certificate(3, AUTHENTICATION, BEFORE, PHONE)
    later = certificate(4, SIGNING, SINCE)
    assert set(judged(kind, old, phone, own, later).ends) == {old.serial, own.serial}
    assert set(judged(kind, old, phone, own).ends) == {old.serial, phone.serial, own.serial}


def test_what_was_issued_in_the_same_second_was_issued_since() -> None:
    assert judged(Kind.MOVED, certificate(1, SIGNING, 0), asking=False).ends == {}
    assert judged(Kind.MOVED, certificate(1, SIGNING, BEFORE), asking=False).ends == {1: Reason.AFFILIATION_CHANGED}


@pytest.mark.parametrize("state", [State.RESERVED, State.INTENDED])
def test_what_is_not_signed_yet_cannot_be_compared_and_is_looked_at_again(state: State) -> None:
    with pytest.raises(NotNow):
        judged(Kind.MOVED, certificate(1, SIGNING, SINCE, state=state))
    assert set(judged(Kind.MOVED, certificate(1, SIGNING, BEFORE, state=state)).ends) == {1}


def test_nobody_asks_the_register_about_what_an_event_does_not_touch() -> None:
    assert judged(Kind.MOVED, certificate(1, AUTHENTICATION, SINCE), asking=False) == Judged()
