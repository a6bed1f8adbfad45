"""What a client needs of a way to a kernel, and what a simulated kernel offers at the other end."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    Log = tuple[int, Callable[[str], object]]
    """The level of a simulated kernel's log that is wanted, and who gets its lines."""

    class Link(Protocol):
        """What a client needs of a link.

        A link may have more: ``descriptor``, a socket's, so that C converses over it; ``waitable``, a descriptor that is
        readable when there is something to receive, for coroutines; ``widen()``; ``place``, see
        :attr:`ipvsnl.client.IPVS.place`; ``simulated``, true where no Linux is at the other end; ``interface``, how the
        kernel is spoken to (``"netlink"`` where it does not tell).
        """

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
        """A simulated kernel's end of a socket (``ipvssim.netlink.socket.NetlinkSocket``)."""

        def send(self, data: bytes) -> None:
            """Execute a datagram of requests."""

        def recv(self, size: int) -> bytes:
            """The next datagram; BlockingIOError when there is none."""

        def proc(self, name: str) -> Iterable[str]:
            """The lines of the simulated ``/proc/net/NAME``."""

        def close(self) -> None:
            """Let go of it; a table that is kept in a file is written to it."""
