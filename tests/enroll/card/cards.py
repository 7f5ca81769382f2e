"""Cards of tests: P-256 keys and no stretching, so that a machine takes thousands of steps."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from enroll.card.application import Application, with_pins
from enroll.card.state import CardState, CounterAct, Leave
from jpki.card import CardFacts, CardMode
from jpki.certificate import Purpose
from jpki.randomness import system_randomness
from jpki.signature import KeySpec

PINS = {Purpose.SIGNING: "CANARY42XQ", Purpose.AUTHENTICATION: "7391"}
OTHERS = {Purpose.SIGNING: "OTHER1", Purpose.AUTHENTICATION: "0000"}
NUMBER = "CARD-1"
ENDS = datetime(2034, 4, 1, 14, 59, 59, tzinfo=UTC)
_CA = ec.generate_private_key(ec.SECP256R1())


def plainly(pin: bytes, salt: bytes) -> bytes:
    return salt + pin


def new_state(mode: CardMode = CardMode.ORDINARY) -> CardState:
    state = CardState(facts=CardFacts(number=NUMBER, not_after=ENDS, mode=mode), spec=KeySpec.P256)
    return with_pins(state, PINS, system_randomness, plainly) if mode is CardMode.ORDINARY else state


class Memory:
    """Keeps each state, and loses its power when it is told to."""

    def __init__(self, state: CardState) -> None:
        self.state = state
        self.kept = 0
        self.steps_left: int | None = None

    def keep(self, state: CardState) -> None:
        if self.steps_left == 0:
            raise PowerCutError
        self.steps_left = None if self.steps_left is None else self.steps_left - 1
        self.state = state
        self.kept += 1

    def card(self, stretch: Callable[[bytes, bytes], bytes] = plainly) -> Application:
        return Application(self.state, self.keep, system_randomness, stretch)


class PowerCutError(Exception):
    """The card was torn out of the reader."""


def certified(request: bytes) -> bytes:
    """Sign a certificate for a card's request, as a CA would."""
    csr = x509.load_der_x509_csr(request)
    assert csr.is_signature_valid
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "card")])
    builder = x509.CertificateBuilder(name, name, csr.public_key(), x509.random_serial_number())
    dated = builder.not_valid_before(ENDS - timedelta(days=1)).not_valid_after(ENDS)
    return dated.sign(_CA, SHA256()).public_bytes(Encoding.DER)


def furnished(mode: CardMode = CardMode.ORDINARY) -> Memory:
    """A card with all the certificates that it may have."""
    memory = Memory(new_state(mode))
    card = memory.card()
    for purpose in (Purpose.AUTHENTICATION, Purpose.SIGNING)[: 2 if mode is CardMode.ORDINARY else 1]:
        assert card.load(certified(card.request(purpose))) is purpose
    return memory


def leave(act: CounterAct, case: str = "case-1", card: str = NUMBER) -> Leave:
    return Leave(case=case, card=card, act=act)
