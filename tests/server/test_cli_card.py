"""`jpki card`: a holder's way from an empty card to a signed document, and PINs that leave no trace (rule R21)."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from enroll.case_paths import Shown
from jpki.case import CaseKind
from jpki.clock import system_clock
from tests.server.conftest import Town
from tests.server.console import Jpki, Word
from tests.server.office_world import office_at, resident_of
from tests.server.people import holder_file

SIGNING, AUTHENTICATION, ANOTHER = "CANARY42XQ", "7391", "CANARY43XQ"


@pytest.fixture
def card(jpki: Jpki, tmp_path: Path) -> Path:
    pin(tmp_path, "signing", SIGNING)
    pin(tmp_path, "authentication", AUTHENTICATION)
    pin(tmp_path, "another", ANOTHER)
    pin(tmp_path, "wrong", "WRONG000")
    pins: list[Word] = [f"--{each}-pin-file={tmp_path / each}.pin" for each in ("signing", "authentication")]
    jpki.done("card", "make", "--card", tmp_path / "card.json", "--until", "2034-04-01", *pins)
    return tmp_path / "card.json"


def pin(folder: Path, name: str, word: str) -> None:
    (folder / f"{name}.pin").write_text(f"{word}\r\n")


def renewing(card: Path, verb: str) -> list[Word]:
    return ["card", verb, "--card", card, "--kind", "signing", "--new-pin-file", card.with_name("another.pin")]


def furnish(jpki: Jpki, home: Path, card: Path) -> Path:
    """Take the card through a counter; return the folder of its signing certificate."""
    person = holder_file(card.parent, code="T-0009")
    for kind in ("authentication", "signing"):
        request, out = card.with_name(f"{kind}.csr"), card.with_name(kind)
        jpki.done("card", "csr", "--card", card, "--kind", kind, "--out", request)
        words: list[Word] = ["--kind", kind, "--holder", person, "--csr", request, "--out", out]
        jpki.done("issue", "--home", home, *words)
        assert jpki.done("card", "load", "--card", card, out / "certificate.pem")["kind"] == kind
    return card.with_name("signing")


@pytest.mark.slow
def test_a_card_is_made_certified_and_signs_what_verify_accepts(jpki: Jpki, town: Town, card: Path) -> None:
    folder = furnish(jpki, town.home, card)
    assert jpki.done("card", "info", "--card", card)["certificates"] == ["signing", "authentication"]
    document, signed = card.with_name("document.txt"), card.with_name("document.p7m")
    document.write_text("taxes")
    key: list[Word] = ["--key", f"card:{card}", "--pin-file", card.with_name("signing.pin")]
    jpki.done("sign", document, "--certificate", folder / "certificate.pem", *key, "--out", signed)
    assert jpki.done("verify", signed, "--home", town.home)["decision"] == "accept"
    key[-1] = card.with_name("wrong.pin")
    out = card.with_name("never.p7m")
    refused = jpki.refused("sign", document, "--certificate", folder / "certificate.pem", *key, "--out", out)
    assert (refused.exit, refused.code) == (1, "pin-wrong")
    assert not out.exists()
    assert jpki.done("card", "info", "--card", card)["tries"] == {"signing": 4, "authentication": 3}


@pytest.mark.slow
def test_openssl_finds_the_cards_signature_good(jpki: Jpki, town: Town, card: Path) -> None:
    furnish(jpki, town.home, card)
    challenge, signature, public = (card.with_name(name) for name in ("challenge", "signature", "public.pem"))
    challenge.write_bytes(b"a challenge of the terminal")
    given: list[Word] = ["--pin-file", card.with_name("authentication.pin")]
    jpki.done("card", "sign", "--card", card, "--kind", "authentication", challenge, "--out", signature, *given)
    pem = card.with_name("authentication") / "certificate.pem"
    public.write_bytes(subprocess.check_output(["openssl", "x509", "-in", pem, "-pubkey", "-noout"]))
    words = ["openssl", "dgst", "-sha256", "-verify", public, "-signature", signature, challenge]
    assert b"Verified OK" in subprocess.check_output(list(map(str, words)))


def test_a_locked_pin_is_reset_at_a_counter_or_by_the_other(jpki: Jpki, card: Path) -> None:
    change: list[Word] = [
        "card",
        "pin",
        "--card",
        card,
        "--kind",
        "signing",
        "--new-pin-file",
        card.with_name("another.pin"),
    ]
    for _ in range(5):
        jpki.refused(*change, "--pin-file", card.with_name("wrong.pin"))
    assert jpki.refused(*change, "--pin-file", card.with_name("signing.pin")).code == "pin-locked"
    unlock: list[Word] = [
        "card",
        "unlock",
        "--card",
        card,
        "--kind",
        "signing",
        "--new-pin-file",
        card.with_name("another.pin"),
    ]
    jpki.done(*unlock, "--pin-file", card.with_name("authentication.pin"))
    assert jpki.done("card", "info", "--card", card)["tries"]["signing"] == 5


def test_only_a_case_for_a_pin_reset_whose_holder_was_identified_gives_leave_and_once(
    jpki: Jpki, home: Path, card: Path
) -> None:
    number = jpki.done("card", "info", "--card", card)["number"]
    new: list[Word] = ["--new-pin-file", card.with_name("another.pin"), "--home", home]
    unlock: list[Word] = ["card", "unlock", "--card", card, "--kind", "signing", *new, "--case"]
    assert jpki.refused(*unlock[:-3], "--case", "261127-0000-000Y").exit == 64
    with office_at(home, system_clock) as town:
        own = replace(town.card(), number=number)
        town.register.enter(resident_of())
        other = town.opened()
        reset = town.opened(CaseKind.PIN_RESET)
        foreign = town.opened(CaseKind.PIN_RESET)
        office = town.rooms.office
        office.check_identity(other.number, Shown(card=own), town.front)
        office.check_identity(foreign.number, Shown(card=town.card()), town.front)
        assert jpki.refused(*unlock, other.number).code == "leave-missing"
        assert jpki.refused(*unlock, reset.number).code == "leave-missing"
        office.check_identity(reset.number, Shown(card=own), town.front)
        assert jpki.refused(*unlock, foreign.number).code == "leave-foreign"
        jpki.done(*unlock, reset.number)
        assert jpki.refused(*unlock, reset.number).code == "leave-used"
        office.complete(reset.number, town.front)
        assert jpki.refused(*unlock, reset.number).code == "leave-missing"


def test_a_card_without_pins_opens_nothing_before_its_holder_has_chosen(jpki: Jpki, tmp_path: Path) -> None:
    file, out = tmp_path / "card.json", tmp_path / "signature"
    jpki.done("card", "make", "--card", file, "--until", "2034-04-01", "--without-pins")
    assert jpki.done("card", "info", "--card", file)["tries"] == {}
    pin(tmp_path, "guess", "0000")
    jpki.done("card", "csr", "--card", file, "--kind", "authentication", "--out", tmp_path / "csr")
    sign: list[Word] = ["card", "sign", "--card", file, "--kind", "authentication", file, "--out", out]
    assert jpki.refused(*sign, "--pin-file", tmp_path / "guess.pin").code == "card-key-missing"


def test_a_card_is_switched_to_pinless_and_back(jpki: Jpki, card: Path) -> None:
    assert jpki.done("card", "mode", "pinless", "--card", card, "--case", "1")["mode"] == "pinless"
    out = card.with_name("csr")
    refused = jpki.refused("card", "csr", "--card", card, "--kind", "signing", "--out", out)
    assert refused.code == "card-pinless"
    jpki.done("card", "csr", "--card", card, "--kind", "authentication", "--out", out)
    pins: list[Word] = [f"--{each}-pin-file={card.with_name(each)}.pin" for each in ("signing", "authentication")]
    assert jpki.done("card", "mode", "ordinary", "--card", card, "--case", "2", *pins)["mode"] == "ordinary"


def test_a_request_names_nobody(jpki: Jpki, card: Path) -> None:
    out = card.with_name("csr")
    jpki.done("card", "csr", "--card", card, "--kind", "signing", "--out", out)
    csr = x509.load_der_x509_csr(out.read_bytes())
    assert csr.is_signature_valid
    assert csr.subject.public_bytes() == x509.Name([]).public_bytes()
    assert csr.public_bytes(Encoding.DER) == out.read_bytes()


def test_r21_no_pin_is_printed_or_lies_in_the_file(jpki: Jpki, card: Path) -> None:
    change: list[Word] = [
        "card",
        "pin",
        "--card",
        card,
        "--kind",
        "signing",
        "--new-pin-file",
        card.with_name("another.pin"),
    ]
    given: list[Word] = ["--pin-file", card.with_name("another.pin")]
    answers = [
        jpki(*change, "--pin-file", card.with_name("wrong.pin")),
        jpki(*change, "--pin-file", card.with_name("signing.pin")),
        jpki("card", "info", "--card", card),
        jpki("card", "unlock", "--card", card, "--kind", "authentication", *given, *change[-2:]),
    ]
    assert [each.code for each in answers] == [1, 0, 0, 1]
    seen = "".join(each.out + each.err for each in answers) + card.read_text()
    assert not [word for word in (SIGNING, ANOTHER, "WRONG000") if word in seen]
    assert json.loads(card.read_text())["slots"]["signing"]["pin"]["left"] == 5


def test_r21_a_pin_comes_through_a_descriptor_and_is_in_no_argument(installed: Path, card: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, f"{AUTHENTICATION}\n".encode())
    os.close(writing)
    words = [installed, "card", "pin", "--card", card, "--kind", "authentication"]
    words += ["--pin-file", f"/dev/fd/{reading}", "--new-pin-file", card.with_name("new.pin")]
    pin(card.parent, "new", "0000")
    done = subprocess.run(list(map(str, words)), pass_fds=[reading], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_a_terminal_or_a_file_no_pin_is_taken(installed: Path, card: Path) -> None:
    words = [installed, "card", "pin", "--card", card, "--kind", "authentication"]
    done = subprocess.run(
        list(map(str, words)), stdin=subprocess.DEVNULL, capture_output=True, check=False, start_new_session=True
    )
    assert done.returncode == 1
    assert json.loads(card.read_text())["slots"]["authentication"]["pin"]["left"] == 3
