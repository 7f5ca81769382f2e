"""Signatures that last: PAdES B-LT and B-LTA, made here and judged years later without any network.

What a document holds counts only where it is by who may speak, and not older than the time that counts.
"""

# mypy: allow-untyped-calls
# asn1crypto and pyHanko's PDF layer bear no types.

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from asn1crypto import cms
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from lxml import etree
from pyhanko.pdf_utils.generic import ArrayObject, DictionaryObject, StreamObject, pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader

from jpki import der
from jpki.der import Reader, Tag
from jpki.errors import JpkiError
from server.stored_evidence import Collector
from signing import pdf_writer
from signing.credential import Credential
from signing.intake import Format
from signing.preservation import prolong
from signing.report import FileVerdict, SignedAt, Step, TimeProof
from signing.sign import sign
from signing.time_stamper import Level, Stamping
from signing.validation import Stored, StoredKind
from signing.verdict import Cause, Decision
from signing.xades import XADES
from tests.signing import odd_cms
from tests.signing.conftest import Judge
from tests.signing.expect import causes
from tests.signing.stamps import (
    DAY,
    DOCUMENTS,
    Clockhouse,
    answered,
    list_of,
    listed,
    make_clockhouse,
    make_responder,
    response_about,
    signed,
    terms,
)
from tests.signing.town import NOW, Town, revoked

SECOND = timedelta(seconds=1)
PLAIN = DOCUMENTS[Format.PADES]
YEARS_LATER = NOW + 300 * DAY


@pytest.fixture(scope="session")
def house() -> Clockhouse:
    return make_clockhouse()


@pytest.fixture(scope="session")
def keeper(town: Town) -> Credential:
    """The holder with the root's certificate at hand."""
    return town.credential(town.holder.certificate, town.root.certificate)


def nothing(certificate: x509.Certificate, issuer: x509.Certificate, at: datetime) -> Stored:
    raise AssertionError(certificate, issuer, at)


def kept(keeper: Credential, house: Clockhouse, level: Level, *lists: bytes) -> bytes:
    stamping = Stamping(stamper=house.stamper(), collect=Collector(lists, None) if lists else nothing, level=level)
    return sign(PLAIN, keeper, Format.PDF, NOW, stamping=stamping)


def why_stamps(verdict: FileVerdict) -> list[object]:
    return [
        check.evidence.get("why")
        for signature in verdict.signatures
        for check in signature.checks
        if check.name is Step.TIME_STAMP
    ]


# --- round trips -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "expected"), [(Level.T, {Cause.REVOCATION_UNCHECKED}), (Level.LT, set()), (Level.LTA, set())]
)
def test_what_is_kept_is_judged_without_network(
    town: Town, judge: Judge, house: Clockhouse, keeper: Credential, level: Level, expected: set[Cause]
) -> None:
    lists = [list_of(town.root, NOW + SECOND)] if level is not Level.T else []
    document = kept(keeper, house, level, *lists)
    verdict = judge(document, terms(town, house, sources=[], now=YEARS_LATER))
    assert causes(verdict) == [expected]
    assert verdict.signatures[0].signed_at == SignedAt(NOW, TimeProof.TIME_STAMP)
    reader = PdfFileReader(BytesIO(document))
    assert ("/DSS" in reader.root) == (level is not Level.T)
    assert len(reader.embedded_timestamp_signatures) == (level is Level.LTA)


def test_all_in_the_store_is_needed(town: Town, keeper: Credential, house: Clockhouse) -> None:
    store = PdfFileReader(BytesIO(kept(keeper, house, Level.LT, list_of(town.root, NOW)))).root["/DSS"]
    found = {x509.load_der_x509_certificate(each.get_object().data) for each in store["/Certs"]}
    assert found == {each.certificate for each in (town.holder, town.root, house.unit, house.root)}
    assert len(store["/CRLs"]) == 1
    assert len(store["/VRI"]) == 1


def test_the_next_time_stamp_carries_on_what_the_last_one_proves(
    town: Town, judge: Judge, house: Clockhouse, keeper: Credential
) -> None:
    """The first unit ends 700 days after, the signer's certificate 800 days after."""
    document = kept(keeper, house, Level.LTA, list_of(town.root, NOW))
    later = terms(town, house, sources=[], now=NOW + 1000 * DAY)
    forgotten = judge(document, later)
    assert why_stamps(forgotten) == ["expired"]
    assert Cause.EXPIRED in causes(forgotten)[0]
    next_unit = house.with_unit(not_before=NOW + 500 * DAY, not_after=NOW + 1500 * DAY)
    renewed = pdf_writer.add_stamp(document, next_unit.stamp(NOW + 600 * DAY))
    verdict = judge(renewed, later)
    assert causes(verdict) == [set()]
    assert verdict.signatures[0].signed_at == SignedAt(NOW, TimeProof.TIME_STAMP)
    # One that came too late proves no more than its own time, of which the store does not speak.
    too_late = judge(pdf_writer.add_stamp(document, next_unit.stamp(NOW + 701 * DAY)), later)
    assert too_late.signatures[0].signed_at == SignedAt(NOW + 701 * DAY, TimeProof.DOCUMENT_TIME_STAMP)
    assert causes(too_late) == [{Cause.REVOCATION_STALE}]


def test_a_documents_time_stamp_proves_the_time_of_a_signature_without_one(
    town: Town, judge: Judge, house: Clockhouse
) -> None:
    document = pdf_writer.add_stamp(sign(PLAIN, town.holder, Format.PDF, NOW), house.stamp(NOW - DAY))
    verdict = judge(document, terms(town, house, sources=[revoked(NOW - DAY / 2)]))
    assert verdict.decision is Decision.ACCEPT
    assert verdict.signatures[0].as_json()["signed_at"] == {
        "time": "2026-11-22T03:00:00Z",
        "evidence": "document-timestamp",
    }
    assert "revoked at 2026-11-22T15:00:00Z, after it was signed" in verdict.sentence.en


def test_a_documents_time_stamp_covers_no_signature_that_came_later(
    town: Town, judge: Judge, house: Clockhouse
) -> None:
    document = pdf_writer.add_stamp(sign(PLAIN, town.holder, Format.PDF, NOW), house.stamp(NOW - DAY))
    document = sign(document, town.holder, Format.PDF, NOW)
    verdict = judge(document, terms(town, house, sources=[revoked(NOW - DAY / 2)]))
    assert [one.decision for one in verdict.signatures] == [Decision.ACCEPT, Decision.REFUSE]


# --- time-stamps of a document that are wrong ------------------------------------------------------------------------


def test_a_documents_time_stamp_over_something_else_is_refused(town: Town, judge: Judge, house: Clockhouse) -> None:
    signed_once = sign(PLAIN, town.holder, Format.PDF, NOW)
    other = pdf_writer.add_stamp(signed_once, lambda _: house.token(NOW, b"x" * 32))
    assert causes(judge(other, terms(town, house))) == [{Cause.TIME_STAMP_BROKEN}]
    garbage = pdf_writer.add_stamp(signed_once, lambda _: b"garbage")
    assert causes(judge(garbage, terms(town, house))) == [{Cause.TIME_STAMP_BROKEN}]


def test_a_documents_time_stamp_that_leaves_out_the_end_is_broken(town: Town, judge: Judge, house: Clockhouse) -> None:
    document = pdf_writer.add_stamp(sign(PLAIN, town.holder, Format.PDF, NOW), house.stamp(NOW))
    for octets, expected in ((0, set()), (6, {Cause.TIME_STAMP_BROKEN})):
        left = odd_cms.leave_out_the_end(document, octets, house.stamp(NOW))
        assert causes(judge(left, terms(town, house))) == [expected]


def test_time_stamps_in_the_wrong_order_contradict_each_other(town: Town, judge: Judge, house: Clockhouse) -> None:
    document = signed(Format.PADES, town.holder, house.stamp(NOW))
    for earlier, expected in ((3 * SECOND, {Cause.TIME_STAMP_ORDER}), (2 * SECOND, set())):
        verdict = judge(pdf_writer.add_stamp(document, house.stamp(NOW - earlier)), terms(town, house))
        assert causes(verdict) == [expected]


# --- what the store holds --------------------------------------------------------------------------------------------


Stores = dict[str, tuple[Callable[[Town], Stored], Cause | None]]


def stores() -> Stores:
    thief = ec.generate_private_key(ec.SECP256R1())

    def response(town: Town, **fields: Any) -> Stored:  # noqa: ANN401 - what is odd about it
        made_at = fields.pop("made_at", NOW)
        revoked_at = fields.pop("revoked_at", None)
        responder = make_responder(town.spare_keys[0], fields.pop("under", town.root), **fields)
        return answered(response_about(town.holder.certificate, town.root, made_at, responder, revoked_at))

    def entry(town: Town, when: datetime) -> Stored:
        revocation = (town.holder.certificate, when, x509.ReasonFlags.key_compromise)
        return listed(list_of(town.root, NOW + DAY, revocation))

    return {
        "a list of the second": (lambda town: listed(list_of(town.root, NOW)), None),
        "a list of the second before": (lambda town: listed(list_of(town.root, NOW - SECOND)), Cause.REVOCATION_STALE),
        "a list by another key": (lambda town: listed(list_of(town.root, NOW, key=thief)), Cause.REVOCATION_UNCHECKED),
        "a list of another CA": (lambda town: listed(list_of(town.next_root, NOW)), Cause.REVOCATION_UNCHECKED),
        "a list with a later revocation": (lambda town: entry(town, NOW + SECOND), None),
        "a list with an earlier revocation": (lambda town: entry(town, NOW), Cause.REVOKED),
        "garbage for a list": (lambda _: listed(b"garbage"), Cause.REVOCATION_UNCHECKED),
        "a response": (response, None),
        "a response of the second before": (
            lambda town: response(town, made_at=NOW - SECOND),
            Cause.REVOCATION_STALE,
        ),
        "a response that says revoked": (lambda town: response(town, revoked_at=NOW - DAY), Cause.REVOKED),
        "a response by a holder": (lambda town: response(town, usage=False), Cause.REVOCATION_UNCHECKED),
        "a response by another CA's responder": (
            lambda town: response(town, under=town.next_root),
            Cause.REVOCATION_UNCHECKED,
        ),
        "a response by a responder that has ended": (
            lambda town: response(town, not_after=NOW + DAY - SECOND),
            Cause.REVOCATION_UNCHECKED,
        ),
        "garbage for a response": (lambda _: answered(b"garbage"), Cause.REVOCATION_UNCHECKED),
    }


STORES = stores()


def stored_in_pdf(town: Town, house: Clockhouse, stored: Stored) -> bytes:
    return in_store(signed(Format.PADES, town.holder, house.stamp(NOW)), stored)


def in_store(document: bytes, *stored: Stored) -> bytes:
    """Write a store as other software might."""
    writer = IncrementalPdfFileWriter(BytesIO(document))
    arrays: dict[str, list[Any]] = {"/CRLs": [], "/OCSPs": []}
    for each in stored:
        arrays[f"/{each.kind.upper()}s"].append(writer.add_object(StreamObject(stream_data=each.octets)))
    store = DictionaryObject({pdf_name(name): ArrayObject(value) for name, value in arrays.items()})
    writer.root[pdf_name("/DSS")] = writer.add_object(store)
    writer.update_root()
    output = BytesIO()
    writer.write(output)
    return output.getvalue()


def stored_in_cms(town: Town, house: Clockhouse, stored: Stored) -> bytes:
    """Add CAdES' revocation-values (RFC 5126 6.3.4)."""
    message = cms.ContentInfo.load(signed(Format.CMS, town.holder, house.stamp(NOW)))
    number = {"crl": 0, "ocsp": 1}[stored.kind]
    values = der.sequence(der.tlv(der.context(number), der.sequence(_bare(stored))))
    kind = der.object_identifier("1.2.840.113549.1.9.16.2.24")
    attribute = cms.CMSAttribute.load(der.sequence(kind, der.tlv(der.Tag.SET, values)))
    (signer,) = message["content"]["signer_infos"]
    signer["unsigned_attrs"] = cms.CMSAttributes([*signer["unsigned_attrs"], attribute])
    return bytes(message.dump())


def _bare(stored: Stored) -> bytes:
    """Return what CAdES keeps of a response: the BasicOCSPResponse."""
    if stored.kind is StoredKind.CRL or stored.octets == b"garbage":
        return stored.octets
    fields = Reader(Reader(stored.octets).read(Tag.SEQUENCE))
    fields.read(Tag.ENUMERATED)
    outer = Reader(Reader(fields.read(der.context(0))).read(Tag.SEQUENCE))
    outer.read(Tag.OBJECT_IDENTIFIER)
    return outer.read(Tag.OCTET_STRING)


def stored_in_xml(town: Town, house: Clockhouse, stored: Stored) -> bytes:
    """Add XAdES' RevocationValues (ETSI EN 319 132-1, 5.4.2)."""
    root = etree.fromstring(signed(Format.XML, town.holder, house.stamp(NOW)))
    properties = next(root.iter(f"{{{XADES}}}UnsignedSignatureProperties"))
    kind = {"crl": "CRL", "ocsp": "OCSP"}[stored.kind]
    values = etree.SubElement(properties, f"{{{XADES}}}RevocationValues")
    holder = etree.SubElement(values, f"{{{XADES}}}{kind}Values")
    etree.SubElement(holder, f"{{{XADES}}}Encapsulated{kind}Value").text = base64.b64encode(stored.octets).decode()
    return etree.tostring(root)


KEEPERS = {"pdf": stored_in_pdf, "cms": stored_in_cms, "xml": stored_in_xml}


@pytest.mark.parametrize("form", list(KEEPERS))
@pytest.mark.parametrize("name", list(STORES))
def test_what_a_document_holds_counts_only_if_it_may(
    town: Town, judge: Judge, house: Clockhouse, form: str, name: str
) -> None:
    make, cause = STORES[name]
    document = KEEPERS[form](town, house, make(town))
    verdict = judge(document, terms(town, house, sources=[], now=NOW + DAY))
    assert causes(verdict) == [set() if cause is None else {cause}]
    if name == "a list with a later revocation":
        assert "revoked at 2026-11-23T03:00:01Z, after it was signed" in verdict.sentence.en


@pytest.mark.parametrize("name", ["a list of the second", "a response"])
def test_revocation_data_beside_the_certificates_of_a_cms_counts_too(
    town: Town, judge: Judge, house: Clockhouse, name: str
) -> None:
    """RFC 5652 10.2.1, RFC 5940."""
    stored = STORES[name][0](town)
    message = cms.ContentInfo.load(signed(Format.CMS, town.holder, house.stamp(NOW)))
    element = stored.octets
    if stored.kind is StoredKind.OCSP:
        kind = der.object_identifier("1.3.6.1.5.5.7.16.2")
        element = der.tlv(der.context(1), kind, stored.octets)
    message["content"]["crls"] = cms.RevocationInfoChoices.load(der.tlv(Tag.SET, element))
    verdict = judge(message.dump(), terms(town, house, sources=[], now=NOW + DAY))
    assert causes(verdict) == [set()]


def test_a_responder_that_has_ended_since_is_believed_where_a_later_time_stamp_covers_its_word(
    town: Town, judge: Judge, house: Clockhouse
) -> None:
    document = stored_in_pdf(town, house, STORES["a response"][0](town))
    after = terms(town, house, sources=[], now=NOW + 21 * DAY)
    assert causes(judge(document, after)) == [{Cause.REVOCATION_UNCHECKED}]
    assert causes(judge(pdf_writer.add_stamp(document, house.stamp(NOW + 19 * DAY)), after)) == [set()]
    # A word that was put in after the time-stamp is not covered by it.
    stamped = pdf_writer.add_stamp(signed(Format.PADES, town.holder, house.stamp(NOW)), house.stamp(NOW + 19 * DAY))
    late = in_store(stamped, STORES["a response"][0](town))
    assert causes(judge(late, after)) == [{Cause.REVOCATION_UNCHECKED}]


def test_the_callers_word_goes_before_the_documents(town: Town, judge: Judge, house: Clockhouse) -> None:
    document = stored_in_pdf(town, house, listed(list_of(town.root, NOW)))
    later = judge(document, terms(town, house, sources=[revoked(NOW + SECOND, as_of=NOW + DAY)], now=NOW + DAY))
    assert later.decision is Decision.ACCEPT
    assert "after it was signed" in later.sentence.en
    assert causes(judge(document, terms(town, house, sources=[revoked(NOW)], now=NOW + DAY))) == [{Cause.REVOKED}]


def test_without_a_time_stamp_what_the_document_holds_proves_nothing_of_the_present(town: Town, judge: Judge) -> None:
    """Its promise may last, but a thief chose it."""
    document = in_store(sign(PLAIN, town.holder, Format.PADES, NOW), listed(list_of(town.root, NOW - SECOND)))
    assert causes(judge(document, terms(town, sources=[]))) == [{Cause.REVOCATION_STALE}]


def test_garbage_in_a_store_does_no_harm(town: Town, judge: Judge, house: Clockhouse) -> None:
    document = signed(Format.PADES, town.holder, house.stamp(NOW))
    garbage = in_store(document, listed(b"garbage"), listed(list_of(town.root, NOW)), answered(b"garbage"))
    assert causes(judge(garbage, terms(town, house, sources=[], now=NOW + DAY))) == [set()]


# --- an authority whose certificate names a list ---------------------------------------------------------------------


def test_the_authoritys_own_revocation_data_is_kept_and_needed(
    town: Town, judge: Judge, house: Clockhouse, keeper: Credential
) -> None:
    listing = house.with_unit(list_url="http://127.0.0.1/tsa.crl")
    offline = terms(town, house, sources=[], now=YEARS_LATER)
    with pytest.raises(JpkiError) as caught:
        kept(keeper, listing, Level.LT, list_of(town.root, NOW))
    assert caught.value.code == "revocation-data-missing"
    url = x509.UniformResourceIdentifier("http://127.0.0.1/tsa.crl")
    own = list_of(listing.root, NOW + SECOND, point=url)
    document = kept(keeper, listing, Level.LT, list_of(town.root, NOW), own)
    assert causes(judge(document, offline)) == [set()]
    alone = in_store(signed(Format.PADES, town.holder, listing.stamp(NOW)), listed(list_of(town.root, NOW)))
    assert why_stamps(judge(alone, offline)) == ["revocation-unchecked"]


# --- what cannot be kept ---------------------------------------------------------------------------------------------


def failure(act: Callable[[], object]) -> str:
    with pytest.raises(JpkiError) as caught:
        act()
    assert caught.value.problem.ja
    assert caught.value.action.ja
    return caught.value.code


def test_nothing_is_kept_without_what_it_needs(town: Town, house: Clockhouse, keeper: Credential) -> None:
    good = list_of(town.root, NOW)
    assert failure(lambda: kept(town.holder, house, Level.LT, good)) == "chain-incomplete"
    stranger = town.credential(town.holder.certificate, town.next_root.certificate)
    assert failure(lambda: kept(stranger, house, Level.LT, good)) == "chain-incomplete"
    old = list_of(town.root, NOW - SECOND)
    assert failure(lambda: kept(keeper, house, Level.LT, old)) == "revocation-data-old"
    other = list_of(town.next_root, NOW)
    assert failure(lambda: kept(keeper, house, Level.LT, other)) == "revocation-data-missing"
    revocation = (town.holder.certificate, NOW + SECOND, x509.ReasonFlags.superseded)
    dead = list_of(town.root, NOW + DAY, revocation)
    assert failure(lambda: kept(keeper, house, Level.LT, dead)) == "certificate-revoked"
    assert failure(lambda: kept(keeper, house, Level.LT, b"garbage")) == "crl-unreadable"


@pytest.mark.parametrize("form", [Format.XML, Format.CMS])
@pytest.mark.parametrize("level", [Level.LT, Level.LTA])
def test_only_a_pdf_can_be_kept(keeper: Credential, house: Clockhouse, form: Format, level: Level) -> None:
    stamping = Stamping(stamper=house.stamper(), collect=nothing, level=level)
    act = lambda: sign(DOCUMENTS[form], keeper, form, NOW, stamping=stamping)  # noqa: E731 - it is called elsewhere
    assert failure(act) == "level-of-pdf-only"


# --- once more, before the last time-stamp ends ----------------------------------------------------------------------


def prolonged(document: bytes, house: Clockhouse, at: datetime, *lists: bytes, **more: Any) -> bytes:  # noqa: ANN401
    stamping = Stamping(
        stamper=more.pop("stamper", house.stamper(at)),
        collect=Collector(lists, None) if lists else nothing,
        level=Level.LTA,
    )
    return prolong(document, more.pop("chain", ()), stamping, at)


def test_a_pdf_that_is_prolonged_in_time_outlives_each_of_its_time_stamps(
    town: Town, judge: Judge, house: Clockhouse, keeper: Credential
) -> None:
    document = kept(keeper, house, Level.LTA, list_of(town.root, NOW))
    much_later = terms(town, house, sources=[], now=NOW + 2000 * DAY)
    assert why_stamps(judge(document, much_later)) == ["expired"]
    for start in (500, 1000, 1500):
        unit = house.with_unit(not_before=NOW + start * DAY, not_after=NOW + (start + 900) * DAY)
        document = prolonged(document, unit, NOW + (start + 100) * DAY)
    verdict = judge(document, much_later)
    assert causes(verdict) == [set()]
    assert verdict.signatures[0].signed_at == SignedAt(NOW, TimeProof.TIME_STAMP)
    certificates = PdfFileReader(BytesIO(document)).root["/DSS"]["/Certs"]
    assert len(certificates) == 4 + 2  # the two units whose stamps were followed by another one


def test_a_stamped_pdf_becomes_one_that_lasts(town: Town, judge: Judge, house: Clockhouse, keeper: Credential) -> None:
    stamped = kept(keeper, house, Level.T)
    document = prolonged(stamped, house, NOW + DAY, list_of(town.root, NOW + SECOND), chain=[town.root.certificate])
    offline = terms(town, house, sources=[], now=YEARS_LATER)
    assert causes(judge(stamped, offline)) == [{Cause.REVOCATION_UNCHECKED}]
    assert causes(judge(document, offline)) == [set()]


def test_a_signature_that_came_after_the_last_time_stamp_is_kept_too(
    town: Town, judge: Judge, house: Clockhouse, keeper: Credential
) -> None:
    first = kept(keeper, house, Level.LTA, list_of(town.root, NOW))
    stamping = Stamping(stamper=house.stamper(NOW + DAY), collect=nothing, level=Level.T)
    twice = sign(first, keeper, Format.PDF, NOW, stamping=stamping)
    chain = [town.root.certificate]
    document = prolonged(twice, house, NOW + 2 * DAY, list_of(town.root, NOW + DAY + SECOND), chain=chain)
    offline = terms(town, house, sources=[], now=YEARS_LATER)
    assert causes(judge(twice, offline)) == [set(), {Cause.REVOCATION_STALE}]
    assert causes(judge(document, offline)) == [set(), set()]


def test_the_authoritys_revocation_data_is_kept_before_it_is_gone(
    town: Town, judge: Judge, house: Clockhouse, keeper: Credential
) -> None:
    url = x509.UniformResourceIdentifier("http://127.0.0.1/tsa.crl")
    listing = house.with_unit(list_url=url.value)
    own = list_of(listing.root, NOW + SECOND, point=url)
    document = kept(keeper, listing, Level.LTA, list_of(town.root, NOW), own)
    next_unit = house.with_unit(not_before=NOW + 500 * DAY, not_after=NOW + 1500 * DAY)
    later = terms(town, house, sources=[], now=NOW + 1000 * DAY)
    assert failure(lambda: prolonged(document, next_unit, NOW + 600 * DAY, list_of(town.root, NOW))) == (
        "revocation-data-missing"
    )
    assert causes(judge(prolonged(document, next_unit, NOW + 600 * DAY, own), later)) == [set()]


def test_what_cannot_be_prolonged_is_told(town: Town, house: Clockhouse, keeper: Credential) -> None:
    lta = kept(keeper, house, Level.LTA, list_of(town.root, NOW))
    stranger, chain = make_clockhouse(), [town.root.certificate]
    once = sign(PLAIN, town.holder, Format.PADES, NOW)
    fails: dict[str, Callable[[], object]] = {
        "pdf-unreadable": lambda: prolonged(b"x", house, NOW),
        "document-unsigned": lambda: prolonged(PLAIN, house, NOW),
        "document-altered": lambda: prolonged(lta.replace(b"Income", b"Outgos"), house, NOW),
        "signature-unstamped": lambda: prolonged(once, house, NOW, chain=chain),
        "chain-incomplete": lambda: prolonged(kept(keeper, house, Level.T), house, NOW),
        "stamp-untrusted": lambda: prolonged(lta, stranger, NOW),
        "stamp-ended": lambda: prolonged(lta, house, NOW + 700 * DAY + SECOND),
        "stamp-broken": lambda: prolonged(pdf_writer.add_stamp(lta, lambda _: house.token(NOW, b"x" * 32)), house, NOW),
    }
    assert {code: failure(act) for code, act in fails.items()} == {code: code for code in fails}
