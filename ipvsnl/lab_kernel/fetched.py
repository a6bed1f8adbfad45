"""Kernels of Debian's suites, fetched and unpacked into a directory of their own, where they stay for the next time."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ipvsnl.lab_kernel import initramfs
from ipvsnl.lab_kernel.archive import Archive
from ipvsnl.lab_kernel.image import Image, MissingError
from ipvsnl.lab_kernel.loader import own_library
from ipvsnl.lab_kernel.modules import Tree
from ipvsnl.lab_kernel.places import PATH, cache
from ipvsnl.lab_kernel.suites import Wanted, fits, named

_USER_MODE, _ORDINARY, _BUSYBOX = "user-mode-linux", "linux-image-amd64", "busybox-static"
_PACKAGE, _PLACE, _LIBRARY, _INITRAMFS = "PACKAGE", "PLACE", "library", "initramfs"
"""In a kernel's directory: which package it is of, and where it was unpacked (written last, since the kernel names its C
library by that path), the library, the first file system for QEMU."""


def image(text: str) -> Image:
    """The kernel that ``--release TEXT`` means. What was fetched once is used again, until `forget` removes it.

    ValueError: nothing is called so. MissingError: it can't be had; why.
    """
    wanted = named(text)
    place = _place(wanted)
    with _alone():
        if not _is_whole(place):
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            archive = Archive(wanted.suite, cache() / "apt" / wanted.suite.name)
            archive.update()
            package = _fetch_ordinary(archive, place) if wanted.emulated else _fetch_user_mode(archive, place)
            (place / _PACKAGE).write_text(package)
            (place / _PLACE).write_text(str(place.absolute()))
    found = _ordinary(place) if wanted.emulated else _user_mode(place)
    if not fits(found.release, wanted.release):
        raise MissingError(
            f"--release {text}: {wanted.suite.name} has {found.release} (in {place}; --renew looks again)"
        )
    return found


def forget(text: str) -> None:
    """Remove what was fetched for ``--release TEXT``, so that the next `image` gets the newest. ValueError as there."""
    shutil.rmtree(_place(named(text)), ignore_errors=True)


def _is_whole(place: Path) -> bool:
    """Whether a kernel was fetched there, to its end, and not moved there from elsewhere."""
    try:
        return (place / _PLACE).read_text() == str(place.absolute())
    except FileNotFoundError:
        return False


def _place(wanted: Wanted) -> Path:
    return cache() / ("qemu-" * wanted.emulated + wanted.suite.name)


@contextmanager
def _alone() -> Iterator[None]:
    """One process at a time fetches. MissingError where this user can't write there."""
    import fcntl

    try:
        cache().mkdir(parents=True, exist_ok=True)
        lock = (cache() / "lock").open("w")
    except OSError as error:
        raise MissingError(f"kernels can't be kept in {cache()} (IPVSNL_LAB_CACHE): {error.strerror}") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_user_mode(archive: Archive, place: Path) -> str:
    """user-mode-linux; with the suite's C library, if it needs a newer one than this machine's."""
    version = archive.version(_USER_MODE)
    archive.unpack(_USER_MODE, place)
    if archive.needs(_USER_MODE, "libc6") > _library_here():
        archive.unpack("libc6", place / _LIBRARY)
        own_library(place / "usr/bin/linux.uml", place / _LIBRARY)
    return f"{_USER_MODE} {version}"


def _library_here() -> tuple[int, ...]:
    """The version of this machine's C library, if it is glibc."""
    with_name = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else None
    return tuple(map(int, re.findall(r"\d+", with_name or "")))


def _user_mode(place: Path) -> Image:
    modules = place / "usr/lib/uml/modules"
    library = next((path.parent for path in (place / _LIBRARY).rglob("libc.so.6")), "")
    return Image(
        _only(modules), str(place / "usr/bin/linux.uml"), str(modules), (place / _PACKAGE).read_text(), str(library)
    )


def _fetch_ordinary(archive: Archive, place: Path) -> str:
    """Debian's kernel for PCs: the package that the one called linux-image-amd64 depends on, and its parts."""
    name = next((one for one in archive.depends(_ORDINARY) if one.startswith("linux-image-")), "")
    if not name:
        raise MissingError(f"{archive.suite.name}'s {_ORDINARY} names no kernel")
    release = name.removeprefix("linux-image-")
    for part in (name, *(one for one in archive.depends(name) if one.startswith("linux-") and one.endswith(release))):
        archive.unpack(part, place)
    archive.unpack(_BUSYBOX, place / "busybox")
    if not (place / "lib").exists():
        (place / "lib").symlink_to("usr/lib")
    _number_modules(place, release)
    busybox = next(path for path in (place / "busybox").rglob("busybox") if path.parent.name == "bin")
    initramfs.write(place / _INITRAMFS, busybox, Tree(place / "lib/modules" / release))
    return f"{name} {archive.version(name)}"


def _number_modules(place: Path, release: str) -> None:
    depmod = shutil.which("depmod", path=f"/usr/sbin:/sbin:{PATH}")
    if not depmod:
        raise MissingError("depmod is not installed: apt-get install kmod")
    done = subprocess.run([depmod, "-b", str(place), release], capture_output=True, text=True)
    if done.returncode:
        raise MissingError(f"depmod failed: {done.stderr.strip()}")


def _ordinary(place: Path) -> Image:
    modules = place / "lib/modules"
    release = _only(modules)
    kernels = (place / f"boot/vmlinuz-{release}", modules / release / "vmlinuz")
    program = next((path for path in kernels if path.exists()), kernels[0])
    package = (place / _PACKAGE).read_text()
    return Image(release, str(program), str(modules), package, initramfs=str(place / _INITRAMFS))


def _only(modules: Path) -> str:
    return sorted(path.name for path in modules.iterdir())[-1]
