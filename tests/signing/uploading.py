"""An upload as a browser sends it, octet by octet: werkzeug's own builder leaves temporary files to the collector."""

from flask.testing import FlaskClient
from werkzeug.test import TestResponse


def upload(client: FlaskClient, route: str, content: bytes, name: str, **fields: str) -> TestResponse:
    """Send a file of this name, and before it the other fields."""
    others = "".join(
        f'--X\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n' for field, value in fields.items()
    )
    head = others + (
        f'--X\r\nContent-Disposition: form-data; name="file"; filename="{name.replace(chr(92), chr(92) * 2)}"\r\n\r\n'
    )
    return client.post(
        route, data=head.encode() + content + b"\r\n--X--\r\n", content_type="multipart/form-data; boundary=X"
    )
