"""The signed record of a ceremony: what an auditor checks with the certificates in it and nothing else.

The signed octets are the body's canonical JSON (UTF-8, keys sorted, no spaces), as `jq -jcS .record FILE` prints it.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from jpki import signature
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.signature import PrivateKey, PublicKey, algorithm_for
from jpki.text import Text

SCHEMA = "jpki.ceremony-record/1"


@dataclass(frozen=True, slots=True)
class CheckedRecord:
    """A record whose signatures hold: its body, and the certificates of the keys that signed it."""

    body: Mapping[str, Any]
    signers: Sequence[x509.Certificate]


def canonical(body: Mapping[str, Any]) -> str:
    """Return the one text of a body."""
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def digest(text: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate, in hexadecimal."""
    return certificate.fingerprint(SHA256()).hex()


def public_key_hash(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate's SubjectPublicKeyInfo, in hexadecimal."""
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def signed_by(signers: Sequence[Generation]) -> list[dict[str, str]]:
    """Return what a body says of who will sign it, so that no signature can be taken away unseen."""
    return [{"generation": each.id, "sha256": fingerprint(each.certificate)} for each in signers]


def sign_record(body: str, signers: Sequence[tuple[Generation, PrivateKey]]) -> str:
    """Return the record of a canonical body that names these signers."""
    signatures = [
        {
            "generation": generation.id,
            "certificate": generation.certificate.public_bytes(Encoding.PEM).decode(),
            "hash": algorithm_for(generation.public_key).hash.name,
            "signature": base64.b64encode(signature.sign(key, body.encode())).decode(),
        }
        for generation, key in signers
    ]
    record = {"schema": SCHEMA, "record": json.loads(body), "signatures": signatures}
    return json.dumps(record, ensure_ascii=False, indent=2) + "\n"


def check_record(text: str) -> CheckedRecord:
    """Read a record, and require that all who should have signed it did.

    Every key that was made in the ceremony must have signed. Whether the certificates are those of an authority that
    one knows is the caller's to compare.

    Raises:
        JpkiError: UNPROCESSABLE `record-unreadable` or `record-altered`.
    """
    try:
        record = json.loads(text)
        body, signatures = record["record"], record["signatures"]
        expected = {each["sha256"] for each in body["signed_by"]}
        made = {each["sha256"] for each in body["generations"]}
        signers = [_signer(each, canonical(body)) for each in signatures]
        readable = record["schema"] == SCHEMA
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise _unreadable() from error
    except InvalidSignature:
        raise _altered("署名が内容と一致しません。", "A signature does not fit the record.") from None
    if not readable:
        raise _unreadable()
    if not expected or not made <= expected or {fingerprint(each) for each in signers} != expected:
        raise _altered("必要な署名がそろっていません。", "It is not signed by all who should have signed it.")
    return CheckedRecord(body, signers)


def _signer(entry: Mapping[str, str], body: str) -> x509.Certificate:
    certificate = x509.load_pem_x509_certificate(entry["certificate"].encode())
    octets = base64.b64decode(entry["signature"], validate=True)
    signature.check(cast("PublicKey", certificate.public_key()), body.encode(), octets)
    return certificate


def _unreadable() -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "record-unreadable",
        Text("セレモニーの記録として読めません。", "This is no record of a ceremony that can be read."),
        Text(
            "ホームの ceremonies フォルダーのファイルを指定してください。", "Name a file of a home's ceremonies folder."
        ),
    )


def _altered(ja: str, en: str) -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "record-altered",
        Text(f"セレモニーの記録が改ざんされています。{ja}", f"The record of the ceremony was altered. {en}"),
        Text("立会人の控えと比べてください。", "Compare it with a witness's copy."),
    )
