"""e-Tax XML: wrapping, unsigned siblings, repeated ids, DTDs, transforms; and XML that an issuer signed enveloped."""

import base64
import copy

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.signer import XMLSigner

from signing.caps import MOST_SIGNATURES
from signing.intake import Format
from signing.samples import tax_return_xtx
from signing.sign import sign
from signing.verdict import Cause, Decision
from signing.xml_form import C14N_1_0
from tests.signing.conftest import Judge
from tests.signing.expect import causes
from tests.signing.town import NOW, Town

PLAIN = tax_return_xtx("見本　花子", 2025)


@pytest.fixture(scope="session")
def signed(town: Town) -> bytes:
    return sign(PLAIN, town.holder, Format.XML, NOW)


@pytest.fixture(scope="session")
def evil() -> bytes:
    return b'<RKO0010 VR="25.0.0" id="EVIL"><CONTENTS>other</CONTENTS></RKO0010>'


def test_an_altered_return_is_refused(town: Town, judge: Judge, signed: bytes) -> None:
    verdict = judge(signed.replace(b"3000000", b"1000000"), town.validation())
    assert causes(verdict) == [{Cause.ALTERED}]


def test_a_foreign_signature_value_is_refused(town: Town, judge: Judge, signed: bytes) -> None:
    root = etree.fromstring(signed)
    value = root[-1].find("{*}SignatureValue")
    assert value is not None
    value.text = base64.b64encode(b"\x01" * 256).decode()
    assert causes(judge(etree.tostring(root), town.validation())) == [{Cause.SIGNATURE_WRONG}]


def test_the_signature_stands_beside_the_procedure_with_the_leaf_only(signed: bytes) -> None:
    root = etree.fromstring(signed)
    assert [etree.QName(child).localname for child in root] == ["RKO0010", "Signature"]
    assert len(root.findall(".//{*}X509Certificate")) == 1
    assert [found.get("URI") for found in root.iter("{*}Reference")] == ["#RKO0010"]


def test_an_unsigned_sibling_is_refused(town: Town, judge: Judge, signed: bytes, evil: bytes) -> None:
    for place in (b"</RKO0010>", b"</dsig:Signature>"):
        verdict = judge(signed.replace(place, place + evil), town.validation())
        assert causes(verdict) == [{Cause.NOT_COVERED}]


def test_text_between_the_elements_is_refused(town: Town, judge: Judge, signed: bytes) -> None:
    for place in (b"</RKO0010>", b"</dsig:Signature>"):
        verdict = judge(signed.replace(place, place + b"unsigned"), town.validation())
        assert Cause.NOT_COVERED in causes(verdict)[0]


@pytest.mark.parametrize("wrapper", ["in-signature", "in-procedure"])
def test_a_wrapped_original_is_refused(town: Town, judge: Judge, signed: bytes, evil: bytes, wrapper: str) -> None:
    root = etree.fromstring(signed)
    original, signature = root[0], root[1]
    root.insert(0, etree.fromstring(evil))
    if wrapper == "in-signature":
        holder = etree.SubElement(signature, "{http://www.w3.org/2000/09/xmldsig#}Object")
        holder.append(original)
    else:
        root[0].append(original)
    assert judge(etree.tostring(root), town.validation()).decision is not Decision.ACCEPT


@pytest.mark.parametrize("name", ["id", "ID", "Id", "xml:id", "gen:Id"])
def test_a_repeated_id_is_refused(town: Town, judge: Judge, signed: bytes, name: str) -> None:
    doubled = signed.replace(b"<dsig:SignatureValue>", b'<dsig:SignatureValue %b="RKO0010">' % name.encode())
    assert Cause.NOT_COVERED in causes(judge(doubled, town.validation()))[0]


def test_a_dtd_is_not_read(town: Town, judge: Judge, signed: bytes) -> None:
    with_dtd = signed.replace(b"<DATA ", b'<!DOCTYPE DATA [<!ENTITY x "y">]>\n<DATA ', 1)
    verdict = judge(with_dtd, town.validation())
    assert verdict.decision is Decision.UNREADABLE
    assert "document type" in verdict.sentence.en


def test_an_unknown_transform_is_undecided_and_never_passed_over(town: Town, judge: Judge, signed: bytes) -> None:
    xpath = signed.replace(
        b"<dsig:Transforms>",
        b'<dsig:Transforms><dsig:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"/>',
    )
    verdict = judge(xpath, town.validation())
    assert verdict.decision is Decision.UNDECIDED
    assert causes(verdict) == [{Cause.UNSUPPORTED}]


def test_an_unknown_algorithm_is_refused(town: Town, judge: Judge, signed: bytes) -> None:
    verdict = judge(signed.replace(b"xmldsig-more#rsa-sha256", b"xmldsig-more#rsa-foo"), town.validation())
    assert causes(verdict) == [{Cause.UNKNOWN_ALGORITHM}]


def test_a_signature_without_certificate_is_undecided(town: Town, judge: Judge, signed: bytes) -> None:
    root = etree.fromstring(signed)
    key_info = root[1].find("{*}KeyInfo")
    assert key_info is not None
    root[1].remove(key_info)
    verdict = judge(etree.tostring(root), town.validation())
    assert causes(verdict) == [{Cause.NO_SIGNER_CERTIFICATE}]
    assert verdict.decision is Decision.UNDECIDED


def test_the_worst_of_several_signatures_counts(town: Town, judge: Judge, signed: bytes) -> None:
    twice = sign(signed, town.accountant, Format.XML, NOW)
    root = etree.fromstring(twice)
    value = root[1].find("{*}SignatureValue")
    assert value is not None
    value.text = base64.b64encode(b"\x01" * 256).decode()
    verdict = judge(etree.tostring(root), town.validation())
    assert [one.decision for one in verdict.signatures] == [Decision.REFUSE, Decision.ACCEPT]
    assert verdict.decision is Decision.REFUSE


def test_a_crowd_of_signatures_is_not_read(town: Town, judge: Judge, signed: bytes) -> None:
    root = etree.fromstring(signed)
    for _ in range(MOST_SIGNATURES):
        root.append(copy.deepcopy(root[1]))
    verdict = judge(etree.tostring(root), town.validation())
    assert verdict.decision is Decision.UNREADABLE
    assert "signatures" in verdict.sentence.en


def test_a_root_without_id_is_not_covered_by_a_reference_to_an_inner_element(town: Town, judge: Judge) -> None:
    inner = etree.fromstring(_issuer_signed(town).replace(b"TEG800", b"None"))
    root = etree.Element("TEG800")
    root.append(inner)
    root.append(inner[-1])
    verdict = judge(etree.tostring(root), town.validation())
    assert Cause.NOT_COVERED in causes(verdict)[0]


def test_two_enveloped_signatures_are_undecided(town: Town, judge: Judge) -> None:
    root = etree.fromstring(_issuer_signed(town))
    root.append(copy.deepcopy(root[-1]))
    verdict = judge(etree.tostring(root), town.validation())
    assert [one.decision for one in verdict.signatures] == [Decision.UNDECIDED] * 2
    assert "not supported" in verdict.sentence.en


def _issuer_signed(town: Town, method: SignatureMethod = SignatureMethod.RSA_SHA256) -> bytes:
    assert isinstance(town.holder.key, rsa.RSAPrivateKey)
    root = etree.fromstring('<TEG800 id="TEG800"><AMOUNT>120000</AMOUNT></TEG800>')
    weak = method is SignatureMethod.RSA_SHA1

    class Signer(XMLSigner):
        def check_deprecated_methods(self) -> None:
            """Sign with SHA-1 as some insurers' files of 2023 did."""

    signer = Signer(
        signature_algorithm=method,
        digest_algorithm=DigestAlgorithm.SHA1 if weak else DigestAlgorithm.SHA256,
        c14n_algorithm=C14N_1_0,
    )
    certificate = town.holder.certificate.public_bytes(Encoding.PEM).decode()
    return etree.tostring(signer.sign(root, key=town.holder.key, cert=certificate, reference_uri="#TEG800"))


def test_an_enveloped_signature_over_the_root_is_accepted(town: Town, judge: Judge) -> None:
    document = _issuer_signed(town)
    assert judge(document, town.validation()).decision is Decision.ACCEPT
    verdict = judge(document.replace(b"120000", b"990000"), town.validation())
    assert causes(verdict) == [{Cause.ALTERED}]


def test_sha1_is_weak_but_its_mathematics_are_judged(town: Town, judge: Judge) -> None:
    document = _issuer_signed(town, SignatureMethod.RSA_SHA1)
    verdict = judge(document, town.validation())
    assert verdict.decision is Decision.UNDECIDED
    assert causes(verdict) == [{Cause.WEAK_ALGORITHM}]
    assert "weak" in verdict.sentence.en
    altered = judge(document.replace(b"120000", b"990000"), town.validation())
    assert altered.decision is Decision.REFUSE
