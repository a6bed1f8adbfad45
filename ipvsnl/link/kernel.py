"""The way to the running kernel: a generic-netlink socket in one network namespace."""

from __future__ import annotations

import errno as _errno
import os
import sys
from time import monotonic

from ipvsnl.errors import LinkError
from ipvsnl.wire.exchange import RECEIVE_BUFFER

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket as socket
    from collections.abc import Callable, Iterable
    from typing import TextIO

    from ipvsnl.link.namespaces import NetworkNamespace

_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_NETLINK_GENERIC = 16
_KERNEL = 0
"""The port of a message's sender, where that is the kernel."""
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_WIDE_QUEUE = 4 << 20
_REFUSAL_COST = 832
"""Bytes of the receive queue that a refusal takes, at most: 768 on x86-64 (truesize of a capped error), and some more."""


def check_system() -> None:
    """LinkError where there can be no kernel with IPVS: netlink is Linux's alone."""
    import _socket as socket

    if not hasattr(socket, "AF_NETLINK"):
        raise LinkError(_errno.EAFNOSUPPORT, f"IPVS is in the Linux kernel, and this system is {sys.platform}")


def socket_in(namespace: NetworkNamespace | None, opened: Callable[[], socket.socket], what: str) -> socket.socket:
    """A socket of the namespace (None: the calling thread's); LinkError where there is none to have."""
    try:
        return namespace.call(opened) if namespace is not None else opened()
    except LinkError:
        raise
    except OSError as wrong:
        raise LinkError(wrong.errno or 0, f"cannot open {what}: {wrong.strerror}") from wrong


class KernelLink:
    """A generic-netlink socket of the running kernel: of the calling thread's network namespace, or of another."""

    def __init__(self, namespace: NetworkNamespace | None = None) -> None:
        import _socket as socket  # what lies under :mod:`socket`, which costs 5 ms to import

        check_system()

        def opened() -> socket.socket:
            return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC)

        self._namespace = namespace
        self._socket = socket_in(namespace, opened, "a generic-netlink socket")
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._socket.bind((0, 0))
        self.max_send = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) - 32
        self._truncated = socket.MSG_TRUNC
        self._level, self._send_size, self._receive_size = socket.SOL_SOCKET, socket.SO_SNDBUF, socket.SO_RCVBUF
        self.descriptor: int | None = self._socket.fileno()
        """Of the socket, for conversations in C; None when it is closed: the number may be another file's then."""

    @property
    def waitable(self) -> int | None:
        """The descriptor that is readable when there is something to receive."""
        return self.descriptor

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
        deadline = monotonic() + timeout
        try:
            while True:
                self._socket.settimeout(max(deadline - monotonic(), 0.0))
                data, _, flags, sender = self._socket.recvmsg(RECEIVE_BUFFER)
                if sender[0] == _KERNEL:
                    break  # any process may send to a netlink socket: what is not the kernel's is passed over
                if monotonic() >= deadline:
                    raise TimeoutError
        except (TimeoutError, BlockingIOError):
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
        self.descriptor = None
        self._socket.close()
        if self._namespace is not None:
            self._namespace.close()
