"""Days as documents at a counter write them: in years of an era."""

from datetime import date

from jpki.text import Text

_ERAS = (
    (date(2019, 5, 1), Text("令和", "Reiwa")),
    (date(1989, 1, 8), Text("平成", "Heisei")),
    (date(1926, 12, 25), Text("昭和", "Showa")),
    (date(1912, 7, 30), Text("大正", "Taisho")),
    (date(1868, 10, 23), Text("明治", "Meiji")),
)
"""The first day of each, the latest era first."""


def in_era(day: date) -> Text:
    """Return a day in its era, the first year as 元年; before the first era in the year alone."""
    for first, era in _ERAS:
        if day >= first:
            year = day.year - first.year + 1
            told = "元" if year == 1 else str(year)
            return Text(f"{era.ja}{told}年{day.month}月{day.day}日", f"{era.en} {year}, {day:%m-%d}")
    return Text(f"{day.year}年{day.month}月{day.day}日", f"{day:%Y-%m-%d}")


def age(born: date, today: date) -> int:
    """Return the completed years of a life."""
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))
