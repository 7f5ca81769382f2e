"""A complete list as a delta brings it up to date, when a delta is none of a list's, and cases that others wrote."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from crl.builder import Edition, encoded, signed_around
from crl.reader import CrlFile, updated
from jpki.errors import JpkiError, Kind
from jpki.ids import Serial
from jpki.partition import Partition
from jpki.ports import RevocationSource, RevokedLines
from jpki.revocation import REMOVED_FROM_LIST, Finding, Reason, RevocationEvidence
from tests.crl.authority import (
    CHIYODA,
    CHUO,
    NOW,
    SHARED,
    TODAY,
    Leaf,
    certificate,
    generation,
    key_of,
    named_in,
    serial,
)

EARLIER, LATER = TODAY - timedelta(days=1), TODAY + timedelta(hours=5)
TWO_DAYS = timedelta(days=2)
LEAVES = [certificate(Leaf(serial=serial(number), points=named_in(CHIYODA))) for number in range(6)]
EDITION = Edition(number=7, this_update=TODAY, next_update=TODAY + TWO_DAYS)
CHANGES = Edition(number=9, this_update=LATER, next_update=LATER + TWO_DAYS, base=5)
Line = tuple[Serial, datetime, int]


def written(
    lines: Sequence[Line], edition: Edition, of: Partition | None = None, signer: str = "s1", key: str | None = None
) -> CrlFile:
    octets = encoded(RevokedLines.told(lines))
    frame = signed_around([octets], len(octets), edition, generation(signer), of, key_of(key or signer))
    return CrlFile(BytesIO(frame.head + octets + frame.tail))


COMPLETE = written(
    [(serial(0), EARLIER, 1), (serial(1), EARLIER, 6), (serial(2), EARLIER, 6), (serial(3), EARLIER, 4)], EDITION
)
DELTA = written(
    [(serial(1), TODAY, REMOVED_FROM_LIST), (serial(2), EARLIER, 1), (serial(4), TODAY, 0), (serial(9), TODAY, 8)],
    CHANGES,
)


def word(source: RevocationSource, number: int) -> RevocationEvidence | None:
    return source.evidence(LEAVES[number], generation("s1").certificate, NOW)


def code_of(error: pytest.ExceptionInfo[JpkiError]) -> str:
    assert error.value.kind is Kind.UNPROCESSABLE
    return error.value.code


@pytest.mark.parametrize(
    ("number", "finding", "since", "reason"),
    [
        (0, Finding.REVOKED, EARLIER, Reason.KEY_COMPROMISE),
        (1, Finding.GOOD, None, None),
        (2, Finding.REVOKED, EARLIER, Reason.KEY_COMPROMISE),
        (3, Finding.REVOKED, EARLIER, Reason.SUPERSEDED),
        (4, Finding.REVOKED, TODAY, Reason.UNSPECIFIED),
        (5, Finding.GOOD, None, None),
    ],
    ids=["listed", "released", "held and now revoked", "listed still", "newly", "never"],
)
def test_the_delta_decides_where_it_tells_of_a_certificate_and_the_list_elsewhere(
    number: int, finding: Finding, since: datetime | None, reason: Reason | None
) -> None:
    """Whatever either says, it is so as of the delta, and as long as that holds."""
    told = word(COMPLETE.updated(DELTA), number)
    assert told == RevocationEvidence(
        finding=finding, source="crl", as_of=LATER, fresh_until=LATER + TWO_DAYS, revoked_at=since, reason=reason
    )


def test_the_list_itself_is_as_it_was() -> None:
    COMPLETE.updated(DELTA)
    told = word(COMPLETE, 1)
    assert told is not None
    assert (told.finding, told.as_of) == (Finding.HELD, TODAY)


def test_a_delta_alone_has_no_say() -> None:
    assert [word(DELTA, number) for number in range(6)] == [None] * 6


def test_a_delta_by_another_key_has_no_say_and_neither_has_the_list_with_it() -> None:
    """Of the same name, and with the key identifier of the right one."""
    forged = written([(serial(0), TODAY, REMOVED_FROM_LIST)], CHANGES, key="s2")
    assert word(COMPLETE.updated(forged), 0) is None
    other = written([], EDITION, key="s2")
    assert word(other.updated(DELTA), 5) is None


def test_a_delta_that_is_not_understood_has_no_say() -> None:
    issuer = generation("s1")
    builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, LATER, LATER + TWO_DAYS)
    for value, critical in (
        (x509.AuthorityKeyIdentifier(issuer.key_identifier, None, None), False),
        (x509.CRLNumber(9), False),
        (x509.DeltaCRLIndicator(5), True),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("2.25.1"), b"\x05\x00"), True),
    ):
        builder = builder.add_extension(value, critical=critical)
    odd = CrlFile(BytesIO(builder.sign(key_of("s1"), SHA256()).public_bytes(Encoding.DER)))
    assert word(COMPLETE.updated(odd), 5) is None


# --- which list it is of -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [5, 6, 7, 8])
def test_a_delta_is_of_its_base_and_of_every_list_after_it(number: int) -> None:
    told = word(written([], replace(EDITION, number=number)).updated(DELTA), 4)
    assert told is not None
    assert told.finding is Finding.REVOKED


@pytest.mark.parametrize(
    ("edition", "code"),
    [
        (replace(EDITION, number=4), "crl-delta-base-newer"),
        (replace(EDITION, number=10), "crl-delta-older"),
        (replace(CHANGES, number=10), "crl-no-delta"),
    ],
    ids=["before its base", "after it", "a delta too"],
)
def test_a_delta_is_of_no_other_list(edition: Edition, code: str) -> None:
    with pytest.raises(JpkiError) as error:
        written([], edition).updated(DELTA)
    assert code_of(error) == code


def test_a_list_of_the_deltas_own_number_needs_none() -> None:
    same = written([], replace(EDITION, number=9))
    assert same.updated(DELTA) is same


def test_a_complete_list_is_no_delta() -> None:
    with pytest.raises(JpkiError) as error:
        COMPLETE.updated(written([], replace(EDITION, number=8)))
    assert code_of(error) == "crl-no-delta"


@pytest.mark.parametrize(
    "delta",
    [
        written([], CHANGES, of=CHIYODA),
        written([], CHANGES, signer="s2"),
        written([], CHANGES, of=CHUO, signer="s2"),
    ],
    ids=["partition", "generation", "both"],
)
def test_r23_a_delta_of_another_scope_or_generation_is_refused(delta: CrlFile) -> None:
    with pytest.raises(JpkiError) as error:
        COMPLETE.updated(delta)
    assert code_of(error) == "crl-delta-foreign"


@pytest.mark.parametrize("of_delta", [CHIYODA, CHUO, None])
@pytest.mark.parametrize("of_list", [CHIYODA, CHUO, None])
def test_a_partition_that_has_a_delta_is_updated_by_its_own_alone(
    of_list: Partition | None, of_delta: Partition | None
) -> None:
    complete, delta = written([], EDITION, of=of_list), written([], CHANGES, of=of_delta)
    if of_list == of_delta:
        assert (word(complete.updated(delta), 5) is None) == (of_list == CHUO)
    else:
        with pytest.raises(JpkiError, match="crl-delta-foreign"):
            complete.updated(delta)


# --- several lists -------------------------------------------------------------------------------------------------


def findings(*lists: CrlFile) -> list[tuple[Finding, datetime] | None]:
    """What each source says of a certificate that is held at first, and then released."""
    words = [word(each, 1) for each in updated(lists)]
    return [None if each is None else (each.finding, each.as_of) for each in words]


def test_of_several_lists_each_is_updated_that_a_delta_is_of() -> None:
    partition = written([(serial(1), EARLIER, 1)], EDITION, of=CHIYODA)
    held, released = (Finding.HELD, TODAY), (Finding.GOOD, LATER)
    of_partition = (Finding.REVOKED, TODAY)
    assert findings(COMPLETE) == [held]
    for lists in ([COMPLETE, partition, DELTA], [DELTA, COMPLETE, partition], [COMPLETE, DELTA, partition]):
        assert findings(*lists) == [released, of_partition]


def test_of_several_deltas_the_newest_counts() -> None:
    newest = written([(serial(1), TODAY, 6)], replace(CHANGES, number=11, this_update=NOW.replace(microsecond=0)))
    for deltas in ([DELTA, newest], [newest, DELTA]):
        assert findings(COMPLETE, *deltas) == [(Finding.HELD, NOW.replace(microsecond=0))]


@pytest.mark.parametrize(
    ("lists", "code"),
    [
        ([DELTA], "crl-no-delta"),
        ([written([], EDITION, of=CHIYODA), DELTA], "crl-delta-foreign"),
        ([written([], replace(EDITION, number=4)), written([], EDITION, of=CHIYODA), DELTA], "crl-delta-base-newer"),
        ([written([], replace(EDITION, number=10)), DELTA], "crl-delta-older"),
    ],
    ids=["alone", "foreign", "base", "older"],
)
def test_a_delta_of_none_of_the_lists_is_refused(lists: list[CrlFile], code: str) -> None:
    with pytest.raises(JpkiError) as error:
        updated(lists)
    assert code_of(error) == code


# --- cases that others wrote ---------------------------------------------------------------------------------------

PKITS = SHARED / "conformance" / "pkits"


def pkits_cases() -> list[dict[str, object]]:
    index = PKITS / "cases.json"
    if not index.exists():
        return []
    cases: list[dict[str, object]] = json.loads(index.read_text("utf-8"))
    return [case for case in cases if "delta" in str(case["name"])]


def test_nists_deltas_are_judged_as_nist_does() -> None:
    """PKITS 4.15: a base alone that says it is a delta; revoked, held and released, in the list and in the delta."""
    cases = pkits_cases()
    if not cases:
        pytest.skip("no conformance cases in ../shared or JPKI_SHARED")
    assert len(cases) >= 5
    at = datetime(2022, 5, 1, tzinfo=UTC)
    for case in cases:
        leaf, issuer = (
            x509.load_der_x509_certificate((PKITS / "certs" / str(name)).read_bytes())
            for name in (case["cert"], *_list(case["other_certs"]))
        )
        lists = [CrlFile(BytesIO((PKITS / "crls" / str(name)).read_bytes())) for name in _list(case["crls"])]
        told = [each.evidence(leaf, issuer, at) for each in (updated(lists) if len(lists) > 1 else lists)]
        is_good = [each is not None and each.finding is Finding.GOOD for each in told] == [True]
        assert is_good == (case["expected"] == "valid"), case["name"]


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value
