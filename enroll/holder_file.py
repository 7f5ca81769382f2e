"""holder.json: the resident registry's answer as a file (docs/contract.md).

Every mistake is named at once, by field, and no value is ever repeated in an error (rule R21).
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from datetime import date

from enroll.municipalities import check_digit, municipalities, successor
from jpki.errors import JpkiError, Kind
from jpki.holder import Gender, Holder
from jpki.ids import HolderCode
from jpki.text import Text

LARGEST_HOLDER_FILE = 65_536
"""Octets; an honest file has about 1,500."""
LONGEST = 200
"""Characters of a name or an address (docs/profile.md)."""
_OLDEST = date(1868, 1, 25)
"""The first day of Meiji, the earliest era that a certificate can express."""

_ACTION = Text("holder.json を直して、もう一度実行してください。", "Correct holder.json and run this again.")


def read_holder(octets: bytes, today: date) -> Holder:
    """Read and check holder.json.

    Raises:
        JpkiError: MALFORMED `holder-malformed` when it is no JSON object; UNPROCESSABLE `holder-invalid`, naming
            every wrong field.
    """
    fields = _object(octets)
    mistakes = list(_mistakes(fields, today))
    if mistakes:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "holder-invalid",
            Text(
                "利用者の情報に誤りがあります：" + "；".join(mistake.ja for mistake in mistakes),
                "The holder's data is wrong: " + "; ".join(mistake.en for mistake in mistakes),
            ),
            _ACTION,
        )
    return Holder(
        code=HolderCode(fields["code"]),
        name=fields["name"],
        name_substitutes=fields["name_substitutes"],
        birth_date=date.fromisoformat(fields["birth_date"]),
        gender=Gender(fields["gender"]),
        address=fields["address"],
        address_substitutes=fields["address_substitutes"],
        municipality=municipalities()[fields["municipality"]],
    )


def _object(octets: bytes) -> Mapping[str, str]:
    try:
        fields = json.loads(octets) if len(octets) <= LARGEST_HOLDER_FILE else None
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise JpkiError(
            Kind.MALFORMED,
            "holder-malformed",
            Text("holder.json はJSONのオブジェクトではありません。", "holder.json is not a JSON object."),
            _ACTION,
        )
    return fields


def _mistakes(fields: Mapping[str, str], today: date) -> Iterator[Text]:
    checks: dict[str, Callable[[str], Iterator[tuple[str, str]]]] = {
        "code": _code,
        "name": _written,
        "name_substitutes": lambda value: _substitutes(value, fields.get("name")),
        "birth_date": lambda value: _birth_date(value, today),
        "gender": _gender,
        "address": _written,
        "address_substitutes": lambda value: _substitutes(value, fields.get("address")),
        "municipality": _municipality,
    }
    for field, check in checks.items():
        value = fields.get(field)
        if not isinstance(value, str) or not value:
            yield Text(f"{field} がありません", f"{field} is missing")
            continue
        yield from (Text(f"{field} は{ja}", f"{field} {en}") for ja, en in check(value))


def _code(value: str) -> Iterator[tuple[str, str]]:
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value) is None:
        yield (
            "英数字・ハイフン・下線64字以内で書いてください",
            "must be at most 64 letters, digits, hyphens, underscores",
        )
    if re.fullmatch(r"[0-9]{12}", value):
        yield "12桁の数字にできません（個人番号は扱いません）", "must not be 12 digits: the My Number is never handled"


def _written(value: str) -> Iterator[tuple[str, str]]:
    """Check a name or an address as the register writes it: full-width, in the repertoire, evenly spaced."""
    if any(unicodedata.east_asian_width(character) in {"Na", "H"} for character in value):
        yield "全角で書いてください（半角文字があります）", "must be full-width: it holds half-width characters"
    elif not _encodable(value):
        yield (
            "使えない文字を含みます（代替文字に置き換えて代替文字フラグを1にしてください）",
            "holds a character outside the repertoire: replace it and set its substitute flag to 1",
        )
    if re.search(r"^\u3000|\u3000$|\u3000\u3000", value):
        yield "余分な全角空白を含みます", "holds a superfluous space"
    if len(value) > LONGEST:
        yield f"{LONGEST}文字以内で書いてください", f"must be at most {LONGEST} characters"


def _encodable(value: str) -> bool:
    return all(_fits(character, "euc_jis_2004") or _fits(character, "cp932") for character in value)


def _fits(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return unicodedata.category(character)[0] != "C"


def _substitutes(value: str, written: object) -> Iterator[tuple[str, str]]:
    length = len(written) if isinstance(written, str) else 0
    if set(value) - {"0", "1"} or len(value) != length:
        yield "1文字ごとに0か1を並べてください", "must be one 0 or 1 for each character"


def _birth_date(value: str, today: date) -> Iterator[tuple[str, str]]:
    try:
        day = date.fromisoformat(value) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value) else None
    except ValueError:
        day = None
    if day is None:
        yield "実在する日付（YYYY-MM-DD）ではありません", "is not a date that exists (YYYY-MM-DD)"
    elif not _OLDEST <= day <= today:
        yield "生年月日としてありえない日付です", "cannot be a date of birth"


def _gender(value: str) -> Iterator[tuple[str, str]]:
    if value not in set(Gender):
        yield "male・female・unspecified のいずれかにしてください", "must be male, female or unspecified"


def _municipality(value: str) -> Iterator[tuple[str, str]]:
    if re.fullmatch(r"[0-9]{6}", value) is None:
        yield "6桁の数字（全国地方公共団体コード）で書いてください", "must be the municipality's six-digit code"
    elif check_digit(value) != value[5]:
        yield "検査数字が合いません", "has a wrong check digit"
    elif value not in municipalities():
        yield (
            "該当する市区町村がありません（政令指定都市は区でなく市のコードです）",
            "is no municipality (for a designated city give the city's code, not a ward's)",
        )
    elif (now := successor(value)) is not None:
        yield (
            f"合併前の市区町村です（今は{now.prefecture}{now.name}、{now.code}）",
            f"is of before a merger: it is {now.name_romaji}, {now.code}, now",
        )
