"""What two pictures are told apart by: what moved, changed colour or size; not how letters are smoothed."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont

from jpki.look import FACES
from tests.look.picture import Picture, pack


def drawn(file: Path, **otherwise: Any) -> Picture:  # noqa: ANN401 - of several types
    """Draw words and a button; the words may begin between two pixels."""
    how: dict[str, Any] = {"x": 40.0, "y": 60.0, "ground": "#ffffff", "ink": "#1a1a1a", "button": "#0017c1"}
    how |= {"height": 200} | otherwise
    image = Image.new("RGB", (400, how["height"]), how["ground"])
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(FACES.with_name("latin.woff2"), 16)
    draw.text((how["x"], how["y"]), "This certificate is valid.", font=font, fill=how["ink"])
    draw.rounded_rectangle((40, 120, 200, 170), 8, fill=how["button"])
    image.save(file)
    return Picture.at(file)


@pytest.mark.parametrize("otherwise", [{}, {"x": 40.25}, {"x": 40.5}], ids=["the same", "a quarter", "a half"])
def test_letters_that_are_smoothed_otherwise_are_the_same(tmp_path: Path, otherwise: dict[str, Any]) -> None:
    assert not drawn(tmp_path / "one.png").differences(drawn(tmp_path / "other.png", **otherwise)).any()


@pytest.mark.parametrize(
    "otherwise",
    [{"x": 42.0}, {"y": 62.0}, {"ground": "#f8f8f8"}, {"ink": "#4d4d4d"}, {"button": "#0020d0"}, {"height": 201}],
    ids=["aside", "down", "ground", "ink", "button", "height"],
)
def test_what_moved_or_changed_is_marked(tmp_path: Path, otherwise: dict[str, Any]) -> None:
    one = drawn(tmp_path / "one.png")
    where = one.differences(drawn(tmp_path / "other.png", **otherwise))
    assert where.any()
    marked = one.marked(where)
    assert marked.size == (400, 200)
    row, column = (int(each[0]) for each in where.nonzero())
    red, green, _ = marked.convert("RGB").getpixel((column, row))  # type: ignore[misc]
    assert red >= green


def test_a_packed_picture_is_the_same_to_the_last_level(tmp_path: Path) -> None:
    one = drawn(tmp_path / "one.png")
    pack(tmp_path / "one.png", tmp_path / "one.webp")
    assert (Picture.at(tmp_path / "one.webp").pixels == one.pixels).all()
