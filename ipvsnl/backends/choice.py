"""Which backend is in use.

``IPVSNL_BACKEND=native|ctypes`` forces one. Without it the C one is used, and the ctypes one where the C one was never
built. A forced one that is missing is a :class:`BackendError` that names the variable, never a silent fallback.
"""

from __future__ import annotations

import os

from ipvsnl.errors import IPVSError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipvsnl.backends.contract import Backend


class BackendError(IPVSError, ImportError):
    """The environment asks for a backend that there is not."""


def chosen() -> Backend:
    """The backend in use, imported at the first call."""
    wanted = os.environ.get("IPVSNL_BACKEND", "")
    if wanted not in ("", "native", "ctypes"):
        raise BackendError(f"the environment variable IPVSNL_BACKEND is native or ctypes (or not set), not {wanted!r}")
    if wanted != "ctypes":
        try:
            # What may be missing comes first, by itself: of two threads that import at the same time a module that can't
            # import these, the second is given half a module.
            import _cffi_backend  # noqa: F401

            import ipvsnl._native._core  # noqa: F401
            import ipvsnl.backends.native as native

            return native
        except ModuleNotFoundError as missing:
            if missing.name not in ("ipvsnl._native._core", "_cffi_backend"):
                raise
            if wanted == "native":
                raise BackendError(
                    f"IPVSNL_BACKEND=native: the C core is not built here (no module {missing.name}); "
                    "set it to ctypes, or unset it"
                ) from missing
    import ipvsnl.backends.ctypes_ as ctypes_

    return ctypes_
