"""Programs of several commands on one kernel: one serves, the others hand it the listeners of their programs.

Beside the socket that a run serves its table on, PATH, lies a second one, PATH.run. What comes there is a listener's
descriptor, and the process behind it.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path

from ipvssim.run.supervisor import Supervisor
from ipvssim.run.system import RunError

_TAKEN = b"taken"
_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")


class Door:
    """Where other commands hand over their programs. OSError where there can be no socket of that name."""

    def __init__(self, path: str, supervisor: Supervisor) -> None:
        self._path, self._supervisor = f"{path}.run", supervisor
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with suppress(FileNotFoundError):
            os.unlink(self._path)  # noqa: PTH108
        self._socket.bind(self._path)
        self._socket.listen()
        self._visitors: list[socket.socket] = []
        supervisor.watch(self._socket.fileno(), lambda _: self._accept())

    def close(self) -> None:
        """Take no more. Those who joined see that the kernel goes."""
        self._supervisor.unwatch(self._socket.fileno())
        for one in (self._socket, *self._visitors):
            one.close()
        with suppress(OSError):
            os.unlink(self._path)  # noqa: PTH108

    def _accept(self) -> None:
        visitor, _ = self._socket.accept()
        self._visitors.append(visitor)
        self._supervisor.watch(visitor.fileno(), lambda _: self._hear(visitor))

    def _hear(self, visitor: socket.socket) -> None:
        try:
            said, descriptors, _, _ = socket.recv_fds(visitor, 16, 1)
        except OSError:
            said, descriptors = b"", []
        if not said:
            self._supervisor.unwatch(visitor.fileno())
            self._visitors.remove(visitor)
            visitor.close()
            return
        for descriptor in descriptors:
            self._supervisor.adopt(descriptor)
        visitor.send(_TAKEN)


def join(path: str) -> socket.socket:
    """A connection to the run that serves ``path``. RunError where there is none, or where it may not look into programs
    that are not its children."""
    with suppress(OSError):
        if os.geteuid() and int(_YAMA.read_text()) >= 1:
            raise RunError(f"--join: {_YAMA} is not 0, so no process may look into another's program")
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        made.connect(f"{path}.run")
    except OSError as wrong:
        made.close()
        hint = " (is it served by ipvssim run --serve?)" if wrong.errno in (errno.ENOENT, errno.ECONNREFUSED) else ""
        raise RunError(f"--join {path}: {wrong.strerror}{hint}") from wrong
    return made


def hand_over(connection: socket.socket, listener: int) -> None:
    """Let the run at the other end answer for a program. RunError where it is gone."""
    try:
        socket.send_fds(connection, [b"program"], [listener])
        if connection.recv(len(_TAKEN)) != _TAKEN:
            raise RunError("--join: the simulated kernel has gone")
    except OSError as wrong:
        raise RunError(f"--join: the simulated kernel has gone ({wrong.strerror})") from wrong
    finally:
        os.close(listener)
