"""`jpki ceremony`, and `jpki init` by a plan: what is made, what is recorded, and what is refused."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from ca.plan import default_plan
from ca.profile import CARD_V1
from jpki.acts import Act
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import system_clock
from jpki.ids import GenerationId
from jpki.randomness import system_randomness
from server.founding import found
from server.home import Home
from server.settings import Settings
from server.wiring import open_rooms
from tests.conftest import PROJECT, SteppingClock
from tests.server.conftest import Town, certificate_in, copied, serial_in
from tests.server.console import Jpki
from tests.server.people import holder_file

PLAN = PROJECT / "examples" / "ceremony.toml"
NEXT = """
purpose = "第2世代の鍵の作成"
place = "鍵室"
present = [{role = "立会人", name = "P-007"}]
[[generation]]
ca = "signing"
number = 2
key = "rsa-3072"
label = "ca-signing-of-2031"
"""


def record_in(home: Path, name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((home / "ceremonies" / name).read_text("utf-8"))["record"]
    return body


def acts(home: Path) -> list[str]:
    rooms = open_rooms(Home(home))
    rooms.notary.chain()
    found: list[str] = [each.event.act for each in rooms.store.audit_log.entries() if each.event is not None]
    rooms.close()
    return found


def written(folder: Path, text: str) -> Path:
    file = folder / "plan.toml"
    file.write_text(text, "utf-8")
    return file


# --- init by a plan ------------------------------------------------------------------------------------------------


def test_init_follows_the_plan_and_records_who_was_there(jpki: Jpki, tmp_path: Path) -> None:
    home = tmp_path / "home"
    made = jpki.done("init", "--home", home, "--ceremony", PLAN)
    assert made["ceremony"] == str(home / "ceremonies" / "0001-found.json")
    body = record_in(home, "0001-found.json")
    assert [each["name"] for each in body["plan"]["present"]] == ["P-001", "P-002", "P-003"]
    assert body["plan"]["place"] == "Key room 1, test site"
    assert [each["command"] for each in body["commands"]] == ["jpki init --ceremony ceremony.toml"]
    assert [each["generation"] for each in body["generations"]] == ["s1", "a1", "i1"]
    assert [each["sha256"] for each in made["cas"]] == [each["sha256"] for each in body["generations"][:2]]
    assert sorted(each["kind"] for each in body["certificates"]) == ["clerk", *["responder"] * 2, *["root"] * 3]
    signing = body["generations"][0]
    assert signing["key"]["attributes"]["kind"] == "rsa-2048"
    assert (signing["key"]["uri"], signing["key"]["attributes"]["sign"]) == ("software:ca-signing-s1", True)


def test_a_plan_decides_on_keys_labels_and_profile(jpki: Jpki, tmp_path: Path) -> None:
    text = PLAN.read_text("utf-8").replace("card-v1", "card-v2").replace('"rsa-2048"', '"rsa-4096"')
    home = tmp_path / "home"
    made = jpki.done(
        "init", "--home", home, "--ceremony", written(tmp_path, text.replace("ca-signing-s1", "ca-signing-first"))
    )
    assert made["profile"] == "card-v2"
    passphrase = (home / "secrets" / "key-passphrase").read_bytes()
    for name, size in (("ca-signing-first", 4096), ("ca-authentication-a1", 384)):
        key = load_pem_private_key((home / "keys" / f"{name}.pem").read_bytes(), passphrase)
        assert key.key_size == size  # type: ignore[union-attr]


def test_the_audit_knows_of_a_ceremony_before_its_keys_sign(home: Path) -> None:
    known = acts(home)
    assert known[0] == Act.SEALING_KEY_MADE
    assert [known.index(act) for act in (Act.CEREMONY, Act.DELEGATE_WILL_SIGN)] == [1, 2]
    end = known.index("ceremony closed") + 1
    assert known[:end].count(Act.DELEGATE_SIGNED) == 6
    assert known[end - 5 : end] == ["ceremony record will be signed", *["generation issues"] * 3, "ceremony closed"]


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ('purpose = "', 'aim = "', "aim is no field of a plan"),
        ('purpose = "The first generations of both authorities"', 'purpose = ""', "purpose must say"),
        ('profile = "card-v1"', 'profile = "card-v9"', "profile must be card-v1 or card-v2"),
        ('role = "witness"\n', "", "present.3.role must be a role"),
        ("[[present]]", "[[absent]]", "present needs the role and name"),
        ('ca = "authentication"', 'ca = "encryption"', "generation.2.ca must be"),
        ('key = "rsa-2048"', 'key = "rsa-1024"', "generation.1.key must be one of"),
        ('label = "ca-signing-s1"', 'label = "../x"', "generation.1.label must be of"),
        ("number = 1", "number = 0", "generation.1.number must be a whole number"),
        ("number = 1", "number = true", "generation.1.number must be a whole number"),
        ('ca = "authentication"', 'ca = "signing"', "ca signing stands twice"),
        ('label = "ca-signing-s1"', 'label = "ca-authentication-a1"', "label ca-authentication-a1 must begin with"),
        ('purpose = "', "purpose = ", "is not TOML"),
    ],
)
def test_a_wrong_plan_is_one_clear_error(jpki: Jpki, tmp_path: Path, old: str, new: str, mistake: str) -> None:
    text = PLAN.read_text("utf-8")
    assert old in text
    refused = jpki.refused("init", "--home", tmp_path / "home", "--ceremony", written(tmp_path, text.replace(old, new)))
    assert (refused.exit, refused.code) == (64, "plan-invalid")
    assert mistake in refused.english
    assert not (tmp_path / "home").exists()


def test_a_plan_that_does_not_fit_makes_nothing(jpki: Jpki, tmp_path: Path, home: Path) -> None:
    keys = sorted((home / "keys").iterdir())
    new = tmp_path / "new"
    assert jpki.refused("init", "--home", new, "--ceremony", written(tmp_path, NEXT)).code == "plan-unfit"
    assert jpki.refused("init", "--home", new, "--ceremony", PLAN, "--profile", "card-v2").code == "plan-unfit"
    assert jpki.refused("init", "--home", new, "--ceremony", tmp_path / "none").exit == 64
    assert not new.exists()
    assert jpki.refused("ceremony", "new-generation", "--home", home, "--plan", PLAN).code == "plan-unfit"
    plan = written(tmp_path, NEXT)
    for act in ("compromise", "retire"):
        refused = jpki.refused("ceremony", act, "--home", home, "--generation", "s1", "--plan", plan)
        assert refused.code == "plan-unfit"
    assert sorted((home / "keys").iterdir()) == keys
    assert jpki.done("doctor", "--home", home)["healthy"]


# --- a new generation ----------------------------------------------------------------------------------------------


def test_issuing_moves_to_a_new_generation_and_the_old_one_lives_on(jpki: Jpki, town: Town, tmp_path: Path) -> None:
    held = jpki.done("ceremony", "new-generation", "--home", town.home, "--ca", "both")["held"]
    assert [each["kind"] for each in held] == ["new-generation"]
    for purpose, old, new in (("signing", "s1", "s2"), ("authentication", "a1", "a2")):
        folders = {each: {file.name for file in (town.home / "crl" / purpose / each).iterdir()} for each in (old, new)}
        assert folders[old] == folders[new] > {"complete.crl"}
    holder = holder_file(tmp_path, code="H-0002")
    for kind in ("authentication", "signing"):
        jpki.done("issue", "--home", town.home, "--kind", kind, "--holder", holder, "--out", tmp_path / kind)
        chain = x509.load_pem_x509_certificate((tmp_path / kind / "chain.pem").read_bytes())
        issued = certificate_in(tmp_path / kind)
        issued.verify_directly_issued_by(chain)
        assert issued.issuer == certificate_in(town.folder / kind).issuer
        assert f"/ca/{kind}/{kind[0]}2.cer".encode() in issued.public_bytes(Encoding.DER)
        assert f"/crl/{kind}/{kind[0]}2/".encode() in issued.public_bytes(Encoding.DER)
    told = {each["name"]: each["title"]["en"] for each in jpki.done("doctor", "--home", town.home)["checks"]}
    assert told["generation-s2"].startswith("s2  issues until")
    assert told["generation-s1"].startswith("s1  answers until")
    revoked = jpki.done("revoke", serial_in(town.signing), "--home", town.home, "--reason", "keyCompromise")
    assert revoked["state"] == "revoked"
    jpki.done("crl", "publish", "--home", town.home)
    for generation in ("s1", "s2"):
        lists = x509.load_der_x509_crl((town.home / "crl" / "signing" / generation / "complete.crl").read_bytes())
        assert [each.serial_number for each in lists] == [certificate_in(town.signing).serial_number]


def test_a_new_generation_by_a_plan(jpki: Jpki, home: Path, tmp_path: Path) -> None:
    jpki.done("ceremony", "new-generation", "--home", home, "--plan", written(tmp_path, NEXT))
    body = record_in(home, "0002-new-generation.json")
    assert body["plan"]["present"] == [{"role": "立会人", "name": "P-007"}]
    assert [each["generation"] for each in body["signed_by"]] == ["s2"]
    assert body["generations"][0]["key"]["uri"] == "software:ca-signing-of-2031"
    assert body["generations"][0]["key"]["attributes"]["kind"] == "rsa-3072"


@pytest.mark.parametrize("words", ["", "--ca encryption", "--ca both --plan {plan}", "--plan /nowhere"])
def test_what_to_make_is_said_once(jpki: Jpki, home: Path, tmp_path: Path, words: str) -> None:
    line = words.format(plan=written(tmp_path, NEXT)).split()
    assert jpki.refused("ceremony", "new-generation", "--home", home, *line).exit == 64


def test_a_label_that_is_taken_is_not_taken_over(jpki: Jpki, home: Path, tmp_path: Path) -> None:
    """No key is ever overwritten; what was begun is then finished under a label of its own (rule R19)."""
    taken = home / "keys" / "ca-signing-s1.pem"
    before = taken.read_bytes()
    plan = written(tmp_path, NEXT.replace("ca-signing-of-2031", "ca-signing-s1"))
    refused = jpki.refused("ceremony", "new-generation", "--home", home, "--plan", plan)
    assert (refused.exit, refused.code) == (1, "key-exists")
    assert jpki.refused("ceremony", "new-generation", "--home", home, "--ca", "both").code == "ceremony-unfinished"
    jpki.done("ceremony", "resume", "--home", home)
    body = record_in(home, "0002-new-generation.json")
    assert body["lost_labels"] == ["ca-signing-s1"]
    assert body["generations"][0]["key"]["uri"] == "software:ca-signing-s1-2"
    assert len(body["commands"]) == 2
    assert taken.read_bytes() == before


# --- the old beside the new ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def neglected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of two generations, the first signing one compromised, that nobody served for forty days."""
    past = SteppingClock(system_clock())
    past.advance(days=-40)
    rooms = found(Home(tmp_path_factory.mktemp("neglected") / "home"), Settings(), past, system_randomness)
    numbers = {Purpose.SIGNING: 2, Purpose.AUTHENTICATION: 2}
    rooms.ceremonies.new_generation(default_plan(CARD_V1, numbers, "a test"), "jpki ceremony new-generation")
    attendance = default_plan(CARD_V1, {}, "a test")
    rooms.ceremonies.finish(rooms.ceremonies.compromise(GenerationId("s1"), attendance, "jpki ceremony compromise"))
    rooms.close()
    return rooms.home.path


def test_r05_every_generation_that_answers_renews_its_responder(jpki: Jpki, neglected: Path, tmp_path: Path) -> None:
    home = copied(neglected, tmp_path / "home")
    serve = ("serve", "--home", home, "--host", "192.0.2.1", "--port", "0")
    assert jpki.refused(*serve, "--door", "ocsp").code == "responder-expired"
    assert set(failing(jpki, home)) == {"responders", "lists"}
    jpki.done("crl", "publish", "--home", home)
    assert jpki.done("doctor", "--home", home)["healthy"]
    rooms = open_rooms(Home(home))
    for purpose in HOLDER_PURPOSES:
        answering = rooms.store.generations.answering(purpose, rooms.clock())
        assert [each.id[1:] for each in answering] == ["2", "1"]
        for generation in answering:
            newest = rooms.store.delegates.responders(generation.id)[0].certificate
            assert rooms.clock() + timedelta(days=29) < newest.not_valid_after_utc <= generation.not_after
            newest.verify_directly_issued_by(generation.certificate)
    rooms.close()
    # The address is nobody's here: it came as far as listening.
    assert jpki.refused(*serve, "--door", "ocsp").code == "port-busy"


# --- a compromise --------------------------------------------------------------------------------------------------


def test_a_compromised_generation_dies_at_once(jpki: Jpki, town: Town, tmp_path: Path) -> None:
    document = tmp_path / "letter.txt"
    document.write_text("a letter")
    pair = ("--certificate", town.signing / "certificate.pem", "--key", town.signing / "key.pem")
    jpki.done("sign", document, *pair, "--out", tmp_path / "letter.p7m")
    assert jpki.done("verify", tmp_path / "letter.p7m", "--home", town.home)["decision"] == "accept"
    jpki.done("ceremony", "new-generation", "--home", town.home, "--ca", "signing")
    jpki.done("ceremony", "compromise", "--home", town.home, "--generation", "s1")
    judged = jpki.judged(1, "verify", tmp_path / "letter.p7m", "--home", town.home)
    (signature,) = judged["files"][0]["signatures"]
    (revocation,) = [each for each in signature["checks"] if each["name"] == "revocation"]
    assert revocation["evidence"]["reason"] == "cACompromise"
    status = jpki.done("status", serial_in(town.signing), "--home", town.home)
    assert (status["state"], status["reason"]) == ("revoked", "cACompromise")
    assert jpki.done("status", serial_in(town.authentication), "--home", town.home)["state"] == "active"
    for generation in ("s1", "s2"):
        listed = x509.load_der_x509_crl((town.home / "crl/signing" / generation / "complete.crl").read_bytes())
        (entry,) = listed
        assert entry.serial_number == certificate_in(town.signing).serial_number
        assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.ca_compromise
    body = record_in(town.home, "0003-compromise.json")
    assert (body["subject"]["generation"], [each["generation"] for each in body["signed_by"]]) == ("s1", ["i1"])
    doctor = jpki.done("doctor", "--home", town.home)
    assert any("compromised at" in each["title"]["en"] for each in doctor["checks"])
    out = tmp_path / "again"
    assert jpki.done("issue", "--home", town.home, "--kind", "signing", "--holder", holder_file(tmp_path), "--out", out)
    assert jpki.refused("ceremony", "compromise", "--home", town.home, "--generation", "s1").code == (
        "generation-compromised"
    )


def test_where_the_only_generation_is_compromised_nothing_is_issued(jpki: Jpki, home: Path, tmp_path: Path) -> None:
    jpki.done("ceremony", "compromise", "--home", home, "--generation", "s1")
    words = ("issue", "--home", home, "--kind", "signing", "--holder", holder_file(tmp_path), "--out", tmp_path / "out")
    refused = jpki.refused(*words)
    assert (refused.exit, refused.code) == (75, "no-generation")
    assert not jpki.judged(1, "doctor", "--home", home)["healthy"]
    jpki.done("ceremony", "new-generation", "--home", home, "--ca", "signing")
    assert jpki.done(*words)["state"] == "active"
    assert jpki.done("doctor", "--home", home)["healthy"]


def test_a_compromised_key_that_was_taken_away_stops_nothing(jpki: Jpki, town: Town) -> None:
    jpki.done("ceremony", "new-generation", "--home", town.home, "--ca", "signing")
    (town.home / "keys" / "ca-signing-s1.pem").unlink()
    jpki.done("ceremony", "compromise", "--home", town.home, "--generation", "s1")
    listed = x509.load_der_x509_crl((town.home / "crl/signing/s2/complete.crl").read_bytes())
    assert [each.serial_number for each in listed] == [certificate_in(town.signing).serial_number]
    assert jpki.done("doctor", "--home", town.home)["healthy"]


def test_a_door_that_needs_no_key_opens_under_a_compromise_without_any(jpki: Jpki, home: Path) -> None:
    jpki.done("ceremony", "compromise", "--home", home, "--generation", "s1")
    (home / "secrets" / "key-passphrase").unlink()
    # The address is nobody's here: it came as far as listening.
    refused = jpki.refused("serve", "--home", home, "--host", "192.0.2.1", "--port", "0", "--door", "crl")
    assert refused.code == "port-busy"


def test_a_compromise_holds_though_the_keys_are_away(jpki: Jpki, town: Town, tmp_path: Path) -> None:
    away = town.home / "keys"
    away.rename(tmp_path / "away")
    refused = jpki.refused_after_progress("ceremony", "compromise", "--home", town.home, "--generation", "s1")
    assert (refused.exit, refused.code) == (75, "key-not-found")
    assert jpki.done("status", serial_in(town.signing), "--home", town.home)["state"] == "revoked"
    (tmp_path / "away").rename(away)
    found = jpki.judged(1, "doctor", "--home", town.home)["checks"]
    assert "ceremonies" in {each["name"] for each in found if not each["ok"]}
    jpki.done("ceremony", "resume", "--home", town.home)
    assert record_in(town.home, "0002-compromise.json")["subject"]["generation"] == "s1"


def test_the_infrastructure_is_followed_by_a_new_one_that_signs_its_end(jpki: Jpki, home: Path) -> None:
    refused = jpki.refused_after_progress("ceremony", "compromise", "--home", home, "--generation", "i1")
    assert refused.code == "infrastructure-missing"
    jpki.done("ceremony", "new-generation", "--home", home, "--ca", "infrastructure")
    jpki.done("ceremony", "resume", "--home", home)
    assert [each["generation"] for each in record_in(home, "0002-compromise.json")["signed_by"]] == ["i2"]
    assert jpki.done("doctor", "--home", home)["healthy"]


@pytest.mark.parametrize("act", ["compromise", "retire"])
def test_a_generation_that_is_not_there_is_said_to_be_unknown(jpki: Jpki, home: Path, act: str) -> None:
    before = acts(home)
    assert jpki.refused("ceremony", act, "--home", home, "--generation", "s9").code == "generation-unknown"
    assert acts(home) == before


# --- the record ----------------------------------------------------------------------------------------------------


def test_a_record_is_verified_alone_and_against_its_home(jpki: Jpki, home: Path, tmp_path: Path) -> None:
    file = home / "ceremonies" / "0001-found.json"
    alone = jpki.done("ceremony", "verify", file)
    assert (alone["kind"], alone["compared"]) == ("found", False)
    assert [each["generation"] for each in alone["signed_by"]] == ["s1", "a1", "i1"]
    assert jpki.done("ceremony", "verify", file, "--home", home)["compared"] is True
    jpki.done("init", "--home", tmp_path / "other")
    stranger = tmp_path / "other" / "ceremonies" / "0001-found.json"
    assert jpki.done("ceremony", "verify", stranger)["compared"] is False
    assert jpki.refused("ceremony", "verify", stranger, "--home", home).code == "record-foreign"


def test_a_record_that_was_altered_or_lost_is_found_and_written_again(jpki: Jpki, home: Path) -> None:
    file = home / "ceremonies" / "0001-found.json"
    whole = file.read_text("utf-8")
    file.write_text(whole.replace('"local"', '"another"'), "utf-8")
    refused = jpki.refused("ceremony", "verify", file)
    assert (refused.exit, refused.code) == (1, "record-altered")
    assert failing(jpki, home) == {"ceremonies": "ceremony-record-altered"}
    file.unlink()
    assert failing(jpki, home) == {"ceremonies": "ceremony-record-missing"}
    assert jpki.done("ceremony", "resume", "--home", home)["held"] == []
    assert file.read_text("utf-8") == whole
    assert jpki.done("doctor", "--home", home)["healthy"]


def failing(jpki: Jpki, home: Path) -> Mapping[str, str]:
    found = jpki.judged(1, "doctor", "--home", home)["checks"]
    return {each["name"]: each["code"] for each in found if not each["ok"]}


@pytest.mark.parametrize("content", [b"", b"\xff", b"{}"])
def test_what_is_no_record_is_refused(jpki: Jpki, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "record.json"
    file.write_bytes(content)
    refused = jpki.refused("ceremony", "verify", file)
    assert (refused.exit, refused.code) == (1, "record-unreadable")
