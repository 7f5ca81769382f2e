"""Certificate profiles as data: frozen, hashed, and named in every certificate's record (rule R8)."""

import hashlib
import json
from dataclasses import asdict, dataclass

from jpki import oids
from jpki.certificate import Purpose
from jpki.signature import KeySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One generation of cards: its keys and how long everything lives.

    `birthdays` and `birthdays_on_renewal` count the birthdays from issue to the end of validity;
    `renewal_months` is the window before the end in which renewal is open; `root_years` is a root's life;
    `longest_days` bounds an end-entity validity and, with `margin_days`, sets a generation's issue_until.
    """

    name: str
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
        canonical = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def policy(self, purpose: Purpose) -> str:
        """Return the policy OID that certificates of this purpose carry."""
        return self.signing_policy if purpose is Purpose.SIGNING else self.authentication_policy


CARD_V1 = Profile(
    name="card-v1",
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

PROFILES = {profile.name: profile for profile in (CARD_V1,)}
