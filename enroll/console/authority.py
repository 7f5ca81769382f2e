"""The CAs at the console: their keys, responders and lists, where the keys are, and the last ceremonies. Read only."""

from flask import Blueprint, Response

from enroll.console.desk import House, Link, desk, page
from enroll.overseen import AuthorityTold
from jpki.text import Text

LINK = Link("console.show_authority", Text("認証局と鍵", "CAs and keys"), "get-authority")


def add(blueprint: Blueprint, house: House) -> None:
    """Add GET /authority."""

    @blueprint.get("/authority")
    def show_authority() -> Response:
        told = desk().window.ask("get-authority", AuthorityTold)
        return page("authority.html", told=told, attributes=_ATTRIBUTES, now=house.clock())


_ATTRIBUTES = {
    "sensitive": Text("値を取り出せない", "its value cannot be read"),
    "always_sensitive": Text("作成以来ずっと値を取り出せない", "its value never could be read"),
    "extractable": Text("持ち出せる", "it can be taken out"),
    "never_extractable": Text("作成以来ずっと持ち出せない", "it never could be taken out"),
    "local": Text("この装置の中で作った", "it was made in this device"),
    "sign": Text("署名に使える", "it may sign"),
    "decrypt": Text("復号に使える", "it may decrypt"),
    "unwrap": Text("ほかの鍵を取り出せる", "it may unwrap other keys"),
}
"""What a token says of a key (PKCS#11 3.1, 4.9), in words."""
