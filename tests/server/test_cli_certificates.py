"""`jpki issue`, `renew`, `revoke`, `status`, `crl`: one certificate's life, and every way to ask for it wrongly."""

import os
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from jpki.certificate import Purpose
from jpki.clock import day_in_japan, months_earlier, system_clock, years_later
from tests.server.conftest import AgedHome, Town, certificate_in, serial_in
from tests.server.console import Jpki, Word
from tests.server.people import (
    HOLDER_FILE,
    card_key,
    greedy_request,
    holder_file,
    request,
    tampered_request,
    weak_requests,
)

SPKI = PublicFormat.SubjectPublicKeyInfo


def asking(home: Path, kind: str = "signing", holder: Path = HOLDER_FILE) -> tuple[Word, ...]:
    return ("issue", "--home", home, "--kind", kind, "--holder", holder, "--out", home.parent / "out")


def shape(certificate: x509.Certificate) -> list[Any]:
    """What two certificates of one kind and municipality have in common."""
    return [
        *((each.oid, each.critical) for each in certificate.extensions),
        *(each.oid for each in certificate.subject),
        *(each.value for each in list(certificate.subject)[:-1]),
    ]


def spki(key: Any) -> bytes:  # noqa: ANN401 - any public key of pyca
    return bytes(key.public_bytes(Encoding.DER, SPKI))


# --- issue ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["signing", "authentication"])
def test_issue_delivers_a_live_certificate_with_its_key(jpki: Jpki, home: Path, kind: str) -> None:
    issued = jpki.done(*asking(home, kind))
    out = home.parent / "out"
    assert issued["schema"] == "jpki.issue/1"
    assert (issued["kind"], issued["state"]) == (kind, "active")
    assert issued["files"] == {name: str(out / f"{name}.pem") for name in ("key", "certificate", "chain")}
    assert sorted(file.name for file in out.iterdir()) == ["certificate.pem", "chain.pem", "key.pem"]
    key = load_pem_private_key((out / "key.pem").read_bytes(), None)
    certificate = certificate_in(out)
    chain = x509.load_pem_x509_certificates((out / "chain.pem").read_bytes())
    assert (out / "key.pem").stat().st_mode & 0o777 == 0o600
    assert spki(key.public_key()) == spki(certificate.public_key())
    assert issued["serial"] == serial_in(out)
    certificate.verify_directly_issued_by(chain[0])
    chain[-1].verify_directly_issued_by(chain[-1])


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_issue_for_a_card_makes_no_key(jpki: Jpki, home: Path, tmp_path: Path, encoding: Encoding) -> None:
    (tmp_path / "card.csr").write_bytes(request(card_key()).public_bytes(encoding))
    issued = jpki.done(*asking(home), "--csr", tmp_path / "card.csr")
    out = home.parent / "out"
    assert sorted(issued["files"]) == ["certificate", "chain"]
    assert sorted(file.name for file in out.iterdir()) == ["certificate.pem", "chain.pem"]
    assert spki(certificate_in(out).public_key()) == spki(card_key().public_key())


def test_r17_a_csr_gives_its_key_and_nothing_else(jpki: Jpki, home: Path, town: Town, tmp_path: Path) -> None:
    (tmp_path / "greedy.csr").write_bytes(greedy_request())
    jpki.done(*asking(home), "--csr", tmp_path / "greedy.csr")
    ours, plain = certificate_in(home.parent / "out"), certificate_in(town.signing)
    assert shape(ours) == shape(plain)
    names = x509.SubjectAlternativeName
    assert ours.extensions.get_extension_for_class(names) == plain.extensions.get_extension_for_class(names)
    assert b"attacker" not in ours.public_bytes(Encoding.DER)


BAD_REQUESTS = {
    "garbage": (lambda: b"garbage", "csr-malformed"),
    "empty": (lambda: b"", "csr-malformed"),
    "cut": (lambda: request(card_key()).public_bytes(Encoding.DER)[:-40], "csr-malformed"),
    "huge": (lambda: b"0" * 20_000, "csr-too-large"),
    "bad signature": (tampered_request, "key-not-possessed"),
    "rsa-1024": (lambda: weak_requests()["rsa-1024"], "key-wrong-kind"),
    "exponent-3": (lambda: weak_requests()["exponent-3"], "key-weak"),
    "p-256": (lambda: weak_requests()["p-256"], "key-wrong-kind"),
}


@pytest.mark.parametrize(("make", "code"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_a_bad_csr_leaves_nothing_half_made(
    jpki: Jpki, home: Path, tmp_path: Path, make: Callable[[], bytes], code: str
) -> None:
    (tmp_path / "bad.csr").write_bytes(make())
    refused = jpki.refused(*asking(home), "--csr", tmp_path / "bad.csr")
    assert (refused.exit, refused.code) == (1, code)
    assert not (home.parent / "out").exists()
    assert jpki.done(*asking(home))["state"] == "active"


def test_r17_a_key_that_was_certified_is_refused(jpki: Jpki, home: Path, tmp_path: Path) -> None:
    (tmp_path / "card.csr").write_bytes(request(card_key()).public_bytes(Encoding.PEM))
    jpki.done(*asking(home), "--csr", tmp_path / "card.csr")
    other = holder_file(tmp_path, code="H-0002")
    again = (*asking(home, holder=other)[:-1], tmp_path / "again", "--csr", tmp_path / "card.csr")
    assert jpki.refused(*again).code == "key-reused"
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("form", ["csr", "public key"])
def test_r17_a_blocked_key_gets_no_certificate(jpki: Jpki, home: Path, tmp_path: Path, form: str) -> None:
    csr = request(card_key())
    (tmp_path / "card.csr").write_bytes(csr.public_bytes(Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(card_key().public_key().public_bytes(Encoding.PEM, SPKI))
    file = tmp_path / ("card.csr" if form == "csr" else "key.pem")
    blocked = jpki.done("key", "block", "--home", home, file)
    assert (blocked["schema"], blocked["new"], blocked["certificate"]) == ("jpki.key-block/1", True, None)
    refused = jpki.refused(*asking(home), "--csr", tmp_path / "card.csr")
    assert (refused.exit, refused.code) == (1, "key-blocked")
    assert jpki.done("key", "block", "--home", home, file)["new"] is False
    assert jpki.done(*asking(home))["state"] == "active"


def test_r17_blocking_a_key_names_the_certificate_that_bears_it(jpki: Jpki, town: Town) -> None:
    blocked = jpki.done("key", "block", "--home", town.home, town.signing / "certificate.pem")
    assert blocked["certificate"] == serial_in(town.signing)
    assert jpki.done("status", serial_in(town.signing), "--home", town.home)["state"] == "active"


def test_what_holds_no_public_key_is_not_blocked(jpki: Jpki, home: Path) -> None:
    refused = jpki.refused("key", "block", "--home", home, HOLDER_FILE)
    assert (refused.exit, refused.code) == (1, "key-file-malformed")


BAD_HOLDERS: dict[str, tuple[dict[str, str | None], str]] = {
    "missing field": ({"name": None}, "name"),
    "impossible birthday": ({"birth_date": "1990-02-30"}, "birth_date"),
    "birthday to come": ({"birth_date": "2990-02-03"}, "birth_date"),
    "half-width name": ({"name": "ﾆﾎﾝ　花子"}, "name"),
    "unknown municipality": ({"municipality": "131008"}, "municipality"),
    "wrong check digit": ({"municipality": "131017"}, "municipality"),
    "substitutes too short": ({"name_substitutes": "000"}, "name_substitutes"),
    "unknown gender": ({"gender": "f"}, "gender"),
    "a My Number": ({"code": "123456789012"}, "code"),
}


@pytest.mark.parametrize(("changes", "field"), BAD_HOLDERS.values(), ids=BAD_HOLDERS)
def test_r21_a_wrong_holder_file_is_named_by_field_and_never_by_value(
    jpki: Jpki, home: Path, tmp_path: Path, changes: dict[str, str | None], field: str
) -> None:
    refused = jpki.refused(*asking(home, holder=holder_file(tmp_path, **changes)))
    assert (refused.exit, refused.code) == (1, "holder-invalid")
    assert f"{field} " in refused.english
    for secret in ("花子", "ﾆﾎﾝ", "1990", "2990", "霞が関", "123456789012"):
        assert secret not in refused.printed
    assert not (home.parent / "out").exists()


@pytest.mark.parametrize("content", [b"", b"garbage", b"[]", b"\xff", b"[" * 100_000])
def test_a_holder_file_that_is_no_object_is_refused(jpki: Jpki, home: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "holder.json").write_bytes(content)
    refused = jpki.refused(*asking(home, holder=tmp_path / "holder.json"))
    assert (refused.exit, refused.code) == (1, "holder-malformed")


@pytest.mark.parametrize("option", ["--holder", "--csr"])
def test_a_file_that_is_not_there_is_a_mistake_of_usage(jpki: Jpki, home: Path, tmp_path: Path, option: str) -> None:
    assert jpki.refused(*asking(home), option, tmp_path / "nowhere").exit == 64
    assert jpki.refused(*asking(home), option, tmp_path).exit == 64
    assert not (home.parent / "out").exists()


def test_the_kind_is_one_of_two(jpki: Jpki, home: Path) -> None:
    assert jpki.refused(*asking(home, "infrastructure")).exit == 64


@pytest.mark.parametrize("name", ["key.pem", "certificate.pem", "chain.pem"])
def test_nothing_is_ever_overwritten(jpki: Jpki, home: Path, name: str) -> None:
    out = home.parent / "out"
    out.mkdir()
    (out / name).write_text("mine")
    refused = jpki.refused(*asking(home))
    assert (refused.exit, refused.code) == (1, "file-exists")
    assert [(file.name, file.read_text()) for file in out.iterdir()] == [(name, "mine")]
    assert jpki.done("crl", "publish", "--home", home)["published"] == [], "something was issued, and discarded"
    (out / name).rename(out / "other")
    assert jpki.done(*asking(home))["state"] == "active"


def test_an_out_that_cannot_be_made_is_refused_before_anything_is_issued(jpki: Jpki, home: Path) -> None:
    (home.parent / "out").write_text("mine")
    assert jpki.refused(*asking(home)).exit == 64
    refused = jpki.refused(*asking(home)[:-1], home.parent / "out" / "below")
    assert (refused.exit, refused.code) == (1, "directory-unwritable")
    (home.parent / "out").unlink()
    assert jpki.done(*asking(home))["state"] == "active"


def test_what_cannot_be_written_never_comes_to_life(jpki: Jpki, home: Path) -> None:
    out = home.parent / "out"
    out.mkdir()
    (out / "chain.pem").symlink_to(out / "nowhere")
    assert jpki.refused(*asking(home)).code == "file-exists"
    assert [file.name for file in out.iterdir()] == ["chain.pem"]
    (out / "chain.pem").unlink()
    assert jpki.done(*asking(home))["state"] == "active"


def test_a_refusal_removes_the_folders_it_made_and_no_others(jpki: Jpki, town: Town, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    words = (*asking(town.home)[:-1], tmp_path / "there" / "not" / "yet")
    assert jpki.refused(*words).code == "certificate-live"
    assert list((tmp_path / "there").iterdir()) == []


def test_r20_a_second_live_certificate_is_refused(jpki: Jpki, town: Town) -> None:
    refused = jpki.refused(*asking(town.home))
    assert (refused.exit, refused.code) == (1, "certificate-live")
    assert serial_in(town.signing) in refused.english
    assert not (town.folder / "out").exists()


def test_under_fifteen_there_is_no_signing_certificate(jpki: Jpki, home: Path, tmp_path: Path) -> None:
    tomorrow = date.fromordinal(day_in_japan(system_clock()).toordinal() + 1)
    child = holder_file(tmp_path, birth_date=str(years_later(tomorrow, -15)))
    refused = jpki.refused(*asking(home, holder=child))
    assert (refused.exit, refused.code) == (1, "too-young")
    assert jpki.done(*asking(home, "authentication", child))["kind"] == "authentication"


# --- renew ---------------------------------------------------------------------------------------------------------


def test_renewal_is_refused_before_its_window_opens(jpki: Jpki, town: Town) -> None:
    serial = serial_in(town.signing)
    refused = jpki.refused("renew", serial, "--home", town.home, "--out", town.folder / "new")
    assert (refused.exit, refused.code) == (1, "renewal-closed")
    last_day = day_in_japan(certificate_in(town.signing).not_valid_after_utc)
    opens = date.fromordinal(months_earlier(last_day, 3).toordinal() + 1)
    assert str(opens) in refused.english
    assert not (town.folder / "new").exists()
    assert jpki.done("status", serial, "--home", town.home)["state"] == "active"


@pytest.mark.parametrize("purpose", [Purpose.SIGNING, Purpose.AUTHENTICATION])
def test_renewal_inside_its_window_supersedes_at_once(jpki: Jpki, aged: AgedHome, purpose: Purpose) -> None:
    old, out = aged.serials[purpose], aged.home.parent / "new"
    renewed = jpki.done("renew", old, "--home", aged.home, "--out", out)
    assert renewed["schema"] == "jpki.renew/1"
    assert (renewed["superseded"], renewed["state"], renewed["kind"]) == (old, "active", purpose)
    assert renewed["serial"] == serial_in(out)
    assert (out / "key.pem").is_file()
    status = jpki.done("status", old, "--home", aged.home)
    assert (status["state"], status["reason"]) == ("revoked", "superseded")
    again = jpki.refused("renew", old, "--home", aged.home, "--out", aged.home.parent / "more")
    assert (again.exit, again.code) == (1, "not-live")


def test_a_renewal_of_both_lives_to_the_sixth_birthday(jpki: Jpki, aged: AgedHome) -> None:
    ends = []
    for purpose in (Purpose.AUTHENTICATION, Purpose.SIGNING):
        old = jpki.done("status", aged.serials[purpose], "--home", aged.home)
        out = aged.home.parent / purpose
        new = jpki.done("renew", aged.serials[purpose], "--home", aged.home, "--out", out)
        ends.append((old["not_after"], new["not_after"]))
    old_end, new_end = (datetime.fromisoformat(moment) for moment in ends[0])
    assert day_in_japan(new_end) == years_later(day_in_japan(old_end), 5)
    assert ends[0] == ends[1]


def test_a_renewal_that_fails_leaves_the_old_one_alive(jpki: Jpki, aged: AgedHome, tmp_path: Path) -> None:
    old, out = aged.serials[Purpose.SIGNING], tmp_path / "new"
    (tmp_path / "bad.csr").write_bytes(tampered_request())
    words = ("renew", old, "--home", aged.home, "--out", out)
    assert jpki.refused(*words, "--csr", tmp_path / "bad.csr").code == "key-not-possessed"
    stranger = holder_file(tmp_path, code="H-0099")
    assert jpki.refused(*words, "--holder", stranger).code == "other-holder"
    assert not out.exists()
    assert jpki.done("status", old, "--home", aged.home)["state"] == "active"


# --- revoke and status ---------------------------------------------------------------------------------------------


def test_a_revocation_is_at_once_and_for_good(jpki: Jpki, town: Town) -> None:
    words = ("revoke", serial_in(town.signing), "--home", town.home, "--reason")
    before = system_clock().replace(microsecond=0)
    revoked = jpki.done(*words, "affiliationChanged")
    assert revoked["schema"] == "jpki.revoke/1"
    assert (revoked["state"], revoked["reason"]) == ("revoked", "affiliationChanged")
    assert before <= datetime.fromisoformat(revoked["revoked_at"]) <= system_clock()
    again = jpki.refused(*words, "keyCompromise")
    assert (again.exit, again.code) == (1, "already-revoked")
    status = jpki.done("status", serial_in(town.signing), "--home", town.home)
    assert status["reason"] == "affiliationChanged"
    assert jpki.done("status", serial_in(town.authentication), "--home", town.home)["state"] == "active"


def test_after_a_revocation_a_new_certificate_is_issued(jpki: Jpki, town: Town) -> None:
    jpki.done("revoke", serial_in(town.signing), "--home", town.home, "--reason", "affiliationChanged")
    assert jpki.done(*asking(town.home))["state"] == "active"


def test_a_reason_is_required_and_must_be_a_word_of_the_standard(jpki: Jpki, town: Town) -> None:
    words = ("revoke", serial_in(town.signing), "--home", town.home)
    assert jpki.refused(*words).exit == 64
    for word in ("nonsense", "keycompromise", "1"):
        assert jpki.refused(*words, "--reason", word).exit == 64
    assert jpki.done("status", *words[1:])["state"] == "active"


@pytest.mark.parametrize("reason", ["unspecified", "certificateHold"])
def test_r10_a_reason_that_is_not_allowed_is_refused(jpki: Jpki, town: Town, reason: str) -> None:
    words = ("revoke", serial_in(town.signing), "--home", town.home, "--reason", reason)
    refused = jpki.refused(*words)
    assert (refused.exit, refused.code) == (1, "reason-not-allowed")
    assert jpki.done("status", *words[1:4])["state"] == "active"


def test_an_unknown_serial_is_refused(jpki: Jpki, town: Town) -> None:
    for words in (["status"], ["revoke", "--reason", "superseded"], ["renew", "--out", str(town.folder / "new")]):
        refused = jpki.refused(*words, "0x11", "--home", town.home)
        assert (refused.exit, refused.code) == (1, "serial-unknown")
    assert not (town.folder / "new").exists()


def test_a_serial_is_read_in_every_notation(jpki: Jpki, town: Town) -> None:
    plain = serial_in(town.signing)
    colons = ":".join(plain[at : at + 2] for at in range(0, len(plain), 2))
    for notation in (plain, plain.upper(), f"0x{plain}", colons, colons.upper(), str(int(plain, 16))):
        assert jpki.done("status", notation, "--home", town.home)["serial"] == plain


def test_status_says_all_that_concerns_nobody(jpki: Jpki, town: Town) -> None:
    status = jpki.done("status", serial_in(town.signing), "--home", town.home)
    certificate = certificate_in(town.signing)
    assert status["schema"] == "jpki.status/1"
    assert (status["kind"], status["state"], status["reason"]) == ("signing", "active", None)
    assert datetime.fromisoformat(status["not_after"]) == certificate.not_valid_after_utc
    for words in (["--lang", "ja"], ["--lang", "en"], ["--json"]):
        answer = jpki("status", serial_in(town.signing), "--home", town.home, *words)
        assert "花子" not in answer.out
        assert "H-0001" not in answer.out


# --- lists ---------------------------------------------------------------------------------------------------------


def revoked_in(file: Path) -> list[str]:
    return [f"{entry.serial_number:032x}" for entry in x509.load_der_x509_crl(file.read_bytes())]


def test_a_revocation_is_on_the_lists_after_publishing(jpki: Jpki, town: Town) -> None:
    revoked = jpki.done("revoke", serial_in(town.signing), "--home", town.home, "--reason", "keyCompromise")
    published = jpki.done("crl", "publish", "--home", town.home)
    assert published["schema"] == "jpki.crl-publish/1"
    assert {(each["ca"], each["partition"], each["entries"]) for each in published["published"]} == {
        ("signing", "complete", 1),
        ("signing", revoked["partition"], 1),
    }
    for partition in ("complete", revoked["partition"]):
        file = town.home / "crl" / "signing" / revoked["generation"] / f"{partition}.crl"
        assert revoked_in(file) == [serial_in(town.signing)]
    assert jpki.done("crl", "publish", "--home", town.home)["published"] == []


def test_each_complete_list_is_told_with_its_delta_and_no_other_list_has_one(jpki: Jpki, town: Town) -> None:
    jpki.done("revoke", serial_in(town.signing), "--home", town.home, "--reason", "keyCompromise")
    jpki.done("crl", "publish", "--home", town.home)
    told = jpki.done("crl", "list", "--home", town.home)["lists"]
    deltas = {(each["ca"], each["partition"]): each["delta"] for each in told}
    assert {name for name, delta in deltas.items() if delta} == {
        ("signing", "complete"),
        ("authentication", "complete"),
    }
    assert deltas["signing", "complete"] == {"base": 1, "entries": 1}
    file = next((town.home / "crl" / "signing").glob("*/delta.crl"))
    assert revoked_in(file) == [serial_in(town.signing)]
    words = {"en": "delta of number 1: 1 entries", "ja": "差分は第1号から1件"}
    for language, said in words.items():
        assert said in jpki("crl", "list", "--home", town.home, "--lang", language).out


def test_publishing_tidies_the_archive(jpki: Jpki, town: Town) -> None:
    left = town.home / "crl-archive" / "signing" / "s1" / ".complete-7.crl.left"
    left.write_bytes(b"what a publisher left that was killed")
    os.utime(left, (1, 1))
    jpki.done("crl", "publish", "--home", town.home)
    assert not left.exists()


def test_every_list_can_be_published_anew(jpki: Jpki, town: Town) -> None:
    before = jpki.done("crl", "list", "--home", town.home)
    assert before["schema"] == "jpki.crl-list/1"
    published = jpki.done("crl", "publish", "--all", "--home", town.home)["published"]
    after = jpki.done("crl", "list", "--home", town.home)["lists"]
    assert {(each["ca"], each["partition"]) for each in published} == {
        (each["ca"], each["partition"]) for each in before["lists"]
    }
    assert [each["number"] for each in after] == [each["number"] + 1 for each in before["lists"]]
    for each in after:
        assert datetime.fromisoformat(each["next_update"]) > system_clock()


def test_lists_of_years_ago_are_due(jpki: Jpki, aged: AgedHome) -> None:
    published = jpki.done("crl", "publish", "--home", aged.home)["published"]
    assert len(published) == len(jpki.done("crl", "list", "--home", aged.home)["lists"])
