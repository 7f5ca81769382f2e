"""Templates are compiled once in a process of the tests, not once for each of its hundreds of applications.

That is a third of the time of a test that looks at pages. A template whose text or file is another is compiled anew.
"""

from types import CodeType

import pytest
from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket


class Templates(BytecodeCache):
    """Compiled templates in memory, by name and file, and by what their text was."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, str], CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._compiled.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._compiled[bucket.key, bucket.checksum] = bucket.code


_TEMPLATES = Templates()


def share(patch: pytest.MonkeyPatch) -> None:
    """Let all applications of this process share their templates, until `patch` is undone."""
    patch.setattr(Flask, "jinja_options", {**Flask.jinja_options, "bytecode_cache": _TEMPLATES})
