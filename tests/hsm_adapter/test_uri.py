"""PKCS#11 URIs."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_adapter.uri import Pkcs11Uri
from jpki.errors import JpkiError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=32)


@given(TEXT, st.none() | TEXT, st.none() | st.binary(min_size=1, max_size=20), st.booleans())
def test_what_is_written_reads_back(token: str, label: str | None, identifier: bytes | None, secret: bool) -> None:  # noqa: FBT001 - hypothesis gives them by position
    uri = Pkcs11Uri(token=token, object=label, id=identifier, secret=secret)
    assert Pkcs11Uri.parse(str(uri)) == uri


def test_the_example_of_a_person() -> None:
    uri = Pkcs11Uri.parse("pkcs11:token=My%20Card;object=sign;id=%01;type=private?module-path=/usr/lib/x.so")
    assert uri == Pkcs11Uri(token="My Card", object="sign", id=b"\x01", module=Path("/usr/lib/x.so"))


@pytest.mark.parametrize(
    "text",
    ["", "pkcs12:token=a", "pkcs11:", "pkcs11:object=a", "pkcs11:token", "pkcs11:token=a;token=b", "pkcs11:token=%zz"],
)
def test_what_is_no_uri_is_refused(text: str) -> None:
    with pytest.raises(JpkiError) as refused:
        Pkcs11Uri.parse(text)
    assert refused.value.code == "pkcs11-uri-malformed"
