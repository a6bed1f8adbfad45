"""Signals that would end a program: held back while something is done that must be whole, and met where nothing is half-way.

A handler that raises does so anywhere, also in the midst of a rollback. So while a plan is carried out the signals are only
noted, and :meth:`Held.check` does what they ask for where what was written can be taken back.
"""

from __future__ import annotations

import time
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator
    from typing import Any

    from filelock import BaseFileLock
else:
    import _signal as signal  # "signal" costs "enum" at every start

_TURN = 0.2
"""Seconds of one turn of waiting for a lock."""


class Terminated(BaseException):
    """SIGTERM, as an exception."""


class Held:
    """The signals that came meanwhile; the first of them counts."""

    def __init__(self) -> None:
        self.came: int | None = None
        self.met = False
        """Whether :meth:`check` did what it asks for."""
        self.before: dict[int, Any] = {}
        """The handlers that it stands in for."""

    def note(self, number: int, _: object = None) -> None:
        """A signal came."""
        if self.came is None:
            self.came = number

    def check(self) -> None:
        """Handle what came, which mostly raises: here everything can be taken back. Terminated where nobody else does."""
        if self.came is None or self.met:
            return
        number, self.met = self.came, True
        handler = self.before[number]
        if not callable(handler):
            raise Terminated
        handler(number, None)
        self.came, self.met = None, False  # it raised nothing, so the work goes on


_active: list[Held] = []
"""Who holds them now: an apply within a program that holds them already shares what came."""


@contextmanager
def held(*, terminating: bool = False) -> Iterator[Held]:
    """Hold SIGINT and SIGTERM back, those that Python handles; with ``terminating`` also a SIGTERM that nobody handles.

    A signal that came and was not met is handled at the end, unless another exception ended the work; with ``terminating``
    the caller looks at what came. Only the main thread
    is ever interrupted: in another one there is nothing to hold.
    """
    if _active:
        yield _active[-1]
        return
    found = Held()
    try:
        _take(found, terminating)
        _active.append(found)
        yield found
    finally:
        _active.clear()
        for number, handler in found.before.items():
            signal.signal(number, handler)
    if found.came is not None and not found.met and not terminating:
        signal.raise_signal(found.came)


def _take(found: Held, terminating: bool) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        unhandled = terminating and number == signal.SIGTERM and handler is signal.SIG_DFL
        if unhandled or callable(handler):
            found.before[number] = handler
            try:
                signal.signal(number, found.note)
            except ValueError:  # not the main thread
                del found.before[number]


def acquired(lock: BaseFileLock, timeout: float) -> bool:
    """Wait for a lock for so many seconds, in short turns: in between, a signal that is held back may end it."""
    from filelock import Timeout

    deadline = time.monotonic() + timeout
    with held() as signals:
        while True:
            try:
                lock.acquire(timeout=max(min(_TURN, deadline - time.monotonic()), 0))
                return True
            except Timeout:
                if time.monotonic() >= deadline:
                    return False
            signals.check()
