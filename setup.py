"""Build of ipvsnl: two import packages, one C extension (through cffi, API mode) generated from ``ipvsnl/family.py``.

The extension is optional, since a pure-ctypes twin does the same: a machine without a compiler or Python's headers
installs without it, and ``ipvsnl.backend`` says so. ``IPVSNL_STRICT=1`` (our own builds) makes its failure an error.

A wheel says what is in it: with the extension it is ``cp311-abi3``, for CPython 3.11 and all that come after it; without
it ``py3-none-any``.
"""

import os
import sysconfig
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

STRICT = os.environ.get("IPVSNL_STRICT") == "1"
STABLE = "" if sysconfig.get_config_var("Py_GIL_DISABLED") else "cp311"
"""The oldest CPython whose stable interface is compiled against; a free-threaded one has none."""


class OptionalBuildExt(build_ext):
    """Builds what can be built; the failure of the rest is a warning, or an error where strictness is asked for."""

    def build_extensions(self) -> None:
        """Mark the extensions before they are built."""
        for extension in self.extensions:
            extension.optional = not STRICT
        try:
            super().build_extensions()
        except Exception as wrong:
            raise SystemExit(f"IPVSNL_STRICT=1 asks for the C core, and it can't be built: {wrong}") from wrong


class HonestWheel(bdist_wheel):
    """Named after what was built: where the extension was left out, the wheel fits every machine."""

    def run(self) -> None:
        """Build the extension first, and look."""
        self.run_command("build_ext")
        built = self.get_finalized_command("build_ext").get_outputs()
        if not all(Path(output).exists() for output in built):
            self.distribution.ext_modules = []
            self.root_is_pure, self.py_limited_api = True, ""
            for command in ("build_ext", "build_py", "build", "install_lib", "install"):
                self.distribution.have_run[command] = 0
                self.reinitialize_command(command)
        super().run()


setup(
    cffi_modules=["ipvsnl/_native/build.py:builder"],
    cmdclass={"build_ext": OptionalBuildExt, "bdist_wheel": HonestWheel},
    options={"bdist_wheel": {"py_limited_api": STABLE}} if STABLE else {},
)
