"""`jpki sign` and `jpki verify`: what is signed, what is refused, and the exit code of every verdict."""

import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from jpki.certificate import Purpose
from jpki.clock import iso, system_clock
from server.cli.frame import run
from signing.samples import tax_return_pdf
from tests.conftest import PROJECT
from tests.server.conftest import AgedHome, Town, certificate_in, serial_in
from tests.server.console import Answer, Jpki, Word, refusal
from tests.signing.hostile import huge_value, packed_catalog

XTX = PROJECT / "examples" / "return.xtx"
USAGE = 64
ACCEPT, REFUSE, UNDECIDED, UNREADABLE = 0, 1, 2, 3


def credential(folder: Path) -> tuple[Word, ...]:
    return ("--certificate", folder / "certificate.pem", "--key", folder / "key.pem")


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents that nobody signed."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "return.pdf").write_bytes(tax_return_pdf(["Income tax return"]))
    shutil.copy(XTX, folder / "return.xtx")
    (folder / "return.txt").write_text("確定申告書", "utf-8")
    return folder


@pytest.fixture(scope="session")
def signed(issued_town: Path, plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, signed with the town's signing certificate."""
    folder = tmp_path_factory.mktemp("signed")
    for name, to in (("return.pdf",) * 2, ("return.xtx",) * 2, ("return.txt", "return.p7m")):
        words = ["sign", plain / name, *credential(issued_town / "signing"), "--out", folder / to]
        assert run([str(word) for word in words]) == 0
    return folder


def altered(file: Path, to: Path, old: bytes, new: bytes) -> Path:
    content = file.read_bytes()
    assert content.count(old) >= 1
    to.write_bytes(content.replace(old, new, 1))
    return to


def tampered(signed: Path, folder: Path) -> Path:
    """The signed CMS with one word of its content changed."""
    return altered(signed / "return.p7m", folder / "tampered.p7m", "確定".encode(), "修正".encode())


# --- sign ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "form"), [("return.pdf", "pdf"), ("return.xtx", "xml"), ("return.txt", "cms")])
def test_sign_knows_the_format_by_the_content(
    jpki: Jpki, town: Town, plain: Path, tmp_path: Path, name: str, form: str
) -> None:
    out = tmp_path / "signed"
    made = jpki.done("sign", plain / name, *credential(town.signing), "--out", out)
    assert made == {"schema": "jpki.sign/1", "file": str(out), "format": form}
    assert jpki.judged(ACCEPT, "verify", out, "--home", town.home)["decision"] == "accept"


def test_a_pdf_can_be_signed_as_any_file(jpki: Jpki, town: Town, plain: Path, tmp_path: Path) -> None:
    words = ("sign", plain / "return.pdf", *credential(town.signing), "--out", tmp_path / "out.p7m")
    assert jpki.done(*words, "--format", "cms")["format"] == "cms"


def test_sign_refuses_a_certificate_that_is_not_for_signing(
    jpki: Jpki, town: Town, plain: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.p7m"
    words = ("sign", plain / "return.txt", *credential(town.authentication), "--out", out)
    refused = jpki.refused(*words)
    assert (refused.exit, refused.code) == (1, "not-a-signing-certificate")
    assert not out.exists()
    jpki.done(*words, "--force")
    assert jpki.judged(REFUSE, "verify", out, "--home", town.home)["decision"] == "refuse"


def test_sign_never_overwrites(jpki: Jpki, town: Town, plain: Path, tmp_path: Path) -> None:
    document = Path(shutil.copy(plain / "return.txt", tmp_path))
    refused = jpki.refused("sign", document, *credential(town.signing), "--out", document)
    assert (refused.exit, refused.code) == (1, "file-exists")
    assert document.read_bytes() == (plain / "return.txt").read_bytes()


@pytest.mark.slow
def test_sign_on_a_full_disk_leaves_nothing(
    installed: Path, program: Callable[[str], str], town: Town, plain: Path, tmp_path: Path
) -> None:
    words = ["sign", plain / "return.txt", *credential(town.signing), "--out", tmp_path / "out", "--json"]
    command = [program("prlimit"), "--fsize=100", installed, *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    refused = refusal(Answer(ended.returncode, ended.stdout, ended.stderr))
    assert (refused.exit, refused.code) == (1, "file-unwritable")
    assert not (tmp_path / "out").exists()


def test_sign_refuses_another_certificates_key(jpki: Jpki, town: Town, plain: Path, tmp_path: Path) -> None:
    pair = ("--certificate", town.signing / "certificate.pem", "--key", town.authentication / "key.pem")
    refused = jpki.refused("sign", plain / "return.txt", *pair, "--out", tmp_path / "out")
    assert (refused.exit, refused.code) == (1, "key-mismatch")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("option", "code"), [("--certificate", "certificate-unreadable"), ("--key", "key-unreadable")])
def test_sign_refuses_garbage_for_a_credential(
    jpki: Jpki, town: Town, plain: Path, tmp_path: Path, option: str, code: str
) -> None:
    words = ("sign", plain / "return.txt", *credential(town.signing), "--out", tmp_path / "out")
    refused = jpki.refused(*words, option, plain / "return.txt")
    assert (refused.exit, refused.code) == (1, code)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["pdf", "xml"])
def test_sign_refuses_a_document_that_is_not_of_the_format(
    jpki: Jpki, town: Town, plain: Path, tmp_path: Path, form: str
) -> None:
    words = ("sign", plain / "return.txt", *credential(town.signing), "--out", tmp_path / "out", "--format", form)
    assert jpki.refused(*words).exit == 1
    assert not (tmp_path / "out").exists()


def test_a_sealed_key_opens_with_its_passphrase(
    jpki: Jpki, town: Town, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = load_pem_private_key((town.signing / "key.pem").read_bytes(), None)
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame"))
    (tmp_path / "sealed.pem").write_bytes(sealed)
    words = ("sign", plain / "return.txt", *credential(town.signing), "--out", tmp_path / "out")
    words = (*words, "--key", tmp_path / "sealed.pem")
    assert jpki.refused(*words).code == "key-unreadable"
    monkeypatch.setenv("JPKI_KEY_PASSPHRASE", "wrong")
    assert jpki.refused(*words).code == "key-unreadable"
    monkeypatch.setenv("JPKI_KEY_PASSPHRASE", "open sesame")
    jpki.done(*words)


# --- verify: the exit code of each verdict -------------------------------------------------------------------------


def test_a_good_signature_is_accepted_with_all_that_was_checked(jpki: Jpki, town: Town, signed: Path) -> None:
    verdict = jpki.judged(ACCEPT, "verify", signed / "return.pdf", "--home", town.home)
    assert verdict["schema"] == "jpki.verify/1"
    [file] = verdict["files"]
    assert (file["path"], file["decision"]) == (str(signed / "return.pdf"), "accept")
    [signature] = file["signatures"]
    assert set(signature) >= {"indication", "sub_indication", "signer", "signed_at", "checks", "sentence"}
    assert signature["indication"] == "TOTAL-PASSED"
    assert signature["signer"]["serial"] == serial_in(town.signing)
    assert signature["signer"]["trust_domain"] == "lab"
    assert {"name", "outcome", "reason", "evidence"} <= set(signature["checks"][0])
    assert set(signature["sentence"]) == {"ja", "en"}


def test_r21_attributes_are_shown_only_where_they_are_asked_for(jpki: Jpki, town: Town, signed: Path) -> None:
    words = ("verify", signed / "return.p7m", "--home", town.home)
    for form in (["--json"], ["--lang", "ja"]):
        assert "花子" not in jpki(*words, *form).out
        assert "花子" in jpki(*words, *form, "--show-attributes").out


def test_a_signature_beside_its_document(jpki: Jpki, town: Town, plain: Path, tmp_path: Path) -> None:
    document, signature = plain / "return.pdf", tmp_path / "return.p7s"
    credential = ("--certificate", town.signing / "certificate.pem", "--key", town.signing / "key.pem")
    jpki.done("sign", document, *credential, "--out", signature, "--format", "cms", "--detached")
    verify = ("verify", signature, "--home", town.home)
    assert jpki.judged(ACCEPT, *verify, "--content", document)["decision"] == "accept"
    jpki.judged(REFUSE, *verify, "--content", plain / "return.xtx")
    jpki.judged(UNDECIDED, *verify)
    assert jpki(*verify, document, "--content", document).code == USAGE
    assert jpki(*verify, "--content", tmp_path / "nowhere").code == USAGE
    refused = jpki.refused("sign", document, *credential, "--out", tmp_path / "x", "--format", "pdf", "--detached")
    assert refused.code == "detached-of-cms-only"


def test_a_report_for_other_judges(jpki: Jpki, town: Town, signed: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    words = ("--home", town.home, "--etsi-report", report)
    jpki.judged(ACCEPT, "verify", signed / "return.pdf", signed / "return.xtx", *words)
    assert report.read_text("utf-8").count(":mainindication:total-passed") == 2
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert jpki("verify", signed / "return.pdf", *words).code == USAGE
    report.unlink()
    nothing = tmp_path / "nothing.pdf"
    nothing.write_bytes(b"%PDF-1.7")
    jpki.judged(UNREADABLE, "verify", nothing, *words)
    assert not report.exists()


def test_a_tampered_document_is_refused(jpki: Jpki, town: Town, signed: Path, tmp_path: Path) -> None:
    verdict = jpki.judged(REFUSE, "verify", tampered(signed, tmp_path), "--home", town.home)
    assert verdict["files"][0]["signatures"][0]["sub_indication"] == "HASH_FAILURE"


def test_without_a_word_on_revocation_nothing_is_decided(jpki: Jpki, town: Town, signed: Path) -> None:
    words = ("verify", signed / "return.p7m", "--trust", town.signing / "chain.pem")
    verdict = jpki.judged(UNDECIDED, *words)
    [signature] = verdict["files"][0]["signatures"]
    assert "revocation is unchecked" in signature["sentence"]["en"]
    assert signature["signer"]["trust_domain"] == "configured"


def test_without_any_trust_nothing_is_decided(jpki: Jpki, signed: Path) -> None:
    verdict = jpki.judged(UNDECIDED, "verify", signed / "return.p7m")
    assert verdict["files"][0]["signatures"][0]["sub_indication"] == "NO_CERTIFICATE_CHAIN_FOUND"


def test_trust_that_is_given_takes_the_place_of_the_homes(
    jpki: Jpki, town: Town, aged: AgedHome, signed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "foreign"
    jpki.done("renew", aged.serials[Purpose.SIGNING], "--home", aged.home, "--out", out)
    words = ("verify", signed / "return.p7m", "--home", town.home, "--trust", out / "chain.pem")
    verdict = jpki.judged(UNDECIDED, *words)
    assert verdict["files"][0]["signatures"][0]["sub_indication"] == "NO_CERTIFICATE_CHAIN_FOUND"
    jpki.judged(ACCEPT, *words, "--trust", town.signing / "chain.pem")


@pytest.mark.parametrize("content", [b"garbage", b"", b"%PDF-1.7\n", b"<xml", b"0\x82\x10\x00cut", b"\x00" * 5000])
def test_what_cannot_be_read_is_unreadable(jpki: Jpki, home: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "document").write_bytes(content)
    verdict = jpki.judged(UNREADABLE, "verify", tmp_path / "document", "--home", home)
    assert verdict["decision"] == "unreadable"
    assert set(verdict["files"][0]["reason"]) == {"ja", "en"}


@pytest.mark.parametrize("name", ["return.pdf", "return.xtx"])
def test_a_document_without_a_signature_is_unreadable(jpki: Jpki, home: Path, plain: Path, name: str) -> None:
    jpki.judged(UNREADABLE, "verify", plain / name, "--home", home)


def test_of_several_files_the_worst_decides(jpki: Jpki, town: Town, signed: Path, plain: Path, tmp_path: Path) -> None:
    good, bad, none = signed / "return.p7m", tampered(signed, tmp_path), plain / "return.txt"
    trust = ("--trust", town.signing / "chain.pem")
    home = ("--home", town.home)
    assert jpki("verify", good, signed / "return.pdf", *home).code == ACCEPT
    assert jpki("verify", good, bad, *home).code == REFUSE
    assert jpki("verify", none, bad, good, *home).code == UNREADABLE
    assert jpki("verify", bad, good, *trust).code == REFUSE
    assert jpki("verify", good, none, *trust).code == UNREADABLE
    verdict = jpki.judged(UNREADABLE, "verify", good, none, bad, *home)
    assert verdict["decision"] == "unreadable"
    assert [file["decision"] for file in verdict["files"]] == ["accept", "unreadable", "refuse"]


@pytest.mark.slow
def test_many_files_are_judged_in_order_and_told_of_while_it_lasts(
    jpki: Jpki, town: Town, signed: Path, plain: Path, tmp_path: Path
) -> None:
    slow = tmp_path / "slow.pdf"
    slow.write_bytes(huge_value(1024 * 1024))
    files = [signed / "return.pdf", slow, plain / "return.txt", *[signed / "return.p7m"] * 5, slow]
    answer = jpki("verify", *files, "--home", town.home, "--json")
    assert [each["path"] for each in json.loads(answer.out)["files"]] == [str(each) for each in files]
    assert re.search(r"\d of 9 files judged|9件中\d件を判定しました", answer.err)


@pytest.mark.slow
def test_of_a_folder_every_file_is_judged(jpki: Jpki, town: Town, signed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "returns"
    shutil.copytree(signed, folder / "b" / "2025")
    shutil.copy(signed / "return.pdf", folder / "a.pdf")
    for hidden in (folder / ".hidden.pdf", folder / ".git" / "x.pdf"):
        hidden.parent.mkdir(exist_ok=True)
        hidden.write_bytes(b"%PDF")
    (folder / "link.pdf").symlink_to(signed / "return.pdf")
    (folder / "links").symlink_to(signed)
    os.mkfifo(folder / "pipe.pdf")
    verdict = jpki.judged(ACCEPT, "verify", folder, signed / "return.p7m", "--home", town.home)
    names = ["a.pdf", "b/2025/return.p7m", "b/2025/return.pdf", "b/2025/return.xtx"]
    judged = [file["path"] for file in verdict["files"]]
    assert judged == [*(str(folder / name) for name in names), str(signed / "return.p7m")]
    assert jpki("verify", folder, "--home", town.home, "--content", signed / "return.pdf").code == USAGE


def test_a_folder_without_a_file_is_a_mistake(jpki: Jpki, tmp_path: Path) -> None:
    assert jpki("verify", tmp_path).code == USAGE


def test_a_bomb_is_a_verdict_with_its_reason(jpki: Jpki, town: Town, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile.pdf"
    hostile.write_bytes(packed_catalog(65 * 1024 * 1024))
    verdict = jpki.judged(UNREADABLE, "verify", hostile, "--home", town.home)
    assert "too large" in verdict["files"][0]["reason"]["en"]


# --- verify: what went wrong before a verdict ----------------------------------------------------------------------


def mistakes() -> dict[str, Callable[[Path], tuple[Word, ...]]]:
    return {
        "a missing file": lambda folder: ("verify", folder / "nowhere"),
        "a missing file among others": lambda folder: ("verify", folder / "garbage", folder / "nowhere"),
        "a directory for a trust anchor": lambda folder: ("verify", folder / "garbage", "--trust", folder),
        "no file": lambda _: ("verify",),
        "a missing home": lambda folder: ("verify", folder / "garbage", "--home", folder / "nowhere"),
        "a home that is none": lambda folder: ("verify", folder / "garbage", "--home", folder),
        "a trust anchor that is none": lambda folder: ("verify", folder / "garbage", "--trust", folder / "garbage"),
        "a list that is none": lambda folder: ("verify", folder / "garbage", "--crl", folder / "garbage"),
        "a list that is missing": lambda folder: ("verify", folder / "garbage", "--crl", folder / "nowhere"),
        "a URL that is none": lambda folder: ("verify", folder / "garbage", "--ocsp", "ftp://ca.example"),
        "a time that is none": lambda folder: ("verify", folder / "garbage", "--at", "yesterday"),
    }


@pytest.mark.parametrize("words", mistakes().values(), ids=mistakes())
def test_exit_codes_of_verdicts_are_never_used_for_mistakes(
    jpki: Jpki, tmp_path: Path, words: Callable[[Path], tuple[Word, ...]]
) -> None:
    (tmp_path / "garbage").write_text("garbage")
    assert jpki.refused(*words(tmp_path)).exit == 64


def test_what_is_no_plain_file_is_not_waited_for(jpki: Jpki, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert jpki.refused("verify", tmp_path / "pipe").exit == 64


def test_a_home_with_wrong_settings_gives_no_verdict(jpki: Jpki, home: Path, signed: Path) -> None:
    (home / "jpki.toml").write_text("nonsense = 1")
    refused = jpki.refused("verify", signed / "return.p7m", "--home", home)
    assert (refused.exit, refused.code) == (64, "settings-invalid")


# --- verify: revocation and time -----------------------------------------------------------------------------------


def list_of(town: Town, status: dict[str, str]) -> Path:
    return town.home / "crl" / status["kind"] / status["generation"] / f"{status['partition']}.crl"


def test_the_partitions_list_of_the_home_decides_offline(jpki: Jpki, town: Town, signed: Path, tmp_path: Path) -> None:
    status = jpki.done("status", serial_in(town.signing), "--home", town.home)
    words = ("verify", signed / "return.p7m", "--trust", town.signing / "chain.pem", "--crl")
    good = shutil.copy(list_of(town, status), tmp_path / "good.crl")
    assert jpki.judged(ACCEPT, *words, good)["decision"] == "accept"
    jpki.done("revoke", serial_in(town.signing), "--home", town.home, "--reason", "keyCompromise")
    jpki.done("crl", "publish", "--home", town.home)
    assert jpki.judged(REFUSE, *words, list_of(town, status))["decision"] == "refuse"


def test_an_older_complete_list_decides_as_its_delta_brings_it_up_to_date(
    jpki: Jpki, town: Town, signed: Path, tmp_path: Path
) -> None:
    status = jpki.done("status", serial_in(town.signing), "--home", town.home)
    folder = list_of(town, status).parent
    words = ("verify", signed / "return.p7m", "--trust", town.signing / "chain.pem", "--crl")
    older = shutil.copy(folder / "complete.crl", tmp_path / "older.crl")
    jpki.done("revoke", serial_in(town.signing), "--home", town.home, "--reason", "keyCompromise")
    jpki.done("crl", "publish", "--home", town.home)
    delta, other = folder / "delta.crl", town.home / "crl" / "authentication" / "a1" / "delta.crl"
    assert jpki.judged(ACCEPT, *words, older)["decision"] == "accept", "it does not know yet"
    assert jpki.judged(REFUSE, *words, older, "--crl", delta)["decision"] == "refuse"
    assert jpki.judged(REFUSE, *words, delta, "--crl", folder / "complete.crl")["decision"] == "refuse"
    for given, code in (((delta,), "crl-no-delta"), ((older, "--crl", other), "crl-delta-foreign")):
        refused = jpki.refused(*words, *given)
        assert (refused.exit, refused.code) == (USAGE, code)


def test_a_list_of_another_partition_has_no_say(jpki: Jpki, town: Town, signed: Path) -> None:
    other = list_of(town, jpki.done("status", serial_in(town.authentication), "--home", town.home))
    words = ("verify", signed / "return.p7m", "--trust", town.signing / "chain.pem", "--crl", other)
    assert jpki.judged(UNDECIDED, *words)["decision"] == "undecided"


def test_a_revoked_signer_is_refused_but_not_before_the_revocation(jpki: Jpki, town: Town, signed: Path) -> None:
    home = ("--home", town.home)
    jpki.done("revoke", serial_in(town.signing), *home, "--reason", "affiliationChanged")
    for document in ("return.pdf", "return.xtx", "return.p7m"):
        words = ("verify", signed / document, *home)
        assert jpki.judged(REFUSE, *words)["decision"] == "refuse"
        before = certificate_in(town.signing).not_valid_before_utc
        assert jpki.judged(ACCEPT, *words, "--at", iso(before))["decision"] == "accept"
        assert jpki.judged(REFUSE, *words, "--at", iso(system_clock() + timedelta(seconds=2)))["decision"] == "refuse"


def test_before_the_certificate_and_after_it_nothing_is_accepted(jpki: Jpki, town: Town, signed: Path) -> None:
    words = ("verify", signed / "return.p7m", "--home", town.home, "--at")
    for moment in ("1999-01-01", "2001-01-01T00:00:00", "2033-01-01T00:00:00+09:00"):
        assert jpki(*words, moment).code == UNDECIDED


def test_a_policy_asks_for_more(jpki: Jpki, town: Town, signed: Path) -> None:
    words = ("--home", town.home, "--policy")
    assert jpki.judged(ACCEPT, "verify", signed / "return.pdf", *words, "e-tax")["decision"] == "accept"
    for name, policy in (("return.p7m", "e-tax"), ("return.pdf", "e-tax-strict"), ("return.pdf", "archive")):
        assert jpki.judged(UNDECIDED, "verify", signed / name, *words, policy)["decision"] == "undecided"
    assert jpki.refused("verify", signed / "return.pdf", *words, "e-taxes").exit == 64


# --- whose signature it must be --------------------------------------------------------------------------------------


def test_verify_compares_the_signer_with_holder_json(jpki: Jpki, town: Town, signed: Path, tmp_path: Path) -> None:
    holder = json.loads((PROJECT / "examples" / "holder.json").read_text("utf-8"))
    other = tmp_path / "other.json"
    other.write_text(json.dumps(holder | {"name": "日本　太郎"}), "utf-8")
    words = ("verify", signed / "return.xtx", "--home", town.home, "--holder")
    own = jpki.judged(ACCEPT, *words, PROJECT / "examples" / "holder.json")
    refused = jpki.judged(REFUSE, *words, other)
    (told,) = refused["files"][0]["signatures"]
    assert told["checks"][-1]["evidence"] == {"differs": "name"}
    for attribute in ("日本", "太郎", "花子", holder["address"], holder["birth_date"], "19900401"):
        assert attribute not in json.dumps([own, refused], ensure_ascii=False)


def test_verify_takes_only_a_sound_holder_json(jpki: Jpki, town: Town, signed: Path, tmp_path: Path) -> None:
    odd = tmp_path / "holder.json"
    words = ("verify", signed / "return.xtx", "--home", town.home, "--holder", odd)
    assert jpki.refused(*words).exit == USAGE
    for content, code in (("[]", "holder-malformed"), ("{}", "holder-invalid")):
        odd.write_text(content, "utf-8")
        refused = jpki.refused(*words)
        assert (refused.exit, refused.code) == (USAGE, code)
