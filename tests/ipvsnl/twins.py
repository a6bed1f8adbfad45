"""The two backends, for tests that hold one against the other or are about one of them.

A machine without a compiler has no C core. Tests import it from here: there, what uses ``native`` is skipped and says why,
and the rest of its file runs.
"""

from __future__ import annotations

from typing import Any

import pytest

from ipvsnl.backends import ctypes_


class _NotBuilt:
    """Stands for the C core where it is not built: the test that asks it for anything is skipped."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # pytest and hypothesis look at values: that is no use of them
            raise AttributeError(name)
        pytest.skip("the C core is not built")


def _native() -> Any:
    try:
        from ipvsnl.backends import native
    except ImportError:  # test_backends.py says whether that is allowed here
        return _NotBuilt()
    return native


native = _native()
"""The C core's backend. Its type is not told, since there may be none."""
BUILT = not isinstance(native, _NotBuilt)
BACKENDS = pytest.mark.parametrize("backend", [native, ctypes_], ids=["native", "ctypes"])
