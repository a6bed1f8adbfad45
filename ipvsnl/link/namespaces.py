"""Things opened in another network namespace.

A namespace belongs to a thread. What is to be opened elsewhere is opened by a thread of its own, which moves there and
ends there; the calling thread never leaves its namespace, so nothing can keep it from coming back.
"""

from __future__ import annotations

import _thread
import os

from ipvsnl.errors import LinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")

CLONE_NEWNET = 0x40000000
NAMED = "/run/netns/"


class NetworkNamespace:
    """A network namespace, held open: by name (as ``ip netns`` knows it) or by path (``/proc/4711/ns/net``)."""

    def __init__(self, name: str) -> None:
        """LinkError says which file is not there."""
        self.name = name
        path = name if "/" in name else NAMED + name
        try:
            self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as wrong:
            raise LinkError(wrong.errno or 0, f"--netns {name}: {path}: {wrong.strerror}") from wrong

    def call(self, function: Callable[[], T]) -> T:
        """What ``function`` returns, or raises, when it is called inside; LinkError where there is no way in."""
        done = _thread.allocate_lock()
        done.acquire()
        outcome: list[tuple[bool, Any]] = []

        def inside() -> None:
            try:
                self._enter()
                outcome.append((True, function()))
            except BaseException as wrong:  # it is raised where it was called
                outcome.append((False, wrong))
            finally:
                done.release()

        _thread.start_new_thread(inside, ())
        done.acquire()
        good, value = outcome[0]
        if not good:
            raise value
        return value  # type: ignore[no-any-return]

    def status(self) -> os.stat_result:
        """Of its file: device and inode tell one namespace from another."""
        return os.fstat(self._handle)

    def close(self) -> None:
        """Let go of it."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _enter(self) -> None:
        import ctypes

        if ctypes.CDLL(None, use_errno=True).setns(self._handle, CLONE_NEWNET):
            number = ctypes.get_errno()
            words = os.strerror(number)
            if number == 22:  # EINVAL
                words = "not a network namespace"
            raise LinkError(number, f"--netns {self.name}: {words}")
