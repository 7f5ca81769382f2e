"""A digest of pieces of any length is that of the whole, and what goes wrong with one of them is told."""

import threading

import pytest
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, Hash
from hypothesis import given
from hypothesis import strategies as st

from jpki.digest import Digest

SIZES = st.one_of(st.integers(0, 300), st.sampled_from([65_535, 65_536, 65_537, 200_000]))


@given(sizes=st.lists(SIZES, max_size=8), algorithm=st.sampled_from([SHA256(), SHA384()]))
def test_pieces_are_digested_in_their_order(sizes: list[int], algorithm: SHA256 | SHA384) -> None:
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
    digest, whole = Digest(algorithm), Hash(algorithm)
    for piece in pieces:
        digest.update(piece)
    whole.update(b"".join(pieces))
    assert digest.finalize() == whole.finalize()


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    digest = Digest(SHA256())
    digest.update(bytes(1 << 20))
    digest.finalize()
    assert threading.active_count() == before


def test_a_piece_that_cannot_be_digested_is_told_of_before_there_is_a_digest() -> None:
    digest = Digest(SHA256())
    digest.update("一" * (1 << 16))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        digest.finalize()
