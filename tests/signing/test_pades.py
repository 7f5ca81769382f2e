"""PAdES B-B: the signature names its own certificate, and the PDF tells the time (ETSI EN 319 142-1, 6.3)."""

# mypy: allow-untyped-calls
# asn1crypto and pyHanko's PDF layer bear no types.

from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO

import pytest
from asn1crypto import cms
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.generic import DictionaryObject, TextStringObject, pdf_name
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.general import as_signing_certificate, simple_cms_attribute

from signing import cms_writer
from signing.intake import Format, recognise
from signing.pades import SUB_FILTER, claimed_at
from signing.samples import tax_return_pdf
from signing.sign import sign
from signing.verdict import Cause, Decision, SubIndication
from tests.signing import odd_cms
from tests.signing.conftest import Judge
from tests.signing.expect import causes
from tests.signing.town import NOW, Town, make_certificate

PLAIN = tax_return_pdf(["Income tax return (sample)"])
HASHES = {"sha256": SHA256(), "sha384": SHA384()}


def _embed(make_cms: Callable[[bytes], bytes]) -> bytes:
    return odd_cms.embed(PLAIN, SHA256(), make_cms, sub_filter=SigSeedSubFilter.PADES)


def _signature(document: bytes) -> tuple[DictionaryObject, cms.SignerInfo]:
    (signature,) = PdfFileReader(BytesIO(document)).embedded_signatures
    return signature.sig_object, signature.signer_info


def _names_by_sha1(certificate: x509.Certificate) -> cms.CMSAttribute:
    named = as_signing_certificate(asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER)))
    attribute: cms.CMSAttribute = simple_cms_attribute("signing_certificate", named)
    return attribute


@pytest.mark.parametrize(("signer", "digest"), [("holder", "sha256"), ("accountant", "sha256"), ("visitor", "sha384")])
def test_what_is_made_names_its_certificate_and_leaves_the_time_to_the_pdf(
    town: Town, signer: str, digest: str
) -> None:
    credential = getattr(town, signer)
    dictionary, signer_info = _signature(sign(PLAIN, credential, Format.PADES, NOW))
    attributes = {each["type"].native: each["values"] for each in signer_info["signed_attrs"]}
    assert dictionary["/SubFilter"] == SUB_FILTER
    assert claimed_at(dictionary) == NOW
    assert set(attributes) == {"content_type", "message_digest", "signing_certificate_v2"}
    (named,) = attributes["signing_certificate_v2"][0]["certs"]
    assert named["hash_algorithm"]["algorithm"].native == digest
    assert named["cert_hash"].native == credential.certificate.fingerprint(HASHES[digest])


def test_pades_is_made_as_an_extension_of_pdf_1_7(town: Town) -> None:
    reader = PdfFileReader(BytesIO(sign(PLAIN, town.holder, Format.PADES, NOW)))
    assert "/ESIC" in reader.root["/Extensions"]


def test_pades_is_recognised_as_a_pdf(town: Town) -> None:
    assert recognise(BytesIO(sign(PLAIN, town.holder, Format.PADES, NOW))) is Format.PDF


@pytest.mark.parametrize("forms", [(Format.PDF, Format.PADES), (Format.PADES, Format.PDF)])
def test_plain_and_pades_signatures_stand_side_by_side(town: Town, judge: Judge, forms: tuple[Format, Format]) -> None:
    once = sign(PLAIN, town.holder, forms[0], NOW)
    verdict = judge(sign(once, town.accountant, forms[1], NOW), town.validation())
    assert [one.decision for one in verdict.signatures] == [Decision.ACCEPT] * 2


def test_a_signature_that_names_another_certificate_is_refused(town: Town, judge: Judge) -> None:
    other = make_certificate(town.holder.key, town.root)
    verdict = judge(
        _embed(
            lambda digest: odd_cms.bound_to(cms_writer.write_detached(digest, town.holder, NOW), town.holder, other)
        ),
        town.validation(),
    )
    assert causes(verdict) == [{Cause.WRONG_BINDING}]
    assert verdict.decision is Decision.REFUSE
    assert verdict.signatures[0].sub_indication is SubIndication.NO_SIGNING_CERTIFICATE_FOUND


def test_a_signer_info_that_points_to_a_sibling_certificate_is_refused(town: Town, judge: Judge) -> None:
    """The attack that the attribute is for: another certificate of the same key takes the signer's place."""
    sibling = town.credential(make_certificate(town.holder.key, town.root))
    bound = cms_writer.write_bound

    def swap(digest: bytes) -> bytes:
        honest, other = (cms.ContentInfo.load(bound(digest, each)) for each in (town.holder, sibling))
        signer = honest["content"]["signer_infos"][0]
        signer["sid"] = other["content"]["signer_infos"][0]["sid"]
        honest["content"]["certificates"] = other["content"]["certificates"]
        return bytes(honest.dump(force=True))

    assert causes(judge(_embed(swap), town.validation())) == [{Cause.WRONG_BINDING}]


@pytest.mark.parametrize("attributes", ["three", "none"])
def test_a_signature_that_names_no_certificate_is_malformed(town: Town, judge: Judge, attributes: str) -> None:
    def make_cms(digest: bytes) -> bytes:
        if attributes == "none":
            return odd_cms.without_attributes(town.holder, SHA256(), digest, None)
        return cms_writer.write_detached(digest, town.holder, NOW)

    verdict = judge(_embed(make_cms), town.validation())
    assert causes(verdict) == [{Cause.MALFORMED}]
    assert verdict.decision is Decision.REFUSE
    assert verdict.signatures[0].checks[0].evidence == {"missing": "signing-certificate-v2"}


def test_two_names_are_refused(town: Town, judge: Judge) -> None:
    def make_cms(digest: bytes) -> bytes:
        return odd_cms.bound_to(cms_writer.write_bound(digest, town.holder), town.holder, town.holder.certificate)

    assert causes(judge(_embed(make_cms), town.validation())) == [{Cause.WRONG_BINDING}]


def test_a_certificate_named_by_sha1_only_is_weak(town: Town, judge: Judge) -> None:
    def make_cms(digest: bytes) -> bytes:
        message = cms_writer.write_detached(digest, town.holder, NOW)
        return odd_cms.with_attribute(message, town.holder, _names_by_sha1(town.holder.certificate))

    verdict = judge(_embed(make_cms), town.validation())
    assert causes(verdict) == [{Cause.WEAK_ALGORITHM}]
    assert verdict.decision is Decision.UNDECIDED


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("D:20261123120000+09'00'", datetime(2026, 11, 23, 3, tzinfo=UTC)),
        ("D:20261123030000", datetime(2026, 11, 23, 3, tzinfo=UTC)),
        ("D:20261323", None),
        ("D:00010101000000+09'00'", None),
        ("yesterday", None),
        (None, None),
    ],
)
def test_the_claimed_time_is_read_where_it_can_be(written: str | None, moment: datetime | None) -> None:
    dictionary = (
        DictionaryObject() if written is None else DictionaryObject({pdf_name("/M"): TextStringObject(written)})
    )
    assert claimed_at(dictionary) == moment
