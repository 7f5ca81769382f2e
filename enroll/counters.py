"""What each kind of counter may do, and the counters that every municipality has by itself."""

from collections.abc import Mapping

from enroll.municipalities import municipalities, successor
from jpki.case import CaseKind
from jpki.counter import Counter, CounterCode, CounterKind, CounterState
from jpki.errors import Fault, JpkiError, Kind
from jpki.text import Text

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
    """Return the counter that the municipality of this code has by itself, if there is such a municipality.

    It is closed once that was merged (docs/adr/0034).
    """
    known = municipalities().get(code)
    if known is None:
        return None
    state = CounterState.OPEN if successor(code) is None else CounterState.CLOSED
    return Counter(code=code, kind=CounterKind.MUNICIPALITY, name=known.name, municipality=known.code, state=state)


def where_instead(closed: Counter) -> Text:
    """Return where the cases of a closed counter are gone on with."""
    now = successor(closed.code)
    if now is None:
        return Text(
            "申請は、別の窓口で引き継いでください。", "Its cases go on at another counter, which takes them over."
        )
    return Text(
        f"合併により{now.name}の窓口（{now.code}）が引き継いでいます。",
        f"By a merger the counter of {now.name_romaji}, {now.code}, has taken its place.",
    )


def require_delegated(kind: CounterKind, municipality: str | None) -> None:
    """Require that a counter to add names the municipality that delegated it, which stands, and a consulate none.

    Raises:
        JpkiError: UNPROCESSABLE `municipality-unfit`.
    """
    by_whom = None if municipality is None else of_municipality(CounterCode(municipality))
    if (kind is CounterKind.CONSULATE) != (by_whom is None) or (municipality is not None and by_whom is None):
        raise _unfit(
            "在外公館以外の窓口には、委託した市区町村の6桁のコードが必要です。",
            "Every counter but a consulate's needs the six digits of the municipality behind it.",
        )
    now = None if by_whom is None else successor(by_whom.code)
    if now is not None:
        raise _unfit(
            f"合併前の市区町村です（今は{now.prefecture}{now.name}、{now.code}）。",
            f"This municipality is of before a merger: it is {now.name_romaji}, {now.code}, now.",
        )


def _unfit(ja: str, en: str) -> JpkiError:
    problem = Text(ja, en)
    return JpkiError(
        Kind.UNPROCESSABLE,
        "municipality-unfit",
        problem,
        Text("市区町村のコードを確認してください。", "Check the municipality's code."),
        [Fault("municipality-unfit", problem, "/municipality")],
    )
