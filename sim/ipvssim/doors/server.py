"""The simulated kernel behind a Unix socket: the same bytes as a netlink socket, one connection a netlink socket.

Datagrams of a ``SOCK_SEQPACKET`` socket stand for those of a netlink socket. Every datagram received is executed at once;
replies go out as the client reads, so a dump goes on no faster than it is read, as the kernel's does. A client whose
receive queue overran gets an ``NLMSG_OVERRUN`` message, with the sequence number of its last request, where a netlink
socket's ``recv`` would fail with ENOBUFS; where its ``send`` would fail, an ``NLMSG_ERROR`` message. Datagrams of a second
kind (:mod:`ipvssim.doors.control`) stand for what a socket has besides: options, the room that its reader offers (without
which datagrams of dumps are as short as Linux makes them for anybody), files of ``/proc/net``, the
kernel's log, and packets that come in.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from struct import Struct

from ipvsnl.consts import NLM_F_CAPPED, NLMSG_ERROR, NLMSG_HEADER, NLMSG_OVERRUN
from ipvssim.clock import SECOND
from ipvssim.doors.control import Control, Watchers, is_control
from ipvssim.kernel import Kernel
from ipvssim.netlink.socket import NetlinkSocket
from ipvssim.schedulers import LoadingError

LARGEST = 1 << 20
"""Bytes that a datagram of requests may have."""
_BACKLOG = 64
_CREDENTIALS = Struct("3i")
_MESSAGE = Struct("=IHHII")
_ERROR = Struct("=i")
Executed = Callable[[bytes], None]
"""Is told of a datagram before it is answered. OSError: then it is not answered, and the connection ends."""


class _Client:
    """One connection: its netlink socket, what it asks for besides, and the datagrams that its peer was too slow to take."""

    def __init__(
        self, connection: socket.socket, endpoint: NetlinkSocket, control: Control, executed: Executed | None
    ) -> None:
        self.connection = connection
        self.endpoint = endpoint
        self.control = control
        self._executed = executed
        self.waiting = control.waiting
        self._last = b""

    def execute(self) -> bool:
        """Take one datagram of requests; False where the peer is gone. What a netlink socket refuses to send (one without
        bytes, one that is too long) is refused whole, and an error message says so: it is too late for an errno."""
        try:
            data, ancillary, _, _ = self.connection.recvmsg(LARGEST + 1, socket.CMSG_SPACE(_CREDENTIALS.size))
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data and not ancillary:  # only a datagram has its sender's credentials
            return False
        if is_control(data):
            self.waiting.extend(self.control.answers(data))
            return True
        self._last = data
        try:
            if len(data) > LARGEST:
                raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
            self.endpoint.send(data)
        except OSError as refused:
            self.waiting.append(_refusal(data, self.endpoint.port, refused.errno or errno.EIO))
            return True
        except LoadingError as wrong:
            print(f"ipvssim serve: {wrong}", file=sys.stderr)
            self.waiting.append(_refusal(data, self.endpoint.port, errno.ENOENT))
        if self._executed is not None:
            self._executed(data)
        return True

    def close(self) -> None:
        """The peer is gone."""
        self.control.close()
        self.connection.close()

    def answer(self) -> bool:
        """Send what is queued until the peer's queue is full; whether anything is left. OSError where it is gone."""
        while True:
            if not self.waiting:
                datagram = self._next()
                if datagram is None:
                    return False
                self.waiting.append(datagram)
            try:
                self.connection.send(self.waiting[0])
            except BlockingIOError:
                return True
            self.waiting.popleft()

    def _next(self) -> bytes | None:
        try:
            return self.endpoint.take(self.control.offered)
        except BlockingIOError:
            return None
        except OSError as wrong:
            if wrong.errno != errno.ENOBUFS:
                raise
            sequence = _sequences(self._last)[1]
            return _MESSAGE.pack(NLMSG_HEADER, NLMSG_OVERRUN, 0, sequence, self.endpoint.port)


def _socket() -> socket.socket:
    """A socket as the server's; OSError where the system has none that tells who is at the other end."""
    needed = ("AF_UNIX", "SOCK_SEQPACKET", "SO_PASSCRED", "SO_PEERCRED")
    if not all(hasattr(socket, name) for name in needed):
        raise OSError(errno.EAFNOSUPPORT, f"{sys.platform} has no Unix sockets that keep datagrams whole")
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    made.setblocking(False)
    return made


def _refusal(data: bytes, port: int, error: int) -> bytes:
    """A datagram that nothing was executed of, as an error about its first request (and the last, which is waited for)."""
    echo = data[:NLMSG_HEADER].ljust(NLMSG_HEADER, b"\0")
    size = NLMSG_HEADER + 4 + NLMSG_HEADER
    return b"".join(
        _MESSAGE.pack(size, NLMSG_ERROR, NLM_F_CAPPED, sequence, port) + _ERROR.pack(-error) + echo
        for sequence in sorted(set(_sequences(data)))
    )


def _sequences(data: bytes) -> tuple[int, int]:
    """The sequence numbers of a datagram's first and last whole request; 0 where there is none."""
    first = last = at = 0
    while len(data) - at >= NLMSG_HEADER:
        length, _, _, sequence, _ = _MESSAGE.unpack_from(data, at)
        if length < NLMSG_HEADER:
            break
        first, last = (sequence if at == 0 else first), sequence
        at += (length + 3) & ~3
    return first, last


class Server:
    """Serves one kernel on ``path``. ``now`` tells the time in seconds: the simulated clock follows it.

    ``executed`` is called with each datagram of a privileged peer that was executed, before it is answered.

    Peers of the server's own user and root are privileged as root is with the kernel; others are refused with EPERM.
    """

    def __init__(
        self, kernel: Kernel, path: str | os.PathLike[str], *, now: Callable[[], float],
        executed: Executed | None = None,
    ) -> None:  # fmt: skip
        self.kernel = kernel
        self._executed = executed
        self.path = Path(path)
        self._watchers = Watchers(kernel)
        self._now = now
        self._start = now() - kernel.clock.now / SECOND
        self._port = 0
        self._selector = selectors.DefaultSelector()
        self._listener = _socket()
        self._listening = True
        try:
            self._bind()
            self._made = self._identity()
        except BaseException:
            self._listener.close()
            raise
        self._selector.register(self._listener, selectors.EVENT_READ)

    def serve(self) -> None:
        """Serve until an exception (KeyboardInterrupt, say) ends it."""
        while True:
            self.turn()

    def fileno(self) -> int:
        """Readable when there is something to do: for who waits for other things, too."""
        return self._selector.fileno()

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
        """Stop listening, drop every connection, and take the socket's file away, if it is still ours."""
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        self._listener.close()
        with suppress(OSError):
            if self._identity() == self._made:
                self.path.unlink()

    def _identity(self) -> tuple[int, int]:
        status = self.path.lstat()
        return status.st_dev, status.st_ino

    def _bind(self) -> None:
        """Take the name when connections are taken, and no earlier: whoever sees the file can connect, and a server that
        only begins is never taken for one that died."""
        beside = self.path.with_name(f".{os.getpid():x}-{id(self) & 0xFFFF:x}")
        self._listener.bind(os.fspath(beside))
        try:
            self._listener.listen(_BACKLOG)
            self._take_name(beside)
        finally:
            beside.unlink()

    def _take_name(self, beside: Path) -> None:
        try:
            os.link(beside, self.path)
        except FileExistsError:
            if self._is_served():
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE)) from None
            self.path.unlink()
            os.link(beside, self.path)

    def _is_served(self) -> bool:
        """Whether the file is no leftover of a server that died."""
        if not self.path.is_socket():
            return True
        with _socket() as probe:
            return probe.connect_ex(os.fspath(self.path)) != errno.ECONNREFUSED

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as wrong:  # it went away again, or there are no descriptors left: then until one is free
            if wrong.errno in (errno.EMFILE, errno.ENFILE):
                self._listen(False)
            return
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, user, _ = _CREDENTIALS.unpack(credentials)
        privileged = user in (0, os.geteuid())
        self._port += 1
        while not self._is_free(self._port):
            self._port += 1
        endpoint = self.kernel.socket(port=self._port, privilege="root" if privileged else "none", sndbuf=LARGEST + 32)
        watchers = self._watchers if privileged else None
        control = Control(self.kernel, endpoint, self._is_free, watchers)
        client = _Client(connection, endpoint, control, self._executed if privileged else None)
        self._selector.register(connection, selectors.EVENT_READ, client)

    def _is_free(self, port: int) -> bool:
        """Whether no connection has that port."""
        clients = (key.data for key in self._selector.get_map().values())
        return all(client is None or client.endpoint.port != port for client in clients)

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
            client.close()
            self._listen(True)

    def _listen(self, on: bool) -> None:
        """Whether new connections are looked at."""
        if on and not self._listening:
            self._selector.register(self._listener, selectors.EVENT_READ)
        elif self._listening and not on:
            self._selector.unregister(self._listener)
        self._listening = on
