"""`jpki reconcile`: close what a crash left open, and prove that audit, ledger, OCSP and lists say the same."""

from collections.abc import Iterator
from typing import Any

from jpki.acts import LOCAL_OPERATOR
from jpki.ids import format_serial
from jpki.revocation import State
from jpki.text import Text
from server.cli.frame import EXIT_FAILED, Output, command, home_option, opened
from server.home import Home
from server.reconcile.difference import Difference, Fault
from server.reconcile.reconcile import Report
from server.reconcile.reconcile import reconcile as run


@command("reconcile")
@home_option
def reconcile(home: Home, output: Output) -> int:
    """Close what a crash left open, then compare audit, ledger, OCSP and lists; exit 0 if nothing differs any more."""
    report = run(
        opened(home), LOCAL_OPERATOR, lambda seen: output.progress(Text(f"  {seen}件", f"  {seen} serials compared"))
    )
    output.result("jpki.reconcile/1", _fields(report), list(_lines(report)))
    return EXIT_FAILED if report.found else 0


# --- words ---------------------------------------------------------------------------------------------------------


def _lines(report: Report) -> Iterator[Text]:
    for serial, state in report.closed.items():
        outcome = _VOIDED if state is State.RESERVED else _REVOKED
        yield Text(f"修復 {format_serial(serial)}：{outcome.ja}", f"repaired {format_serial(serial)}: {outcome.en}")
    for mark in report.published:
        name = f"{mark.purpose}/{mark.partition}"
        yield Text(
            f"修復 {name}：第{mark.number}号を発行しました。", f"repaired {name}: published number {mark.number}"
        )
    for each in report.doubtful:
        yield Text(
            f"注意 {format_serial(each.serial)}：{each.kind} {each.name} は署名されたか不明です。使わないでください。",
            f"note {format_serial(each.serial)}: {each.kind} {each.name} was perhaps signed; it must not be used",
        )
    for difference in report.differences:
        what, action = _FAULTS[difference.fault]
        expected, found = difference.expected, difference.found
        yield Text(
            f"差異 {difference.subject}：{what.ja}（{expected} → {found}）\n  → {action.ja}",
            f"differs {difference.subject}: {what.en} (should be: {expected}; is: {found})\n  → {action.en}",
        )
    yield Text(
        f"証明書{report.certificates}件、署名{report.signatures}件、監査記録{report.acts}件、OCSP{report.answers}件、"
        f"失効リスト{report.entries}行を照合：差異{report.found}件",
        f"Compared {report.certificates} certificates, {report.signatures} signatures, {report.acts} acts,"
        f" {report.answers} OCSP answers, {report.entries} list entries: {report.found} differences.",
    )


def _fields(report: Report) -> dict[str, Any]:
    return {
        "compared": {
            "acts": report.acts,
            "certificates": report.certificates,
            "signatures": report.signatures,
            "answers": report.answers,
            "list_entries": report.entries,
        },
        "closed": [
            {"serial": format_serial(serial), "was": state, "is": _closed(state)}
            for serial, state in report.closed.items()
        ],
        "published": [f"{mark.purpose}/{mark.partition}" for mark in report.published],
        "doubtful": [
            {"serial": format_serial(each.serial), "kind": each.kind, "name": each.name} for each in report.doubtful
        ],
        "pending": report.pending,
        "found": report.found,
        "differences": [_difference(each) for each in report.differences],
    }


def _difference(difference: Difference) -> dict[str, Any]:
    what, action = _FAULTS[difference.fault]
    return {
        "subject": difference.subject,
        "fault": difference.fault,
        "expected": difference.expected,
        "found": difference.found,
        "problem": what.as_json(),
        "action": action.as_json(),
    }


def _closed(state: State) -> State:
    return State.VOID if state is State.RESERVED else State.REVOKED


_VOIDED = Text("署名前に中断した予約を取り消しました。", "left before it was signed, now void")
_REVOKED = Text("交付前に中断した証明書を失効させました。", "left after it may have been signed, now revoked")

_RESTORE = Text(
    "台帳を保全し、jpki audit verify と jpki audit log --subject で経緯を確認して、バックアップから復旧してください。",
    "Keep the ledger as it is; see `jpki audit verify` and `jpki audit log --subject`, and restore it from a backup.",
)
_INSPECT = Text(
    "jpki audit log --subject で経緯を確認し、証明書が交付されたおそれがあれば jpki revoke で失効させてください。",
    "See what happened with `jpki audit log --subject`; if the certificate may be out, end it with `jpki revoke`.",
)
_PUBLISH = Text(
    "jpki crl publish --all を実行し、もう一度照合してください。", "Run `jpki crl publish --all`, then reconcile again."
)
_FAULTS = {
    Fault.ACTS_OUT_OF_ORDER: (Text("監査記録の順序が違います。", "its acts do not follow each other"), _RESTORE),
    Fault.AUDIT_LACKS: (Text("監査記録にありません。", "the audit does not know it"), _RESTORE),
    Fault.LEDGER_LACKS: (Text("台帳にありません。", "the ledger does not know it"), _RESTORE),
    Fault.SERIAL_TWICE: (Text("発行番号が重複しています。", "two certificates bear the serial"), _RESTORE),
    Fault.STATE_DIFFERS: (Text("監査記録と状態が違います。", "audit and ledger differ in its state"), _INSPECT),
    Fault.ROW_MISSING: (Text("台帳の行が欠けています。", "a row of the ledger is missing"), _RESTORE),
    Fault.RECORD_DIFFERS: (Text("封印された記録が違います。", "its sealed record differs"), _RESTORE),
    Fault.RECORD_UNREADABLE: (Text("封印された記録が読めません。", "its sealed record cannot be read"), _RESTORE),
    Fault.COMMITMENT_DIFFERS: (
        Text("署名予定の内容が監査記録と違います。", "what was to be signed is not what the audit is bound to"),
        _RESTORE,
    ),
    Fault.SIGNATURE_DIFFERS: (Text("署名の有無が違います。", "a signature is missing or too many"), _INSPECT),
    Fault.SIGNATURE_WRONG: (Text("署名が正しくありません。", "its signature is wrong"), _INSPECT),
    Fault.JOURNAL_DIFFERS: (Text("状態の履歴が違います。", "the journal differs"), _RESTORE),
    Fault.PLACE_DIFFERS: (Text("利用者の枠が違います。", "its holder's place differs"), _RESTORE),
    Fault.OCSP_DIFFERS: (Text("OCSPの応答が違います。", "OCSP answers otherwise"), _INSPECT),
    Fault.OCSP_SILENT: (
        Text("OCSPが応答しません。", "OCSP does not answer"),
        Text(
            "jpki doctor で確認し、jpki crl publish で更新してください。", "See `jpki doctor`; then `jpki crl publish`."
        ),
    ),
    Fault.LIST_LAGS: (Text("失効リストが古い号です。", "the list lags behind"), _PUBLISH),
    Fault.LIST_UNREADABLE: (Text("失効リストが読めません。", "the list cannot be read"), _PUBLISH),
    Fault.LIST_STALE: (Text("失効リストの期限が切れています。", "the list is stale"), _PUBLISH),
    Fault.LIST_DIFFERS: (Text("失効リストの内容が違います。", "the list holds something else"), _PUBLISH),
    Fault.LIST_UNKNOWN: (
        Text("台帳にない失効リストです。", "the ledger knows no such list"),
        Text(
            "台帳が復旧されたものでなければ、ファイルを別の場所に移してください。",
            "Unless the ledger was just restored, move the file away.",
        ),
    ),
}
