"""The real JPKI's roots: which certificates they are, known by their fingerprints alone.

Three generations of each CA share one name, and anybody can make a fourth that bears it. The fingerprints of the
signing roots are published by J-LIS; all six were computed from the certificates themselves.
"""

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from jpki import oids
from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from jpki.text import Text
from signing.validation import TrustAnchor

DOMAIN = "jpki"
"""The trust domain of the real JPKI."""
POLICIES = frozenset({oids.REAL_SIGNING_POLICY})


@dataclass(frozen=True, slots=True)
class PinnedRoot:
    """One of the roots: whose it is, and which generation, the first being 1."""

    purpose: Purpose
    generation: int

    @property
    def name(self) -> str:
        """A name for people and files, such as `jpki-signing-2`."""
        return f"{DOMAIN}-{self.purpose}-{self.generation}"


PINNED = {
    "19645405a1fe14377434bd55957628ac4038557c542403a2243f21c706fc9355": PinnedRoot(Purpose.SIGNING, 1),
    "79679c33e4cc9319440f1ad120a597ff1844e2ef217063adb176966fd5e6fbeb": PinnedRoot(Purpose.SIGNING, 2),
    "d227f6cde11d35c5252178f106f843d24651944975413b539fa2fb68dbfa365f": PinnedRoot(Purpose.SIGNING, 3),
    "4dcfc4ca0aaf9fb2a3081b3f0c991c320b3acc008667a341eeaec5af1d58ca7d": PinnedRoot(Purpose.AUTHENTICATION, 1),
    "0d98de47fc11b7f67126874b7028b6026a803d2638d6edfe53176953961fade6": PinnedRoot(Purpose.AUTHENTICATION, 2),
    "64114f29620c24ed2631d46476a040e7ee740d956089c00b036a6a8118c322b5": PinnedRoot(Purpose.AUTHENTICATION, 3),
}
"""By the SHA-256 of the certificate's DER, in hexadecimal."""


def pinned(certificate: x509.Certificate) -> PinnedRoot:
    """Return which root a certificate is.

    Raises:
        JpkiError: FORBIDDEN `root-not-pinned`: it is none, whatever it calls itself.
    """
    fingerprint = certificate.fingerprint(SHA256()).hex()
    try:
        return PINNED[fingerprint]
    except KeyError:
        raise JpkiError(
            Kind.FORBIDDEN,
            "root-not-pinned",
            Text(
                f"公的個人認証サービスのルート証明書として知られているものではありません（SHA-256 {fingerprint}）。",
                f"This is none of JPKI's known roots (SHA-256 {fingerprint}).",
            ),
            Text(
                "J-LISから取り直してください。ほかの認証局は jpki.toml の [[trust]] か --trust で指定できます。",
                "Get it from J-LIS again. Other authorities are named in jpki.toml, [[trust]], or by --trust.",
            ),
        ) from None


def anchor_of(certificate: x509.Certificate) -> TrustAnchor:
    """Return a pinned root as a trust anchor.

    An authentication root is one too, so that a document signed with the wrong certificate is told as such.

    Raises:
        JpkiError: FORBIDDEN `root-not-pinned`.
    """
    pinned(certificate)
    return TrustAnchor(certificate=certificate, domain=DOMAIN, policies=POLICIES)
