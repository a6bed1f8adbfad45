"""``struct msghdr`` of another process: read, and filled in (include/linux/socket.h, 64-bit machines)."""

from __future__ import annotations

from errno import EMSGSIZE
from os import strerror
from struct import Struct, unpack
from typing import NamedTuple

from ipvssim.run import memory
from ipvssim.run.calls import MSG_TRUNC
from ipvssim.run.endpoint import ADDRESS

SIZE, MANY_SIZE = 56, 64
"""Bytes of struct msghdr, and of struct mmsghdr, which has a length behind it."""
_CUT_CONTROL = 8
_HEADER = Struct("=QI4xQQQQi4x")
_U32, _U64 = Struct("=I"), Struct("=Q")
_NAME_SIZE, _CONTROL_SIZE, _FLAGS = 8, 40, 48
_MOST_PIECES = 1024
_LARGEST_NAME = 128


class Message(NamedTuple):
    """Where a program wants what: the peer's name, the pieces of the datagram, control messages."""

    at: int
    name: int
    name_size: int
    pieces: list[tuple[int, int]]
    """Address and length of each."""
    control: int
    control_size: int

    @property
    def room(self) -> int:
        """Bytes that all pieces hold."""
        return sum(length for _, length in self.pieces)


def read(thread: int, at: int) -> Message:
    """The message header at an address. OSError: EFAULT, EMSGSIZE."""
    name, name_size, vector, count, control, control_size, _ = _HEADER.unpack(memory.read(thread, (at, SIZE)))
    if count > _MOST_PIECES:
        raise OSError(EMSGSIZE, strerror(EMSGSIZE))
    numbers = unpack(f"={2 * count}Q", memory.read(thread, (vector, 16 * count)))
    return Message(
        at, name, name_size if name else 0, list(zip(numbers[::2], numbers[1::2], strict=True)), control, control_size
    )


def gathered(thread: int, message: Message) -> bytes:
    """The datagram that lies in its pieces."""
    return memory.read(thread, *message.pieces)


def name_of(thread: int, address: int, size: int) -> bytes:
    """A socket's name, as far as one may be long."""
    return memory.read(thread, (address, min(size, _LARGEST_NAME))) if address and size else b""


def filled(message: Message, data: bytes, name: bytes, control: bytes) -> list[tuple[int, bytes]]:
    """What has to be written where, for a datagram that came from ``name``."""
    found: list[tuple[int, bytes]] = []
    at = 0
    for address, length in message.pieces:
        if at >= len(data):
            break
        found.append((address, data[at : at + length]))
        at += length
    flags = MSG_TRUNC if len(data) > message.room else 0
    if len(control) > message.control_size:
        control, flags = b"", flags | (_CUT_CONTROL if control else 0)
    if message.name:
        found.append((message.name, name[: message.name_size]))
        found.append((message.at + _NAME_SIZE, _U32.pack(ADDRESS.size)))
    found += [(message.control, control), (message.at + _CONTROL_SIZE, _U64.pack(len(control)))]
    return [*found, (message.at + _FLAGS, _U32.pack(flags))]
