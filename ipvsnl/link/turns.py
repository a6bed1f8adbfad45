"""Who may speak now: one call at a time, in the process that opened the client, and only until it is closed.

Two calls that receive from one socket at the same time take each other's answers. So a call that finds another under way is
refused: of another thread, of a signal's handler, of the child after a fork.
"""

from __future__ import annotations

import errno as _errno
from _thread import RLock, allocate_lock
from os import getpid

from ipvsnl.errors import LinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType
    from typing import Any


class Turns:
    """Hands out the turn: ``with turns.next(): ...``.

    ``shared``: a call waits for those of other threads, instead of being refused. A call from a signal's handler is refused
    all the same, because what it would wait for cannot go on before the handler returns.
    """

    __slots__ = ("_closed", "_lock", "_process", "_taken")

    def __init__(self, shared: bool = False) -> None:
        self._process = getpid()
        self._closed = False
        lock: Any = RLock() if shared else allocate_lock()
        self._lock = lock
        self._taken = lock._is_owned if shared else lock.locked

    def next(self) -> LockType:
        """What to hold during the call; LinkError where there is no turn.

        Locks of C are taken by ``with`` in one step, so an exception of a signal's handler never leaves one behind. Where
        another thread takes it between this look and that step, the call waits for it, which does no harm.
        """
        self.check()
        if self._taken():
            raise LinkError(
                _errno.EBUSY,
                "this client is in the middle of another call (of another thread, or the one that a signal came into): "
                "open one for each, or share one with shared=True",
            )
        return self._lock  # type: ignore[no-any-return]

    def check(self) -> None:
        """LinkError (EBADF) where the client is closed, or another process's."""
        if self._closed:
            raise LinkError(_errno.EBADF, "this client is closed")
        if self._process != getpid():
            raise LinkError(
                _errno.EBADF, f"this client is process {self._process}'s: after a fork the child opens one of its own"
            )

    @property
    def ours(self) -> bool:
        """Whether this is the process that opened it, and it is not closed."""
        return not self._closed and self._process == getpid()

    def end(self) -> None:
        """There are no turns any more."""
        self._closed = True
