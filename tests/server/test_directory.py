"""The directory of lists as a served home gives it: all there is, with its municipality, and away with the ledger."""

from hashlib import sha256
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from server.app import Door, create_app
from server.home import Home
from server.wiring import open_rooms
from tests.server.conftest import Town


def lists_of(client: FlaskClient) -> list[dict[str, Any]]:
    answer: Any = client.get("/crl/index.json").json
    lists: list[dict[str, Any]] = answer["lists"]
    return lists


def test_every_list_of_a_home_is_told_with_its_file(town: Town) -> None:
    rooms = open_rooms(Home.open(town.home))
    client = create_app(rooms, [Door.CRL]).test_client()
    told = lists_of(client)
    folder = town.home / "crl"
    published = {path.relative_to(folder).as_posix() for path in folder.rglob("*.crl")}
    assert {f"{each['ca']}/{each['generation']}/{each['partition']}.crl" for each in told} == published
    for ca in ("signing", "authentication"):
        assert next(each["partition"] for each in told if each["ca"] == ca) == "complete"
    for each in told:
        file = folder / each["ca"] / each["generation"] / f"{each['partition']}.crl"
        assert each["sha256"] == sha256(file.read_bytes()).hexdigest()
        assert each["url"] == f"{rooms.settings.base_url}/crl/{each['ca']}/{each['generation']}/{file.name}"
        is_of_one = each["ca"] == "signing" and each["partition"] not in {"complete", "delta", "arl"}
        assert (each["municipality"] is not None) == is_of_one
    rooms.close()


def test_a_part_of_a_list_that_is_not_there_is_a_problem_document(home: Path) -> None:
    rooms = open_rooms(Home.open(home))
    client = create_app(rooms, [Door.CRL]).test_client()
    octets = (home / "crl" / "signing" / "s1" / "complete.crl").stat().st_size
    answer = client.get("/crl/signing/s1/complete.crl", headers={"Range": "bytes=9999999-"}, buffered=True)
    assert (answer.status_code, answer.content_type) == (416, "application/problem+json")
    assert answer.headers["Content-Range"] == f"bytes */{octets}"
    rooms.close()


def test_r07_without_the_ledger_the_lists_are_served_and_the_directory_is_unavailable(
    home: Path,
) -> None:
    rooms = open_rooms(Home.open(home))
    client = create_app(rooms, [Door.CRL]).test_client()
    first = lists_of(client)[0]
    rooms.store.database.close()
    for file in home.glob("jpki.sqlite*"):
        file.unlink()
    for path in ("/crl/index.json", "/crl/"):
        answer = client.get(path)
        assert (answer.status_code, answer.content_type) == (503, "application/problem+json")
    served = client.get(f"/crl/{first['ca']}/{first['generation']}/{first['partition']}.crl", buffered=True)
    assert sha256(served.data).hexdigest() == first["sha256"]
    rooms.close()
