"""`jpki tls`: the certificate that doors show in TLS."""

import ipaddress

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hsm_adapter.software import generate
from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import Purpose
from jpki.clock import iso
from jpki.errors import JpkiError, Kind
from jpki.signature import KeySpec
from jpki.text import Text
from server.cli.frame import Output, command, home_option, opened
from server.home import Home, replace_file
from server.notary import no_root


@click.group("tls")
def tls() -> None:
    """Let doors speak TLS (`jpki serve --tls`)."""


@command("certify")
@home_option
@click.option("--host", "hosts", multiple=True, required=True, help="A name or an IP address of the door's.")
def certify(home: Home, hosts: tuple[str, ...], output: Output) -> None:
    """Make a key and a server certificate for a year, under the infrastructure root; doors take it at their start.

    Clients trust it by tls/root.pem. A certificate of another CA may be put in its place.
    """
    rooms = opened(home)
    names = [_general_name(each) for each in hosts]
    root = next(iter(rooms.living(Purpose.INFRASTRUCTURE)), None)
    if root is None:
        raise no_root()
    key = generate(KeySpec.P256)
    certificate = rooms.delegation.server(root, key.public_key(), names, LOCAL_OPERATOR)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain = [each.public_bytes(Encoding.PEM) for each in (certificate, root.certificate)]
    files = {
        "key": (home.tls_key, private, 0o600),
        "certificate": (home.tls_certificate, b"".join(chain), 0o644),
        "root": (home.tls_certificate.with_name("root.pem"), chain[1], 0o644),
    }
    for file, content, mode in files.values():
        replace_file(file, content, mode)
    end = iso(certificate.not_valid_after_utc)
    lines = [
        Text(
            f"{'、'.join(hosts)} のサーバー証明書を作成しました（{end} まで）。",
            f"Made a server certificate for {', '.join(hosts)}, until {end}.",
        ),
        *(Text(f"  {file}", f"  {file}") for file, _, _ in files.values()),
    ]
    fields = {"hosts": hosts, "not_after": end, "files": {name: str(file) for name, (file, _, _) in files.items()}}
    output.result("jpki.tls-certify/1", fields, lines)


tls.add_command(certify)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "host-malformed",
            Text(f"「{host}」はホスト名でもIPアドレスでもありません。", f"{host!r} is no host name and no IP address."),
            Text(
                "ASCIIのホスト名（xn--…）又はIPアドレスを指定してください。",
                "Give an ASCII name (xn--…) or an address.",
            ),
        ) from None
