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
    # What a holder does there waits for no clerk, and no clerk does it (enroll/own_suspension.py).
    CounterKind.ONLINE: frozenset(),
}
"""The kinds of cases that clerks take, by kind of counter; every other is refused."""

HOLDERS_PAGE = Counter(code=CounterCode("online"), kind=CounterKind.ONLINE, name="利用者のページ", municipality=None)
"""Where holders suspend their own certificates."""


def by_itself(code: CounterCode) -> Counter | None:
    """Return the counter that is there without having been added, if it is one of those."""
    return HOLDERS_PAGE if code == HOLDERS_PAGE.code else of_municipality(code)


def of_municipality(code: CounterCode) -> Counter | None:
    """Return the counter that the municipality of this code has by itself, if there is such a municipality."""
    known = municipalities().get(code)
    if known is None:
        return None
    return Counter(code=code, kind=CounterKind.MUNICIPALITY, name=known.name, municipality=known.code)
