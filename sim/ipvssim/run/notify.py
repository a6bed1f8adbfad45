"""Seccomp's user notification: a program's system calls are held, and another process says what becomes of them.

``kernel/seccomp.c`` and ``include/uapi/linux/seccomp.h``, Linux 5.14 and later.

Every call that is looked at passes here several times, so ioctls are handed bytearrays: Python calls ioctl with a copy of
bytes, and makes new bytes of it afterwards, which takes twice as long.
"""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import suppress
from fcntl import ioctl
from struct import Struct
from typing import NamedTuple

from ipvssim.run.calls import Machine

_SET_MODE_FILTER, _NEW_LISTENER, _WAIT_KILLABLE = 1, 8, 32
_NO_NEW_PRIVILEGES = 38
_RECEIVE, _SEND, _IS_VALID, _ADD_DESCRIPTOR, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082102, 0x40182103, 0x40082104
CONTINUE, _WAKE_HERE = 1, 1
NOTIFICATION, _RESPONSE, _ADDED = Struct("=QIIiIQ6Q"), Struct("=QqiI"), Struct("=QIIII")
_PROGRAM = Struct("@HP")
"""struct sock_fprog: how many instructions, and where they stand."""
_EMPTY = bytes(NOTIFICATION.size)
_ID = Struct("=Q")
_respond, _ask = _RESPONSE.pack_into, _ID.pack_into

Numbers = tuple[int, ...]
"""A held call as the kernel tells it: the fields of :class:`Call` from ``id`` on."""
ID, TID, NUMBER, ARGUMENTS = 0, 1, 3, 6
"""Where in them stands what."""

libc = ctypes.CDLL(None, use_errno=True)


def failure(what: str = "") -> OSError:
    """The error that the last call into C left behind."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what or None)


def install(program: bytes, machine: Machine) -> int:
    """Put this thread, and whatever it becomes, behind a filter; the descriptor on which its calls are held.

    A call that was received here is held until it is answered, whatever signals come for its caller: of an answer that
    meets a signal nobody could say whether it was heard. (From Linux 5.19 on; before 6.18 not where a signal came just
    before, and the answer follows within microseconds.) Who may not filter programs that can gain privileges gives those up
    first (PR_SET_NO_NEW_PRIVS). OSError: EBUSY where it is behind such a filter already.
    """
    whole = ctypes.create_string_buffer(_PROGRAM.size + len(program))
    whole.raw = _PROGRAM.pack(len(program) // 8, ctypes.addressof(whole) + _PROGRAM.size) + program
    number = machine.numbers["seccomp"]
    for flags in (_NEW_LISTENER | _WAIT_KILLABLE, _NEW_LISTENER):
        for attempt in range(2):
            found = libc.syscall(ctypes.c_long(number), _SET_MODE_FILTER, flags, whole)
            if found >= 0:
                return int(found)
            if ctypes.get_errno() != errno.EACCES or attempt or libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
                break
        if ctypes.get_errno() != errno.EINVAL:
            break
    raise failure("seccomp")


class Listener:
    """The other end: where held calls are read, and answered."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._held, self._answer = bytearray(NOTIFICATION.size), bytearray(_RESPONSE.size)
        self._asked = bytearray(_ID.size)
        with suppress(OSError):  # from 6.6 on: who waits is woken on this processor, which is faster
            ioctl(descriptor, _SET_FLAGS, _WAKE_HERE)

    def fileno(self) -> int:
        """Readable while calls are held; hung up when nobody is left behind the filter."""
        return self._descriptor

    def close(self) -> None:
        """From now on the calls behind the filter fail with ENOSYS."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def receive(self) -> Numbers | None:
        """The next call; None where its caller has gone meanwhile."""
        held = self._held
        held[:] = _EMPTY
        try:
            ioctl(self._descriptor, _RECEIVE, held)
        except OSError as wrong:
            if wrong.errno in (errno.ENOENT, errno.EINTR):
                return None
            raise
        return NOTIFICATION.unpack(held)

    def pass_on(self, number: int) -> bool:
        """Let Linux carry out the call of that number; false where its caller no longer waits."""
        _respond(self._answer, 0, number, 0, 0, CONTINUE)
        return self.tell(_SEND, self._answer)

    def respond(self, number: int, value: int, error: int, flags: int) -> bool:
        """What becomes of the call of that number; false where its caller no longer waits."""
        _respond(self._answer, 0, number, value, error, flags)
        return self.tell(_SEND, self._answer)

    def holds(self, number: int) -> bool:
        """Whether the caller of the call of that number still waits."""
        _ask(self._asked, 0, number)
        return self.tell(_IS_VALID, self._asked)

    def add(self, number: int, descriptor: int, *, close_on_exec: bool) -> bool:
        """Let the call of that number return a descriptor of its own for the file that is ``descriptor`` here; false where
        its caller no longer waits. OSError: EMFILE."""
        flags = os.O_CLOEXEC if close_on_exec else 0
        # In two steps: a hand-over that answers at once (SECCOMP_ADDFD_FLAG_SEND) is lost where we are stopped meanwhile,
        # and its call returns 0 then (seccomp_notify_addfd of kernel/seccomp.c, seen on Linux 6.18).
        theirs = self.ask(_ADD_DESCRIPTOR, bytearray(_ADDED.pack(number, 0, descriptor, 0, flags)))
        return theirs is not None and self.respond(number, theirs, 0, 0)

    def tell(self, what: int, argument: bytearray) -> bool:
        """One of the requests about a held call; false where its caller no longer waits."""
        return self.ask(what, argument) is not None

    def ask(self, what: int, argument: bytearray) -> int | None:
        """What such a request returns; None where its caller no longer waits."""
        try:
            answer: int = ioctl(self._descriptor, what, argument)
        except OSError as wrong:
            if wrong.errno in (errno.ENOENT, errno.EINPROGRESS):
                return None
            raise
        return answer


class Call(NamedTuple):
    """One system call that is held: of which thread, its number, its arguments as 64-bit numbers.

    What says what becomes of it returns false where the caller no longer waits: a signal came, or it is gone.
    """

    listener: Listener
    id: int
    tid: int
    flags: int
    number: int
    machine: int
    at: int
    a0: int
    a1: int
    a2: int
    a3: int
    a4: int
    a5: int

    @classmethod
    def made(cls, listener: Listener, numbers: Numbers) -> Call:
        """Of what the listener was told."""
        return tuple.__new__(cls, (listener, *numbers))

    @property
    def key(self) -> tuple[int, int]:
        """What tells it from all other calls that are held."""
        return self.listener.fileno(), self.id

    @property
    def descriptor(self) -> int:
        """Its first argument as a descriptor's number."""
        return self.a0 & 0xFFFFFFFF

    def pass_on(self) -> bool:
        """Let Linux carry it out."""
        return self.listener.pass_on(self.id)

    def answer(self, value: int) -> bool:
        """Let it return a value."""
        return self.listener.respond(self.id, value, 0, 0)

    def refuse(self, number: int) -> bool:
        """Let it fail with an errno."""
        return self.listener.respond(self.id, 0, -number, 0)

    def inject(self, descriptor: int, *, close_on_exec: bool) -> bool:
        """Let it return a descriptor of its own for the file that is ``descriptor`` here. OSError: EMFILE."""
        return self.listener.add(self.id, descriptor, close_on_exec=close_on_exec)

    def waits(self) -> bool:
        """Whether the caller still waits. What was read of its memory before is the caller's only where this holds."""
        return self.listener.holds(self.id)
