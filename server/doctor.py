"""`jpki doctor`: every check that an operator can act on, each with what to do."""

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import product

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.delegates import RENEW_RESPONDER_BEFORE
from crl.copies import behind, lagging
from enroll.municipalities import municipalities
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import iso
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation, Responder
from jpki.ids import KeyUri
from jpki.text import Text
from server.freshness import warning_of
from server.standing import standing
from server.tls import context_of
from server.trust import other_anchors
from server.wiring import Rooms

_ISSUING_MARGIN = timedelta(days=90)
_TLS_MARGIN = timedelta(days=30)
_EVENTS_WAIT = timedelta(minutes=5)
"""A worker looks for them four times a minute."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `error` says what is wrong and what to do, None where all is well."""

    name: str
    title: Text
    error: JpkiError | None


def examine(rooms: Rooms) -> Iterator[Finding]:
    """Make every check, whatever the others find."""
    for name, title, check in _checks():
        try:
            check(rooms)
        except JpkiError as error:
            yield Finding(name, title, error)
        else:
            yield Finding(name, title, None)
    try:
        yield from (_told(rooms, each) for purpose in Purpose for each in rooms.store.generations.ever(purpose))
    except JpkiError:
        # The ledger is away, as the first check said.
        return


def _checks() -> list[tuple[str, Text, Callable[[Rooms], None]]]:
    return [
        ("ledger", Text("台帳を読める", "the ledger can be read"), _ledger),
        ("partitions", Text("どの市区町村にも区画がある", "every municipality has a partition"), _partitions),
        ("clock", Text("時計が戻っていない", "the clock did not go back"), _clock),
        ("ca-keys", Text("認証局の鍵が証明書と合う", "the CA keys open and fit their certificates"), _ca_keys),
        ("issuing", Text("発行期間が残っている", "the CA keys may issue for a while"), _issuing),
        ("responders", Text("OCSPレスポンダが使える", "the OCSP responders can answer"), _responders),
        ("lists", Text("失効リストが新しく、公開されている", "the lists are fresh and published"), _lists),
        ("tls", Text("TLSのサーバー証明書が使える", "the certificate for TLS can be used"), _tls),
        (
            "time-stamps",
            Text("タイムスタンプの証明書が使える", "the certificate for time-stamps can be used"),
            _time_stamps,
        ),
        ("trust", Text("信頼の基点を読める", "the trust anchors can be read"), _trust),
        ("pending", Text("発行の途中で止まった証明書がない", "no certificate was left half-issued"), _pending),
        ("resident-events", Text("住民の異動が処理されている", "resident events are handled"), _events),
        ("express", Text("特急発行が期限内である", "express issues are in time"), _express),
        ("permissions", Text("秘密のファイルが守られている", "secret files are for their owner only"), _permissions),
        ("ceremonies", Text("セレモニーが終わり、記録がある", "ceremonies are finished and on record"), _ceremonies),
    ]


def _told(rooms: Rooms, generation: Generation) -> Finding:
    """Tell how a generation stands; there is nothing to do about it that the checks would not say."""
    line = standing(rooms, generation)
    title = Text(f"{generation.id}  {line.ja}", f"{generation.id}  {line.en}")
    return Finding(f"generation-{generation.id}", title, None)


def _ceremonies(rooms: Rooms) -> None:
    for each in rooms.store.ceremonies.unfinished():
        raise _wrong(
            "ceremony-unfinished",
            f"第{each.number}回のセレモニー（{each.kind}）が終わっていません。",
            f"Ceremony {each.number}, {each.kind}, is not finished.",
            "誰も行っていなければ jpki ceremony resume で終えてください。",
            "If nobody is holding it now, finish it with `jpki ceremony resume`.",
        )
    for each in rooms.store.ceremonies.closed():
        file = rooms.ceremonies.record_file(each)
        if not file.is_file():
            raise _wrong(
                "ceremony-record-missing",
                f"セレモニーの記録 {file} がありません。",
                f"The record of a ceremony, {file}, is missing.",
                "jpki ceremony resume で台帳から書き直してください。",
                "Have it written again from the ledger with `jpki ceremony resume`.",
            )
        if file.read_text("utf-8") != each.record:
            raise _wrong(
                "ceremony-record-altered",
                f"セレモニーの記録 {file} が台帳と異なります。",
                f"The record of a ceremony, {file}, is not the ledger's.",
                "ファイルを別の場所に移し、jpki ceremony resume で書き直してください。",
                "Move the file away, and have it written again with `jpki ceremony resume`.",
            )


def _living(rooms: Rooms) -> list[Generation]:
    return [generation for purpose in HOLDER_PURPOSES for generation in rooms.living(purpose)]


def _ledger(rooms: Rooms) -> None:
    rooms.store.database.require_current()


def _partitions(rooms: Rooms) -> None:
    rooms.store.partitions.named(municipalities().keys())


def _clock(rooms: Rooms) -> None:
    latest, now = rooms.store.database.latest(), rooms.clock()
    if latest - now > timedelta(seconds=2):
        raise _wrong(
            "clock-went-back",
            f"時計（{iso(now)}）が台帳の最後の記録（{iso(latest)}）より前です。",
            f"The clock, {iso(now)}, is before the ledger's latest record, {iso(latest)}.",
            "時刻同期を確認し、時計が正しければ jpki db accept-clock を実行してください。",
            "Check time synchronisation; if the clock is right, run `jpki db accept-clock`.",
        )


def _ca_keys(rooms: Rooms) -> None:
    for generation in (*_living(rooms), *rooms.living(Purpose.INFRASTRUCTURE)):
        _require_fit(rooms, generation.id, generation.key, generation.certificate)


def _issuing(rooms: Rooms) -> None:
    for purpose in HOLDER_PURPOSES:
        living = rooms.living(purpose)
        if not living or living[0].issue_until - rooms.clock() < _ISSUING_MARGIN:
            until = iso(living[0].issue_until) if living else "-"
            raise _wrong(
                "issuing-ends",
                f"{purpose.text.ja}の認証局の鍵は {until} までしか発行できません。",
                f"The CA key for {purpose.text.en}s issues until {until} only.",
                "次の世代の鍵のセレモニーを準備してください。",
                "Prepare the ceremony of the next generation.",
            )


def _responders(rooms: Rooms) -> None:
    for generation in (each for purpose in HOLDER_PURPOSES for each in rooms.served(purpose)):
        _require_responder(rooms, generation)


def _require_responder(rooms: Rooms, generation: Generation) -> None:
    """Require one responder that lasts and has its key here; another node's has its key there."""
    failure = _wrong(
        "responder-ends",
        f"世代 {generation.id} のOCSPレスポンダ証明書の残りが10日未満です。",
        f"Generation {generation.id} has no OCSP responder for the next ten days.",
        "jpki crl publish 又は jpki serve で更新してください。",
        "Renew it with `jpki crl publish`, or by running `jpki serve`.",
    )
    for responder in rooms.store.delegates.responders(generation.id):
        if not _lasts(rooms, responder):
            continue
        try:
            _require_fit(rooms, generation.id, responder.key, responder.certificate)
        except JpkiError as error:
            failure = error
        else:
            return
    raise failure


def _lasts(rooms: Rooms, responder: Responder) -> bool:
    generation = rooms.store.generations.find(responder.generation)
    wanted = min(rooms.clock() + RENEW_RESPONDER_BEFORE, generation.not_after)
    return responder.certificate.not_valid_after_utc >= wanted


def _lists(rooms: Rooms) -> None:
    served = {purpose: rooms.served(purpose) for purpose in HOLDER_PURPOSES}
    for mark in rooms.store.shelf.marks():
        for generation, name in product(served[mark.purpose], mark.lists):
            file = rooms.home.path / "crl" / mark.purpose / generation.id / f"{name}.crl"
            if not file.is_file() or mark.next_update <= rooms.clock():
                raise _wrong(
                    "crl-stale",
                    f"失効リスト {mark.purpose}/{generation.id}/{name} が古いか、公開されていません。",
                    f"The list {mark.purpose}/{generation.id}/{name} is stale or not published.",
                    "jpki crl publish を実行してください。",
                    "Run `jpki crl publish`.",
                )
        for lacking, _ in lagging([mark], served, rooms.home.path, rooms.clock()):
            raise behind(lacking)
        if (warning := warning_of(mark, served[mark.purpose], rooms.clock())) is not None:
            raise warning


def _tls(rooms: Rooms) -> None:
    """Of a home whose doors speak TLS."""
    if rooms.settings.verifiers == "open" and not rooms.home.tls_certificate.exists():
        return
    context_of(rooms, [Purpose.INFRASTRUCTURE])
    certificate = x509.load_pem_x509_certificate(rooms.home.tls_certificate.read_bytes())
    if certificate.not_valid_after_utc - rooms.clock() < _TLS_MARGIN:
        raise _wrong(
            "tls-ends",
            f"TLSのサーバー証明書の期限は {iso(certificate.not_valid_after_utc)} です。",
            f"The certificate for TLS ends at {iso(certificate.not_valid_after_utc)}.",
            "jpki tls certify で更新し、jpki serve を再起動してください。",
            "Renew it with `jpki tls certify`, and start `jpki serve` anew.",
        )


def _time_stamps(rooms: Rooms) -> None:
    """Of a home that stamps."""
    if rooms.units.are_used() and not rooms.units.has_lasting():
        raise _wrong(
            "time-stamping-unit-ends",
            "タイムスタンプ用の証明書の残りが1年未満か、その鍵がここにありません。",
            "No certificate for time-stamping whose key is here lasts for another year.",
            "運用基盤の認証局の鍵のあるところで jpki serve --door tsa を動かすと更新されます。",
            "Run `jpki serve --door tsa` where the infrastructure root's key is: it renews it.",
        )


def _trust(rooms: Rooms) -> None:
    list(other_anchors(rooms.home, rooms.settings))


def _pending(rooms: Rooms) -> None:
    count = len(rooms.store.ledger.abandoned(rooms.clock()))
    if count:
        raise _wrong(
            "certificates-abandoned",
            f"発行の途中で止まった証明書が{count}件あります。",
            f"{count} certificates were left half-issued.",
            "jpki serve を動かすと1分以内に自動で閉じられます。jpki reconcile でも閉じられます。",
            "Run `jpki serve`, which closes them within a minute, or `jpki reconcile`.",
        )


def _events(rooms: Rooms) -> None:
    now = rooms.clock()
    oldest = rooms.store.events.oldest_open(now)
    if oldest is not None and now - oldest > _EVENTS_WAIT:
        raise _wrong(
            "resident-events-wait",
            f"{iso(oldest)} からの住民の異動が処理されていません。",
            f"Resident events have been waiting since {iso(oldest)}.",
            "CA鍵のあるところで jpki serve を動かし、住民の台帳（[registry]）が応答するか確認してください。",
            "Run `jpki serve` where the CA keys are, and check that the register ([registry]) answers.",
        )


def _express(rooms: Rooms) -> None:
    count = rooms.store.cases.express_overdue(rooms.clock())
    if count:
        raise _wrong(
            "express-overdue",
            f"期限（受付から1週間）を過ぎた特急発行の申請が{count}件あります。",
            f"{count} express cases are past their last day, a week after the application.",
            "窓口の未了の申請（GET /api/v1/cases）の先頭にあります。交付するか、終わらせてください。",
            "They stand first in their counter's list (GET /api/v1/cases): deliver them, or end them.",
        )


def _permissions(rooms: Rooms) -> None:
    home = rooms.home
    for place in (home.keys, home.secrets, home.clerks, home.softhsm, home.tls_key):
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if file.is_file() and file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise _wrong(
                    "permissions-wide",
                    f"{file} をほかの利用者が読めます。",
                    f"{file} can be read by others.",
                    f"chmod 600 {file} を実行してください。",
                    f"Run chmod 600 {file}.",
                )


def _require_fit(rooms: Rooms, owner: str, uri: KeyUri, certificate: x509.Certificate) -> None:
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if rooms.keys.signer(uri).public_key().public_bytes(*spki) != certificate.public_key().public_bytes(*spki):
        raise _wrong(
            "key-mismatch",
            f"{owner} の鍵 {uri} が証明書と合いません。",
            f"The key {uri} of {owner} does not fit its certificate.",
            "正しい鍵をバックアップから復旧してください。",
            "Restore the right key from a backup.",
        )


def _wrong(code: str, ja: str, en: str, action_ja: str, action_en: str) -> JpkiError:
    return JpkiError(Kind.CONFLICT, code, Text(ja, en), Text(action_ja, action_en))
