"""`jpki ocsp probe` and `jpki ocsp explain`: for whoever runs an OCSP responder, ours or any other."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from cryptography import x509

from jpki.clock import system_clock
from jpki.errors import JpkiError, Kind
from jpki.randomness import system_randomness
from jpki.text import Text
from ocsp.explain import Element, Explanation, Objection, explain, explain_url
from ocsp.explain import Kind as Message
from ocsp.fetch import NoReply, fetcher, unreachable
from ocsp.judgement import issued_by
from ocsp.probe import Check, holds
from ocsp.probe import probe as probe_responder
from ocsp.rules.rule import Outcome
from server.certificate_files import certificates_in
from server.cli.frame import EXIT_FAILED, BadInput, Output, command
from server.home import read_at_most

_LARGEST_MESSAGE = 1 << 20

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("ocsp")
def ocsp() -> None:
    """Examine OCSP responders, and what they are asked and answer."""


# --- probe ---------------------------------------------------------------------------------------------------------


@command("probe")
@click.argument("url")
@click.option("--issuer", "issuer_file", required=True, type=_file, help="The CA's certificate, PEM; a chain will do.")
@click.option("--certificate", "certificate_file", required=True, type=_file, help="A certificate that it knows, PEM.")
def probe(url: str, issuer_file: Path, certificate_file: Path, output: Output) -> int:
    """Check any OCSP responder against RFC 6960, 9654 and 9919, and say what fails and why it matters.

    It asks fewer than forty questions of this one address and follows no redirect. Exit 0 if all that is required
    holds, 1 if not, 75 if the responder cannot be reached.
    """
    try:
        fetch = fetcher(url)
    except JpkiError as error:
        raise BadInput(error) from error
    certificate = certificates_in(certificate_file)[0]
    issuer = _issuer_of(certificate, certificates_in(issuer_file))
    try:
        checks = list(probe_responder(fetch, issuer, certificate, system_clock, system_randomness))
    except NoReply as silence:
        raise unreachable(url) from silence
    fields = {"url": url, "holds": holds(checks), "checks": [_check_fields(check) for check in checks]}
    output.result("jpki.ocsp-probe/1", fields, list(_table(checks)))
    return 0 if holds(checks) else EXIT_FAILED


def _issuer_of(certificate: x509.Certificate, candidates: Sequence[x509.Certificate]) -> x509.Certificate:
    for candidate in candidates:
        if issued_by(certificate, candidate):
            return candidate
    raise JpkiError(
        Kind.UNPROCESSABLE,
        "issuer-mismatch",
        Text("--issuer は --certificate の発行者ではありません。", "--issuer did not issue --certificate."),
        Text(
            "その証明書に署名したCAの証明書を指定してください。",
            "Give the certificate of the CA that signed that certificate.",
        ),
    )


def _check_fields(check: Check) -> dict[str, object]:
    return {
        "id": check.id,
        "clause": check.clause,
        "required": check.required,
        "outcome": check.outcome,
        "finding": check.finding.as_json(),
        "why": check.why.as_json(),
    }


def _table(checks: Sequence[Check]) -> Iterator[Text]:
    for check in checks:
        head = f"{_mark(check)} {check.id:<20} {check.clause:<17}"
        yield Text(f"{head} {check.finding.ja}", f"{head} {check.finding.en}")
        if check.outcome is Outcome.FAILS:
            yield Text(f"    → {check.why.ja}", f"    → {check.why.en}")
    required = [check for check in checks if check.required and check.outcome is not Outcome.NOT_APPLICABLE]
    good = sum(check.outcome is Outcome.OK for check in required)
    advice = sum(check.outcome is Outcome.FAILS and not check.required for check in checks)
    yield Text(
        f"必須 {len(required)} 件中 {good} 件を満たす。推奨のうち {advice} 件を満たさない。",
        f"{good} of {len(required)} required rules hold; {advice} recommendations are not followed.",
    )


def _mark(check: Check) -> str:
    """Return ✗ for what is required and fails, ! for what is only recommended."""
    match check.outcome:
        case Outcome.OK:
            return "✓"
        case Outcome.FAILS:
            return "✗" if check.required else "!"
        case Outcome.NOT_APPLICABLE:
            return "-"


# --- explain -------------------------------------------------------------------------------------------------------


@command("explain")
@click.argument("message", metavar="FILE|URL")
def explain_(message: str, output: Output) -> None:
    """Say what an OCSP request or response holds, and why it might be refused.

    FILE is DER, base64 or PEM. URL is that of a GET: the request in its path is read, and nothing is fetched.
    """
    explained = _explained(message)
    output.result("jpki.ocsp-explain/1", _fields(explained), list(_describe(explained)))


def _explained(message: str) -> Explanation:
    if message.startswith(("http://", "https://")):
        return explain_url(message)
    file: Path = _file.convert(message, None, click.get_current_context())
    return explain(read_at_most(file, _LARGEST_MESSAGE), system_clock())


def _fields(explained: Explanation) -> dict[str, object]:
    return {
        "kind": explained.kind,
        "octets": explained.octets,
        "elements": [
            {"depth": each.depth, "name": each.name, "value": each.value, "meaning": each.meaning.as_json()}
            for each in explained.elements
        ],
        "objections": [{"certain": each.certain, "reason": each.reason.as_json()} for each in explained.objections],
    }


def _describe(explained: Explanation) -> Iterator[Text]:
    kind = _KINDS[explained.kind]
    yield Text(f"{kind.ja}（{explained.octets}オクテット）", f"{kind.en} ({explained.octets} octets)")
    yield from map(_element_line, explained.elements)
    yield from (_objection_line(explained.kind, each) for each in explained.objections)
    if not explained.objections:
        yield Text("✓ 拒否される理由は見当たらない。", "✓ No reason to refuse it was found.")


_KINDS = {
    Message.REQUEST: Text("OCSP要求", "OCSP request"),
    Message.RESPONSE: Text("OCSP応答", "OCSP response"),
}


def _element_line(element: Element) -> Text:
    head = f"{'  ' * (element.depth + 1)}{element.name}: {element.value}"
    return Text(f"{head}  ― {element.meaning.ja}", f"{head}  - {element.meaning.en}")


def _objection_line(kind: Message, objection: Objection) -> Text:
    reason = objection.reason
    if kind is Message.REQUEST:
        return Text(f"✗ malformedRequest と答えられる：{reason.ja}", f"✗ Answered malformedRequest: {reason.en}")
    if objection.certain:
        return Text(f"✗ 拒否される：{reason.ja}", f"✗ Refused: {reason.en}")
    return Text(f"! 拒否されることがある：{reason.ja}", f"! May be refused: {reason.en}")


ocsp.add_command(probe)
ocsp.add_command(explain_)
