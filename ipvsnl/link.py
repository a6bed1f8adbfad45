"""The way to a kernel: a netlink socket, or a simulated kernel in this process. The one place that opens sockets.

A link moves datagrams and knows nothing of what is in them.
"""

from __future__ import annotations

import errno as _errno
import os
import time

from ipvsnl.errors import LinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager
    from typing import Protocol, TextIO

    from ipvsnl.exchange import Exchange
    from ipvsnl.netns import Namespace

    class Link(Protocol):
        """What a client needs of a link."""

        max_send: int
        """Bytes that one send may hold."""

        def send(self, data: bytes) -> None:
            """Send one datagram; the kernel has executed its requests when this returns. LinkError where it cannot."""

        def receive(self, timeout: float) -> bytes:
            """The next datagram; LinkError when none came in ``timeout`` seconds, or when some were lost (ENOBUFS)."""

        def proc(self, name: str) -> Iterable[str]:
            """The lines of ``/proc/net/NAME`` of the kernel at the other end; LinkError where there is none."""

        def close(self) -> None:
            """Let go of it; a simulated kernel with a file is written to it."""

    class Endpoint(Protocol):
        """A simulated kernel's end of a socket (``ipvssim.netlink.NetlinkSocket``)."""

        def send(self, data: bytes) -> None:
            """Execute a datagram of requests."""

        def recv(self, size: int) -> bytes:
            """The next datagram; BlockingIOError when there is none."""

        def proc(self, name: str) -> Iterable[str]:
            """The lines of the simulated ``/proc/net/NAME``."""


RECEIVE_BUFFER = 32768
"""Bytes offered to each receive: the kernel cuts the datagrams of a dump to what a socket was seen to offer."""
_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_NETLINK_GENERIC = 16
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_WIDE_QUEUE = 4 << 20
_REFUSAL_COST = 832
"""Bytes of the receive queue that a refusal takes, at most: 768 on x86-64 (truesize of a capped error), and some more."""


class KernelLink:
    """A generic-netlink socket of the running kernel: of the calling thread's network namespace, or of another."""

    def __init__(self, namespace: Namespace | None = None) -> None:
        import _socket as socket  # what lies under :mod:`socket`, which costs 5 ms to import

        def opened() -> socket.socket:
            return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_GENERIC)

        self._namespace = namespace
        try:
            self._socket = namespace.call(opened) if namespace is not None else opened()
        except LinkError:
            raise
        except OSError as wrong:
            raise LinkError(wrong.errno or 0, f"cannot open a generic-netlink socket: {wrong.strerror}") from wrong
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._socket.bind((0, 0))
        self.max_send = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) - 32
        self._truncated = socket.MSG_TRUNC
        self._level, self._send_size, self._receive_size = socket.SOL_SOCKET, socket.SO_SNDBUF, socket.SO_RCVBUF
        self.descriptor: int | None = self._socket.fileno()
        """Of the socket, for conversations in C."""

    def widen(self) -> int:
        """Ask for large queues, which root may have, and say how many refusals of one send the receive queue holds."""
        for option in (_SO_RCVBUFFORCE, _SO_SNDBUFFORCE):
            try:
                self._socket.setsockopt(self._level, option, _WIDE_QUEUE)
            except OSError:
                break  # not root: what there is must do
        self.max_send = int(self._socket.getsockopt(self._level, self._send_size)) - 32
        return int(self._socket.getsockopt(self._level, self._receive_size)) // _REFUSAL_COST

    @property
    def place(self) -> str:
        """What tells the namespace's table from others of this machine: the namespace's inode."""
        try:
            found = os.stat("/proc/thread-self/ns/net") if self._namespace is None else self._namespace.status()  # noqa: PTH116
        except OSError:
            return ""
        return f"kernel-{found.st_dev}-{found.st_ino}"

    def send(self, data: bytes) -> None:
        """See :class:`Link`."""
        try:
            self._socket.send(data)
        except OSError as wrong:
            raise LinkError(wrong.errno or 0, f"sending {len(data)} bytes failed: {wrong.strerror}") from wrong

    def receive(self, timeout: float) -> bytes:
        """See :class:`Link`."""
        self._socket.settimeout(timeout)
        try:
            data, _, flags, _ = self._socket.recvmsg(RECEIVE_BUFFER)
        except TimeoutError:
            raise LinkError(_errno.ETIMEDOUT, f"the kernel did not answer in {timeout:g} s") from None
        except OSError as wrong:
            if wrong.errno == _errno.ENOBUFS:
                raise LinkError(_errno.ENOBUFS, "replies were lost: the receive queue overran") from wrong
            raise LinkError(wrong.errno or 0, f"receiving failed: {wrong.strerror}") from wrong
        if flags & self._truncated:
            raise LinkError(_errno.EMSGSIZE, f"a reply was longer than {RECEIVE_BUFFER} bytes and was cut")
        return data

    def proc(self, name: str) -> Iterable[str]:
        """See :class:`Link`: the file belongs to the namespace of the thread that opens it."""

        def opened() -> TextIO:
            return open(f"/proc/thread-self/net/{name}", encoding="ascii", errors="replace")  # noqa: PTH123

        try:
            with self._namespace.call(opened) if self._namespace is not None else opened() as lines:
                yield from lines
        except LinkError:
            raise
        except OSError as wrong:
            raise LinkError(wrong.errno or 0, f"/proc/net/{name}: {wrong.strerror}") from wrong

    def close(self) -> None:
        """See :class:`Link`."""
        self._socket.close()
        if self._namespace is not None:
            self._namespace.close()


class SimulatedLink:
    """A simulated kernel in this process; ``opened`` is what its resources (a locked file) hang on, ``place`` its file."""

    max_send = 1 << 20

    def __init__(self, opened: AbstractContextManager[Endpoint], place: str = "") -> None:
        self.place = place
        self._opened = opened
        self._endpoint = opened.__enter__()

    def send(self, data: bytes) -> None:
        """See :class:`Link`."""
        self._endpoint.send(data)

    def receive(self, timeout: float) -> bytes:
        """See :class:`Link`: nothing is on its way in a simulated kernel, so an empty queue is a lost answer at once."""
        try:
            return self._endpoint.recv(RECEIVE_BUFFER)
        except BlockingIOError:
            raise LinkError(_errno.ETIMEDOUT, f"the kernel did not answer in {timeout:g} s") from None
        except OSError as wrong:
            raise LinkError(wrong.errno or 0, f"receiving failed: {os.strerror(wrong.errno or 0)}") from wrong

    def proc(self, name: str) -> Iterable[str]:
        """See :class:`Link`."""
        return self._endpoint.proc(name)

    def close(self) -> None:
        """See :class:`Link`."""
        self._opened.__exit__(None, None, None)


class UnixLink:
    """A simulated kernel behind a Unix socket (``ipvssim serve``): one connection is one netlink socket."""

    max_send = 1 << 17

    def __init__(self, path: str) -> None:
        import _socket as socket

        self._path = path
        self.place = f"unix:{os.path.realpath(path)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * self.max_send)
            self._socket.connect(path)
        except OSError as wrong:
            self._socket.close()
            raise LinkError(wrong.errno or 0, f"{path}: {wrong.strerror or wrong}") from wrong

    def send(self, data: bytes) -> None:
        """See :class:`Link`; here the requests are executed some time before the answer to the last of them."""
        self._socket.settimeout(None)
        try:
            self._socket.send(data)
        except OSError as wrong:
            raise LinkError(wrong.errno or 0, f"{self._path}: {wrong.strerror}") from wrong

    def receive(self, timeout: float) -> bytes:
        """See :class:`Link`."""
        self._socket.settimeout(timeout)
        try:
            data = self._socket.recv(RECEIVE_BUFFER)
        except TimeoutError:
            raise LinkError(_errno.ETIMEDOUT, f"{self._path} did not answer in {timeout:g} s") from None
        except OSError as wrong:
            raise LinkError(wrong.errno or 0, f"{self._path}: {wrong.strerror}") from wrong
        if not data:
            raise LinkError(_errno.ECONNRESET, f"{self._path}: the simulated kernel has gone")
        return data

    def proc(self, name: str) -> Iterable[str]:
        """See :class:`Link`: there is none."""
        raise LinkError(_errno.ENOENT, f"{self._path}: a socket has no /proc/net/{name}")

    def close(self) -> None:
        """See :class:`Link`."""
        self._socket.close()


def await_answers(link: Link, exchange: Exchange, timeout: float) -> None:
    """Receive until the exchange is finished; LinkError when none of its answers came for ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not exchange.finished:
        left = deadline - time.monotonic()
        if left <= 0:
            raise LinkError(_errno.ETIMEDOUT, f"the kernel did not answer in {timeout:g} s")
        if exchange.feed(link.receive(left)):
            deadline = time.monotonic() + timeout


def open_link(target: str, netns: str | None = None) -> Link:
    """The link that a target names; ``netns`` is the network namespace of a kernel's (a name or a path).

    ``kernel``, or for the simulated one ``sim``, ``sim:FILE`` (the only way there) and ``unix:PATH`` (one that serves).
    """
    if netns is not None and target != "kernel":
        raise LinkError(
            _errno.EINVAL, f"--netns {netns}: only the kernel has network namespaces, not {target!r}"
        )  # fmt: skip
    if target == "kernel":
        return _kernel(netns)
    kind, _, where = target.partition(":")
    if kind == "sim":
        from ipvssim.target import opened

        return SimulatedLink(opened(where or None), f"sim:{os.path.realpath(where) if where else ''}")
    if kind == "unix" and where:
        return UnixLink(where)
    raise LinkError(_errno.EINVAL, f"unknown target {target!r}: one of kernel, sim, sim:FILE, unix:PATH")


def _kernel(netns: str | None) -> KernelLink:
    if netns is None:
        return KernelLink()
    from ipvsnl.netns import Namespace

    namespace = Namespace(netns)
    try:
        return KernelLink(namespace)
    except BaseException:
        namespace.close()
        raise
