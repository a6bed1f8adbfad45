"""Held calls and their callers' memory, reached by the C of ``_held``: what :mod:`ipvssim.run.notify`,
:mod:`~ipvssim.run.memory`, :mod:`~ipvssim.run.messages` and :mod:`~ipvssim.run.tracee` do, in fewer steps of Python.

Imported only where there is that C (:mod:`ipvssim.run.core`). Places in memory are made once: one supervisor at a time
uses them, and what lies in them is copied before the next call is received.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from errno import ENOBUFS
from math import ceil
from typing import Any

from ipvssim.run import notify
from ipvssim.run.calls import ABOUT_SOCKETS, KERNEL, PATH_AT, Machine
from ipvssim.run.core import core
from ipvssim.run.outcome import Event
from ipvssim.run.paths import MARK
from ipvssim.run.tracee import Descriptors, File

_lib, _ffi = core.lib, core.ffi
_UNIX, _SEQPACKET = int(socket.AF_UNIX), int(socket.SOCK_SEQPACKET)
_LONGEST: int = _lib.HELD_LONGEST
_unpack: Callable[[Any, int], bytes] = _ffi.unpack
_from_buffer, _move = _ffi.from_buffer, _ffi.memmove

_bytes = _ffi.new("char[]", _LONGEST)
_name = _ffi.new("char[]", _lib.HELD_NAME)
_name_size = _ffi.new("uint32_t *")
_message = _ffi.new("struct held_message *")
_file = _ffi.new("struct held_file *")
_ends = _ffi.new("int32_t[2]")
_spare: list[Any] = []
"""Memory of sockets that are gone."""

_read, _write, _copy, _was_read = _lib.held_read, _lib.held_write, _lib.held_copy, _lib.held_was_read
_begin, _lay, _settle, _post = _lib.held_begin, _lib.held_lay, _lib.held_settle, _lib.held_post
_look, _gather, _fill = _lib.held_message, _lib.held_gather, _lib.held_fill
_turn, _respond, _waits = _lib.held_turn, _lib.held_respond, _lib.held_waits
_ASKS: int = _lib.HELD_ASKS
_THREADS: int = _lib.HELD_THREADS
_SOCKETS: int = _lib.HELD_SOCKETS
_ADDRESS: int = _lib.HELD_ADDRESS
_KINDS = {
    "sendto": _lib.HELD_SENDTO, "sendmsg": _lib.HELD_SENDMSG, "recvfrom": _lib.HELD_RECVFROM,
    "recvmsg": _lib.HELD_RECVMSG, "getsockname": _lib.HELD_GETSOCKNAME, "setsockopt": _lib.HELD_SETSOCKOPT,
}  # fmt: skip


def _failure(number: int) -> OSError:
    return OSError(-number, os.strerror(-number))


# --- memory ---


def read(thread: int, at: int, size: int) -> bytes:
    """So many bytes at an address. OSError as in :func:`ipvssim.run.memory.read`."""
    if size > _LONGEST:
        raise OSError(ENOBUFS, "more than is taken at once")
    wrong = _read(thread, at, _bytes, size)
    if wrong:
        raise _failure(wrong)
    return _unpack(_bytes, size)


def put(thread: int, at: int, data: bytes) -> None:
    """Write bytes at an address. OSError as in :func:`ipvssim.run.memory.write`."""
    wrong = _write(thread, at, data, len(data))
    if wrong:
        raise _failure(wrong)


# --- messages ---


def message(thread: int, at: int) -> Any:
    """As :func:`ipvssim.run.messages.message`; it is good until the next one is read."""
    wrong = _look(thread, at, _message)
    if wrong:
        raise _failure(wrong)
    return _message


def gathered(thread: int, message: Any) -> tuple[bytes, bytes]:
    """As :func:`ipvssim.run.messages.gathered`."""
    size = _gather(thread, message, _bytes, _LONGEST, _name, _name_size)
    if size < 0:
        raise _failure(size)
    return _unpack(_bytes, size), _unpack(_name, _name_size[0])


def fill(thread: int, message: Any, data: bytes, name: bytes, control: bytes) -> None:
    """As :func:`ipvssim.run.messages.fill`."""
    wrong = _fill(thread, message, data, len(data), name, len(name), control, len(control))
    if wrong:
        raise _failure(wrong)


# --- descriptors ---


def copied(handle: int, descriptor: int) -> tuple[int, File]:
    """As :func:`ipvssim.run.tracee.copied`."""
    copy = _copy(handle, descriptor, _file)
    if copy < 0:
        raise _failure(copy)
    return copy, (_file.device, _file.inode)


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


# --- held calls ---


class Listener(notify.Listener):
    """As :class:`ipvssim.run.notify.Listener`."""

    def pass_on(self, number: int) -> bool:
        """Let Linux carry out the call of that number; false where its caller no longer waits."""
        return self.respond(number, 0, 0, notify.CONTINUE)

    def respond(self, number: int, value: int, error: int, flags: int) -> bool:
        """What becomes of the call of that number; false where its caller no longer waits."""
        told = _respond(self._descriptor, number, value, error, flags)
        if told < 0:
            raise _failure(told)
        return bool(told)

    def add(self, number: int, descriptor: int, *, close_on_exec: bool) -> bool:
        """Let the call of that number return a descriptor of its own for the file that is ``descriptor`` here."""
        told = _lib.held_inject(self._descriptor, number, descriptor, close_on_exec)
        if told < 0:
            raise _failure(told)
        return bool(told)

    def holds(self, number: int) -> bool:
        """Whether the caller of the call of that number still waits."""
        told = _waits(self._descriptor, number)
        if told < 0:
            raise _failure(told)
        return bool(told)


class Ready:
    """The datagrams of one socket that its readers may take without anybody deciding about it: ``struct held_socket``."""

    def __init__(self, file: File, channel: int) -> None:
        self.socket = _spare.pop() if _spare else _ffi.new("struct held_socket *")
        _file.device, _file.inode = file
        _begin(self.socket, _file, channel, KERNEL)

    def lay(self, datagrams: Sequence[bytes]) -> bool:
        """Let readers have the first of these, which are the socket's first, and let the first lie in the program's end.
        False where not even that has place."""
        place = 0
        for one in datagrams:
            if not _lay(self.socket, place, one, len(one)):
                break
            place += 1
        return place > 0

    def name(self, name: bytes) -> None:
        """The socket's address, from now on."""
        _move(self.socket.name, name, _ADDRESS)

    def settle(self) -> int:
        """From now on readers have to ask. What was done meanwhile, 0 for nothing: the datagrams that were taken (8 bits),
        the most room that a reader offered (24 bits), and whether buffers were set."""
        return int(_settle(self.socket))

    def buffers(self) -> tuple[int, int]:
        """The sizes of the buffers to send and to receive as the program has set them since the last time; 0: it has not."""
        socket = self.socket
        found = socket.send_buffer, socket.receive_buffer
        socket.send_buffer = socket.receive_buffer = 0
        return found

    def post(self, datagram: bytes) -> None:
        """Let it lie in the program's end, if none does."""
        _post(self.socket, datagram, len(datagram))

    @property
    def posted(self) -> bool:
        """Whether one does."""
        return bool(self.socket.posted)

    def lifted(self) -> None:
        """It was taken out again."""
        self.socket.posted = 0

    def close(self) -> None:
        """Its memory is another's from now on."""
        _spare.append(self.socket)

    def was_read(self) -> bool:
        """Whether the program read what lay in its end by itself."""
        return bool(_was_read(self.socket))


class Gate:
    """As :class:`ipvssim.run.passing.Gate`."""

    def __init__(self, machine: Machine) -> None:
        numbers = machine.numbers
        self._rules = rules = _ffi.new("struct held_rules *", {"mark": MARK, "complete": 1})
        for name, at in PATH_AT.items():
            if name in numbers:
                rules.kind[numbers[name]], rules.path[numbers[name]] = _lib.HELD_PATH, at
        for name in (*ABOUT_SOCKETS, "setsockopt"):
            rules.kind[numbers[name]] = _KINDS.get(name, _lib.HELD_SOCKET)
        self._descriptors = _Descriptors(rules)
        self._sockets: dict[File, Ready] = {}
        self._held = bytearray(_ffi.sizeof("struct held_call"))
        self._call = _from_buffer("struct held_call *", self._held)
        self._known = 0
        self._poll = select.epoll()
        self._listeners: dict[int, notify.Listener] = {}
        self._events = _ffi.new("struct held_events *")

    def watch(self, descriptor: int, events: int, *, channel: bool = False) -> None:
        """Tell of a descriptor's events from now on; ``channel``: it is our end of a socket."""
        self._watch(descriptor, events, _lib.HELD_CHANNEL if channel else _lib.HELD_STRANGE)

    def admit(self, listener: notify.Listener) -> None:
        """Receive the calls that are held there."""
        self._listeners[listener.fileno()] = listener
        self._watch(listener.fileno(), select.EPOLLIN, _lib.HELD_LISTENER)

    def _watch(self, descriptor: int, events: int, watched: int) -> None:
        wrong = _lib.held_watch(self._poll.fileno(), descriptor, events, watched)
        if wrong:
            raise _failure(wrong)

    def unwatch(self, descriptor: int) -> None:
        """Do so no more."""
        self._listeners.pop(descriptor, None)
        with suppress(OSError):
            self._poll.unregister(descriptor)

    def turn(self, timeout: float | None) -> notify.Call | list[Event]:
        """Wait for something to do, at most ``timeout`` seconds: a call that somebody has to decide about, or events of
        descriptors; nothing where calls passed or were answered."""
        if self._known and self._call.copy >= 0:  # nobody asked for it
            os.close(self._call.copy)
        self._known = 0
        wait = -1 if timeout is None else ceil(timeout * 1000)
        fate = _turn(self._poll.fileno(), wait, self._rules, self._call, self._events)
        if fate == _ASKS:
            numbers = notify.NOTIFICATION.unpack_from(self._held)
            self._known = numbers[notify.ID] if self._call.inode else 0
            return notify.Call.made(self._listeners[self._events.listener], numbers)
        if fate < 0:
            raise _failure(fate)
        events = self._events
        return [(one.descriptor, one.events) for one in events.event[0 : events.count]] if events.count else []

    def copy(self, call: notify.Call) -> tuple[int, File]:
        """A descriptor of ours for the one that a call is about, and its file; -1 where it is not needed, for what
        it sends is known. OSError: EBADF, ESRCH, EPERM."""
        if self._known == call.id:
            self._known = 0
            return self._call.copy, (self._call.device, self._call.inode)
        return self._descriptors.copy(call.tid, call.descriptor)

    def sent(self, call: notify.Call) -> tuple[bytes, bytes] | None:
        """The datagram that a call sends, and whom it is for, if they have been read, and its caller waited still then."""
        held = self._call
        if held.id != call.id or held.sent < 0:
            return None
        size, name_size = held.sent, held.name_size
        held.sent = -1
        return _unpack(self._rules.bytes, size), _unpack(held.name, name_size) if name_size else b""

    def pair(self, *, blocks: bool) -> tuple[socket.socket, int, File]:
        """A new pair of sockets: our end, a descriptor of the program's, which file that is. OSError: EMFILE."""
        wrong = _lib.held_pair(not blocks, _ends, _file)
        if wrong:
            raise _failure(wrong)
        return socket.socket(_UNIX, _SEQPACKET, 0, _ends[0]), _ends[1], (_file.device, _file.inode)

    def add(self, file: File, channel: int) -> Ready | None:
        """There is a socket, whose end in the program is that file; where its datagrams may be laid ready."""
        made = Ready(file, channel)
        if len(self._sockets) < _SOCKETS:
            self._rules.socket[len(self._sockets)] = made.socket
        self._sockets[file] = made
        self._count()
        return made

    def remove(self, file: File) -> None:
        """It is there no more."""
        last = next(reversed(self._sockets))
        gone = self._sockets.pop(file)
        if last != file:  # the list has no gaps: it is told anew
            for place, one in enumerate(list(self._sockets.values())[:_SOCKETS]):
                self._rules.socket[place] = one.socket
        self._count()
        gone.close()

    def _count(self) -> None:
        known = len(self._sockets)
        self._rules.sockets, self._rules.complete = min(known, _SOCKETS), known <= _SOCKETS

    def close(self) -> None:
        """Let go of all."""
        self._descriptors.close()
        self._poll.close()
