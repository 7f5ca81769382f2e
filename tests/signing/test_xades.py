"""XAdES: what binds the signed properties to their signature, what may stand beside them, and canonical forms."""

import base64
import copy
import hashlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.hashes import SHA1, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from signing import xades, xml_form, xml_writer
from signing.credential import Credential
from signing.intake import Format
from signing.report import SignedAt, TimeProof
from signing.verdict import Cause, Decision
from signing.xades import XADES
from signing.xml_form import C14N_1_0, DSIG, EXCLUSIVE
from tests.signing.conftest import Judge
from tests.signing.expect import causes
from tests.signing.stamps import DOCUMENTS, Clockhouse, make_clockhouse, signed, terms
from tests.signing.town import NOW, Town

PLAIN = DOCUMENTS[Format.XML]


@pytest.fixture(scope="session")
def house() -> Clockhouse:
    return make_clockhouse()


@pytest.fixture(scope="session")
def document(town: Town, house: Clockhouse) -> bytes:
    return signed(Format.XML, town.holder, house.stamp(NOW))


def tree(document: bytes) -> etree._Element:
    return etree.fromstring(document)


def found(root: etree._Element, name: str) -> etree._Element:
    return next(root.iter(f"{{*}}{name}"))


def judged(judge: Judge, town: Town, house: Clockhouse, root: etree._Element) -> set[Cause]:
    (only,) = causes(judge(etree.tostring(root), terms(town, house)))
    return only


def test_it_bears_all_that_the_baseline_asks_for(document: bytes, town: Town) -> None:
    """ETSI EN 319 132-1, 6.3, levels B-B and B-T."""
    root = tree(document)
    signature = root[-1]
    first, second = signature.findall("{*}SignedInfo/{*}Reference")
    assert first.get("URI") == "#RKO0010"
    assert second.get("Type") == "http://uri.etsi.org/01903#SignedProperties"
    assert second.get("URI") == f"#{found(root, 'SignedProperties').get('Id')}"
    assert found(root, "QualifyingProperties").get("Target") == f"#{signature.get('Id')}"
    assert found(root, "SigningTime").text == "2026-11-23T03:00:00Z"
    digest = found(found(root, "CertDigest"), "DigestValue").text or ""
    assert base64.b64decode(digest) == hashlib.sha256(town.holder.certificate.public_bytes(Encoding.DER)).digest()
    assert found(root, "DataObjectFormat").get("ObjectReference") == f"#{first.get('Id')}"
    assert found(root, "MimeType").text == "text/xml"
    assert len(list(root.iter("{*}EncapsulatedTimeStamp"))) == 1


def test_parallel_signatures_bear_ids_of_their_own_and_stand_side_by_side(
    town: Town, judge: Judge, house: Clockhouse, document: bytes
) -> None:
    for second in (house.stamp(NOW), None):
        verdict = judge(signed(Format.XML, town.accountant, second, document), terms(town, house))
        assert causes(verdict) == [set(), set()]
        assert verdict.signatures[0].signed_at == SignedAt(NOW, TimeProof.TIME_STAMP)
    taken = PLAIN.replace(b'ID="NENBUN"', b'ID="xades-1"')
    assert judge(signed(Format.XML, town.holder, house.stamp(NOW), taken), terms(town, house)).decision is (
        Decision.ACCEPT
    )


def test_a_stamp_moved_to_another_signature_is_broken(
    town: Town, judge: Judge, house: Clockhouse, document: bytes
) -> None:
    root = tree(signed(Format.XML, town.accountant, house.stamp(NOW), document))
    first, second = root.iter("{*}EncapsulatedTimeStamp")
    first.text, second.text = second.text, first.text
    assert causes(judge(etree.tostring(root), terms(town, house))) == [{Cause.TIME_STAMP_BROKEN}] * 2


@pytest.mark.parametrize("name", ["SigningTime", "MimeType"])
def test_altered_properties_are_refused(
    town: Town, judge: Judge, house: Clockhouse, document: bytes, name: str
) -> None:
    root = tree(document)
    found(root, name).text = "2020-01-01T00:00:00Z"
    assert judged(judge, town, house, root) == {Cause.ALTERED}


# --- wrapping --------------------------------------------------------------------------------------------------------


def second_properties(root: etree._Element) -> None:
    """Move the signed properties away, and put others in their place."""
    original = found(root, "SignedProperties")
    fake = copy.deepcopy(original)
    fake.set("Id", "fake")
    whole = original.getparent()
    assert whole is not None
    whole.replace(original, fake)
    etree.SubElement(found(root, "Object"), "wrapper").append(original)


def properties_elsewhere(root: etree._Element) -> None:
    """Refer to properties that stand in the signed content."""
    original = found(root, "SignedProperties")
    fake = copy.deepcopy(original)
    fake.set("Id", "fake")
    original.addnext(fake)
    root[0].append(original)


def properties_in_the_key_info(root: etree._Element) -> None:
    """Refer to properties that stand elsewhere in the signature, and show others."""
    original = found(root, "SignedProperties")
    fake = copy.deepcopy(original)
    fake.set("Id", "fake")
    found(fake, "SigningTime").text = "2020-01-01T00:00:00Z"
    whole = original.getparent()
    assert whole is not None
    whole.replace(original, fake)
    found(root, "KeyInfo").append(original)


def another_target(root: etree._Element) -> None:
    found(root, "QualifyingProperties").set("Target", "#RKO0010")


def no_reference(root: etree._Element) -> None:
    info = found(root, "SignedInfo")
    info.remove(info.findall("{*}Reference")[1])


def two_sets(root: etree._Element) -> None:
    root[-1].append(copy.deepcopy(found(root, "Object")))


def an_object_more(root: etree._Element) -> None:
    etree.SubElement(etree.SubElement(root[-1], f"{{{DSIG}}}Object"), "evil").text = "unsigned"


def text_in_the_object(root: etree._Element) -> None:
    etree.SubElement(found(root, "Object"), "evil").text = "unsigned"


def a_counter_signature(root: etree._Element) -> None:
    etree.SubElement(found(root, "UnsignedSignatureProperties"), f"{{{XADES}}}CounterSignature")


def an_archive_stamp(root: etree._Element) -> None:
    name = "{http://uri.etsi.org/01903/v1.4.1#}ArchiveTimeStamp"
    etree.SubElement(found(root, "UnsignedSignatureProperties"), name)


def properties_of_the_content(root: etree._Element) -> None:
    etree.SubElement(found(root, "UnsignedProperties"), f"{{{XADES}}}UnsignedDataObjectProperties")


def a_stamp_over_more(root: etree._Element) -> None:
    include = etree.Element(f"{{{XADES}}}Include", {"URI": "#RKO0010"})
    found(root, "SignatureTimeStamp").insert(0, include)


def a_stamp_of_an_unknown_form(root: etree._Element) -> None:
    stamp = found(root, "SignatureTimeStamp")
    stamp[0].set("Algorithm", "http://www.w3.org/2006/12/xml-c14n11")


CHANGES: list[Callable[[etree._Element], None]] = [
    second_properties,
    properties_elsewhere,
    properties_in_the_key_info,
    another_target,
    no_reference,
    two_sets,
    an_object_more,
    text_in_the_object,
    a_counter_signature,
    an_archive_stamp,
    properties_of_the_content,
    a_stamp_over_more,
    a_stamp_of_an_unknown_form,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_form_that_is_not_the_one_known_is_never_accepted(
    town: Town, judge: Judge, house: Clockhouse, document: bytes, change: Callable[[etree._Element], None]
) -> None:
    root = tree(document)
    change(root)
    assert judge(etree.tostring(root), terms(town, house)).decision is not Decision.ACCEPT


# --- the certificate that the properties name ------------------------------------------------------------------------


def bound_by(
    town: Town, house: Clockhouse, certificate: Credential, *, hashing: HashAlgorithm | None = None, name: str = "V2"
) -> bytes:
    """Sign with properties that name a certificate in another way."""

    named = certificate.certificate

    def qualify(signature: etree._Element, *_: object) -> etree._Element:
        own = _QUALIFY(signature, named, NOW)
        reference = found(own, "SigningCertificateV2")
        reference.tag = f"{{{XADES}}}SigningCertificate{name}"
        if hashing is not None:
            found(reference, "DigestMethod").set("Algorithm", _METHODS[hashing.name])
            value = base64.b64encode(named.fingerprint(hashing)).decode()
            found(reference, "DigestValue").text = value
        if name == "None":
            parent = reference.getparent()
            assert parent is not None
            parent.remove(reference)
        return own

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xades, "qualify", qualify)
        return xml_writer.write(PLAIN, town.holder, NOW, house.stamp(NOW))


_QUALIFY = xades.qualify
_METHODS = {"sha1": f"{DSIG}sha1", "sha512": "http://www.w3.org/2001/04/xmlenc#sha512"}


def test_another_certificate_is_refused_and_a_weak_name_undecided(town: Town, judge: Judge, house: Clockhouse) -> None:
    def of(**fields: object) -> set[Cause]:
        document = bound_by(town, house, **fields)  # type: ignore[arg-type]
        (only,) = causes(judge(document, terms(town, house)))
        return only

    assert of(certificate=town.holder) == set()
    assert of(certificate=town.holder, hashing=SHA512(), name="") == set()
    assert of(certificate=town.visitor) == {Cause.WRONG_BINDING}
    assert of(certificate=town.holder, hashing=SHA1()) == {Cause.WEAK_ALGORITHM}  # noqa: S303 - the point of the test
    assert of(certificate=town.holder, name="None") == {Cause.MALFORMED}


# --- canonical forms -------------------------------------------------------------------------------------------------


def test_namespaces_in_scope_are_in_the_inclusive_form_and_used_ones_in_the_exclusive() -> None:
    root = tree(b'<a xmlns="urn:a" xmlns:u="urn:u"><b><c x="1"/></b></a>')
    assert xml_form.canonical(root[0][0], C14N_1_0) == b'<c xmlns="urn:a" xmlns:u="urn:u" x="1"></c>'
    assert xml_form.canonical(root[0][0], EXCLUSIVE) == b'<c xmlns="urn:a" x="1"></c>'


def test_a_stamp_over_the_exclusive_form_counts_too(
    town: Town, judge: Judge, house: Clockhouse, document: bytes
) -> None:
    root = tree(document)
    value = xml_form.canonical(found(root, "SignatureValue"), EXCLUSIVE)
    token = house.token(NOW, hashlib.sha256(value).digest())
    stamp = found(root, "SignatureTimeStamp")
    stamp[0].set("Algorithm", EXCLUSIVE)
    stamp[1].text = base64.b64encode(token).decode()
    assert judged(judge, town, house, root) == set()
    stamp.remove(stamp[0])
    assert judged(judge, town, house, root) == {Cause.TIME_STAMP_BROKEN}
