"""What `jpki issue`, `renew` and `verifier` put into --out: all of it, or nothing."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ca.key_policy import LARGEST_CSR, read_csr
from hsm_adapter.software import generate
from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from jpki.signature import KeySpec
from jpki.text import Text
from server.home import new_directory, read_at_most, write_new
from server.wiring import Rooms


class Folder:
    """The directory of one delivery, and what was written into it so far."""

    def __init__(self, rooms: Rooms, path: Path) -> None:
        self._rooms = rooms
        self._path = path
        self._written: dict[str, Path] = {}

    @property
    def files(self) -> Mapping[str, Path]:
        """The files that were written, by their names without `.pem`."""
        return self._written

    def make_key(self, spec: KeySpec) -> x509.CertificateSigningRequest:
        """Make a key, write it, and return the request for its certificate."""
        key = generate(spec)
        self._write("key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
        return x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, SHA256())

    def hand_over(self, certificate: x509.Certificate) -> None:
        """Write the certificate and its CA's: see `enroll.desk.HandOver`."""
        self._write("certificate", certificate.public_bytes(Encoding.PEM), 0o644)
        self._write("chain", self._issuer_of(certificate).public_bytes(Encoding.PEM), 0o644)

    def require_free(self, *names: str) -> None:
        """Refuse before anything is issued rather than after.

        Raises:
            JpkiError: CONFLICT `file-exists`.
        """
        for name in names:
            if self._file(name).exists():
                raise _exists(self._file(name))

    def empty(self) -> None:
        """Remove what was written here, and nothing else."""
        for file in self._written.values():
            file.unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self._path / f"{name}.pem"

    def _write(self, name: str, content: bytes, mode: int) -> None:
        write_new(self._file(name), content, mode)
        self._written[name] = self._file(name)

    def _issuer_of(self, certificate: x509.Certificate) -> x509.Certificate:
        key = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        generations = (each for purpose in Purpose for each in self._rooms.store.generations.ever(purpose))
        return next(each.certificate for each in generations if each.key_identifier == key)


@contextmanager
def delivery(
    rooms: Rooms, out: Path, csr_file: Path | None, spec: KeySpec
) -> Iterator[tuple[x509.CertificateSigningRequest, Folder]]:
    """Prepare the output directory and the request, of a key of this kind where it is made here.

    On any failure what was written is removed, the key included.

    Raises:
        JpkiError: CONFLICT `file-exists`, UNPROCESSABLE `directory-unwritable` or `file-unwritable`, or of the CSR.
    """
    folder = Folder(rooms, out)
    folder.require_free("certificate", "chain", *([] if csr_file else ["key"]))
    with new_directory(out):
        try:
            # The key is on disk before a certificate for it can exist.
            yield read_csr(read_at_most(csr_file, LARGEST_CSR)) if csr_file else folder.make_key(spec), folder
        except BaseException:
            folder.empty()
            raise


def _exists(file: Path) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "file-exists",
        Text(f"{file} は既にあります。", f"{file} exists already."),
        Text("別の --out を指定してください。何も変更していません。", "Name another --out; nothing was changed."),
    )
