"""Named policies: what each takes, and that none makes a verdict milder."""

from pathlib import Path

import pytest

from signing.intake import Format
from signing.policies import ARCHIVE, E_TAX, E_TAX_STRICT, GENERAL, POLICIES, ValidationPolicy
from signing.sign import sign
from signing.validation import Validation
from signing.verdict import Cause, Decision, SubIndication
from signing.verify import verify
from tests.signing import odd_cms
from tests.signing.expect import causes
from tests.signing.stamps import DAY, DOCUMENTS, Clockhouse, make_clockhouse, signed, terms
from tests.signing.town import NOW, Town, revoked

FORMATS = pytest.mark.parametrize("form", DOCUMENTS)


@pytest.fixture(scope="module")
def house() -> Clockhouse:
    return make_clockhouse()


def judged(tmp_path: Path, document: bytes, validation: Validation, policy: ValidationPolicy) -> set[Cause]:
    file = tmp_path / "document"
    file.write_bytes(document)
    verdict = verify(file, validation, policy)
    (found,) = causes(verdict)
    assert (verdict.decision is Decision.ACCEPT) == (not found)
    return found


TIMES = ["stamped", "given", "now"]
TAKEN = {
    GENERAL.name: set(TIMES),
    E_TAX.name: set(TIMES),
    E_TAX_STRICT.name: {"stamped", "given"},
    ARCHIVE.name: {"stamped"},
}
"""On what the time may rest."""


@FORMATS
@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("name", POLICIES)
def test_what_each_policy_takes(
    town: Town, house: Clockhouse, tmp_path: Path, name: str, form: Format, time: str
) -> None:
    policy, at = POLICIES[name], NOW if time == "given" else None
    document = signed(form, town.holder, house.stamp(NOW - DAY) if time == "stamped" else None)
    expected = set() if time in TAKEN[name] else {Cause.TIME_UNPROVEN}
    if form is Format.CMS and name.startswith(E_TAX.name):
        expected.add(Cause.FORMAT_NOT_TAKEN)
    assert judged(tmp_path, document, terms(town, house, at=at), policy) == expected


@pytest.mark.parametrize("name", POLICIES)
def test_a_good_reason_to_refuse_is_one_under_each_policy(town: Town, tmp_path: Path, name: str) -> None:
    document = sign(DOCUMENTS[Format.CMS], town.holder, Format.CMS, NOW)
    file = tmp_path / "document"
    forged = odd_cms.from_attributes(document)  # refused for its form, which e-Tax does not take either
    for octets in (document.replace(b"content at", b"kontent at"), forged, document):
        file.write_bytes(octets)
        assert verify(file, town.validation(revoked(NOW - DAY)), POLICIES[name]).decision is Decision.REFUSE


def test_the_sentence_names_the_policy_and_what_it_misses(town: Town, house: Clockhouse, tmp_path: Path) -> None:
    file = tmp_path / "document"
    file.write_bytes(signed(Format.PADES, town.holder, None))
    (signature,) = verify(file, terms(town, house), ARCHIVE).signatures
    assert (signature.decision, signature.sub_indication) == (Decision.UNDECIDED, SubIndication.NO_POE)
    assert signature.sentence.en == "There is no proof of when it was signed, as the policy 'archive' asks for."
