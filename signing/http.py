"""The verification door: one route that judges an uploaded document (docs/contract.md)."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from flask import Blueprint, Response, jsonify, request
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from signing.report import FileVerdict, SignatureVerdict, as_json

LARGEST_UPLOAD = 20 * 1024 * 1024
_ROOM_FOR_MULTIPART = 64 * 1024

VerifyUpload = Callable[[Path], FileVerdict]
"""Judges the file at a path with the house's own trust."""


def make_blueprint(verify_upload: VerifyUpload) -> Blueprint:
    """Return the blueprint with `POST /api/v1/verifications`; a failed signature is a verdict, not an error."""
    blueprint = Blueprint("verifications", __name__)

    @blueprint.post("/api/v1/verifications")
    def verify() -> Response:
        """Answer with the verdict on the uploaded file.

        Raises:
            JpkiError: MALFORMED `file-missing`, TOO_LARGE `upload-too-large`.
        """
        request.max_content_length = LARGEST_UPLOAD + _ROOM_FOR_MULTIPART
        try:
            upload = request.files.get("file")
        except RequestEntityTooLarge:
            raise _too_large() from None
        if upload is None or not upload.filename:
            raise JpkiError(
                Kind.MALFORMED,
                "file-missing",
                Text("検証するファイルがありません。", "There is no file to verify."),
                Text(
                    "multipart/form-data の項目「file」としてファイルを送ってください。",
                    "Send the file as the multipart/form-data field 'file'.",
                ),
            )
        return jsonify(as_json([_verify(upload, verify_upload)]))

    return blueprint


def _verify(upload: FileStorage, verify_upload: VerifyUpload) -> FileVerdict:
    with tempfile.TemporaryDirectory() as directory:
        document = Path(directory, "upload")
        upload.save(document)
        if document.stat().st_size > LARGEST_UPLOAD:
            raise _too_large()
        verdict = verify_upload(document)
    signatures = tuple(_masked(signature) for signature in verdict.signatures)
    return replace(verdict, path=_base_name(upload.filename or ""), signatures=signatures)


def _masked(verdict: SignatureVerdict) -> SignatureVerdict:
    """Return the verdict without the signer's attributes: this door's callers are anonymous (rule R21)."""
    return replace(verdict, signer=verdict.signer and replace(verdict.signer, attributes=None))


def _base_name(name: str) -> str:
    """Return the last part of a client's file name, whichever separator its system uses."""
    return PurePosixPath(PureWindowsPath(name).name).name


def _too_large() -> JpkiError:
    return JpkiError(
        Kind.TOO_LARGE,
        "upload-too-large",
        Text("ファイルは20 MiBまでです。", "Files may be 20 MiB at most."),
        Text("大きな文書は jpki verify で検証してください。", "Verify larger documents with jpki verify."),
    )
