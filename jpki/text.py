"""Sentences for people, in the two languages of the house."""

from dataclasses import dataclass
from enum import StrEnum


class Language(StrEnum):
    """A language that a person can ask for."""

    JA = "ja"
    EN = "en"


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence in Japanese and in English; never one without the other."""

    ja: str
    en: str

    def to(self, language: Language) -> str:
        """Return the sentence in `language`."""
        return self.ja if language is Language.JA else self.en

    def as_json(self) -> dict[str, str]:
        """Return `{"ja": …, "en": …}`."""
        return {"ja": self.ja, "en": self.en}


_LONGEST_SHOWN = 200


def shown(foreign: str) -> str:
    """Return what somebody else wrote so that a terminal may print it: no control characters, and not for ever."""
    printable = "".join(character if character.isprintable() else "?" for character in foreign[: _LONGEST_SHOWN + 1])
    return printable if len(printable) <= _LONGEST_SHOWN else f"{printable[:_LONGEST_SHOWN]}…"
