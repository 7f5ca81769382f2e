"""Drafts: the exact octets of a certificate before anyone signs it (RFC 5280 4.1; docs/profile.md)."""

import hashlib
from dataclasses import dataclass
from functools import cache

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from ca import names
from ca.holder_names import general_names
from ca.key_policy import HolderKey
from ca.template import Template
from jpki import der
from jpki.certificate import Purpose, Validity
from jpki.clock import JST
from jpki.holder import Holder, Municipality
from jpki.ids import Serial
from jpki.randomness import Randomness, alphanumeric

_VERSION_3 = der.tlv(der.context(0), der.integer(2))
_EXTENSIONS = der.context(3)
_COMMON_NAME = der.object_identifier(NameOID.COMMON_NAME.dotted_string)
_SUBJECT_ALTERNATIVE = der.object_identifier(ExtensionOID.SUBJECT_ALTERNATIVE_NAME.dotted_string)
_SUBJECT_KEY = der.object_identifier(ExtensionOID.SUBJECT_KEY_IDENTIFIER.dotted_string)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """All that a holder's certificate is made of. Of the CSR it holds the public key and nothing else (rule R17)."""

    template: Template
    serial: Serial
    common_name: str
    validity: Validity
    disclosed: Holder | None
    key: HolderKey

    @property
    def purpose(self) -> Purpose:
        """The CA's purpose is the certificate's."""
        return self.template.purpose

    @property
    def subject(self) -> x509.Name:
        """The subject's name; only a signing certificate tells the municipality."""
        return names.subject(self._municipality, (NameOID.COMMON_NAME, self.common_name))

    @property
    def _municipality(self) -> Municipality | None:
        return None if self.disclosed is None else self.disclosed.municipality

    def to_be_signed(self) -> bytes:
        """Return the DER of the TBSCertificate: the template's octets around the draft's own.

        It is the same, octet for octet, as what cryptography's builder makes of the same input (tests/ca).
        """
        fixed, holder = self.template, self.disclosed
        extensions = der.sequence(
            fixed.usage,
            b"" if holder is None else der.sequence(_SUBJECT_ALTERNATIVE, der.octet_string(general_names(holder))),
            fixed.between,
            der.sequence(_SUBJECT_KEY, der.octet_string(der.octet_string(_key_identifier(self.key.info)))),
        )
        common_name = der.sequence(_COMMON_NAME, der.utf8_string(self.common_name))
        return der.sequence(
            _VERSION_3,
            der.integer(self.serial),
            *fixed.signature_and_issuer,
            der.sequence(der.time(self.validity.not_before), der.time(self.validity.not_after)),
            der.sequence(_place(self._municipality), der.tlv(der.Tag.SET, common_name)),
            self.key.info,
            der.tlv(_EXTENSIONS, extensions),
        )


def common_name(purpose: Purpose, validity: Validity, randomness: Randomness) -> str:
    """Return a new opaque identifier; a signing certificate's begins with its time of issue in Japan."""
    if purpose is Purpose.SIGNING:
        issued = validity.not_before.astimezone(JST)
        return f"{issued:%Y%m%d%H%M%S}{alphanumeric(randomness, 12)}"
    return alphanumeric(randomness, 22)


def _key_identifier(info: bytes) -> bytes:
    """Return SHA-1 of the public key's bits (RFC 5280 4.2.1.2, method 1): a name for the key, and no proof."""
    fields = der.Reader(der.Reader(info).read(der.Tag.SEQUENCE))
    fields.read(der.Tag.SEQUENCE)
    return hashlib.sha1(fields.read(der.Tag.BIT_STRING)[1:], usedforsecurity=False).digest()


@cache
def _place(municipality: Municipality | None) -> bytes:
    """Return the subject's RDNs before the common name, encoded once for each municipality."""
    return der.Reader(names.subject(municipality).public_bytes()).read(der.Tag.SEQUENCE)
