"""Where held calls come in, where there is the C of ``_held``: what :mod:`ipvssim.run.passing` does, and more. Calls that
need no decision are answered without a step of Python: readers take what lies ready for them.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from math import ceil
from struct import Struct
from typing import Any

from ipvssim.run import notify
from ipvssim.run.calls import ABOUT_SOCKETS, PATH_AT, Machine
from ipvssim.run.core import core
from ipvssim.run.native import copied, failure
from ipvssim.run.native_ready import Ready, memory
from ipvssim.run.outcome import Event
from ipvssim.run.paths import MARK
from ipvssim.run.tracee import Descriptors, File

_lib, _ffi = core.lib, core.ffi
_UNIX, _SEQPACKET = int(socket.AF_UNIX), int(socket.SOCK_SEQPACKET)
_unpack, _from_buffer = _ffi.unpack, _ffi.from_buffer
_turn = _lib.held_turn
_ASKS: int = _lib.HELD_ASKS
_THREADS: int = _lib.HELD_THREADS
_SOCKETS: int = _lib.HELD_SOCKETS
_SPARE: int = _lib.HELD_SPARE
_QUESTION: int = _lib.HELD_QUESTION
_ANSWERS: int = _lib.HELD_ANSWERS
_READY: int = _lib.HELD_READY
_KINDS = {
    "sendto": _lib.HELD_SENDTO, "sendmsg": _lib.HELD_SENDMSG, "recvfrom": _lib.HELD_RECVFROM,
    "recvmsg": _lib.HELD_RECVMSG, "getsockname": _lib.HELD_GETSOCKNAME,
    "socket": _lib.HELD_MAKE, "bind": _lib.HELD_BIND,
}  # fmt: skip

_FOUND = Struct("=QQiiI")
"""What struct held_call has behind the notification, as far as the name: device, inode, copy, sent, size of the name."""
_INODE, _COPY = 1, 2
_NOTHING = (0, 0, -1, -1, 0)
_NO_EVENTS: list[Event] = []

_file = _ffi.new("struct held_file *")
_ends = _ffi.new("int32_t[2]")

Met = Callable[[Ready, File, int, int, int], object]
"""What is told of a socket that was made: the program's end, our end, its type, and the thread that made it."""
Renewed = Callable[[File, File, int], object]
"""What is told of one that took another's place: the program's end of that one, its own, and the thread that made it."""


class _Descriptors(Descriptors):
    """Copies of programs' descriptors, as C makes them by itself."""

    def __init__(self, rules: Any) -> None:
        super().__init__(copied)
        self._rules = rules

    def keep(self, thread: int, handle: int) -> None:
        """Remember the handle of a thread."""
        super().keep(thread, handle)
        place = thread % _THREADS
        self._rules.thread[place], self._rules.handle[place] = thread, handle

    def drop(self, thread: int) -> None:
        """Forget it."""
        place = thread % _THREADS
        if self._rules.thread[place] == thread:
            self._rules.thread[place] = 0
        super().drop(thread)


class Gate:
    """As :class:`ipvssim.run.passing.Gate`."""

    def __init__(self, machine: Machine) -> None:
        numbers = machine.numbers
        self._rules = rules = _ffi.new("struct held_rules *", {"mark": MARK, "complete": 1, "lone": -1, "keeps": 1})
        for name, at in PATH_AT.items():
            if name in numbers:
                rules.kind[numbers[name]], rules.path[numbers[name]] = _lib.HELD_PATH, at
        for name in (*ABOUT_SOCKETS, "socket"):
            rules.kind[numbers[name]] = _KINDS.get(name, _lib.HELD_SOCKET)
        self._descriptors = _Descriptors(rules)
        self._sockets: dict[File, Ready] = {}
        self._list: list[Ready] = []
        """The same, as C has them."""
        self._held = bytearray(_ffi.sizeof("struct held_call"))
        self._call = _from_buffer("struct held_call *", self._held)
        self.learns = True
        """Whether it wants to know how questions are answered."""
        self._known = 0
        self._found = _NOTHING
        self._poll = select.epoll()
        self._listeners: dict[int, notify.Listener] = {}
        self._events = _ffi.new("struct held_events *")
        self._met: Met | None = None
        self._renewed: Renewed | None = None
        self._lent: list[Any] = []
        """Memory that C may use, the next last."""
        self._counted = 0
        self._polled = rules.poll = self._poll.fileno()

    def watch(self, descriptor: int, events: int, *, channel: bool = False) -> None:
        """Tell of a descriptor's events from now on; ``channel``: it is our end of a socket."""
        self._watch(descriptor, events, _lib.HELD_CHANNEL if channel else _lib.HELD_STRANGE)

    def admit(self, listener: notify.Listener) -> None:
        """Receive the calls that are held there."""
        self._listeners[listener.fileno()] = listener
        self._watch(listener.fileno(), select.EPOLLIN, _lib.HELD_LISTENER)
        self._count_listeners()

    def _watch(self, descriptor: int, events: int, watched: int) -> None:
        wrong = _lib.held_watch(self._poll.fileno(), descriptor, events, watched)
        if wrong:
            raise failure(wrong)

    def unwatch(self, descriptor: int) -> None:
        """Do so no more."""
        if self._listeners.pop(descriptor, None) is not None:
            self._count_listeners()
        with suppress(OSError):
            self._poll.unregister(descriptor)

    def _count_listeners(self) -> None:
        self._rules.lone = next(iter(self._listeners)) if len(self._listeners) == 1 else -1

    def turn(self, timeout: float | None) -> tuple[list[Event], notify.Call | None]:
        """Wait for something to do, at most ``timeout`` seconds: events of descriptors, and a call that somebody has to
        decide about after them; nothing where calls passed or were answered."""
        if self._known and self._found[_COPY] >= 0:  # nobody asked for it
            os.close(self._found[_COPY])
        self._known = 0
        rules, wait = self._rules, -1 if timeout is None else ceil(timeout * 1000)
        fate = _turn(self._polled, wait, rules, self._call, self._events)
        if rules.sockets > self._counted:
            self._meet()
        if rules.renewed:
            self._renew()
        events = self._events
        happened = (
            [(one.descriptor, one.events) for one in events.event[0 : events.count]] if events.count else _NO_EVENTS
        )
        if fate == _ASKS:
            numbers = notify.NOTIFICATION.unpack_from(self._held)
            self._found = found = _FOUND.unpack_from(self._held, notify.NOTIFICATION.size)
            self._known = numbers[notify.ID] if found[_INODE] else 0
            return happened, notify.Call.made(self._listeners[events.listener], numbers)
        if fate < 0:
            raise failure(fate)
        return happened, None

    def copy(self, call: notify.Call) -> tuple[int, File]:
        """A descriptor of ours for the one that a call is about, and its file; -1 where it is not needed, for what
        it sends is known. OSError: EBADF, ESRCH, EPERM."""
        if self._known == call.id:
            self._known = 0
            device, inode, copy, _, _ = self._found
            return copy, (device, inode)
        return self._descriptors.copy(call.tid, call.descriptor)

    def sent(self, call: notify.Call) -> tuple[bytes, bytes] | None:
        """The datagram that a call sends, and whom it is for, if they have been read, and its caller waited still then."""
        _, _, _, size, name_size = self._found
        if size < 0 or self._call.id != call.id:
            return None
        self._found = _NOTHING
        return _unpack(self._rules.bytes, size), _unpack(self._call.name, name_size) if name_size else b""

    def pair(self, *, blocks: bool) -> tuple[socket.socket, int, File]:
        """A new pair of sockets: our end, a descriptor of the program's, which file that is. OSError: EMFILE."""
        wrong = _lib.held_pair(not blocks, _ends, _file)
        if wrong:
            raise failure(wrong)
        return socket.socket(_UNIX, _SEQPACKET, 0, _ends[0]), _ends[1], (_file.device, _file.inode)

    def add(self, file: File, channel: int) -> Ready | None:
        """There is a socket, whose end in the program is that file; where its datagrams may be laid ready."""
        made = Ready.begun(file, channel)
        self._add(file, made)
        self._count()
        return made

    def _add(self, file: File, made: Ready) -> None:
        if len(self._list) < _SOCKETS:
            self._rules.socket[len(self._list)] = made.socket
        self._list.append(made)
        self._sockets[file] = made

    def remove(self, file: File) -> None:
        """It is there no more."""
        gone, last = self._sockets.pop(file), self._list.pop()
        if gone is not last:  # the list has no gaps
            place = self._list.index(gone)
            self._list[place] = last
            if place < _SOCKETS:
                self._rules.socket[place] = last.socket
        self._count()
        gone.close()

    def _count(self) -> None:
        known = len(self._list)
        self._counted = self._rules.sockets = min(known, _SOCKETS)
        self._rules.complete = known <= _SOCKETS

    # --- what is done without a step of Python ---

    def make(self, world: str, met: Met, renewed: Renewed) -> None:
        """Let sockets be made at once by threads of a network namespace; ``met`` is told of each of them later, before
        anybody decides about it, and ``renewed`` of those that took the place of one that was closed."""
        self._met, self._renewed = met, renewed
        self._rules.world = world.encode()
        self._lend()

    def _lend(self) -> None:
        rules = self._rules
        while rules.spares < _SPARE:
            self._lent.append(memory())
            rules.spare[rules.spares] = self._lent[-1]
            rules.spares += 1

    def _meet(self) -> None:
        assert self._met is not None
        for _ in range(self._counted, self._rules.sockets):
            ready = Ready(self._lent.pop())
            socket = ready.socket
            file = socket.device, socket.inode
            self._add(file, ready)
            self._met(ready, file, socket.channel, socket.type, socket.thread)
        self._count()
        self._lend()

    def _renew(self) -> None:
        assert self._renewed is not None
        self._rules.renewed = 0
        for before, ready in list(self._sockets.items()):
            socket = ready.socket
            if socket.renewed and not socket.vacant:
                socket.renewed = 0
                file = socket.device, socket.inode
                self._sockets[file] = self._sockets.pop(before)
                self._renewed(before, file, socket.thread)

    def learn(self, question: bytes, answers: Iterable[tuple[bytes, int]]) -> None:
        """These are all answers to a question: from now on it is answered so at once, if it differs in nothing but its
        number and the ports."""
        known, found = self._rules.known, [one for one, _ in answers]
        size = len(question)
        if size > _QUESTION or not 0 < len(found) <= _READY or sum(map(len, found)) > _ANSWERS:
            return
        end = 0
        for place, one in enumerate(found):
            known.ends[place] = end = end + len(one)
        known.question[0:size], known.answers[0:end] = question, b"".join(found)
        known.size, known.count = size, len(found)
        self.learns = False

    def close(self) -> None:
        """Let go of all."""
        self._descriptors.close()
        self._poll.close()
