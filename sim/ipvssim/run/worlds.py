"""The simulated kernels of one run: one for each network namespace in which a program asks.

A namespace's kernel keeps the namespace's file open: the number that names a namespace would be another one's at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

from ipvssim.clock import SECOND, Clock
from ipvssim.net.network import Network
from ipvssim.netlink.socket import NetlinkSocket
from ipvssim.run.tracee import devices_of, network_of
from ipvssim.state.namespace import Namespace

_NO_PROCESS = (1 << 32) - 4097
"""The first port tried that is no process's number: -4097, as the kernel's arithmetic has it."""
_PROCESSES = 1 << 31
_FEW = 128


class AnyKernel(Protocol):
    """What a run needs of a simulated kernel (:class:`ipvssim.Kernel`)."""

    @property
    def namespace(self) -> Namespace:
        """Its state."""

    @property
    def clock(self) -> Clock:
        """Its clock."""

    @property
    def network(self) -> Network:
        """Its devices."""

    def socket(self, **how: Any) -> NetlinkSocket:
        """A netlink socket of it."""


class World:
    """One network namespace: its kernel, and the port numbers of its netlink sockets that are taken."""

    def __init__(self, kernel: AnyKernel, name: str, handle: int) -> None:
        self.kernel = kernel
        self.name = name
        self.ports: dict[int, Any] = {}
        """Whose each of them is."""
        self.handle = handle
        self.thread = 0
        """The thread of it that was last seen."""
        self.meet: Callable[[], object] = lambda: None
        """Sees which ports were taken without asking; to be called before one is given out."""
        kernel.network.others = lambda device: device in devices_of(self.thread)

    def free_port(self, process: int) -> int:
        """The port that a socket gets that asks for none: its process's number, or else, counted down, one that is no
        process's (netlink_autobind of net/netlink/af_netlink.c; the kernel begins at a random one)."""
        port = process
        while port in self.ports:
            port = port - 1 if port > _PROCESSES else _NO_PROCESS
        return port


class Worlds:
    """All of them. ``first`` is the kernel of the namespace that we are in, ``make`` makes those of the others.

    ``netlink`` is "yes", "refused" (programs are root of a user namespace, and no more) or "none" (there is no such socket).
    ``passes``: their time is the machine's; else they stand still, and whoever has the kernels lets time pass.
    """

    def __init__(
        self, first: AnyKernel, make: Callable[[], AnyKernel], *, passes: bool = True, netlink: str = "yes"
    ) -> None:
        self.netlink = netlink
        self._make = make
        self._passes = passes
        self._start = monotonic() - first.clock.now / SECOND
        self._by_name: dict[str, World] = {}
        self._many = _FEW
        self.first = self._open("/proc/self/ns/net", network_of(os.getpid()), first)

    def of(self, thread: int) -> World:
        """That of a thread. OSError where the thread is gone."""
        name = network_of(thread)
        world = self._by_name.get(name)
        if world is None:
            if len(self._by_name) >= self._many:
                self._sweep()
            world = self._open(f"/proc/{thread}/ns/net", name, self._make())
        world.thread = thread
        return world

    def tick(self, world: World) -> None:
        """Let a world's time pass up to now."""
        if self._passes:
            world.kernel.clock.advance_to(int((monotonic() - self._start) * SECOND))

    def close(self) -> None:
        """Let go of the namespaces."""
        for world in self._by_name.values():
            os.close(world.handle)
        self._by_name.clear()

    def _sweep(self) -> None:
        """Let go of namespaces with nothing in them: a new one is as good. The next time is when there are twice as many as
        are left."""
        for name, world in list(self._by_name.items()):
            if world is not self.first and not world.ports and not any(world.kernel.namespace.table.services()):
                os.close(self._by_name.pop(name).handle)
        self._many = max(_FEW, 2 * len(self._by_name))

    def _open(self, path: str, name: str, kernel: AnyKernel) -> World:
        self._by_name[name] = world = World(kernel, name, os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        return world
