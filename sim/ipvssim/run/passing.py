"""Where held calls come in, and which pass on to Linux at once: most do, and they should cost as little as they can.

It is told by a call's numbers, before an object is made of them. What does not pass here may still pass later: whoever
answers looks closer.
"""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from typing import Any

from ipvssim.run.calls import ABOUT_SOCKETS, PATH_AT, Machine
from ipvssim.run.memory import mentions
from ipvssim.run.notify import ARGUMENTS, ID, NUMBER, TID, Call, Listener, Numbers
from ipvssim.run.outcome import Event
from ipvssim.run.paths import MARK
from ipvssim.run.tracee import Descriptors, File, file_of

_MOST_EVENTS = 64


class Gate:
    """It knows what sockets there are: a call about one passes while there is none that it could be about."""

    def __init__(self, machine: Machine) -> None:
        numbers = machine.numbers
        self._paths = {numbers[name]: ARGUMENTS + at for name, at in PATH_AT.items() if name in numbers}
        self._about_sockets = frozenset(numbers[name] for name in ABOUT_SOCKETS)
        self._sockets = 0
        self._descriptors = Descriptors()
        self._poll = select.epoll()
        self._listeners: dict[int, Listener] = {}

    def watch(self, descriptor: int, events: int, *, channel: bool = False) -> None:  # noqa: ARG002
        """Tell of a descriptor's events from now on; ``channel``: it is our end of a socket."""
        self._poll.register(descriptor, events)

    def admit(self, listener: Listener) -> None:
        """Receive the calls that are held there."""
        self._listeners[listener.fileno()] = listener
        self._poll.register(listener.fileno(), select.EPOLLIN)

    def unwatch(self, descriptor: int) -> None:
        """Do so no more."""
        self._listeners.pop(descriptor, None)
        with suppress(OSError):
            self._poll.unregister(descriptor)

    def turn(self, timeout: float | None) -> tuple[list[Event], Call | None]:
        """Wait for something to do, at most ``timeout`` seconds: events of descriptors, or a call that somebody has to
        decide about; nothing where calls passed or were answered. What programs wrote and read by themselves comes before
        calls: they did it earlier."""
        listener = None
        others: list[Event] = []
        for event in self._poll.poll(timeout, _MOST_EVENTS):
            known = self._listeners.get(event[0])
            if known is not None and event[1] & select.EPOLLIN:
                listener = known
            else:
                others.append(event)
        if others or listener is None:
            return others, None  # calls are told of again
        numbers = listener.receive()
        if numbers is None:
            return others, None
        if self._passes(numbers):
            listener.pass_on(numbers[ID])
            return others, None
        return others, Call.made(listener, numbers)

    def _passes(self, call: Numbers) -> bool:
        """Whether this one does: its path is none of IPVS's, or there is no socket that it could be about."""
        number = call[NUMBER]
        where = self._paths.get(number)
        if where is not None:
            return not mentions(call[TID], call[where], MARK)
        return number in self._about_sockets and not self._sockets

    def copy(self, call: Call) -> tuple[int, File]:
        """A descriptor of ours for the one that a call is about, and its file; -1 where it is not needed, for what
        it sends is known. OSError: EBADF, ESRCH, EPERM."""
        return self._descriptors.copy(call.tid, call.descriptor)

    def sent(self, call: Call) -> tuple[bytes, bytes] | None:  # noqa: ARG002
        """The datagram that a call sends, and whom it is for, if they have been read, and its caller waited still then."""
        return None

    def pair(self, *, blocks: bool) -> tuple[socket.socket, int, File]:
        """A new pair of sockets: our end, a descriptor of the program's, which file that is. OSError: EMFILE."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.setblocking(blocks)
        end = theirs.detach()
        return ours, end, file_of(end)

    def add(self, file: File, channel: int) -> Any:  # noqa: ARG002
        """There is a socket, whose end in the program is that file; where its datagrams may be laid ready, None here."""
        self._sockets += 1
        return None

    def remove(self, file: File) -> None:  # noqa: ARG002
        """It is there no more."""
        self._sockets -= 1

    def make(self, world: str, met: Any, renewed: Any) -> None:
        """Nothing: somebody decides about each new socket."""

    def learn(self, question: bytes, answers: Any) -> None:
        """Nothing: somebody decides about each question."""

    def close(self) -> None:
        """Let go of all."""
        self._descriptors.close()
        self._poll.close()
