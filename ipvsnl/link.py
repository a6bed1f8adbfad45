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
    from typing import Protocol

    from ipvsnl.exchange import Exchange

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


class KernelLink:
    """A generic-netlink socket of the running kernel."""

    def __init__(self) -> None:
        import socket

        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_GENERIC)
        except OSError as wrong:
            raise LinkError(wrong.errno or 0, f"cannot open a generic-netlink socket: {wrong.strerror}") from wrong
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._socket.bind((0, 0))
        self.max_send = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) - 32
        self._truncated = socket.MSG_TRUNC

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
        """See :class:`Link`."""
        try:
            with open(f"/proc/net/{name}", encoding="ascii", errors="replace") as lines:  # noqa: PTH123
                yield from lines
        except OSError as wrong:
            raise LinkError(wrong.errno or 0, f"/proc/net/{name}: {wrong.strerror}") from wrong

    def close(self) -> None:
        """See :class:`Link`."""
        self._socket.close()


class SimulatedLink:
    """A simulated kernel in this process; ``opened`` is what its resources (a locked file) hang on."""

    max_send = 1 << 20

    def __init__(self, opened: AbstractContextManager[Endpoint]) -> None:
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


def await_answers(link: Link, exchange: Exchange, timeout: float) -> None:
    """Receive until the exchange is finished; LinkError when none of its answers came for ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not exchange.finished:
        left = deadline - time.monotonic()
        if left <= 0:
            raise LinkError(_errno.ETIMEDOUT, f"the kernel did not answer in {timeout:g} s")
        if exchange.feed(link.receive(left)):
            deadline = time.monotonic() + timeout


def open_link(target: str) -> Link:
    """The link that a target names: ``kernel``, or ``sim`` and ``sim:FILE`` for the simulated one (the only way there)."""
    if target == "kernel":
        return KernelLink()
    kind, _, where = target.partition(":")
    if kind == "sim":
        from ipvssim.target import opened

        return SimulatedLink(opened(where or None))
    raise LinkError(_errno.EINVAL, f"unknown target {target!r}: one of kernel, sim, sim:FILE")
