"""What one can see of another process's threads: whose they are, their descriptors, their network namespace."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from contextlib import suppress

from ipvssim.run.notify import failure, libc

_syscall = libc.syscall
_PIDFD_GETFD = ctypes.c_long(438)
_PIDFD_THREAD = os.O_EXCL
_MOST_KEPT = 64


def folder_of(thread: int) -> str:
    """The folder that it is in; empty where it is gone."""
    try:
        return os.readlink(f"/proc/{thread}/cwd")  # noqa: PTH115
    except OSError:
        return ""


def network_of(thread: int) -> str:
    """Its network namespace, in the kernel's words: ``net:[4026531840]``. OSError where it is gone."""
    return os.readlink(f"/proc/{thread}/ns/net")  # noqa: PTH115


def devices_of(thread: int) -> set[str]:
    """The names of the devices in its network namespace; none where it is gone."""
    try:
        with open(f"/proc/{thread}/net/dev", encoding="utf-8", errors="replace") as lines:  # noqa: PTH123
            return {name.strip() for name, colon, _ in (line.partition(":") for line in lines) if colon}
    except OSError:
        return set()


def process_of(thread: int) -> tuple[int, int]:
    """The process that a thread belongs to: its number here, and the number that it has for itself (in its own namespace of
    processes). OSError where it is gone."""
    here = own = thread
    with open(f"/proc/{thread}/status", encoding="utf-8", errors="replace") as lines:  # noqa: PTH123
        for line in lines:
            if line.startswith("Tgid:"):
                here = int(line.split()[1])
            elif line.startswith("NStgid:"):
                own = int(line.split()[-1])
                break
    return here, own


def is_interrupted(thread: int) -> bool:
    """Whether a signal has woken a thread whose call is held. OSError where it is gone.

    A caller of a call that was received sleeps so that signals wake it (S). One that was woken sleeps on, so that only its
    end wakes it (D), and it handles what woke it when its call returns (``seccomp_do_user_notification`` of
    kernel/seccomp.c, Linux 5.19 and later). So it is known which thread of a process the kernel chose."""
    with open(f"/proc/{thread}/stat", "rb") as line:  # noqa: PTH123
        return line.read().rpartition(b")")[2].split(None, 1)[0] == b"D"


File = tuple[int, int]
"""What tells a file from all others: its device, and its number there."""


def file_of(descriptor: int) -> File:
    """The file that a descriptor of ours is open for."""
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def copied(handle: int, descriptor: int) -> tuple[int, File]:
    """A descriptor of ours for the file that is ``descriptor`` in the process behind ``handle``, and which file it is.
    OSError: EBADF, ESRCH, EPERM."""
    found = _syscall(_PIDFD_GETFD, handle, descriptor, 0)
    if found < 0:
        raise failure()
    return int(found), file_of(found)


class Descriptors:
    """Copies of programs' descriptors, made by ``copied``. It keeps handles of the threads that it was asked about, at most
    64; where the kernel has no handles of threads (before Linux 6.9), those of processes' first threads."""

    def __init__(self, copied: Callable[[int, int], tuple[int, File]] = copied) -> None:
        self._handles: dict[int, int] = {}
        self._copied = copied

    def copy(self, thread: int, descriptor: int) -> tuple[int, File]:
        """A descriptor of ours for the file that is ``descriptor`` there, and which file it is. OSError: EBADF, ESRCH,
        EPERM."""
        handle = self._handles.get(thread)
        if handle is not None:
            try:
                return self._copied(handle, descriptor)
            except OSError as wrong:
                if wrong.errno != errno.ESRCH:
                    raise
            self.drop(thread)  # it is gone, and another may have its number
        handle, lasting = _handle(thread)
        try:
            found = self._copied(handle, descriptor)
        except BaseException:
            os.close(handle)
            raise
        if not lasting:
            os.close(handle)
            return found
        if len(self._handles) >= _MOST_KEPT:
            self.close()
        self.keep(thread, handle)
        return found

    def keep(self, thread: int, handle: int) -> None:
        """Remember the handle of a thread."""
        self._handles[thread] = handle

    def drop(self, thread: int) -> None:
        """Forget it."""
        with suppress(OSError):
            os.close(self._handles.pop(thread))

    def close(self) -> None:
        """Let go of all handles."""
        for thread in list(self._handles):
            self.drop(thread)


def _handle(thread: int) -> tuple[int, bool]:
    """A handle of a thread, and whether it may be kept: that of another thread of its process outlives it."""
    for flags in (0, _PIDFD_THREAD):
        try:
            return os.pidfd_open(thread, flags), True
        except OSError as wrong:
            if wrong.errno not in (errno.EINVAL, errno.ENOENT):
                raise
    return os.pidfd_open(process_of(thread)[0]), False
