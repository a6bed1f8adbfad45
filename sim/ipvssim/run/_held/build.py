"""Builds this room's C with cffi (API mode): ``builder`` is what setup.py names.

The declarations are the part of ``held.h`` between its two markers. ``IPVSNL_STRICT=1`` in the environment turns warnings
into errors, as for the C core of ipvsnl.
"""

from __future__ import annotations

import os
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cffi import FFI

HERE = Path(__file__).resolve().parent
PLACE = "sim/ipvssim/run/_held"
"""This folder, from setup.py's."""
MODULE = "ipvssim.run._held._held"
FLAGS = ["-O2", "-fvisibility=hidden", "-Wall", "-Wextra"]
STRICT_FLAGS = ["-Werror", "-DIPVSNL_STRICT"]


def builder() -> FFI:
    """The extension, as setup.py's ``cffi_modules`` wants it."""
    from cffi import FFI

    strict = STRICT_FLAGS if os.environ.get("IPVSNL_STRICT", "") not in ("", "0") else []
    ffi = FFI()
    ffi.cdef((HERE / "held.h").read_text().partition("/* BEGIN CDEF */")[2].partition("/* END CDEF */")[0])
    ffi.set_source(
        MODULE,
        '#include "held.h"\n',
        sources=[f"{PLACE}/{name}" for name in ("held.c", "serve.c", "plain.c", "quiet.c", "turn.c")],
        depends=[f"{PLACE}/{name}" for name in ("held.h", "internal.h")],
        include_dirs=[PLACE],
        extra_compile_args=FLAGS + strict,
    )
    return ffi
