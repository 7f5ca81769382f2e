"""The verdict table: what each thing that can be wrong with a signature decides (docs/adr/0006).

`RULINGS` is the whole table, and `rule` the only function that reads a verdict from it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from jpki.text import Text


class Decision(StrEnum):
    """What a verifier should do with a file."""

    ACCEPT = "accept"
    UNDECIDED = "undecided"
    REFUSE = "refuse"
    UNREADABLE = "unreadable"


class Indication(StrEnum):
    """The main status of ETSI EN 319 102-1, 5.1.3."""

    TOTAL_PASSED = "TOTAL-PASSED"
    INDETERMINATE = "INDETERMINATE"
    TOTAL_FAILED = "TOTAL-FAILED"


class SubIndication(StrEnum):
    """The sub-indications of ETSI EN 319 102-1, 5.1.3 that this room gives."""

    FORMAT_FAILURE = "FORMAT_FAILURE"
    HASH_FAILURE = "HASH_FAILURE"
    SIG_CRYPTO_FAILURE = "SIG_CRYPTO_FAILURE"
    REVOKED = "REVOKED"
    REVOKED_NO_POE = "REVOKED_NO_POE"
    SIG_CONSTRAINTS_FAILURE = "SIG_CONSTRAINTS_FAILURE"
    CHAIN_CONSTRAINTS_FAILURE = "CHAIN_CONSTRAINTS_FAILURE"
    CRYPTO_CONSTRAINTS_FAILURE_NO_POE = "CRYPTO_CONSTRAINTS_FAILURE_NO_POE"
    SIGNED_DATA_NOT_FOUND = "SIGNED_DATA_NOT_FOUND"
    NO_SIGNING_CERTIFICATE_FOUND = "NO_SIGNING_CERTIFICATE_FOUND"
    NO_CERTIFICATE_CHAIN_FOUND = "NO_CERTIFICATE_CHAIN_FOUND"
    NOT_YET_VALID = "NOT_YET_VALID"
    OUT_OF_BOUNDS_NO_POE = "OUT_OF_BOUNDS_NO_POE"
    NO_POE = "NO_POE"
    TRY_LATER = "TRY_LATER"
    TIMESTAMP_ORDER_FAILURE = "TIMESTAMP_ORDER_FAILURE"


class Cause(StrEnum):
    """What can keep a signature from being accepted."""

    MALFORMED = "malformed"
    ALTERED = "altered"
    SIGNATURE_WRONG = "signature-wrong"
    CHANGED_AFTER_SIGNING = "changed-after-signing"
    NOT_COVERED = "not-covered"
    WRONG_BINDING = "wrong-binding"
    UNKNOWN_ALGORITHM = "unknown-algorithm"
    WRONG_KIND = "wrong-kind"
    WRONG_POLICY = "wrong-policy"
    REVOKED = "revoked"
    REVOKED_UNPROVEN_TIME = "revoked-unproven-time"
    TIME_STAMP_BROKEN = "time-stamp-broken"
    TIME_STAMP_MISUSED = "time-stamp-misused"
    OTHER_HOLDER = "other-holder"
    UNSUPPORTED = "unsupported"
    FORMAT_NOT_TAKEN = "format-not-taken"
    CONTENT_ABSENT = "content-absent"
    NO_SIGNER_CERTIFICATE = "no-signer-certificate"
    WEAK_ALGORITHM = "weak-algorithm"
    NO_TRUSTED_CHAIN = "no-trusted-chain"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    TIME_STAMP_ORDER = "time-stamp-order"
    TIME_UNPROVEN = "time-unproven"
    REVOCATION_STALE = "revocation-stale"
    REVOCATION_UNCHECKED = "revocation-unchecked"
    HOLDER_UNTOLD = "holder-untold"


@dataclass(frozen=True, slots=True)
class Ruling:
    """One row of the table. `sentence` may name fields of the deciding check's evidence in braces."""

    decision: Decision
    indication: Indication
    sub_indication: SubIndication | None
    sentence: Text


def _failed(sub_indication: SubIndication, ja: str, en: str) -> Ruling:
    return Ruling(Decision.REFUSE, Indication.TOTAL_FAILED, sub_indication, Text(ja, en))


def _refused(sub_indication: SubIndication, ja: str, en: str) -> Ruling:
    return Ruling(Decision.REFUSE, Indication.INDETERMINATE, sub_indication, Text(ja, en))


def _undecided(sub_indication: SubIndication, ja: str, en: str) -> Ruling:
    return Ruling(Decision.UNDECIDED, Indication.INDETERMINATE, sub_indication, Text(ja, en))


ACCEPTED = Ruling(
    Decision.ACCEPT,
    Indication.TOTAL_PASSED,
    None,
    Text("署名は有効です。", "The signature is valid."),
)
ACCEPTED_AS_STAMPED = Ruling(
    Decision.ACCEPT,
    Indication.TOTAL_PASSED,
    None,
    Text(
        "署名は有効です。{at}までに署名されたことを、タイムスタンプが証明しています。",
        "The signature is valid; a time-stamp proves that it was made by {at}.",
    ),
)
ACCEPTED_AS_GIVEN = Ruling(
    Decision.ACCEPT,
    Indication.TOTAL_PASSED,
    None,
    Text(
        "署名は、検証者の指定した{at}の時点で有効です。",
        "The signature is valid at {at}, the time that its verifier gave.",
    ),
)
ACCEPTED_STAMPED_BEFORE_REVOCATION = Ruling(
    Decision.ACCEPT,
    Indication.TOTAL_PASSED,
    None,
    Text(
        "署名は有効です。証明書は{revoked_at}に失効しましたが、それより前の{at}までに署名されたことを、タイムスタンプが証明しています。",
        "The signature is valid: its certificate was revoked at {revoked_at}, after it was signed, which a time-stamp "
        "proves to have been by {at}.",
    ),
)
ACCEPTED_BEFORE_REVOCATION = Ruling(
    Decision.ACCEPT,
    Indication.TOTAL_PASSED,
    None,
    Text(
        "署名は{at}の時点で有効です。証明書はその後、{revoked_at}に失効しました。",
        "The signature was valid at {at}; its certificate was revoked later, at {revoked_at}.",
    ),
)

RULINGS: dict[Cause, Ruling] = {
    Cause.MALFORMED: _failed(
        SubIndication.FORMAT_FAILURE,
        "署名の構造が壊れています。",
        "The signature is malformed.",
    ),
    Cause.ALTERED: _failed(
        SubIndication.HASH_FAILURE,
        "署名された内容が改ざんされています。",
        "The signed content was altered.",
    ),
    Cause.SIGNATURE_WRONG: _failed(
        SubIndication.SIG_CRYPTO_FAILURE,
        "署名値が署名者の証明書と一致しません。改ざんされたか、別の鍵による署名です。",
        "The signature value does not fit the signer's certificate: it was altered, or made with another key.",
    ),
    Cause.CHANGED_AFTER_SIGNING: _failed(
        SubIndication.FORMAT_FAILURE,
        "署名の後に文書が改ざんされています。",
        "The document was altered after it was signed.",
    ),
    Cause.NOT_COVERED: _failed(
        SubIndication.FORMAT_FAILURE,
        "署名されていない内容が混ざっており、改ざんとみなします。",
        "The file mixes unsigned content with the signed, which counts as altered.",
    ),
    Cause.WRONG_BINDING: _refused(
        SubIndication.NO_SIGNING_CERTIFICATE_FOUND,
        "署名が指し示す証明書と、添付された証明書が異なります。",
        "The signature names another certificate than the one that comes with it.",
    ),
    Cause.UNKNOWN_ALGORITHM: _failed(
        SubIndication.SIG_CRYPTO_FAILURE,
        "署名のアルゴリズムを認識できません。",
        "The signature's algorithm is not known.",
    ),
    Cause.WRONG_KIND: _refused(
        SubIndication.CHAIN_CONSTRAINTS_FAILURE,
        "署名用ではない証明書（利用者証明用電子証明書など）による署名です。",
        "Signed with a certificate that is not for signing documents, such as an authentication certificate.",
    ),
    Cause.WRONG_POLICY: _refused(
        SubIndication.CHAIN_CONSTRAINTS_FAILURE,
        "証明書のポリシーが、認められた署名用のポリシーではありません。",
        "The certificate's policy is not one of the accepted signing policies.",
    ),
    Cause.REVOKED: _failed(
        SubIndication.REVOKED,
        "署名者の証明書は{revoked_at}に失効しています。",
        "The signer's certificate was revoked at {revoked_at}.",
    ),
    Cause.REVOKED_UNPROVEN_TIME: _refused(
        SubIndication.REVOKED_NO_POE,
        "署名者の証明書は{revoked_at}に失効しており、それより前に署名されたことの証明がありません。",
        "The signer's certificate was revoked at {revoked_at}, and nothing proves that it signed before.",
    ),
    Cause.TIME_STAMP_BROKEN: _refused(
        SubIndication.SIG_CONSTRAINTS_FAILURE,
        "タイムスタンプが壊れているか、別の内容に対するものです。",
        "A time-stamp is broken, or is one of something else.",
    ),
    Cause.TIME_STAMP_MISUSED: _refused(
        SubIndication.CHAIN_CONSTRAINTS_FAILURE,
        "タイムスタンプが、タイムスタンプ用ではない証明書で作られています。",
        "A time-stamp was made with a certificate that is not for time-stamping.",
    ),
    Cause.OTHER_HOLDER: _refused(
        SubIndication.SIG_CONSTRAINTS_FAILURE,
        "指定された利用者の署名ではありません。氏名、住所、生年月日、性別のいずれかが異なります。",
        "It is not the signature of the holder who was given: name, address, date of birth or gender differ.",
    ),
    Cause.UNSUPPORTED: _undecided(
        SubIndication.SIG_CONSTRAINTS_FAILURE,
        "対応していない署名の形式のため、判定できません。",
        "The signature is of a form that is not supported, so it cannot be judged.",
    ),
    Cause.FORMAT_NOT_TAKEN: _undecided(
        SubIndication.SIG_CONSTRAINTS_FAILURE,
        "検証方針「{policy}」では扱わない形式です。",
        "The policy '{policy}' does not take documents of this format.",
    ),
    Cause.CONTENT_ABSENT: _undecided(
        SubIndication.SIGNED_DATA_NOT_FOUND,
        "署名された内容がファイルに含まれていないため、判定できません。",
        "The signed content is not in the file, so the signature cannot be judged.",
    ),
    Cause.NO_SIGNER_CERTIFICATE: _undecided(
        SubIndication.NO_SIGNING_CERTIFICATE_FOUND,
        "署名者の証明書が含まれていないため、判定できません。",
        "The signer's certificate is missing, so the signature cannot be judged.",
    ),
    Cause.WEAK_ALGORITHM: _undecided(
        SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE,
        "現在では安全とされない弱いアルゴリズムまたは鍵が使われています。",
        "The signature rests on a weak algorithm or key that is no longer considered safe.",
    ),
    Cause.NO_TRUSTED_CHAIN: _undecided(
        SubIndication.NO_CERTIFICATE_CHAIN_FOUND,
        "署名者の証明書から、信頼する認証局への経路がありません。",
        "No chain leads from the signer's certificate to a trusted authority.",
    ),
    Cause.EXPIRED: _undecided(
        SubIndication.OUT_OF_BOUNDS_NO_POE,
        "証明書の有効期間は{not_after}に終わっており、有効な間に署名されたことの証明がありません。",
        "The certificate expired at {not_after}, and nothing proves that the signature was made before.",
    ),
    Cause.NOT_YET_VALID: _undecided(
        SubIndication.NOT_YET_VALID,
        "判定の時点では、証明書の有効期間（{not_before}から）が始まっていません。",
        "The certificate is not valid before {not_before}, which is after the time that counts.",
    ),
    Cause.TIME_STAMP_ORDER: _undecided(
        SubIndication.TIMESTAMP_ORDER_FAILURE,
        "タイムスタンプの時刻の順序が矛盾しています。",
        "The time-stamps contradict each other: a later one tells an earlier time.",
    ),
    Cause.TIME_UNPROVEN: _undecided(
        SubIndication.NO_POE,
        "検証方針「{policy}」が求める、署名の時期の証明がありません。",
        "There is no proof of when it was signed, as the policy '{policy}' asks for.",
    ),
    Cause.REVOCATION_STALE: _undecided(
        SubIndication.TRY_LATER,
        "証明書の経路は正しいですが、失効情報が古く、失効の有無を確認できていません。",
        "The chain is in order, but the revocation data is stale: revocation is unchecked.",
    ),
    Cause.REVOCATION_UNCHECKED: _undecided(
        SubIndication.TRY_LATER,
        "証明書の経路は正しいですが、失効の有無を確認できていません。",
        "The chain is in order, but revocation is unchecked.",
    ),
    Cause.HOLDER_UNTOLD: _undecided(
        SubIndication.SIG_CONSTRAINTS_FAILURE,
        "証明書に氏名などの記載がなく、指定された利用者の署名かどうか確認できません。",
        "The certificate names nobody, so nothing tells whether the signature is that of the holder who was given.",
    ),
}
"""Every cause's ruling. The order matters: where several causes meet, the first one here speaks for the signature."""

_BY_SEVERITY = (Decision.UNREADABLE, Decision.REFUSE, Decision.UNDECIDED, Decision.ACCEPT)
_PRECEDENCE = {cause: place for place, cause in enumerate(RULINGS)}


def gravest(causes: Iterable[Cause]) -> Cause | None:
    """Return the cause that speaks for a signature: a refusing one before an undecided one; None where all passed."""
    return min(causes, key=_PRECEDENCE.__getitem__, default=None)


def worst(decisions: Iterable[Decision]) -> Decision:
    """Return the decision that counts for a file with several signatures, or for several files.

    Raises:
        ValueError: there is no decision at all.
    """
    return min(decisions, key=_BY_SEVERITY.index)
