"""Build of ipvsnl: two import packages, one C extension (through cffi, API mode) generated from ``ipvsnl/family.py``.

The extension is optional, since a pure-ctypes twin does the same: a machine without a compiler or Python's headers
installs without it, and ``ipvsnl.backend`` says so. ``IPVSNL_STRICT=1`` (our own builds) makes its failure an error.
"""

import os

from setuptools import setup
from setuptools.command.build_ext import build_ext


class OptionalBuildExt(build_ext):
    """Builds what can be built; the failure of the rest is a warning, or an error where strictness is asked for."""

    def build_extensions(self) -> None:
        """Mark the extensions before they are built."""
        for extension in self.extensions:
            extension.optional = os.environ.get("IPVSNL_STRICT") != "1"
        super().build_extensions()


setup(cffi_modules=["ipvsnl/_native/build.py:builder"], cmdclass={"build_ext": OptionalBuildExt})
