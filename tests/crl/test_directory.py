"""The directory of distribution points, as a page for people and as JSON."""

import subprocess
from collections.abc import Callable, Sequence
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask
from flask.testing import FlaskClient
from lxml import html

from crl.directory import DistributionPoint, words_of
from crl.http import make_blueprint
from jpki.certificate import Purpose
from jpki.clock import iso
from jpki.errors import JpkiError, Kind
from jpki.holder import Municipality
from jpki.ids import GenerationId, PartitionId
from jpki.look import STATIC, TEMPLATES
from jpki.partition import DELTA, crl_url
from jpki.text import Text
from server import language
from tests.crl.authority import NOW, TODAY, generation
from tests.crl.test_reader import ours

ESASHI = Municipality(
    code="013617", prefecture="北海道", name="江差町", prefecture_romaji="Hokkaido", name_romaji="Esashi-cho"
)
CHIYODA = Municipality(
    code="131016", prefecture="東京都", name="千代田区", prefecture_romaji="Tokyo-to", name_romaji="Chiyoda-ku"
)
BASE = "http://ca.test"


def listed(
    partition: str,
    municipality: Municipality | None = None,
    purpose: Purpose = Purpose.SIGNING,
    generation_id: str = "s1",
    left: timedelta = timedelta(days=1),
    merged_into: Municipality | None = None,
) -> DistributionPoint:
    return DistributionPoint(
        purpose=purpose,
        generation=GenerationId(generation_id),
        partition=PartitionId(partition),
        number=7,
        base=6 if partition == DELTA else None,
        entries=1234,
        this_update=TODAY,
        next_update=NOW + left,
        municipality=municipality,
        merged_into=merged_into,
        url=crl_url(BASE, purpose, GenerationId(generation_id), PartitionId(partition)),
        issuer_url=f"{BASE}/ca/{purpose}/{generation_id}.cer",
    )


POINTS = [
    listed("complete"),
    listed("p0001", ESASHI),
    listed("p0002", CHIYODA),
    listed("p0002", CHIYODA, generation_id="s2"),
    listed("b01", purpose=Purpose.AUTHENTICATION, generation_id="a1"),
    listed("delta"),
    listed("arl"),
]


def door(home: Path, points: Callable[[], Sequence[DistributionPoint]]) -> FlaskClient:
    app = Flask("test", static_folder=STATIC, template_folder=TEMPLATES)
    language.register(app, ())
    app.register_blueprint(make_blueprint(home, points, lambda: NOW))
    app.register_error_handler(JpkiError, lambda error: (error.code, 418))
    return app.test_client()


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    file = tmp_path / "signing" / "s1" / "p0001.crl"
    file.parent.mkdir(parents=True)
    file.write_bytes(ours())
    return door(tmp_path, lambda: POINTS)


def at(client: FlaskClient, query: str, path: str) -> Any:  # noqa: ANN401 - elements or texts, as the path says
    """What an XPath finds in the page."""
    return html.fromstring(client.get(f"/crl/{query}").text).xpath(path)


def found(client: FlaskClient, query: str = "") -> list[str]:
    """The addresses of the lists that a page shows."""
    return [str(each) for each in at(client, query, "//ul[@class='points']//a/@href")]


def test_json_tells_all_of_every_list(client: FlaskClient) -> None:
    answer = client.get("/crl/index.json")
    assert answer.headers["Cache-Control"] == "public, max-age=60"
    fields: Any = answer.json
    assert fields["schema"] == "jpki.crl-index/1"
    assert [each["url"] for each in fields["lists"]] == [each.url for each in POINTS]
    assert fields["lists"][1] == {
        "ca": "signing",
        "generation": "s1",
        "partition": "p0001",
        "municipality": {
            "code": "013617",
            "prefecture": "北海道",
            "name": "江差町",
            "prefecture_romaji": "Hokkaido",
            "name_romaji": "Esashi-cho",
            "merged_into": None,
        },
        "number": 7,
        "base": None,
        "entries": 1234,
        "this_update": iso(TODAY),
        "next_update": iso(NOW + timedelta(days=1)),
        "octets": len(ours()),
        "sha256": sha256(ours()).hexdigest(),
        "url": "http://ca.test/crl/signing/s1/p0001.crl",
    }
    assert fields["lists"][5]["base"] == 6
    missing = fields["lists"][0]
    assert (missing["municipality"], missing["octets"], missing["sha256"]) == (None, None, None)


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ("", list(range(7))),
        ("?q=千代田", [2, 3]),
        ("?q=chiyoda", [2, 3]),
        ("?q=ＣＨＩＹＯＤＡ%E3%80%80s2", [3]),
        ("?q=東京都千代田区", [2, 3]),
        ("?q=131016", [2, 3]),
        ("?q=P0001", [1]),
        ("?q=delta", [5]),
        ("?q=arl", [6]),
        ("?q=Esashi+Hokkaido", [1]),
        ("?q=Esashi+Tokyo", []),
        ("?ca=authentication", [4]),
        ("?ca=signing&q=b01", []),
        ("?ca=nobody", list(range(7))),
        ("?page=2", []),
        ("?page=x", list(range(7))),
        ("?page=99999999999", list(range(7))),
    ],
)
def test_what_a_person_looks_for_is_found(client: FlaskClient, query: str, meant: list[int]) -> None:
    assert found(client, query) == [POINTS[each].url for each in meant]


def test_many_lists_have_pages_that_lead_to_each_other(tmp_path: Path) -> None:
    points = [listed(f"p{number:04}", CHIYODA) for number in range(1, 46)]
    client = door(tmp_path, lambda: points)
    seen, address = list[str](), "?q=千代田"
    for _ in range(3):
        seen += found(client, address)
        address = at(client, address, "//nav/a/@href")[-1]
    assert seen == [each.url for each in points]
    assert "page=2" in address, "the last page leads back"
    assert at(client, "?page=77", "//nav/a/@href") == ["?q=&ca=&page=3"]


@pytest.mark.parametrize(
    ("partition", "named"),
    [("complete", "All partitions"), ("delta", "Changes in all partitions"), ("arl", "Certificates of the CA itself")],
)
def test_a_list_of_no_municipality_is_named_by_what_it_is(client: FlaskClient, partition: str, named: str) -> None:
    assert at(client, f"?q={partition}", "//ul//h3/span[@lang='en']/text()") == [named]
    assert ("Base" in at(client, f"?q={partition}", "//dl//dt/span[@lang='en']/text()")) == (partition == "delta")


def test_the_list_of_a_merged_municipality_is_found_by_both_names_and_says_so(tmp_path: Path) -> None:
    points = [listed("p0001", ESASHI, merged_into=CHIYODA), listed("p0002", CHIYODA)]
    client = door(tmp_path, lambda: points)
    assert found(client, "?q=江差") == [points[0].url]
    assert found(client, "?q=千代田") == found(client, "?q=131016") == [each.url for each in points]
    assert at(client, "", "//ul//h3/span[@lang='en']/text()") == ["Esashi-cho, Hokkaido", "Chiyoda-ku, Tokyo-to"]
    page = client.get("/crl/").text
    assert page.count("合併") == page.count("By a merger") == 1
    assert "By a merger it is Chiyoda-ku, Tokyo-to, now" in page
    told: Any = client.get("/crl/index.json").json
    old, new = (each["municipality"] for each in told["lists"])
    assert (old["code"], new["merged_into"]) == ("013617", None)
    assert old["merged_into"] == {key: value for key, value in new.items() if key != "merged_into"}


def test_nothing_found_says_so(client: FlaskClient) -> None:
    page = client.get("/crl/?q=nowhere").text
    assert "見つかりません" in page
    assert "0 lists" in page


def test_a_missing_file_and_a_stale_list_are_told(tmp_path: Path) -> None:
    stale = door(tmp_path, lambda: [listed("p0001", left=timedelta(seconds=-1))]).get("/crl/").text
    assert "今はファイルを読めません" in stale
    assert "期限を過ぎています" in stale
    assert "期限を過ぎています" not in door(tmp_path, lambda: [listed("p0001")]).get("/crl/").text


def test_the_page_runs_no_script_and_asks_no_other_host(client: FlaskClient) -> None:
    answer = client.get("/crl/")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; ")
    assert "script-src" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert at(client, "", "//script | //@style | //img | //iframe") == []
    for style in at(client, "", "//link/@href"):
        sheet = client.get(style, buffered=True)
        assert (sheet.status_code, sheet.mimetype) == (200, "text/css")


def test_what_was_looked_for_comes_back_as_text(client: FlaskClient) -> None:
    query = '"><script>alert(1)</script>'
    assert "<script" not in client.get(f"/crl/?q={query}").text
    assert at(client, f"?q={query}", "//input[@id='q']/@value") == [query]


def test_everything_is_labelled_in_both_languages(client: FlaskClient) -> None:
    assert at(client, "", "/html/@lang") == ["ja"]
    assert set(at(client, "", "//label/@for")) == set(at(client, "", "//main//input/@id | //main//select/@id"))
    for each in at(client, "", "//h1 | //h2 | //h3 | //label | //main//button | //summary"):
        assert each.xpath(".//span[@class='ja']"), each.text_content()
        assert each.xpath(".//span[@lang='en']"), each.text_content()


def test_r07_the_lists_go_on_while_the_directory_is_away(tmp_path: Path) -> None:
    def away() -> Sequence[DistributionPoint]:
        raise JpkiError(Kind.UNAVAILABLE, "database-unavailable", Text("x", "x"), Text("x", "x"))

    file = tmp_path / "signing" / "s1" / "p0001.crl"
    file.parent.mkdir(parents=True)
    file.write_bytes(ours())
    client = door(tmp_path, away)
    assert client.get("/crl/").text == "database-unavailable"
    assert client.get("/crl/index.json").text == "database-unavailable"
    assert client.get("/crl/signing/s1/p0001.crl", buffered=True).data == ours()


def test_words_are_compared_without_width_and_case() -> None:
    assert words_of("  Ｓ１　Ｃhiyoda ") == ["s1", "chiyoda"]
    assert all(each.is_meant_by([]) for each in POINTS)


@pytest.mark.slow
def test_the_commands_check_the_list(client: FlaskClient, tmp_path: Path, program: Callable[[str], str]) -> None:
    program("openssl")
    (commands,) = at(client, "?q=p0001", "//pre")
    lines = commands.text_content().strip().splitlines()
    fetching, checking = lines[:2], lines[2:]
    assert fetching == [
        "curl -fsSO http://ca.test/crl/signing/s1/p0001.crl",
        "curl -fsSO http://ca.test/ca/signing/s1.cer",
    ]
    (tmp_path / "p0001.crl").write_bytes(ours())
    (tmp_path / "s1.cer").write_bytes(generation("s1").certificate.public_bytes(Encoding.DER))
    done = subprocess.run(["sh", "-ec", "\n".join(checking)], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "verify OK" in done.stdout + done.stderr
    assert "crlNumber=" in done.stdout
    (tmp_path / "s1.cer").write_bytes(generation("s2").certificate.public_bytes(Encoding.DER))
    wrong = subprocess.run(
        ["sh", "-ec", "\n".join(checking)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "verify failure" in wrong.stdout + wrong.stderr
