"""Hostile files in the sandbox: each is turned away with the reason named, in seconds, and none fills the memory."""

import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from server.sandbox import open_sandbox
from signing.caps import MOST_CERTIFICATES, MOST_REVISIONS, MOST_SIGNATURES
from signing.credential import Credential
from signing.intake import Format
from signing.report import FileVerdict
from signing.sandbox import Sandbox
from signing.sign import sign
from signing.validation import Validation
from signing.verdict import Cause, Decision
from tests.signing import hostile
from tests.signing.expect import causes
from tests.signing.hostile import HOSTILE, Signed
from tests.signing.town import NOW, Town

pytestmark = pytest.mark.slow

MOST_SECONDS = 10


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with open_sandbox(2) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def signed(town: Town) -> Signed:
    return Signed.of(town)


def judged(sandbox: Sandbox, document: bytes, validation: Validation) -> FileVerdict:
    with tempfile.TemporaryFile() as file:
        file.write(document)
        file.flush()
        return sandbox.judge(file, validation)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_turned_away_in_time_with_its_reason(
    sandbox: Sandbox, town: Town, signed: Signed, name: str
) -> None:
    make, reason = HOSTILE[name]
    document = make(signed)
    judged(sandbox, b"x", town.validation())
    begun = time.monotonic()
    verdict = judged(sandbox, document, town.validation())
    assert time.monotonic() - begun < MOST_SECONDS
    assert verdict.decision in {Decision.REFUSE, Decision.UNREADABLE}
    assert re.search(reason, verdict.sentence.en), verdict.sentence.en


# --- at the caps -----------------------------------------------------------------------------------------------------


def test_at_the_cap_of_revisions_a_pdf_is_judged(sandbox: Sandbox, town: Town, signed: Signed) -> None:
    verdict = judged(sandbox, hostile.with_revisions(signed.pdf, MOST_REVISIONS), town.validation())
    assert len(verdict.signatures) == 1


def test_at_the_cap_of_signatures_a_file_is_judged(sandbox: Sandbox, town: Town, signed: Signed) -> None:
    many = judged(sandbox, hostile.signed_by_many(signed.cms, MOST_SIGNATURES), town.validation())
    assert len(many.signatures) == MOST_SIGNATURES
    assert many.decision is Decision.ACCEPT


def test_at_the_cap_of_depth_xml_is_judged(sandbox: Sandbox, town: Town, signed: Signed) -> None:
    deep = judged(sandbox, hostile.nested_xml(signed.xml, 256), town.validation())
    assert Cause.ALTERED in causes(deep)[0]


def test_below_the_caps_of_streams_a_pdf_is_read(sandbox: Sandbox, town: Town) -> None:
    for document in (hostile.packed_catalog(64 * hostile.MIB, level=0), hostile.claimed_objects(170_000)):
        verdict = judged(sandbox, document, town.validation())
        assert "compressed" not in verdict.sentence.en


def test_many_signatures_of_one_pdf_are_judged_in_time(sandbox: Sandbox, town: Town, signed: Signed) -> None:
    document = signed.pdf
    for _ in range(MOST_SIGNATURES - 1):
        document = sign(document, town.accountant, Format.PDF, NOW)
    begun = time.monotonic()
    verdict = judged(sandbox, document, town.validation())
    assert time.monotonic() - begun < MOST_SECONDS
    assert (verdict.decision, len(verdict.signatures)) == (Decision.ACCEPT, MOST_SIGNATURES)


# --- chains ----------------------------------------------------------------------------------------------------------


def test_a_crowd_of_namesakes_costs_little(sandbox: Sandbox, town: Town) -> None:
    crowd = Credential(
        certificate=town.holder.certificate,
        key=town.holder.key,
        chain=tuple(hostile.namesakes(town, MOST_CERTIFICATES - 1)),
    )
    begun = time.monotonic()
    verdict = judged(sandbox, sign(b"content", crowd, Format.CMS, NOW), town.validation())
    assert verdict.decision is Decision.ACCEPT
    assert time.monotonic() - begun < 2


def test_a_policy_bomb_does_not_go_off(sandbox: Sandbox, town: Town) -> None:
    root, holder = hostile.policy_bomb(town, levels=12, policies=12)
    validation = replace(town.validation(), anchors=(root.anchor,))
    begun = time.monotonic()
    verdict = judged(sandbox, sign(b"content", holder, Format.CMS, NOW, force=True), validation)
    assert time.monotonic() - begun < MOST_SECONDS
    assert verdict.decision is not Decision.REFUSE
