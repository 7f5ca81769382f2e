"""From when to when a certificate counts: the birthday rules (docs/profile.md, 施行規則)."""

from datetime import date, datetime, timedelta

from ca.profile import Profile
from jpki.certificate import Validity
from jpki.clock import day_in_japan, end_of_day, iso, months_earlier, whole_second, years_later
from jpki.errors import JpkiError, Kind
from jpki.text import Text


def validity(
    profile: Profile, birth_date: date, now: datetime, *, renewal: bool, not_later_than: datetime | None = None
) -> Validity:
    """Return the validity of a certificate issued `now`: to 23:59:59 JST of the 5th birthday, on renewal the 6th.

    Birthdays count from the day after issue; on renewal the day of issue counts too, so that whoever renews on the last
    day, a birthday, gets five years and not six. `not_later_than` caps the end (a signing certificate ends no later
    than the holder's authentication certificate; both no later than the card).

    Raises:
        JpkiError: UNPROCESSABLE `validity-empty` when the cap lies in the past.
    """
    count = profile.birthdays_on_renewal if renewal else profile.birthdays
    today = day_in_japan(now)
    not_before = whole_second(now)
    end = end_of_day(_birthday(birth_date, after=today - timedelta(days=1) if renewal else today, count=count))
    if end - not_before > timedelta(days=profile.longest_days):
        # Only where the register corrected the birth date meanwhile: then the window and the birthday do not meet.
        end = end_of_day(_birthday(birth_date, after=today, count=count - 1))
    not_after = end if not_later_than is None else min(end, not_later_than)
    if not_after <= not_before:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "validity-empty",
            Text(
                f"有効期限の上限（{iso(not_after)}）が過ぎているため発行できません。",
                f"Nothing can be issued: the latest possible end, {iso(not_after)}, has passed.",
            ),
            Text(
                "先にカード又は利用者証明用電子証明書を更新してください。",
                "Renew the card or the other certificate first.",
            ),
        )
    return Validity(not_before, not_after)


def renewal_opens(profile: Profile, not_after: datetime) -> date:
    """Return the first day, in Japan, of the renewal window: the day after the date so many months before the end."""
    three_months_before = months_earlier(day_in_japan(not_after), profile.renewal_months)
    return date.fromordinal(three_months_before.toordinal() + 1)


def _birthday(birth_date: date, *, after: date, count: int) -> date:
    """Return the `count`-th birthday strictly after the day `after`."""
    age = after.year - birth_date.year
    first = age if years_later(birth_date, age) > after else age + 1
    return years_later(birth_date, first + count - 1)
