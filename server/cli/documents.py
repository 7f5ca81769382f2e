"""`jpki sign`, `jpki preserve` and `jpki verify`: documents."""

import atexit
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crl.reader import CrlFile, updated
from enroll.holder_file import LARGEST_HOLDER_FILE, read_holder
from jpki.clock import day_in_japan, iso, system_clock
from jpki.errors import JpkiError, Kind
from jpki.ports import RevocationSource
from jpki.randomness import system_randomness
from jpki.text import Language, Text
from ocsp.client import OcspClient
from server.certificate_files import certificates_in
from server.cli.frame import BadInput, HomeType, MomentType, Output, command, opened
from server.cli.keys import KeySource, signer_at
from server.cli.pins import pin_file
from server.home import Home, read_at_most, write_new
from server.sandbox import open_sandbox
from server.stamp_fetch import stamp_fetcher
from server.stored_evidence import Collector, read_stored
from server.trust import configured_anchors
from signing import words
from signing.credential import Credential
from signing.intake import Format, recognise
from signing.intake import opened as opened_document
from signing.policies import GENERAL, POLICIES, ValidationPolicy
from signing.report import FileVerdict, Outcome, SignatureVerdict, as_json
from signing.sandbox import Sandbox
from signing.sign import sign as sign_document
from signing.time_stamper import Level, Stamping, TimeStamper
from signing.validation import SIGNING_POLICIES, ExpectedHolder, TrustAnchor, Validation
from signing.verdict import Decision, worst

if TYPE_CHECKING:
    from server.wiring import Rooms

_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_new = click.Path(dir_okay=False, path_type=Path)


# --- sign ----------------------------------------------------------------------------------------------------------


@command("sign")
@click.argument("document", metavar="FILE", type=_file)
@click.option("--certificate", "certificate_file", required=True, type=_file, help="The signing certificate, PEM.")
@click.option(
    "--key",
    required=True,
    type=KeySource(exists=True, dir_okay=False),
    help="Its key: PEM, pkcs11:…?module-path=…, or card:FILE, a simulated card.",
)
@click.option("--pin-file", "pin", type=pin_file, help="Of a card: where its PIN is; else it is asked for.")
@click.option("--out", required=True, type=_new, help="The signed file.")
@click.option("--format", "form", type=click.Choice([str(each) for each in Format]), help="Default: by the content.")
@click.option("--chain", "chain_file", type=_file, help="CA certificates to put in, PEM.")
@click.option("--timestamp", "stamp_url", metavar="URL", help="The time-stamp authority that is asked (RFC 3161).")
@click.option(
    "--timestamp-trust", "stamp_trust", multiple=True, type=_file, help="Who may vouch for that authority, PEM."
)
@click.option(
    "--level",
    type=click.Choice([str(each) for each in Level]),
    help="With --timestamp: t, the default; of a PDF lt, with revocation data, or lta, stamped once more.",
)
@click.option("--crl", "crl_files", multiple=True, type=_file, help="For lt and lta: a CRL, PEM or DER.")
@click.option("--ocsp", "ocsp_url", help="For lt and lta: the one OCSP responder that may be asked.")
@click.option("--detached", is_flag=True, help="Of CMS: leave the document out of the signature's file.")
@click.option("--force", is_flag=True, help="Sign with a certificate that is not for signing, for a trial.")
def sign(  # noqa: PLR0913 - one parameter for each option
    document: Path,
    certificate_file: Path,
    key: str,
    out: Path,
    *,
    pin: Path | None,
    form: str | None,
    chain_file: Path | None,
    stamp_url: str | None,
    stamp_trust: Sequence[Path],
    level: str | None,
    crl_files: Sequence[Path],
    ocsp_url: str | None,
    detached: bool,
    force: bool,
    output: Output,
) -> None:
    """Sign a PDF, an e-Tax .xtx or any file (CMS), as a taxpayer's software does.

    With --timestamp a PDF is signed as PAdES, an .xtx as XAdES and any other file as CAdES.
    """
    chosen_level = _level(level, stamp_url, stamp_trust, crl_files, ocsp_url)
    credential = Credential(
        certificate=certificates_in(certificate_file)[0],
        key=signer_at(key, pin),
        chain=tuple(certificates_in(chain_file)) if chain_file else (),
    )
    content = document.read_bytes()
    chosen = Format(form) if form else _format_of(document)
    stamping = None
    if stamp_url is not None:
        chosen = Format.PADES if chosen is Format.PDF else chosen
        stamping = _stamping(stamp_url, stamp_trust, crl_files, ocsp_url, chosen_level)
    signed = sign_document(
        content, credential, chosen, system_clock(), stamping=stamping, detached=detached, force=force
    )
    write_new(out, signed, 0o644)
    lines = [Text(f"署名しました（{chosen}）：{out}", f"Signed ({chosen}): {out}")]
    if stamping is not None and not stamp_trust:
        lines.append(_UNVOUCHED)
    fields = {"file": str(out), "format": chosen} | ({} if stamping is None else {"level": chosen_level})
    output.result("jpki.sign/1", fields, lines)


@command("preserve")
@click.argument("document", metavar="FILE", type=_file)
@click.option("--timestamp", "stamp_url", required=True, metavar="URL", help="The authority that is asked (RFC 3161).")
@click.option(
    "--timestamp-trust",
    "stamp_trust",
    multiple=True,
    required=True,
    type=_file,
    help="Who may vouch for it, and for the time-stamps that are there, PEM.",
)
@click.option("--out", required=True, type=_new, help="The PDF with the new time-stamp.")
@click.option("--chain", "chain_file", type=_file, help="CAs of signatures that no time-stamp of the PDF covers.")
@click.option("--crl", "crl_files", multiple=True, type=_file, help="A CRL, PEM or DER, to be kept where it is needed.")
@click.option("--ocsp", "ocsp_url", help="The one OCSP responder that may be asked.")
def preserve(  # noqa: PLR0913 - one parameter for each option
    document: Path,
    *,
    stamp_url: str,
    stamp_trust: Sequence[Path],
    out: Path,
    chain_file: Path | None,
    crl_files: Sequence[Path],
    ocsp_url: str | None,
    output: Output,
) -> None:
    """Add a time-stamp over a signed PDF, before the certificate of its last one ends (PAdES B-LTA)."""
    from signing.preservation import prolong

    stamping = _stamping(stamp_url, stamp_trust, crl_files, ocsp_url, Level.LTA)
    chain = certificates_in(chain_file) if chain_file else []
    write_new(out, prolong(document.read_bytes(), chain, stamping, system_clock()), 0o644)
    line = Text(f"タイムスタンプを追加しました：{out}", f"Time-stamped: {out}")
    output.result("jpki.preserve/1", {"file": str(out)}, [line])


def _stamping(
    url: str, trust: Sequence[Path], crl_files: Sequence[Path], ocsp_url: str | None, level: Level
) -> Stamping:
    stamper = TimeStamper(stamp_fetcher(url), system_randomness, configured_anchors(trust, frozenset()))
    responder = OcspClient(ocsp_url, system_clock, system_randomness) if ocsp_url else None
    collect = Collector([file.read_bytes() for file in crl_files], responder)
    return Stamping(stamper=stamper, collect=collect, level=level)


_UNVOUCHED = Text(
    "タイムスタンプの形式と署名は確認しましたが、時刻認証局が信頼できるかは確認していません（--timestamp-trust）。",
    "The time-stamp holds together; whether its authority is to be trusted was not checked (--timestamp-trust).",
)


def _level(
    level: str | None,
    stamp_url: str | None,
    stamp_trust: Sequence[Path],
    crl_files: Sequence[Path],
    ocsp_url: str | None,
) -> Level:
    """Return the level; options that would do nothing, or not enough, are wrong usage."""
    if stamp_url is None and (level or stamp_trust):
        raise click.UsageError("--level and --timestamp-trust are for --timestamp")
    chosen = Level(level) if level else Level.T
    if chosen is Level.T and (crl_files or ocsp_url):
        raise click.UsageError("--crl and --ocsp are for the levels lt and lta")
    if chosen is not Level.T and not stamp_trust:
        raise click.UsageError("the levels lt and lta need --timestamp-trust, for its certificates are kept too")
    return chosen


def _format_of(document: Path) -> Format:
    try:
        with opened_document(document) as stream:
            return recognise(stream)
    except JpkiError:
        return Format.CMS


# --- verify --------------------------------------------------------------------------------------------------------

_PROGRESS_SECONDS = 1.0
_EXIT = {Decision.ACCEPT: 0, Decision.REFUSE: 1, Decision.UNDECIDED: 2, Decision.UNREADABLE: 3}
_MARKS = {Outcome.PASSED: "✓", Outcome.FAILED: "✗", Outcome.UNDECIDED: "?", Outcome.NOT_APPLICABLE: "-"}
_DECISIONS = {
    Decision.ACCEPT: Text("受理", "ACCEPT"),
    Decision.REFUSE: Text("拒否", "REFUSE"),
    Decision.UNDECIDED: Text("判定不能", "UNDECIDED"),
    Decision.UNREADABLE: Text("読取不能", "UNREADABLE"),
}


@command("verify")
@click.argument("named", metavar="FILE…", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--content", type=_file, help="What a CMS file signs, where that lies in a file of its own.")
@click.option("--home", type=HomeType(), envvar="JPKI_HOME", help="Its CAs and its ledger.")
@click.option("--trust", "trust_files", multiple=True, type=_file, help="Trust anchors, PEM, in place of the home's.")
@click.option(
    "--timestamp-trust",
    "stamp_trust",
    multiple=True,
    type=_file,
    help="Whose time-stamps are believed, PEM, in place of the home's.",
)
@click.option("--crl", "crl_files", multiple=True, type=_file, help="A CRL, PEM or DER; or a delta of another one.")
@click.option("--ocsp", "ocsp_url", help="The one OCSP responder that may be asked.")
@click.option("--at", type=MomentType(), help="The time that counts where no time-stamp does; default: now.")
@click.option("--policy", type=click.Choice(list(POLICIES)), default=GENERAL.name, help="What is asked beyond it.")
@click.option("--holder", "holder_file", type=_file, help="holder.json: whose signature each one must be.")
@click.option("--show-attributes", is_flag=True, help="Show the signer's name, address, birth date and gender.")
@click.option(
    "--report",
    type=_new,
    metavar="FILE.html",
    help="Write a page for people and archives, too.",
)
@click.option(
    "--etsi-report",
    type=_new,
    metavar="FILE.xml",
    help="Write a validation report of ETSI TS 119 102-2, too.",
)
def verify(  # noqa: PLR0913 - one parameter for each option
    named: Sequence[Path],
    *,
    content: Path | None,
    home: Home | None,
    trust_files: Sequence[Path],
    stamp_trust: Sequence[Path],
    crl_files: Sequence[Path],
    ocsp_url: str | None,
    at: datetime | None,
    policy: str,
    holder_file: Path | None,
    show_attributes: bool,
    report: Path | None,
    etsi_report: Path | None,
    output: Output,
) -> int:
    """Judge signed documents, of a folder all in it. Exit 0 accept, 1 refuse, 2 undecided, 3 unreadable; the worst."""
    documents = list(_documents_of(named))
    for option, file in (("--report", report), ("--etsi-report", etsi_report)):
        if file is not None and file.exists():
            raise click.UsageError(f"{option}: '{file}' exists, and no file is written over")
    if content is not None and len(documents) > 1:
        raise click.UsageError("--content is what one FILE signs")
    _sandbox()  # It prepares itself while the home is being opened.
    try:
        rooms = opened(home) if home else None
        validation = Validation(
            anchors=_anchors(rooms, trust_files),
            stamp_anchors=_stamp_anchors(rooms, stamp_trust),
            read_stored=read_stored,
            revocation=list(_sources(rooms, crl_files, ocsp_url)),
            clock=system_clock,
            at=at,
            holder=_expected(holder_file),
            show_attributes=show_attributes,
        )
    except JpkiError as error:
        # Exit codes 1 to 3 are verdicts here, so nothing that went wrong before a verdict may use them.
        raise error if error.kind is Kind.UNAVAILABLE else BadInput(error) from error
    verdicts = list(_judged(documents, content, validation, POLICIES[policy], output))
    lines = [line for each in verdicts for line in _describe(each)]
    if report is not None:
        _write_report(report, verdicts, POLICIES[policy])
        lines.append(Text(f"報告書：{report}", f"report: {report}"))
    if etsi_report is not None:
        lines.append(_write_etsi_report(etsi_report, verdicts, POLICIES[policy]))
    fields = as_json(verdicts)
    output.result(str(fields.pop("schema")), fields, lines)
    return _EXIT[worst(verdict.decision for verdict in verdicts)]


_CORES = os.cpu_count() or 1


@cache
def _sandbox() -> Sandbox:
    """Return this process's sandbox."""
    sandbox = open_sandbox(_CORES)
    atexit.register(sandbox.close)
    sandbox.start()
    return sandbox


def _documents_of(named: Sequence[Path]) -> Iterator[Path]:
    """Yield the files, and of each folder all below it in order of their names; hidden ones are passed over.

    Links within a folder lead nowhere: what is judged lies where it was said.
    """
    for path in named:
        if not path.is_dir():
            yield path
            continue
        found = False
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(each for each in folders if not each.startswith("."))
            for file in (Path(folder, name) for name in sorted(files) if not name.startswith(".")):
                if file.is_file() and not file.is_symlink():
                    found = True
                    yield file
        if not found:
            raise click.UsageError(f"there is no file in '{path}'")


def _judged(
    documents: Sequence[Path],
    content: Path | None,
    validation: Validation,
    policy: ValidationPolicy,
    output: Output,
) -> Iterator[FileVerdict]:
    """Yield the verdicts in the order of the files; all cores are at work, and who waits is told how far they are."""

    def judge(document: Path) -> FileVerdict:
        with ExitStack() as streams:
            try:
                stream = streams.enter_context(opened_document(document))
                apart = None if content is None else streams.enter_context(opened_document(content))
            except JpkiError as error:
                raise BadInput(error) from error
            return replace(_sandbox().judge(stream, validation, policy, apart), path=str(document))

    told = time.monotonic()
    with ThreadPoolExecutor(_CORES) as executor:
        for number, verdict in enumerate(executor.map(judge, documents), 1):
            yield verdict
            if time.monotonic() - told >= _PROGRESS_SECONDS and number < len(documents):
                told = time.monotonic()
                output.progress(
                    Text(
                        f"{len(documents)}件中{number}件を判定しました。", f"{number} of {len(documents)} files judged."
                    )
                )


def _expected(holder_file: Path | None) -> ExpectedHolder | None:
    if holder_file is None:
        return None
    octets = read_at_most(holder_file, LARGEST_HOLDER_FILE)
    return ExpectedHolder.of(read_holder(octets, day_in_japan(system_clock())))


def _write_report(file: Path, verdicts: Sequence[FileVerdict], policy: ValidationPolicy) -> None:
    from signing.page import report as report_page

    _write(file, report_page(verdicts, policy, system_clock()).encode())


def _write_etsi_report(file: Path, verdicts: Sequence[FileVerdict], policy: ValidationPolicy) -> Text:
    """Write the report, if there is a signature to report on, and return what became of it."""
    from signing.etsi_report import etsi_report

    octets = etsi_report(verdicts, policy, system_clock())
    if octets is None:
        return Text("署名がないため、ETSIの報告書は作りません。", "No signature, so there is no ETSI report.")
    _write(file, octets)
    return Text(f"ETSI TS 119 102-2の報告書：{file}", f"ETSI TS 119 102-2 report: {file}")


def _write(file: Path, octets: bytes) -> None:
    try:
        write_new(file, octets, 0o600)
    except JpkiError as error:
        raise BadInput(error) from error


def _anchors(rooms: "Rooms | None", trust_files: Sequence[Path]) -> Sequence[TrustAnchor]:
    given = configured_anchors(trust_files, SIGNING_POLICIES)
    if given or rooms is None:
        return given
    from server.documents import anchors_of

    return anchors_of(rooms)


def _stamp_anchors(rooms: "Rooms | None", trust_files: Sequence[Path]) -> Sequence[TrustAnchor]:
    given = configured_anchors(trust_files, frozenset())
    if given or rooms is None:
        return given
    from server.documents import stamp_anchors_of

    return stamp_anchors_of(rooms)


def _sources(rooms: "Rooms | None", crl_files: Sequence[Path], ocsp_url: str | None) -> Iterator[RevocationSource]:
    """Yield the sources as they are asked, the given ones by freshness: the first that knows decides."""
    if rooms:
        yield rooms.evidence()
    if ocsp_url:
        from ocsp.client import OcspClient

        yield OcspClient(ocsp_url, system_clock, system_randomness)
    yield from updated([_read(file) for file in crl_files])
    if rooms:
        yield from rooms.revocation


def _read(file: Path) -> CrlFile:
    with file.open("rb") as octets:
        return CrlFile(octets)


def _describe(verdict: FileVerdict) -> Iterator[Text]:
    word = _DECISIONS[verdict.decision]
    yield Text(f"{verdict.path}：{word.ja}", f"{verdict.path}: {word.en}")
    if not verdict.signatures:
        yield _indented(verdict.sentence)
    for number, signature in enumerate(verdict.signatures, 1):
        word = _DECISIONS[signature.decision]
        yield Text(f"  署名{number}：{word.ja}", f"  signature {number}: {word.en}")
        yield _indented(signature.sentence)
        yield from _describe_signer(signature)
        for check in signature.checks:
            mark = _MARKS[check.outcome]
            yield Text(
                f"    {mark} {check.name:<10} {check.reason.to(Language.JA)}",
                f"    {mark} {check.name:<10} {check.reason.to(Language.EN)}",
            )


def _describe_signer(signature: SignatureVerdict) -> Iterator[Text]:
    signer = signature.signer
    if signer is not None:
        domain = signer.trust_domain or "-"
        yield Text(
            f"    署名者 {signer.serial}（信頼区分 {domain}）", f"    signer {signer.serial} (trust domain {domain})"
        )
        for name, value in (signer.attributes or {}).items():
            yield Text(f"      {name}: {value}", f"      {name}: {value}")
    if signature.signed_at is not None:
        what, when = words.TIME_PROOFS[signature.signed_at.evidence], iso(signature.signed_at.time)
        yield Text(f"    {what.ja}：{when}", f"    {what.en}: {when}")


def _indented(sentence: Text) -> Text:
    return Text(f"    {sentence.ja}", f"    {sentence.en}")
