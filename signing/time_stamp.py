"""One time-stamp token: what it says, whether it holds together, and who may have made it (RFC 3161, RFC 5816)."""

# mypy: allow-untyped-calls
# asn1crypto bears no types.

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from asn1crypto import cms, core, tsp
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import get_signing_cert_attr

from signing import cms_signature
from signing.algorithms import STRONG_DIGESTS, WEAK_DIGESTS, check_strength
from signing.pades import bound_by
from signing.presented import Algorithms, Presented
from signing.trust import Chain

_ONLY = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])


class BrokenTimeStamp(Exception):  # noqa: N818 - a judgement on a token; it stays within this room
    """The octets are no time-stamp of what they should be; the text is a word that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A time-stamp whose signature fits, by `signer`, who need not be trusted.

    `signer` is None where no certificate that is at hand made it: then nobody has checked the signature. `digest` is
    of what is stamped, by the algorithm `digest_name`; `algorithms` are those that the token itself rests on.
    """

    made_at: datetime
    policy: str
    digest_name: str
    digest: bytes
    nonce: int | None
    signer: x509.Certificate | None
    others: tuple[x509.Certificate, ...]
    algorithms: Algorithms

    def require_imprint(self, imprint: Callable[[str], bytes]) -> None:
        """Require that it is over what `imprint` gives the digest of.

        Raises:
            BrokenTimeStamp: `imprint`, or `algorithm` where the hash is not known.
        """
        if self.digest_name not in STRONG_DIGESTS | WEAK_DIGESTS:
            raise BrokenTimeStamp("algorithm")
        if imprint(self.digest_name) != self.digest:
            raise BrokenTimeStamp("imprint")


def read_token(octets: bytes, more: tuple[x509.Certificate, ...] = ()) -> Token:
    """Return what the DER of a TimeStampToken says, once its signature fits.

    `more` are certificates from elsewhere, as a token need not bring its own (RFC 3161 2.4.1).

    Raises:
        BrokenTimeStamp: it is not one, or its signature does not fit.
    """
    try:
        return _read(octets, more)
    except (BrokenTimeStamp, MemoryError, RecursionError):
        raise
    except Exception as error:  # a hostile token makes asn1crypto raise anything
        raise BrokenTimeStamp("malformed") from error


def _read(octets: bytes, more: tuple[x509.Certificate, ...]) -> Token:
    message = cms.ContentInfo.load(octets, strict=True)
    if message["content_type"].native != "signed_data":
        raise BrokenTimeStamp("malformed")
    signed_data = message["content"]
    content = signed_data["encap_content_info"]
    if content["content_type"].native != "tst_info" or content["content"] is core.VOID:
        raise BrokenTimeStamp("malformed")
    (signer_info,) = signed_data["signer_infos"]
    said = bytes(content["content"])
    info = tsp.TSTInfo.load(said, strict=True)
    if info["version"].native != "v1":
        raise BrokenTimeStamp("malformed")
    presented = cms_signature.present(
        signed_data, signer_info, lambda name: hashlib.new(name, said).digest(), (), content_type="tst_info", more=more
    )
    _require_signature(presented)
    imprint = info["message_imprint"]
    return Token(
        made_at=info["gen_time"].native,
        policy=info["policy"].native,
        digest_name=imprint["hash_algorithm"]["algorithm"].native,
        digest=imprint["hashed_message"].native,
        nonce=info["nonce"].native,
        signer=presented.certificate,
        others=presented.others,
        algorithms=_with_binding(presented.algorithms, signer_info),
    )


def _require_signature(presented: Presented) -> None:
    for check in presented.checks:
        if check.cause is not None:
            raise BrokenTimeStamp(check.cause)


def _with_binding(algorithms: Algorithms | None, signer_info: cms.SignerInfo) -> Algorithms:
    """Return the algorithms with the hash by which the token names its signer, as it must (RFC 5816 2.2.1)."""
    try:
        binding = get_signing_cert_attr(signer_info["signed_attrs"])
    except SignatureValidationError as error:
        raise BrokenTimeStamp("binding") from error
    if binding is None or algorithms is None:
        raise BrokenTimeStamp("binding")
    return replace(algorithms, digests=algorithms.digests | {bound_by(binding)})


def is_weak(token: Token, chain: Chain) -> bool:
    """Tell whether a hash or a key that the token rests on, its chain's included, is no longer relied on."""
    digests = token.algorithms.digests | {token.digest_name}
    return check_strength(replace(token.algorithms, digests=digests), chain.below_anchor).cause is not None


def may_stamp(certificate: x509.Certificate) -> bool:
    """Tell whether the certificate is for time-stamping and nothing else, critically so (RFC 3161 2.3)."""
    extensions = certificate.extensions
    try:
        usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return False
    return usage.critical and usage.value == _ONLY and _signs(extensions) and not _is_ca(extensions)


def _signs(extensions: x509.Extensions) -> bool:
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    others = (usage.key_encipherment, usage.data_encipherment, usage.key_agreement, usage.key_cert_sign, usage.crl_sign)
    return (usage.digital_signature or usage.content_commitment) and not any(others)


def _is_ca(extensions: x509.Extensions) -> bool:
    try:
        return extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def names_revocation_data(certificate: x509.Certificate) -> bool:
    """Tell whether the certificate says where to learn that it is revoked: then somebody must have looked.

    Our own units' do not: their issuer publishes no lists, and the pinned anchor answers for them alone.
    """
    try:
        certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    except x509.ExtensionNotFound:
        return _has_responder(certificate)
    return True


def _has_responder(certificate: x509.Certificate) -> bool:
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return False
    return any(each.access_method == AuthorityInformationAccessOID.OCSP for each in access)
