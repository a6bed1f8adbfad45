"""Build of ipvsnl: two import packages, three C extensions (through cffi, API mode): the core, generated from
``ipvsnl/family.py``, the simulator's express lane, and (on Linux) what answers the calls of programs that it runs.

They are optional, since Python does the same: a machine without a compiler or Python's headers installs without them, and
``ipvsnl.backend`` and ``ipvssim.lane.compiled`` say so. ``IPVSNL_STRICT=1`` (our own builds) makes its failure an error.

``IPVSSIM_COMPILE=1`` compiles the simulator's hot modules, too, by mypyc, from the same files that run without it; the user
needs nothing for that, and ``ipvssim.compiled`` tells. They work with the one Python that they were compiled for.

A wheel says what is in it: with the extension it is ``cp311-abi3``, for CPython 3.11 and all that come after it; with
compiled modules it is for one CPython (``cp311-cp311``), and pip takes it where it fits; without either it is
``py3-none-any``.
"""

import os
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.editable_wheel import editable_wheel

STRICT = os.environ.get("IPVSNL_STRICT") == "1"
STABLE = "" if sysconfig.get_config_var("Py_GIL_DISABLED") else "cp311"
"""The oldest CPython whose stable interface is compiled against; a free-threaded one has none."""
COMPILE = os.environ.get("IPVSSIM_COMPILE") == "1"
MYPY = "mypy[mypyc]==2.4.1"
"""The compiler: each release refuses, or translates, something else."""
SIMULATOR = Path("sim/ipvssim")
HOT = ("_parts.py", "clock.py", "schedulers", "net", "state", "path", "lab/run/loop.py")
"""What is compiled of the simulator, but for what is COLD."""
COLD = frozenset((
    "schedulers/_registry.py",  # loads modules by name
    "net/scapy_packets.py",
    "state/sysctls.py",  # an object that changes its class
    "state/tracking_sysctls.py",
    "state/daemons.py", "state/debug_log.py", "state/loading.py", "state/modules.py", "state/procfs.py", "state/saving.py",
    "path/changes.py", "path/debug_log.py", "path/debug_picks.py", "path/explain.py", "path/reasons.py", "path/strays.py",
    "path/whatif.py", "path/protocols/diagram.py",
))  # fmt: skip
LIBRARY = "ipvssim._hot"
"""What the compiled modules have in common lies in one library beside them."""
CORES = {
    "ipvsnl._native._core": "ipvsnl/_native/build.py:builder",
    "ipvssim.lane._lane": "sim/ipvssim/lane/build.py:builder",
}
"""What is written in C, each with a twin in Python, and who builds it."""
if sys.platform == "linux":
    CORES["ipvssim.run._held._held"] = "sim/ipvssim/run/_held/build.py:builder"


def hot() -> list[str]:
    """The files to compile."""
    found = [
        path for part in HOT for path in sorted([SIMULATOR / part, *(SIMULATOR / part).rglob("*.py")]) if path.suffix
    ]
    return [str(path) for path in found if path.name != "__init__.py" and str(path.relative_to(SIMULATOR)) not in COLD]


class OptionalBuildExt(build_ext):
    """Builds what can be built; the failure of the rest is a warning, or an error where strictness is asked for."""

    def run(self) -> None:
        """Translate the hot modules first, where that is asked for."""
        if COMPILE:
            if self.inplace:
                raise SystemExit(
                    "IPVSSIM_COMPILE=1: a compiled module would hide the file that one edits; build a wheel"
                )
            self.distribution.ext_modules += _translated(self.build_temp)
            self.swig_opts = None  # as it was before: they are read again, with the new extensions
            self.finalize_options()
        super().run()

    def build_extensions(self) -> None:
        """Mark the extensions before they are built, and compile as many files at once as there are processors."""
        compiled = {extension.name for extension in self.extensions if _is_hot(extension)}
        for extension in self.extensions:
            extension.optional = not STRICT
        one_by_one = self.compiler.compile

        def compile_(sources: list[str], **how: object) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return [made for some in pool.map(lambda source: one_by_one([source], **how), sources) for made in some]

        self.compiler.compile = compile_
        self.parallel = os.cpu_count()
        try:
            super().build_extensions()
        except Exception as wrong:
            raise SystemExit(f"IPVSNL_STRICT=1: what is compiled can't be built: {wrong}") from wrong
        built = {name: Path(self.get_ext_fullpath(name)) for name in compiled}
        if not all(path.exists() for path in built.values()):  # all of them, or none: each needs the library
            for path in built.values():
                path.unlink(missing_ok=True)


def _is_hot(extension: object) -> bool:
    """Whether it is one of mypyc's, which all belong together and to one CPython."""
    return extension.name not in CORES


def _translated(folder: str) -> list[object]:
    """The hot modules as C; none where mypyc fails, which is an error where strictness is asked for."""
    os.environ["MYPYPATH"] = str(SIMULATOR.parent)
    try:
        from mypyc.build import mypycify

        made = mypycify(
            # The laboratory is seen from here, and numpy is no part of the build: what is not compiled is not complained of.
            ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent", *hot()],
            opt_level="2", debug_level="0", multi_file=True, target_dir=folder, group_name=LIBRARY,
        )  # fmt: skip
    except (Exception, SystemExit) as wrong:
        if STRICT:
            raise
        print(f"The simulator is not compiled, and runs as it is: {wrong}")
        return []
    for extension in made:
        extension.include_dirs.append(str(Path(folder, *LIBRARY.split(".")[:-1])))  # of the library's own headers
    return list(made)


class PlainEditable(editable_wheel):
    """An editable installation has no compiled modules: each would go before the file that one edits."""

    def run(self) -> None:
        """Refuse what can't be."""
        if COMPILE:
            raise SystemExit("IPVSSIM_COMPILE=1: an editable installation is not compiled; build a wheel")
        super().run()


class HonestWheel(bdist_wheel):
    """Named after what was built: where the extension was left out, the wheel fits every machine; where the simulator was
    compiled, one CPython."""

    def run(self) -> None:
        """Build the extensions first, and look."""
        self.run_command("build_ext")
        command = self.get_finalized_command("build_ext")
        built = [
            extension for extension in command.extensions if Path(command.get_ext_fullpath(extension.name)).exists()
        ]
        self.distribution.ext_modules = built
        if any(_is_hot(extension) for extension in built):
            self.py_limited_api = ""
        if not built:
            self.root_is_pure, self.py_limited_api = True, ""
        if len(built) < len(command.extensions):
            for name in ("build_ext", "build_py", "build", "install_lib", "install"):
                self.distribution.have_run[name] = 0
                self.reinitialize_command(name)
        super().run()


setup(
    cffi_modules=list(CORES.values()),
    cmdclass={"build_ext": OptionalBuildExt, "bdist_wheel": HonestWheel, "editable_wheel": PlainEditable},
    options={"bdist_wheel": {"py_limited_api": STABLE}} if STABLE else {},
    setup_requires=[MYPY] if COMPILE else [],
)
