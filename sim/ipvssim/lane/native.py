"""The lane's C, where it was built. Without it every packet goes the general way, with the same answers. An extension
that is there and can't be loaded is an error: it is to be mended, and not passed over."""

from __future__ import annotations

from typing import Any, Final

ffi: Any = None
lib: Any = None
try:
    from ipvssim.lane._lane import ffi as _ffi
    from ipvssim.lane._lane import lib as _lib
except ModuleNotFoundError as missing:
    if missing.name not in ("ipvssim.lane._lane", "_cffi_backend"):
        raise
else:
    ffi, lib = _ffi, _lib

compiled: Final = lib is not None
"""Whether there is an express lane."""
