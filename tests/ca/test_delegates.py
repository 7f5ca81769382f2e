"""OCSP responders and clerks: what their certificates may do, when they are renewed, and that the audit comes first."""

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.oid import ExtensionOID as Oid

from ca.delegates import AUDIT_LIFE, RESPONDER_LIFE, TIME_STAMPING_LIFE, Delegation
from ca.extensions import key_usage
from ca.recorder import Recorder
from hsm_adapter.software import SoftwareKeys
from jpki import oids
from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import Purpose
from jpki.delegate import DelegateKind
from jpki.errors import JpkiError
from jpki.generation import Generation, Responder
from jpki.ids import GenerationId, KeyUri, Serial
from jpki.randomness import system_randomness
from tests.ca.memory_delegates import MemoryDelegates
from tests.ca.world import NOW, authority, holder_key
from tests.conftest import SteppingClock


@dataclass
class Scene:
    """A generation, and who signs for it."""

    delegation: Delegation
    generation: Generation
    keys: SoftwareKeys
    ledger: MemoryDelegates
    clock: SteppingClock

    def renew(self) -> list[Responder]:
        return self.delegation.renew_responders([self.generation], LOCAL_OPERATOR)


@pytest.fixture
def scene() -> Scene:
    generation, keys = authority(Purpose.SIGNING)
    clock, ledger = SteppingClock(NOW), MemoryDelegates()
    recorder = Recorder(ledger=ledger, clock=clock, randomness=system_randomness)
    delegation = Delegation(keys=keys, recorder=recorder, book=ledger, clock=clock, randomness=system_randomness)
    return Scene(delegation, generation, keys, ledger, clock)


def test_r14_a_responder_may_answer_and_nothing_else(scene: Scene) -> None:
    (responder,) = scene.renew()
    certificate = responder.certificate
    certificate.verify_directly_issued_by(scene.generation.certificate)
    assert [each.oid for each in certificate.extensions] == [
        Oid.KEY_USAGE,
        Oid.EXTENDED_KEY_USAGE,
        Oid.OCSP_NO_CHECK,
        Oid.AUTHORITY_KEY_IDENTIFIER,
        Oid.SUBJECT_KEY_IDENTIFIER,
    ]
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.OCSP_SIGNING]
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == RESPONDER_LIFE
    assert certificate.serial_number >> 126 == 1


def test_r14_no_certificate_of_a_holder_or_clerk_may_answer(scene: Scene) -> None:
    clerk = scene.delegation.client(
        scene.generation, holder_key().public_key(), DelegateKind.CLERK, "clerk-1", LOCAL_OPERATOR
    )
    usages = clerk.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_r05_a_responder_is_renewed_when_ten_days_are_left_and_not_before(scene: Scene) -> None:
    assert len(scene.renew()) == 1
    assert scene.renew() == []
    scene.clock.advance(days=20)
    assert scene.renew() == []
    scene.clock.advance(seconds=1)
    (second,) = scene.renew()
    assert second.certificate.not_valid_after_utc == NOW + timedelta(days=50, seconds=1)


def test_r25_a_responder_ends_with_its_issuer_and_is_not_renewed_past_it(scene: Scene) -> None:
    scene.clock.now = scene.generation.not_after - timedelta(days=5)
    (last,) = scene.renew()
    assert last.certificate.not_valid_after_utc == scene.generation.not_after
    assert scene.renew() == []
    scene.clock.now = scene.generation.not_after + timedelta(seconds=1)
    assert scene.renew() == []


def test_r18_nothing_is_signed_while_the_audit_is_full(scene: Scene) -> None:
    scene.ledger.full = True
    with pytest.raises(JpkiError) as refused:
        scene.renew()
    assert refused.value.code == "audit-unavailable"
    assert scene.ledger.signed == {}


def test_r02_the_exact_octets_are_recorded_before_the_certificate_exists(scene: Scene) -> None:
    (responder,) = scene.renew()
    serial = Serial(responder.certificate.serial_number)
    (intent,) = scene.ledger.intended.values()
    assert (intent.serial, intent.kind, intent.key) == (serial, DelegateKind.RESPONDER, responder.key)
    assert intent.to_be_signed == responder.certificate.tbs_certificate_bytes
    assert intent.not_after == responder.certificate.not_valid_after_utc


class Crash(BaseException):
    """The process dies."""


def test_r02_what_a_crash_left_intended_is_never_signed_again(scene: Scene) -> None:
    def die(serial: Serial) -> NoReturn:
        del serial
        raise Crash

    whole, scene.ledger.before_completing = scene.ledger.before_completing, die
    with pytest.raises(Crash):
        scene.renew()
    assert (len(scene.ledger.intended), scene.ledger.signed) == (1, {})
    (left,) = scene.ledger.intended
    scene.ledger.before_completing = whole
    (responder,) = scene.renew()
    assert responder.certificate.serial_number != left
    assert set(scene.ledger.signed) == {responder.certificate.serial_number}


def test_while_the_authority_key_is_away_no_responder_key_is_made(scene: Scene, tmp_path: Path) -> None:
    elsewhere = SoftwareKeys(tmp_path, lambda: b"passphrase")
    recorder = Recorder(ledger=scene.ledger, clock=scene.clock, randomness=system_randomness)
    delegation = Delegation(
        keys=elsewhere, recorder=recorder, book=scene.ledger, clock=scene.clock, randomness=system_randomness
    )
    with pytest.raises(JpkiError) as refused:
        delegation.renew_responders([scene.generation], LOCAL_OPERATOR)
    assert refused.value.code == "key-not-found"
    assert (list(tmp_path.iterdir()), scene.ledger.intended) == ([], {})


def test_r05_a_generation_that_cannot_be_served_does_not_keep_the_others_waiting(scene: Scene) -> None:
    lost = replace(scene.generation, id=GenerationId("s9"), key=KeyUri("software:lost"))
    with pytest.raises(JpkiError):
        scene.delegation.renew_responders([lost, scene.generation], LOCAL_OPERATOR)
    assert len(scene.ledger.responders(scene.generation.id)) == 1


def test_an_audit_key_is_certified_for_the_audit_and_nothing_else(scene: Scene) -> None:
    certificate, uri = scene.delegation.audit_key(scene.generation, LOCAL_OPERATOR)
    certificate.verify_directly_issued_by(scene.generation.certificate)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [each.dotted_string for each in usage] == [oids.LAB_AUDIT_SIGNING]
    assert scene.keys.signer(uri).public_key() == certificate.public_key()
    assert certificate.not_valid_after_utc == NOW + AUDIT_LIFE
    (intent,) = scene.ledger.intended.values()
    assert (intent.serial, intent.kind, intent.key) == (certificate.serial_number, DelegateKind.AUDIT, uri)


def test_r19_no_audit_key_is_made_where_its_issuers_key_is_not(scene: Scene, tmp_path: Path) -> None:
    elsewhere = SoftwareKeys(tmp_path, lambda: b"passphrase")
    recorder = Recorder(ledger=scene.ledger, clock=scene.clock, randomness=system_randomness)
    delegation = Delegation(
        keys=elsewhere, recorder=recorder, book=scene.ledger, clock=scene.clock, randomness=system_randomness
    )
    with pytest.raises(JpkiError) as refused:
        delegation.audit_key(scene.generation, LOCAL_OPERATOR)
    assert refused.value.code == "key-not-found"
    assert (list(tmp_path.iterdir()), scene.ledger.intended) == ([], {})


def test_a_time_stamping_certificate_stamps_and_nothing_else(scene: Scene) -> None:
    unit = scene.delegation.time_stamping_unit(scene.generation, LOCAL_OPERATOR)
    certificate = unit.certificate
    certificate.verify_directly_issued_by(scene.generation.certificate)
    assert [(each.oid, each.critical) for each in certificate.extensions] == [
        (Oid.KEY_USAGE, True),
        (Oid.EXTENDED_KEY_USAGE, True),
        (Oid.CERTIFICATE_POLICIES, False),
        (Oid.AUTHORITY_KEY_IDENTIFIER, False),
        (Oid.SUBJECT_KEY_IDENTIFIER, False),
    ]
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.TIME_STAMPING]
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage == key_usage(digital_signature=True)
    assert certificate.not_valid_before_utc == NOW
    assert certificate.not_valid_after_utc == NOW + TIME_STAMPING_LIFE
    assert scene.keys.signer(unit.key).public_key() == certificate.public_key()
    assert unit.key.startswith("software:tsa-")


def test_r25_a_time_stamping_certificate_ends_with_its_root(scene: Scene) -> None:
    scene.clock.now = scene.generation.not_after - timedelta(days=365)
    unit = scene.delegation.time_stamping_unit(scene.generation, LOCAL_OPERATOR)
    assert unit.certificate.not_valid_after_utc == scene.generation.not_after


def test_r02_a_time_stamping_certificate_is_recorded_before_it_is_signed(scene: Scene) -> None:
    unit = scene.delegation.time_stamping_unit(scene.generation, LOCAL_OPERATOR)
    (intent,) = scene.ledger.intended.values()
    assert (intent.serial, intent.kind, intent.key) == (unit.certificate.serial_number, DelegateKind.TSA, unit.key)
    assert intent.to_be_signed == unit.certificate.tbs_certificate_bytes
    scene.ledger.full = True
    with pytest.raises(JpkiError) as refused:
        scene.delegation.time_stamping_unit(scene.generation, LOCAL_OPERATOR)
    assert refused.value.code == "audit-unavailable"
    assert len(scene.ledger.signed) == 1


def test_r19_no_time_stamping_key_is_made_where_its_issuers_key_is_not(scene: Scene, tmp_path: Path) -> None:
    elsewhere = SoftwareKeys(tmp_path, lambda: b"passphrase")
    recorder = Recorder(ledger=scene.ledger, clock=scene.clock, randomness=system_randomness)
    delegation = Delegation(
        keys=elsewhere, recorder=recorder, book=scene.ledger, clock=scene.clock, randomness=system_randomness
    )
    with pytest.raises(JpkiError) as refused:
        delegation.time_stamping_unit(scene.generation, LOCAL_OPERATOR)
    assert refused.value.code == "key-not-found"
    assert (list(tmp_path.iterdir()), scene.ledger.intended) == ([], {})
