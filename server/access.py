"""Who is at the door: the client certificate of a connection, and what is closed to those who are not registered."""

import ssl
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, g, request

from jpki.ids import Serial
from jpki.ports import Admission
from jpki.verifier import VerifierId


def serial_of(peer: Mapping[str, Any] | None) -> Serial | None:
    """Return the serial of a client's verified certificate, as `ssl.SSLSocket.getpeercert` tells of it."""
    return Serial(int(peer["serialNumber"], 16)) if peer else None


def client() -> Serial | None:
    """Return the serial of the certificate that the present request's client showed in TLS."""
    connection = request.environ.get("gunicorn.socket")
    return serial_of(connection.getpeercert()) if isinstance(connection, ssl.SSLSocket) else None


def verifier() -> VerifierId | None:
    """Return who sent the present request, through a guarded door."""
    found: VerifierId | None = g.get("verifier")
    return found


def guard(blueprint: Blueprint, admission: Admission) -> None:
    """Close a door's routes to all but registered verifiers, and let no cache give on what it gives."""

    @blueprint.before_request
    def admit() -> None:
        g.verifier = admission.admit(client())

    @blueprint.after_request
    def keep_private(response: Response) -> Response:
        if response.cache_control.public:
            response.cache_control.public = False
            response.cache_control.private = True
        return response
