"""What each kind of counter may do, and the counters that every municipality has by itself."""

from collections.abc import Mapping

from enroll.municipalities import municipalities
from jpki.case import CaseKind
from jpki.counter import Counter, CounterCode, CounterKind

_ALL = frozenset(CaseKind)
MAY: Mapping[CounterKind, frozenset[CaseKind]] = {
    CounterKind.MUNICIPALITY: _ALL,
    # 郵便局事務取扱法 2: certificates and PINs; a card and its loss are the municipality's.
    CounterKind.POST_OFFICE: frozenset({CaseKind.NEW, CaseKind.RENEWAL, CaseKind.REVOCATION, CaseKind.PIN_RESET}),
    CounterKind.CONSULATE: _ALL - {CaseKind.RELEASE},
}
"""The kinds of cases by kind of counter; every other is refused."""


def of_municipality(code: CounterCode) -> Counter | None:
    """Return the counter that the municipality of this code has by itself, if there is such a municipality."""
    known = municipalities().get(code)
    if known is None:
        return None
    return Counter(code=code, kind=CounterKind.MUNICIPALITY, name=known.name, municipality=known.code)
