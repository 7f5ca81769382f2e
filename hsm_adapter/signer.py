"""The signer process: one thread and one session with the token, asked over a socket (docs/adr/0007).

Run as `python -m hsm_adapter.signer FD`. Each request is a tuple (operation, *arguments) and gets one answer: ("ok",
value), ("failed", name of the PKCS#11 error) or ("refused", what our own error is made of). It ends when its parent's
end of the socket closes.
"""

import ctypes
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection

import pkcs11
from pkcs11 import TokenFlag

from hsm_adapter.session import Session, alone, loading
from jpki.errors import JpkiError

_OPERATIONS = (
    "create",
    "create_wrapping_key",
    "public",
    "attributes",
    "sign",
    "sign_many",
    "wrap",
    "unwrap",
    "destroy",
)


def initialise(module: str, token: str, so_pin: str, pin: str) -> None:
    """Make a token in the first free slot (C_InitToken, which the binding does not offer) and give it its PIN."""
    with alone(module):
        with loading():
            library = pkcs11.lib(module)
        slot = next(each for each in library.get_slots() if not each.get_token().flags & TokenFlag.TOKEN_INITIALIZED)
        label, so = token.encode().ljust(32), so_pin.encode()
        refused = ctypes.CDLL(module).C_InitToken(ctypes.c_ulong(slot.slot_id), so, ctypes.c_ulong(len(so)), label)
        if refused:
            raise LookupError(f"InitToken{refused:#x}")
        library.reinitialize()
        with next(iter(library.get_tokens(token_label=token))).open(rw=True, so_pin=so_pin) as session:
            session.init_pin(pin)


def answer(connection: Connection) -> None:
    """Answer requests until the parent is gone. The first opens the session, or makes a token."""
    operations: dict[str, Callable[..., object]] = {"initialise": initialise}
    while True:
        operation, *arguments = connection.recv()
        try:
            if operation == "open":
                session = Session(*arguments)
                operations |= {name: getattr(session, name) for name in _OPERATIONS}
                connection.send(("ok", None))
            else:
                connection.send(("ok", operations[operation](*arguments)))
        except JpkiError as error:
            connection.send(("refused", (error.kind, error.code, error.problem, error.action)))
        except LookupError as error:
            connection.send(("failed", str(error.args[0])))
        except Exception as error:  # noqa: BLE001 - whatever the token says goes back as a name, and nothing else does
            connection.send(("failed", type(error).__name__))


def end_with_parent(descriptor: int) -> None:
    """End this process when the other end of the socket closes, even while a session hangs in the token.

    The kernel's own signal for a parent's death will not do: it is sent when the thread that started us ends.
    """

    def watch() -> None:
        hung_up = select.poll()
        hung_up.register(descriptor, 0)
        hung_up.poll()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Serve the socket whose descriptor is the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor = int(sys.argv[1])
    end_with_parent(descriptor)
    try:
        answer(Connection(descriptor))
    except EOFError:
        return


if __name__ == "__main__":
    main()
