"""`jpki issue`, `renew`, `revoke`, `status`: one certificate's life at the desk."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from cryptography import x509

from ca.profile import profile_for
from enroll.holder_file import LARGEST_HOLDER_FILE, read_holder
from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import CARD, HOLDER_PURPOSES, Carrier, Purpose, carrier_text
from jpki.clock import day_in_japan, iso
from jpki.holder import Holder
from jpki.ids import Serial, format_serial
from jpki.ports import CertificateRecord
from jpki.revocation import Reason, State
from jpki.text import Text
from server.cli.delivery import delivery
from server.cli.frame import CarrierType, Output, SerialType, command, home_option, opened
from server.home import Home, read_at_most
from server.wiring import Rooms

_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_csr_option = click.option(
    "--csr", "csr_file", type=_file, help="PKCS#10 from the card; without it a key is made here."
)
_out_option = click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where the files go."
)


@command("issue")
@home_option
@click.option("--kind", required=True, type=click.Choice([str(each) for each in HOLDER_PURPOSES]), help="Which one.")
@click.option("--holder", "holder_file", required=True, type=_file, help="holder.json, the registry's answer.")
@click.option("--carrier", type=CarrierType(), default=CARD, help="Where the key lives: the card, or a mobile device.")
@_csr_option
@_out_option
def issue(
    home: Home, kind: str, holder_file: Path, carrier: Carrier, csr_file: Path | None, out: Path, output: Output
) -> None:
    """Issue one certificate through the full flow, and deliver it."""
    rooms = opened(home)
    holder = _read_holder(holder_file, rooms)
    with delivery(rooms, out, csr_file, profile_for(rooms.profile, carrier).key) as (csr, folder):
        certificate = rooms.desk.issue(holder, Purpose(kind), csr, LOCAL_OPERATOR, folder.hand_over, carrier)
    _report(rooms, "jpki.issue/1", certificate, folder.files, output)


@command("renew")
@click.argument("serial", type=SerialType())
@home_option
@click.option("--holder", "holder_file", type=_file, help="The registry's fresh answer; else the old data are kept.")
@_csr_option
@_out_option
def renew(
    serial: Serial, home: Home, holder_file: Path | None, csr_file: Path | None, out: Path, output: Output
) -> None:
    """Issue the successor of a certificate inside its renewal window; the old one is superseded at once."""
    rooms = opened(home)
    holder = None if holder_file is None else _read_holder(holder_file, rooms)
    carrier = rooms.desk.record(serial).carrier
    with delivery(rooms, out, csr_file, profile_for(rooms.profile, carrier).key) as (csr, folder):
        certificate = rooms.desk.renew(serial, csr, LOCAL_OPERATOR, holder, folder.hand_over)
    _report(rooms, "jpki.renew/1", certificate, folder.files, output, superseded=serial)


@command("revoke")
@click.argument("serial", type=SerialType())
@home_option
@click.option("--reason", required=True, type=click.Choice([str(each) for each in Reason]), help="Why (RFC 5280).")
def revoke(serial: Serial, home: Home, reason: str, output: Output) -> None:
    """Revoke a certificate, at once and for good; with the card's those on the holder's mobile devices."""
    revoked = opened(home).desk.revoke(serial, Reason(reason), LOCAL_OPERATOR)
    ended = [format_serial(each) for each in revoked.on_devices]
    fields = _fields(revoked.record, State.REVOKED) | {"on_devices": ended}
    also = [
        Text(f"  移動端末の証明書 {each} も失効しました。", f"  with it ended {each} on a mobile device")
        for each in ended
    ]
    output.result("jpki.revoke/1", fields, [*_status_lines(revoked.record, State.REVOKED), *also])


@command("hold")
@click.argument("serial", type=SerialType())
@home_option
def hold(serial: Serial, home: Home, output: Output) -> None:
    """Put a certificate on hold; a signing certificate's hold never lifts."""
    record = opened(home).desk.hold(serial, LOCAL_OPERATOR)
    _report_status("jpki.hold/1", record, record.status.state, output)


@command("release")
@click.argument("serial", type=SerialType())
@home_option
def release(serial: Serial, home: Home, output: Output) -> None:
    """Lift the hold of an authentication certificate."""
    record = opened(home).desk.release(serial, LOCAL_OPERATOR)
    _report_status("jpki.release/1", record, record.status.state, output)


@command("status")
@click.argument("serial", type=SerialType())
@home_option
def status(serial: Serial, home: Home, output: Output) -> None:
    """Say where a certificate stands."""
    rooms = opened(home)
    record = rooms.desk.record(serial)
    ended = record.status.state is State.ACTIVE and rooms.clock() > record.validity.not_after
    _report_status("jpki.status/1", record, "expired" if ended else record.status.state, output)


def _read_holder(file: Path, rooms: Rooms) -> Holder:
    return read_holder(read_at_most(file, LARGEST_HOLDER_FILE), day_in_japan(rooms.clock()))


# --- words ---------------------------------------------------------------------------------------------------------


def _report(
    rooms: Rooms,
    schema: str,
    certificate: x509.Certificate,
    files: Mapping[str, Path],
    output: Output,
    superseded: Serial | None = None,
) -> None:
    record = rooms.desk.record(Serial(certificate.serial_number))
    fields = _fields(record, record.status.state)
    fields["files"] = {name: str(file) for name, file in files.items()}
    lines = [
        Text(
            f"{record.purpose.text.ja}を発行しました：{format_serial(record.serial)}",
            f"Issued one {record.purpose.text.en}: {format_serial(record.serial)}",
        ),
        Text(f"  有効期限 {iso(record.validity.not_after)}", f"  valid until {iso(record.validity.not_after)}"),
        *(Text(f"  {file}", f"  {file}") for file in files.values()),
    ]
    if superseded is not None:
        fields["superseded"] = format_serial(superseded)
        old = rooms.desk.record(superseded)
        number = format_serial(superseded)
        lines.append(Text(f"  旧証明書 {number} は失効しました。", f"  the old certificate {number} is superseded."))
        if record.validity.not_after <= old.validity.not_after:
            lines.append(_capped(record))
    output.result(schema, fields, lines)


def _capped(record: CertificateRecord) -> Text:
    if record.carrier != CARD:
        return _CAPPED_BY_CARD
    return _CAPPED if record.purpose is Purpose.SIGNING else _CAPPED_BY_END


_CAPPED_BY_END = Text(
    "注意：証明書はカードの有効期限又は在留期間の満了とともに終わるため、有効期限は延びていません。"
    "次はカードを先に更新してください。",
    "Note: a certificate ends with its card and with the stay, so nothing was gained; next time renew the card first.",
)


_CAPPED = Text(
    "注意：署名用電子証明書は利用者証明用電子証明書と同時に終わるため、有効期限は延びていません。"
    "次は利用者証明用電子証明書を先に更新してください。",
    "Note: a signing certificate ends with the authentication certificate, so nothing was gained;"
    " next time renew the authentication certificate first.",
)


_CAPPED_BY_CARD = Text(
    "注意：移動端末の証明書はカードの証明書と同時に終わるため、有効期限は延びていません。"
    "次はカードの証明書を先に更新してください。",
    "Note: a certificate on a mobile device ends with the card's, so nothing was gained;"
    " next time renew the card's certificate first.",
)


def _report_status(schema: str, record: CertificateRecord, state: str, output: Output) -> None:
    output.result(schema, _fields(record, state), list(_status_lines(record, state)))


def _status_lines(record: CertificateRecord, state: str) -> Sequence[Text]:
    status = record.status
    lines = [
        Text(
            f"{record.purpose.text.ja} {format_serial(record.serial)}",
            f"{record.purpose.text.en} {format_serial(record.serial)}",
        ),
        _STATES[state],
        Text(f"  格納先 {carrier_text(record.carrier).ja}", f"  on {carrier_text(record.carrier).en}"),
        Text(
            f"  有効期間 {iso(record.validity.not_before)} 〜 {iso(record.validity.not_after)}",
            f"  valid {iso(record.validity.not_before)} to {iso(record.validity.not_after)}",
        ),
    ]
    if status.revoked_at is not None and status.reason is not None:
        when, reason = iso(status.revoked_at), status.reason
        lines.append(Text(f"  {when}：{reason.text.ja}（{reason}）", f"  {when}: {reason.text.en} ({reason})"))
    return lines


_STATES = {
    State.RESERVED: Text("  発行の準備中です。", "  being prepared"),
    State.INTENDED: Text("  署名の途中です。", "  being signed"),
    State.ISSUED: Text("  発行済み、未交付です。", "  issued, not delivered"),
    State.ACTIVE: Text("  有効です。", "  live"),
    State.HELD: Text("  一時停止中です。", "  on hold"),
    State.REVOKED: Text("  失効しています。", "  revoked"),
    State.VOID: Text("  発行されませんでした。", "  void: never signed"),
    "expired": Text("  有効期限が切れています。", "  expired"),
}


def _fields(record: CertificateRecord, state: str) -> dict[str, Any]:
    status = record.status
    return {
        "serial": format_serial(record.serial),
        "kind": record.purpose,
        "carrier": record.carrier,
        "state": state,
        "generation": status.generation,
        "partition": status.partition,
        "not_before": iso(record.validity.not_before),
        "not_after": iso(record.validity.not_after),
        "reason": status.reason,
        "revoked_at": None if status.revoked_at is None else iso(status.revoked_at),
    }
