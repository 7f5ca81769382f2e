"""What the record of a ceremony says (docs/contract.md)."""

from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.record import fingerprint, public_key_hash, signed_by
from jpki.clock import iso
from jpki.generation import Generation
from jpki.ids import KeyUri, Serial, format_serial
from jpki.ports import KeyProvider
from server.store.ceremonies import Ceremony, CeremonyKind
from server.store.delegates import SqlDelegates
from server.store.generations import SqlGenerations


def body_of(
    ceremony: Ceremony,
    made: Sequence[Generation],
    signers: Sequence[Generation],
    keys: KeyProvider,
    delegates: SqlDelegates,
    generations: SqlGenerations,
    now: datetime,
) -> dict[str, Any]:
    """Return the body: the plan, who did what when, and every key and certificate with hashes and attributes."""
    body: dict[str, Any] = {
        "ceremony": ceremony.number,
        "kind": str(ceremony.kind),
        "opened_at": iso(ceremony.opened_at),
        "closed_at": iso(now),
        "software": f"jpki-authority {version('jpki-authority')}",
        "plan": ceremony.plan,
        "commands": ceremony.minutes["commands"],
        "lost_labels": ceremony.minutes["lost_labels"],
        "generations": [_generation_entry(each, keys) for each in made],
        "certificates": [entry for each in made for entry in _certificate_entries(each, delegates)],
        "signed_by": signed_by(signers),
    }
    if ceremony.subject is not None:
        body["subject"] = _subject_entry(generations.find(ceremony.subject), ceremony.kind)
    if ceremony.kind is CeremonyKind.RETIRE:
        body["destroyed"] = ceremony.minutes["destroyed"]
    return body


def key_entry(keys: KeyProvider, uri: KeyUri, certificate: x509.Certificate) -> dict[str, Any]:
    """Return what is said of a key: where it is, its public half's hash, its attributes as the device tells them."""
    return {
        "uri": uri,
        "public_key_sha256": public_key_hash(certificate),
        "attributes": dict(keys.attributes(uri)),
    }


def _generation_entry(generation: Generation, keys: KeyProvider) -> dict[str, Any]:
    return {
        "generation": generation.id,
        "ca": str(generation.purpose),
        "sha256": fingerprint(generation.certificate),
        "certificate": generation.certificate.public_bytes(Encoding.PEM).decode(),
        "not_after": iso(generation.not_after),
        "issue_until": iso(generation.issue_until),
        "key": key_entry(keys, generation.key, generation.certificate),
    }


def _certificate_entries(generation: Generation, delegates: SqlDelegates) -> list[dict[str, str]]:
    return [
        {
            "serial": format_serial(Serial(certificate.serial_number)),
            "kind": str(kind),
            "issuer": generation.id,
            "sha256": fingerprint(certificate),
            "public_key_sha256": public_key_hash(certificate),
        }
        for kind, certificate in delegates.certificates(generation.id)
    ]


def _subject_entry(generation: Generation, kind: CeremonyKind) -> dict[str, str | None]:
    moment = generation.compromised_at if kind is CeremonyKind.COMPROMISE else generation.destroyed_at
    return {
        "generation": generation.id,
        "sha256": fingerprint(generation.certificate),
        "compromised_at" if kind is CeremonyKind.COMPROMISE else "destroyed_at": None
        if moment is None
        else iso(moment),
    }
