"""The way to a simulated kernel that is served on a Unix socket."""

from __future__ import annotations

import errno as _errno
import os

from ipvsnl.errors import LinkError
from ipvsnl.link.contract import RECEIVE_BUFFER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


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
