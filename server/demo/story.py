"""A story told in chapters, each with checks that either held or did not."""

from collections.abc import Callable
from dataclasses import dataclass, field

from jpki.text import Text

Teller = Callable[[Text], None]
"""Prints one line."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """One step of the story and what was checked in it."""

    title: Text
    checks: list[tuple[Text, bool]] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether every check held."""
        return all(held for _, held in self.checks)


class Story:
    """Tells as it goes, and remembers every check for the table at the end."""

    def __init__(self, tell: Teller) -> None:
        self._tell = tell
        self.chapters: list[Chapter] = []

    def chapter(self, ja: str, en: str) -> None:
        """Begin the next step."""
        self.chapters.append(Chapter(Text(ja, en)))
        number = len(self.chapters)
        self._tell(Text(f"\n{number:2}. {ja}", f"\n{number:2}. {en}"))

    def say(self, ja: str, en: str) -> None:
        """Tell one line."""
        self._tell(Text(f"      {ja}", f"      {en}"))

    def check(self, ja: str, en: str, held: bool) -> None:  # noqa: FBT001 - the outcome is the sentence's last word
        """Record and tell whether something held."""
        mark = "✓" if held else "✗"
        self.chapters[-1].checks.append((Text(ja, en), held))
        self._tell(Text(f"    {mark} {ja}", f"    {mark} {en}"))

    @property
    def held(self) -> bool:
        """Whether the whole story held."""
        return all(chapter.held for chapter in self.chapters)
