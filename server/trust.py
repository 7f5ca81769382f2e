"""Whom a home trusts beside its own CAs: the real JPKI's roots once they are imported, and what jpki.toml names."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from jpki.acts import Act, Actor, AuditEvent
from jpki.errors import JpkiError, Kind
from jpki.text import Text
from server.certificate_files import certificates_in
from server.home import Home, write_new
from server.settings import Settings
from signing.jpki_roots import PinnedRoot, anchor_of, pinned
from signing.validation import TrustAnchor

if TYPE_CHECKING:
    from server.wiring import Rooms

CONFIGURED = "configured"
"""The trust domain of what jpki.toml or --trust names."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A root of the real JPKI in this home's trust."""

    root: PinnedRoot
    certificate: x509.Certificate

    @property
    def sha256(self) -> str:
        """The certificate's fingerprint, in hexadecimal."""
        return self.certificate.fingerprint(SHA256()).hex()


def imported(home: Home) -> Sequence[Imported]:
    """Return the roots that were imported, in order of name.

    Raises:
        JpkiError: INTERNAL `trust-altered`: a file in the home's trust is none of them.
    """
    return [_read(file) for file in sorted(home.trust.glob("*.pem"))]


def other_anchors(home: Home, settings: Settings) -> Iterator[TrustAnchor]:
    """Yield the trust anchors beside the home's own CAs.

    Raises:
        JpkiError: INTERNAL `trust-altered`; UNPROCESSABLE `certificate-unreadable` of a file in jpki.toml.
    """
    for each in imported(home):
        yield anchor_of(each.certificate)
    for named in settings.trust:
        yield from configured_anchors([Path(named.file)], frozenset(named.policies))


def configured_anchors(files: Iterable[Path], policies: frozenset[str]) -> Sequence[TrustAnchor]:
    """Return the certificates in these files as anchors.

    Raises:
        JpkiError: UNPROCESSABLE `certificate-unreadable`.
    """
    return [
        TrustAnchor(certificate=certificate, domain=CONFIGURED, policies=policies)
        for file in files
        for certificate in certificates_in(file)
    ]


def import_root(rooms: "Rooms", certificate: x509.Certificate, by: Actor) -> tuple[Imported, bool]:
    """Trust a root of the real JPKI from now on; tell whether it was not trusted before.

    Raises:
        JpkiError: FORBIDDEN `root-not-pinned`; as `write_new`.
    """
    found = Imported(pinned(certificate), certificate)
    file = _file(rooms.home, found.root.name)
    if file.exists():
        return found, False
    _record(rooms, Act.TRUST_ADDED, found, by)
    write_new(file, certificate.public_bytes(Encoding.PEM), 0o644)
    return found, True


def remove_root(rooms: "Rooms", name: str, by: Actor) -> Imported:
    """Trust a root no more.

    Raises:
        JpkiError: NOT_FOUND `root-unknown`.
    """
    for each in imported(rooms.home):
        if each.root.name == name:
            _record(rooms, Act.TRUST_REMOVED, each, by)
            _file(rooms.home, name).unlink(missing_ok=True)
            return each
    raise JpkiError(
        Kind.NOT_FOUND,
        "root-unknown",
        Text(f"「{name}」は取り込まれていません。", f"{name!r} is not imported."),
        Text("名前は jpki trust list で確認できます。", "See the names with `jpki trust list`."),
    )


def _read(file: Path) -> Imported:
    try:
        (certificate,) = certificates_in(file)
        found = Imported(pinned(certificate), certificate)
    except (JpkiError, ValueError) as error:
        raise JpkiError(
            Kind.INTERNAL,
            "trust-altered",
            Text(
                f"{file} は取り込んだルート証明書ではありません。",
                f"{file} is not the root that was imported.",
            ),
            Text(
                "そのファイルを取り除き、jpki trust import で取り込み直してください。",
                "Take the file away, and import the root again with `jpki trust import`.",
            ),
        ) from error
    return found


def _record(rooms: "Rooms", act: Act, root: Imported, by: Actor) -> None:
    details: dict[str, str | int] = {"name": root.root.name, "sha256": root.sha256}
    event = AuditEvent(at=rooms.clock(), actor=by, act=act, subjects=(root.root.name,), details=details)
    rooms.store.audit.record(event)


def _file(home: Home, name: str) -> Path:
    return home.trust / f"{name}.pem"
