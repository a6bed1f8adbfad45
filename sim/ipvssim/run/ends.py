"""What the machine tells of the two ends of a program's socket, ours and the program's."""

from __future__ import annotations

import os
import socket
import termios
from fcntl import ioctl
from struct import Struct

_UNIX, _SEQPACKET = int(socket.AF_UNIX), int(socket.SOCK_SEQPACKET)
_INT = Struct("=i")
_UNLIKELY = 65537


def opened(end: int) -> socket.socket:
    """An end, by a descriptor of its own."""
    return socket.socket(_UNIX, _SEQPACKET, 0, os.dup(end))


def sizes(end: int) -> tuple[int, int]:
    """The sizes of its buffers to send and to receive."""
    with opened(end) as one:
        return one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF), one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def unlike(end: int, name: int) -> None:
    """Give one of its buffers (SO_SNDBUF, SO_RCVBUF) a size that nobody chooses, so that one that the program gives it later
    is seen."""
    with opened(end) as one:
        before = one.getsockopt(socket.SOL_SOCKET, name)
        one.setsockopt(socket.SOL_SOCKET, name, _UNLIKELY + (before == 2 * _UNLIKELY))


def unread(end: int) -> int:
    """Bytes that the other end has not read."""
    return int(_INT.unpack(ioctl(end, termios.TIOCOUTQ, bytes(_INT.size)))[0])
