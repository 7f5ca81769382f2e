"""A ceremony's declarative file, and the plan in it (examples/ceremony.toml)."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ca.plan import Attendant, Plan, PlannedGeneration, default_key, default_label, mistakes_in
from ca.profile import CARDS, Profile
from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from jpki.signature import KeySpec
from jpki.text import Text

_Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\n\r]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Present(_Strict):
    role: _Line
    name: _Line


class _Generation(_Strict):
    ca: Purpose
    number: Annotated[int, Field(strict=True, ge=1)]
    key: KeySpec | None = None
    label: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,55}$")] | None = None


class _File(_Strict):
    purpose: _Line
    place: str = ""
    profile: Literal["card-v1", "card-v2"] | None = None
    present: Annotated[tuple[_Present, ...], Field(min_length=1)]
    generation: tuple[_Generation, ...] = ()


def read_plan(file: Path, profile: Profile | None = None) -> Plan:
    """Read a ceremony's file; `profile` is the one that counts where the file names none, else card-v1.

    Raises:
        JpkiError: UNPROCESSABLE `plan-invalid`, listing every mistake at once.
    """
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        why = error.strerror
        raise _invalid([Text(f"{file} を読めません（{why}）", f"{file} cannot be read ({why})")]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _invalid([Text(f"{file} はTOMLではありません：{error}", f"{file} is not TOML: {error}")]) from error
    return plan_of(values, profile)


def plan_of(values: Mapping[str, Any], profile: Profile | None = None) -> Plan:
    """Return the plan in a file's values; see `read_plan`."""
    try:
        read = _File.model_validate(values)
    except ValidationError as error:
        raise _invalid([_mistake(each["loc"]) for each in error.errors()]) from error
    card = profile if read.profile is None and profile is not None else CARDS[read.profile or "card-v1"]
    generations = tuple(
        PlannedGeneration(
            ca=each.ca,
            number=each.number,
            key=each.key or default_key(card, each.ca),
            label=each.label or default_label(each.ca, each.number),
        )
        for each in read.generation
    )
    if mistakes := mistakes_in(generations):
        raise _invalid(mistakes)
    return Plan(
        purpose=read.purpose,
        place=read.place,
        present=tuple(Attendant(role=each.role, name=each.name) for each in read.present),
        profile=card.name,
        generations=generations,
    )


_EXPECTED = {
    "purpose": Text("に目的を1行で書いてください", "must say in one line what the ceremony is for"),
    "place": Text("は文字列にしてください", "must be a text"),
    "profile": Text("は card-v1 又は card-v2 にしてください", "must be card-v1 or card-v2"),
    "present": Text("には1人以上の role と name が必要です", "needs the role and name of one person or more"),
    "role": Text("に役割を1行で書いてください", "must be a role in one line"),
    "name": Text("に名称を1行で書いてください", "must be a name in one line"),
    "generation": Text("は [[generation]] の並びにしてください", "must be a list of [[generation]]"),
    "ca": Text(
        "は signing・authentication・infrastructure のいずれかにしてください",
        "must be signing, authentication or infrastructure",
    ),
    "number": Text("は1以上の整数にしてください", "must be a whole number from 1 on"),
    "key": Text(f"は {'・'.join(KeySpec)} のいずれかにしてください", f"must be one of {', '.join(KeySpec)}"),
    "label": Text("は英小文字・数字・ハイフンにしてください", "must be of lower-case letters, digits and hyphens"),
}
_NO_FIELD = Text("という項目はありません", "is no field of a plan")


def _mistake(location: Sequence[str | int]) -> Text:
    field = next((str(part) for part in reversed(location) if isinstance(part, str)), "")
    where = ".".join(str(part + 1) if isinstance(part, int) else part for part in location)
    expected = _EXPECTED.get(field, _NO_FIELD)
    return Text(f"{where} {expected.ja}", f"{where} {expected.en}")


def _invalid(mistakes: Sequence[Text]) -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "plan-invalid",
        Text(
            "セレモニーの計画に誤りがあります：" + "；".join(each.ja for each in mistakes),
            "The ceremony's plan is wrong: " + "; ".join(each.en for each in mistakes),
        ),
        Text("examples/ceremony.toml を手本に直してください。", "Correct it after examples/ceremony.toml."),
    )
