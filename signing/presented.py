"""What a format's reader finds out about one signature, before any question of trust."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from signing.caps import MOST_CERTIFICATES, MOST_REVISIONS, MOST_SIGNATURES
from signing.report import Check, Step, TimeProof
from signing.validation import Stored

NO_REVISIONS = Check.not_applicable(
    Step.CHANGES,
    "この形式には、署名後に追記する仕組みがありません。",
    "This format has no later revisions.",
)
"""The check of changes after signing, for every format but PDF."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithms:
    """The algorithms that a signature names: digests such as `sha256`; `rsa`, `rsa-pss`, `ecdsa`, or one not known."""

    mechanism: str
    digests: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """One time-stamp as its document presents it (RFC 3161): a TimeStampToken that nobody has looked into yet.

    `imprint` returns the digest, by an algorithm's name, of what the token must be over. `layer` is the revision in
    which it stands; a document's time-stamp covers all of the earlier ones.
    """

    proof: TimeProof
    token: bytes
    imprint: Callable[[str], bytes]
    layer: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """One signature as its document presents it. `certificate` is the signer's, None where it does not come along.

    `stamps` are the time-stamps that cover the signature, `stored` is the revocation data that the document holds.
    """

    checks: tuple[Check, ...]
    algorithms: Algorithms | None = None
    certificate: x509.Certificate | None = None
    others: tuple[x509.Certificate, ...] = ()
    claimed_at: datetime | None = None
    stamps: tuple[Stamp, ...] = ()
    stored: tuple[Stored, ...] = ()


def refuse_crowds(signatures: Sequence[object], certificates: int = 0, revisions: int = 0) -> None:
    """Refuse a document with more signatures, certificates or revisions than this room looks at.

    Raises:
        JpkiError: TOO_LARGE `too-many-signatures`, `too-many-certificates` or `too-many-revisions`.
    """
    if len(signatures) > MOST_SIGNATURES:
        raise JpkiError(
            Kind.TOO_LARGE,
            "too-many-signatures",
            Text(
                f"署名が{MOST_SIGNATURES}個を超えているため、読み取りません。",
                f"The file bears more than {MOST_SIGNATURES} signatures and is not read.",
            ),
            Text("文書を分けて検証してください。", "Verify the document in parts."),
        )
    if certificates > MOST_CERTIFICATES:
        raise JpkiError(
            Kind.TOO_LARGE,
            "too-many-certificates",
            Text(
                f"一つの署名に証明書が{MOST_CERTIFICATES}枚を超えて添付されているため、読み取りません。",
                f"A signature comes with more than {MOST_CERTIFICATES} certificates; the file is not read.",
            ),
            Text("署名者に作り直しを依頼してください。", "Ask the signer to sign again with the needed chain only."),
        )
    if revisions > MOST_REVISIONS:
        raise JpkiError(
            Kind.TOO_LARGE,
            "too-many-revisions",
            Text(
                f"PDFの更新が{MOST_REVISIONS}回を超えているため、読み取りません。",
                f"The PDF was updated more than {MOST_REVISIONS} times and is not read.",
            ),
            Text("署名者に作り直しを依頼してください。", "Ask the signer to sign a PDF with fewer revisions."),
        )
