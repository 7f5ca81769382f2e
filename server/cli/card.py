"""`jpki card`: a simulated card, for training and tests; its file is the chip itself, opened."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from cryptography.hazmat.primitives.serialization import Encoding

from ca.profile import CARDS
from enroll.card.application import Application, with_pins
from enroll.card.file import card_at, make_card
from enroll.card.pins import scrypt
from enroll.card.state import CardState, CounterAct, Leave
from enroll.case_paths import wants
from jpki.card import CardFacts, CardMode
from jpki.case import parse_case_number
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import iso
from jpki.errors import JpkiError
from jpki.randomness import alphanumeric, system_randomness
from jpki.signature import sign as signature_of
from jpki.text import Text
from server.certificate_files import certificates_in
from server.cli.frame import HomeType, MomentType, Output, command, opened
from server.cli.pins import entered, pin_file
from server.home import Home, write_new

if TYPE_CHECKING:
    from server.wiring import Rooms

_LABEL_LENGTH = 12
_card_option = click.option(
    "--card", "file", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The card's file."
)
_kind_option = click.option(
    "--kind", required=True, type=click.Choice([str(each) for each in HOLDER_PURPOSES]), help="Which of the two keys."
)
_pin_option = click.option("--pin-file", "pin", type=pin_file, help="Where the PIN is; else it is asked for.")
_new_pin_option = click.option(
    "--new-pin-file", "new", type=pin_file, help="Where the new PIN is; else it is asked for."
)
_there = click.Path(exists=True, dir_okay=False, path_type=Path)
_out_option = click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A new file.")


def _both_pins(function: Callable[..., Any]) -> Callable[..., Any]:
    for purpose in HOLDER_PURPOSES:
        option = click.option(
            f"--{purpose}-pin-file", type=pin_file, help=f"Where the {purpose} PIN is; else asked for."
        )
        function = option(function)
    return function


@click.group("card")
def card() -> None:
    """Make and use a simulated card: for training and tests, never for a real holder."""


@command("make")
@_card_option
@click.option("--until", required=True, type=MomentType(), help="The card's last day.")
@click.option("--mode", type=click.Choice([str(each) for each in CardMode]), default=str(CardMode.ORDINARY))
@click.option("--profile", type=click.Choice(list(CARDS)), default="card-v1", help="Which keys it makes.")
@click.option("--without-pins", is_flag=True, help="As it comes to the counter, where its holder chooses the PINs.")
@_both_pins
def make(  # noqa: PLR0913 - one parameter for each option
    file: Path,
    until: datetime,
    mode: str,
    profile: str,
    signing_pin_file: Path | None,
    authentication_pin_file: Path | None,
    output: Output,
    *,
    without_pins: bool,
) -> None:
    """Make a card, with the PINs that its holder enters."""
    number = f"CARD-{alphanumeric(system_randomness, _LABEL_LENGTH)}"
    facts = CardFacts(number=number, not_after=until, mode=CardMode(mode))
    state = CardState(facts=facts, spec=CARDS[profile].key)
    if facts.mode is CardMode.ORDINARY and not without_pins:
        state = with_pins(state, _chosen(signing_pin_file, authentication_pin_file), system_randomness, scrypt)
    make_card(file, state)
    output.result("jpki.card-make/1", {"file": str(file), **_facts(facts)}, [_facts_line(facts)])


@command("info")
@_card_option
def info(file: Path, output: Output) -> None:
    """Say what any reader can see: number, end, mode, misses left, and which certificates it has."""
    with card_at(file) as inserted:
        tries = {str(purpose): left for purpose, left in inserted.tries.items()}
        loaded = [str(purpose) for purpose in HOLDER_PURPOSES if _has(inserted, purpose)]
        facts = inserted.facts
    lines = [_facts_line(facts)]
    lines += [
        Text(f"  {Purpose(name).text.ja}：あと{left}回", f"  {Purpose(name).text.en}'s PIN: {left} tries left")
        for name, left in tries.items()
    ]
    lines += [Text(f"  {Purpose(name).text.ja}あり", f"  has a {Purpose(name).text.en}") for name in loaded]
    output.result("jpki.card-info/1", {**_facts(facts), "tries": tries, "certificates": loaded}, lines)


@command("csr")
@_card_option
@_kind_option
@_out_option
def csr(file: Path, kind: str, out: Path, output: Output) -> None:
    """Make a new key pair on the card, and write its CSR; the old key serves until its certificate is loaded."""
    with card_at(file) as inserted:
        write_new(out, inserted.request(Purpose(kind)), 0o644)
    output.result("jpki.card-csr/1", {"file": str(out)}, [Text(f"CSRを書きました：{out}", f"The CSR is in {out}")])


@command("load")
@_card_option
@click.argument("certificate", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def load(file: Path, certificate: Path, output: Output) -> None:
    """Write a certificate that was issued for the card's CSR to the card."""
    with card_at(file) as inserted:
        purpose = inserted.load(certificates_in(certificate)[0].public_bytes(Encoding.DER))
    line = Text(f"{purpose.text.ja}を書き込みました。", f"The card has the {purpose.text.en} now.")
    output.result("jpki.card-load/1", {"kind": purpose}, [line])


@command("sign")
@_card_option
@_kind_option
@click.argument("message", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_out_option
@_pin_option
@click.option("--face", is_flag=True, help="A PIN-less card's face was compared.")
def sign(file: Path, kind: str, message: Path, out: Path, pin: Path | None, output: Output, *, face: bool) -> None:
    """Sign a file's octets, such as a challenge; `jpki sign --key card:FILE` signs documents."""
    purpose = Purpose(kind)
    with card_at(file) as inserted:
        key = inserted.unlocked(purpose, None if face else entered(purpose, pin))
        write_new(out, signature_of(key, message.read_bytes()), 0o644)
    output.result("jpki.card-sign/1", {"file": str(out)}, [Text(f"署名しました：{out}", f"Signed: {out}")])


@command("pin")
@_card_option
@_kind_option
@_pin_option
@_new_pin_option
def pin(file: Path, kind: str, pin: Path | None, new: Path | None, output: Output) -> None:
    """Change a PIN."""
    purpose = Purpose(kind)
    with card_at(file) as inserted:
        inserted.change_pin(purpose, entered(purpose, pin), entered(purpose, new, new=True))
    output.result("jpki.card-pin/1", {"kind": kind}, [_pin_line(purpose)])


@command("unlock")
@_card_option
@_kind_option
@click.option("--case", help="The case for a PIN reset that gives leave; without it, the other PIN does.")
@click.option("--home", type=HomeType(), envvar="JPKI_HOME", help="With --case: the authority's home.")
@_pin_option
@_new_pin_option
def unlock(
    file: Path, kind: str, case: str | None, home: Home | None, pin: Path | None, new: Path | None, output: Output
) -> None:
    """Reset a PIN: at a counter with --case, or with the other PIN if that still works."""
    if case is not None and home is None:
        raise click.UsageError("--case is a case of --home")
    purpose = Purpose(kind)
    (other,) = set(HOLDER_PURPOSES) - {purpose}
    with card_at(file) as inserted:
        if case is None or home is None:
            inserted.unlock_by_other(purpose, entered(other, pin), entered(purpose, new, new=True))
        else:
            given = _leave_of(opened(home), case)
            inserted.unlock({purpose: entered(purpose, new, new=True)}, given)
    output.result("jpki.card-unlock/1", {"kind": kind}, [_pin_line(purpose)])


@command("mode")
@_card_option
@click.argument("mode", type=click.Choice([str(each) for each in CardMode]))
@click.option("--case", required=True, help="What gives leave; the office has no such cases, and is not asked.")
@_both_pins
def mode(
    file: Path,
    mode: str,
    case: str,
    signing_pin_file: Path | None,
    authentication_pin_file: Path | None,
    output: Output,
) -> None:
    """Switch a card to PIN-less, which destroys its signing key, or back, with new PINs."""
    with card_at(file) as inserted:
        if CardMode(mode) is CardMode.PINLESS:
            inserted.go_pinless(_leave(inserted, case, CounterAct.GO_PINLESS))
        else:
            pins = _chosen(signing_pin_file, authentication_pin_file)
            inserted.go_ordinary(pins, _leave(inserted, case, CounterAct.GO_ORDINARY))
        facts = inserted.facts
    output.result("jpki.card-mode/1", _facts(facts), [_facts_line(facts)])


@command("terminal")
@_card_option
@click.option("--url", required=True, help="The registration office, such as https://office.example.org:8443.")
@click.option("--certificate", required=True, type=_there, help="The clerk's PKCS#12 file by `jpki clerk add` …")
@click.option("--password-file", required=True, type=_there, help="… and the file with its password.")
@click.option("--root", required=True, type=_there, help="The root above the office's server, PEM.")
@click.option("--screen-port", type=click.IntRange(0, 65535), default=8070, show_default=True, help="0 takes any.")
def terminal(
    file: Path, url: str, certificate: Path, password_file: Path, root: Path, screen_port: int, output: Output
) -> None:
    """Be a counter's terminal with this card in its reader, and a screen for the resident, until it is stopped.

    It does what the case at the clerk's hand wants of the card. PINs go from the screen to the card.
    """
    from enroll.card.office_client import OfficeClient
    from server.card_terminal import attend, clerk_context

    office = OfficeClient(url=url.rstrip("/"), tls=clerk_context(certificate, password_file, root))

    def ready(address: str) -> None:
        output.progress(Text(f"利用者の画面：{address}", f"The resident's screen: {address}"))

    def tell(error: JpkiError) -> None:
        output.progress(Text(f"{error.code}：{error.problem.ja}", f"{error.code}: {error.problem.en}"))

    attend(file, office, screen_port, ready, tell)


for each in (make, info, csr, load, sign, pin, unlock, mode, terminal):
    card.add_command(each)


def _chosen(signing: Path | None, authentication: Path | None) -> dict[Purpose, str]:
    files = {Purpose.SIGNING: signing, Purpose.AUTHENTICATION: authentication}
    return {purpose: entered(purpose, file, new=True) for purpose, file in files.items()}


def _leave(inserted: Application, case: str, act: CounterAct) -> Leave:
    return Leave(case=case, card=inserted.facts.number, act=act)


def _leave_of(rooms: "Rooms", number: str) -> Leave:
    """Return a case's leave, as the office's record of it stands now."""
    case = rooms.store.cases.case(parse_case_number(number))
    card = None if case.card is None else case.card.number
    return Leave.to_unlock(case.number, card, wants(case, rooms.clock()))


def _has(inserted: Application, purpose: Purpose) -> bool:
    try:
        inserted.public_key(purpose)
    except JpkiError:
        return False
    return True


# --- words ---------------------------------------------------------------------------------------------------------


def _facts(facts: CardFacts) -> dict[str, str]:
    return {"number": facts.number, "not_after": iso(facts.not_after), "mode": facts.mode}


def _facts_line(facts: CardFacts) -> Text:
    ends = iso(facts.not_after)
    words = {CardMode.ORDINARY: Text("暗証番号あり", "with PINs"), CardMode.PINLESS: Text("顔認証", "PIN-less")}
    word = words[facts.mode]
    return Text(f"カード {facts.number}（{word.ja}）{ends} まで", f"Card {facts.number}, {word.en}, until {ends}")


def _pin_line(purpose: Purpose) -> Text:
    return Text(f"{purpose.text.ja}の暗証番号を設定しました。", f"The {purpose.text.en} has its new PIN.")
