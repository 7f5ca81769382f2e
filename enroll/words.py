"""What the office's own words are called where people read them."""

from collections.abc import Mapping

from jpki.case import Applicant, CaseKind, CaseState, Document, ExpressGround, Ground, Step
from jpki.certificate import Purpose
from jpki.clerk import Role
from jpki.counter import CounterKind
from jpki.event import Event
from jpki.revocation import Finding, Reason, State
from jpki.text import Text

STATES: Mapping[CaseState, Text] = {
    CaseState.RECEIVED: Text("受付", "received"),
    CaseState.IDENTITY_CHECKED: Text("本人確認済み", "identity checked"),
    CaseState.APPROVED: Text("承認済み", "approved"),
    CaseState.ISSUED: Text("発行済み（未交付）", "issued, not delivered"),
    CaseState.DELIVERED: Text("交付済み", "delivered"),
    CaseState.DONE: Text("完了", "done"),
    CaseState.REFUSED: Text("不受理", "refused"),
    CaseState.CANCELLED: Text("取下げ", "cancelled"),
    CaseState.EXPIRED: Text("期限切れ", "expired"),
}
STEPS: Mapping[Step, Text] = {
    Step.OPEN: Text("受付", "take the case"),
    Step.CHECK_IDENTITY: Text("本人確認", "check the identity"),
    Step.APPROVE: Text("承認", "approve"),
    Step.ISSUE: Text("発行", "issue"),
    Step.DELIVER: Text("交付", "hand over"),
    Step.COMPLETE: Text("実行", "carry out"),
    Step.REFUSE: Text("不受理", "refuse"),
    Step.CANCEL: Text("取下げ", "cancel"),
    Step.RETURN: Text("差戻し", "send back"),
    Step.TAKE_OVER: Text("引継ぎ", "take over"),
    Step.EXPIRE: Text("期限切れ", "expire"),
}
EVENTS: Mapping[Event, Text] = {
    Event.RECORD_CHANGED: Text("氏名・住所などが変わった", "name, address or other data changed"),
    Event.DIED: Text("亡くなった", "the holder died"),
    Event.DELETED: Text("住民票が消除された", "the register's entry was deleted"),
    Event.LEFT_COUNTRY: Text("国外へ転出した", "the holder left the country"),
    Event.RESIDENCY_LOST: Text("在留の資格がなくなった", "the basis of residency ended"),
    Event.HOLDER_ASKED: Text("本人が使わなくなった", "the holder asked for it"),
    Event.CARD_LOST: Text("カードをなくした・盗まれた", "the card is lost or stolen"),
    Event.KEY_LEAKED: Text("秘密鍵が漏れた・悪用された", "the key leaked or was misused"),
    Event.CARD_DESTROYED: Text("カードが壊れた・ICが読めない", "the card is broken or unreadable"),
    Event.CARD_RETURNED: Text("カードを返納した", "the card was given back"),
    Event.CARD_EXPIRED: Text("カードの有効期限が切れた", "the card expired"),
    Event.NUMBER_CHANGED: Text("個人番号の変更でカードが失効した", "the number was changed, so the card ended"),
    Event.REPLACED: Text("新しい証明書に替わった", "a new certificate took its place"),
    Event.RECORD_WRONG: Text("証明書の記載に誤りがあった", "the certificate records an error"),
    Event.CA_KEY_LEAKED: Text("認証局の鍵が漏れた", "the CA's key leaked"),
}
APPLICANTS: Mapping[Applicant, Text] = {
    Applicant.HOLDER: Text("本人", "the holder"),
    Applicant.LEGAL_PROXY: Text("法定代理人（親権者・後見人）", "legal proxy: a parent or guardian"),
    Applicant.VOLUNTARY_PROXY: Text("任意代理人", "voluntary proxy"),
    Applicant.THIRD_PARTY: Text("第三者（鍵の漏えいの届出）", "third party who reports a leaked key"),
}
DOCUMENTS: Mapping[Document, Text] = {
    Document.LEGAL_PROOF: Text("代理権を証する書類（戸籍謄本など）", "proof of parenthood or guardianship"),
    Document.REPLY_LETTER: Text("照会書兼回答書（封入されたもの）", "the mailed enquiry, answered and sealed"),
}
GROUNDS: Mapping[Ground, Text] = {
    Ground.IDENTITY_NOT_PROVEN: Text("本人確認ができない", "the identity is not proven"),
    Ground.NOT_ELIGIBLE: Text("発行の条件を満たさない", "the holder is not eligible"),
    Ground.DOCUMENTS_MISSING: Text("書類が足りない", "documents are missing"),
    Ground.SUSPECTED_FRAUD: Text("なりすましの疑いがある", "fraud is suspected"),
}
WHY_REFUSED = Text("不受理の理由", "Why it is refused")
WHAT_HAPPENED = Text("どうしましたか", "What happened")
EXPRESS_GROUNDS: Mapping[ExpressGround, Text] = {
    ExpressGround.NEWBORN: Text("新生児", "newborn"),
    ExpressGround.RETURNEE: Text("国外からの転入", "came back from abroad"),
    ExpressGround.LOST_CARD: Text("カードの紛失", "lost card"),
    ExpressGround.NEW_RESIDENT: Text("新たな住民", "new resident"),
}
ROLES: Mapping[Role, Text] = {
    Role.RECEPTION: Text("受付", "reception"),
    Role.APPROVAL: Text("承認", "approval"),
    Role.ADMINISTRATOR: Text("管理者", "administrator"),
    Role.AUDITOR: Text("監査", "auditor"),
    Role.REGISTER: Text("住民基本台帳のシステム", "a register's system"),
}
COUNTER_KINDS: Mapping[CounterKind, Text] = {
    CounterKind.MUNICIPALITY: Text("市区町村", "municipality"),
    CounterKind.POST_OFFICE: Text("郵便局", "post office"),
    CounterKind.CONSULATE: Text("在外公館", "consulate"),
    CounterKind.ONLINE: Text("利用者のページ", "the holder's own page"),
}
CERTIFICATE_STATES: Mapping[State, Text] = {
    State.RESERVED: Text("準備中", "being prepared"),
    State.INTENDED: Text("署名待ち", "about to be signed"),
    State.ISSUED: Text("未交付", "not delivered"),
    State.ACTIVE: Text("有効", "valid"),
    State.HELD: Text("一時停止中", "on hold"),
    State.REVOKED: Text("失効", "revoked"),
    State.VOID: Text("発行せず", "never signed"),
}
WHY: Mapping[Reason, Text] = {
    Reason.UNSPECIFIED: Text(
        "交付されなかったか、記録が失われたためです。", "It was never handed over, or its record was lost."
    ),
    Reason.KEY_COMPROMISE: Text("秘密鍵が漏れたか、カードが壊れたためです。", "The key leaked, or the card is broken."),
    Reason.CA_COMPROMISE: Text(
        "認証局の鍵が漏れたためです。本人の落ち度ではありません。", "The CA's key leaked; the holder is not to blame."
    ),
    Reason.AFFILIATION_CHANGED: Text(
        "引っ越しや改氏名などで、証明書の記載が今と違うためです。新しい証明書を発行できます。",
        "What it says is true no more, after a move or a new name for instance. A new one can be issued.",
    ),
    Reason.SUPERSEDED: Text("新しい証明書に替わったためです。", "A new certificate took its place."),
    Reason.CESSATION_OF_OPERATION: Text(
        "使うのをやめた、カードを返した、又は住民の記録がなくなったためです。",
        "The holder stopped using it, gave the card back, or is in the register no more.",
    ),
    Reason.CERTIFICATE_HOLD: Text(
        "カードをなくした、又は盗まれたと届出があったためです。", "The card was reported lost or stolen."
    ),
}
HOLD_FINAL = Text(
    "署名用電子証明書の一時停止は解除できません。また使うには再発行します。",
    "A signing certificate's hold cannot be lifted; to use one again, re-issue it.",
)
HOLD_LIFTS = Text("カードが見つかれば、窓口で解除できます。", "Once the card is found, the hold can be lifted here.")
USES: Mapping[Purpose, Text] = {
    Purpose.SIGNING: Text(
        "e-Taxなど、オンラインの申請への署名", "signing what is filed online, with e-Tax for instance"
    ),
    Purpose.AUTHENTICATION: Text(
        "コンビニでの証明書の交付、マイナポータルへのログイン",
        "certificates at a convenience store, and logging in to Mynaportal",
    ),
}
FINDINGS: Mapping[Finding, Text] = {
    Finding.GOOD: Text("有効", "good"),
    Finding.HELD: Text("一時停止中（失効として扱われます）", "on hold, which counts as revoked"),
    Finding.REVOKED: Text("失効", "revoked"),
    Finding.UNKNOWN: Text("不明（使えません）", "unknown, so not usable"),
}
NO_ANSWER = Text(
    "この認証局は登録された検証者だけに答えるため、ここには示せません。",
    "Only registered verifiers are answered, so it is not shown here.",
)
DONE: Mapping[CaseKind, Text] = {
    CaseKind.REVOCATION: Text("失効しました。", "Revoked."),
    CaseKind.HOLD: Text("一時停止しました。", "Put on hold."),
    CaseKind.RELEASE: Text("一時停止を解除しました。", "The hold was lifted."),
    CaseKind.PIN_RESET: Text("暗証番号を再設定しました。", "The PIN was reset."),
}
"""What a case of which no certificate comes has done, after its time."""
AFTERWARDS: Mapping[CaseKind, Text] = {
    CaseKind.HOLD: Text(
        "カードが見つかったら一時停止の解除、見つからなければ再発行に進みます。",
        "Once the card is found, lift the hold; if it is not, go on with a re-issue.",
    ),
}
"""What comes next, where something does."""
WHAT_FOR: Mapping[CaseKind, Text] = {
    CaseKind.REVOCATION: Text("証明書を失効する", "Revoke certificates"),
    CaseKind.HOLD: Text("なくしたカードの証明書を一時停止する", "Put a lost card's certificates on hold"),
    CaseKind.RELEASE: Text("一時停止を解除する", "Lift a hold"),
    CaseKind.PIN_RESET: Text("暗証番号を再設定する", "Reset a PIN"),
}
