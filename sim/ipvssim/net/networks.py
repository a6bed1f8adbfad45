"""The networks that come with the simulator: of traces, of the recorded netlink exchanges, of ``--target sim``."""

from __future__ import annotations

from collections.abc import Iterable

from ipvssim._compiling import mypyc_attr
from ipvssim.net.network import (
    BLACKHOLE,
    DUMMY,
    ETHERNET,
    LOCAL,
    PROHIBIT,
    RAW,
    UNICAST,
    UNREACHABLE,
    Network,
    Route,
)


def default_network() -> Network:
    """One Ethernet device ``eth0`` (MTU 1500) over which everything is reachable: nothing that an administrator might
    name as a destination is refused for want of a route or for being a broadcast address."""
    network = Network()
    network.add_device("eth0", ETHERNET, "192.0.2.1/32", "2001:db8::1/128", mac=bytes.fromhex("020000000001"))
    network.add_route("0.0.0.0/0", device="eth0")
    network.add_route("::/0", device="eth0")
    return network


def trace_network(servers4: int = 16, servers6: int = 4, marks: Iterable[int] = ()) -> Network:
    """The director of every trace (docs/use/simulator.md): raw IP towards clients, Ethernet towards the real servers.

    ``servers4`` neighbours from 10.0.0.10 up and ``servers6`` from fd00:10::10 up resolve; nothing else does. Packets with a
    firewall mark of ``marks`` come in by a device of their own, ``mark7`` for 7: what goes back to their senders leaves by
    another one.
    """
    network = Network()
    network.add_device("client", RAW, "198.51.100.1/24", "2001:db8:1::1/64")
    network.add_device("server", ETHERNET, "10.0.0.1/16", "fd00:10::1/64", mac=bytes.fromhex("020000000001"))
    for mark in sorted(set(marks)):
        network.add_device(f"mark{mark}", RAW)
    network.add_local("203.0.113.0/24")
    network.add_local("2001:db8:80::/64")
    network.add_route("0.0.0.0/0", device="client")
    network.add_route("::/0", device="client")
    for index in range(10, 10 + servers4):
        high, low = index >> 8, index & 0xFF
        network.add_neighbour("server", f"10.0.{high}.{low}", bytes((0x02, 0x00, 0x0A, 0x00, high, low)))
    for index in range(10, 10 + servers6):
        network.add_neighbour(
            "server", f"fd00:10::{index:x}", bytes((0x02, 0x00, 0xFD, 0x00, index >> 8, index & 0xFF))
        )
    return network


def vectors_network() -> Network:
    """The namespace in which the netlink exchanges of tests/data were recorded."""
    network = Network()
    network.add_device("d0", DUMMY, "10.0.0.1/8", "172.16.255.254/16", "2001:db8::1/64", "fe80::1/64")
    network.add_device("d1", DUMMY, up=False)
    network.add_device("d2", DUMMY, mtu=9000)
    network.add_route("198.51.100.0/24", BLACKHOLE)
    network.add_route("203.0.113.0/24", UNREACHABLE)
    network.add_route("192.0.2.0/24", PROHIBIT)
    return network


@mypyc_attr(allow_interpreted_subclasses=True)
class OpenNetwork(Network):
    """A network in which any addresses work: whatever a table names has its place as soon as it is named.

    ::

        clients ── (raw IP) client ─┐
                                    ├─ director: every virtual address is its own
        servers ── (Ethernet) server┘

    ``client`` carries bare IP packets and has the default routes of both families. A real server is a neighbour on
    ``server``; its link-layer address is 02:00 and the last four bytes of its address. A service by firewall mark has no
    address: packets that carry its mark are the director's own. The director itself has addresses that nobody uses:
    192.0.0.8 and 100::1 on ``client`` (RFC 7600's dummy address, RFC 6666's discard prefix), 192.0.0.9 and 100::2 on
    ``server``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.add_device("client", RAW, "192.0.0.8/32", "100::1/128")
        self.add_device("server", ETHERNET, "192.0.0.9/32", "100::2/128", mac=bytes.fromhex("020000000001"))
        self.add_route("0.0.0.0/0", device="client")
        self.add_route("::/0", device="client")
        self._local = Route(LOCAL, self.devices["lo"])
        self._wired = Route(UNICAST, self.devices["server"])

    def name(self, virtual: bytes, server: bytes, mark: int) -> None:
        """A table names a virtual address, a real server, a firewall mark (empty or 0 where it is not about one)."""
        if mark:
            self.local_marks.add(mark)
        if virtual and any(virtual) and not self.is_local(virtual):
            self.add_host(virtual, self._local, local=True)
        wired = "server", server
        if server and wired not in self.neighbours and self.kind_of(server) != LOCAL:
            self.neighbours[wired] = b"\x02\x00" + server[-4:]
            self.add_host(server, self._wired)


class ServedNetwork(OpenNetwork):
    """An open network in which the device of :func:`default_network` is there, too: for tables that are told of by
    administrators and meet packets all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.add_device("eth0", ETHERNET, "192.0.2.1/32", "2001:db8::1/128", mac=bytes.fromhex("020000000002"))
