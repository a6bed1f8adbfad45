"""What programs receive: ``recvfrom``, ``recvmsg`` and ``recvmmsg`` on their netlink sockets, and who waits for what."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable
from errno import EAGAIN, EINTR, EOPNOTSUPP
from struct import Struct
from time import monotonic
from typing import NamedTuple

from ipvssim.run import memory, messages
from ipvssim.run.calls import KERNEL, MSG_DONTWAIT, MSG_OOB, MSG_PEEK, MSG_TRUNC, SOL_NETLINK
from ipvssim.run.endpoint import Endpoint
from ipvssim.run.ends import opened
from ipvssim.run.notify import Call, Listener, libc
from ipvssim.run.options import PKTINFO
from ipvssim.run.outcome import KEPT, PASS, Outcome, Undoable
from ipvssim.run.reach import fill, message, put, read
from ipvssim.run.sockets import Sockets
from ipvssim.run.tracee import is_interrupted

_INT = Struct("=i")
_TIME = Struct("=qq")
_WAIT_FOR_ONE = 0x10000
_MOST_MESSAGES = 1024
_PACKET_INFO = Struct("=QiiI4x").pack(20, SOL_NETLINK, PKTINFO, 0)
_ERESTARTSYS = 512
"""The kernel repeats the call behind a signal's handler, or makes EINTR of it, as the handler was installed, or repeats it
where another thread took the signal. A program would see the number only if nothing had woken it (include/linux/errno.h)."""
_GLANCE = 0.01
"""Seconds between two looks at the signals of those who wait."""
_receive = libc.recv


class Waiting(NamedTuple):
    """A call that waits for a datagram, until a time where its socket has a timeout."""

    call: Call
    endpoint: Endpoint
    deadline: float | None


class Receiving:
    """``again`` decides about a call once more, when there is something for it."""

    def __init__(self, sockets: Sockets, again: Callable[[Call], object]) -> None:
        self._sockets, self._again = sockets, again
        self._waiting: dict[tuple[int, int], Waiting] = {}
        self._glance = 0.0

    def recvfrom(self, call: Call) -> Outcome:
        """``recvfrom``."""
        endpoint = self._sockets.of(call)
        if endpoint is None:
            return PASS
        room, flags = min(call.a2, memory.LONGEST), call.a3 & 0xFFFFFFFF
        datagram = self._take(call, endpoint, room, flags)
        if datagram is None:
            return KEPT
        put(call.tid, call.a1, datagram if len(datagram) <= room else datagram[:room])
        if call.a4:
            size = _INT.unpack(read(call.tid, call.a5, _INT.size))[0]
            memory.write(call.tid, [(call.a4, KERNEL[: max(size, 0)]), (call.a5, _INT.pack(len(KERNEL)))])
        return self._received(call, endpoint, [datagram], flags, _size(datagram, room, flags))

    def recvmsg(self, call: Call) -> Outcome:
        """``recvmsg``."""
        endpoint = self._sockets.of(call)
        if endpoint is None:
            return PASS
        flags = call.a2 & 0xFFFFFFFF
        wanted = message(call.tid, call.a1)
        datagram = self._take(call, endpoint, wanted.room, flags)
        if datagram is None:
            return KEPT
        fill(call.tid, wanted, datagram, KERNEL, _control(endpoint))
        return self._received(call, endpoint, [datagram], flags, _size(datagram, wanted.room, flags))

    def recvmmsg(self, call: Call) -> Outcome:
        """``recvmmsg``: it waits for the first datagram, and takes what else is there."""
        endpoint = self._sockets.of(call)
        if endpoint is None:
            return PASS
        flags = call.a3 & 0xFFFFFFFF & ~_WAIT_FOR_ONE
        taken: list[bytes] = []
        for index in range(min(call.a2 & 0xFFFFFFFF, _MOST_MESSAGES)):
            at = call.a1 + index * messages.MANY_SIZE
            if taken and not endpoint.netlink.readable:
                break
            wanted = message(call.tid, at)
            datagram = self._take(call, endpoint, wanted.room, flags)
            if datagram is None:
                return KEPT
            taken.append(datagram)
            fill(call.tid, wanted, datagram, KERNEL, _control(endpoint))
            put(call.tid, at + messages.SIZE, _INT.pack(_size(datagram, wanted.room, flags)))
        return self._received(call, endpoint, taken, flags, len(taken))

    def _received(self, call: Call, endpoint: Endpoint, taken: list[bytes], flags: int, value: int) -> Outcome:
        """The value; a caller that was interrupted before it had the datagrams will ask for them again."""
        if flags & MSG_PEEK:
            return value

        def undo() -> None:
            self._sockets.of(call)
            for datagram in reversed(taken):
                endpoint.put_back(datagram, self._remove)
            self._sockets.let_go()
            self.wake(endpoint)

        return Undoable(value, undo)

    def _take(self, call: Call, endpoint: Endpoint, room: int, flags: int) -> bytes | None:
        """The next datagram; None where the call has to wait. OSError where it may not, or where there is an error."""
        if flags & MSG_OOB:
            raise OSError(EOPNOTSUPP, os.strerror(EOPNOTSUPP))
        if not call.waits():
            return None
        try:
            return endpoint.take(room, self._remove, keep=bool(flags & MSG_PEEK))
        except BlockingIOError:
            if flags & MSG_DONTWAIT or not self._wait(call, endpoint):
                raise
            return None

    def _remove(self) -> None:
        """Take the datagram that lies in the program's end out of it."""
        _receive(self._sockets.copy, None, 0, MSG_DONTWAIT)

    # --- waiting ---

    def _wait(self, call: Call, endpoint: Endpoint) -> bool:
        """Let the call wait; False where its socket does not."""
        if fcntl.fcntl(self._sockets.copy, fcntl.F_GETFL) & os.O_NONBLOCK:
            return False
        with opened(self._sockets.copy) as theirs:
            seconds, micro = _TIME.unpack(theirs.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIME.size))
        endpoint.awaited = True
        timeout = seconds + micro / 1e6
        self._waiting[call.key] = Waiting(call, endpoint, monotonic() + timeout if timeout else None)
        return True

    def wake(self, endpoint: Endpoint) -> None:
        """Something can be received: whoever waits for it gets it, in the order in which they came."""
        while self._waiting and endpoint.netlink.readable:
            key = next((key for key, one in self._waiting.items() if one.endpoint is endpoint), None)
            if key is None:
                return
            one = self._waiting.pop(key)
            if one.call.waits():
                self._again(one.call)

    @property
    def waits(self) -> bool:
        """Whether any call does."""
        return bool(self._waiting)

    def expire(self) -> float:
        """Let go of the calls that have waited long enough, or whose callers have signals to handle or are gone; seconds
        until this is to be done again."""
        now = monotonic()
        for key, one in list(self._waiting.items()):
            if one.deadline is not None and one.deadline <= now:
                del self._waiting[key]
                one.call.refuse(EAGAIN)
        if now >= self._glance:
            self._glance = now + _GLANCE
            self._interrupt()
        ends = [one.deadline for one in self._waiting.values() if one.deadline is not None]
        return max(min([self._glance, *ends]) - now, 0.0)

    def forget(self, listener: Listener) -> None:
        """Nobody is left whose calls are held there."""
        for key, one in list(self._waiting.items()):
            if one.call.listener is listener:
                del self._waiting[key]

    def _interrupt(self) -> None:
        """Let go of the calls whose callers have signals to handle, or are gone."""
        for key, one in list(self._waiting.items()):
            if not one.call.waits():
                del self._waiting[key]
            elif _is_interrupted(one.call.tid):
                del self._waiting[key]
                one.call.refuse(_ERESTARTSYS if one.deadline is None else EINTR)


def _is_interrupted(thread: int) -> bool:
    try:
        return is_interrupted(thread)
    except OSError:  # it went just now
        return False


def _size(datagram: bytes, room: int, flags: int) -> int:
    return len(datagram) if flags & MSG_TRUNC else min(len(datagram), room)


def _control(endpoint: Endpoint) -> bytes:
    return _PACKET_INFO if endpoint.flags.get(PKTINFO) else b""
