"""The CRL door: lists as files, read without key and without database (rule R7)."""

import hashlib
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path

from flask import Blueprint, Response, request
from werkzeug.wsgi import wrap_file

from jpki.certificate import HOLDER_PURPOSES
from jpki.errors import JpkiError, Kind
from jpki.text import Text

_MAX_AGE_SECONDS = 3600
_ID = re.compile(r"[a-z]+[0-9]*")
"""A generation's or a partition's id; it holds nothing that leads out of a directory."""


def make_blueprint(directory: Path) -> Blueprint:
    """Return the route GET /crl/<ca>/<generation>/<partition>.crl over the stable files below `directory`."""
    blueprint = Blueprint("crl", __name__)
    etag_of = _etags()

    @blueprint.get("/crl/<ca>/<generation>/<partition>.crl")
    def published(ca: str, generation: str, partition: str) -> Response:
        file = _open(directory, ca, generation, partition)
        stat = os.fstat(file.fileno())
        response = Response(
            wrap_file(request.environ, file), content_type="application/pkix-crl", direct_passthrough=True
        )
        response.content_length = stat.st_size
        response.last_modified = datetime.fromtimestamp(stat.st_mtime, UTC)
        response.cache_control.public = True
        response.cache_control.max_age = _MAX_AGE_SECONDS
        response.set_etag(etag_of(file, stat))
        response.make_conditional(request)
        return response

    return blueprint


def _open(directory: Path, ca: str, generation: str, partition: str) -> BufferedReader:
    if ca not in HOLDER_PURPOSES or not _ID.fullmatch(generation) or not _ID.fullmatch(partition):
        raise _unknown()
    try:
        return (directory / ca / generation / f"{partition}.crl").open("rb")
    except FileNotFoundError:
        raise _unknown() from None
    except OSError as error:
        raise _unavailable() from error


def _etags() -> Callable[[BufferedReader, os.stat_result], str]:
    """Return a function that tells a file's SHA-256, and hashes a path again only after its file was replaced."""
    known: dict[str, tuple[tuple[int, int, int], str]] = {}

    def etag_of(file: BufferedReader, stat: os.stat_result) -> str:
        stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        before, etag = known.get(file.name, (None, ""))
        if before != stamp:
            etag = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            known[file.name] = stamp, etag
        return etag

    return etag_of


def _unknown() -> JpkiError:
    return JpkiError(
        Kind.NOT_FOUND,
        "crl-unknown",
        Text("そのような失効リストはありません。", "There is no such CRL."),
        Text(
            "証明書のCRL配布点のURLをそのまま使ってください。",
            "Use the URL in the certificate's CRL distribution point.",
        ),
    )


def _unavailable() -> JpkiError:
    return JpkiError(
        Kind.UNAVAILABLE,
        "crl-unavailable",
        Text("失効リストのファイルを読めません。", "The CRL's file cannot be read."),
        Text("少し待ってからやり直してください。", "Try again in a moment."),
    )
