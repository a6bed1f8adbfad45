"""The tunables of a namespace as a mapping."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, MutableMapping

from ipvssim.state import tracking_sysctls
from ipvssim.state.namespace import Namespace
from ipvssim.state.sysctls import PREFIX


class NotModelledWarning(UserWarning):
    """A tunable was written that brings less here than in the kernel; its text says what is missing."""


def _warn(missing: str) -> None:
    """Warn at the line that called the simulator: a count of frames would not tell it, since compiled ones have none."""
    frame = sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "ipvssim":
        frame = frame.f_back
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(missing, NotModelledWarning, frame.f_code.co_filename, frame.f_lineno, registry=registry)


class SysctlView(MutableMapping[str, "int | str"]):
    """The tunables as a mapping, by full or short name (``net.ipv4.vs.*``), or full name (``net.netfilter.nf_conntrack_*``);
    values are text as ``/proc/sys`` has it, and numbers are taken."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    def __getitem__(self, name: str) -> str:
        return self._namespace.read_sysctl(self._full(name))

    def __setitem__(self, name: str, value: int | str) -> None:
        missing = self.told(name, value)
        if missing:
            _warn(missing)

    def told(self, name: str, value: int | str) -> str:
        """Write one; the words of the warning instead of the warning (mostly none)."""
        return self._namespace.write_sysctl(self._full(name), value)

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"{name}: a tunable can be written, and not deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(self._namespace.sysctl_names())

    def __len__(self) -> int:
        return len(self._namespace.sysctl_names())

    def __repr__(self) -> str:
        return repr(dict(self))

    def _full(self, name: str) -> str:
        full = name if name.startswith((PREFIX, tracking_sysctls.PREFIX)) else PREFIX + name
        if full not in self._namespace.sysctl_names():
            raise KeyError(f"no tunable {full}")
        return full
