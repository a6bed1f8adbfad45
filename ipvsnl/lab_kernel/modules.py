"""A kernel's modules: which files hold a module and what it needs, and how they are loaded."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

_EEXIST, _INIT_MODULE, _FINIT_MODULE = 17, 175, 313


class Tree:
    """The directory of one release: its ``modules.dep`` says what needs what, ``modules.builtin`` what is in the kernel."""

    def __init__(self, place: Path) -> None:
        """OSError where the files are not there."""
        self.place = place
        self._needs: dict[str, list[str]] = {}
        with (place / "modules.dep").open() as table:
            for line in table:
                path, _, others = line.partition(":")
                self._needs[_name(path)] = [path, *others.split()]
        with (place / "modules.builtin").open() as table:
            self._within = {_name(line.strip()) for line in table}

    def needed(self, names: Iterable[str]) -> list[Path]:
        """The files of these modules and of all that they need, each once, in the order of loading.

        What is built into the kernel needs none. LookupError: there is no such module.
        """
        found: dict[str, None] = {}
        for name in (given.replace("-", "_") for given in names):
            if name not in self._needs and name not in self._within:
                raise LookupError(f"module {name}: {self.place.name} has none of that name")
            found |= dict.fromkeys(reversed(self._needs.get(name, [])))
        return [self.place / path for path in found]

    def under(self, folder: str) -> list[str]:
        """The names of the modules in a folder of the kernel's sources, in order."""
        return sorted(name for name, (path, *_) in self._needs.items() if path.startswith(f"kernel/{folder}/"))

    def load(self, names: Iterable[str]) -> None:
        """Load modules and what they need; no modprobe is asked. OSError where the kernel refuses."""
        call = ctypes.CDLL(None, use_errno=True).syscall
        for path in self.needed(names):
            if path.suffix == ".ko":
                with path.open("rb") as module:
                    failed = call(_FINIT_MODULE, module.fileno(), b"", 0)
            else:
                import lzma

                data = lzma.decompress(path.read_bytes())
                failed = call(_INIT_MODULE, data, ctypes.c_ulong(len(data)), b"")
            if failed and ctypes.get_errno() != _EEXIST:
                raise OSError(ctypes.get_errno(), f"module {_name(path.name)}: {os.strerror(ctypes.get_errno())}")


def _name(path: str) -> str:
    return Path(path).name.partition(".ko")[0].replace("-", "_")
