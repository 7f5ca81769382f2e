"""Certificates that the CAs sign for the house itself: OCSP responders, clients, servers, the audit, time-stamps."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca import names
from ca.extensions import key_usage
from ca.recorder import Recorder, Subject
from jpki import oids
from jpki.acts import Actor
from jpki.clock import Clock, whole_second
from jpki.delegate import DelegateKind, TimeStampingUnit
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation, Responder
from jpki.ids import KeyUri
from jpki.ports import KeyProvider, ResponderBook
from jpki.randomness import Randomness, alphanumeric
from jpki.signature import KeySpec, PublicKey

RESPONDER_LIFE = timedelta(days=30)
RENEW_RESPONDER_BEFORE = timedelta(days=10)
CLIENT_LIFE = timedelta(days=365)
SERVER_LIFE = timedelta(days=365)
AUDIT_LIFE = timedelta(days=365)
TIME_STAMPING_LIFE = timedelta(days=3 * 365)
_CLIENT_AUTHENTICATION = ExtendedKeyUsageOID.CLIENT_AUTH
_SERVER_AUTHENTICATION = ExtendedKeyUsageOID.SERVER_AUTH
_AUDIT_SIGNING = x509.ObjectIdentifier(oids.LAB_AUDIT_SIGNING)
_TIME_STAMPING = ExtendedKeyUsageOID.TIME_STAMPING
_CRITICAL = x509.ExtendedKeyUsage([_TIME_STAMPING])
"""The one usage that must be critical (RFC 3161 2.3)."""


class Delegation:
    """Signs short-lived certificates under a generation, each recorded first (rules R2, R18)."""

    def __init__(
        self, *, keys: KeyProvider, recorder: Recorder, book: ResponderBook, clock: Clock, randomness: Randomness
    ) -> None:
        self._keys = keys
        self._recorder = recorder
        self._book = book
        self._clock = clock
        self._randomness = randomness

    def renew_responders(self, generations: Sequence[Generation], by: Actor) -> list[Responder]:
        """Give each generation a responder whose certificate still has ten days; return the new ones (rule R5).

        One generation's failure does not keep the others from being served.

        Raises:
            JpkiError: the first failure, after all generations were tried.
        """
        renewed, failures = [], []
        for generation in generations:
            try:
                if not self._is_served(generation):
                    renewed.append(self._new_responder(generation, by))
            except JpkiError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return renewed

    def client(
        self, root: Generation, public_key: PublicKey, kind: DelegateKind, name: str, by: Actor
    ) -> x509.Certificate:
        """Sign a clerk's or a verifier's client certificate under the infrastructure root; `name` is an opaque one."""
        subject = Subject(generation=root.id, kind=kind, name=name, key=None, not_after=self._end(root, CLIENT_LIFE))
        return self._sign(root, subject, name, public_key, _below_infrastructure(_CLIENT_AUTHENTICATION), by)

    def server(
        self, root: Generation, public_key: PublicKey, hosts: Sequence[x509.GeneralName], by: Actor
    ) -> x509.Certificate:
        """Sign a door's certificate for TLS under the infrastructure root; it is known by `hosts` alone (RFC 9525)."""
        name = str(hosts[0].value)
        subject = Subject(
            generation=root.id,
            kind=DelegateKind.SERVER,
            name=name[:64],
            key=None,
            not_after=self._end(root, SERVER_LIFE),
        )
        extensions = [*_below_infrastructure(_SERVER_AUTHENTICATION), x509.SubjectAlternativeName(hosts)]
        return self._sign(root, subject, "JPKI server", public_key, extensions, by)

    def _is_served(self, generation: Generation) -> bool:
        """Tell whether a responder lasts for ten days, or to the generation's end, and has its key here."""
        now = self._clock()
        wanted = min(now + RENEW_RESPONDER_BEFORE, generation.not_after)
        lasting = [each for each in self._book.responders(generation.id) if _serves(each, now, wanted)]
        return not generation.answers(now) or any(map(self._has_key, lasting))

    def _has_key(self, responder: Responder) -> bool:
        """Tell whether the responder's key is here; without it a certificate answers nothing."""
        try:
            self._keys.signer(responder.key)
        except JpkiError as error:
            if error.kind is not Kind.UNAVAILABLE:
                raise
            return False
        return True

    def audit_key(self, root: Generation, by: Actor) -> tuple[x509.Certificate, KeyUri]:
        """Make a key that signs the audit's heads, and its certificate under the infrastructure root."""
        label, uri = self._new_key("audit", root)
        subject = Subject(
            generation=root.id,
            kind=DelegateKind.AUDIT,
            name=label,
            key=uri,
            not_after=self._end(root, AUDIT_LIFE),
        )
        public_key = self._keys.signer(uri).public_key()
        extensions = _below_infrastructure(_AUDIT_SIGNING)
        return self._sign(root, subject, f"Audit {label}", public_key, extensions, by), uri

    def time_stamping_unit(self, root: Generation, by: Actor) -> TimeStampingUnit:
        """Make a key that time-stamps, and its certificate under the infrastructure root."""
        label, uri = self._new_key("tsa", root)
        subject = Subject(
            generation=root.id,
            kind=DelegateKind.TSA,
            name=label,
            key=uri,
            not_after=self._end(root, TIME_STAMPING_LIFE),
        )
        public_key = self._keys.signer(uri).public_key()
        extensions = _below_infrastructure(_TIME_STAMPING)
        certificate = self._sign(root, subject, f"Time-stamping {label}", public_key, extensions, by)
        return TimeStampingUnit(certificate=certificate, key=uri)

    def _new_responder(self, generation: Generation, by: Actor) -> Responder:
        label, uri = self._new_key(f"ocsp-{generation.id}", generation)
        subject = Subject(
            generation=generation.id,
            kind=DelegateKind.RESPONDER,
            name=label,
            key=uri,
            not_after=self._end(generation, RESPONDER_LIFE),
        )
        extensions = [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), x509.OCSPNoCheck()]
        public_key = self._keys.signer(uri).public_key()
        certificate = self._sign(generation, subject, f"OCSP Responder {label}", public_key, extensions, by)
        return Responder(generation=generation.id, certificate=certificate, key=uri)

    def _new_key(self, kind: str, issuer: Generation) -> tuple[str, KeyUri]:
        """Make a key, if its issuer's is here: else each try of a node without it would leave a key behind."""
        self._keys.signer(issuer.key)
        label = f"{kind}-{alphanumeric(self._randomness, 8).lower()}"
        return label, self._keys.create(label, KeySpec.P256)

    def _sign(
        self,
        generation: Generation,
        subject: Subject,
        common_name: str,
        public_key: PublicKey,
        extensions: Sequence[x509.ExtensionType],
        by: Actor,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .issuer_name(generation.certificate.subject)
            .subject_name(names.below_root(generation.purpose, (NameOID.COMMON_NAME, common_name)))
            .not_valid_before(whole_second(self._clock()))
            .public_key(public_key)
            .add_extension(key_usage(digital_signature=True), critical=True)
        )
        for extension in (*extensions, *_key_identifiers(generation, public_key)):
            builder = builder.add_extension(extension, critical=extension == _CRITICAL)
        return self._recorder.sign(subject, builder, self._keys.signer(generation.key), by)

    def _end(self, generation: Generation, life: timedelta) -> datetime:
        """Nothing outlives its issuer (rule R25)."""
        return min(whole_second(self._clock()) + life, generation.not_after)


def _key_identifiers(generation: Generation, public_key: PublicKey) -> Iterator[x509.ExtensionType]:
    issuer_key = x509.SubjectKeyIdentifier(generation.key_identifier)
    yield x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key)
    yield x509.SubjectKeyIdentifier.from_public_key(public_key)


def _below_infrastructure(usage: x509.ObjectIdentifier) -> list[x509.ExtensionType]:
    """Return what a certificate under the infrastructure root is for: one usage, and the root's policy."""
    policy = x509.PolicyInformation(x509.ObjectIdentifier(oids.LAB_INFRASTRUCTURE_POLICY), None)
    return [x509.ExtendedKeyUsage([usage]), x509.CertificatePolicies([policy])]


def _serves(responder: Responder, now: datetime, until: datetime) -> bool:
    certificate = responder.certificate
    return certificate.not_valid_before_utc <= now and certificate.not_valid_after_utc >= until
