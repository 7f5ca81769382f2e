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
