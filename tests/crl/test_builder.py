"""The octets of a list, against cryptography's own builder."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from crl.builder import Edition, encoded, signed_around
from jpki import der
from jpki.ids import Serial
from jpki.partition import ARL, Partition
from jpki.ports import RevokedEntry, RevokedLines
from jpki.revocation import REMOVED_FROM_LIST, Reason
from tests.crl.authority import CHIYODA, END, TODAY, generation, key_of, partition, serial
from tests.crl.writing import encode, list_of

TWO_DAYS = timedelta(hours=48)


def edition(number: int = 1, this_update: datetime = TODAY) -> Edition:
    return Edition(number=number, this_update=this_update, next_update=this_update + TWO_DAYS)


def ours(entries: Sequence[RevokedEntry], of: Partition | None = CHIYODA, number: int = 1) -> bytes:
    return list_of(entries, edition(number), generation("s1"), of, key_of("s1"))


def theirs(entries: Sequence[RevokedEntry], of: Partition | None = CHIYODA, number: int = 1) -> bytes:
    """The same list by cryptography's builder; RSA with PKCS #1 v1.5 signs the same octets alike."""
    issuer = generation("s1")
    builder = (
        x509.CertificateRevocationListBuilder(issuer.certificate.subject, TODAY, TODAY + TWO_DAYS)
        .add_extension(x509.AuthorityKeyIdentifier(issuer.key_identifier, None, None), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    if of is not None:
        names = of.distribution_names(issuer.id)
        point = x509.IssuingDistributionPoint(
            full_name=names,
            relative_name=None,
            only_contains_user_certs=False,
            only_contains_ca_certs=False,
            only_some_reasons=None,
            indirect_crl=False,
            only_contains_attribute_certs=False,
        )
        builder = builder.add_extension(point, critical=True)
    for each in entries:
        builder = builder.add_revoked_certificate(their_entry(each))
    return builder.sign(key_of("s1"), SHA256()).public_bytes(Encoding.DER)


def their_entry(entry: RevokedEntry) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(entry.serial).revocation_date(entry.revoked_at)
    if entry.reason is not Reason.UNSPECIFIED:
        builder = builder.add_extension(x509.CRLReason(x509.ReasonFlags(entry.reason.value)), critical=False)
    return builder.build()


def our_delta(lines: Sequence[tuple[Serial, datetime, int]], number: int, base: int) -> bytes:
    octets = encoded(RevokedLines.told(lines))
    changes = replace(edition(number), base=base)
    frame = signed_around([octets], len(octets), changes, generation("s1"), None, key_of("s1"))
    return frame.head + octets + frame.tail


def their_delta(lines: Sequence[tuple[Serial, datetime, int]], number: int, base: int) -> bytes:
    issuer = generation("s1")
    builder = (
        x509.CertificateRevocationListBuilder(issuer.certificate.subject, TODAY, TODAY + TWO_DAYS)
        .add_extension(x509.AuthorityKeyIdentifier(issuer.key_identifier, None, None), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.DeltaCRLIndicator(base), critical=True)
    )
    for serial_number, moment, reason in lines:
        line = x509.RevokedCertificateBuilder().serial_number(serial_number).revocation_date(moment)
        if reason:
            line = line.add_extension(x509.CRLReason(FLAGS[reason]), critical=False)
        builder = builder.add_revoked_certificate(line.build())
    return builder.sign(key_of("s1"), SHA256()).public_bytes(Encoding.DER)


FLAGS = {each.number: x509.ReasonFlags(each.value) for each in Reason} | {
    REMOVED_FROM_LIST: x509.ReasonFlags.remove_from_crl
}


def parsed(octets: bytes) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(octets)


a_serial = st.one_of(st.integers(1 << 126, (1 << 127) - 1), st.integers(1, (1 << 128) - 1)).map(Serial)
"""Of our form nearly always, and of any length else."""
a_moment = st.datetimes(datetime(1950, 1, 1), datetime(2060, 1, 1)).map(  # noqa: DTZ001 - the next line adds the zone
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
an_entry = st.builds(RevokedEntry, a_serial, a_moment, st.sampled_from(Reason))


@settings(max_examples=60)
@given(
    st.lists(an_entry, max_size=300, unique_by=lambda entry: entry.serial),
    st.sampled_from([CHIYODA, None, partition("p0003", base_urls=("http://old.test", "http://new.test"))]),
    st.integers(1, 1 << 70),
)
def test_a_list_is_what_cryptography_writes(entries: list[RevokedEntry], of: Partition | None, number: int) -> None:
    assert ours(entries, of, number=number) == theirs(entries, of, number)


def of_length(octets: int) -> list[RevokedEntry]:
    """Entries that take so many octets together; one takes its serial's octets and 19 more."""
    count = -(-octets // 35)
    lengths = [octets // count + (number < octets % count) for number in range(count)]
    return [RevokedEntry(Serial(1 << 8 * (each - 20)), TODAY, Reason.UNSPECIFIED) for each in lengths]


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(a_serial, a_moment, st.sampled_from(sorted(FLAGS))), max_size=300, unique_by=lambda line: line[0]
    ),
    st.integers(1, 1 << 70),
    st.integers(0, 1 << 70),
)
def test_a_delta_is_what_cryptography_writes(lines: list[tuple[Serial, datetime, int]], number: int, base: int) -> None:
    assert our_delta(lines, number, base) == their_delta(lines, number, base)


def test_a_delta_says_what_left_its_list_in_so_many_words() -> None:
    assert REMOVED_FROM_LIST == 8
    (entry,) = parsed(our_delta([(serial(1), TODAY, REMOVED_FROM_LIST)], 5, 4))
    reason = entry.extensions.get_extension_for_class(x509.CRLReason)
    assert (reason.value.reason, reason.critical) == (x509.ReasonFlags.remove_from_crl, False)


def test_r11_an_empty_delta_has_no_revoked_certificates() -> None:
    assert our_delta([], 7, 7) == their_delta([], 7, 7)


@pytest.mark.parametrize("of", [None, CHIYODA])
def test_a_list_names_its_delta_where_cryptography_would(of: Partition | None) -> None:
    octets = list_of([], replace(edition(7), freshest="http://ca.test"), generation("s1"), of, key_of("s1"))
    extension = parsed(octets).extensions[-1]
    url = x509.UniformResourceIdentifier("http://ca.test/crl/signing/s1/delta.crl")
    assert extension.value == x509.FreshestCRL([x509.DistributionPoint([url], None, None, None)])
    assert extension.value.public_bytes() in octets
    assert not extension.critical


def test_an_arl_is_of_authorities_alone_and_named_as_its_roots_name_it() -> None:
    issuer = generation("s1")
    name = issuer.certificate.subject
    arl = Partition(id=ARL, purpose=issuer.purpose, name=name, base_urls=("http://ca.test",))
    extension = parsed(ours([], of=arl)).extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    point, url = extension.value, x509.UniformResourceIdentifier("http://ca.test/crl/signing/s1/arl.crl")
    assert list(point.full_name or ()) == [x509.DirectoryName(name), url]
    assert (extension.critical, point.only_contains_ca_certs, point.only_contains_user_certs) == (True, True, False)


BOUNDARIES = (127, 128, 255, 256, 65535, 65536)


@pytest.mark.parametrize("octets", BOUNDARIES)
def test_lengths_are_minimal_at_every_boundary(octets: int) -> None:
    entries = of_length(octets)
    assert len(encode(entries)) == octets
    assert der.header(der.Tag.SEQUENCE, octets) + encode(entries) in ours(entries)
    assert ours(entries) == theirs(entries)


@pytest.mark.parametrize("octets", BOUNDARIES[2:])
def test_the_lengths_around_the_entries_are_minimal_at_every_boundary(octets: int) -> None:
    """What is signed, and the whole list, pass each boundary with fewer entries than the entries themselves."""
    without = {len(ours([])), len(parsed(ours([])).tbs_certlist_bytes)}
    for length in (octets - around + difference for around in without for difference in range(-12, 13)):
        if length > 21:
            assert ours(of_length(length)) == theirs(of_length(length))


@pytest.mark.slow
@pytest.mark.parametrize("count", [999, 1000, 5000])
def test_thousands_of_entries_of_every_kind_are_what_cryptography_writes(count: int) -> None:
    """Among others in the one shape, each odd one: a serial of another length, no reason, a time from 2050 on."""
    kinds = [
        RevokedEntry(Serial((1 << 126) + 3), TODAY, Reason.KEY_COMPROMISE),
        RevokedEntry(Serial(1 << 127), TODAY, Reason.SUPERSEDED),
        RevokedEntry(Serial(77), TODAY, Reason.CERTIFICATE_HOLD),
        RevokedEntry(Serial((1 << 126) + 4), TODAY, Reason.UNSPECIFIED),
        RevokedEntry(Serial((1 << 126) + 5), datetime(2050, 1, 1, tzinfo=UTC), Reason.CA_COMPROMISE),
        RevokedEntry(Serial((1 << 126) + 6), datetime(1999, 12, 31, tzinfo=UTC), Reason.CESSATION_OF_OPERATION),
    ]
    entries = [
        replace(kinds[number * number % 7 % 6 if number % 5 == 0 else 0], serial=Serial(number * 1000 + (1 << 126)))
        for number in range(count)
    ] + kinds
    assert ours(entries) == theirs(entries)


def test_r10_a_reason_is_encoded_unless_it_is_unspecified() -> None:
    entries = [RevokedEntry(serial(number), TODAY, reason) for number, reason in enumerate(Reason)]
    for entry, written in zip(entries, parsed(ours(entries)), strict=True):
        reasons = [each.value.reason.value for each in written.extensions if isinstance(each.value, x509.CRLReason)]
        assert reasons == ([] if entry.reason is Reason.UNSPECIFIED else [entry.reason.value])
        assert not any(each.critical for each in written.extensions)
    assert b"\x0a\x01\x00" not in encode(entries)


def test_r11_an_empty_list_has_no_revoked_certificates() -> None:
    assert encode([]) == b""
    assert ours([]) == theirs([])


def test_a_list_says_when_and_of_whom() -> None:
    written = parsed(ours([], number=7))
    assert written.is_signature_valid(key_of("s1").public_key())
    assert written.issuer == generation("s1").certificate.subject
    assert (written.last_update_utc, written.next_update_utc) == (TODAY, TODAY + TWO_DAYS)
    assert [(each.oid._name, each.critical) for each in written.extensions] == [  # noqa: SLF001 - pyca's own words
        ("authorityKeyIdentifier", False),
        ("cRLNumber", False),
        ("issuingDistributionPoint", True),
    ]


def test_a_partition_names_itself_by_all_its_names_and_the_complete_list_by_none() -> None:
    point = parsed(ours([])).extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    assert list(point.full_name or ()) == CHIYODA.distribution_names(generation("s1").id)
    extensions = [type(each.value) for each in parsed(ours([], None)).extensions]
    assert extensions == [x509.AuthorityKeyIdentifier, x509.CRLNumber]


def test_r25_a_list_promises_nothing_beyond_its_generation() -> None:
    ending = generation("s8", end=TODAY + timedelta(hours=5))
    written = parsed(list_of([], edition(), ending, None, key_of("s8")))
    assert written.next_update_utc == ending.not_after
    in_time = parsed(list_of([], edition(this_update=END - 2 * TWO_DAYS), generation("s1"), None, key_of("s1")))
    assert in_time.next_update_utc == END - TWO_DAYS


def test_times_from_2050_on_are_generalized() -> None:
    late = RevokedEntry(serial(1), datetime(2050, 1, 1, tzinfo=UTC), Reason.UNSPECIFIED)
    last = RevokedEntry(serial(2), datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), Reason.UNSPECIFIED)
    octets = encode([late, last])
    assert b"\x18\x0f20500101000000Z" in octets
    assert b"\x17\x0d491231235959Z" in octets
