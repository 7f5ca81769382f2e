"""What is told of a list: its kind, its freshness, its signer, and why nobody may rely on it."""

from datetime import timedelta
from io import BytesIO

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from crl.certificate_list import CertificateList, read_list
from crl.explain import SCOPES, Explanation, Scope, explain, signer_of
from jpki import der
from jpki.errors import JpkiError
from jpki.revocation import Reason
from tests.crl.authority import CERTIFICATES_ONLY, CHIYODA, NOW, TODAY, generation, key_of
from tests.crl.test_certificate_list import NUMBER, list_of
from tests.crl.test_reader import (
    NEXT,
    PROBE,
    URL,
    X400_POINT,
    issuer_with,
    ours,
    point,
    revoked,
    theirs,
)


def found(data: bytes) -> CertificateList:
    return read_list(BytesIO(data))


def told(data: bytes) -> Explanation:
    return explain(found(data), NOW)


def test_our_partition_is_told() -> None:
    explained = told(ours(revoked(1), revoked(2, Reason.SUPERSEDED), revoked(3, Reason.UNSPECIFIED)))
    assert explained == Explanation(
        issuer="OU=JPKI for signing,O=JPKI-LAB,C=JP",
        scope=Scope.PARTITION,
        points=(CHIYODA.name.rfc4514_string(), URL.value),
        freshest=(),
        number=1,
        base=None,
        this_update=TODAY,
        next_update=NEXT,
        is_stale=False,
        algorithm="RSA WITH SHA256",
        entries=3,
        reasons={"keyCompromise": 1, "superseded": 1, None: 1},
        objections=(),
    )


@pytest.mark.parametrize(
    ("data", "scope"),
    [
        (ours(of=None), Scope.COMPLETE),
        (theirs(point(URL)), Scope.PARTITION),
        (theirs(point(relative=x509.RelativeDistinguishedName(CHIYODA.name.rdns[0]))), Scope.PARTITION),
        (theirs(point(URL, users=True)), Scope.PARTITION),
        (theirs(point(users=True)), Scope.HOLDERS),
        (theirs(point(cas=True)), Scope.AUTHORITIES),
        (theirs(point(URL, cas=True)), Scope.AUTHORITIES),
        (theirs(point(attributes=True)), Scope.ATTRIBUTES),
        (theirs((x509.DeltaCRLIndicator(7), True), point(URL)), Scope.DELTA),
    ],
    ids=["complete", "names", "relative", "names-users", "users", "cas", "names-cas", "attributes", "delta"],
)
def test_every_kind_is_told(data: bytes, scope: Scope) -> None:
    explained = told(data)
    assert explained.scope is scope
    assert SCOPES[scope].ja
    assert explained.base == (7 if scope is Scope.DELTA else None)
    assert explained.objections == ()


def test_a_list_is_stale_after_its_last_second() -> None:
    assert not explain(found(ours(next_update=TODAY)), TODAY).is_stale
    assert explain(found(ours(next_update=TODAY)), TODAY + timedelta(seconds=1)).is_stale


def test_what_forbids_a_list_is_told() -> None:
    reasons = frozenset({x509.ReasonFlags.key_compromise})
    for data, word in (
        (theirs((PROBE, True)), "2.25.1"),
        (theirs(entry=[(PROBE, True)]), "entry"),
        (theirs(point(URL, indirect=True)), "indirect"),
        (theirs(point(URL, reasons=reasons)), "some reasons"),
    ):
        (objection,) = told(data).objections
        assert word in objection.en
    weak = der.sequence(der.object_identifier("1.2.840.113549.1.1.5"), der.tlv(der.Tag.NULL))
    strong = der.sequence(der.object_identifier("1.2.840.113549.1.1.11"), der.tlv(der.Tag.NULL))
    (objection,) = told(ours().replace(strong, weak)).objections
    assert "weak" in objection.en


def test_a_list_may_have_no_number() -> None:
    assert told(list_of([])).number is None


def test_an_unknown_algorithm_is_told_by_its_oid() -> None:
    known = der.object_identifier("1.2.840.113549.1.1.11")
    explained = told(ours().replace(known, der.object_identifier("1.2.840.113549.1.1.99")))
    assert explained.algorithm == "1.2.840.113549.1.1.99"
    assert len(explained.objections) == 1


@pytest.mark.parametrize("extensions", [(NUMBER, NUMBER), (X400_POINT,)], ids=["one twice", "a name of an odd kind"])
def test_extensions_that_cannot_be_read_make_it_unreadable(extensions: tuple[bytes, ...]) -> None:
    with pytest.raises(JpkiError, match="crl-unreadable"):
        told(list_of([], *extensions))


def test_r23_the_signer_is_found_among_generations_of_one_name() -> None:
    first, second = generation("s1").certificate, generation("s2").certificate
    assert signer_of(found(ours()), [second, first]) == first
    assert signer_of(found(ours(signer="s2")), [second, first]) == second
    assert signer_of(found(ours()), [second]) is None
    assert signer_of(found(ours()), []) is None


def test_a_key_that_may_not_sign_lists_or_bears_another_name_is_no_signer() -> None:
    public = key_of("s1").public_key()
    assert signer_of(found(ours()), [issuer_with(public, CERTIFICATES_ONLY)]) is None
    assert signer_of(found(ours()), [issuer_with(public)]) is not None
    foreign = x509.CertificateRevocationListBuilder(x509.Name([]), TODAY, NEXT).sign(key_of("s1"), SHA256())
    assert signer_of(found(foreign.public_bytes(Encoding.DER)), [issuer_with(public)]) is None
