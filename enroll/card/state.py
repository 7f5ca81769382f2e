"""What a card holds, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from enroll.card.pins import KeptPin
from enroll.case_paths import Wants
from jpki.card import CardFacts
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.errors import JpkiError, Kind
from jpki.signature import KeySpec, PrivateKey
from jpki.text import Text


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Slot:
    """One of the two keys with its certificate and PIN.

    `next_key` waits for the certificate that was requested for it, while the current key goes on serving.
    """

    key: PrivateKey | None = None
    certificate: bytes | None = None
    next_key: PrivateKey | None = None
    pin: KeptPin | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CardState:
    """A card; `used` are the cases whose leave it has used up."""

    facts: CardFacts
    spec: KeySpec
    slots: Mapping[Purpose, Slot] = field(default_factory=lambda: {each: Slot() for each in HOLDER_PURPOSES})
    used: frozenset[str] = frozenset()

    def with_slot(self, purpose: Purpose, slot: Slot) -> "CardState":
        """Return the card with another slot in the place of this one."""
        return replace(self, slots={**self.slots, purpose: slot})


class CounterAct(StrEnum):
    """What a card does on a counter's word only."""

    UNLOCK = "unlock"
    GO_PINLESS = "go-pinless"
    GO_ORDINARY = "go-ordinary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """A case's leave for one act on one card, once.

    A real card knows the counter's terminal by its keys; this one takes the office's word.
    """

    case: str
    card: str
    act: CounterAct

    @classmethod
    def to_unlock(cls, case: str, card: str | None, wanted: Wants | None) -> "Leave":
        """Return the leave of a case that resets PINs and whose holder was identified; no other case gives one.

        Raises:
            JpkiError: FORBIDDEN `leave-missing`.
        """
        if wanted is not Wants.PIN or card is None:
            raise JpkiError(
                Kind.FORBIDDEN,
                "leave-missing",
                Text(
                    "この申請では暗証番号を初期化できません。",
                    "This case gives no leave to reset a PIN.",
                ),
                Text(
                    "暗証番号の再設定の申請で本人確認を済ませてください。",
                    "Open a case for a PIN reset, and check the holder's identity.",
                ),
            )
        return cls(case=case, card=card, act=CounterAct.UNLOCK)
