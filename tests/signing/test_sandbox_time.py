"""Time-stamps, what documents hold about revocation, and policies: in the sandbox they count as they do outside."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from io import BytesIO

import pytest
from cryptography import x509

from jpki.ports import RevocationSource
from jpki.revocation import RevocationEvidence
from server.sandbox import open_sandbox
from signing import pdf_writer
from signing.caps import MOST_STORED
from signing.intake import Format
from signing.policies import GENERAL, POLICIES, ValidationPolicy
from signing.report import FileVerdict
from signing.sandbox import Sandbox
from signing.sign import sign
from signing.time_stamp import read_token
from signing.validation import Stored, TrustAnchor, Validation
from signing.verdict import Cause, Decision
from signing.verify import judge
from tests.signing.expect import causes
from tests.signing.stamps import (
    DAY,
    DOCUMENTS,
    STAMPED_FORMATS,
    Clockhouse,
    list_of,
    listed,
    make_clockhouse,
    signed,
    terms,
)
from tests.signing.test_preservation import KEEPERS, STORES, in_store
from tests.signing.town import NOW, Town, good


@pytest.fixture(scope="module")
def house() -> Clockhouse:
    return make_clockhouse()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with open_sandbox(2) as sandbox:
        yield sandbox


def judged(
    sandbox: Sandbox, document: bytes, validation: Validation, policy: ValidationPolicy = GENERAL
) -> FileVerdict:
    """Judge a document in the sandbox, where the verdict must be what it is outside."""
    with tempfile.TemporaryFile() as file:
        file.write(document)
        file.flush()
        verdict = sandbox.judge(file, validation, policy)
    assert verdict == judge(BytesIO(document), validation, policy)
    return verdict


@pytest.mark.parametrize("form", STAMPED_FORMATS)
@pytest.mark.parametrize("name", POLICIES)
def test_each_policy_takes_the_same(sandbox: Sandbox, town: Town, house: Clockhouse, form: Format, name: str) -> None:
    for stamp in (None, house.stamp(NOW - DAY), lambda _: house.token(NOW, b"x" * 32)):
        judged(sandbox, signed(form, town.holder, stamp), terms(town, house), POLICIES[name])
    strict = judged(sandbox, signed(form, town.holder, None), terms(town, house), POLICIES["archive"])
    assert causes(strict) == [{Cause.TIME_UNPROVEN}]


@pytest.mark.slow
@pytest.mark.parametrize("form", KEEPERS)
def test_what_a_document_holds_counts_the_same(sandbox: Sandbox, town: Town, house: Clockhouse, form: str) -> None:
    offline = terms(town, house, sources=[], now=NOW + DAY)
    for make, cause in STORES.values():
        verdict = judged(sandbox, KEEPERS[form](town, house, make(town)), offline)
        assert causes(verdict) == [set() if cause is None else {cause}]
    unread = replace(offline, read_stored=None)
    kept = KEEPERS[form](town, house, listed(list_of(town.root, NOW)))
    assert causes(judged(sandbox, kept, unread)) == [{Cause.REVOCATION_UNCHECKED}]


def test_what_a_document_holds_is_read_in_the_process_that_judges_it(
    sandbox: Sandbox, town: Town, house: Clockhouse
) -> None:
    def here(_stored: Stored, _moment: datetime) -> RevocationSource:
        raise AssertionError("a stranger's list was read in the process that serves others")

    document = KEEPERS["pdf"](town, house, listed(list_of(town.root, NOW)))
    with tempfile.TemporaryFile() as file:
        file.write(document)
        file.flush()
        verdict = sandbox.judge(file, replace(terms(town, house, sources=[], now=NOW + DAY), read_stored=here))
    assert verdict.decision is Decision.ACCEPT


def test_whom_one_believes_is_the_same(sandbox: Sandbox, town: Town, house: Clockhouse) -> None:
    document = signed(Format.PADES, town.holder, house.stamp(NOW - DAY))

    def found(**fields: Sequence[TrustAnchor]) -> FileVerdict:
        return judged(sandbox, document, replace(terms(town, house), **fields))  # type: ignore[arg-type]

    foreign = replace(town.root.anchor, domain="jpki", policies=frozenset({"1.2.3"}))
    assert causes(found(anchors=[foreign])) == [{Cause.WRONG_POLICY}]
    assert found(anchors=[foreign]).signatures[0].signer.trust_domain == "jpki"  # type: ignore[union-attr]
    stamped, unbelieved = found(), found(stamp_anchors=())
    assert stamped.signatures[0].signed_at != unbelieved.signatures[0].signed_at


# --- what it asks ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Counting:
    """A source that counts what it is asked."""

    source: RevocationSource
    asked: list[tuple[x509.Certificate, datetime]] = field(default_factory=list)

    def evidence(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> RevocationEvidence | None:
        self.asked.append((certificate, at))
        return self.source.evidence(certificate, issuer, at)


def test_a_source_is_asked_the_same_thing_once(sandbox: Sandbox, town: Town, house: Clockhouse) -> None:
    """A PDF's time-stamps cover each of its signatures, and are weighed with each."""
    document = DOCUMENTS[Format.PADES]
    for _ in range(3):
        document = sign(document, town.holder, Format.PADES, NOW)
    for _ in range(3):
        document = pdf_writer.add_stamp(document, house.stamp(NOW - DAY))
    source = Counting(good())
    with tempfile.TemporaryFile() as file:
        file.write(document)
        file.flush()
        verdict = sandbox.judge(file, replace(terms(town, house), revocation=[source]))
    assert verdict.decision is Decision.ACCEPT
    assert len(source.asked) == len(set(source.asked)) > 1


# --- caps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [MOST_STORED - 1, MOST_STORED])
def test_of_what_a_document_holds_so_much_is_read_and_no_more(
    sandbox: Sandbox, town: Town, house: Clockhouse, before: int
) -> None:
    lists = [listed(list_of(town.next_root, NOW))] * before + [listed(list_of(town.root, NOW))]
    document = in_store(signed(Format.PADES, town.holder, house.stamp(NOW)), *lists)
    verdict = judged(sandbox, document, terms(town, house, sources=[], now=NOW + DAY))
    assert causes(verdict) == [{Cause.REVOCATION_UNCHECKED} if before == MOST_STORED else set()]


# --- no memory left, too deep ----------------------------------------------------------------------------------------


class Exhausting(tuple[x509.Certificate, ...]):
    """Certificates whose reading takes what there is not."""

    __slots__ = ()
    error: type[BaseException]

    def __iter__(self) -> Iterator[x509.Certificate]:
        raise self.error


@pytest.mark.parametrize("error", [MemoryError, RecursionError])
def test_what_there_is_no_room_to_read_is_no_broken_time_stamp(house: Clockhouse, error: type[BaseException]) -> None:
    """A broken one is refused, but nothing was found against the signer."""
    exhausting = type("Odd", (Exhausting,), {"__slots__": (), "error": error})
    with pytest.raises(error):
        read_token(house.token(NOW, b"x" * 32), exhausting())


class OnceFull(BytesIO):
    """A file whose digest is first asked for when no memory is left."""

    is_full = True

    def readinto(self, buffer: object) -> int:
        if self.is_full:
            self.is_full = False
            raise MemoryError
        return super().readinto(buffer)  # type: ignore[arg-type]


def test_no_memory_for_a_documents_time_stamp_is_no_verdict(town: Town, house: Clockhouse) -> None:
    document = pdf_writer.add_stamp(signed(Format.PADES, town.holder, None), house.stamp(NOW))
    with pytest.raises(MemoryError):
        judge(OnceFull(document), terms(town, house))
