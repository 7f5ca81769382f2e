"""A card's memory in a file, 0600, in JSON: each state whole on disk before the card answers, or not there at all.

The file is the chip: it holds the keys as they are. A PIN that four digits make protects no file, and a counter must
be able to reset it, so the keys are not sealed under the PINs; see docs/operations.md.
"""

import fcntl
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from enroll.card.application import Application
from enroll.card.pins import KeptPin, Stretch, scrypt
from enroll.card.state import CardState, Slot
from jpki.card import CardFacts, CardMode
from jpki.certificate import Purpose
from jpki.clock import iso
from jpki.errors import JpkiError, Kind
from jpki.randomness import Randomness, system_randomness
from jpki.signature import KeySpec, PrivateKey
from jpki.text import Text

_SCHEMA = "jpki.card/1"


def make_card(file: Path, state: CardState) -> None:
    """Write a new card's file.

    Raises:
        JpkiError: CONFLICT `card-exists`; UNPROCESSABLE `card-file-unusable`.
    """
    new = _waiting(file)
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _write(descriptor, json.dumps(_fields(state)).encode())
            # A link, for a new name of the file itself would take the place of an existing one.
            file.hardlink_to(new)
        finally:
            os.close(descriptor)
            new.unlink()
        _flush(file.parent)
    except FileExistsError:
        raise JpkiError(
            Kind.CONFLICT,
            "card-exists",
            Text(f"{file} は既にあります。", f"{file} exists already."),
            Text("別の名前にしてください。カードは上書きされません。", "Name another; no card is overwritten."),
        ) from None
    except OSError as error:
        raise _unusable(file, error.strerror or "") from error


@contextmanager
def card_at(file: Path, randomness: Randomness = system_randomness, stretch: Stretch = scrypt) -> Iterator[Application]:
    """Put the card in the reader while the block runs; whoever else wants it waits.

    Raises:
        JpkiError: UNPROCESSABLE `card-file-unusable`.
    """
    memory = _Memory(file)
    try:
        yield Application(memory.state(), memory.keep, randomness, stretch)
    finally:
        memory.close()


class _Memory:
    """The file, locked for as long as it is open."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor = _locked(file)

    def state(self) -> CardState:
        """Return what the card holds."""
        with os.fdopen(os.dup(self._descriptor), "rb") as stream:
            content = stream.read()
        try:
            return _state(json.loads(content))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _unusable(self._file, _SCHEMA) from None

    def keep(self, state: CardState) -> None:
        """Put the new state, flushed to disk, in the place of the old one; it is locked before it has the name."""
        new = _waiting(self._file)
        try:
            descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                _write(descriptor, json.dumps(_fields(state)).encode())
                new.replace(self._file)
                _flush(self._file.parent)
            except BaseException:
                os.close(descriptor)
                raise
        except OSError as error:
            raise _unusable(self._file, error.strerror or "") from error
        os.close(self._descriptor)
        self._descriptor = descriptor

    def close(self) -> None:
        """Give the card back."""
        os.close(self._descriptor)


def _waiting(file: Path) -> Path:
    """Return where a state lies before it is the card's: one that a killed process left is written over."""
    return file.with_name(f".{file.name}.new")


def _locked(file: Path) -> int:
    """Open the file and wait until nobody else has it; a state that was replaced meanwhile is not the card any more."""
    while True:
        try:
            descriptor = os.open(file, os.O_RDWR)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(descriptor), file.stat()):
                return descriptor
        except OSError as error:
            raise _unusable(file, error.strerror or "") from error
        os.close(descriptor)


def _write(descriptor: int, content: bytes) -> None:
    with os.fdopen(os.dup(descriptor), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)
    os.lseek(descriptor, 0, os.SEEK_SET)


def _flush(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- the form of the file --------------------------------------------------------------------------------------------


def _fields(state: CardState) -> dict[str, Any]:
    return {
        "schema": _SCHEMA,
        "number": state.facts.number,
        "not_after": iso(state.facts.not_after),
        "mode": state.facts.mode,
        "key": state.spec,
        "used": sorted(state.used),
        "slots": {purpose: _slot_fields(slot) for purpose, slot in state.slots.items()},
    }


def _slot_fields(slot: Slot) -> dict[str, Any]:
    pin = slot.pin
    return {
        "key": _key_text(slot.key),
        "certificate": _text(slot.certificate),
        "next_key": _key_text(slot.next_key),
        "pin": None if pin is None else {"salt": _text(pin.salt), "digest": _text(pin.digest), "left": pin.left},
    }


def _state(fields: Mapping[str, Any]) -> CardState:
    if fields["schema"] != _SCHEMA:
        raise ValueError("another schema")
    return CardState(
        facts=CardFacts(
            number=fields["number"],
            not_after=datetime.fromisoformat(fields["not_after"]),
            mode=CardMode(fields["mode"]),
        ),
        spec=KeySpec(fields["key"]),
        slots={Purpose(name): _slot(each) for name, each in fields["slots"].items()},
        used=frozenset(fields["used"]),
    )


def _slot(fields: Mapping[str, Any]) -> Slot:
    pin = fields["pin"]
    return Slot(
        key=_key(fields["key"]),
        certificate=None if fields["certificate"] is None else b64decode(fields["certificate"]),
        next_key=_key(fields["next_key"]),
        pin=None
        if pin is None
        else KeptPin(salt=b64decode(pin["salt"]), digest=b64decode(pin["digest"]), left=pin["left"]),
    )


def _key_text(key: PrivateKey | None) -> str | None:
    return None if key is None else _text(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def _key(text: str | None) -> PrivateKey | None:
    if text is None:
        return None
    # The card made it: to check an RSA key anew takes longer than all else that a card does.
    key: Any = load_der_private_key(b64decode(text), None, unsafe_skip_rsa_key_validation=True)
    return key  # type: ignore[no-any-return]


def _text(octets: bytes | None) -> str | None:
    return None if octets is None else b64encode(octets).decode()


def _unusable(file: Path, why: str) -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "card-file-unusable",
        Text(f"{file} はカードとして使えません（{why}）。", f"{file} cannot be used as a card ({why})."),
        Text("ファイルと権限を確認してください。", "Check the file and its permissions."),
    )
