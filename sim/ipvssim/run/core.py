"""The C of this room (``_held``): ``core`` is its module, None where it was not built, or is not wanted.

The environment's IPVSSIM_HELD says which: ``native`` (an error where there is none), ``python``, or nothing for whatever is
there. What either does is the same; :mod:`ipvssim.run.reach` chooses. An extension that is there and can't be loaded is an
error, too: it is to be mended, and not passed over.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from ipvssim.run.system import RunError

_MODULE = "ipvssim.run._held._held"
_WANTED = "IPVSSIM_HELD"


def _loaded(wanted: str) -> Any:
    if wanted not in ("", "native", "python"):
        raise RunError(f"the environment variable {_WANTED} is native or python (or not set), not {wanted!r}")
    if wanted == "python":
        return None
    try:
        return import_module(_MODULE)
    except ModuleNotFoundError as missing:
        if wanted:
            raise RunError(
                f"{_WANTED}=native: the C of ipvssim run is not built here (no module {missing.name})"
            ) from None
        return None
    except ImportError as broken:
        raise RunError(f"the C of ipvssim run can't be loaded ({broken}); {_WANTED}=python does without it") from broken


core: Any = _loaded(os.environ.get(_WANTED, ""))
