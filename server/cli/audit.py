"""`jpki audit`: what was done, and the proof that the record of it is whole."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.serialization import Encoding

from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import Purpose
from jpki.clock import JST, iso
from jpki.ids import Serial, format_serial
from jpki.text import Text
from server.audit.file import read_lines
from server.audit.lines import records
from server.audit.trust import Trust
from server.audit.verify import Heads, Report, Restoration, keep_heads, verify
from server.cli.frame import EXIT_FAILED, HomeType, Output, SerialType, command, home_option, opened
from server.home import Home, read_at_most
from server.store.audit_log import Recorded

_PAGE = 1000
_LARGEST_KEY_FILE = 1 << 20
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("audit")
def audit() -> None:
    """Read the record of every act, and prove that it is whole."""


@command("log")
@home_option
@click.option("--since", type=click.IntRange(0), default=0, help="Only acts with higher numbers than this.")
@click.option("--subject", type=SerialType(), help="Only acts on the certificate with this serial.")
def log(home: Home, since: int, subject: Serial | None, output: Output) -> None:
    """Print what was done, a thousand acts at a time."""
    rooms = opened(home)
    rooms.notary.chain()
    wanted = rooms.store.audit_log.entries(since, None if subject is None else format_serial(subject))
    page = list(islice(wanted, _PAGE))
    following = page[-1].number if len(page) == _PAGE else None
    lines = [_act_line(each) for each in page]
    if following is not None:
        lines.append(Text(f"続き：--since {following}", f"more: --since {following}"))
    output.result("jpki.audit-log/1", {"entries": [_act_fields(each) for each in page], "next": following}, lines)


@command("export")
@home_option
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The log; it only grows.")
def export(home: Home, out: Path, output: Output) -> None:
    """Add all that is new to a log that an auditor keeps, and sign where it ends."""
    added = opened(home).notary.export(out)
    line = Text(f"{out} に{added}行を書き足しました。", f"Added {added} lines to {out}.")
    output.result("jpki.audit-export/1", {"file": str(out), "added": added}, [line])


@command("key")
@home_option
def key(home: Home, output: Output) -> None:
    """Print the infrastructure root's certificates: what an auditor needs beside the log."""
    roots = opened(home).store.generations.ever(Purpose.INFRASTRUCTURE)
    pem = "".join(root.certificate.public_bytes(Encoding.PEM).decode() for root in roots).rstrip()
    output.result("jpki.audit-key/1", {"pem": pem}, [Text(pem, pem)])


@command("erase")
@home_option
@click.option("--before", required=True, type=click.DateTime(["%Y-%m-%d"]), help="A day in Japan, YYYY-MM-DD.")
def erase(home: Home, before: datetime, output: Output) -> None:
    """Erase what acts and look-ups before a day were about, where the law wants it no longer; the chain stays whole."""
    rooms, moment = opened(home), before.replace(tzinfo=JST)
    # A look-up tells of the use of a certificate: it is kept as long as what tells of the issue, as is checked here.
    erased = rooms.notary.erase(moment, LOCAL_OPERATOR)
    look_ups = rooms.store.verifiers.erase(moment)
    line = Text(
        f"監査記録{erased}件の本文と、照会の記録{look_ups}件を消去しました。",
        f"Erased the bodies of {erased} acts, and {look_ups} look-ups.",
    )
    output.result("jpki.audit-erase/1", {"erased": erased, "look_ups": look_ups}, [line])


@command("verify")
@click.option("--home", type=HomeType(), envvar="JPKI_HOME", help="The authority's home, to check its ledger.")
@click.option("--log", "log_file", type=_file, help="An exported log, to check it without a home.")
@click.option("--key", "key_file", type=_file, help="PEM: an audit key, or what `jpki audit key` printed.")
@click.option("--anchor", "anchors", type=_file, multiple=True, help="Heads, or an earlier log, that an auditor kept.")
def verify_(
    home: Home | None, log_file: Path | None, key_file: Path | None, anchors: tuple[Path, ...], output: Output
) -> int:
    """Find any change, gap, reordering or cut; exit 0 only if the audit is whole."""
    subject = _subject(home, log_file, key_file)
    heads: Heads = {}
    for anchor in (*anchors, *subject.anchors):
        fault = keep_heads(heads, records(read_lines(anchor)), subject.trust)
        if fault is not None:
            return _report(Report(entries=0, erased=0, heads=0, sealed=0, fault=fault), anchor, output)
    return _report(subject.check(heads), log_file, output)


for each in (log, export, key, verify_, erase):
    audit.add_command(each)


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is checked: whom to believe, which anchors belong to it, and the check."""

    trust: Trust
    anchors: tuple[Path, ...]
    check: Callable[[Heads], Report]


def _subject(home: Home | None, log_file: Path | None, key_file: Path | None) -> _Subject:
    trust = None if key_file is None else Trust.of_pem(read_at_most(key_file, _LARGEST_KEY_FILE))
    if log_file is not None:
        if trust is None:
            raise _missing("--key")
        believed = trust
        return _Subject(believed, (), lambda heads: verify(records(read_lines(log_file)), believed, heads))
    if home is None:
        raise _missing("--home", "--log")
    rooms = opened(home)
    own = trust or Trust.of_certificates(
        root.certificate for root in rooms.store.generations.ever(Purpose.INFRASTRUCTURE)
    )
    anchor = rooms.notary.anchor
    return _Subject(own, () if anchor is None else (anchor,), lambda heads: rooms.notary.verify(own, heads))


def _missing(*options: str) -> click.MissingParameter:
    return click.MissingParameter(param_hint=" / ".join(f"'{option}'" for option in options), param_type="option")


# --- words ---------------------------------------------------------------------------------------------------------


def _report(report: Report, file: Path | None, output: Output) -> int:
    fault = report.fault
    fields = {
        "whole": fault is None,
        "entries": report.entries,
        "erased": report.erased,
        "heads": report.heads,
        "sealed": report.sealed,
        "restorations": [{"through": each.through, "at": iso(each.at)} for each in report.restorations],
        "lost_heads": report.lost,
        "fault": fault and {"number": fault.number, "flaw": fault.flaw, "file": file and str(file)},
    }
    output.result("jpki.audit-verify/1", fields, _report_lines(report, file))
    return 0 if fault is None else EXIT_FAILED


def _report_lines(report: Report, file: Path | None) -> Sequence[Text]:
    if report.fault is not None:
        number, flaw = report.fault.number, report.fault.flaw.text
        where = "" if file is None else f"{file}: "
        return [Text(f"{where}第{number}号：{flaw.ja}", f"{where}number {number}: {flaw.en}")]
    waiting = report.entries - report.sealed
    return [
        Text("監査記録は完全です。", "The audit is whole."),
        Text(
            f"  {report.entries}件（うち本文消去済み{report.erased}件、署名待ち{waiting}件）、署名{report.heads}件",
            f"  {report.entries} acts ({report.erased} with their bodies erased, {waiting} not signed yet),"
            f" {report.heads} signed heads",
        ),
        *(_restoration_line(each) for each in report.restorations),
        *([_lost_line(report.lost)] if report.lost else []),
    ]


def _restoration_line(restoration: Restoration) -> Text:
    through, at = restoration.through, iso(restoration.at)
    return Text(
        f"  注意：{at} にバックアップから復旧し、第{through}号から続けています。身に覚えがなければ改ざんです。",
        f"  note: restored from a backup at {at}, going on after number {through}; a forgery, if there was no restore",
    )


def _lost_line(lost: int) -> Text:
    return Text(
        f"  注意：保管された署名{lost}件の記録は復旧で失われました。",
        f"  note: the acts under {lost} of the heads that you kept were lost before a restore",
    )


def _act_line(recorded: Recorded) -> Text:
    event = recorded.event
    if event is None:
        return Text(f"{recorded.number:>8}  （消去済み）", f"{recorded.number:>8}  (erased)")
    subjects = " ".join(event.subjects)
    line = f"{recorded.number:>8}  {iso(event.at)}  {event.actor.role}/{event.actor.name}  {event.act}  {subjects}"
    return Text(line, line)


def _act_fields(recorded: Recorded) -> dict[str, Any]:
    event = recorded.event
    if event is None:
        return {"number": recorded.number, "erased": True}
    return {
        "number": recorded.number,
        "erased": False,
        "at": iso(event.at),
        "actor": {"role": event.actor.role, "name": event.actor.name},
        "act": event.act,
        "subjects": event.subjects,
        "details": event.details,
    }
