"""Certificates that the CAs sign for the house itself: OCSP responders, clerks and the audit's keys."""

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca import names
from ca.extensions import key_usage
from jpki import oids
from jpki.acts import Act, Actor, AuditEvent
from jpki.clock import Clock, whole_second
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation, Responder
from jpki.ids import KeyUri, Serial, format_serial, new_serial
from jpki.ports import AuditSink, KeyProvider, ResponderBook
from jpki.randomness import Randomness, alphanumeric
from jpki.signature import KeySpec, PublicKey, algorithm_for

RESPONDER_LIFE = timedelta(days=30)
RENEW_RESPONDER_BEFORE = timedelta(days=10)
CLERK_LIFE = timedelta(days=365)
AUDIT_LIFE = timedelta(days=365)
_CLIENT_AUTHENTICATION = ExtendedKeyUsageOID.CLIENT_AUTH
_AUDIT_SIGNING = x509.ObjectIdentifier(oids.LAB_AUDIT_SIGNING)


class Delegation:
    """Signs short-lived certificates under a generation, each announced to the audit first (rule R18)."""

    def __init__(self, *, keys: KeyProvider, audit: AuditSink, clock: Clock, randomness: Randomness) -> None:
        self._keys = keys
        self._audit = audit
        self._clock = clock
        self._randomness = randomness

    def renew_responders(self, generations: list[Generation], book: ResponderBook, by: Actor) -> list[Responder]:
        """Give each generation a responder whose certificate still has ten days; return the new ones (rule R5)."""
        now = self._clock()
        renewed = []
        for generation in generations:
            # A generation near its own end cannot give its responder ten days more: the last one serves to the end.
            wanted = min(now + RENEW_RESPONDER_BEFORE, generation.not_after)
            lasting = [each for each in book.responders(generation.id) if _serves(each, now, wanted)]
            if now <= generation.not_after and not any(map(self._has_key, lasting)):
                renewed.append(self._new_responder(generation, by))
                book.add_responder(renewed[-1])
        return renewed

    def _has_key(self, responder: Responder) -> bool:
        """Tell whether the responder's key is here; without it a certificate answers nothing."""
        try:
            self._keys.signer(responder.key)
        except JpkiError as error:
            if error.kind is not Kind.UNAVAILABLE:
                raise
            return False
        return True

    def clerk(self, root: Generation, public_key: PublicKey, clerk: str, by: Actor) -> x509.Certificate:
        """Sign a clerk's client certificate under the infrastructure root; `clerk` is an opaque account name."""
        subject = names.below_root(root.purpose, (NameOID.COMMON_NAME, clerk))
        return self._sign(root, subject, public_key, CLERK_LIFE, _below_infrastructure(_CLIENT_AUTHENTICATION), by)

    def audit_key(self, root: Generation, by: Actor) -> tuple[x509.Certificate, KeyUri]:
        """Make a key that signs the audit's heads, and its certificate under the infrastructure root."""
        label, uri = self._new_key("audit", root)
        subject = names.below_root(root.purpose, (NameOID.COMMON_NAME, f"Audit {label}"))
        public_key = self._keys.signer(uri).public_key()
        certificate = self._sign(root, subject, public_key, AUDIT_LIFE, _below_infrastructure(_AUDIT_SIGNING), by)
        return certificate, uri

    def _new_responder(self, generation: Generation, by: Actor) -> Responder:
        label, uri = self._new_key(f"ocsp-{generation.id}", generation)
        subject = names.below_root(generation.purpose, (NameOID.COMMON_NAME, f"OCSP Responder {label}"))
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False),
            (x509.OCSPNoCheck(), False),
        ]
        public_key = self._keys.signer(uri).public_key()
        certificate = self._sign(generation, subject, public_key, RESPONDER_LIFE, extensions, by)
        return Responder(generation=generation.id, certificate=certificate, key=uri)

    def _new_key(self, kind: str, issuer: Generation) -> tuple[str, KeyUri]:
        """Make a key, if its issuer's is here: else each try of a node without it would leave a key behind."""
        self._keys.signer(issuer.key)
        label = f"{kind}-{alphanumeric(self._randomness, 8).lower()}"
        return label, self._keys.create(label, KeySpec.P256)

    def _sign(
        self,
        generation: Generation,
        subject: x509.Name,
        public_key: PublicKey,
        life: timedelta,
        extensions: list[tuple[x509.ExtensionType, bool]],
        by: Actor,
    ) -> x509.Certificate:
        now = whole_second(self._clock())
        serial = new_serial(self._randomness)
        self._announce(generation, serial, by)
        issuer_key = x509.SubjectKeyIdentifier(generation.key_identifier)
        builder = (
            x509.CertificateBuilder()
            .serial_number(serial)
            .issuer_name(generation.certificate.subject)
            .subject_name(subject)
            .not_valid_before(now)
            .not_valid_after(min(now + life, generation.not_after))
            .public_key(public_key)
            .add_extension(key_usage(digital_signature=True), critical=True)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key), critical=False
        ).add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        key = self._keys.signer(generation.key)
        return builder.sign(key, algorithm_for(key.public_key()).hash)

    def _announce(self, generation: Generation, serial: Serial, by: Actor) -> None:
        self._audit.record(
            AuditEvent(
                at=self._clock(),
                actor=by,
                act=Act.DELEGATE_WILL_SIGN,
                subjects=(format_serial(serial),),
                details={"generation": generation.id},
            )
        )


def _below_infrastructure(usage: x509.ObjectIdentifier) -> list[tuple[x509.ExtensionType, bool]]:
    """Return what a certificate under the infrastructure root is for: one usage, and the root's policy."""
    policy = x509.PolicyInformation(x509.ObjectIdentifier(oids.LAB_INFRASTRUCTURE_POLICY), None)
    return [(x509.ExtendedKeyUsage([usage]), False), (x509.CertificatePolicies([policy]), False)]


def _serves(responder: Responder, now: datetime, until: datetime) -> bool:
    certificate = responder.certificate
    return certificate.not_valid_before_utc <= now and certificate.not_valid_after_utc >= until
