"""The words of words.toml that sample holders are made of."""

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files


@cache
def words() -> Mapping[str, Sequence[str]]:
    """Return the lists of words by their names."""
    read = tomllib.loads(files("server.sample").joinpath("words.toml").read_text("utf-8"))
    return {name: value.split() if isinstance(value, str) else value for name, value in read.items()}
