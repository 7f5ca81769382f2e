"""Reads CMS SignedData (RFC 5652), DER or BER, binary or PEM, with its content inside or in a file of its own."""

# mypy: allow-untyped-calls
# asn1crypto bears no types.

import hashlib
from io import BytesIO
from typing import IO

from asn1crypto import cms, core, pem

from signing import cms_signature
from signing.presented import NO_REVISIONS, Presented, refuse_crowds
from signing.report import Check, Step
from signing.verdict import Cause

_SET = b"\x31"
_PART = 1024 * 1024


def read(document: IO[bytes], content: IO[bytes] | None = None) -> tuple[Presented, ...]:
    """Return the signatures of a CMS file, over `content` where that is given; whatever is wrong in it raises.

    What lies inside counts for nothing then: who gives a file wants to know of that file.
    """
    octets = document.read()
    if pem.detect(octets):
        _, _, octets = pem.unarmor(octets)
    message = cms.ContentInfo.load(octets, strict=True)
    if message["content_type"].native != "signed_data":
        return ()
    signed_data = message["content"]
    refuse_crowds(signed_data["signer_infos"])
    return tuple(_present(signed_data, signer_info, content) for signer_info in signed_data["signer_infos"])


def _present(signed_data: cms.SignedData, signer_info: cms.SignerInfo, apart: IO[bytes] | None) -> Presented:
    content_info = signed_data["encap_content_info"]
    if content_info["content_type"].native != "data":
        return Presented(checks=(Check.stopped(Step.FORMAT, Cause.UNSUPPORTED),))
    inside = content_info["content"].native
    content = apart if apart is not None or inside is None else BytesIO(inside)
    if content is None:
        return Presented(checks=(Check.stopped(Step.FORMAT, Cause.CONTENT_ABSENT),))
    if signer_info["signed_attrs"] is core.VOID and _poses_as_attributes(content):
        return Presented(checks=(Check.stopped(Step.FORMAT, Cause.MALFORMED),))
    found = Check.passed(
        Step.FORMAT,
        "CMS署名データです。" if apart is None else "CMS署名データと、署名された別のファイルです。",
        "CMS SignedData." if apart is None else "CMS SignedData, and the file that it signs.",
        format="cms",
    )
    whole = Check.passed(Step.COVERAGE, "内容全体が署名されています。", "The whole content is signed.")
    return cms_signature.present(
        signed_data, signer_info, lambda name: _digest(name, content), (found, whole, NO_REVISIONS)
    )


def _digest(name: str, content: IO[bytes]) -> bytes:
    hashed = hashlib.new(name)
    content.seek(0)
    while part := content.read(_PART):
        hashed.update(part)
    return hashed.digest()


def _poses_as_attributes(content: IO[bytes]) -> bool:
    """Tell whether `content` would serve as signed attributes.

    A signature over attributes, with these moved into the content, verifies as one without attributes: the
    signer never saw such a "document".
    """
    content.seek(0)
    if content.read(1) != _SET:
        return False
    content.seek(0)
    try:
        attributes = cms.CMSAttributes.load(content.read(), strict=True)
        return any(attribute["type"].native == "message_digest" for attribute in attributes)
    except ValueError:
        return False
