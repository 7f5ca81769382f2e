"""Asks a time-stamp authority, and believes no word of it that was not checked (RFC 3161 2.4, RFC 5816)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509

from jpki import der, oids
from jpki.der import DerError, Reader, Tag, read_integer
from jpki.errors import JpkiError, Kind
from jpki.randomness import Randomness
from jpki.text import Text
from signing.certificate_checks import check_validity
from signing.trust import Chain, find_chain
from signing.validation import Stored, TrustAnchor

DIGEST = "sha256"
"""The hash of all that is stamped here."""
LARGEST_TOKEN = 12 * 1024
"""Octets; a PDF must have room for a token before it is there. Those of today have four to seven thousand."""

_NONCE_OCTETS = 8
_GRANTED = {0, 1}
_PASSING = {14: "time-not-available", 25: "system-failure"}
"""The failures that pass by themselves, by their bits (RFC 3161 2.4.2)."""
_FAILURES = {
    0: "bad-alg",
    2: "bad-request",
    5: "bad-data-format",
    15: "unaccepted-policy",
    16: "unaccepted-extension",
    17: "add-info-not-available",
    **_PASSING,
}

StampDigest = Callable[[bytes], bytes]
"""Returns the DER of a time-stamp token over a SHA-256 digest."""

Ask = Callable[[bytes], bytes]
"""Sends a TimeStampReq to the one authority that it was made for, and returns what comes back.

Raises:
    JpkiError: UNAVAILABLE where nothing does.
"""


@dataclass(frozen=True, slots=True)
class TimeStamper:
    """One authority; `anchors` are who may vouch for it, and where there are none nobody looks."""

    ask: Ask
    randomness: Randomness
    anchors: Sequence[TrustAnchor] = ()

    def stamp(self, digest: bytes) -> bytes:
        """Return the DER of a token over a SHA-256 digest.

        Raises:
            JpkiError: UNAVAILABLE or UNPROCESSABLE `tsa-refused`; UNPROCESSABLE `tsa-answer-malformed`,
                `tsa-answer-mismatched` (another nonce or other content), `tsa-untrusted`; TOO_LARGE
                `tsa-answer-too-large`; as `Ask`.
        """
        nonce = int.from_bytes(self.randomness(_NONCE_OCTETS))
        token = _granted(self.ask(_request(digest, nonce)))
        self._require(token, digest, nonce)
        return token

    def chain_of(self, octets: bytes) -> Chain | None:
        """Return the chain from a token's signer to an anchor, valid when it stamped; None where there is none."""
        from signing.time_stamp import is_weak, may_stamp, read_token

        token = read_token(octets)
        if token.signer is None or not may_stamp(token.signer):
            return None
        chain = find_chain(token.signer, token.others, self.anchors, token.made_at)
        if chain is None or is_weak(token, chain) or check_validity(chain, token.made_at).cause is not None:
            return None
        return chain

    def _require(self, octets: bytes, digest: bytes, nonce: int) -> None:
        from signing.time_stamp import BrokenTimeStamp, may_stamp, read_token

        try:
            token = read_token(octets)
        except BrokenTimeStamp as error:
            raise _malformed() from error
        if (token.nonce, token.digest_name, token.digest) != (nonce, DIGEST, digest):
            raise _mismatched(Text("ノンス", "nonce") if token.nonce != nonce else Text("対象", "content"))
        if token.signer is None or not may_stamp(token.signer):
            raise _untrusted()
        if self.anchors and self.chain_of(octets) is None:
            raise _untrusted()


class Level(StrEnum):
    """How long a signature lasts (ETSI EN 319 142-1, 6.3).

    With a time-stamp; with the revocation data of its day besides; with a time-stamp over these too.
    """

    T = "t"
    LT = "lt"
    LTA = "lta"


Collect = Callable[[x509.Certificate, x509.Certificate, datetime], Stored]
"""Returns a list or a response which tells that a certificate of an issuer was good at a moment, made no earlier.

Raises:
    JpkiError: where there is none, or it tells that the certificate was revoked.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamping:
    """How a signature is to be stamped and kept; `collect` is asked for the levels LT and LTA."""

    stamper: TimeStamper
    collect: Collect
    level: Level = Level.T


def _request(digest: bytes, nonce: int) -> bytes:
    imprint = der.sequence(der.sequence(der.object_identifier(oids.SHA256)), der.octet_string(digest))
    return der.sequence(der.integer(1), imprint, der.integer(nonce), der.boolean(True))


def _granted(answer: bytes) -> bytes:
    """Return the token of a TimeStampResp; a rejection has none, which asn1crypto cannot read."""
    try:
        outer = Reader(answer)
        fields = Reader(outer.read(Tag.SEQUENCE))
        outer.finish()
        info = Reader(fields.read(Tag.SEQUENCE))
        if read_integer(info.read(Tag.INTEGER)) not in _GRANTED:
            raise _refused(_failures(info))
        token = fields.rest()
    except DerError as error:
        raise _malformed() from error
    if not token:
        raise _malformed()
    if len(token) > LARGEST_TOKEN:
        raise _too_large()
    return token


def _failures(info: Reader) -> frozenset[str]:
    """Return the names of the bits that the PKIFailureInfo sets; where it is left out, none."""
    info.read_optional(Tag.SEQUENCE)
    bits = info.read_optional(Tag.BIT_STRING)
    if not bits:
        return frozenset()
    value = bits[1:]
    is_set = {at for at in range(8 * len(value)) if value[at // 8] & (0x80 >> at % 8)}
    return frozenset(_FAILURES.get(bit, str(bit)) for bit in is_set)


# --- what can be wrong -----------------------------------------------------------------------------------------------

_ANOTHER = Text(
    "時刻認証局のURLを確認するか、別の局を指定してください。文書は署名されていません。",
    "Check the authority's URL, or name another authority. The document was not signed.",
)


def _refused(failures: frozenset[str]) -> JpkiError:
    passing = bool(failures & set(_PASSING.values()))
    named = " ".join(sorted(failures)) or "-"
    return JpkiError(
        Kind.UNAVAILABLE if passing else Kind.UNPROCESSABLE,
        "tsa-refused",
        Text(
            f"時刻認証局がタイムスタンプの要求を断りました（{named}）。",
            f"The time-stamp authority refused the request ({named}).",
        ),
        Text("しばらくしてからもう一度試してください。", "Try again in a while.") if passing else _ANOTHER,
    )


def _malformed() -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "tsa-answer-malformed",
        Text(
            "時刻認証局の応答は、正しいタイムスタンプではありません。",
            "What the time-stamp authority answered is no sound time-stamp.",
        ),
        _ANOTHER,
    )


def _too_large() -> JpkiError:
    return JpkiError(
        Kind.TOO_LARGE,
        "tsa-answer-too-large",
        Text(
            f"時刻認証局のタイムスタンプが {LARGEST_TOKEN} オクテットを超えています。",
            f"The authority's time-stamp has more than {LARGEST_TOKEN} octets, for which a PDF has no room.",
        ),
        _ANOTHER,
    )


def _mismatched(what: Text) -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "tsa-answer-mismatched",
        Text(
            f"時刻認証局の応答は、この要求に対するものではありません（{what.ja}が異なります）。",
            f"The time-stamp authority answered another request than this one: the {what.en} differs.",
        ),
        _ANOTHER,
    )


def _untrusted() -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "tsa-untrusted",
        Text(
            "タイムスタンプが、信頼する時刻認証局のタイムスタンプ用の証明書によるものではありません。",
            "The time-stamp was not made with a time-stamping certificate of a trusted authority.",
        ),
        Text(
            "--timestamp-trust の証明書と、時刻認証局のURLを確認してください。文書は署名されていません。",
            "Check the certificates of --timestamp-trust and the authority's URL. The document was not signed.",
        ),
    )
