"""The questions that a probe asks a responder about one certificate."""

import base64
from functools import cached_property
from urllib.parse import quote

from cryptography import x509
from cryptography.x509 import ocsp

from jpki import der, oids
from jpki.clock import Clock
from jpki.generation import public_key_bits
from jpki.randomness import Randomness
from ocsp.cert_id import DIGESTS, IssuerHashes
from ocsp.fetch import RESPONSE_TYPE, Call, Fetch, post
from ocsp.heard import Heard, Named, Single, hear
from ocsp.judgement import is_named, signed_by
from ocsp.question import cert_id, nonce, question

_HASH_NAMES = {oids.SHA1: "sha1", oids.SHA256: "sha256", oids.SHA384: "sha384", oids.SHA512: "sha512"}
# Three octets are four digits: these twelve hold `//` and `+` wherever they begin.
_SLASHES = b"\xff\xfb\xef\xbe\xff\xfb\xef\xbe\xff\xfb\xef\xbe" * 2


class Interview:
    """The questions about one certificate; what several rules look at is asked once."""

    def __init__(
        self,
        fetch: Fetch,
        issuer: x509.Certificate,
        certificate: x509.Certificate,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._fetch = fetch
        self.issuer = issuer
        self.serial = certificate.serial_number
        self.clock = clock
        self.randomness = randomness

    def hashes(self, algorithm: str = oids.SHA1) -> IssuerHashes:
        """Return how a hash function names the issuer."""
        oid = der.object_identifier(algorithm)
        digest = DIGESTS[oid]
        return IssuerHashes(oid, digest(self.issuer.subject.public_bytes()), digest(public_key_bits(self.issuer)))

    def cert_id(self, algorithm: str = oids.SHA1) -> bytes:
        """Return the certificate's CertID as it is asked."""
        return cert_id(self.hashes(algorithm), self.serial)

    def named(self, algorithm: str = oids.SHA1) -> Named:
        """Return the certificate's CertID as an answer must name it."""
        hashes = self.hashes(algorithm)
        return Named(_HASH_NAMES[algorithm], hashes.name, hashes.key, self.serial)

    def ask(self, body: bytes) -> Heard:
        """Ask by POST."""
        return hear(self._fetch, post(body))

    def get(self, path: str, method: str = "GET") -> Heard:
        """Ask by GET or HEAD, with the path exactly as it is written."""
        return hear(self._fetch, Call(method, path, {"Accept": RESPONSE_TYPE}))

    def says_the_same(self, heard: Heard) -> bool:
        """Tell whether an answer claims of the certificate what the first answer did."""
        single = heard.about(self.named()) if heard.answered else None
        return single is not None and self.single is not None and single.claim == self.single.claim

    def vouches(self, heard: Heard) -> bool:
        """Tell whether an answer speaks as if it knew the certificate: "good", or revoked as the first one says."""
        claims = [single.claim for single in heard.singles]
        if any(claim.status is ocsp.OCSPCertStatus.GOOD for claim in claims):
            return True
        return self.single is not None and self.single.claim.revoked_at is not None and self.single.claim in claims

    @cached_property
    def plain(self) -> bytes:
        """The question of every client: one CertID by SHA-1, no nonce."""
        return question(self.cert_id())

    @cached_property
    def first(self) -> Heard:
        """The answer to the plain question by POST."""
        return self.ask(self.plain)

    @cached_property
    def single(self) -> Single | None:
        """What the first answer says of the certificate, if it was answered at all."""
        return self.first.about(self.named()) if self.first.answered else None

    @cached_property
    def signer(self) -> x509.Certificate | None:
        """Whose key signed the first answer, of those whom its responderID names."""
        response = self.first.answered
        if response is None:
            return None
        candidates = [self.issuer, *response.certificates]
        signers = (each for each in candidates if is_named(response, each) and signed_by(response, each))
        return next(signers, None)

    @cached_property
    def got(self) -> Heard:
        """The same by GET, written as RFC 6960 A.1 says."""
        return self.get(quote(base64_of(self.plain), safe=""))

    @cached_property
    def slashes(self) -> bytes:
        """A question with a nonce, whose base64 holds `+` and `//`."""
        return question(self.cert_id(), extensions=[nonce(_SLASHES)])

    @cached_property
    def got_with_nonce(self) -> Heard:
        """The answer to it by GET."""
        return self.get(quote(base64_of(self.slashes), safe=""))

    @cached_property
    def padded(self) -> str:
        """The base64 of a question that needs padding."""
        lengthened = (question(self.cert_id(), extensions=[nonce(b"n" * length)]) for length in range(16, 32))
        return next(text for text in map(base64_of, lengthened) if text.endswith("="))

    def with_nonce(self, length: int) -> tuple[bytes, Heard]:
        """Ask with a nonce of `length` octets; return it and the answer."""
        sent = self.randomness(length)
        return sent, self.ask(question(self.cert_id(), extensions=[nonce(sent)]))

    @cached_property
    def usual_nonce(self) -> tuple[bytes, Heard]:
        """The nonce that clients send (RFC 9654 2.1), and the answer to it."""
        return self.with_nonce(32)


def base64_of(data: bytes) -> str:
    """Return the base64 of `data`, with padding and without line breaks (RFC 4648 4)."""
    return base64.b64encode(data).decode()
