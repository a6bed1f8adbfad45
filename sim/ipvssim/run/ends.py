"""What the machine tells of the two ends of a program's socket, ours and the program's."""

from __future__ import annotations

import ctypes
import os
import socket
import termios
from fcntl import ioctl
from struct import Struct

from ipvssim.run.notify import libc

_UNIX, _SEQPACKET = int(socket.AF_UNIX), int(socket.SOCK_SEQPACKET)
_LEVEL, _SEND, _RECEIVE = int(socket.SOL_SOCKET), int(socket.SO_SNDBUF), int(socket.SO_RCVBUF)
_value, _length = ctypes.c_int(), ctypes.c_uint(ctypes.sizeof(ctypes.c_int))
_INT = Struct("=i")
_UNLIKELY = 65537


def opened(end: int) -> socket.socket:
    """An end, by a descriptor of its own."""
    return socket.socket(_UNIX, _SEQPACKET, 0, os.dup(end))


def sizes(end: int) -> tuple[int, int]:
    """The sizes of its buffers to send and to receive."""
    return _size(end, _SEND), _size(end, _RECEIVE)


def _size(end: int, name: int) -> int:
    """Zero where it has none. By C's function: each send asks, and an object of Python's for the end costs more than all."""
    _value.value = 0
    libc.getsockopt(end, _LEVEL, name, ctypes.byref(_value), ctypes.byref(_length))
    return _value.value


def unlike(end: int, name: int) -> None:
    """Give one of its buffers (SO_SNDBUF, SO_RCVBUF) a size that nobody chooses, so that one that the program gives it later
    is seen."""
    with opened(end) as one:
        before = one.getsockopt(socket.SOL_SOCKET, name)
        one.setsockopt(socket.SOL_SOCKET, name, _UNLIKELY + (before == 2 * _UNLIKELY))


def unread(end: int) -> int:
    """Bytes that the other end has not read."""
    return int(_INT.unpack(ioctl(end, termios.TIOCOUTQ, bytes(_INT.size)))[0])
