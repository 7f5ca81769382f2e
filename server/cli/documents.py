"""`jpki sign` and `jpki verify`: documents."""

import atexit
import os
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jpki.clock import JST, end_of_day, iso, system_clock
from jpki.errors import JpkiError, Kind
from jpki.ports import RevocationSource
from jpki.randomness import system_randomness
from jpki.text import Language, Text
from server.cli.certificate_files import certificates_in
from server.cli.frame import BadInput, HomeType, Output, command, opened
from server.cli.keys import KeySource, signer_at
from server.home import Home, write_new
from signing.credential import Credential
from signing.intake import Format, recognise
from signing.intake import opened as opened_document
from signing.report import FileVerdict, Outcome, SignatureVerdict, as_json
from signing.sandbox import Sandbox
from signing.sign import sign as sign_document
from signing.validation import TrustAnchor, Validation
from signing.verdict import Decision, worst

if TYPE_CHECKING:
    from server.wiring import Rooms

CONFIGURED = "configured"
"""The trust domain of certificates given by --trust."""

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


# --- sign ----------------------------------------------------------------------------------------------------------


@command("sign")
@click.argument("document", metavar="FILE", type=_file)
@click.option("--certificate", "certificate_file", required=True, type=_file, help="The signing certificate, PEM.")
@click.option(
    "--key",
    required=True,
    type=KeySource(exists=True, dir_okay=False),
    help="Its key: PEM, or pkcs11:…?module-path=….",
)
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The signed file.")
@click.option("--format", "form", type=click.Choice([str(each) for each in Format]), help="Default: by the content.")
@click.option("--chain", "chain_file", type=_file, help="CA certificates to put in, PEM.")
@click.option("--force", is_flag=True, help="Sign with a certificate that is not for signing, for a trial.")
def sign(  # noqa: PLR0913 - one parameter for each option
    document: Path,
    certificate_file: Path,
    key: str,
    out: Path,
    form: str | None,
    chain_file: Path | None,
    output: Output,
    *,
    force: bool,
) -> None:
    """Sign a PDF, an e-Tax .xtx or any file (CMS), as a taxpayer's software does."""
    credential = Credential(
        certificate=certificates_in(certificate_file)[0],
        key=signer_at(key),
        chain=tuple(certificates_in(chain_file)) if chain_file else (),
    )
    content = document.read_bytes()
    chosen = Format(form) if form else _format_of(document)
    signed = sign_document(content, credential, chosen, system_clock(), force=force)
    write_new(out, signed, 0o644)
    line = Text(f"署名しました（{chosen}）：{out}", f"Signed ({chosen}): {out}")
    output.result("jpki.sign/1", {"file": str(out), "format": chosen}, [line])


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


class Moment(click.ParamType[datetime]):
    """A moment as ISO 8601 writes it; a date alone is its last second in Japan."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read the moment; without a zone it is Japan's time."""
        try:
            moment = datetime.fromisoformat(str(value))
            if re.fullmatch(r"\d{4}-\d{2}-\d{2}", str(value)):
                return end_of_day(moment.date())
            return (moment if moment.tzinfo else moment.replace(tzinfo=JST)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"'{value}' is not a time such as 2026-11-23T12:00:00+09:00", param, ctx)


@command("verify")
@click.argument("documents", metavar="FILE…", nargs=-1, required=True, type=_file)
@click.option("--home", type=HomeType(), envvar="JPKI_HOME", help="Its CAs and its ledger.")
@click.option("--trust", "trust_files", multiple=True, type=_file, help="Trust anchors, PEM, in place of the home's.")
@click.option("--crl", "crl_files", multiple=True, type=_file, help="A CRL, PEM or DER.")
@click.option("--ocsp", "ocsp_url", help="The one OCSP responder that may be asked.")
@click.option("--at", type=Moment(), help="The time that counts; default: now.")
@click.option("--show-attributes", is_flag=True, help="Show the signer's name, address, birth date and gender.")
def verify(  # noqa: PLR0913 - one parameter for each option
    documents: Sequence[Path],
    home: Home | None,
    trust_files: Sequence[Path],
    crl_files: Sequence[Path],
    ocsp_url: str | None,
    at: datetime | None,
    output: Output,
    *,
    show_attributes: bool,
) -> int:
    """Judge signed documents. Exit 0 accept, 1 refuse, 2 undecided, 3 unreadable; of several files, the worst."""
    sandbox = _sandbox()
    try:
        rooms = opened(home) if home else None
        validation = Validation(
            anchors=_anchors(rooms, trust_files),
            revocation=list(_sources(rooms, crl_files, ocsp_url)),
            clock=system_clock,
            at=at,
            show_attributes=show_attributes,
        )
    except JpkiError as error:
        # Exit codes 1 to 3 are verdicts here, so nothing that went wrong before a verdict may use them.
        raise error if error.kind is Kind.UNAVAILABLE else BadInput(error) from error
    verdicts = list(_judged(documents, validation, sandbox, output))
    fields = as_json(verdicts)
    output.result(str(fields.pop("schema")), fields, [line for each in verdicts for line in _describe(each)])
    return _EXIT[worst(verdict.decision for verdict in verdicts)]


_CORES = os.cpu_count() or 1


@cache
def _sandbox() -> Sandbox:
    """Return this process's sandbox, which prepares itself while the home is being opened."""
    sandbox = Sandbox(_CORES)
    atexit.register(sandbox.close)
    sandbox.start()
    return sandbox


def _judged(
    documents: Sequence[Path], validation: Validation, sandbox: Sandbox, output: Output
) -> Iterator[FileVerdict]:
    """Yield the verdicts in the order of the files; all cores are at work, and who waits is told how far they are."""

    def judge(document: Path) -> FileVerdict:
        try:
            stream = opened_document(document)
        except JpkiError as error:
            raise BadInput(error) from error
        with stream:
            return replace(sandbox.judge(stream, validation), path=str(document))

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


def _anchors(rooms: "Rooms | None", trust_files: Sequence[Path]) -> Sequence[TrustAnchor]:
    given = [
        TrustAnchor(certificate=certificate, domain=CONFIGURED)
        for file in trust_files
        for certificate in certificates_in(file)
    ]
    if given or rooms is None:
        return given
    from server.documents import anchors_of

    return anchors_of(rooms)


def _sources(rooms: "Rooms | None", crl_files: Sequence[Path], ocsp_url: str | None) -> Iterator[RevocationSource]:
    if rooms:
        yield rooms.evidence()
    for file in crl_files:
        from crl.reader import CrlFile

        with file.open("rb") as octets:
            yield CrlFile(octets)
    if ocsp_url:
        from ocsp.client import OcspClient

        yield OcspClient(ocsp_url, system_clock, system_randomness)


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
    if signature.claimed_at is not None:
        when = iso(signature.claimed_at)
        yield Text(f"    申告された署名時刻 {when}", f"    claimed signing time {when}")


def _indented(sentence: Text) -> Text:
    return Text(f"    {sentence.ja}", f"    {sentence.en}")
