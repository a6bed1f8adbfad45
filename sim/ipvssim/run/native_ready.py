"""What lies ready for the readers of a program's socket, where there is the C of ``_held``: they take it without a step of
Python."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ipvssim.run.calls import ADDRESS, KERNEL
from ipvssim.run.core import core
from ipvssim.run.tracee import File

_lib, _ffi = core.lib, core.ffi
_unpack, _move = _ffi.unpack, _ffi.memmove
_begin, _lay, _settle, _post = _lib.held_begin, _lib.held_lay, _lib.held_settle, _lib.held_post
_look, _was_read, _port = _lib.held_look, _lib.held_was_read, _lib.held_port
_file = _ffi.new("struct held_file *")
_spare: list[Any] = []


def memory() -> Any:
    """Memory for one more socket: ``struct held_socket``."""
    return _spare.pop() if _spare else _ffi.new("struct held_socket *")


class Ready:
    """The datagrams of one socket that its readers may take without anybody deciding about it: ``struct held_socket``."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket

    @classmethod
    def begun(cls, file: File, channel: int) -> Ready:
        """That of a new socket, of which ``channel`` is our end and ``file`` the program's."""
        made = cls(memory())
        _file.device, _file.inode = file
        _begin(made.socket, _file, channel, KERNEL)
        return made

    def lay(self, queue: Iterable[tuple[bytes, int]], plain: int) -> int:
        """Let readers have the first datagrams of a queue, and no others, and let the first lie in the program's end; how
        many have place. ``plain``: how many the queue has, where nothing else waits for the socket, so that it may be asked
        what is known; -1 where that is not so."""
        socket = self.socket
        socket.count = socket.ready = place = 0
        for one, _ in queue:
            if not _lay(socket, place, one, len(one)):
                break
            place += 1
        socket.plain = place == plain
        return place

    def left(self) -> list[bytes]:
        """The answers to what it was asked meanwhile that were not taken."""
        socket = self.socket
        ends, first = socket.ends, socket.left_at
        starts = [ends[one - 1] if one else 0 for one in range(first, first + socket.left)]
        return [_unpack(socket.bytes + at, ends[first + one] - at) for one, at in enumerate(starts)]

    @property
    def port(self) -> int:
        """The port in its address."""
        return int(_port(self.socket))

    def name(self, name: bytes) -> None:
        """The socket's address, from now on."""
        _move(self.socket.name, name, ADDRESS.size)

    def settle(self) -> int:
        """From now on readers have to ask. What was done meanwhile, 0 for nothing: the datagrams that were taken (8 bits),
        the most room that a reader offered (24 bits), and whether buffers were set (1 << 32), it took a port (1 << 33),
        answers are left to what it was asked and is known (1 << 34), and it was closed (1 << 35)."""
        return int(_settle(self.socket))

    def look(self, copy: int) -> None:
        """See what sizes the program's buffers have; ``copy`` is a descriptor of its end."""
        _look(self.socket, copy)

    def buffers(self) -> tuple[int, int]:
        """The sizes of the buffers to send and to receive that were others than before; 0: they were not."""
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
