"""TLS towards the register of residents: the office's client certificate, and the roots of the register's server."""

import ssl

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from server.settings import RegistrySettings


def context_for(named: RegistrySettings) -> ssl.SSLContext | None:
    """Return what a register's URL is spoken to with; None for one without TLS.

    Raises:
        JpkiError: UNPROCESSABLE `registry-files-unusable`.
    """
    if named.certificate is None:
        return None
    try:
        context = ssl.create_default_context(cafile=named.roots)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # An encrypted key is refused, and its passphrase not asked for at whatever terminal there is.
        context.load_cert_chain(named.certificate, named.key, password="")
    except (OSError, ssl.SSLError) as error:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "registry-files-unusable",
            Text(
                "住民基本台帳への接続に使う証明書・鍵・ルート証明書を読めません。",
                "The certificate, key or roots for the register of residents cannot be used.",
            ),
            Text(
                "jpki.toml の registry とファイルの権限を確認してください。",
                "Check `registry` in jpki.toml, and who may read them.",
            ),
        ) from error
    return context
