"""Java programs of these tests, compiled once and run quickly."""

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from tests.interop.programs import Done, run

_QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Each run lasts a moment: it is not worth optimising, nor collecting garbage by threads."""


def java(program: str, *words: str | Path, options: tuple[str, ...] = ()) -> Done:
    """Run a program of this folder to its end; skip the test where Java or its compiler is not installed."""
    return run("java", *_QUICK, *options, "-cp", _compiled(program), program, *words)


@cache
def _compiled(program: str) -> Path:
    classes = Path(mkdtemp())
    atexit.register(shutil.rmtree, classes)
    done = run("javac", "-d", classes, Path(__file__).with_name(f"{program}.java"))
    assert done.code == 0, done.text
    return classes
