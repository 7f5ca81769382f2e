"""The whole story of an authority in one process: `jpki demo`.

The ceremony and one holder's certificates lie some years back, so that a renewal window is open today; the clock is
handed in, and then moves to the present. Every document, key and certificate stays in the home for inspection.
"""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from werkzeug.serving import WSGIRequestHandler, make_server

from enroll.municipalities import municipalities
from hsm_adapter.software import generate, sign_only
from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import Clock, day_in_japan, iso, years_later
from jpki.errors import JpkiError
from jpki.generation import Generation
from jpki.holder import Gender, Holder
from jpki.ids import HolderCode, Serial, format_serial
from jpki.partition import COMPLETE
from jpki.randomness import Randomness
from jpki.revocation import Finding, Reason, State
from jpki.signature import PrivateKey
from ocsp.client import OcspClient
from server.app import create_app
from server.documents import home_validation
from server.founding import found
from server.home import Home, write_new
from server.settings import Settings
from server.story import Story
from server.wiring import Rooms
from signing.credential import Credential
from signing.intake import Format
from signing.report import FileVerdict
from signing.samples import tax_return_pdf, tax_return_xtx
from signing.sign import sign
from signing.validation import Validation
from signing.verdict import Cause, Decision
from signing.verify import verify

_YEARS_BACK = 4
_BIRTHDAY_AHEAD = timedelta(days=45)


class MovableClock:
    """A clock that stands still in the past until it is moved to the present."""

    def __init__(self, present: Clock, start: datetime) -> None:
        self._present = present
        self._standing: datetime | None = start

    def __call__(self) -> datetime:
        """Return the moment where it stands, or the present."""
        return self._present() if self._standing is None else self._standing

    def move_to_present(self) -> None:
        """Run with the present from now on."""
        self._standing = None


@dataclass(frozen=True, slots=True)
class Card:
    """A holder's certificate, with the key that in life only the card has."""

    certificate: x509.Certificate
    credential: Credential
    certificate_file: Path

    @property
    def serial(self) -> Serial:
        """The certificate's serial."""
        return Serial(self.certificate.serial_number)


class _QuietHandler(WSGIRequestHandler):
    """Answers without a line in the terminal for each request: the story is told there."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing."""


class Demo:
    """Tells the story in a new home."""

    def __init__(self, home: Home, story: Story, present: Clock, randomness: Randomness) -> None:
        self._home = home
        self._story = story
        self._present = present
        self._randomness = randomness
        self._clock = MovableClock(present, _some_years_before(present()))
        self._folder = home.path / "demo"
        self._rooms: Rooms

    def tell(self) -> None:
        """Tell all of it; `Story.held` says whether every check held.

        Raises:
            JpkiError: when the home cannot be made, or a step that must succeed does not.
        """
        self._ceremony()
        old = self._earlier_holder()
        self._move_to_present()
        hanako = self._issue_pair()
        documents = self._sign_and_verify(hanako[Purpose.SIGNING])
        self._refuse_tampered(documents)
        self._refuse_misuse(hanako[Purpose.AUTHENTICATION])
        with self._served() as url:
            self._status_of_the_living(hanako, url)
            self._move_house(hanako)
            self._status_of_the_revoked(hanako, url)
        self._judge_again(documents)
        self._reissue()
        self._renew(old)

    # --- chapters ----------------------------------------------------------------------------------------------

    def _ceremony(self) -> None:
        story = self._story
        story.chapter(
            "鍵のセレモニー（数年前）：2つの認証局が生まれる", "Ceremony, some years ago: two authorities come to life"
        )
        self._rooms = found(self._home, Settings(), self._clock, self._randomness)
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

    def _earlier_holder(self) -> dict[Purpose, Card]:
        story = self._story
        story.chapter("山田　太郎さんへの発行（数年前）", "A pair for 山田　太郎, some years ago")
        taro = self._taro()
        cards = {purpose: self._issue(taro, purpose, "taro") for purpose in reversed(HOLDER_PURPOSES)}
        for purpose, card in cards.items():
            end = iso(card.certificate.not_valid_after_utc)
            story.check(
                f"{purpose.text.ja}、5回目の誕生日 {end} まで",
                f"{purpose.text.en}, to the fifth birthday: {end}",
                card.certificate.not_valid_after_utc - self._clock() < timedelta(days=5 * 366),
            )
        return cards

    def _move_to_present(self) -> None:
        story = self._story
        story.chapter("時計を現在に進める", "The clock moves to the present")
        self._clock.move_to_present()
        self._rooms.maintenance.run()
        responder = self._rooms.store.generations.responders(self._root(Purpose.SIGNING).id)[0]
        end = iso(responder.certificate.not_valid_after_utc)
        story.check(
            f"OCSPレスポンダ証明書が自動で更新された（{end} まで）",
            f"the OCSP responder renewed itself, until {end}",
            responder.certificate.not_valid_after_utc > self._present(),
        )
        newest = self._rooms.store.shelf.newest(Purpose.SIGNING, COMPLETE)
        story.check(
            "失効リストが新しく発行された",
            "a fresh CRL was published",
            newest is not None and newest.next_update > self._present(),
        )

    def _issue_pair(self) -> dict[Purpose, Card]:
        story = self._story
        story.chapter("日本　花子さんへの発行（代替文字を含む）", "A pair for 日本　花子, with a substitute character")
        cards = {purpose: self._issue(_hanako(), purpose, "hanako") for purpose in reversed(HOLDER_PURPOSES)}
        for purpose, card in cards.items():
            story.say(
                f"{purpose.text.ja}  {format_serial(card.serial)}", f"{purpose.text.en}  {format_serial(card.serial)}"
            )
            story.check("発行され、有効になった", "issued and live", self._state(card) is State.ACTIVE)
        plain = cards[Purpose.AUTHENTICATION].certificate.public_bytes(Encoding.DER)
        story.check(
            "利用者証明用電子証明書に氏名・住所がない",
            "the authentication certificate holds no name and no address",
            "花子".encode() not in plain and "霞が関".encode() not in plain,
        )
        return cards

    def _sign_and_verify(self, card: Card) -> dict[Format, Path]:
        story = self._story
        story.chapter("確定申告書（PDF・xtx）への署名と検証", "Signing and verifying a tax return, PDF and .xtx")
        year = self._present().year - 1
        unsigned = {
            Format.PDF: tax_return_pdf(["Income tax return (sample)", f"Year {year}", "Taxpayer: NIPPON Hanako"]),
            Format.XML: tax_return_xtx("日本　花子", year),
        }
        signed = {}
        for form, document in unsigned.items():
            signed[form] = self._keep(f"return.{_SUFFIX[form]}", sign(document, card.credential, form, self._present()))
            self._judged(signed[form], Decision.ACCEPT)
        return signed

    def _refuse_tampered(self, documents: dict[Format, Path]) -> None:
        self._story.chapter("改ざんした写しは拒否される", "Tampered copies are refused")
        changes = {Format.PDF: (b"Taxpayer: NIPPON", b"Taxpayer: NIHON "), Format.XML: (b">3000000<", b">1000000<")}
        for form, (old, new) in changes.items():
            original = documents[form].read_bytes()
            changed = self._keep(f"tampered.{_SUFFIX[form]}", original.replace(old, new))
            self._judged(changed, Decision.REFUSE, Cause.ALTERED)

    def _refuse_misuse(self, card: Card) -> None:
        story = self._story
        story.chapter(
            "利用者証明用電子証明書での署名は拒否される", "Signing with the authentication certificate is refused"
        )
        document = tax_return_xtx("日本　花子", self._present().year - 1)
        try:
            sign(document, card.credential, Format.XML, self._present())
            code = ""
        except JpkiError as error:
            code = error.code
        story.check("署名の時点で断られる", "refused when signing", code == "not-a-signing-certificate")
        forced = sign(document, card.credential, Format.XML, self._present(), force=True)
        self._judged(self._keep("misused.xtx", forced), Decision.REFUSE, Cause.WRONG_KIND)

    def _status_of_the_living(self, cards: dict[Purpose, Card], url: str) -> None:
        self._story.chapter("OCSPと失効リストは「有効」と答える", "OCSP and CRL say: good")
        for purpose, card in cards.items():
            self._ask_ocsp(card, purpose, url, Finding.GOOD)
        self._ask_openssl(cards[Purpose.SIGNING], url, revoked=False)

    def _move_house(self, cards: dict[Purpose, Card]) -> None:
        story = self._story
        story.chapter("転居：署名用だけが失効する", "A house move revokes the signing certificate, and only that")
        self._rooms.desk.revoke(cards[Purpose.SIGNING].serial, Reason.AFFILIATION_CHANGED, LOCAL_OPERATOR)
        published = self._rooms.publisher.publish_due()
        story.say(f"失効リストを{len(published)}件発行", f"{len(published)} lists published")
        for purpose, expected in ((Purpose.SIGNING, State.REVOKED), (Purpose.AUTHENTICATION, State.ACTIVE)):
            story.check(
                f"{purpose.text.ja}：{expected}",
                f"{purpose.text.en}: {expected}",
                self._state(cards[purpose]) is expected,
            )

    def _status_of_the_revoked(self, cards: dict[Purpose, Card], url: str) -> None:
        self._story.chapter("OCSPと失効リストは「失効」と答える", "OCSP and CRL say: revoked")
        self._ask_ocsp(cards[Purpose.SIGNING], Purpose.SIGNING, url, Finding.REVOKED)
        self._ask_ocsp(cards[Purpose.AUTHENTICATION], Purpose.AUTHENTICATION, url, Finding.GOOD)
        self._ask_openssl(cards[Purpose.SIGNING], url, revoked=True)

    def _judge_again(self, documents: dict[Format, Path]) -> None:
        self._story.chapter("以前の署名は「失効済み」と判定される", "The old signature is now judged revoked")
        for document in documents.values():
            self._judged(document, Decision.REFUSE, Cause.REVOKED_UNPROVEN_TIME)

    def _reissue(self) -> None:
        self._story.chapter("新しい住所の署名用電子証明書", "A new signing certificate for the new address")
        card = self._issue(_hanako(moved=True), Purpose.SIGNING, "hanako-new")
        document = sign(
            tax_return_xtx("日本　花子", self._present().year - 1), card.credential, Format.XML, self._present()
        )
        self._judged(self._keep("return-new.xtx", document), Decision.ACCEPT)

    def _renew(self, old: dict[Purpose, Card]) -> None:
        story = self._story
        story.chapter(
            "山田　太郎さんの更新：古い証明書は置き換えられる", "Renewal for 山田　太郎 supersedes the old pair"
        )
        for purpose, before in old.items():
            after = self._renewed(before, f"taro-renewed-{purpose}")
            record = self._rooms.desk.authority.record(before.serial)
            end = after.certificate.not_valid_after_utc
            story.check(
                f"{purpose.text.ja}：旧は superseded、新は {iso(end)} まで",
                f"{purpose.text.en}: the old one superseded, the new one until {iso(end)}",
                record.status.reason is Reason.SUPERSEDED and end > before.certificate.not_valid_after_utc,
            )

    # --- questions ---------------------------------------------------------------------------------------------

    def _judged(self, document: Path, expected: Decision, cause: Cause | None = None) -> None:
        verdict = verify(document, self._validation())
        sentence = verdict.sentence
        self._story.check(
            f"{document.name}：{sentence.ja}",
            f"{document.name}: {sentence.en}",
            verdict.decision is expected and (cause is None or _has(verdict, cause)),
        )

    def _validation(self) -> Validation:
        return home_validation(self._rooms)

    def _ask_ocsp(self, card: Card, purpose: Purpose, url: str, expected: Finding) -> None:
        client = OcspClient(f"{url}/ocsp", self._present, self._randomness)
        evidence = client.evidence(card.certificate, self._root(purpose).certificate, self._present())
        found_out = "-" if evidence is None else str(evidence.finding)
        self._story.check(
            f"OCSP：{purpose.text.ja}は {found_out}",
            f"OCSP: the {purpose.text.en} is {found_out}",
            found_out == expected,
        )

    def _ask_openssl(self, card: Card, url: str, *, revoked: bool) -> None:
        """Ask the openssl command, where there is one, about OCSP and about the certificate's own list."""
        if shutil.which("openssl") is None:
            self._story.say("openssl がないため省略", "left out: there is no openssl here")
            return
        ca_file = self._keep("signing-ca.pem", self._root(Purpose.SIGNING).certificate.public_bytes(Encoding.PEM))
        certificate = str(card.certificate_file)
        words = ["ocsp", "-sha256", "-issuer", ca_file, "-cert", certificate, "-url", f"{url}/ocsp", "-CAfile", ca_file]
        answer = _openssl(*map(str, words))
        expected = f"{certificate}: {'revoked' if revoked else 'good'}"
        self._story.check(
            f"openssl ocsp：{'revoked' if revoked else 'good'}",
            f"openssl ocsp: {'revoked' if revoked else 'good'}",
            expected in answer and "Response verify OK" in answer,
        )
        crl_file = self._keep("signing.crl.pem", self._list_of(card))
        words = ["verify", "-x509_strict", "-crl_check", "-CAfile", ca_file, "-CRLfile", crl_file, certificate]
        answer = _openssl(*map(str, words))
        expected = "error 23" if revoked else f"{certificate}: OK"
        self._story.check(
            f"openssl verify -crl_check：{'error 23（失効）' if revoked else 'OK'}",
            f"openssl verify -crl_check: {'error 23, revoked' if revoked else 'OK'}",
            expected in answer,
        )

    def _list_of(self, card: Card) -> bytes:
        status = self._rooms.desk.authority.record(card.serial).status
        file = self._home.path / "crl" / Purpose.SIGNING / status.generation / f"{status.partition}.crl"
        return x509.load_der_x509_crl(file.read_bytes()).public_bytes(Encoding.PEM)

    @contextmanager
    def _served(self) -> Iterator[str]:
        """Serve the home on a free loopback port while the block runs."""
        server = make_server("127.0.0.1", 0, create_app(self._rooms), threaded=True, request_handler=_QuietHandler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    # --- cards -------------------------------------------------------------------------------------------------

    def _issue(self, holder: Holder, purpose: Purpose, folder: str) -> Card:
        key = generate(self._rooms.profile.key)
        certificate = self._rooms.desk.issue(holder, purpose, _request(key), LOCAL_OPERATOR)
        return self._keep_card(f"{folder}-{purpose}", certificate, key)

    def _renewed(self, before: Card, folder: str) -> Card:
        key = generate(self._rooms.profile.key)
        certificate = self._rooms.desk.renew(before.serial, _request(key), LOCAL_OPERATOR)
        return self._keep_card(folder, certificate, key)

    def _keep_card(self, name: str, certificate: x509.Certificate, key: PrivateKey) -> Card:
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._keep(f"{name}-key.pem", pem, 0o600)
        file = self._keep(f"{name}.pem", certificate.public_bytes(Encoding.PEM))
        return Card(certificate, Credential(certificate=certificate, key=sign_only(key)), file)

    def _keep(self, name: str, content: bytes, mode: int = 0o644) -> Path:
        """Write an artefact into the home's demo folder, over an earlier one of the same name."""
        file = self._folder / name
        file.unlink(missing_ok=True)
        write_new(file, content, mode)
        return file

    def _root(self, purpose: Purpose) -> Generation:
        return self._rooms.living(purpose)[0]

    def _state(self, card: Card) -> State:
        return self._rooms.desk.authority.record(card.serial).status.state

    def _taro(self) -> Holder:
        """Return a holder whose fifth birthday after the ceremony lies some weeks ahead: inside the renewal window."""
        birthday = day_in_japan(self._present() + _BIRTHDAY_AHEAD)
        return Holder(
            code=HolderCode("DEMO-0001"),
            name="山田　太郎",
            name_substitutes="00000",
            birth_date=years_later(birthday, -40),
            gender=Gender.MALE,
            address="北海道札幌市中央区北一条西二丁目",
            address_substitutes="0" * 16,
            municipality=municipalities()["011002"],
        )


_SUFFIX = {Format.PDF: "pdf", Format.XML: "xtx"}


def _some_years_before(present: datetime) -> datetime:
    """Return a moment from which the fifth birthday of `_taro` lies some weeks after `present`."""
    return present + _BIRTHDAY_AHEAD - timedelta(days=int(365.25 * (_YEARS_BACK + 0.5)))


def _hanako(*, moved: bool = False) -> Holder:
    address = "大阪府大阪市北区中之島一丁目３−２０" if moved else "東京都千代田区霞が関一丁目１番１号"
    return Holder(
        code=HolderCode("DEMO-0002"),
        name="日本　花子",
        name_substitutes="00010",
        birth_date=date(1990, 4, 1),
        gender=Gender.FEMALE,
        address=address,
        address_substitutes="0" * len(address),
        municipality=municipalities()["271004" if moved else "131016"],
    )


def _request(key: PrivateKey) -> x509.CertificateSigningRequest:
    return x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, SHA256())


def _has(verdict: FileVerdict, cause: Cause) -> bool:
    return any(check.cause is cause for signature in verdict.signatures for check in signature.checks)


def _openssl(*words: str) -> str:
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False, timeout=30)
    return done.stdout + done.stderr
