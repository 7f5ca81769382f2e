"""What a holder is told when certificates ended by an event, or soon end by themselves; and no attribute."""

from collections.abc import Iterable, Iterator
from datetime import date
from itertools import groupby

from ca.profile import Profile
from ca.validity import renewal_opens
from enroll.paper.renewal_notice import RenewalNotice
from jpki.campaign import Ending
from jpki.certificate import HOLDER_PURPOSES
from jpki.clock import day_in_japan
from jpki.event import Event
from jpki.resident_event import Kind
from jpki.text import Text

_WORDS = {
    Event.RECORD_CHANGED: Text(
        "住所・氏名などの変更により、署名用電子証明書は失効しました。利用者証明用電子証明書は引き続き使えます。"
        "署名用電子証明書が必要な方は、住所地の窓口で新しい証明書の発行を申請してください。",
        "Your signing certificate has ended, for your registered address, name or other data changed. Your"
        " authentication certificate goes on. If you need a signing certificate, apply for a new one at your"
        " municipality's counter.",
    ),
    Event.DIED: Text(
        "お亡くなりになった旨の届出により、電子証明書は失効しました。手続は必要ありません。",
        "The certificates have ended, for their holder's death was registered. Nothing has to be done.",
    ),
    Event.DELETED: Text(
        "住民票が消除されたため、電子証明書は失効しました。お心当たりのない場合は、窓口へお問い合わせください。",
        "Your certificates have ended, for your entry in the register was deleted. If you know of no reason, ask at"
        " the counter.",
    ),
    Event.LEFT_COUNTRY: Text(
        "国外への転出により、電子証明書は失効しました。帰国後、窓口で新しい証明書の発行を申請できます。",
        "Your certificates have ended, for you have moved abroad. When you are back you may apply for new ones.",
    ),
    Event.RESIDENCY_LOST: Text(
        "在留資格などがなくなったため、電子証明書は失効しました。お心当たりのない場合は、窓口へお問い合わせください。",
        "Your certificates have ended, for the basis of your residency has. If you know of no reason, ask at the"
        " counter.",
    ),
    Event.CARD_RETURNED: Text(
        "マイナンバーカードの返納により、電子証明書は失効しました。",
        "Your certificates have ended, for the card was returned.",
    ),
    Event.CARD_EXPIRED: Text(
        "マイナンバーカードの有効期間が満了したため、電子証明書は失効しました。新しいカードを窓口で申請してください。",
        "Your certificates have ended, for the card has. Apply for a new card at the counter.",
    ),
    Event.NUMBER_CHANGED: Text(
        "個人番号の変更によりカードが失効したため、電子証明書は失効しました。新しいカードを窓口で申請してください。",
        "Your certificates have ended, for the card ended with the change of your My Number. Apply for a new card at"
        " the counter.",
    ),
}


def words_for(kind: Kind) -> Text:
    """Return what a holder is told of certificates that ended by an event of this kind."""
    return _WORDS[kind.event]


def renewal_notices(endings: Iterable[Ending], profile: Profile, made_on: date) -> Iterator[RenewalNotice]:
    """Yield a notice for each holder of certificates that end; they come in order of holder."""
    for holder, those in groupby(endings, key=lambda each: each.holder):
        ends = {each.purpose: each.not_after for each in those}
        yield RenewalNotice(
            holder=holder,
            last_days={purpose: day_in_japan(ends[purpose]) for purpose in HOLDER_PURPOSES if purpose in ends},
            opens_on=renewal_opens(profile, min(ends.values())),
            made_on=made_on,
        )
