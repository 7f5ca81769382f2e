"""What a ceremony will do, declared before it begins: which keys are made, who is present, where and what for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ca.profile import Profile
from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from jpki.ids import GenerationId
from jpki.signature import KeySpec
from jpki.text import Text

INFRASTRUCTURE_KEY = KeySpec.P256
_PREFIXES = {Purpose.SIGNING: "s", Purpose.AUTHENTICATION: "a", Purpose.INFRASTRUCTURE: "i"}


def generation_id(ca: Purpose, number: int) -> GenerationId:
    """Return the id of a CA's n-th generation: `s1`, `a1`, `i1`, … Numbers are never used twice."""
    return GenerationId(f"{_PREFIXES[ca]}{number}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attendant:
    """Somebody present: a role, and a name that is opaque to the authority."""

    role: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedGeneration:
    """One CA key to be made: the n-th of its CA, of which kind, and under which label."""

    ca: Purpose
    number: int
    key: KeySpec
    label: str

    @property
    def id(self) -> GenerationId:
        """The generation's id."""
        return generation_id(self.ca, self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A ceremony as it is declared; one that makes no key names no generations."""

    purpose: str
    place: str
    present: tuple[Attendant, ...]
    profile: str
    generations: tuple[PlannedGeneration, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the plan in the words of its file (examples/ceremony.toml)."""
        return {
            "purpose": self.purpose,
            "place": self.place,
            "profile": self.profile,
            "present": [{"role": each.role, "name": each.name} for each in self.present],
            "generation": [
                {"ca": str(each.ca), "number": each.number, "key": str(each.key), "label": each.label}
                for each in self.generations
            ],
        }


def default_key(profile: Profile, ca: Purpose) -> KeySpec:
    """Return the kind of key that a CA has where the plan does not say."""
    return INFRASTRUCTURE_KEY if ca is Purpose.INFRASTRUCTURE else profile.ca_key


def default_label(ca: Purpose, number: int) -> str:
    """Return the label of a CA's key where the plan does not say."""
    return f"ca-{ca}-{generation_id(ca, number)}"


def default_plan(profile: Profile, numbers: Mapping[Purpose, int], purpose: str) -> Plan:
    """Return the plan of a ceremony for which no file is given: these generations, with the local operator present."""
    return Plan(
        purpose=purpose,
        place="",
        present=(Attendant(role="operator", name="local"),),
        profile=profile.name,
        generations=tuple(
            PlannedGeneration(ca=ca, number=number, key=default_key(profile, ca), label=default_label(ca, number))
            for ca, number in numbers.items()
        ),
    )


def require_founding(plan: Plan) -> None:
    """Require that the plan makes the first generation of every CA, and nothing else.

    Raises:
        JpkiError: CONFLICT `plan-unfit`.
    """
    if sorted((each.ca, each.number) for each in plan.generations) != sorted((ca, 1) for ca in Purpose):
        raise _unfit(
            "計画は各認証局（signing・authentication・infrastructure）の第1世代をちょうど1つずつ作るものではありません。",
            "The plan does not make generation 1 of each CA: signing, authentication and infrastructure, once each.",
        )


def require_profile(plan: Plan, profile: str) -> None:
    """Require that the plan is for the profile of this name.

    Raises:
        JpkiError: CONFLICT `plan-unfit`.
    """
    if plan.profile != profile:
        raise _unfit(
            f"計画のプロファイルは {plan.profile} ですが、ここで発行するのは {profile} です。",
            f"The plan is for profile {plan.profile}; what is issued here is {profile}.",
        )


def require_next(plan: Plan, profile: Profile, made: Mapping[Purpose, int]) -> None:
    """Require that the plan makes the next generation of one or more CAs of a home with this profile.

    `made` tells how many generations each CA has.

    Raises:
        JpkiError: CONFLICT `plan-unfit`.
    """
    if not plan.generations:
        raise _unfit("計画に作る世代（generation）がありません。", "The plan makes no generation.")
    require_profile(plan, profile.name)
    for each in plan.generations:
        if each.number != made[each.ca] + 1:
            raise _unfit(
                f"{each.ca} の次の世代は {made[each.ca] + 1} です（計画では {each.number}）。",
                f"The next generation of {each.ca} is number {made[each.ca] + 1}; the plan says {each.number}.",
            )


def require_attendance_only(plan: Plan) -> None:
    """Require that the plan makes no generation: it only says who is present.

    Raises:
        JpkiError: CONFLICT `plan-unfit`.
    """
    if plan.generations:
        raise _unfit(
            "この手続きは鍵を作りません。計画から generation を除いてください。",
            "This ceremony makes no key, but the plan names a generation.",
        )


def mistakes_in(generations: Sequence[PlannedGeneration]) -> list[Text]:
    """Return what is wrong with these generations: a CA that stands twice, a label that is not of its CA's keys.

    Labels tell which token a key belongs in.
    """
    cas = [each.ca for each in generations]
    twice = sorted({ca for ca in cas if cas.count(ca) > 1})
    strange = [each for each in generations if not each.label.startswith(f"ca-{each.ca}-")]
    return [
        *(Text(f"ca {ca} が重複しています", f"ca {ca} stands twice") for ca in twice),
        *(
            Text(
                f"label {each.label} は ca-{each.ca}- で始めてください",
                f"label {each.label} must begin with ca-{each.ca}-",
            )
            for each in strange
        ),
    ]


def _unfit(ja: str, en: str) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "plan-unfit",
        Text(ja, en),
        Text("計画を直してください。何も作成していません。", "Correct the plan; nothing was made."),
    )
