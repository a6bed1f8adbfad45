"""What the laboratory can boot: a kernel with its modules, and what its program needs to run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from ipvsnl.lab_kernel.places import KERNEL, MODULES, PATH


class MissingError(RuntimeError):
    """Something that the laboratory needs is not installed; the message says what, and how to get it."""


class Image(NamedTuple):
    """A kernel that can be booted. All paths are absolute."""

    release: str
    """What ``uname -r`` says in it."""
    program: str
    """The kernel: a program of user-mode-linux, or what QEMU boots."""
    modules: str
    """The directory with RELEASE/ and its modules."""
    package: str = ""
    """The package that it is from, and its version; "" where it is installed on this machine."""
    libraries: str = ""
    """The directory of the C library that the program runs with; "" for this machine's."""
    initramfs: str = ""
    """The first file system of a kernel that QEMU boots; "" for user-mode-linux."""
    time_travel: bool = False
    """Whether QEMU counts instructions instead of seconds: see ``travelling``."""


def travelling(image: Image) -> Image:
    """The same kernel with a time of its own: an instruction takes a nanosecond, and when the kernel has nothing to do its
    clock is at once at its next timer. So waiting costs nothing, and no timer is late, whatever else this machine does.

    ValueError: only QEMU can do that.
    """
    if not image.initramfs:
        raise ValueError("--time-travel is for kernels that QEMU emulates (--release qemu:NAME)")
    return image._replace(time_travel=True)


def installed() -> Image:
    """The kernel that is installed on this machine, or that the environment names; MissingError if there is none."""
    found = shutil.which(KERNEL, path=PATH)
    releases = sorted(path.name for path in Path(MODULES).iterdir()) if Path(MODULES).is_dir() else []
    if not found or not releases:
        what = KERNEL if not found else f"{MODULES}/*"
        raise MissingError(
            f"user-mode-linux is not installed ({what} not found): apt-get install user-mode-linux, or --release NAME"
        )
    return Image(releases[-1], str(Path(found).absolute()), MODULES)
