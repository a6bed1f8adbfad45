"""What the clients of a served kernel ask beside netlink: files of ``/proc/net`` and the kernel's log
(:mod:`ipvsnl.link.served` has the messages)."""

from __future__ import annotations

import errno
from collections import deque
from struct import Struct

from ipvsnl.consts import NLMSG_DONE, NLMSG_ERROR
from ipvsnl.link.served import FILE, LEVEL, LOG, PIECE, message, parts
from ipvssim.kernel import Kernel
from ipvssim.state.debug_log import Line

MOST_LINES = 10000
"""Lines that wait for a client that does not read; the newest are lost then."""
_ERROR = Struct("=i")

Waiting = deque[bytes]
"""The datagrams that a client has not taken yet."""


class Asides:
    """Answers such requests of all clients of one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._levels: dict[int, tuple[int, Waiting]] = {}
        log = kernel.namespace.log
        self._own = (log.level, log.told) if log is not None else (-1, None)
        """What the kernel itself was told to write, and to whom."""

    def take(self, data: bytes, waiting: Waiting, *, privileged: bool) -> bool:
        """Whether a datagram is such a request; then the answers are among ``waiting``."""
        kind, sequence, body = next(parts(data), (0, 0, b""))
        if kind == FILE:
            waiting += self._file(sequence, body.decode(errors="replace"))
        elif kind == LOG and len(body) == LEVEL.size:
            waiting.append(_answer(sequence, 0 if privileged else errno.EPERM))
            if privileged:
                self._watch(LEVEL.unpack(body)[0], waiting)
        return kind in (FILE, LOG)

    def forget(self, waiting: Waiting) -> None:
        """A client is gone."""
        if self._levels.pop(id(waiting), None) is not None:
            self._level()

    def _file(self, sequence: int, name: str) -> list[bytes]:
        """The file as it is now, whole; an error where there is no such file."""
        try:
            text = "".join(self._kernel.proc(name)).encode(errors="surrogateescape")
        except FileNotFoundError:
            return [_answer(sequence, errno.ENOENT)]
        pieces = [message(FILE, sequence, text[at : at + PIECE]) for at in range(0, len(text), PIECE)]
        return [*pieces, message(NLMSG_DONE, sequence, _ERROR.pack(0))]

    def _watch(self, level: int, waiting: Waiting) -> None:
        self._levels[id(waiting)] = level, waiting
        self._kernel.namespace.keep_log(0).told = self._tell
        self._level()

    def _level(self) -> None:
        self._kernel.debug_level = max(self._own[0], 0, *(level for level, _ in self._levels.values()))

    def _tell(self, line: Line) -> None:
        level, told = self._own
        if told is not None and line.level <= level:
            told(line)
        for level, waiting in self._levels.values():
            if line.level <= level and len(waiting) < MOST_LINES:
                waiting.append(message(LOG, 0, str(line).encode()))


def _answer(sequence: int, error: int) -> bytes:
    return message(NLMSG_ERROR, sequence, _ERROR.pack(-error))
