"""Links with awkward habits, for clients that must not mind them.

Everything a real kernel may do and a simulated one does not by itself: split a dump finely, answer others in between,
fall silent, lose replies.
"""

from __future__ import annotations

import errno
import struct
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ipvsnl.errors import LinkError

if TYPE_CHECKING:
    from ipvsnl.link.contract import Link

HEADER = struct.Struct("=IHHII")


def message(kind: int, flags: int, sequence: int, payload: bytes, port: int = 9) -> bytes:
    """One netlink message."""
    return HEADER.pack(16 + len(payload), kind, flags, sequence, port) + payload


def error(sequence: int, errno_: int = 0) -> bytes:
    """An ACK, or a refusal, of the request with that sequence number (its header alone echoed)."""
    return message(2, 0x100, sequence, struct.pack("=i", -errno_) + HEADER.pack(20, 28, 5, sequence, 0))


def done(sequence: int) -> bytes:
    """The end of a dump."""
    return message(3, 2, sequence, bytes(4))


class Scripted:
    """A link whose answers are given; records what was sent."""

    max_send = 65536

    def __init__(self, answers: Iterable[bytes] = ()) -> None:
        self.answers = deque(answers)
        self.sent: list[bytes] = []
        self.closed = False

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def receive(self, timeout: float) -> bytes:
        if not self.answers:
            raise LinkError(errno.ETIMEDOUT, f"the kernel did not answer in {timeout:g} s")
        return self.answers.popleft()

    def proc(self, name: str) -> Iterable[str]:
        raise LinkError(errno.ENOENT, name)

    def close(self) -> None:
        self.closed = True


class Splitting:
    """Hands every message of a datagram over by itself, and a foreign conversation's before each."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._waiting: deque[bytes] = deque()
        self.max_send = link.max_send

    def send(self, data: bytes) -> None:
        self._link.send(data)

    def receive(self, timeout: float) -> bytes:
        if not self._waiting:
            datagram = self._link.receive(timeout)
            while datagram:
                length = (HEADER.unpack_from(datagram)[0] + 3) & ~3
                self._waiting += (error(0x7FFFFFFF, errno.EPERM), done(0x7FFFFFFE), datagram[:length])
                datagram = datagram[length:]
        return self._waiting.popleft()

    def proc(self, name: str) -> Iterable[str]:
        return self._link.proc(name)

    def close(self) -> None:
        self._link.close()
