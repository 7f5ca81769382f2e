"""Making a CA's generation: its key, and its self-signed root in the form of the six real ones (docs/profile.md)."""

from datetime import date, datetime, timedelta

from cryptography import x509

from ca import names
from ca.extensions import distribution_point, key_usage
from ca.profile import Profile
from jpki.certificate import Purpose
from jpki.clock import Clock, day_in_japan, end_of_day, whole_second, years_later
from jpki.generation import Generation
from jpki.ids import GenerationId, new_serial
from jpki.ports import KeyProvider
from jpki.randomness import Randomness
from jpki.signature import KeySpec, PrivateKey, algorithm_for

INFRASTRUCTURE_KEY = KeySpec.P256
_PREFIXES = {Purpose.SIGNING: "s", Purpose.AUTHENTICATION: "a", Purpose.INFRASTRUCTURE: "i"}


def generation_id(purpose: Purpose, number: int) -> GenerationId:
    """Return the id of a CA's n-th generation: `s1`, `a1`, `i1`, … Numbers are never used twice."""
    return GenerationId(f"{_PREFIXES[purpose]}{number}")


def new_generation(
    profile: Profile, purpose: Purpose, number: int, *, keys: KeyProvider, clock: Clock, randomness: Randomness
) -> Generation:
    """Make the key and the self-signed certificate of a CA's next generation.

    The root ends at 23:59:59 JST on the day before its anniversary, as the real ones do.
    """
    now = whole_second(clock())
    identifier = generation_id(purpose, number)
    spec = INFRASTRUCTURE_KEY if purpose is Purpose.INFRASTRUCTURE else profile.ca_key
    uri = keys.create(f"ca-{purpose}-{identifier}", spec)
    not_after = _root_end(day_in_japan(now), profile.root_years)
    certificate = _self_signed(purpose, now, not_after, keys.signer(uri), randomness)
    return Generation(
        id=identifier,
        purpose=purpose,
        certificate=certificate,
        key=uri,
        profile=profile.name,
        issue_until=not_after - timedelta(days=profile.longest_days + profile.margin_days),
    )


def _root_end(start: date, years: int) -> datetime:
    return end_of_day(years_later(start, years) - timedelta(days=1))


def _self_signed(
    purpose: Purpose, not_before: datetime, not_after: datetime, key: PrivateKey, randomness: Randomness
) -> x509.Certificate:
    own_name = names.authority(purpose)
    builder = (
        x509.CertificateBuilder()
        .serial_number(new_serial(randomness))
        .issuer_name(own_name)
        .subject_name(own_name)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .public_key(key.public_key())
    )
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (key_usage(certificates_and_lists=True), True),
        (x509.SubjectAlternativeName(names.directory([names.authority_in_japanese(purpose)])), False),
        (x509.BasicConstraints(ca=True, path_length=None), True),
        (distribution_point(names.directory([own_name])), False),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    ]
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, algorithm_for(key.public_key()).hash)
