"""Builds the express lane's C with cffi (API mode): ``builder`` is what setup.py names, as it does that of ipvsnl's C core.

The declarations are the part of ``lane.h`` between its two markers, so nothing stands twice. ``IPVSNL_STRICT=1`` in the
environment turns warnings into errors.
"""

from __future__ import annotations

import os
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cffi import FFI

HERE = Path(__file__).resolve().parent
MODULE = "ipvssim.lane._lane"
SOURCES = ("store.c", "foreign.c", "wheel.c", "loads.c", "picks.c", "tables.c", "packet.c", "run.c", "flows.c")
HEADERS = ("lane.h", "internal.h", "packet.h")
FLAGS = ["-O2", "-fvisibility=hidden", "-Wall", "-Wextra"]
STRICT_FLAGS = ["-Werror", "-DIPVSNL_STRICT"]


def declarations() -> str:
    """What cffi is given."""
    text = (HERE / "lane.h").read_text()
    return text.partition("/* BEGIN CDEF */")[2].partition("/* END CDEF */")[0]


def builder() -> FFI:
    """What setup.py builds the extension with. Paths are relative to the tree's root, as setuptools wants them."""
    from cffi import FFI

    ffi = FFI()
    ffi.cdef(declarations())
    strict = STRICT_FLAGS if os.environ.get("IPVSNL_STRICT") == "1" else []
    folder = os.path.relpath(HERE)
    ffi.set_source(
        MODULE, '#include "lane.h"', sources=[f"{folder}/{name}" for name in SOURCES],
        depends=[f"{folder}/{name}" for name in HEADERS], include_dirs=[folder], extra_compile_args=FLAGS + strict,
    )  # fmt: skip
    return ffi
