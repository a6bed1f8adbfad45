"""Programs' generic-netlink sockets: how they come and go, their names, their options."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from errno import EINVAL, EOPNOTSUPP, EPROTONOSUPPORT
from struct import Struct
from typing import TYPE_CHECKING

from ipvssim.run import memory, messages
from ipvssim.run.calls import SOL_NETLINK
from ipvssim.run.endpoint import Endpoint
from ipvssim.run.notify import Call
from ipvssim.run.options import FORCED, HERE_TOO, get_option, set_option
from ipvssim.run.outcome import KEPT, PASS, Outcome
from ipvssim.run.reach import Gate, read
from ipvssim.run.tracee import File, process_of
from ipvssim.run.worlds import Worlds

if TYPE_CHECKING:
    from ipvssim.run.native_ready import Ready

_TYPES = (socket.SOCK_RAW, socket.SOCK_DGRAM)
_TYPE_MASK = 15
_ALLOWED = _TYPE_MASK | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_INT = Struct("=i")
_UNIX, _SEQPACKET = int(socket.AF_UNIX), int(socket.SOCK_SEQPACKET)
_PRIVILEGES = {"yes": "root", "refused": "userns_root"}


class Sockets:
    """All such sockets of all programs. ``watch`` is told of each new one, and whether the gate watches it already; ``told``
    is handed its datagrams.

    To see which file a descriptor of a program is takes a copy of it (that is faster than to read its name in ``/proc``).
    The copy lies in ``copy`` until the call is decided about: while we have it, nobody would notice that the program closed
    the socket.
    """

    def __init__(
        self,
        worlds: Worlds,
        gate: Gate,
        watch: Callable[[Endpoint, bool], object],
        told: Callable[[Endpoint, str, bytes], object] | None = None,
    ) -> None:
        self.worlds, self._gate, self._watch, self._told = worlds, gate, watch, told
        self._by_file: dict[File, Endpoint] = {}
        """By the program's end."""
        self._files: dict[Endpoint, File] = {}
        self._asked: Endpoint | None = None
        self.copy = -1
        worlds.first.meet = self._settle
        if told is None and worlds.netlink == "yes":
            gate.make(worlds.first.name, self._met, self._renewed)

    def of(self, call: Call) -> Endpoint | None:
        """The socket that a call is about; None where it is none of ours. ``copy`` is its descriptor then, until
        :meth:`let_go`."""
        if self.copy >= 0:
            self.let_go()
        try:
            self.copy, file = self._gate.copy(call)
        except OSError:
            return None  # Linux knows what to say of it
        endpoint = self._by_file.get(file)
        if endpoint is None:
            self.let_go()
        else:
            if self.copy >= 0:
                endpoint.look(self.copy)
            endpoint.settle()
            self._asked = endpoint
        return endpoint

    def let_go(self) -> None:
        """The call is decided about: close the copy of its descriptor, and lay ready what readers may have at once."""
        if self.copy >= 0:
            os.close(self.copy)
            self.copy = -1
        if self._asked is not None:
            self._asked.lay_ready()
            self._asked = None

    def socket(self, call: Call) -> Outcome:
        """``socket(AF_NETLINK, ..., NETLINK_GENERIC)``; the filter lets no other through."""
        kind = call.a1 & _TYPE_MASK
        if kind not in _TYPES or call.a1 & 0xFFFFFFFF & ~_ALLOWED:
            return PASS
        if self.worlds.netlink not in _PRIVILEGES:
            return -EPROTONOSUPPORT
        world = self.worlds.of(call.tid)
        ours, theirs, file = self._gate.pair(blocks=not call.a1 & socket.SOCK_NONBLOCK)
        try:
            endpoint = Endpoint(world, kind, ours, _PRIVILEGES[self.worlds.netlink], self._told)
            self._know(endpoint, file)
            endpoint.ready = self._gate.add(file, ours.fileno())
            there = False
            try:
                there = call.inject(theirs, close_on_exec=bool(call.a1 & socket.SOCK_CLOEXEC))
            finally:
                if there:
                    self._watch(endpoint, False)
                else:
                    self.forget(endpoint)
        finally:
            os.close(theirs)
        return KEPT

    def _know(self, endpoint: Endpoint, file: File) -> None:
        self._by_file[file] = endpoint
        self._files[endpoint] = file

    def _met(self, ready: Ready, file: File, channel: int, kind: int, thread: int) -> None:
        """A socket was made without asking, in the first of all namespaces."""
        world = self.worlds.first
        world.thread = thread
        ours = socket.socket(_UNIX, _SEQPACKET, 0, channel)
        endpoint = Endpoint(world, kind, ours, _PRIVILEGES[self.worlds.netlink])
        endpoint.ready = ready
        self._know(endpoint, file)
        self._watch(endpoint, True)

    def _renewed(self, before: File, file: File, thread: int) -> None:
        """One that was made without asking was closed, and another took its place."""
        self.worlds.first.thread = thread
        endpoint = self._by_file.pop(before)
        endpoint.renew()
        self._know(endpoint, file)

    def _settle(self) -> None:
        """See what programs have done without asking."""
        for endpoint in self._files:
            endpoint.settle()

    def forget(self, endpoint: Endpoint) -> None:
        """No program has a descriptor of it any more."""
        file = self._files.pop(endpoint)
        del self._by_file[file]
        self._gate.remove(file)
        endpoint.close()

    def close(self) -> None:
        """Let go of all."""
        for endpoint in list(self._files):
            self.forget(endpoint)
        self.let_go()

    # --- names ---

    def bind(self, call: Call) -> Outcome:
        """``bind``."""
        endpoint = self.of(call)
        if endpoint is None:
            return PASS
        endpoint.bind(name_of(call, call.a1, call.a2), lambda: process_of(call.tid)[1])
        return 0

    def connect(self, call: Call) -> Outcome:
        """``connect``."""
        endpoint = self.of(call)
        if endpoint is None:
            return PASS
        endpoint.connect(name_of(call, call.a1, call.a2), lambda: process_of(call.tid)[1])
        return 0

    def getsockname(self, call: Call) -> Outcome:
        """``getsockname``."""
        endpoint = self.of(call)
        return PASS if endpoint is None else _tell_name(call, endpoint.name)

    def getpeername(self, call: Call) -> Outcome:
        """``getpeername``."""
        endpoint = self.of(call)
        return PASS if endpoint is None else _tell_name(call, endpoint.peer_name)

    def unknown(self, call: Call) -> Outcome:
        """``listen``, ``shutdown``: a netlink socket has none."""
        return PASS if self.of(call) is None else -EOPNOTSUPP

    # --- options ---

    def setsockopt(self, call: Call) -> Outcome:
        """``setsockopt``."""
        level, name, size = call.a1 & 0xFFFFFFFF, call.a2 & 0xFFFFFFFF, call.a4 & 0xFFFFFFFF
        endpoint = self.of(call)
        if endpoint is None or (level != SOL_NETLINK and name not in FORCED):
            return PASS
        if size >> 31:
            return -EINVAL
        value = read(call.tid, call.a3, min(size, _INT.size))
        if level != SOL_NETLINK:
            endpoint.unlike(self.copy, FORCED[name])
        set_option(endpoint, level, name, value)
        return 0

    def getsockopt(self, call: Call) -> Outcome:
        """``getsockopt``."""
        level, name = call.a1 & 0xFFFFFFFF, call.a2 & 0xFFFFFFFF
        endpoint = self.of(call)
        if endpoint is None or (level != SOL_NETLINK and name not in HERE_TOO):
            return PASS
        room = _INT.unpack(read(call.tid, call.a4, _INT.size))[0]
        if room < 0:
            return -EINVAL
        value = get_option(endpoint, level, name, room)
        memory.write(call.tid, [(call.a3, value), (call.a4, _INT.pack(len(value)))])
        return 0


def name_of(call: Call, address: int, size: int) -> bytes:
    """A socket's name that a call tells, as far as one may be long."""
    size = min(size & 0xFFFFFFFF, messages.LARGEST_NAME)
    return read(call.tid, address, size) if address and size else b""


def _tell_name(call: Call, name: bytes) -> int:
    room = _INT.unpack(read(call.tid, call.a2, _INT.size))[0]
    if room < 0:
        return -EINVAL
    memory.write(call.tid, [(call.a1, name[:room]), (call.a2, _INT.pack(len(name)))])
    return 0
