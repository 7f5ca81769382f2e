"""The CRL door: lists as files, read without key and without database (rule R7), and a directory of them.

The directory says what the ledger knows, and is away while the ledger is; the lists go on.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from urllib.parse import urlencode

from flask import Blueprint, Response, jsonify, make_response, render_template, request
from werkzeug.wsgi import wrap_file

from crl.directory import Directory, DistributionPoint, words_of
from crl.outline import UNREADABLE, outline
from jpki.certificate import HOLDER_PURPOSES
from jpki.clock import Clock, iso
from jpki.errors import JpkiError, Kind
from jpki.look import PAGE_HEADERS
from jpki.text import Text

_MAX_AGE_SECONDS = 3600
_DIRECTORY_SECONDS = 60
_POINTS_A_PAGE = 20
_LONGEST_QUERY = 100
_ID = re.compile(r"[a-z]+[0-9]*")
"""A generation's or a partition's id; it holds nothing that leads out of a directory."""


def make_blueprint(directory: Path, points: Directory, clock: Clock) -> Blueprint:
    """Return the routes GET /crl/<ca>/<generation>/<partition>.crl over the stable files below `directory`.

    Beside them GET /crl/index.json and the page /crl/ tell of the distribution points.
    """
    blueprint = Blueprint("crl", __name__, template_folder="templates")
    facts_of = _facts()

    @blueprint.get("/crl/<ca>/<generation>/<partition>.crl")
    def published(ca: str, generation: str, partition: str) -> Response:
        with ExitStack() as until_sent:
            file = until_sent.enter_context(_open(directory, ca, generation, partition))
            facts = facts_of(file)
            response = Response(
                wrap_file(request.environ, file), content_type="application/pkix-crl", direct_passthrough=True
            )
            response.content_length = facts.octets
            response.last_modified = facts.modified
            response.cache_control.public = True
            response.cache_control.max_age = facts.seconds_to_keep(clock())
            response.set_etag(facts.sha256)
            response.make_conditional(request, accept_ranges=True, complete_length=facts.octets)
            until_sent.pop_all()
        return response

    @blueprint.get("/crl/index.json")
    def listed() -> Response:
        response = jsonify({"schema": "jpki.crl-index/1", "lists": [_fields(each, at_hand(each)) for each in points()]})
        response.cache_control.public = True
        response.cache_control.max_age = _DIRECTORY_SECONDS
        return response

    @blueprint.get("/crl/")
    def directory_page() -> Response:
        asked = _Asked.of(request.args)
        meant = [each for each in points() if asked.means(each)]
        begin = (asked.page - 1) * _POINTS_A_PAGE
        page = render_template(
            "distribution_points.html",
            asked=asked,
            purposes=HOLDER_PURPOSES,
            count=len(meant),
            pages=max(1, -(-len(meant) // _POINTS_A_PAGE)),
            rows=[_Row(each, at_hand(each), clock()) for each in meant[begin : begin + _POINTS_A_PAGE]],
            longest_query=_LONGEST_QUERY,
            iso=iso,
        )
        headers = {"Cache-Control": f"public, max-age={_DIRECTORY_SECONDS}", **PAGE_HEADERS}
        return make_response(page, headers)

    def at_hand(point: DistributionPoint) -> "_Facts | None":
        """Return what is told of a list's file, None where it cannot be read."""
        try:
            with _open(directory, point.purpose, point.generation, point.partition) as file:
                return facts_of(file)
        except JpkiError:
            return None

    return blueprint


# --- the lists -------------------------------------------------------------------------------------------------


def _open(directory: Path, ca: str, generation: str, partition: str) -> BufferedReader:
    if ca not in HOLDER_PURPOSES or not _ID.fullmatch(generation) or not _ID.fullmatch(partition):
        raise _unknown()
    try:
        return (directory / ca / generation / f"{partition}.crl").open("rb")
    except FileNotFoundError:
        raise _unknown() from None
    except OSError as error:
        raise _unavailable() from error


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is told of a file; `end` is its list's nextUpdate, None where it has none."""

    octets: int
    modified: datetime
    sha256: str
    end: datetime | None

    def seconds_to_keep(self, now: datetime) -> int:
        """Return for how long a cache may keep the list: an hour at most, and never past its end."""
        if self.end is None:
            return 0
        return max(0, min(_MAX_AGE_SECONDS, int((self.end - now).total_seconds())))


def _facts() -> Callable[[BufferedReader], _Facts]:
    """Return a function that tells of a file, and reads a path again only after its file was replaced."""
    known: dict[str, tuple[tuple[int, int, int], _Facts]] = {}

    def facts_of(file: BufferedReader) -> _Facts:
        stat = os.fstat(file.fileno())
        stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        before, facts = known.get(file.name, (None, None))
        if facts is None or before != stamp:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            facts = _Facts(stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC), digest, _end(file))
            file.seek(0)
            known[file.name] = stamp, facts
        return facts

    return facts_of


def _end(file: BufferedReader) -> datetime | None:
    try:
        return outline(file).head.next_update_utc
    except UNREADABLE:
        return None


# --- the directory ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a person looks for: words, one CA or both, and which page of what is found."""

    query: str
    purpose: str
    page: int

    @classmethod
    def of(cls, arguments: Mapping[str, str]) -> "_Asked":
        """Read a query string; what makes no sense is left out of account."""
        purpose, page = arguments.get("ca", ""), arguments.get("page", "")
        return cls(
            query=arguments.get("q", "").strip()[:_LONGEST_QUERY],
            purpose=purpose if purpose in HOLDER_PURPOSES else "",
            page=max(1, int(page)) if re.fullmatch(r"[0-9]{1,4}", page) else 1,
        )

    def means(self, point: DistributionPoint) -> bool:
        """Tell whether a distribution point is one that was asked for."""
        return self.purpose in {"", point.purpose} and point.is_meant_by(words_of(self.query))

    def address(self, page: int) -> str:
        """Return the address of another page of the same."""
        return "?" + urlencode({"q": self.query, "ca": self.purpose, "page": page})


@dataclass(frozen=True, slots=True)
class _Row:
    """A distribution point as the page shows it."""

    point: DistributionPoint
    facts: _Facts | None
    now: datetime

    @property
    def is_stale(self) -> bool:
        return self.point.next_update < self.now

    def commands(self) -> Iterator[str]:
        """Yield what a person types to fetch the list and check its signature."""
        point, generation = self.point, self.point.generation
        yield f"curl -fsSO {point.url}"
        yield f"curl -fsSO {point.issuer_url}"
        yield f"openssl x509 -inform DER -in {generation}.cer -out {generation}.pem"
        yield (
            f"openssl crl -inform DER -in {point.partition}.crl -CAfile {generation}.pem -noout"
            " -crlnumber -lastupdate -nextupdate"
        )


def _fields(point: DistributionPoint, facts: _Facts | None) -> dict[str, object]:
    place = point.municipality
    return {
        "ca": point.purpose,
        "generation": point.generation,
        "partition": point.partition,
        "municipality": place and {**asdict(place), "merged_into": point.merged_into and asdict(point.merged_into)},
        "number": point.number,
        "base": point.base,
        "entries": point.entries,
        "this_update": iso(point.this_update),
        "next_update": iso(point.next_update),
        "octets": facts and facts.octets,
        "sha256": facts and facts.sha256,
        "url": point.url,
    }


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
