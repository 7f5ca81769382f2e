"""jpki.toml: what is written is what is read."""

import tomllib

import pytest

from jpki.errors import JpkiError
from server.settings import Settings, check_settings


def test_every_setting_is_read_back_as_it_was_written() -> None:
    token = {"module": "/lib/m.so", "token": "CA"}
    given = {
        "base_url": "https://ca.example.org",
        "profile": "card-v2",
        "keys": "pkcs11",
        "pkcs11": token | {"ocsp": token | {"token": "OCSP"}, "infrastructure": None},
        "database": "postgresql://ledger",
        "audit_anchor": "/var/anchor",
        "ocsp_not_issued": "revoked",
        "verifiers": "registered",
        "trust": (
            {"file": "/roots.pem", "policies": ("1.2.3", "2.25.1")},
            {"file": "/others.pem", "policies": ("1.2",)},
        ),
        "revocation": (
            {"issuer": "0a" * 32, "ocsp": "http://ocsp.example.org", "crl": "https://example.org/list.crl?of=1"},
            {"issuer": "0b" * 32, "crl": "http://[2001:db8::1]:8080/"},
        ),
        "security_contact": "https://example.org/security",
        "suspension_telephone": "0120-000-000",
        "registry": {
            "url": "https://register.example.org/residents",
            "certificate": "/office.pem",
            "key": "/office.key",
            "roots": "/roots.pem",
        },
        "nodes": ("https://other.example.org",),
        "timestamp_trust": ("/stamps.pem",),
        "client_cert_proxy": ("192.0.2.1", "2001:db8::1"),
        "training": True,
    }
    assert given.keys() == Settings.model_fields.keys()
    assert check_settings(tomllib.loads(check_settings(given).as_toml())) == check_settings(given)


@pytest.mark.parametrize(
    ("url", "files"),
    [
        ("https://register.example.org", 0),
        ("https://register.example.org", 2),
        ("http://register.example.org", 3),
        ("http://register.example.org", 1),
        ("ftp://register.example.org", 3),
        ("https://user@register.example.org", 3),
    ],
)
def test_a_register_is_spoken_to_with_all_of_tls_or_without(url: str, files: int) -> None:
    given = dict.fromkeys(("certificate", "key", "roots")[:files], "/file.pem")
    with pytest.raises(JpkiError) as refused:
        check_settings({"registry": {"url": url, **given}})
    assert refused.value.code == "settings-invalid"
    assert "registry" in refused.value.problem.en


@pytest.mark.parametrize("telephone", ["", "0", "01", "0120-", "call us", "0120-00-0000 <b>", "０１２０", "1" * 22])
def test_a_telephone_number_that_is_none_is_refused(telephone: str) -> None:
    with pytest.raises(JpkiError, match="suspension_telephone"):
        check_settings({"suspension_telephone": telephone})


@pytest.mark.parametrize(
    "table",
    [
        {"issuer": "0a" * 32},
        {"ocsp": "http://ocsp.example.org"},
        {"issuer": "0a" * 31, "ocsp": "http://ocsp.example.org"},
        {"issuer": "0a" * 33, "ocsp": "http://ocsp.example.org"},
        {"issuer": "xy" * 32, "ocsp": "http://ocsp.example.org"},
        {"issuer": "0a" * 32, "ocsp": "ocsp.example.org"},
        {"issuer": "0a" * 32, "ocsp": "http://"},
        {"issuer": "0a" * 32, "ocsp": "http://user@ocsp.example.org"},
        {"issuer": "0a" * 32, "ocsp": "http://ocsp.example.org:0"},
        {"issuer": "0a" * 32, "ocsp": "http://ocsp.example.org:65536"},
        {"issuer": "0a" * 32, "ocsp": "http://ocsp.example.org/ list"},
        {"issuer": "0a" * 32, "ocsp": "http://失効.example.org"},
        {"issuer": "0a" * 32, "crl": "ldap://example.org/cn=list"},
        {"issuer": "0a" * 32, "crl": "file:///etc/passwd"},
        {"issuer": "0a" * 32, "crl": "http://example.org/list", "seconds": 9},
    ],
    ids=str,
)
def test_whom_to_ask_about_revocation_is_an_issuer_and_a_server(table: dict[str, object]) -> None:
    with pytest.raises(JpkiError) as refused:
        check_settings({"revocation": [table]})
    assert refused.value.code == "settings-invalid"
    assert "revocation" in refused.value.problem.en
    assert "SHA-256" in refused.value.problem.ja


def test_an_issuer_is_named_as_openssl_prints_its_fingerprint() -> None:
    named = {"issuer": ":".join(["0A"] * 32), "crl": "http://example.org/list"}
    (found,) = check_settings({"revocation": [named]}).revocation
    assert found.issuer == "0a" * 32
