"""Where the kernel and its modules lie: the packaged one's places, or those of one that was built from source."""

from __future__ import annotations

import os

KERNEL = os.environ.get("IPVSNL_LAB_KERNEL") or "linux.uml"
"""The kernel, a program."""
PATH = "/usr/bin:/bin:/usr/local/bin"
"""Where programs are looked for, whatever PATH the caller has: root may run this."""
MODULES = os.environ.get("IPVSNL_LAB_MODULES") or "/usr/lib/uml/modules"
"""The directory with RELEASE/ and its modules."""
