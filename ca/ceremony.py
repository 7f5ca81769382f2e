"""Making a CA's generation: its self-signed root in the form of the six real ones (docs/profile.md)."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from cryptography import x509

from ca import names
from ca.extensions import distribution_point, key_usage
from ca.plan import PlannedGeneration
from ca.profile import Profile
from ca.recorder import Recorder, Subject
from jpki.acts import Actor
from jpki.certificate import Purpose
from jpki.clock import Clock, day_in_japan, end_of_day, whole_second, years_later
from jpki.delegate import DelegateKind
from jpki.generation import Generation
from jpki.ids import KeyUri
from jpki.ports import KeyProvider
from jpki.signature import PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class RootMaker:
    """Signs the root of a generation whose key was made."""

    keys: KeyProvider
    recorder: Recorder
    clock: Clock

    def root(self, profile: Profile, planned: PlannedGeneration, key: KeyUri, by: Actor) -> x509.Certificate:
        """Sign the root of the key at `key`; it ends at 23:59:59 JST on the day before its anniversary, as the real do.

        Raises:
            JpkiError: of the key, or of the ledger, which is told first.
        """
        now = whole_second(self.clock())
        signer = self.keys.signer(key)
        subject = Subject(
            generation=planned.id,
            kind=DelegateKind.ROOT,
            name=planned.label,
            key=key,
            not_after=_root_end(day_in_japan(now), profile.root_years),
        )
        return self.recorder.sign(subject, _root(planned.ca, now, signer.public_key()), signer, by)


def generation_of(
    profile: Profile, planned: PlannedGeneration, key: KeyUri, certificate: x509.Certificate
) -> Generation:
    """Return the generation whose root was signed; it issues nothing before its ceremony ends."""
    life = timedelta(days=profile.longest_days + profile.margin_days)
    return Generation(
        id=planned.id,
        purpose=planned.ca,
        certificate=certificate,
        key=key,
        profile=profile.name,
        issue_until=certificate.not_valid_after_utc - life,
    )


def _root_end(start: date, years: int) -> datetime:
    return end_of_day(years_later(start, years) - timedelta(days=1))


def _root(purpose: Purpose, not_before: datetime, public_key: PublicKey) -> x509.CertificateBuilder:
    own_name = names.authority(purpose)
    builder = (
        x509.CertificateBuilder()
        .issuer_name(own_name)
        .subject_name(own_name)
        .not_valid_before(not_before)
        .public_key(public_key)
    )
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (key_usage(certificates_and_lists=True), True),
        (x509.SubjectAlternativeName(names.directory([names.authority_in_japanese(purpose)])), False),
        (x509.BasicConstraints(ca=True, path_length=None), True),
        (distribution_point(names.directory([own_name])), False),
        (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
    ]
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder
