"""The verification door, an API route and a page that judge an uploaded document; and the time-stamp door.

The former's two are open to anonymous callers and alike in what they take and what they tell (docs/contract.md).
"""

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath, PureWindowsPath
from typing import IO

from flask import Blueprint, Response, jsonify, make_response, render_template, request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import parse_form_data

from jpki.clock import read_moment
from jpki.errors import JpkiError, Kind
from jpki.look import PAGE_HEADERS
from jpki.text import Text
from signing.caps import LARGEST_UPLOAD
from signing.page import TEMPLATES, VOCABULARY
from signing.policies import GENERAL, POLICIES, ValidationPolicy
from signing.report import FileVerdict, SignatureVerdict, as_json
from signing.tsa import MAX_REQUEST_OCTETS, TimeStampAuthority

_MIB = 1024 * 1024
_ROOM_FOR_MULTIPART = 64 * 1024
_MOST_PARTS = 5
_MOST_IN_MEMORY = 256 * 1024
_ON_DISK = "/var/tmp" if os.path.isdir("/var/tmp") else None  # noqa: PTH112, S108 - files there have no name
"""Where uploads lie: /tmp is memory on many machines."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_UPLOAD_FAULTS = {Kind.MALFORMED: 400, Kind.TOO_LARGE: 413, Kind.UNAVAILABLE: 503}
"""The faults that the page itself shows, with their statuses; others are the server's to answer."""
_RETRY_AFTER = {"Retry-After": "5"}

_PAGE_HEADERS = {"Cache-Control": "no-store", **PAGE_HEADERS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """The fields of a request: an open file with its name, what it signs where that came apart, and what is asked.

    Both files have descriptors. `received_at` is when the caller says that the document was received, None for now.
    """

    name: str
    document: IO[bytes]
    content: IO[bytes] | None
    policy: ValidationPolicy
    received_at: datetime | None


VerifyUpload = Callable[[Upload], FileVerdict]
"""Judges what was sent, with the house's own trust."""


def make_blueprint(verify_upload: VerifyUpload, prepare: Callable[[], object]) -> Blueprint:
    """Return the blueprint with `POST /api/v1/verifications` and the page `/verify`.

    A failed signature is a verdict, not an error. `prepare` is called where somebody is about to choose a file, and
    waits for nothing: what judges is there when the file comes.
    """
    blueprint = Blueprint("verifications", __name__, template_folder=TEMPLATES)

    @blueprint.post("/api/v1/verifications")
    def verify() -> Response:
        """Answer with the verdict on the uploaded file.

        Raises:
            JpkiError: MALFORMED `file-missing`, `policy-unknown` or `moment-malformed`, TOO_LARGE `upload-too-large`,
                UNAVAILABLE `upload-without-room`; what `verify_upload` raises.
        """
        return jsonify(as_json([_verify(verify_upload)]))

    @blueprint.get("/verify")
    def show_form() -> Response:
        """Answer with the page and nothing judged yet."""
        prepare()
        return _page()

    @blueprint.post("/verify")
    def show_verdict() -> Response:
        """Answer with the page and the verdict on the uploaded file, or with what was wrong with the upload."""
        try:
            return _page(verdict=_verify(verify_upload))
        except JpkiError as error:
            if error.kind not in _UPLOAD_FAULTS:
                raise
            return _page(_UPLOAD_FAULTS[error.kind], error=error)

    return blueprint


def make_time_stamp_blueprint(authority: TimeStampAuthority) -> Blueprint:
    """Return the blueprint with `POST /tsa` (RFC 3161 3.4).

    The octets alone decide, as at the OCSP door: whatever Content-Type they come with, they are a request or are not.
    """
    blueprint = Blueprint("tsa", __name__)

    @blueprint.post("/tsa")
    def stamp() -> Response:
        """Answer with a time-stamp or a rejection; the body is read no further than the cap."""
        body = authority.answer(request.stream.read(MAX_REQUEST_OCTETS + 1))
        response = Response(body, content_type="application/timestamp-reply")
        response.headers["Cache-Control"] = "no-store"
        return response

    return blueprint


def _page(status: int = 200, *, verdict: FileVerdict | None = None, error: JpkiError | None = None) -> Response:
    page = render_template(
        "verify.html",
        verdict=verdict,
        error=error,
        policies=POLICIES.values(),
        largest_mib=LARGEST_UPLOAD // _MIB,
        **VOCABULARY,
    )
    later = error is not None and error.kind is Kind.UNAVAILABLE
    return make_response(page, status, _PAGE_HEADERS | (_RETRY_AFTER if later else {}))


@contextmanager
def _upload() -> Iterator[Upload]:
    """Yield what the request's fields hold; the body is read no further than the cap.

    The files' octets go to the disk as they come, into a file that has no name: the kernel frees it with the last
    descriptor, however this process ends.
    """
    with ExitStack() as opened:

        def on_disk(*_: object, **__: object) -> IO[bytes]:
            return opened.enter_context(tempfile.TemporaryFile(dir=_ON_DISK))

        if request.mimetype != "multipart/form-data":
            raise _missing()
        try:
            _, form, files = parse_form_data(
                request.environ,
                on_disk,
                max_form_memory_size=_MOST_IN_MEMORY,
                max_content_length=LARGEST_UPLOAD + _ROOM_FOR_MULTIPART,
                max_form_parts=_MOST_PARTS,
            )
        except RequestEntityTooLarge:
            raise _too_large() from None
        except OSError as error:
            raise (_without_room() if error.errno in _FULL else error) from error
        upload = files.get("file")
        if upload is None or not upload.filename:
            raise _missing()
        if upload.stream.seek(0, os.SEEK_END) > LARGEST_UPLOAD:
            raise _too_large()
        content = files.get("content")
        apart = content.stream if content is not None and content.filename else None
        for each in (upload.stream, apart):
            if each is not None:
                each.flush()
        yield Upload(
            name=_base_name(upload.filename),
            document=upload.stream,
            content=apart,
            policy=_policy(form.get("policy") or GENERAL.name),
            received_at=_moment(form["received_at"]) if form.get("received_at") else None,
        )


def _verify(verify_upload: VerifyUpload) -> FileVerdict:
    with _upload() as upload:
        verdict = verify_upload(upload)
    signatures = tuple(_masked(signature) for signature in verdict.signatures)
    return replace(verdict, path=upload.name, signatures=signatures)


def _masked(verdict: SignatureVerdict) -> SignatureVerdict:
    """Return the verdict without the signer's attributes: this door's callers are anonymous (rule R21)."""
    return replace(verdict, signer=verdict.signer and replace(verdict.signer, attributes=None))


def _policy(name: str) -> ValidationPolicy:
    try:
        return POLICIES[name]
    except KeyError:
        names = " ".join(POLICIES)
        raise JpkiError(
            Kind.MALFORMED,
            "policy-unknown",
            Text("その検証方針はありません。", "There is no such policy."),
            Text(f"次のいずれかを指定してください：{names}", f"Give one of these: {names}"),
        ) from None


def _moment(text: str) -> datetime:
    try:
        return read_moment(text)
    except (ValueError, OverflowError):
        raise JpkiError(
            Kind.MALFORMED,
            "moment-malformed",
            Text("受付日時を読み取れません。", "The time of receipt cannot be read."),
            Text("2026-11-23T12:00:00+09:00 のように指定してください。", "Write it as in 2026-11-23T12:00:00+09:00."),
        ) from None


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


def _missing() -> JpkiError:
    return JpkiError(
        Kind.MALFORMED,
        "file-missing",
        Text("検証するファイルがありません。", "There is no file to verify."),
        Text(
            "ファイルを選んで送ってください（APIでは multipart/form-data の項目「file」）。",
            "Choose a file and send it (over the API: as the multipart/form-data field 'file').",
        ),
    )


def _without_room() -> JpkiError:
    return JpkiError(
        Kind.UNAVAILABLE,
        "upload-without-room",
        Text("ファイルを置く場所がサーバーにありません。", "The server has no room for the file."),
        Text("しばらくしてからもう一度送ってください。", "Send the file again in a while."),
    )
