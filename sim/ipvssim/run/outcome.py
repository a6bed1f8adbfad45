"""What becomes of a call: it returns a value, fails with an errno (negative), passes on to Linux, or is kept for later."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

PASS = -4097
"""Linux carries it out. (Errnos are 1 to 4095.)"""
KEPT = -4098
"""Nothing more is to be done now: it was answered, or waits, or its caller has gone."""


class Undoable(NamedTuple):
    """A value; ``undo`` is to be called if the caller does not get it, for it will ask again."""

    value: int
    undo: Callable[[], None]


Outcome = int | Undoable

Event = tuple[int, int]
"""A descriptor at which something happened, and what: bits of ``select.EPOLL...``."""
