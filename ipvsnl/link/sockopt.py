"""The way to the running kernel by its old interface: options of an IPv4 socket (:mod:`ipvsnl.sockopt`).

It is for processes that are root in a user namespace of their own only (rootless containers, ``unshare -r -n``): the kernel
refuses netlink to them, and takes the old interface (``ns_capable`` in ``do_ip_vs_set_ctl``, net/netfilter/ipvs/ip_vs_ctl.c,
Linux 6.1). Requests and answers are netlink's bytes all the same.
"""

from __future__ import annotations

import errno as _errno
from collections import deque

from ipvsnl import sockopt
from ipvsnl.backends.choice import chosen
from ipvsnl.errors import LinkError
from ipvsnl.family import Command
from ipvsnl.link.kernel import socket_in
from ipvsnl.wire.exchange import ACKNOWLEDGED
from ipvsnl.wire.old_interface import Translator, listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipvsnl.link.contract import Link
    from ipvsnl.link.kernel import KernelLink
    from ipvsnl.link.namespaces import NetworkNamespace
    from ipvsnl.wire.old_interface import Options

_PROBE = 1.0
"""Seconds that the kernel has to answer the question whether netlink is allowed: it answers at once."""


class SockoptLink:
    """A link that speaks the old interface. ``options`` carry it out; ``files`` is another link to the same namespace, whose
    files of ``/proc/net`` and whose name are used, and which is closed with this one."""

    max_send = 1 << 20
    interface = "sockopt"
    at_once = True
    """Requests are executed, and answered, while they are sent."""

    def __init__(self, options: Options, files: Link) -> None:
        self.place = str(getattr(files, "place", ""))
        self.simulated = bool(getattr(files, "simulated", False))
        self._files = files
        self._translator = Translator(chosen(), options, lambda: listed(files.proc("ip_vs")))
        self._options = options
        self._answers: deque[bytes] = deque()
        self._closed = False

    def send(self, data: bytes) -> None:
        """See :class:`Link`; LinkError where a dump would lack what the old interface does not show."""
        if self._closed:
            raise LinkError(_errno.EBADF, "this link is closed")
        self._answers.extend(self._translator.answers(data))

    def receive(self, timeout: float) -> bytes:
        """See :class:`Link`: every answer is there when its request was sent."""
        if not self._answers:
            raise LinkError(_errno.ETIMEDOUT, f"the kernel did not answer in {timeout:g} s")
        return self._answers.popleft()

    def proc(self, name: str) -> Iterable[str]:
        """See :class:`Link`."""
        return self._files.proc(name)

    def close(self) -> None:
        """See :class:`Link`."""
        self._closed = True
        if isinstance(self._options, KernelOptions):
            self._options.close()
        self._files.close()


class KernelOptions:
    """The running kernel's old interface: of the calling thread's network namespace, or of another."""

    def __init__(self, namespace: NetworkNamespace | None = None) -> None:
        """LinkError where there is no IPv4 socket to have."""
        import _socket as socket
        import ctypes  # Python's getsockopt gives the kernel no buffer to read from

        def opened() -> socket.socket:
            return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

        self._socket = socket_in(namespace, opened, "an IPv4 socket")
        self._ctypes = ctypes
        self._library = ctypes.CDLL(None, use_errno=True)

    def set(self, optname: int, value: bytes) -> int:
        """See :class:`~ipvsnl.wire.old_interface.Options`."""
        failed = self._library.setsockopt(self._socket.fileno(), sockopt.LEVEL, optname, value, len(value))
        return self._ctypes.get_errno() if failed else 0

    def get(self, optname: int, value: bytes, room: int) -> tuple[int, bytes]:
        """See :class:`~ipvsnl.wire.old_interface.Options`."""
        buffer = self._ctypes.create_string_buffer(value, room)
        length = self._ctypes.c_int(room)
        failed = self._library.getsockopt(
            self._socket.fileno(), sockopt.LEVEL, optname, buffer, self._ctypes.byref(length)
        )
        return (self._ctypes.get_errno(), b"") if failed else (0, buffer.raw[: length.value])

    def close(self) -> None:
        """Let go of it."""
        self._socket.close()


def instead(link: KernelLink, namespace: NetworkNamespace | None) -> Link:
    """A link by the old interface where netlink is refused and that is allowed, which takes ``link`` over; else ``link``."""
    from ipvsnl.link.conversation import Conversation

    probe = Conversation(link, _PROBE).ask(Command.GET_INFO, ACKNOWLEDGED)
    if not any(refusal.errno == _errno.EPERM for refusal in probe.refusals):
        return link
    options = KernelOptions(namespace)
    if options.get(sockopt.Get.INFO, bytes(sockopt.INFO.size), sockopt.INFO.size)[0]:
        options.close()
        return link
    return SockoptLink(options, link)
