"""HTTP header fields as octets."""

from hypothesis import given
from hypothesis import strategies as st

from ocsp.fields import by_name, fields, http_date

_NAMES = st.from_regex(r"[A-Za-z][A-Za-z-]{0,20}", fullmatch=True)
_VALUES = st.from_regex(r"[!-~]([ -~]{0,60}[!-~])?", fullmatch=True)


@given(st.dictionaries(_NAMES, _VALUES, max_size=6))
def test_fields_are_found_again_by_their_names(named: dict[str, str]) -> None:
    assert by_name(fields(named)) == named


def test_each_field_ends_its_line() -> None:
    assert fields({"ETag": '"a: b"', "Content-Length": "5"}) == b'ETag: "a: b"\r\nContent-Length: 5\r\n'
    assert fields({}) == b""


def test_a_date_is_written_as_http_has_it() -> None:
    assert http_date(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT"
