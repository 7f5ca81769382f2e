"""Reads the signatures of a PDF (ISO 32000-1, 12.8), and what was done to the file after each."""

# mypy: allow-untyped-calls
# pyHanko's PDF layer bears no types.

import re
from dataclasses import dataclass, replace
from os import SEEK_END
from typing import IO

from asn1crypto import cms, core
from pyhanko.pdf_utils.decode_limits import (
    DEFAULT_PURPOSE_LIMITS,
    DecodeLimits,
    DecodePurpose,
    DocumentDecodeBudget,
    StreamDecodeLimits,
)
from pyhanko.pdf_utils.generic import DictionaryObject, PdfObject
from pyhanko.pdf_utils.misc import PdfDecodeLimitError, PdfReadError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DiffResult
from pyhanko.sign.fields import enumerate_sig_fields
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import SignatureCoverageLevel

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from signing import cms_signature, pades
from signing.caps import LARGEST_STREAM, LARGEST_STREAMS, LARGEST_XREF_STREAM
from signing.pdf_store import Store, read_store
from signing.presented import Presented, Stamp, refuse_crowds
from signing.report import Check, Step, TimeProof
from signing.verdict import Cause

_END_ZONE = 1024
_LIMITS = DecodeLimits(
    per_stream=StreamDecodeLimits(max_output_size=LARGEST_STREAM),
    per_purpose={
        **DEFAULT_PURPOSE_LIMITS,
        DecodePurpose.XREF_STREAM: StreamDecodeLimits(max_output_size=LARGEST_XREF_STREAM),
    },
    document_budget=DocumentDecodeBudget(base_allowance=LARGEST_STREAMS, max_ratio=0),
)
_PLAIN = "/adbe.pkcs7.detached"
_LAST_WORDS = re.compile(rb"\s*(?:endobj|(?:trailer\s*)?<<.*>>)\s*startxref\s+\d+\s+%%EOF\s*", re.DOTALL)
_OBJECT = re.compile(rb"\d\s+obj\b")


def read(document: IO[bytes]) -> tuple[Presented, ...]:
    """Return the signatures of a PDF; whatever is wrong with its structure raises.

    Raises:
        JpkiError: UNPROCESSABLE `document-encrypted`; TOO_LARGE `too-many-signatures`, `too-many-revisions` or
            `streams-too-large`.
    """
    try:
        return _read(document)
    except PdfDecodeLimitError as error:
        raise JpkiError(
            Kind.TOO_LARGE,
            "streams-too-large",
            Text(
                "PDFの圧縮された部分が大きすぎるため、展開しません。",
                "The PDF's compressed parts are too large and are not expanded.",
            ),
            Text("署名者に作り直しを依頼してください。", "Ask the signer to make the PDF again, without them."),
        ) from error


def _read(document: IO[bytes]) -> tuple[Presented, ...]:
    _require_end_mark(document)
    # Not strict: much honest software writes hybrid or untidy cross-references; the checks below stay strict.
    reader = PdfFileReader(document, strict=False, decode_limits=_LIMITS)
    if reader.encrypted:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "document-encrypted",
            Text("暗号化されたPDFは読み取れません。", "The PDF is encrypted and cannot be read."),
            Text("パスワードを外したPDFを検証してください。", "Verify the PDF without its password."),
        )
    # Not reader.embedded_signatures: that passes over a signature whose SubFilter it does not know.
    fields = list(enumerate_sig_fields(reader, filled_status=True))
    refuse_crowds(fields, revisions=reader.total_revisions)
    aside = _Aside(
        tuple(_stamp(reader, name, field) for name, value, field in fields if _is_timestamp(value)),
        read_store(reader),
    )
    return tuple(_present(reader, aside, *field) for field in fields if not _is_timestamp(field[1]))


def _require_end_mark(stream: IO[bytes]) -> None:
    """Refuse a file that does not end as a PDF: pyHanko would search backwards through it, octet by octet."""
    stream.seek(max(stream.seek(0, SEEK_END) - _END_ZONE, 0))
    if b"%%EOF" not in stream.read():
        raise PdfReadError("no end mark near the end")


def _is_timestamp(value: PdfObject) -> bool:
    return bool(value.get_object().get("/SubFilter") == "/ETSI.RFC3161")


@dataclass(frozen=True, slots=True)
class _Aside:
    """What stands beside the signatures, for all of them: the document's time-stamps, and its store."""

    stamps: tuple[Stamp, ...]
    store: Store


def _stamp(reader: PdfFileReader, name: str, field: DictionaryObject) -> Stamp:
    """Return a document's time-stamp: a token over the file as it was then (ISO 32000-2, 12.8.5).

    One that cannot be read is a broken one, and no reason not to read the signatures.
    """
    layer = reader.xrefs.get_last_change(field.get_object().raw_get("/V").reference)
    try:
        embedded = EmbeddedPdfSignature(reader, field, name)
        # What came later is judged by the signatures, which are older.
        embedded.compute_integrity_info(skip_diff=True)
        token = cms.ContentInfo.load(embedded.pkcs7_content).dump()
        digest = embedded.compute_digest() if _is_whole(reader.stream, embedded) else b""
        digests = {embedded.external_md_algorithm: digest}
    except (MemoryError, RecursionError, PdfDecodeLimitError):
        raise
    except Exception:  # noqa: BLE001 - a hostile value makes pyHanko raise anything
        token, digests = b"", {}
    return Stamp(
        proof=TimeProof.DOCUMENT_TIME_STAMP,
        token=token,
        imprint=lambda name: digests.get(name, b""),
        layer=layer,
    )


def _present(reader: PdfFileReader, aside: _Aside, name: str, value: PdfObject, field: DictionaryObject) -> Presented:
    sub_filter = value.get_object().get("/SubFilter")
    if sub_filter not in {_PLAIN, pades.SUB_FILTER}:
        return Presented(checks=(Check.stopped(Step.FORMAT, Cause.UNSUPPORTED, sub_filter=str(sub_filter)),))
    signature = EmbeddedPdfSignature(reader, field, name)
    if signature.signed_data["encap_content_info"]["content"] is not core.VOID:
        return Presented(checks=(Check.stopped(Step.FORMAT, Cause.MALFORMED),))
    signature.compute_integrity_info()
    presented = cms_signature.present(
        signature.signed_data,
        signature.signer_info,
        signature.compute_digest,
        (_check_form(signature), _check_coverage(reader.stream, signature), _check_changes(reader, signature)),
    )
    presented = _with_evidence(presented, signature.signed_revision, aside)
    if sub_filter == _PLAIN:
        return presented
    return replace(presented, claimed_at=presented.claimed_at or pades.claimed_at(signature.sig_object))


def _with_evidence(presented: Presented, revision: int, aside: _Aside) -> Presented:
    """Add what the document brings along for its signatures: later time-stamps cover this one."""
    own = (replace(stamp, layer=revision) for stamp in presented.stamps)
    later = (stamp for stamp in aside.stamps if stamp.layer > revision)
    return replace(
        presented,
        others=(*presented.others, *aside.store.certificates),
        stamps=(*own, *later),
        stored=(*(replace(each, layer=revision) for each in presented.stored), *aside.store.stored),
    )


def _check_form(signature: EmbeddedPdfSignature) -> Check:
    if signature.sig_object["/SubFilter"] == _PLAIN:
        return Check.passed(Step.FORMAT, "署名付きPDFです。", "A signed PDF.", format="pdf", sub_filter=_PLAIN)
    return pades.check_form(signature.signer_info)


def _check_coverage(stream: IO[bytes], signature: EmbeddedPdfSignature) -> Check:
    if not _is_whole(stream, signature):
        return Check.stopped(Step.COVERAGE, Cause.NOT_COVERED)
    return Check.passed(
        Step.COVERAGE,
        "署名時点のファイル全体が署名されています。",
        "The whole file as it was when signed is covered.",
        signed_octets=_signed_end(signature),
    )


def _is_whole(stream: IO[bytes], signature: EmbeddedPdfSignature) -> bool:
    """Tell whether the whole file as it was then is covered."""
    covered = signature.coverage in {SignatureCoverageLevel.ENTIRE_FILE, SignatureCoverageLevel.ENTIRE_REVISION}
    return covered and _leaves_out_its_value_only(stream, signature)


def _leaves_out_its_value_only(stream: IO[bytes], signature: EmbeddedPdfSignature) -> bool:
    """Tell whether the gap in the ByteRange is the signature's own hexadecimal string and nothing else."""
    _, gap_start, gap_end, _ = signature.byte_range
    stream.seek(gap_start)
    gap = stream.read(gap_end - gap_start)
    in_brackets = gap[:1] == b"<" and gap[-1:] == b">"
    return in_brackets and bytes.fromhex(gap[1:-1].decode("ascii")) == signature.pkcs7_content


def _check_changes(reader: PdfFileReader, signature: EmbeddedPdfSignature) -> Check:
    changes = signature.diff_result
    allowed = bool(signature.summarise_integrity_info()["docmdp_ok"])
    if not allowed or not isinstance(changes, DiffResult) or _has_unread_octets(reader, signature):
        return Check.stopped(Step.CHANGES, Cause.CHANGED_AFTER_SIGNING)
    return Check.passed(
        Step.CHANGES,
        "署名の後に許されない変更はありません。",
        "Nothing was changed after signing but what is allowed.",
        level=changes.modification_level.name.lower(),
    )


def _has_unread_octets(reader: PdfFileReader, signature: EmbeddedPdfSignature) -> bool:
    """Tell whether octets follow that belong to no revision: other software may show what they hold."""
    stream = reader.stream
    size = stream.seek(0, SEEK_END)
    last_revision = reader.total_revisions - 1
    if signature.signed_revision == last_revision:
        return bool(size != _signed_end(signature))
    stream.seek(reader.xrefs.get_xref_container_info(last_revision).end_location)
    tail = stream.read()
    return _LAST_WORDS.fullmatch(tail) is None or _OBJECT.search(tail) is not None


def _signed_end(signature: EmbeddedPdfSignature) -> int:
    _, _, start, length = signature.byte_range
    return int(start) + int(length)
