"""`jpki serve`: answer verifiers over HTTP."""

from collections.abc import Sequence
from contextlib import closing

import click

from jpki.certificate import HOLDER_PURPOSES
from jpki.errors import JpkiError, Kind
from jpki.text import Text
from server.app import Door, checks, known_clients
from server.cli.frame import Output, command, home_option
from server.home import Home
from server.jobs import COPIES
from server.settings import read_settings
from server.tls import context_of
from server.wiring import open_rooms
from server.wsgi import Server, listen


@command("serve")
@home_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="The port; 0 takes any.")
@click.option("--door", "names", multiple=True, type=click.Choice([str(each) for each in Door]), help="Default: all.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Worker processes.")
@click.option("--fast", is_flag=True, help="The OCSP door alone, many times as fast: name it by --door ocsp.")
@click.option("--tls", is_flag=True, help="Speak TLS, with the certificate by `jpki tls certify`.")
def serve(  # noqa: PLR0913 - one for each option
    home: Home, host: str, port: int, names: tuple[str, ...], workers: int, output: Output, *, fast: bool, tls: bool
) -> None:
    """Serve OCSP, CRLs, CA certificates, document validation and time-stamps; runs in the foreground."""
    doors = [Door(name) for name in names] or list(Door)
    if fast and doors != [Door.OCSP]:
        raise click.UsageError("--fast serves the OCSP door alone: name it, and no other, by --door ocsp")
    settings = read_settings(home.settings)
    if settings.verifiers == "registered" and not tls:
        raise click.UsageError("verifiers are registered here: they are known by their certificates, in --tls alone")
    _require_ready(home, doors, tls=tls)
    try:
        listener = listen(host, port)
    except OSError as error:
        raise _not_listening(host, port, error) from error
    shown = f"[{host}]" if ":" in host else host
    url = f"{'https' if tls else 'http'}://{shown}:{listener.getsockname()[1]}"
    _warn_of_base_url(settings.base_url, url, output)
    output.progress(
        Text(
            f"{url} で応答しています（{'・'.join(doors)}）。終了は Ctrl-C。",
            f"Answering on {url} ({', '.join(doors)}); Ctrl-C ends it.",
        )
    )
    Server(home, listener, doors, workers, fast=fast, tls=tls).run()


def _require_ready(home: Home, doors: Sequence[Door], *, tls: bool) -> None:
    """Fail before listening rather than in each worker: a wrong passphrase, an expired responder (rule R5)."""
    with closing(open_rooms(home)) as rooms:
        if tls:
            context_of(rooms, known_clients(doors))
        if Door.OCSP in doors:
            rooms.issuers()
        if Door.CA in doors:
            for generation in (each for purpose in HOLDER_PURPOSES for each in rooms.living(purpose)):
                rooms.keys.signer(generation.key)
            rooms.maintenance.run()
        if Door.CRL in doors:
            rooms.publisher.repair()
            rooms.maintenance.only(COPIES).run()
        if Door.TSA in doors:
            rooms.units.open()
        for check in checks(rooms, doors).values():
            check()


def _warn_of_base_url(base_url: str, url: str, output: Output) -> None:
    if base_url != url:
        output.progress(
            Text(
                f"注意：証明書には {base_url} が書かれますが、このプロセスは {url} で応答します。",
                f"Note: certificates name {base_url}, but this process answers on {url}.",
            )
        )


def _not_listening(host: str, port: int, error: OSError) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "port-busy",
        Text(
            f"{host}:{port} で待ち受けできません（{error.strerror}）。",
            f"Cannot listen on {host}:{port} ({error.strerror}).",
        ),
        Text("--port（又は --host）で別のものを指定してください。", "Name another with --port, or with --host."),
    )
