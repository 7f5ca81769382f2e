"""Copies memory ahead: the pages that judging writes to, before there is a file to judge.

A process that was forked shares all pages with its parent, and the kernel copies each one when it is first written to.
Python writes to an object whenever it looks at it, so judging a file copies some two thousand pages one by one, which
takes as long as judging it does. They are nearly the same ones each time: they are found out once and copied at once.
"""

import ctypes
import json
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

_PAGE = os.sysconf("SC_PAGESIZE")
_ENTRY = struct.Struct("Q")
_PRESENT_AND_OWN = 1 << 63 | 1 << 56
"""Bits of an entry of /proc/self/pagemap: in memory, and no other process has it."""
_MADV_POPULATE_WRITE = 23
_LIBC = ctypes.CDLL(None)
_LIBC.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

Run = tuple[int, int]
"""Where a run of pages begins, and its octets."""


def written_pages(act: Callable[[], object]) -> Sequence[Run]:
    """Return what a process that was forked from this one writes to when it does `act`; nothing where none can tell."""
    areas = list(_writable_areas())
    ours, theirs = os.pipe()
    if os.fork() == 0:
        try:
            act()
            os.write(theirs, json.dumps(list(_joined(_own_pages(areas)))).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as told:
        found = told.read()
    os.wait()
    return [(start, size) for start, size in json.loads(found or b"[]")]


def copy_ahead(pages: Sequence[Run]) -> None:
    """Have this process's own copies of the pages made; a kernel that cannot do it leaves them as they are."""
    for start, size in pages:
        _LIBC.madvise(start, size, _MADV_POPULATE_WRITE)


def _writable_areas() -> Iterator[Run]:
    with suppress(OSError):
        for line in Path("/proc/self/maps").read_text("utf-8").splitlines():
            area, rights, *_ = line.split()
            start, end = (int(each, 16) for each in area.split("-"))
            if rights.startswith("rw-p"):
                yield start, end - start


def _own_pages(areas: Sequence[Run]) -> Iterator[int]:
    with suppress(OSError), Path("/proc/self/pagemap").open("rb") as pagemap:
        for start, size in areas:
            pagemap.seek(start // _PAGE * _ENTRY.size)
            entries = _ENTRY.iter_unpack(pagemap.read(size // _PAGE * _ENTRY.size))
            for number, (entry,) in enumerate(entries):
                if entry & _PRESENT_AND_OWN == _PRESENT_AND_OWN:
                    yield start + number * _PAGE


def _joined(pages: Iterator[int]) -> Iterator[Run]:
    begun = end = 0
    for page in pages:
        if page != end:
            if end:
                yield begun, end - begun
            begun = page
        end = page + _PAGE
    if end:
        yield begun, end - begun
