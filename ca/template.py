"""What all certificates of one profile, generation and partition have in common, encoded once."""

from dataclasses import dataclass, field

from cryptography import x509

from ca import names
from ca.extensions import authority_key_identifier, distribution_point, information_access, key_usage, policies
from ca.profile import Profile
from jpki import der
from jpki.certificate import Purpose
from jpki.generation import Generation
from jpki.partition import Partition
from jpki.signature import algorithm_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The fixed octets of a TBSCertificate, around which a draft writes its own fields.

    Make one for each profile, generation, partition and base URL, and use it for many drafts. `usage` is the keyUsage
    extension, `between` are the extensions from issuerAltName to authorityKeyIdentifier (docs/profile.md).
    """

    profile: Profile
    generation: Generation
    partition: Partition
    base_url: str
    signature_and_issuer: tuple[bytes, bytes] = field(init=False, repr=False)
    usage: bytes = field(init=False, repr=False)
    between: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Encode what never changes."""
        algorithm = algorithm_for(self.generation.public_key).identifier
        object.__setattr__(self, "signature_and_issuer", (algorithm, self.generation.name_der))
        object.__setattr__(self, "usage", extension(*self.key_usage()))
        object.__setattr__(self, "between", b"".join(extension(*each) for each in self.fixed_extensions()))

    @property
    def purpose(self) -> Purpose:
        """The CA's purpose is the certificate's."""
        return self.generation.purpose

    def key_usage(self) -> tuple[x509.ExtensionType, bool]:
        """Return keyUsage and its criticality."""
        return key_usage(digital_signature=True, non_repudiation=self.purpose is Purpose.SIGNING), True

    def fixed_extensions(self) -> list[tuple[x509.ExtensionType, bool]]:
        """Return the extensions of `between`, each with its criticality."""
        return [
            (x509.IssuerAlternativeName(names.directory([names.authority_in_japanese(self.purpose)])), False),
            (policies(self.profile.policy(self.purpose), self.base_url), True),
            (distribution_point(self.partition.distribution_names(self.generation.id)), False),
            (information_access(self.generation, self.base_url), False),
            (authority_key_identifier(self.generation), False),
        ]


def extension(value: x509.ExtensionType, critical: bool) -> bytes:  # noqa: FBT001 - a pair, as everywhere here
    """Return one Extension's DER (RFC 5280 4.1); false is the default and so not encoded (X.690 11.5)."""
    return der.sequence(
        der.object_identifier(value.oid.dotted_string),
        der.boolean(value=True) if critical else b"",
        der.octet_string(value.public_bytes()),
    )
