"""OCSP responders and clerks: what their certificates may do, when they are renewed, and that the audit comes first."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.oid import ExtensionOID as Oid

from ca.delegates import AUDIT_LIFE, RESPONDER_LIFE, Delegation
from jpki import oids
from jpki.acts import LOCAL_OPERATOR, Act, AuditEvent
from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation, Responder
from jpki.ids import GenerationId, KeyUri
from jpki.randomness import system_randomness
from jpki.text import Text
from tests.ca.world import NOW, FolderKeys, authority, holder_key
from tests.conftest import SteppingClock


@dataclass
class Audit:
    """An audit in memory that can be made to fail."""

    events: list[AuditEvent] = field(default_factory=list)
    full: bool = False

    def record(self, event: AuditEvent) -> None:
        if self.full:
            raise JpkiError(Kind.UNAVAILABLE, "audit-unavailable", Text("満杯", "full"), Text("-", "-"))
        self.events.append(event)


@dataclass
class Book:
    """Responders in memory."""

    kept: list[Responder] = field(default_factory=list)

    def responders(self, generation: GenerationId) -> list[Responder]:
        return [each for each in self.kept if each.generation == generation]

    def add_responder(self, responder: Responder) -> None:
        self.kept.append(responder)


@dataclass
class Scene:
    """A generation, and who signs for it."""

    delegation: Delegation
    generation: Generation
    keys: FolderKeys
    audit: Audit
    book: Book
    clock: SteppingClock

    def renew(self) -> list[Responder]:
        return self.delegation.renew_responders([self.generation], self.book, LOCAL_OPERATOR)


@pytest.fixture
def scene() -> Scene:
    generation, keys = authority(Purpose.SIGNING)
    clock, audit = SteppingClock(NOW), Audit()
    delegation = Delegation(keys=keys, audit=audit, clock=clock, randomness=system_randomness)
    return Scene(delegation, generation, keys, audit, Book(), clock)


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
    clerk = scene.delegation.clerk(scene.generation, holder_key().public_key(), "clerk-1", LOCAL_OPERATOR)
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
    scene.audit.full = True
    with pytest.raises(JpkiError) as refused:
        scene.renew()
    assert refused.value.code == "audit-unavailable"
    assert scene.book.kept == []


def test_the_audit_knows_the_serial_before_the_certificate_exists(scene: Scene) -> None:
    (responder,) = scene.renew()
    (event,) = scene.audit.events
    assert event.act is Act.DELEGATE_WILL_SIGN
    assert event.subjects == (f"{responder.certificate.serial_number:032x}",)


def test_an_audit_key_is_certified_for_the_audit_and_nothing_else(scene: Scene) -> None:
    certificate, uri = scene.delegation.audit_key(scene.generation, LOCAL_OPERATOR)
    certificate.verify_directly_issued_by(scene.generation.certificate)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [each.dotted_string for each in usage] == [oids.LAB_AUDIT_SIGNING]
    assert scene.keys.signer(uri).public_key() == certificate.public_key()
    assert certificate.not_valid_after_utc == NOW + AUDIT_LIFE
    (event,) = scene.audit.events
    assert event.subjects == (f"{certificate.serial_number:032x}",)


def test_r19_no_key_is_made_where_its_issuers_key_is_not(scene: Scene) -> None:
    held = scene.keys.labels
    lost = replace(scene.generation, key=KeyUri("software:lost"))
    with pytest.raises(JpkiError) as refused:
        scene.delegation.audit_key(lost, LOCAL_OPERATOR)
    assert refused.value.code == "key-not-found"
    with pytest.raises(JpkiError) as refused:
        scene.delegation.renew_responders([lost], scene.book, LOCAL_OPERATOR)
    assert refused.value.code == "key-not-found"
    assert scene.keys.labels == held
    assert scene.audit.events == []
