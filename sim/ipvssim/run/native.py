"""Held calls and their callers' memory, reached by the C of ``_held``: what :mod:`ipvssim.run.notify`,
:mod:`~ipvssim.run.memory`, :mod:`~ipvssim.run.messages` and :mod:`~ipvssim.run.tracee` do, in fewer steps of Python.

Imported only where there is that C (:mod:`ipvssim.run.core`). Places in memory are made once: one supervisor at a time
uses them, and what lies in them is copied before the next call is received.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import ENOBUFS
from typing import Any

from ipvssim.run import notify
from ipvssim.run.core import core
from ipvssim.run.tracee import File

_lib, _ffi = core.lib, core.ffi
_LONGEST: int = _lib.HELD_LONGEST
_unpack: Callable[[Any, int], bytes] = _ffi.unpack

_bytes = _ffi.new("char[]", _LONGEST)
_name = _ffi.new("char[]", _lib.HELD_NAME)
_name_size = _ffi.new("uint32_t *")
_message = _ffi.new("struct held_message *")
_file = _ffi.new("struct held_file *")

_read, _write, _copy = _lib.held_read, _lib.held_write, _lib.held_copy
_look, _gather, _fill = _lib.held_message, _lib.held_gather, _lib.held_fill
_respond, _waits, _inject = _lib.held_respond, _lib.held_waits, _lib.held_inject


def failure(number: int) -> OSError:
    """The error that a negative errno says."""
    return OSError(-number, os.strerror(-number))


# --- memory ---


def read(thread: int, at: int, size: int) -> bytes:
    """So many bytes at an address. OSError as in :func:`ipvssim.run.memory.read`."""
    if size > _LONGEST:
        raise OSError(ENOBUFS, "more than is taken at once")
    wrong = _read(thread, at, _bytes, size)
    if wrong:
        raise failure(wrong)
    return _unpack(_bytes, size)


def put(thread: int, at: int, data: bytes) -> None:
    """Write bytes at an address. OSError as in :func:`ipvssim.run.memory.write`."""
    wrong = _write(thread, at, data, len(data))
    if wrong:
        raise failure(wrong)


# --- messages ---


def message(thread: int, at: int) -> Any:
    """As :func:`ipvssim.run.messages.message`; it is good until the next one is read."""
    wrong = _look(thread, at, _message)
    if wrong:
        raise failure(wrong)
    return _message


def gathered(thread: int, message: Any) -> tuple[bytes, bytes]:
    """As :func:`ipvssim.run.messages.gathered`."""
    size = _gather(thread, message, _bytes, _LONGEST, _name, _name_size)
    if size < 0:
        raise failure(size)
    return _unpack(_bytes, size), _unpack(_name, _name_size[0])


def fill(thread: int, message: Any, data: bytes, name: bytes, control: bytes) -> None:
    """As :func:`ipvssim.run.messages.fill`."""
    wrong = _fill(thread, message, data, len(data), name, len(name), control, len(control))
    if wrong:
        raise failure(wrong)


# --- descriptors ---


def copied(handle: int, descriptor: int) -> tuple[int, File]:
    """As :func:`ipvssim.run.tracee.copied`."""
    copy = _copy(handle, descriptor, _file)
    if copy < 0:
        raise failure(copy)
    return copy, (_file.device, _file.inode)


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
            raise failure(told)
        return bool(told)

    def add(self, number: int, descriptor: int, *, close_on_exec: bool) -> bool:
        """Let the call of that number return a descriptor of its own for the file that is ``descriptor`` here."""
        told = _inject(self._descriptor, number, descriptor, close_on_exec)
        if told < 0:
            raise failure(told)
        return bool(told)

    def holds(self, number: int) -> bool:
        """Whether the caller of the call of that number still waits."""
        told = _waits(self._descriptor, number)
        if told < 0:
            raise failure(told)
        return bool(told)
