"""The kernel's end of one netlink socket of a program.

The program holds one end of a pair of Unix sockets, the channel is the other. In the program's end lies one datagram exactly
while something can be received, so that poll, select, epoll and read see what they would see of a netlink socket. What else
a netlink socket is, stands here: net/netlink/af_netlink.c, Linux 6.1.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from errno import EADDRINUSE, ECONNREFUSED, EINVAL, ENODATA
from struct import Struct
from typing import TYPE_CHECKING, Any

from ipvssim.run import ends
from ipvssim.run.calls import ADDRESS, AF_NETLINK, MSG_DONTWAIT

if TYPE_CHECKING:
    from ipvssim.run.native_ready import Ready
    from ipvssim.run.worlds import World

_AF_UNSPEC = 0
_FAMILY = Struct("=H")
_LONGEST = 1 << 18
_SET, _BOUND, _LEFT, _VACANT = 1 << 32, 1 << 33, 1 << 34, 1 << 35
"""What was done without asking: buffers were set, a port taken, answers to what is known left there, the socket closed
(``held_settle``)."""
_ROOMY = 8192
"""Bytes of a receive buffer that holds whatever is known to be answered (HELD_ROOMY)."""


class Endpoint:
    """``kind`` is the type of socket that the program asked for, ``privilege`` the program's (of
    :class:`~ipvssim.netlink.socket.NetlinkSocket`), ``told`` is handed every datagram both ways."""

    def __init__(
        self,
        world: World,
        kind: int,
        channel: socket.socket,
        privilege: str = "root",
        told: Callable[[Endpoint, str, bytes], object] | None = None,
    ) -> None:
        self.world = world
        self.kind = kind
        self.channel = channel
        self.netlink = world.kernel.socket(privilege=privilege, **_NEW)
        self.ready: Ready | None = None
        """Where datagrams are laid for readers who need not ask."""
        self._told = told
        self._begin()

    def _begin(self) -> None:
        self.groups, self.peer = 0, (0, 0)
        self.flags: dict[int, bool] = {}
        """The options of SOL_NETLINK that are on or off, but for what the kernel's socket keeps itself."""
        self._posted = self._is_laid = False
        self._named = (0, 0)
        self._seen = (0, 0)
        """Sizes of the program's buffers when they were last looked at."""
        self.awaited = False
        """Whether a reader has waited for a datagram, so that one may do so still."""

    def renew(self) -> None:
        """The program has closed the socket, and this is a new one from now on, with the same channel."""
        self._leave()
        self.netlink.begin(**_NEW)
        self._begin()

    def _leave(self) -> None:
        """Its port is free again."""
        if self.world.ports.get(self.netlink.port) is self:
            del self.world.ports[self.netlink.port]
        self.netlink.port = 0

    # --- addresses ---

    def bind(self, address: bytes, process: Callable[[], int]) -> None:
        """Take a name; ``process`` tells whose socket it is, where it wants any port. OSError: EINVAL, EADDRINUSE."""
        family, _, port, groups = _address(address)
        if family != AF_NETLINK or (self.netlink.port and port != self.netlink.port):
            raise _refusal(EINVAL)
        if not self.netlink.port:
            self._take_port(port, process)
        self.groups = groups

    def connect(self, address: bytes, process: Callable[[], int]) -> None:
        """Name the peer. OSError: EINVAL."""
        if len(address) < _FAMILY.size:
            raise _refusal(EINVAL)
        if _FAMILY.unpack_from(address)[0] == _AF_UNSPEC:
            self.peer = (0, 0)
            return
        family, _, port, groups = _address(address)
        if family != AF_NETLINK:
            raise _refusal(EINVAL)
        self.bind_anywhere(process)
        self.peer = (port, groups & -groups)

    def bind_anywhere(self, process: Callable[[], int]) -> None:
        """Give it a port, if it has none."""
        if not self.netlink.port:
            self._take_port(0, process)

    def _take_port(self, port: int, process: Callable[[], int]) -> None:
        self.world.meet()
        ports = self.world.ports
        if port in ports:
            raise _refusal(EADDRINUSE)
        self.netlink.port = port or self.world.free_port(process())
        ports[self.netlink.port] = self

    @property
    def name(self) -> bytes:
        """Its own address."""
        return ADDRESS.pack(AF_NETLINK, 0, self.netlink.port, self.groups)

    @property
    def peer_name(self) -> bytes:
        """Whom it is connected to: the kernel, of itself."""
        return ADDRESS.pack(AF_NETLINK, 0, *self.peer)

    # --- datagrams ---

    def send(self, data: bytes, address: bytes, process: Callable[[], int]) -> None:
        """Execute a datagram of requests. OSError: EINVAL, ECONNREFUSED (there is nobody but the kernel), ENODATA, EMSGSIZE;
        LoadingError where a scheduler of the user's can't be loaded."""
        if not data:
            raise _refusal(ENODATA)
        port = self.peer[0]
        if address:
            family, _, port, _ = _address(address)
            if family != AF_NETLINK:
                raise _refusal(EINVAL)
        if not self.netlink.port:
            self._take_port(0, process)
        if port:
            raise _refusal(ECONNREFUSED)
        if self._told is not None:
            self._told(self, ">", data)
        self.netlink.send(data)
        self.post()

    def take(self, room: int, remove: Callable[[], object], *, keep: bool) -> bytes:
        """The next datagram for a reader that offers ``room`` bytes; ``keep``: it stays. ``remove`` takes what lies in the
        program's end out of it. OSError: BlockingIOError, ENOBUFS."""
        if keep:
            datagram = self.netlink.look(room)
            self.post()
            return datagram
        try:
            datagram = self.netlink.take(room)
        finally:
            self._lift(remove)
            self.post()
        if self._told is not None:
            self._told(self, "<", datagram)
        return datagram

    def put_back(self, datagram: bytes, remove: Callable[[], object]) -> None:
        """The reader did not get it: it is the next again."""
        self._lift(remove)
        self.netlink.put_back(datagram)
        self.post()

    def post(self) -> None:
        """Let the program's end be readable if something can be received."""
        if self.ready is not None:
            self._is_laid = False
            self.lay_ready()
        elif self.netlink.readable and not self._posted:
            with suppress(OSError):  # the program closed it just now
                self.channel.send(self.netlink.first or b"")
                self._posted = True

    @property
    def posted(self) -> bool:
        """Whether a datagram lies in the program's end."""
        return self.ready.posted if self.ready is not None else self._posted

    def _is_lifted(self) -> None:
        self._posted = False
        if self.ready is not None:
            self.ready.lifted()

    def lay_ready(self) -> None:
        """Let readers have what is queued without asking, where nothing else would happen then."""
        ready = self.ready
        if ready is None or self._is_laid:
            return
        self._is_laid = True
        netlink = self.netlink
        queue = netlink.plain_queue if self._told is None and not self.flags else None
        plain = queue is not None and netlink.rcvbuf >= _ROOMY and not (self.peer[0] or self.awaited)
        laid = ready.lay(queue or (), len(queue or ()) if plain else -1)
        if not laid and netlink.readable:
            ready.post(netlink.first or b"")
        named = netlink.port, self.groups
        if named != self._named:
            self._named = named
            ready.name(self.name)

    def look(self, copy: int) -> None:
        """See what sizes the program has given its buffers: it does so at its end, of which ``copy`` is a descriptor."""
        if self.ready is not None:
            self.ready.look(copy)
            self._set_buffers(*self.ready.buffers())
            return
        sent, received = ends.sizes(copy)
        before, self._seen = self._seen, (sent, received)
        self._set_buffers(sent if sent != before[0] else 0, received if received != before[1] else 0)

    def unlike(self, copy: int, name: int) -> None:
        """One of these buffers gets another size by force: see the size that the program gives it later."""
        ends.unlike(copy, name)
        self.look(copy)

    def _set_buffers(self, sent: int, received: int) -> None:
        self.netlink.sndbuf, self.netlink.rcvbuf = sent or self.netlink.sndbuf, received or self.netlink.rcvbuf

    def settle(self) -> None:
        """See what the program has done without asking; from now on it asks."""
        if self.ready is None:
            return
        self._is_laid = False
        done = self.ready.settle()
        if not done:
            return
        netlink, taken, room = self.netlink, done & 0xFF, done >> 8 & 0xFFFFFF
        for _ in range(taken):
            netlink.take(room)
        if room and not taken:
            netlink.offered(room)
        if done & _VACANT:
            self._leave()
        if done & _SET:
            self._set_buffers(*self.ready.buffers())
        if done & _BOUND:
            netlink.port = self.ready.port
            self._named = netlink.port, 0  # where it was taken, it was written, too
            self.world.ports[netlink.port] = self
        if done & _LEFT:
            for datagram in reversed(self.ready.left()):
                netlink.put_back(datagram)

    def _lift(self, remove: Callable[[], object]) -> None:
        if self.posted:
            remove()
            self._is_lifted()

    # --- what the program does without a call that is looked at: read and write ---

    @property
    def was_read(self) -> bool:
        """Whether the program read what lay in its end."""
        return (
            self.ready.was_read() if self.ready is not None else self.posted and not ends.unread(self.channel.fileno())
        )

    def catch_up(self, process: Callable[[], int], *, written: bool) -> None:
        """Execute what the program wrote, where it has ``written``, and see whether it read. OSError of refused requests has
        nobody to go to: write returned already."""
        while written:
            try:
                data = self.channel.recv(_LONGEST, MSG_DONTWAIT)
            except OSError:
                break
            if not data:
                break
            try:
                self.send(data, b"", process)
            except OSError:
                continue
        if self.was_read:
            self._is_lifted()
            if not self.netlink.take_error():
                self.netlink.take(len(self.netlink.first or b""))
            self.post()

    def close(self) -> None:
        """The program has no descriptor of it any more."""
        self._leave()
        self.netlink.close()
        self.channel.close()


_NEW: dict[str, Any] = {"cap_ack": False, "ext_ack": False, "port": 0, "sndbuf": 212992, "rcvbuf": 212992}


def _address(data: bytes) -> tuple[int, int, int, int]:
    if len(data) < ADDRESS.size:
        raise _refusal(EINVAL)
    return ADDRESS.unpack_from(data)


def _refusal(number: int) -> OSError:
    return OSError(number, os.strerror(number))
