"""A simulated kernel behind a real socket, in a process of its own: what the conversation in C talks to without root."""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ipvsnl.errors import LinkError


class PairLink:
    """A link over a socket pair that has a descriptor, as the kernel's has."""

    max_send = 65536

    def __init__(self, ours: socket.socket) -> None:
        self._socket = ours
        self.descriptor: int | None = ours.fileno()

    def send(self, data: bytes) -> None:
        self._socket.send(data)

    def receive(self, timeout: float) -> bytes:
        self._socket.settimeout(timeout)
        try:
            return self._socket.recv(65536)
        except TimeoutError:
            raise LinkError(errno.ETIMEDOUT, "silent") from None
        finally:
            self._socket.settimeout(None)

    def proc(self, name: str) -> Iterable[str]:
        raise LinkError(errno.ENOENT, name)

    def close(self) -> None:
        self._socket.close()
        self.descriptor = None


def _serve(kernels: socket.socket) -> None:
    from ipvssim import Kernel

    endpoint = Kernel().socket(cap_ack=True, ext_ack=True)
    while data := kernels.recv(1 << 20):
        endpoint.send(data)
        while True:
            try:
                kernels.send(endpoint.recv(32768))
            except BlockingIOError:
                break


@contextmanager
def forked_kernel() -> Iterator[PairLink]:
    """A link to a simulated kernel of a child process; the child is gone afterwards."""
    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if not child:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        ours.close()
        try:
            _serve(kernels)
        finally:
            os._exit(0)
    kernels.close()
    try:
        with ours:
            yield PairLink(ours)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
