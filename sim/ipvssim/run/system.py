"""Whether programs can be run here at all. It is the one part of this room that other systems than Linux can import."""

from __future__ import annotations

import os
import re
import sys

from ipvssim.run import calls

OLDEST = (5, 14)
"""The first release of Linux that was looked at. (SECCOMP_IOCTL_NOTIF_ADDFD, the newest of what is needed, is of 5.9.)"""


class RunError(Exception):
    """A program can't be run here; the text says why, in a line."""


def check_system() -> calls.Machine:
    """This machine. RunError where it or its kernel can't do it."""
    if sys.platform != "linux":
        raise RunError(f"only Linux can hold a program's system calls, and this is {sys.platform}")
    release = os.uname().release
    numbers = re.match(r"(\d+)\.(\d+)", release)
    if numbers is None:
        raise RunError(f"{release!r} is no release of Linux that is known here")
    if (int(numbers[1]), int(numbers[2])) < OLDEST:
        raise RunError(f"Linux {release} is too old: holding a program's system calls needs {OLDEST[0]}.{OLDEST[1]}")
    machine = calls.here()
    if machine is None:
        known = ", ".join(calls.MACHINES)
        raise RunError(f"the system calls of {os.uname().machine} are not known here, only those of {known}")
    return machine
