"""Where the kernel and its modules lie: the packaged one's places, or those of one that was built from source."""

from __future__ import annotations

import os
from pathlib import Path

KERNEL = os.environ.get("IPVSNL_LAB_KERNEL") or "linux.uml"
"""The kernel, a program."""
PATH = "/usr/bin:/bin:/usr/local/bin"
"""Where programs are looked for, whatever PATH the caller has: root may run this."""
MODULES = os.environ.get("IPVSNL_LAB_MODULES") or "/usr/lib/uml/modules"
"""The directory with RELEASE/ and its modules."""
LINE = os.environ.get("IPVSNL_LAB_LINE") or "/dev/ttyS0"
"""In the guest: the device that is the line to the host."""


def cache() -> Path:
    """Where kernels lie that were fetched: IPVSNL_LAB_CACHE, or the user's own place for such files; root's is open to all,
    since the kernel may be another user's process."""
    if named := os.environ.get("IPVSNL_LAB_CACHE"):
        return Path(named).absolute()
    if hasattr(os, "geteuid") and not os.geteuid():
        return Path("/var/cache/ipvsnl/kernels")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "ipvsnl" / "kernels"
