"""Which held calls pass on to Linux at once: most do, and they should cost as little as they can.

It is told by a call's numbers, before an object is made of them. What does not pass here may still pass later: whoever
answers looks closer.
"""

from __future__ import annotations

from collections.abc import Callable

from ipvssim.run.calls import ABOUT_SOCKETS, PATH_AT, Machine
from ipvssim.run.memory import mentions
from ipvssim.run.notify import ARGUMENTS, ID, NUMBER, TID, Listener, Numbers
from ipvssim.run.paths import MARK


class Passing:
    """``sockets`` tells whether any program has a socket of ours."""

    def __init__(self, machine: Machine, sockets: Callable[[], object]) -> None:
        numbers = machine.numbers
        self._paths = {numbers[name]: ARGUMENTS + at for name, at in PATH_AT.items() if name in numbers}
        self._about_sockets = frozenset(numbers[name] for name in ABOUT_SOCKETS)
        self._sockets = sockets

    def next(self, listener: Listener) -> Numbers | None:
        """The next call that somebody has to decide about; None where it passed, or its caller has gone."""
        call = listener.receive()
        if call is None or not self._passes(call):
            return call
        listener.pass_on(call[ID])
        return None

    def _passes(self, call: Numbers) -> bool:
        """Whether this one does: its path is none of IPVS's, or there is no socket that it could be about."""
        number = call[NUMBER]
        where = self._paths.get(number)
        if where is not None:
            return not mentions(call[TID], call[where], MARK)
        return number in self._about_sockets and not self._sockets()
