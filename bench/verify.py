"""Document validation: what the sandbox costs beside pyHanko's own validation, what a second core brings, a large file.

The product judges PDFs of a home of its own, its ledger asked over the sandbox's channel. pyHanko validates the same
files in this process, warm, with the same root and the list of the signer's partition at hand.
"""

# mypy: allow-untyped-calls
# pyHanko's PDF layer bears no types.

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from asn1crypto.crl import CertificateList
from asn1crypto.x509 import Certificate
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from bench.rows import Row, absolute, lower, ratio
from jpki.certificate import Purpose
from jpki.clock import system_clock
from jpki.ids import Serial
from jpki.randomness import system_randomness
from server.certificate_files import certificates_in
from server.cli.frame import run
from server.documents import home_validation
from server.home import Home
from server.sandbox import open_sandbox
from server.stored_evidence import read_stored
from server.wiring import Rooms, open_rooms
from signing.credential import Credential
from signing.intake import Format
from signing.rehearsal import rehearse
from signing.samples import tax_return_pdf
from signing.sandbox import Sandbox
from signing.sign import sign
from signing.validation import Validation
from signing.verdict import Decision
from signing.verify import verify

ROUNDS = 5
FILES = 20
MANY = 80
LARGE = 50 * 1000 * 1000
_EXAMPLE = Path(__file__).parent.parent / "examples" / "holder.json"


class WrongVerdict(Exception):  # noqa: N818 - a judgement on a verdict
    """A file was not accepted."""


def rows() -> Iterator[Row]:
    """Measure each row."""
    with tempfile.TemporaryDirectory() as folder:
        home, credential = _founded(Path(folder))
        rooms = open_rooms(home)
        files = [_signed(Path(folder, f"{number}.pdf"), credential, f"Return {number}") for number in range(FILES)]
        try:
            yield _overhead(rooms, files, Serial(credential.certificate.serial_number))
            yield _scaling(rooms, files)
            yield from _large(rooms, _signed_large(Path(folder, "large.pdf"), credential))
        finally:
            rooms.close()


def _founded(folder: Path) -> tuple[Home, Credential]:
    home, card = folder / "home", folder / "card"
    issue = ["issue", "--home", str(home), "--kind", "signing", "--holder", str(_EXAMPLE), "--out", str(card)]
    for words in (["init", "--home", str(home)], issue):
        if run([*words, "--json"]) != 0:
            raise WrongVerdict(words)
    key = load_pem_private_key((card / "key.pem").read_bytes(), None)
    certificate = certificates_in(card / "certificate.pem")[0]
    return Home.open(home), Credential(certificate=certificate, key=key)  # type: ignore[arg-type] # RSA


def _signed(file: Path, credential: Credential, line: str) -> Path:
    file.write_bytes(sign(tax_return_pdf([line]), credential, Format.PADES, system_clock()))
    return file


def _signed_large(file: Path, credential: Credential) -> Path:
    """Sign a PDF that holds one stream of random octets, as a scan would be."""
    from pyhanko.pdf_utils.generic import StreamObject
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    writer = IncrementalPdfFileWriter(BytesIO(tax_return_pdf(["Large"])))
    writer.root["/Scan"] = writer.add_object(StreamObject(stream_data=system_randomness(LARGE)))
    writer.update_root()
    target = BytesIO()
    writer.write(target)
    file.write_bytes(sign(target.getvalue(), credential, Format.PADES, system_clock()))
    return file


# --- beside pyHanko ------------------------------------------------------------------------------------------------


def _overhead(rooms: Rooms, files: Sequence[Path], signer: Serial) -> Row:
    root = rooms.living(Purpose.SIGNING)[0]
    # The signer's own partition: with the complete list pyHanko would ask for the delta, too.
    partition = rooms.store.ledger.find([signer])[signer].status.partition
    own = rooms.home.path / "crl" / Purpose.SIGNING / root.id / f"{partition}.crl"
    anchor, listed = root.certificate.public_bytes(Encoding.DER), own.read_bytes()
    validation = home_validation(rooms)
    ours, theirs = list[float](), list[float]()
    with open_sandbox(1) as sandbox:
        for turn in range(-1, ROUNDS):
            mine = their = 0.0
            for file in files:
                begun = time.perf_counter()
                _judge(sandbox, file, validation)
                between = time.perf_counter()
                _by_pyhanko(file, anchor, listed)
                their += time.perf_counter() - between
                mine += between - begun
            if turn >= 0:  # The first is to warm up.
                ours.append(1000 * mine / len(files))
                theirs.append(1000 * their / len(files))
    return lower("verify.overhead", 1.5, ours, {"pyHanko, ms": theirs})


def _judge(sandbox: Sandbox, file: Path, validation: Validation) -> None:
    with file.open("rb") as document:
        if sandbox.judge(document, validation).decision is not Decision.ACCEPT:
            raise WrongVerdict(file)


def _by_pyhanko(file: Path, anchor: bytes, listed: bytes) -> None:
    context = ValidationContext(
        trust_roots=[Certificate.load(anchor)],
        crls=[CertificateList.load(listed)],
        allow_fetching=False,
        revocation_mode="hard-fail",
    )
    with file.open("rb") as document:
        (signature,) = PdfFileReader(document).embedded_signatures
        status = validate_pdf_signature(signature, context)
        if not status.bottom_line:
            raise WrongVerdict(file)


# --- two cores -----------------------------------------------------------------------------------------------------


def _scaling(rooms: Rooms, files: Sequence[Path]) -> Row:
    validation = home_validation(rooms)
    one, two = list[float](), list[float]()
    with _on_cores(1), open_sandbox(1) as narrow:
        _judge(narrow, files[0], validation)
        with _on_cores(2), open_sandbox(2) as wide:
            _judge(wide, files[0], validation)
            for _ in range(ROUNDS):
                with _on_cores(1):
                    one.append(_rate(narrow, 1, files, validation))
                with _on_cores(2):
                    two.append(_rate(wide, 2, files, validation))
    return ratio("verify.scaling", 1.7, two, {"one core, files/s": one})


@contextmanager
def _on_cores(count: int) -> Iterator[None]:
    """Let this thread, and the threads and processes that it begins, run on so many cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(count))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _rate(sandbox: Sandbox, threads: int, files: Sequence[Path], validation: Validation) -> float:
    many = [files[number % len(files)] for number in range(MANY)]
    begun = time.perf_counter()
    with ThreadPoolExecutor(threads) as executor:
        for _ in executor.map(lambda file: _judge(sandbox, file, validation), many):
            pass
    return MANY / (time.perf_counter() - begun)


# --- a large file --------------------------------------------------------------------------------------------------


def _large(rooms: Rooms, file: Path) -> Iterator[Row]:
    seconds = []
    with open_sandbox(1) as sandbox:
        sandbox.start()
        for turn in range(-1, ROUNDS):
            begun = time.perf_counter()
            _judge(sandbox, file, home_validation(rooms))
            if turn >= 0:
                seconds.append(time.perf_counter() - begun)
    yield absolute("verify.large-s", 2, seconds)
    # What is judged in the sandbox has no /proc: so its memory is measured without it.
    ran = subprocess.run(
        [sys.executable, "-m", "bench.verify", rooms.home.path, file], check=True, capture_output=True, text=True
    )
    yield absolute("verify.large-mb", 200, [json.loads(ran.stdout)])


def _megabytes(home: Home, file: Path) -> float:
    """Judge the file as a process of the sandbox does, libraries and rehearsal included; return the most it took."""
    rooms = open_rooms(home)
    validation = home_validation(rooms)
    rehearse(read_stored)
    if verify(file, validation).decision is not Decision.ACCEPT:
        raise WrongVerdict(file)
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    rooms.close()
    return int(kilobytes) * 1024 / 1e6


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_megabytes(Home.open(Path(sys.argv[1])), Path(sys.argv[2]))))
