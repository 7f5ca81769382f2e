"""The sandbox of this house: the signing room's, whose processes read the revocation data that documents hold, too.

That data is a stranger's as the document is, so it is read where the document is judged; the rooms that read it are
strangers to the signing room, and meet it here. The module is both: what opens a sandbox, and its fork server.
"""

import sys

from signing.sandbox import Sandbox


def open_sandbox(places: int, *, waiting: int = sys.maxsize, patience: float | None = None) -> Sandbox:
    """Return a sandbox, whose fork server starts with the first file or before; see `signing.sandbox.Sandbox`."""
    return Sandbox(places, server="server.sandbox", waiting=waiting, patience=patience)


if __name__ == "__main__":
    from server.stored_evidence import read_stored
    from signing.verify import judge
    from signing.zygote import start

    start(judge, read_stored)
