"""Reads CMS SignedData with its content inside (RFC 5652), DER or BER, binary or PEM."""

# mypy: allow-untyped-calls
# asn1crypto bears no types.

import hashlib
from typing import IO

from asn1crypto import cms, core, pem

from signing import cms_signature
from signing.presented import NO_REVISIONS, Presented, refuse_crowds
from signing.report import Check, Step
from signing.verdict import Cause


def read(document: IO[bytes]) -> tuple[Presented, ...]:
    """Return the signatures of a CMS file; whatever is wrong with its structure raises."""
    octets = document.read()
    if pem.detect(octets):
        _, _, octets = pem.unarmor(octets)
    message = cms.ContentInfo.load(octets, strict=True)
    if message["content_type"].native != "signed_data":
        return ()
    signed_data = message["content"]
    refuse_crowds(signed_data["signer_infos"])
    return tuple(_present(signed_data, signer_info) for signer_info in signed_data["signer_infos"])


def _present(signed_data: cms.SignedData, signer_info: cms.SignerInfo) -> Presented:
    content_info = signed_data["encap_content_info"]
    if content_info["content_type"].native != "data":
        return Presented(checks=(Check.stopped(Step.FORMAT, Cause.UNSUPPORTED),))
    content = content_info["content"].native
    if content is None:
        return Presented(checks=(Check.stopped(Step.FORMAT, Cause.CONTENT_ABSENT),))
    if signer_info["signed_attrs"] is core.VOID and _poses_as_attributes(content):
        return Presented(checks=(Check.stopped(Step.FORMAT, Cause.MALFORMED),))
    found = Check.passed(Step.FORMAT, "CMS署名データです。", "CMS SignedData.", format="cms")
    whole = Check.passed(Step.COVERAGE, "内容全体が署名されています。", "The whole content is signed.")
    return cms_signature.present(
        signed_data, signer_info, lambda digest: hashlib.new(digest, content).digest(), (found, whole, NO_REVISIONS)
    )


def _poses_as_attributes(content: bytes) -> bool:
    """Tell whether `content` would serve as signed attributes.

    A signature over attributes, with these moved into the content, verifies as one without attributes: the
    signer never saw such a "document".
    """
    try:
        attributes = cms.CMSAttributes.load(content, strict=True)
        return any(attribute["type"].native == "message_digest" for attribute in attributes)
    except ValueError:
        return False
