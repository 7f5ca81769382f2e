"""A counter's terminal: what it can ask of a card, and nothing that a PIN opens."""

from dataclasses import dataclass

from enroll.card.application import Application
from jpki.card import CardFacts
from jpki.certificate import Purpose
from jpki.signature import PublicKey


@dataclass(frozen=True, slots=True)
class Reader:
    """A card in the counter's terminal. PINs are entered on the holder's own screen and pass it by (rule R21)."""

    _card: Application

    def facts(self) -> CardFacts:
        """Return what the rules need to know of the card."""
        return self._card.facts

    def authentication_certificate(self) -> bytes:
        """Return the authentication certificate in DER; see `Application.authentication_certificate`."""
        return self._card.authentication_certificate()

    def public_key(self, purpose: Purpose) -> PublicKey:
        """Return the public half of the key that serves; see `Application.public_key`."""
        return self._card.public_key(purpose)

    def request(self, purpose: Purpose) -> bytes:
        """Let the card make a key pair and its CSR; see `Application.request`."""
        return self._card.request(purpose)

    def request_again(self, purpose: Purpose) -> bytes:
        """Return the CSR of a key that the card has made; see `Application.request_again`."""
        return self._card.request_again(purpose)

    def load(self, certificate: bytes) -> Purpose:
        """Write a certificate to the card; see `Application.load`."""
        return self._card.load(certificate)
