"""A resident as the register answers (住民基本台帳, 附票): the attributes, and what the law's rules ask beside them."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from jpki.holder import Holder
from jpki.ids import HolderCode


class Registration(StrEnum):
    """Where the register holds a person now."""

    RESIDENT = "resident"
    ABROAD = "abroad"
    """Moved abroad and in the register of domiciles (附票), so that the card and its certificates may live on."""
    ENDED = "ended"
    """Dead, deleted, or left the country without staying in either register."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Resident:
    """The register's answer of this moment; nobody keeps it longer than a case needs it.

    `is_ward` tells of an adult ward (成年被後見人); `stay_until` is the last day of a foreign resident's stay.
    """

    holder: Holder
    registration: Registration
    is_ward: bool
    stay_until: date | None

    @property
    def code(self) -> HolderCode:
        """The opaque code by which alone the house knows the person."""
        return self.holder.code

    def __repr__(self) -> str:
        return f"Resident({self.code!r}, attributes withheld)"


def taken_at_word(holder: Holder) -> Resident:
    """Return what stands for the register where there is none to ask: nothing speaks against the holder."""
    return Resident(holder=holder, registration=Registration.RESIDENT, is_ward=False, stay_until=None)
