"""The JPKI application of a card: what it does, and on whose word, whoever holds it and whenever its power is cut."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from enroll.card.pins import TRIES, KeptPin, Stretch, locked, scrypt, wrong
from enroll.card.state import CardState, CounterAct, Leave, Slot
from hsm_adapter.software import generate, sign_only
from jpki.card import CardFacts, CardMode
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.errors import JpkiError, Kind
from jpki.randomness import Randomness
from jpki.signature import PrivateKey, PublicKey, algorithm_for
from jpki.text import Text

Keep = Callable[[CardState], object]
"""Makes a state last before it returns: what follows may be cut off at any instant."""
_NOBODY = x509.Name([])


class Application:
    """A card in a reader; `keep` is its memory. Every change is kept before its answer is given."""

    def __init__(self, state: CardState, keep: Keep, randomness: Randomness, stretch: Stretch = scrypt) -> None:
        self._state = state
        self._keep = keep
        self._randomness = randomness
        self._stretch = stretch

    # --- without a PIN -----------------------------------------------------------------------------------------------

    @property
    def facts(self) -> CardFacts:
        """What the card says of itself to any reader."""
        return self._state.facts

    @property
    def tries(self) -> Mapping[Purpose, int]:
        """The misses that each PIN still bears, 0 where it is locked; of a card without PINs, none."""
        pins = {purpose: self._state.slots[purpose].pin for purpose in HOLDER_PURPOSES}
        return {purpose: pin.left for purpose, pin in pins.items() if pin is not None}

    def public_key(self, purpose: Purpose) -> PublicKey:
        """Return the public half of the key that serves.

        Raises:
            JpkiError: NOT_FOUND `card-key-missing`.
        """
        return self._key(purpose).public_key()

    def authentication_certificate(self) -> bytes:
        """Return the authentication certificate in DER; any reader may read it.

        Raises:
            JpkiError: NOT_FOUND `card-key-missing`.
        """
        return self._certificate(Purpose.AUTHENTICATION)

    def request(self, purpose: Purpose) -> bytes:
        """Make a new key pair beside the one that serves, and return its CSR in DER: who possesses it is proven.

        It names nobody, for nothing of it but the public key counts (rule R17). A key that was requested for before
        and has no certificate yet is gone.

        Raises:
            JpkiError: CONFLICT `card-pinless` for a signing key.
        """
        if purpose is Purpose.SIGNING and self._is_pinless:
            raise _pinless()
        key = generate(self._state.spec)
        signed = _request_of(key)
        self._become(self._state.with_slot(purpose, replace(self._state.slots[purpose], next_key=key)))
        return signed

    def request_again(self, purpose: Purpose) -> bytes:
        """Return the CSR of the key that waits for its certificate, or else of the one that serves: no key is made.

        Raises:
            JpkiError: NOT_FOUND `card-key-missing`.
        """
        return _request_of(self._state.slots[purpose].next_key or self._key(purpose))

    def lacking(self, purposes: Collection[Purpose]) -> Sequence[Purpose]:
        """Return those of these keys whose PIN the holder of a new card has not chosen yet."""
        return [] if self._is_pinless else [each for each in purposes if self._state.slots[each].pin is None]

    def choose_pins(self, pins: Mapping[Purpose, str]) -> None:
        """Set the first PINs, which the holder chooses; what has one keeps it.

        Raises:
            JpkiError: CONFLICT `card-pinless` or `card-has-pins`; UNPROCESSABLE `pin-form`.
        """
        self._require_pins()
        if set(self.lacking(pins)) != set(pins):
            raise _has_pins()
        self._become(self._with(pins, self._state))

    def load(self, certificate: bytes) -> Purpose:
        """Take the certificate, in DER, of a key that waits for it: from now on that key serves, and the old is gone.

        Return which of the two it is. One that is loaded already changes nothing.

        Raises:
            JpkiError: UNPROCESSABLE `card-certificate-unreadable`; CONFLICT `card-certificate-foreign`.
        """
        public_key = _public_key_in(certificate)
        for purpose, slot in self._state.slots.items():
            if slot.certificate == certificate:
                return purpose
            if slot.next_key is not None and slot.next_key.public_key() == public_key:
                loaded = replace(slot, key=slot.next_key, certificate=certificate, next_key=None)
                self._become(self._state.with_slot(purpose, loaded))
                return purpose
        raise JpkiError(
            Kind.CONFLICT,
            "card-certificate-foreign",
            Text("この証明書の鍵はこのカードにありません。", "The key of this certificate is not on this card."),
            Text("このカードのCSRで発行した証明書を書き込んでください。", "Load what was issued for this card's CSR."),
        )

    # --- with the holder's PIN ---------------------------------------------------------------------------------------

    def signing_certificate(self, pin: str) -> bytes:
        """Return the signing certificate in DER: it holds the attributes, so only its PIN opens it.

        Raises:
            JpkiError: as `unlocked`.
        """
        self._show(Purpose.SIGNING, pin)
        return self._certificate(Purpose.SIGNING)

    def unlocked(self, purpose: Purpose, pin: str | None) -> PrivateKey:
        """Return the key for as long as the card stays in the reader: it signs, and never leaves.

        Without a PIN the terminal has compared the face; that serves a card in PIN-less mode only.

        Raises:
            JpkiError: FORBIDDEN `pin-wrong`, `pin-locked` or `pin-missing`; CONFLICT `card-pinless`; NOT_FOUND
                `card-key-missing`.
        """
        key = self._key(purpose)
        self._show(purpose, pin)
        return sign_only(key)

    def change_pin(self, purpose: Purpose, old: str, new: str) -> None:
        """Let the holder choose another PIN.

        Raises:
            JpkiError: UNPROCESSABLE `pin-form`, before the old one is tried; else as `unlocked`.
        """
        chosen = self._chosen(purpose, new)
        self._show(purpose, old)
        self._set_pin(purpose, chosen)

    def unlock_by_other(self, purpose: Purpose, other_pin: str, new: str) -> None:
        """Reset a PIN where the other one still works, as the app and a shop's kiosk do.

        Raises:
            JpkiError: as `change_pin`, of the other PIN.
        """
        (other,) = set(HOLDER_PURPOSES) - {purpose}
        chosen = self._chosen(purpose, new)
        self._show(other, other_pin)
        self._set_pin(purpose, chosen)

    # --- on a counter's word -----------------------------------------------------------------------------------------

    def unlock(self, new: Mapping[Purpose, str], leave: Leave) -> None:
        """Set the PINs that the holder chose at the counter, whatever was before: all of them or none.

        Raises:
            JpkiError: CONFLICT `card-pinless` or `leave-used`; FORBIDDEN `leave-foreign`; UNPROCESSABLE `pin-form`.
        """
        self._require_pins()
        self._become(self._with(new, self._on(leave, CounterAct.UNLOCK)))

    def has_used(self, case: str) -> bool:
        """Tell whether a case's leave is used up on this card."""
        return case in self._state.used

    def go_pinless(self, leave: Leave) -> None:
        """Work without PINs from now on. The signing key is destroyed; its certificate is the office's to revoke.

        Raises:
            JpkiError: CONFLICT `card-pinless` or `leave-used`; FORBIDDEN `leave-foreign`.
        """
        self._require_pins()
        state = self._on(leave, CounterAct.GO_PINLESS)
        authentication = replace(state.slots[Purpose.AUTHENTICATION], pin=None)
        slots = {Purpose.SIGNING: Slot(), Purpose.AUTHENTICATION: authentication}
        self._become(replace(state, slots=slots, facts=replace(state.facts, mode=CardMode.PINLESS)))

    def go_ordinary(self, pins: Mapping[Purpose, str], leave: Leave) -> None:
        """Work by PINs again, those that the holder chose at the counter; a signing key is made anew by `request`.

        Raises:
            JpkiError: CONFLICT `card-has-pins` or `leave-used`; FORBIDDEN `leave-foreign`; UNPROCESSABLE `pin-form`.
        """
        if not self._is_pinless:
            raise _has_pins()
        state = self._on(leave, CounterAct.GO_ORDINARY)
        self._become(with_pins(state, pins, self._randomness, self._stretch))

    # --- inside ------------------------------------------------------------------------------------------------------

    @property
    def _is_pinless(self) -> bool:
        return self._state.facts.mode is CardMode.PINLESS

    def _become(self, state: CardState) -> None:
        self._keep(state)
        self._state = state

    def _show(self, purpose: Purpose, pin: str | None) -> None:
        """Require the PIN. It is counted as a miss before it is compared: no cut of the power gives another try."""
        if self._is_pinless:
            if pin is not None or purpose is Purpose.SIGNING:
                raise _pinless()
            return
        kept = self._state.slots[purpose].pin
        if pin is None or kept is None:
            raise _pin_missing(purpose)
        if kept.left == 0:
            raise locked(purpose)
        self._set_pin(purpose, replace(kept, left=kept.left - 1))
        if kept.is_of(pin, self._stretch):
            self._set_pin(purpose, replace(kept, left=TRIES[purpose]))
        else:
            raise wrong(purpose, kept.left - 1) if kept.left > 1 else locked(purpose)

    def _set_pin(self, purpose: Purpose, pin: KeptPin) -> None:
        self._become(self._state.with_slot(purpose, replace(self._state.slots[purpose], pin=pin)))

    def _chosen(self, purpose: Purpose, pin: str) -> KeptPin:
        return KeptPin.of(purpose, pin, self._randomness, self._stretch)

    def _with(self, pins: Mapping[Purpose, str], state: CardState) -> CardState:
        for purpose, pin in pins.items():
            state = state.with_slot(purpose, replace(state.slots[purpose], pin=self._chosen(purpose, pin)))
        return state

    def _require_pins(self) -> None:
        if self._is_pinless:
            raise _pinless()

    def _on(self, leave: Leave, act: CounterAct) -> CardState:
        """Return the card with the leave used up."""
        if leave.card != self._state.facts.number or leave.act is not act:
            raise _leave_foreign()
        if leave.case in self._state.used:
            raise _leave_used()
        return replace(self._state, used=self._state.used | {leave.case})

    def _key(self, purpose: Purpose) -> PrivateKey:
        key = self._state.slots[purpose].key
        if key is None:
            raise _missing(purpose)
        return key

    def _certificate(self, purpose: Purpose) -> bytes:
        certificate = self._state.slots[purpose].certificate
        if certificate is None:
            raise _missing(purpose)
        return certificate


def with_pins(state: CardState, pins: Mapping[Purpose, str], randomness: Randomness, stretch: Stretch) -> CardState:
    """Return the card in ordinary mode, with the PINs that the holder chose.

    Raises:
        JpkiError: UNPROCESSABLE `pin-form`.
    """
    slots = {
        purpose: replace(slot, pin=KeptPin.of(purpose, pins[purpose], randomness, stretch))
        for purpose, slot in state.slots.items()
    }
    return replace(state, slots=slots, facts=replace(state.facts, mode=CardMode.ORDINARY))


def _request_of(key: PrivateKey) -> bytes:
    """Return a CSR in DER that names nobody."""
    csr = x509.CertificateSigningRequestBuilder().subject_name(_NOBODY)
    return csr.sign(key, algorithm_for(key.public_key()).hash).public_bytes(Encoding.DER)


def _missing(purpose: Purpose) -> JpkiError:
    return JpkiError(
        Kind.NOT_FOUND,
        "card-key-missing",
        Text(f"カードに{purpose.text.ja}がありません。", f"There is no {purpose.text.en} on the card."),
        Text(
            "CSRを作り、発行された証明書を書き込んでください。", "Make a CSR, and load the certificate issued for it."
        ),
    )


def _public_key_in(certificate: bytes) -> object:
    try:
        return x509.load_der_x509_certificate(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "card-certificate-unreadable",
            Text("証明書を読めません。", "The certificate cannot be read."),
            Text("発行された証明書をそのまま渡してください。", "Give the certificate as it was issued."),
        ) from error


def _pinless() -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "card-pinless",
        Text(
            "顔認証マイナンバーカードでは、暗証番号の機能と署名用電子証明書を使えません。",
            "A PIN-less card has neither PINs nor a signing certificate.",
        ),
        Text("窓口で暗証番号のあるカードに切り替えてください。", "Have it switched to PINs at a counter."),
    )


def _has_pins() -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "card-has-pins",
        Text("このカードには既に暗証番号があります。", "The card works by PINs already."),
        Text("暗証番号の初期化（unlock）を使ってください。", "To reset a PIN, unlock it."),
    )


def _pin_missing(purpose: Purpose) -> JpkiError:
    return JpkiError(
        Kind.FORBIDDEN,
        "pin-missing",
        Text(f"{purpose.text.ja}の暗証番号が必要です。", f"The {purpose.text.en}'s PIN is needed."),
        Text("利用者自身が入力してください。", "Let the holder enter it."),
    )


def _leave_foreign() -> JpkiError:
    return JpkiError(
        Kind.FORBIDDEN,
        "leave-foreign",
        Text(
            "この申請の許可は、このカードのこの操作のものではありません。",
            "The case gives no leave for this on this card.",
        ),
        Text("申請のカード番号と種類を確認してください。", "Check the case's card number and kind."),
    )


def _leave_used() -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "leave-used",
        Text("この申請の許可は使用済みです。", "The leave of this case is used up."),
        Text("新しい申請を受け付けてください。", "Open a new case."),
    )
