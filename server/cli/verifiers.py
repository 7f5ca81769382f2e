"""`jpki verifier`: who may ask how certificates stand, and who asked (`verifiers = "registered"` in jpki.toml)."""

from collections.abc import Mapping
from pathlib import Path

import click
from cryptography import x509

from ca.key_policy import holder_key
from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import Purpose
from jpki.clock import iso
from jpki.delegate import DelegateKind
from jpki.errors import JpkiError, Kind
from jpki.ids import Serial, format_serial
from jpki.revocation import Finding
from jpki.signature import KeySpec, PublicKey
from jpki.text import Text
from jpki.verifier import LONGEST_NAME, LONGEST_PURPOSE, Verifier, VerifierId, VerifierState
from server.cli.delivery import delivery
from server.cli.frame import Output, SerialType, command, home_option, opened
from server.home import Home
from server.notary import no_root
from server.wiring import Rooms

_STATES = {
    VerifierState.ACTIVE: Text("利用中", "may ask"),
    VerifierState.SUSPENDED: Text("停止中", "suspended"),
}
_FINDINGS = {
    Finding.GOOD: Text("有効", "good"),
    Finding.HELD: Text("一時停止", "on hold"),
    Finding.REVOKED: Text("失効", "revoked"),
}
_csr_option = click.option(
    "--csr",
    "csr_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The verifier's own PKCS#10 (P-256); without it a key is made here.",
)
_out_option = click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where the files go."
)
_number = click.argument("number", type=click.IntRange(1))


@click.group("verifier")
def verifier() -> None:
    """Register verifiers, and see who asked about a certificate."""


@command("add")
@home_option
@click.option("--name", required=True, help="The organisation.")
@click.option("--purpose", required=True, help="What it asks for, as it was notified.")
@click.option("--quota", type=click.IntRange(1), help="Certificates a day (in Japan) that it may ask about; else any.")
@_csr_option
@_out_option
def add(
    home: Home, name: str, purpose: str, quota: int | None, csr_file: Path | None, out: Path, output: Output
) -> None:
    """Register a verifier and give it a client certificate for a year."""
    rooms = opened(home)
    _require_lengths(name, purpose)
    with delivery(rooms, out, csr_file, KeySpec.P256) as (csr, folder):
        key = holder_key(csr, KeySpec.P256)
        number = rooms.store.verifiers.register(name, purpose, quota, LOCAL_OPERATOR, rooms.clock())
        certificate = _certify(rooms, number, key.public_key, alone=False)
        folder.hand_over(certificate)
    _report(rooms, number, certificate, folder.files, output)


@command("certify")
@_number
@home_option
@click.option("--alone", is_flag=True, help="What it had until now is not taken any more.")
@_csr_option
@_out_option
def certify(number: int, home: Home, csr_file: Path | None, out: Path, output: Output, *, alone: bool) -> None:
    """Give a verifier another client certificate for a year."""
    rooms = opened(home)
    known = rooms.store.verifiers.verifier(VerifierId(number), rooms.clock())
    with delivery(rooms, out, csr_file, KeySpec.P256) as (csr, folder):
        certificate = _certify(rooms, known.id, holder_key(csr, KeySpec.P256).public_key, alone=alone)
        folder.hand_over(certificate)
    _report(rooms, known.id, certificate, folder.files, output)


@command("suspend")
@_number
@home_option
def suspend(number: int, home: Home, output: Output) -> None:
    """Answer a verifier no more, within a second."""
    _change(home, number, VerifierState.SUSPENDED, output)


@command("resume")
@_number
@home_option
def resume(number: int, home: Home, output: Output) -> None:
    """Answer a suspended verifier again."""
    _change(home, number, VerifierState.ACTIVE, output)


@command("list")
@home_option
def show_all(home: Home, output: Output) -> None:
    """Show all verifiers, and what each has asked about today."""
    rooms = opened(home)
    found = rooms.store.verifiers.verifiers(rooms.clock())
    lines = [_line(each) for each in found] or [Text("検証者は登録されていません。", "No verifier is registered.")]
    output.result("jpki.verifiers/1", {"verifiers": [_fields(each) for each in found]}, lines)


@command("history")
@click.argument("serial", type=SerialType())
@home_option
def history(serial: Serial, home: Home, output: Output) -> None:
    """Show who was told how a certificate stands, the latest first."""
    rooms = opened(home)
    names = {each.id: each for each in rooms.store.verifiers.verifiers(rooms.clock())}
    found = rooms.store.verifiers.look_ups(serial)
    rows = [
        {
            "at": iso(each.at),
            "verifier": each.verifier,
            "name": names[each.verifier].name,
            "purpose": names[each.verifier].purpose,
            "told": each.finding,
        }
        for each in found
    ]
    lines = [
        Text(
            f"{row['at']}  {row['name']}（{row['purpose']}）→ {_FINDINGS[each.finding].ja}",
            f"{row['at']}  {row['name']} ({row['purpose']}): {_FINDINGS[each.finding].en}",
        )
        for row, each in zip(rows, found, strict=True)
    ]
    nobody = [Text("この証明書についての照会の記録はありません。", "Nobody is recorded to have asked about it.")]
    output.result("jpki.look-ups/1", {"serial": format_serial(serial), "look_ups": rows}, lines or nobody)


for each in (add, certify, suspend, resume, show_all, history):
    verifier.add_command(each)


def _certify(rooms: Rooms, number: VerifierId, key: PublicKey, *, alone: bool) -> x509.Certificate:
    root = next(iter(rooms.living(Purpose.INFRASTRUCTURE)), None)
    if root is None:
        raise no_root()
    certificate = rooms.delegation.client(root, key, DelegateKind.VERIFIER, f"verifier-{number}", LOCAL_OPERATOR)
    serial = Serial(certificate.serial_number)
    rooms.store.verifiers.certify(number, serial, LOCAL_OPERATOR, rooms.clock(), alone=alone)
    return certificate


def _change(home: Home, number: int, state: VerifierState, output: Output) -> None:
    rooms = opened(home)
    rooms.store.verifiers.change(VerifierId(number), state, LOCAL_OPERATOR, rooms.clock())
    known = rooms.store.verifiers.verifier(VerifierId(number), rooms.clock())
    output.result("jpki.verifier/1", _fields(known), [_line(known)])


def _require_lengths(name: str, purpose: str) -> None:
    """Require what the ledger's columns hold."""
    if not 0 < len(name) <= LONGEST_NAME or not 0 < len(purpose) <= LONGEST_PURPOSE:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "verifier-malformed",
            Text("検証者の名称又は目的が空か、長すぎます。", "The verifier's name or purpose is empty or too long."),
            Text(
                f"名称は{LONGEST_NAME}文字、目的は{LONGEST_PURPOSE}文字までにしてください。",
                f"A name has at most {LONGEST_NAME} characters, a purpose {LONGEST_PURPOSE}.",
            ),
        )


def _report(
    rooms: Rooms, number: VerifierId, certificate: x509.Certificate, files: Mapping[str, Path], output: Output
) -> None:
    known = rooms.store.verifiers.verifier(number, rooms.clock())
    serial, end = format_serial(Serial(certificate.serial_number)), iso(certificate.not_valid_after_utc)
    lines = [
        _line(known),
        Text(f"  クライアント証明書 {serial}（{end} まで）", f"  client certificate {serial}, until {end}"),
        *(Text(f"  {file}", f"  {file}") for file in files.values()),
    ]
    if rooms.settings.verifiers == "open":
        lines.append(
            Text(
                '  注意：現在は誰でも照会できます。jpki.toml の verifiers を "registered" にしてください。',
                '  Note: anyone may ask now; set verifiers = "registered" in jpki.toml.',
            )
        )
    issued = {"certificate": serial, "not_after": end, "files": {name: str(file) for name, file in files.items()}}
    output.result("jpki.verifier/1", _fields(known) | issued, lines)


def _fields(known: Verifier) -> dict[str, object]:
    return {
        "number": known.id,
        "name": known.name,
        "purpose": known.purpose,
        "state": known.state,
        "quota": known.quota,
        "used_today": known.used,
        "certificates": [format_serial(each) for each in known.certificates],
    }


def _line(known: Verifier) -> Text:
    state = _STATES[known.state]
    quota = Text("上限なし", "any number") if known.quota is None else Text(f"{known.quota}件", f"{known.quota}")
    return Text(
        f"{known.id}  {known.name}（{known.purpose}）{state.ja}、本日 {known.used}件／{quota.ja}",
        f"{known.id}  {known.name} ({known.purpose}) {state.en}; today {known.used} of {quota.en}",
    )
