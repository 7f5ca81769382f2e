"""What administrators and auditors read: the audit's acts and actors, and what campaigns do, in everyday words."""

from collections.abc import Mapping

from jpki.acts import Act
from jpki.campaign import CampaignState
from jpki.counter import CounterState
from jpki.resident_event import Doubt, Kind
from jpki.text import Text

ACTS: Mapping[Act, Text] = {
    Act.CEREMONY: Text("鍵のセレモニーを開始した", "a key ceremony was opened"),
    Act.CEREMONY_WILL_SIGN: Text("セレモニーの記録に署名する", "a ceremony's record is about to be signed"),
    Act.CEREMONY_CLOSED: Text("鍵のセレモニーを終えた", "a key ceremony was closed"),
    Act.GENERATION_COMPROMISED: Text("認証局の鍵を危殆化とした", "a CA key was declared compromised"),
    Act.GENERATION_ISSUES: Text("認証局の鍵で発行を始めた", "a CA key began to issue"),
    Act.KEY_WILL_BE_DESTROYED: Text("鍵を廃棄する", "a key is about to be destroyed"),
    Act.KEY_DESTROYED: Text("鍵を廃棄した", "a key was destroyed"),
    Act.RESERVED: Text("証明書の発行番号を取った", "a certificate's serial was reserved"),
    Act.WILL_SIGN: Text("証明書に署名する", "a certificate is about to be signed"),
    Act.SIGNED: Text("証明書に署名した", "a certificate was signed"),
    Act.ACTIVATED: Text("証明書を有効にした", "a certificate came to life"),
    Act.VOIDED: Text("証明書の発行をやめた", "a certificate was given up before it lived"),
    Act.REVOKED: Text("証明書を失効させた", "a certificate was revoked"),
    Act.HELD: Text("証明書を一時停止した", "a certificate was put on hold"),
    Act.RELEASED: Text("一時停止を解除した", "a certificate was released"),
    Act.DELEGATE_WILL_SIGN: Text("運用の証明書に署名する", "a certificate of the house is about to be signed"),
    Act.DELEGATE_SIGNED: Text("運用の証明書に署名した", "a certificate of the house was signed"),
    Act.VERIFIER_REGISTERED: Text("署名検証者を登録した", "a verifier was registered"),
    Act.VERIFIER_CERTIFIED: Text("署名検証者に証明書を渡した", "a verifier was given a certificate"),
    Act.VERIFIER_CHANGED: Text("署名検証者の登録を変更した", "a verifier was changed"),
    Act.KEY_BLOCKED: Text("弱い鍵を受付不可にした", "a weak key was blocked"),
    Act.TRUST_ADDED: Text("信頼する認証局を加えた", "a trust anchor was added"),
    Act.TRUST_REMOVED: Text("信頼する認証局を外した", "a trust anchor was removed"),
    Act.CLOCK_ACCEPTED: Text("時計の時刻を認めた", "the clock's time was accepted"),
    Act.SEALING_KEY_MADE: Text("台帳の暗号鍵を作る", "a sealing key is about to be made"),
    Act.SEALING_KEY_DESTROYED: Text("台帳の暗号鍵を廃棄する", "a sealing key is about to be destroyed"),
    Act.ROLE_ADMITTED: Text("データベースの利用者を加えた", "a database role was admitted"),
    Act.CASE_OPENED: Text("申請を受け付けた", "a case was opened"),
    Act.CASE_STEP: Text("申請を進めた", "a case moved on"),
    Act.RESIDENT_SHOWN: Text("住民の記録を見た", "the register's answer was shown"),
    Act.HOLDER_LOOKED_UP: Text("利用者を検索した", "a holder was looked up"),
    Act.CLERK_ADDED: Text("職員を追加した", "a clerk was added"),
    Act.CLERK_CERTIFIED: Text("職員に証明書を渡した", "a clerk was given a certificate"),
    Act.CLERK_CHANGED: Text("職員を停止又は再開した", "a clerk was suspended or resumed"),
    Act.COUNTER_ADDED: Text("窓口を追加した", "a counter was added"),
    Act.COUNTER_CLOSED: Text("窓口を閉じた", "a counter was closed"),
    Act.CAMPAIGN_OPENED: Text("一括処理を開始した", "a campaign was opened"),
    Act.CAMPAIGN_CHANGED: Text("一括処理を変更した", "a campaign was changed"),
    Act.EVENTS_RECEIVED: Text("住民の異動を受け取った", "resident events were received"),
    Act.EVENTS_HANDLED: Text("住民の異動を処理した", "resident events were handled"),
    Act.EVENT_SETTLED: Text("要確認の異動を片付けた", "a resident event was settled"),
    Act.EVENTS_REPLAYED: Text("住民の異動をやり直しにした", "resident events were replayed"),
    Act.CRL_WILL_SIGN: Text("失効リストに署名する", "a revocation list is about to be signed"),
    Act.CRL_PUBLISHED: Text("失効リストを公開した", "a revocation list was published"),
    Act.AUDIT_ERASED: Text("古い監査記録の本文を消去した", "old bodies of the audit were erased"),
    Act.BACKUP_MADE: Text("バックアップを作る", "a backup is about to be made"),
    Act.RESTORED: Text("バックアップから復旧した", "the ledger was restored from a backup"),
    Act.RECORD_LOST: Text("復旧の前に失われた記録がある", "a record was lost before a restore"),
}
ACTORS: Mapping[str, Text] = {
    "clerk": Text("職員", "clerk"),
    "operator": Text("運用者", "operator"),
    "system": Text("自動処理", "the house itself"),
    "register": Text("住民基本台帳", "register of residents"),
}
CAMPAIGN_STATES: Mapping[CampaignState, Text] = {
    CampaignState.RUNNING: Text("実行中", "running"),
    CampaignState.PAUSED: Text("一時停止中", "paused"),
    CampaignState.CANCELLED: Text("中止", "cancelled"),
}
COUNTER_STATES: Mapping[CounterState, Text] = {
    CounterState.OPEN: Text("受付中", "open"),
    CounterState.CLOSED: Text("閉鎖", "closed"),
}
FAILURES: Mapping[str, Text] = {
    "request-missing": Text("カードからの証明書要求がまだ届いていない", "the card's request has not arrived yet"),
    "csr-malformed": Text("カードからの証明書要求を読めない", "the card's request cannot be read"),
    "not-live": Text("もう有効ではない", "it lives no more"),
    "renewal-closed": Text("更新の期間ではない", "it cannot be renewed yet"),
    "municipality-merged": Text(
        "住所の市区町村が合併したので窓口で更新する", "by a merger its address is no more: at the counter"
    ),
    "key-reused": Text("新しい鍵が以前に使われている", "the new key was used before"),
    "key-weak": Text("新しい鍵が弱い", "the new key is weak"),
    "key-wrong-kind": Text("新しい鍵の種類が違う", "the new key is of the wrong kind"),
    "key-not-possessed": Text(
        "カードが新しい鍵を持っている証明がない", "the card did not prove that it has the new key"
    ),
    "certificate-pending": Text("ほかの処理で発行中", "another is being issued elsewhere"),
    "already-revoked": Text("すでに失効している", "it is revoked already"),
}
"""What kept a campaign from doing a certificate, by the error's code, where it happens often."""
EVENT_KINDS: Mapping[Kind, Text] = {
    Kind.MOVED: Text("引っ越した", "moved"),
    Kind.RENAMED: Text("氏名が変わった", "has another name"),
    Kind.CORRECTED: Text("記載が訂正された", "the entry was corrected"),
    Kind.MOVED_ABROAD: Text("国外へ転出した（附票に残る）", "moved abroad, and stays in the register of domiciles"),
    Kind.DIED: Text("亡くなった", "died"),
    Kind.DELETED: Text("住民票が消除された", "the entry was deleted"),
    Kind.DEPARTED: Text("国外へ転出した", "left the country"),
    Kind.RESIDENCY_LOST: Text("在留の資格がなくなった", "the basis of residency ended"),
    Kind.CARD_RETURNED: Text("カードを返納した", "gave the card back"),
    Kind.CARD_EXPIRED: Text("カードの有効期限が切れた", "the card expired"),
    Kind.NUMBER_CHANGED: Text("個人番号の変更でカードが失効した", "the number was changed, so the card ended"),
}
DOUBTS: Mapping[Doubt, Text] = {
    Doubt.SEQUENCE_REUSED: Text(
        "どちらが正しいか通知元に確かめ、正しい内容を新しい通番で送ってもらってください。",
        "Ask the source which one is true, and to tell that under a new number.",
    ),
    Doubt.HOLDER_UNKNOWN: Text(
        "利用者コードに誤りがないか通知元に確かめてください。証明書を持たない人なら、そのまま片付けられます。",
        "Ask the source whether the code is right. Nothing is left to do for one who has no certificate.",
    ),
    Doubt.DEAD_BEFORE: Text(
        "死亡と異動のどちらが正しいか、通知元に確かめてください。",
        "Ask the source which is true, the death or what came after it.",
    ),
    Doubt.ISSUED_SINCE: Text(
        "異動の後に発行された証明書が今の記載どおりか確かめ、違えば失効の申請を受け付けてください。",
        "See whether the newer certificate says what is true now; if not, open a case to revoke it.",
    ),
    Doubt.REGISTER_DISAGREES: Text(
        "住民の記録を見て、どちらが正しいか通知元に確かめてください。",
        "Look at the register, and ask the source which is true.",
    ),
    Doubt.REGISTER_UNREADABLE: Text(
        "住民基本台帳の担当に、回答の形式を直してもらってください。直れば自動で処理し直せます。",
        "Have the register's answer put right; then the event can be handled again.",
    ),
    Doubt.NOT_COMPARED: Text(
        "訂正の内容を証明書の記載と見比べ、違えば失効の申請を受け付けてください。",
        "Compare the correction with the certificate; if they differ, open a case to revoke it.",
    ),
}
"""What a clerk does about a doubt."""
