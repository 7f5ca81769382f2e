"""What `jpki crl show` tells of a list, for people and for programs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509

from crl.entry_index import Entry
from crl.explain import SCOPES, Explanation, fingerprint
from jpki.clock import iso
from jpki.ids import Serial, format_serial
from jpki.revocation import Reason
from jpki.text import Text, shown

_NO_REASON = "none"
"""How a program is told of entries that give no reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownList:
    """A list, and what was asked of it.

    `is_checked` tells that there were certificates to check the signature by; `signer` is the one that signed it.
    """

    source: str
    octets: int
    sha256: str
    explained: Explanation
    is_checked: bool
    signer: x509.Certificate | None
    serials: Sequence[tuple[Serial, Entry | None]]
    first: Sequence[Entry]

    def as_json(self) -> dict[str, object]:
        """Return the fields of docs/contract.md."""
        told, signer = self.explained, self.signer
        return {
            "source": self.source,
            "octets": self.octets,
            "sha256": self.sha256,
            "issuer": told.issuer,
            "kind": told.scope,
            "distribution_points": list(told.points),
            "freshest": list(told.freshest),
            "number": told.number,
            "base": told.base,
            "this_update": iso(told.this_update),
            "next_update": None if told.next_update is None else iso(told.next_update),
            "stale": told.is_stale,
            "signature_algorithm": told.algorithm,
            "signature": "valid" if signer else "wrong" if self.is_checked else "unchecked",
            "signed_by": None if signer is None else {"subject": _name(signer), "sha256": fingerprint(signer)},
            "entries": told.entries,
            "reasons": {reason or _NO_REASON: count for reason, count in told.reasons.items()},
            "first": [_entry_fields(each) for each in self.first],
            "serials": [_serial_fields(serial, entry) for serial, entry in self.serials],
            "objections": [each.as_json() for each in told.objections],
        }

    def lines(self) -> Iterator[Text]:
        """Yield what a person reads."""
        told = self.explained
        yield Text(f"失効リスト（{self.octets:,}オクテット）", f"Certificate revocation list ({self.octets:,} octets)")
        yield _line("発行者", "issuer", shown(told.issuer))
        yield _line("種類", "kind", SCOPES[told.scope])
        for point in told.points:
            yield _line("配布点", "distribution point", shown(point))
        for point in told.freshest:
            yield _line("差分リスト", "its delta", shown(point))
        yield _line("番号", "number", "-" if told.number is None else str(told.number))
        if told.base is not None:
            yield _line("基準の番号", "base number", str(told.base))
        yield _line("thisUpdate", "thisUpdate", iso(told.this_update))
        yield _line("nextUpdate", "nextUpdate", self._end())
        yield _line("SHA-256", "SHA-256", self.sha256)
        yield _line("署名アルゴリズム", "signature algorithm", told.algorithm)
        yield _line("署名", "signature", self._signature())
        yield _line("件数", "entries", f"{told.entries:,}")
        for reason, count in told.reasons.items():
            yield Text(
                f"    {reason or '-'}: {count:,}  ― {_meaning(reason).ja}",
                f"    {reason or '-'}: {count:,}  - {_meaning(reason).en}",
            )
        yield from map(_entry_line, self.first)
        yield from (_serial_line(serial, entry) for serial, entry in self.serials)
        for each in told.objections:
            yield Text(f"✗ このリストに頼れない：{each.ja}", f"✗ Not to be relied upon: {each.en}")

    def _end(self) -> Text:
        end = self.explained.next_update
        if end is None:
            return Text("なし", "none")
        if self.explained.is_stale:
            return Text(f"{iso(end)}  ✗ 期限切れ", f"{iso(end)}  ✗ stale")
        return Text(f"{iso(end)}  ✓ 期限内", f"{iso(end)}  ✓ fresh")

    def _signature(self) -> Text:
        if self.signer is not None:
            name, digest = shown(_name(self.signer)), fingerprint(self.signer)
            return Text(
                f"✓ {name} の鍵の署名（証明書のSHA-256 {digest}）",
                f"✓ by the key of {name} (certificate's SHA-256 {digest})",
            )
        if self.is_checked:
            return Text("✗ --issuer のどの鍵の署名でもない", "✗ by no key of --issuer")
        return Text("検証していない（--issuer で検証する）", "not checked (--issuer checks it)")


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()


def _line(ja: str, en: str, value: str | Text) -> Text:
    both = value if isinstance(value, Text) else Text(value, value)
    return Text(f"  {ja}: {both.ja}", f"  {en}: {both.en}")


def _meaning(reason: str | None) -> Text:
    if reason is None:
        return Text("理由の記載なし", "no reason given")
    if reason in set(Reason):
        return Reason(reason).text
    return Text("ほかの理由", "another reason")


def _entry_fields(entry: Entry) -> dict[str, str | None]:
    return {
        "serial": format_serial(Serial(entry.serial)),
        "revoked_at": iso(entry.revoked_at),
        "reason": None if entry.reason is None else entry.reason.value,
    }


def _serial_fields(serial: Serial, entry: Entry | None) -> dict[str, object]:
    told = (
        {"serial": format_serial(serial), "revoked_at": None, "reason": None} if entry is None else _entry_fields(entry)
    )
    return {**told, "listed": entry is not None}


def _entry_line(entry: Entry) -> Text:
    told = _entry_fields(entry)
    line = f"  {told['serial']}  {told['revoked_at']}  {told['reason'] or '-'}"
    return Text(line, line)


def _serial_line(serial: Serial, entry: Entry | None) -> Text:
    if entry is None:
        return Text(f"○ {format_serial(serial)} は記載されていない", f"○ {format_serial(serial)} is not listed")
    told = _entry_fields(entry)
    reason = told["reason"] or "-"
    return Text(
        f"● {told['serial']} は記載されている：{told['revoked_at']}  {reason}",
        f"● {told['serial']} is listed: {told['revoked_at']}  {reason}",
    )
