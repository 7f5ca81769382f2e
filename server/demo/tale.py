"""The chapters of the story.

The ceremony and one holder's certificates lie some years back, so that a renewal window is open today; the clock is
handed in, and then moves to the present. Every document, key and certificate stays in the home for inspection.
"""

import time
from dataclasses import replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hsm_adapter.software import generate, sign_only
from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import Clock, day_in_japan, iso, years_later
from jpki.errors import JpkiError
from jpki.generation import Generation
from jpki.holder import Holder
from jpki.ids import format_serial
from jpki.partition import COMPLETE
from jpki.randomness import Randomness
from jpki.revocation import Finding, Reason, State
from jpki.signature import PrivateKey
from ocsp.client import OcspClient
from server.app import create_app
from server.demo.cast import Card, MovableClock, hanako, request, taro
from server.demo.outside import openssl_is_here, openssl_ocsp, openssl_verify, served
from server.demo.story import Story
from server.documents import home_validation, stamp_anchors_of
from server.founding import found
from server.home import Home, write_new
from server.settings import Settings
from server.stamp_fetch import stamp_fetcher
from server.stored_evidence import Collector
from server.wiring import Rooms
from signing.credential import Credential
from signing.intake import Format
from signing.report import FileVerdict
from signing.samples import tax_return_pdf, tax_return_xtx
from signing.sign import sign
from signing.time_stamper import Level, Stamping, TimeStamper
from signing.validation import Validation
from signing.verdict import Cause, Decision

_SUFFIX = {Format.PDF: "pdf", Format.XML: "xtx"}
_ISSUE_ORDER = (Purpose.AUTHENTICATION, Purpose.SIGNING)
"""A signing certificate ends with its holder's authentication certificate, so that one comes first."""

Pair = dict[Purpose, Card]


class Tale:
    """Tells the story in a new home."""

    def __init__(self, home: Home, settings: Settings, story: Story, present: Clock, randomness: Randomness) -> None:
        self._home = home
        self._settings = settings
        self._story = story
        self._present = present
        self._randomness = randomness
        self._clock = MovableClock(present)
        self._rooms: Rooms

    def tell(self) -> None:
        """Tell all of it; `Story.held` says whether every check held.

        Raises:
            JpkiError: when the home cannot be made, or a step that must succeed does not.
        """
        self._ceremony()
        try:
            self._live()
        finally:
            self._rooms.close()

    def _live(self) -> None:
        earlier = self._earlier_holder()
        self._move_to_present()
        pair = self._issue_pair()
        documents = self._sign_and_verify(pair[Purpose.SIGNING])
        self._refuse_tampered(documents)
        self._refuse_misuse(pair[Purpose.AUTHENTICATION])
        self._rooms.units.open()
        with served(create_app(self._rooms)) as url:
            stamped = self._stamp(pair[Purpose.SIGNING], url)
            self._ask_about_the_living(pair, url)
            self._move_house(pair)
            self._ask_about_the_revoked(pair, url)
        self._judge_again(documents)
        self._judge_stamped(stamped)
        self._issue_for_the_new_address()
        self._renew(earlier)

    # --- chapters ----------------------------------------------------------------------------------------------

    def _ceremony(self) -> None:
        story = self._story
        story.chapter(
            "鍵のセレモニー（数年前）：2つの認証局が生まれる", "Ceremony, some years ago: two authorities come to life"
        )
        self._rooms = found(self._home, self._settings, self._clock, self._randomness)
        for purpose in HOLDER_PURPOSES:
            root = self._root(purpose)
            name = root.certificate.subject.rfc4514_string()
            story.say(f"{root.id}  {name}", f"{root.id}  {name}")
            root.certificate.verify_directly_issued_by(root.certificate)
            story.check(
                f"自己署名のルート証明書、{iso(root.not_after)}（日本時間23:59:59）まで",
                f"a self-signed root until {iso(root.not_after)}, 23:59:59 in Japan",
                root.not_after.strftime("%H:%M:%S") == "14:59:59",
            )

    def _earlier_holder(self) -> Pair:
        self._story.chapter("山田　太郎さんへの発行（数年前）", "A pair for 山田　太郎, some years ago")
        holder = taro(self._present())
        pair = {purpose: self._issue(holder, purpose, "taro") for purpose in _ISSUE_ORDER}
        for purpose, card in pair.items():
            end = card.certificate.not_valid_after_utc
            self._story.check(
                f"{purpose.text.ja}、5回目の誕生日 {iso(end)} まで",
                f"{purpose.text.en}, to the fifth birthday: {iso(end)}",
                day_in_japan(end) == years_later(holder.birth_date, 40),
            )
        return pair

    def _move_to_present(self) -> None:
        story = self._story
        story.chapter("時計を現在に進める", "The clock moves to the present")
        self._clock.move_to_present()
        self._rooms.maintenance.run()
        responder = self._rooms.store.delegates.responders(self._root(Purpose.SIGNING).id)[0]
        end = responder.certificate.not_valid_after_utc
        story.check(
            f"OCSPレスポンダ証明書が自動で更新された（{iso(end)} まで）",
            f"the OCSP responder renewed itself, until {iso(end)}",
            end > self._present(),
        )
        newest = self._rooms.store.shelf.newest(Purpose.SIGNING, [COMPLETE]).get(COMPLETE)
        story.check(
            "失効リストが新しく発行された",
            "a fresh CRL was published",
            newest is not None and newest.next_update > self._present(),
        )

    def _issue_pair(self) -> Pair:
        story = self._story
        story.chapter("日本　花子さんへの発行（代替文字を含む）", "A pair for 日本　花子, with a substitute character")
        pair = {purpose: self._issue(hanako(), purpose, "hanako") for purpose in _ISSUE_ORDER}
        for purpose, card in pair.items():
            serial = format_serial(card.serial)
            story.check(
                f"{purpose.text.ja}が有効になった：{serial}",
                f"{purpose.text.en} is live: {serial}",
                self._state(card) is State.ACTIVE,
            )
        plain = pair[Purpose.AUTHENTICATION].certificate.public_bytes(Encoding.DER)
        story.check(
            "利用者証明用電子証明書に氏名・住所がない",
            "the authentication certificate holds no name and no address",
            "花子".encode() not in plain and "霞が関".encode() not in plain,
        )
        return pair

    def _sign_and_verify(self, card: Card) -> dict[Format, Path]:
        self._story.chapter("確定申告書（PDF・xtx）への署名と検証", "Signing and verifying a tax return, PDF and .xtx")
        year = self._present().year - 1
        lines = ["Income tax return (sample)", f"Year {year}", "Taxpayer: NIPPON Hanako"]
        unsigned = {Format.PDF: tax_return_pdf(lines), Format.XML: self._tax_return()}
        signed = {}
        for form, document in unsigned.items():
            signed[form] = self._keep(f"return.{_SUFFIX[form]}", sign(document, card.credential, form, self._present()))
            self._judge(signed[form], Decision.ACCEPT)
        return signed

    def _refuse_tampered(self, documents: dict[Format, Path]) -> None:
        self._story.chapter("改ざんした写しは拒否される", "Tampered copies are refused")
        changes = {Format.PDF: (b"Taxpayer: NIPPON", b"Taxpayer: NIHON "), Format.XML: (b">3000000<", b">1000000<")}
        for form, (old, new) in changes.items():
            original = documents[form].read_bytes()
            changed = self._keep(f"tampered.{_SUFFIX[form]}", original.replace(old, new))
            self._judge(changed, Decision.REFUSE, Cause.ALTERED)

    def _refuse_misuse(self, card: Card) -> None:
        story = self._story
        story.chapter(
            "利用者証明用電子証明書での署名は拒否される", "Signing with the authentication certificate is refused"
        )
        try:
            sign(self._tax_return(), card.credential, Format.XML, self._present())
            code = ""
        except JpkiError as error:
            code = error.code
        story.check("署名の時点で断られる", "refused when signing", code == "not-a-signing-certificate")
        forced = sign(self._tax_return(), card.credential, Format.XML, self._present(), force=True)
        self._judge(self._keep("misused.xtx", forced), Decision.REFUSE, Cause.WRONG_KIND)

    def _stamp(self, card: Card, url: str) -> Path:
        self._story.chapter(
            "タイムスタンプと失効情報を付けた署名（PAdES B-LTA）",
            "A signature with time-stamps and revocation data, PAdES B-LTA",
        )
        anchors = stamp_anchors_of(self._rooms)
        stamping = Stamping(
            stamper=TimeStamper(stamp_fetcher(f"{url}/tsa"), self._randomness, anchors),
            collect=Collector([], OcspClient(f"{url}/ocsp", self._present, self._randomness)),
            level=Level.LTA,
        )
        credential = replace(card.credential, chain=(self._root(Purpose.SIGNING).certificate,))
        document = tax_return_pdf(["Income tax return (sample)", "Time-stamped"])
        signed = sign(document, credential, Format.PDF, self._present(), stamping=stamping)
        file = self._keep("return-stamped.pdf", signed)
        self._judge(file, Decision.ACCEPT)
        offline = replace(home_validation(self._rooms), revocation=())
        self._story.check(
            "台帳にもネットワークにも頼らず判定できる",
            "it can be judged without the ledger and without network",
            self._verdict_on(file, offline).decision is Decision.ACCEPT,
        )
        # A stamp names a second, and a revocation within it would count as one before it.
        time.sleep(1)
        return file

    def _ask_about_the_living(self, pair: Pair, url: str) -> None:
        self._story.chapter("OCSPと失効リストは「有効」と答える", "OCSP and CRL say: good")
        for purpose in HOLDER_PURPOSES:
            self._ask_ocsp(pair[purpose], purpose, url, Finding.GOOD)
        self._ask_openssl(pair[Purpose.SIGNING], url, ocsp="good", crl="OK")

    def _move_house(self, pair: Pair) -> None:
        story = self._story
        story.chapter("転居：署名用だけが失効する", "A house move revokes the signing certificate, and only that")
        self._rooms.desk.revoke(pair[Purpose.SIGNING].serial, Reason.AFFILIATION_CHANGED, LOCAL_OPERATOR)
        for purpose, expected in ((Purpose.SIGNING, State.REVOKED), (Purpose.AUTHENTICATION, State.ACTIVE)):
            state = self._state(pair[purpose])
            story.check(f"{purpose.text.ja}：{state}", f"{purpose.text.en}: {state}", state is expected)
        self._publish()

    def _ask_about_the_revoked(self, pair: Pair, url: str) -> None:
        self._story.chapter("OCSPと失効リストは「失効」と答える", "OCSP and CRL say: revoked")
        self._ask_ocsp(pair[Purpose.SIGNING], Purpose.SIGNING, url, Finding.REVOKED)
        self._ask_ocsp(pair[Purpose.AUTHENTICATION], Purpose.AUTHENTICATION, url, Finding.GOOD)
        self._ask_openssl(pair[Purpose.SIGNING], url, ocsp="revoked", crl="23")

    def _judge_again(self, documents: dict[Format, Path]) -> None:
        self._story.chapter("以前の署名は「失効済み」と判定される", "The old signature is now judged revoked")
        for document in documents.values():
            self._judge(document, Decision.REFUSE, Cause.REVOKED_UNPROVEN_TIME)

    def _judge_stamped(self, document: Path) -> None:
        self._story.chapter(
            "タイムスタンプ付きの署名は失効後も有効", "The time-stamped signature still stands after the revocation"
        )
        self._judge(document, Decision.ACCEPT)

    def _issue_for_the_new_address(self) -> None:
        self._story.chapter("新しい住所の署名用電子証明書", "A new signing certificate for the new address")
        card = self._issue(hanako(moved=True), Purpose.SIGNING, "hanako-new")
        document = sign(self._tax_return(), card.credential, Format.XML, self._present())
        self._judge(self._keep("return-new.xtx", document), Decision.ACCEPT)

    def _renew(self, earlier: Pair) -> None:
        story = self._story
        story.chapter(
            "山田　太郎さんの更新：古い証明書は置き換えられる", "Renewal for 山田　太郎 supersedes the old pair"
        )
        for purpose, old in earlier.items():
            key = generate(self._rooms.profile.key)
            certificate = self._rooms.desk.renew(old.serial, request(key), LOCAL_OPERATOR)
            new = self._keep_card(f"taro-renewed-{purpose}", certificate, key)
            status = self._rooms.desk.record(old.serial).status
            end = new.certificate.not_valid_after_utc
            story.check(
                f"{purpose.text.ja}：旧は {status.reason}、新は {iso(end)} まで",
                f"{purpose.text.en}: the old one is {status.reason}, the new one lives until {iso(end)}",
                status.reason is Reason.SUPERSEDED and end > old.certificate.not_valid_after_utc,
            )
        self._publish()

    # --- questions ---------------------------------------------------------------------------------------------

    def _judge(self, document: Path, expected: Decision, cause: Cause | None = None) -> None:
        verdict = self._verdict_on(document, home_validation(self._rooms))
        self._story.check(
            f"{document.name}：{verdict.sentence.ja}",
            f"{document.name}: {verdict.sentence.en}",
            verdict.decision is expected and (cause is None or _has(verdict, cause)),
        )

    def _verdict_on(self, document: Path, validation: Validation) -> FileVerdict:
        with document.open("rb") as stream:
            return self._rooms.sandbox.judge(stream, validation)

    def _ask_ocsp(self, card: Card, purpose: Purpose, url: str, expected: Finding) -> None:
        client = OcspClient(f"{url}/ocsp", self._present, self._randomness)
        evidence = client.evidence(card.certificate, self._root(purpose).certificate, self._present())
        said = "-" if evidence is None else evidence.finding
        self._story.check(
            f"OCSP：{purpose.text.ja}は {said}", f"OCSP: the {purpose.text.en} is {said}", said == expected
        )

    def _ask_openssl(self, card: Card, url: str, *, ocsp: str, crl: str) -> None:
        """Ask the openssl command, where there is one, about OCSP and about the certificate's own list."""
        story = self._story
        if not openssl_is_here():
            story.say("openssl がないため省略", "left out: there is no openssl here")
            return
        ca_file = self._keep("signing-ca.pem", self._root(Purpose.SIGNING).certificate.public_bytes(Encoding.PEM))
        said = openssl_ocsp(url, card.file, ca_file)
        story.check(f"openssl ocsp：{said}", f"openssl ocsp: {said}", said == ocsp)
        said = openssl_verify(card.file, ca_file, self._keep("signing.crl.pem", self._list_of(card)))
        words = {"23": ("error 23（失効）", "error 23, revoked")}.get(said, (said, said))
        story.check(f"openssl verify -crl_check：{words[0]}", f"openssl verify -crl_check: {words[1]}", said == crl)

    def _list_of(self, card: Card) -> bytes:
        status = self._rooms.desk.record(card.serial).status
        file = self._home.path / "crl" / Purpose.SIGNING / status.generation / f"{status.partition}.crl"
        return x509.load_der_x509_crl(file.read_bytes()).public_bytes(Encoding.PEM)

    # --- things ------------------------------------------------------------------------------------------------

    def _issue(self, holder: Holder, purpose: Purpose, folder: str) -> Card:
        key = generate(self._rooms.profile.key)
        certificate = self._rooms.desk.issue(holder, purpose, request(key), LOCAL_OPERATOR)
        return self._keep_card(f"{folder}-{purpose}", certificate, key)

    def _publish(self) -> None:
        count = len(self._rooms.publisher.publish_due())
        self._story.check(f"失効リストを{count}件発行", f"{count} lists published", count > 0)

    def _keep_card(self, name: str, certificate: x509.Certificate, key: PrivateKey) -> Card:
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._keep(f"{name}-key.pem", pem, 0o600)
        file = self._keep(f"{name}.pem", certificate.public_bytes(Encoding.PEM))
        return Card(certificate, Credential(certificate=certificate, key=sign_only(key)), file)

    def _keep(self, name: str, content: bytes, mode: int = 0o644) -> Path:
        """Write an artefact into the home's demo folder, over an earlier one of the same name."""
        file = self._home.path / "demo" / name
        file.unlink(missing_ok=True)
        write_new(file, content, mode)
        return file

    def _tax_return(self) -> bytes:
        return tax_return_xtx("日本　花子", self._present().year - 1)

    def _root(self, purpose: Purpose) -> Generation:
        return self._rooms.living(purpose)[0]

    def _state(self, card: Card) -> State:
        return self._rooms.desk.record(card.serial).status.state


def _has(verdict: FileVerdict, cause: Cause) -> bool:
    return any(check.cause is cause for signature in verdict.signatures for check in signature.checks)
