"""A card as a counter's terminal reads it: how long it lives and whether it asks for PINs; no key, PIN or attribute."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class CardMode(StrEnum):
    """Whether a card works by its PINs, or shows a face only (顔認証マイナンバーカード, since 2023-12-15)."""

    ORDINARY = "ordinary"
    PINLESS = "pinless"
    """No signing certificate, an authentication certificate always, no PIN service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What the rules need to know of the card in the reader; `not_after` is the card's last second, in UTC."""

    number: str
    """The card's own opaque number, which names no person."""
    not_after: datetime
    mode: CardMode
