"""What decisions, checks and outcomes are called where people read them."""

from jpki.text import Text
from signing.report import Outcome, Step, TimeProof
from signing.verdict import Decision

DECISIONS = {
    Decision.ACCEPT: Text("受理", "Accepted"),
    Decision.REFUSE: Text("拒否", "Refused"),
    Decision.UNDECIDED: Text("判定不能", "Undecided"),
    Decision.UNREADABLE: Text("読取不能", "Unreadable"),
}

OUTCOMES = {
    Outcome.PASSED: Text("合格", "Passed"),
    Outcome.FAILED: Text("不合格", "Failed"),
    Outcome.UNDECIDED: Text("判定不能", "Undecided"),
    Outcome.NOT_APPLICABLE: Text("対象外", "Not applicable"),
}

MARKS = {Outcome.PASSED: "✓", Outcome.FAILED: "✗", Outcome.UNDECIDED: "?", Outcome.NOT_APPLICABLE: "–"}

STEPS = {
    Step.FORMAT: Text("署名の形式", "Form of the signature"),
    Step.ALGORITHM: Text("アルゴリズムと鍵", "Algorithms and keys"),
    Step.INTEGRITY: Text("内容と署名値", "Content and signature value"),
    Step.COVERAGE: Text("署名の範囲", "What is signed"),
    Step.CHANGES: Text("署名後の変更", "Changes after signing"),
    Step.TIME_STAMP: Text("タイムスタンプ", "Time-stamps"),
    Step.TIME: Text("判定の時点", "The time that counts"),
    Step.PATH: Text("認証局への経路", "Chain to an authority"),
    Step.KIND: Text("証明書の種類", "Kind of certificate"),
    Step.POLICY: Text("証明書ポリシー", "Certificate policy"),
    Step.VALIDITY: Text("有効期間", "Validity period"),
    Step.REVOCATION: Text("失効", "Revocation"),
    Step.HOLDER: Text("利用者との照合", "Match with the holder"),
}

ATTRIBUTES = {
    "name": Text("氏名", "Name"),
    "name_substitutes": Text("氏名の代替文字の位置", "Substituted characters of the name"),
    "birth_date": Text("生年月日", "Date of birth"),
    "gender": Text("性別", "Gender"),
    "address": Text("住所", "Address"),
    "address_substitutes": Text("住所の代替文字の位置", "Substituted characters of the address"),
}

TIME_PROOFS = {
    TimeProof.TIME_STAMP: Text(
        "署名のタイムスタンプが証明する時刻（これより前に署名）", "Signed by this time, which its time-stamp proves"
    ),
    TimeProof.DOCUMENT_TIME_STAMP: Text(
        "文書のタイムスタンプが証明する時刻（これより前に署名）",
        "Signed by this time, which the document's time-stamp proves",
    ),
    TimeProof.CLAIMED: Text("署名者の申告する時刻（証明にはなりません）", "Time that the signer claims (no proof)"),
}
