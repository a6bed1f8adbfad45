"""The simulated kernel behind a Unix socket: the same bytes as a netlink socket, one connection a netlink socket.

Datagrams of a ``SOCK_SEQPACKET`` socket stand for those of a netlink socket. Every datagram received is executed at once;
replies go out as the client reads, so a dump goes on no faster than it is read, as the kernel's does. A client whose
receive queue overran gets an ``NLMSG_OVERRUN`` message where a netlink socket's ``recv`` would fail with ENOBUFS.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from struct import Struct

from ipvsnl.consts import NLMSG_HEADER, NLMSG_OVERRUN
from ipvssim.clock import SECOND
from ipvssim.kernel import Kernel
from ipvssim.netlink.socket import NetlinkSocket

LARGEST = 1 << 20
"""Bytes that a datagram of requests may have."""
_RECEIVE = 32768
_BACKLOG = 64
_CREDENTIALS = Struct("3i")
_OVERRUN = Struct("=IHHII")


class _Client:
    """One connection: its netlink socket, and the datagram that its peer was too slow to take."""

    def __init__(self, connection: socket.socket, endpoint: NetlinkSocket) -> None:
        self.connection = connection
        self.endpoint = endpoint
        self.waiting: bytes | None = None

    def execute(self) -> bool:
        """Take one datagram of requests; False where the peer is gone."""
        try:
            data = self.connection.recv(LARGEST)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        with suppress(OSError):  # one that is too long: as with netlink, nothing is executed
            self.endpoint.send(data)
        return True

    def answer(self) -> bool:
        """Send what is queued until the peer's queue is full; whether anything is left. OSError where it is gone."""
        while True:
            if self.waiting is None:
                self.waiting = self._next()
            if self.waiting is None:
                return False
            try:
                self.connection.send(self.waiting)
            except BlockingIOError:
                return True
            self.waiting = None

    def _next(self) -> bytes | None:
        try:
            return self.endpoint.recv(_RECEIVE)
        except BlockingIOError:
            return None
        except OSError as wrong:
            if wrong.errno != errno.ENOBUFS:
                raise
            return _OVERRUN.pack(NLMSG_HEADER, NLMSG_OVERRUN, 0, 0, 0)


class Server:
    """Serves one kernel on ``path``. ``now`` tells the time in seconds: the simulated clock follows it.

    Peers of the server's own user and root are privileged as root is with the kernel; others are refused with EPERM.
    """

    def __init__(self, kernel: Kernel, path: str | os.PathLike[str], *, now: Callable[[], float]) -> None:
        self.kernel = kernel
        self.path = Path(path)
        self._now = now
        self._start = now() - kernel.clock.now / SECOND
        self._port = 0
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            self._bind()
            self._listener.listen(_BACKLOG)
        except BaseException:
            self._listener.close()
            raise
        self._selector.register(self._listener, selectors.EVENT_READ)

    def serve(self) -> None:
        """Serve until an exception (KeyboardInterrupt, say) ends it."""
        while True:
            self.turn()

    def turn(self, timeout: float | None = None) -> None:
        """Wait for something to do, at most ``timeout`` seconds, and do it."""
        ready = self._selector.select(timeout)
        self.kernel.clock.advance_to(round((self._now() - self._start) * SECOND))
        for key, events in ready:
            if key.data is None:
                self._accept()
            else:
                self._attend(key.data, events)

    def close(self) -> None:
        """Stop listening, drop every connection, and take the socket's file away."""
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        with suppress(OSError):
            self.path.unlink()

    def _bind(self) -> None:
        try:
            self._listener.bind(os.fspath(self.path))
        except OSError as wrong:
            if wrong.errno != errno.EADDRINUSE or self._is_served():
                raise
            self.path.unlink()
            self._listener.bind(os.fspath(self.path))

    def _is_served(self) -> bool:
        """Whether the file is no leftover of a server that died."""
        if not self.path.is_socket():
            return True
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            return probe.connect_ex(os.fspath(self.path)) != errno.ECONNREFUSED

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it went away again
            return
        connection.setblocking(False)
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, user, _ = _CREDENTIALS.unpack(credentials)
        self._port += 1
        endpoint = self.kernel.socket(
            port=self._port, privilege="root" if user in (0, os.geteuid()) else "none", sndbuf=LARGEST + 32
        )
        self._selector.register(connection, selectors.EVENT_READ, _Client(connection, endpoint))

    def _attend(self, client: _Client, events: int) -> None:
        try:
            alive = client.execute() if events & selectors.EVENT_READ else True
            more = alive and client.answer()
        except OSError:
            alive = more = False
        if alive:
            wanted = selectors.EVENT_WRITE if more else selectors.EVENT_READ
            self._selector.modify(client.connection, wanted, client)
        else:
            self._selector.unregister(client.connection)
            client.connection.close()
