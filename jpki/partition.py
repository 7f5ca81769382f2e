"""One partition of a CA's CRL: the names by which certificates point at it and by which the list answers."""

from dataclasses import dataclass

from cryptography import x509

from jpki.certificate import Purpose
from jpki.ids import GenerationId, PartitionId

COMPLETE = PartitionId("complete")
"""The list of everything a CA revoked; it is published beside the partitions and stands in no certificate."""
DELTA = PartitionId("delta")
"""What changed in the complete list: published with it, under its number (RFC 5280 5.2.4)."""
ARL = PartitionId("arl")
"""The list of a CA's own certificates that are revoked: the roots of its compromised generations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A partition; `base_urls` is append-only: every base URL under which a certificate ever named it."""

    id: PartitionId
    purpose: Purpose
    name: x509.Name
    base_urls: tuple[str, ...]

    def distribution_names(self, generation: GenerationId) -> list[x509.GeneralName]:
        """Return the names of this partition's list as signed by `generation`.

        The same names, all of them, stand in the certificates' CRLDP and in the list's critical IDP, so that
        every client matches them (RFC 5280 6.3.3 b 2 i).
        """
        urls = [crl_url(base, self.purpose, generation, self.id) for base in self.base_urls]
        return [x509.DirectoryName(self.name), *(x509.UniformResourceIdentifier(url) for url in urls)]


def crl_url(base_url: str, purpose: Purpose, generation: GenerationId, partition: PartitionId) -> str:
    """Return the public URL of one list (docs/contract.md)."""
    return f"{base_url}/crl/{purpose}/{generation}/{partition}.crl"
