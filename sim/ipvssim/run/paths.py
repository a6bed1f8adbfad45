"""Which paths are files of IPVS, and what ``stat`` tells of one (include/uapi/asm/stat.h, include/uapi/linux/stat.h)."""

from __future__ import annotations

import os
import posixpath
import re
import stat
from struct import Struct
from typing import NamedTuple

from ipvssim.run import memory
from ipvssim.run.tracee import folder_of

MARK = b"vs"
"""What stands in every such path, within its first 128 bytes (see :mod:`ipvssim.run.passing`)."""
_NET = re.compile(r"/proc/(?:(?P<process>self|thread-self|\d+)/(?:task/(?P<thread>\d+)/)?)?net/(?P<name>ip_vs\w*)")
_TUNABLES = re.compile(r"/proc/sys/net/ipv4/vs(?:/(?P<name>\w+))?")
_STAT = {
    "x86_64": Struct("=QQQIII4xQqqq6q24x"),
    "aarch64": Struct("=QQIIIIQ8xqi4xq6q8x"),
}
_STATX = Struct("=IIQIIIH2xQQQQ" + 4 * "qI4x" + "IIII112x")
_BASIC = 0x7FF
_ALIKE = "/proc/self/net/dev"
"""A file as these are: device, owner and times are taken from it."""


class Path(NamedTuple):
    """A file of IPVS: one of ``/proc/net`` (of a thread's network namespace), or a tunable; without a name, their folder."""

    name: str
    thread: int
    tunable: bool

    @property
    def mode(self) -> int:
        """Its type and permissions."""
        if not self.name:
            return stat.S_IFDIR | 0o555
        return stat.S_IFREG | (0o644 if self.tunable else 0o444)


def named(thread: int, address: int) -> Path | None:
    """The file of IPVS that a path in a thread's memory leads to; None for every other. A relative one is meant from the
    folder that the thread is in. OSError where the path can't be read."""
    text = memory.string(thread, address).decode(errors="surrogateescape")
    if not text.startswith("/"):
        text = f"{folder_of(thread)}/{text}"
    text = posixpath.normpath(re.sub("^/+", "/", text))
    found = _NET.fullmatch(text)
    if found is not None:
        process = found["thread"] or found["process"] or "self"
        return Path(found["name"], int(process) if process.isdigit() else thread, tunable=False)
    found = _TUNABLES.fullmatch(text)
    return Path(found["name"] or "", thread, tunable=True) if found is not None else None


def status(path: Path) -> bytes:
    """``struct stat`` of it, as this machine has it."""
    alike, machine = os.stat(_ALIKE), os.uname().machine  # noqa: PTH116
    device, links, owner = alike.st_dev, (1, path.mode), (alike.st_uid, alike.st_gid)
    if machine != "x86_64":
        links = links[::-1]
    times = [
        part for moment in (alike.st_atime_ns, alike.st_mtime_ns, alike.st_ctime_ns) for part in divmod(moment, _NS)
    ]
    return _STAT[machine].pack(device, _inode(path), *links, *owner, 0, 0, 1024, 0, *times)


def status_x(path: Path) -> bytes:
    """``struct statx`` of it."""
    alike = os.stat(_ALIKE)  # noqa: PTH116
    moments = (alike.st_atime_ns, 0, alike.st_ctime_ns, alike.st_mtime_ns)
    times = [part for moment in moments for part in divmod(moment, _NS)]
    device = os.major(alike.st_dev), os.minor(alike.st_dev)
    return _STATX.pack(
        _BASIC, 1024, 0, 1, alike.st_uid, alike.st_gid, path.mode, _inode(path), 0, 0, 0, *times, 0, 0, *device
    )


_NS = 1_000_000_000


def _inode(path: Path) -> int:
    return 0xF0000000 + sum(path.name.encode()) * 2 + path.tunable
