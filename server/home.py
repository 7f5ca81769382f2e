"""A home: the directory in which one authority lives."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp

from hsm_adapter.roles import Role
from jpki.errors import JpkiError, Kind
from jpki.text import Text

PASSPHRASE = "JPKI_KEY_PASSPHRASE"  # noqa: S105 - the variable's name, not its value
PINS = {Role.CA: "JPKI_PIN", Role.OCSP: "JPKI_OCSP_PIN", Role.INFRASTRUCTURE: "JPKI_INFRASTRUCTURE_PIN"}
_FILES = {
    PASSPHRASE: "key-passphrase",
    PINS[Role.CA]: "token-pin",
    PINS[Role.OCSP]: "ocsp-token-pin",
    PINS[Role.INFRASTRUCTURE]: "infrastructure-token-pin",
}
"""Where `init` keeps what it made up, below secrets/."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything of one authority lies (docs/contract.md)."""

    path: Path

    @property
    def settings(self) -> Path:
        """jpki.toml; written last, so that a home which has it is whole."""
        return self.path / "jpki.toml"

    @property
    def database(self) -> Path:
        """The SQLite ledger."""
        return self.path / "jpki.sqlite"

    @property
    def keys(self) -> Path:
        """Software keys, encrypted."""
        return self.path / "keys"

    @property
    def secrets(self) -> Path:
        """What `jpki init` made up by itself, for trials."""
        return self.path / "secrets"

    @property
    def clerks(self) -> Path:
        """Clerks' client certificates as PKCS#12."""
        return self.path / "clerks"

    @property
    def tls_certificate(self) -> Path:
        """The certificate that doors show in TLS, and what is above it, in PEM."""
        return self.path / "tls" / "certificate.pem"

    @property
    def node(self) -> Path:
        """The folder of this node's own key and certificate as a registered verifier, by which other nodes know it."""
        return self.path / "tls" / "node"

    @property
    def tls_key(self) -> Path:
        """Its key, in PEM."""
        return self.path / "tls" / "key.pem"

    @property
    def trust(self) -> Path:
        """Roots of the real JPKI that were imported, one a file, in PEM."""
        return self.path / "trust"

    @property
    def ceremonies(self) -> Path:
        """The signed records of ceremonies."""
        return self.path / "ceremonies"

    @classmethod
    def open(cls, path: Path) -> "Home":
        """Return the home at `path`.

        Raises:
            JpkiError: NOT_FOUND `home-missing` when there is none; CONFLICT `home-unfinished` when `jpki init` was
                killed.
        """
        home = cls(path.absolute())
        try:
            found, begun = home.settings.is_file(), home.database.exists() or home.ceremonies.exists()
        except OSError as error:
            raise _unwritable(path, error) from error
        if begun and not found:
            raise JpkiError(
                Kind.CONFLICT,
                "home-unfinished",
                Text(f"{path} の作成は途中で止まりました。", f"The home at {path} was left half-made."),
                Text(
                    "ディレクトリ（とデータベースの表）を消して、jpki init をやり直してください。",
                    "Remove the directory, and the tables of its database, and run `jpki init` again.",
                ),
            )
        if not found:
            raise JpkiError(
                Kind.NOT_FOUND,
                "home-missing",
                Text(f"{path} に認証局のホームがありません。", f"There is no authority's home at {path}."),
                Text("jpki init --home で作成してください。", "Make one with `jpki init --home`."),
            )
        return home

    @contextmanager
    def creating(self) -> Iterator[None]:
        """Make the directory, which must be new or empty; on any failure leave nothing behind.

        Raises:
            JpkiError: CONFLICT `home-not-empty`, or UNPROCESSABLE `directory-unwritable`.
        """
        self._require_empty()
        with new_directory(self.path):
            try:
                self._require_writable()
                yield
            except BaseException:
                self._clear()
                raise

    def _require_empty(self) -> None:
        try:
            if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
                return
        except OSError as error:
            raise _unwritable(self.path, error) from error
        raise JpkiError(
            Kind.CONFLICT,
            "home-not-empty",
            Text(f"{self.path} は空ではありません。", f"{self.path} is not empty."),
            Text(
                "新しいディレクトリを指定してください。何も変更していません。",
                "Name a new directory; nothing was changed.",
            ),
        )

    def _require_writable(self) -> None:
        try:
            (self.path / ".writable").touch()
            (self.path / ".writable").unlink()
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def _clear(self) -> None:
        for entry in self.path.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    @property
    def softhsm(self) -> Path:
        """A SoftHSM token of the home's own, with its configuration."""
        return self.path / "softhsm"

    def secret_file(self, name: str) -> Path:
        """Return where `init` keeps the secret of this name when it makes one up."""
        return self.secrets / _FILES[name]

    def made_up_a_secret(self) -> bool:
        """Tell whether `init` made up a passphrase or a PIN, which lies in the home."""
        return any(self.secret_file(name).exists() for name in _FILES)

    def secret(self, name: str) -> bytes:
        """Return a secret: as the operator gives it, or what `init` made up.

        Raises:
            JpkiError: FORBIDDEN `secret-missing`, or as `given_secret`.
        """
        given = given_secret(name)
        if given is not None:
            return given
        try:
            return self.secret_file(name).read_bytes()
        except OSError as error:
            raise JpkiError(
                Kind.FORBIDDEN,
                "secret-missing",
                Text(f"{name} がありません。", f"{name} is missing."),
                Text(
                    f"{name} を資格情報・{name}_FILE・環境変数のいずれかで渡してください。",
                    f"Give {name} as a credential, by {name}_FILE, or in the environment.",
                ),
            ) from error

    def passphrase(self) -> bytes:
        """Return the passphrase of the home's software keys."""
        return self.secret(PASSPHRASE)


def given_secret(name: str) -> bytes | None:
    """Return the secret that the operator gave, None where none was.

    Looked for as a systemd credential, then in the file that the variable NAME_FILE names, then in the variable NAME.

    Raises:
        JpkiError: FORBIDDEN `secret-unreadable` when a file was named and cannot be read, or is empty.
    """
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent"), name.lower())
    file = os.environ.get(f"{name}_FILE")
    source = credential if credential.is_file() else Path(file) if file else None
    if source is None:
        return os.environb.get(name.encode()) or None
    try:
        secret = source.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise _no_secret(source, error.strerror) from error
    if not secret:
        raise _no_secret(source, "0 bytes")
    return secret


def given_passphrase() -> bytes | None:
    """Return the passphrase that the operator gave, None where none was; see `given_secret`."""
    return given_secret(PASSPHRASE)


def _no_secret(source: Path, why: str | None) -> JpkiError:
    return JpkiError(
        Kind.FORBIDDEN,
        "secret-unreadable",
        Text(f"{source} を読めません（{why}）。", f"{source} cannot be read, or is empty ({why})."),
        Text(
            "ファイルの場所・内容・権限を確認してください。",
            "Check where the file is, what is in it and who may read it.",
        ),
    )


# --- files ---------------------------------------------------------------------------------------------------------


@contextmanager
def new_directory(path: Path) -> Iterator[None]:
    """Make the directory and what it lacks above it; on any failure remove again what was made and is empty.

    Raises:
        JpkiError: UNPROCESSABLE `directory-unwritable`.
    """
    made: list[Path] = []
    try:
        try:
            made = [each for each in (path, *path.parents) if not each.exists()]
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(path, error) from error
        yield
    except BaseException:
        for each in made:
            with suppress(OSError):
                each.rmdir()
        raise


def read_at_most(file: Path, limit: int) -> bytes:
    """Return the file's octets, and one more than `limit` of them where it is larger: whoever reads refuses it then.

    Raises:
        JpkiError: UNPROCESSABLE `file-unreadable`.
    """
    try:
        with file.open("rb") as stream:
            return stream.read(limit + 1)
    except OSError as error:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "file-unreadable",
            Text(f"{file} を読めません（{error.strerror}）。", f"{file} cannot be read ({error.strerror})."),
            Text("ファイルと権限を確認してください。", "Check the file and its permissions."),
        ) from error


def write_new(file: Path, content: bytes, mode: int) -> None:
    """Write a new file, flushed to disk: whole or not at all, and never over an existing one.

    A process that is killed meanwhile leaves a file whose name begins with a dot.

    Raises:
        JpkiError: CONFLICT `file-exists`, or UNPROCESSABLE `file-unwritable`.
    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = mkstemp(prefix=f".{file.name}.", dir=file.parent)
        waiting = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                os.fchmod(descriptor, mode)
                stream.write(content)
                stream.flush()
                os.fsync(descriptor)
            # A link, for a new name of the file itself would take the place of an existing one.
            file.hardlink_to(waiting)
        finally:
            waiting.unlink()
    except FileExistsError as error:
        raise JpkiError(
            Kind.CONFLICT,
            "file-exists",
            Text(f"{file} は既にあります。", f"{file} exists already."),
            Text("別の出力先を指定してください。何も上書きしていません。", "Name another; nothing was overwritten."),
        ) from error
    except OSError as error:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "file-unwritable",
            Text(f"{file} に書き込めません（{error.strerror}）。", f"{file} cannot be written ({error.strerror})."),
            Text("書き込める出力先を指定してください。", "Name a place that you may write."),
        ) from error


def replace_file(file: Path, content: bytes, mode: int) -> None:
    """Write a file, flushed, in the place of one that may be there: whoever reads it finds the old one or the new.

    Raises:
        JpkiError: as `write_new`.
    """
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    write_new(new, content, mode)
    new.replace(file)


def _unwritable(path: Path, error: OSError) -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "directory-unwritable",
        Text(f"{path} に書き込めません（{error.strerror}）。", f"{path} cannot be written ({error.strerror})."),
        Text("書き込めるディレクトリを指定してください。", "Name a directory that you may write."),
    )
