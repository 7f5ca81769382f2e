"""The CRL door."""

import os
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from crl.http import make_blueprint
from jpki.errors import JpkiError
from tests.crl.authority import NOW
from tests.crl.test_reader import ours, revoked

URL = "/crl/signing/s1/p0001.crl"
FIRST = ours()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "signing" / "s1" / "p0001.crl"
    path.parent.mkdir(parents=True)
    path.write_bytes(FIRST)
    return path


@pytest.fixture
def client(tmp_path: Path, file: Path) -> FlaskClient:
    assert file.exists()
    app = Flask("test", static_folder=None)
    app.register_blueprint(make_blueprint(tmp_path, list, lambda: NOW))
    app.register_error_handler(JpkiError, lambda error: (error.code, 418))
    return app.test_client()


def replace_list(path: Path, content: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)


def test_a_list_is_served_with_what_caches_need(client: FlaskClient, file: Path) -> None:
    os.utime(file, (1_700_000_000, 1_700_000_000))
    answer = client.get(URL, buffered=True)
    assert (answer.status_code, answer.data) == (200, FIRST)
    assert answer.headers["Content-Type"] == "application/pkix-crl"
    assert answer.headers["Content-Length"] == str(len(FIRST))
    assert answer.headers["ETag"] == f'"{sha256(FIRST).hexdigest()}"'
    assert answer.headers["Last-Modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert answer.headers["Cache-Control"] == "public, max-age=3600"


def test_head_says_the_same_without_the_list(client: FlaskClient) -> None:
    head, get = client.head(URL, buffered=True), client.get(URL, buffered=True)
    assert (head.status_code, head.data) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag", "Last-Modified", "Cache-Control"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize(("condition", "header"), [("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified")])
def test_who_has_the_list_is_not_sent_it_again(client: FlaskClient, condition: str, header: str) -> None:
    before = client.get(URL, buffered=True)
    again = client.get(URL, headers={condition: before.headers[header]}, buffered=True)
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == before.headers["ETag"]


def test_a_new_list_has_a_new_tag_even_of_the_same_size_and_time(client: FlaskClient, file: Path) -> None:
    before, stat = client.get(URL, buffered=True), file.stat()
    replace_list(file, FIRST[::-1])
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = client.get(URL, headers={"If-None-Match": before.headers["ETag"]}, buffered=True)
    assert (after.status_code, after.data) == (200, FIRST[::-1])
    assert after.headers["ETag"] == f'"{sha256(FIRST[::-1]).hexdigest()}"'


def test_a_download_that_began_ends_with_the_same_list(client: FlaskClient, file: Path) -> None:
    answer = client.get(URL, buffered=False)
    replace_list(file, b"another list, and longer than the first")
    assert answer.data == FIRST
    answer.close()


@pytest.mark.parametrize(
    "path",
    [
        "signing/s1/p0002.crl",
        "signing/s2/p0001.crl",
        "infrastructure/s1/p0001.crl",
        "signing/s1/p0001.new.crl",
        "signing/s1/p0001%0a.crl",
        "signing/s1/P0001.crl",
        "signing/../p0001.crl",
        "signing/%2e%2e/p0001.crl",
        "signing/s1/%2e%2e.crl",
        "signing/s1/..%5cp0001.crl",
        "signing/s1/%00.crl",
        "signing/.s1/p0001.crl",
    ],
)
def test_what_is_no_list_is_unknown(client: FlaskClient, tmp_path: Path, path: str) -> None:
    (tmp_path / "infrastructure" / "s1").mkdir(parents=True)
    for name in ("infrastructure/s1/p0001.crl", "signing/p0001.crl", "p0001.crl", "signing/s1/p0001.new.crl"):
        (tmp_path / name).write_bytes(b"not to be seen")
    answer = client.get(f"/crl/{path}", buffered=True)
    assert (answer.status_code, answer.text) == (418, "crl-unknown")


def test_a_name_with_more_parts_is_not_ours(client: FlaskClient) -> None:
    assert client.get("/crl/signing/s1/..%2f..%2fp0001.crl", buffered=True).status_code == 404


def test_a_list_that_cannot_be_read_is_unavailable(client: FlaskClient, file: Path) -> None:
    file.unlink()
    file.mkdir()
    answer = client.get(URL, buffered=True)
    assert (answer.status_code, answer.text) == (418, "crl-unavailable")


def test_lists_are_only_read(client: FlaskClient) -> None:
    assert client.post(URL).status_code == client.delete(URL).status_code == 405


# --- how long a cache may keep it ------------------------------------------------------------------------------


def max_age(client: FlaskClient, file: Path, content: bytes) -> str:
    replace_list(file, content)
    return client.get(URL, buffered=True).headers["Cache-Control"]


def test_r06_no_cache_keeps_a_list_past_its_end(client: FlaskClient, file: Path) -> None:
    for left, seconds in ((7200, 3600), (3601, 3600), (90, 89), (1, 0), (0, 0), (-500, 0)):
        assert max_age(client, file, ours(next_update=NOW + timedelta(seconds=left))) == f"public, max-age={seconds}"


def test_what_states_no_end_is_not_kept(client: FlaskClient, file: Path) -> None:
    assert max_age(client, file, b"no list") == "public, max-age=0"
    assert max_age(client, file, b"") == "public, max-age=0"


# --- parts of it -----------------------------------------------------------------------------------------------


def test_a_download_that_broke_off_goes_on(client: FlaskClient) -> None:
    whole = client.get(URL, buffered=True)
    assert whole.headers["Accept-Ranges"] == "bytes"
    for condition in ({}, {"If-Range": whole.headers["ETag"]}):
        rest = client.get(URL, headers={"Range": "bytes=100-", **condition}, buffered=True)
        assert (rest.status_code, rest.data) == (206, FIRST[100:])
        assert rest.headers["Content-Range"] == f"bytes 100-{len(FIRST) - 1}/{len(FIRST)}"
        assert rest.headers["ETag"] == whole.headers["ETag"]


def test_the_rest_of_another_list_is_not_sent(client: FlaskClient, file: Path) -> None:
    tag = client.get(URL, buffered=True).headers["ETag"]
    second = ours(revoked(1))
    replace_list(file, second)
    answer = client.get(URL, headers={"Range": "bytes=100-", "If-Range": tag}, buffered=True)
    assert (answer.status_code, answer.data) == (200, second)


def test_a_part_that_is_not_there_is_refused(client: FlaskClient) -> None:
    answer = client.get(URL, headers={"Range": f"bytes={len(FIRST)}-"}, buffered=True)
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(FIRST)}"
