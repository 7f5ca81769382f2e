"""Certificate profiles as data: frozen, hashed, and named in every certificate's record (rule R8)."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import cache

from jpki import oids
from jpki.certificate import CARD, Carrier, Purpose
from jpki.signature import KeySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One generation of cards, or of the mobile devices beside them: its keys and how long all lives.

    `ca_key` is the kind of the CA's own keys, `key` of the holders'.
    `birthdays` and `birthdays_on_renewal` count the birthdays from issue to the end of validity;
    `renewal_months` is the window before the end in which renewal is open; `root_years` is a root's life;
    `longest_days` bounds an end-entity validity and, with `margin_days`, sets a generation's issue_until.
    """

    name: str
    ca_key: KeySpec
    key: KeySpec
    root_years: int
    birthdays: int
    birthdays_on_renewal: int
    renewal_months: int
    longest_days: int
    margin_days: int
    signing_policy: str
    authentication_policy: str

    @property
    def hash(self) -> str:
        """SHA-256 over the profile's canonical JSON, in hexadecimal."""
        return _hash(self)

    def policy(self, purpose: Purpose) -> str:
        """Return the policy OID that certificates of this purpose carry."""
        return self.signing_policy if purpose is Purpose.SIGNING else self.authentication_policy


@cache
def _hash(profile: Profile) -> str:
    canonical = json.dumps(asdict(profile), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


CARD_V1 = Profile(
    name="card-v1",
    ca_key=KeySpec.RSA_2048,
    key=KeySpec.RSA_2048,
    root_years=10,
    birthdays=5,
    birthdays_on_renewal=6,
    renewal_months=3,
    # Renewed on the first day of the window, a certificate lives from three months before a birthday to the
    # fifth one after it: five years and 92 days, with one or two leap days.
    longest_days=5 * 365 + 2 + 92,
    margin_days=30,
    signing_policy=oids.LAB_SIGNING_POLICY,
    authentication_policy=oids.LAB_AUTHENTICATION_POLICY,
)

CARD_V2 = Profile(
    name="card-v2",
    ca_key=KeySpec.P384,
    key=KeySpec.P384,
    root_years=25,
    birthdays=10,
    birthdays_on_renewal=11,
    renewal_months=12,
    # From the first day of the window, twelve months before a birthday, to the tenth birthday after it.
    longest_days=11 * 365 + 3,
    margin_days=30,
    signing_policy=oids.LAB_SIGNING_POLICY,
    authentication_policy=oids.LAB_AUTHENTICATION_POLICY,
)


def _mobile(card: Profile, name: str, key: KeySpec) -> Profile:
    """Return the profile of mobile devices beside a card profile: verifiers tell them apart by the policy."""
    return replace(
        card,
        name=name,
        key=key,
        signing_policy=oids.LAB_MOBILE_SIGNING_POLICY,
        authentication_policy=oids.LAB_MOBILE_AUTHENTICATION_POLICY,
    )


MOBILE_V1 = _mobile(CARD_V1, "mobile-v1", KeySpec.P256)
MOBILE_V2 = _mobile(CARD_V2, "mobile-v2", KeySpec.P384)

CARDS = {profile.name: profile for profile in (CARD_V1, CARD_V2)}
"""The profiles that a home can be of."""
_MOBILE = {CARD_V1.name: MOBILE_V1, CARD_V2.name: MOBILE_V2}


def profile_for(card: Profile, carrier: Carrier) -> Profile:
    """Return the profile of certificates on this carrier, in a home of this card profile."""
    return card if carrier == CARD else _MOBILE[card.name]
