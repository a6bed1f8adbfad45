"""The C of this room (``_held``): ``core`` is its module, None where it was not built, or is not wanted.

The environment's IPVSSIM_HELD says which: ``native`` (an error where there is none), ``python``, or nothing for whatever is
there. What either does is the same; :mod:`ipvssim.run.reach` chooses.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

_MODULE = "ipvssim.run._held._held"
_WANTED = "IPVSSIM_HELD"


def _loaded(wanted: str) -> Any:
    if wanted not in ("", "native", "python"):
        raise ImportError(f"{_WANTED}={wanted}: it is native or python")
    if wanted == "python":
        return None
    try:
        return import_module(_MODULE)
    except ModuleNotFoundError:
        if wanted:
            raise
        return None


core: Any = _loaded(os.environ.get(_WANTED, ""))
