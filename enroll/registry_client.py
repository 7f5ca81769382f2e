"""The way to a town's register of residents: a POST over TLS with a client certificate (docs/registry.md).

Holder codes travel in the body and never in a URL; the answer is read strictly, bounded in time and size, and kept
nowhere here. No error repeats anything of it (rule R21) but that a municipality in it was merged.
"""

import json
import ssl
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import Any

from enroll.holder_file import read_holder
from enroll.municipalities import successor
from jpki.clock import Clock, day_in_japan
from jpki.errors import JpkiError, Kind
from jpki.holder import Municipality
from jpki.ids import HolderCode
from jpki.resident import Registration, Resident
from jpki.text import Text
from ocsp.http_client import Ask, answered, split_address

SCHEMA, SCHEMA_OF_MANY = "jpki.resident/1", "jpki.residents/1"
LARGEST_ANSWER = 65_536
"""Octets; an honest answer has about 1,500."""
AT_ONCE = 100
"""So many persons are asked about in one question at most."""
_LARGEST_OF_MANY = 8 * LARGEST_ANSWER
_SECONDS = 5.0
_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
_FIELDS = {"holder", "registration", "is_ward", "stay_until"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryClient:
    """See `jpki.ports.ResidentRegistry`. `tls` makes what bears the client certificate and knows whom to believe."""

    url: str
    tls: Callable[[], ssl.SSLContext | None]
    clock: Clock
    seconds: float = field(default=_SECONDS)

    def resident(self, code: HolderCode) -> Resident:
        """Ask for one person, over a connection of its own."""
        told = _told(self._asked({"holder": code}, LARGEST_ANSWER), SCHEMA, "resident")
        return _resident(told, code, day_in_japan(self.clock()))

    def each_resident(self, codes: Collection[HolderCode]) -> Mapping[HolderCode, Resident | JpkiError]:
        """Ask for many, some at a time; what cannot be read of one says nothing of the others."""
        found: dict[HolderCode, Resident | JpkiError] = {}
        wanted = list(dict.fromkeys(codes))
        for start in range(0, len(wanted), AT_ONCE):
            some = wanted[start : start + AT_ONCE]
            told = _told(self._asked({"holders": some}, _LARGEST_OF_MANY), SCHEMA_OF_MANY, "residents")
            if not isinstance(told, list) or len(told) != len(some):
                raise _unreadable()
            today = day_in_japan(self.clock())
            for code, fields in zip(some, told, strict=True):
                try:
                    found[code] = _resident(fields, code, today)
                except JpkiError as error:
                    found[code] = error
        return found

    def _asked(self, question: Mapping[str, object], largest: int) -> bytes:
        ask = Ask("POST", _HEADERS, self.seconds, json.dumps(question).encode(), self.tls())
        try:
            with answered(split_address(self.url), ask) as response:
                return _body(response, largest)
        except (OSError, HTTPException, ValueError) as error:
            raise _away() from error


def _body(response: HTTPResponse, largest: int) -> bytes:
    if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR or response.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise _away()
    octets = response.read(largest + 1)
    if response.status != HTTPStatus.OK or len(octets) > largest:
        raise _unreadable()
    if response.length:
        raise ConnectionError("the connection ended before the answer did")
    return octets


_MALFORMED = (JpkiError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What was wrong is not told, and not even linked: it may hold what the register said of a person."""


def _told(octets: bytes, schema: str, name: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return what stands under `name` in an answer of this schema."""
    try:
        answer = json.loads(octets)
        if set(answer) != {"schema", name} or answer["schema"] != schema:
            raise _unreadable()
        return answer[name]
    except _MALFORMED:
        raise _unreadable() from None


def _resident(fields: Any, code: HolderCode, today: date) -> Resident:  # noqa: ANN401 - whatever JSON holds
    if fields is None:
        raise _unknown()
    try:
        now = successor(fields["holder"]["municipality"])
        resident = None if now else _read(fields, today)
    except _MALFORMED:
        raise _unreadable() from None
    if now:
        raise _outdated(now)
    if resident is None or resident.code != code:
        raise _unreadable()
    return resident


def _read(fields: Mapping[str, Any], today: date) -> Resident:
    is_ward, stay = fields["is_ward"], fields["stay_until"]
    if set(fields) != _FIELDS or not isinstance(is_ward, bool):
        raise ValueError("other fields")
    return Resident(
        holder=read_holder(json.dumps(fields["holder"]).encode(), today),
        registration=Registration(fields["registration"]),
        is_ward=is_ward,
        stay_until=None if stay is None else date.fromisoformat(stay),
    )


def _away() -> JpkiError:
    return JpkiError(
        Kind.UNAVAILABLE,
        "registry-away",
        Text("住民基本台帳に照会できません。", "The register of residents does not answer."),
        Text("しばらくしてからもう一度試してください。", "Try again in a while."),
    )


def _unknown() -> JpkiError:
    return JpkiError(
        Kind.NOT_FOUND,
        "resident-unknown",
        Text("この符号の住民は台帳にいません。", "The register knows nobody by this code."),
        Text("利用者の符号を確認してください。", "Check the holder's code."),
    )


def _outdated(now: Municipality) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "registry-outdated",
        Text(
            f"住民基本台帳の回答は合併前の市区町村のものです（今は{now.prefecture}{now.name}、{now.code}）。",
            f"The register answers with a municipality of before a merger: it is {now.name_romaji}, {now.code}, now.",
        ),
        Text("台帳の担当者に連絡してください。", "Tell who runs the register."),
    )


def _unreadable() -> JpkiError:
    return JpkiError(
        Kind.INTERNAL,
        "registry-unreadable",
        Text("住民基本台帳の回答を読めません。", "What the register answers cannot be read."),
        Text(
            "jpki.toml の registry と、台帳の担当者に確認してください。",
            "Check `registry` in jpki.toml, and ask who runs it.",
        ),
    )
