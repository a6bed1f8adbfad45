"""The director's network: devices, addresses, routes, neighbours, and the lookup that the packet path asks.

A small model of Linux's forwarding tables: the *local* table (own addresses, broadcast addresses, local prefixes) is asked
before the *main* table (connected and configured routes); within a table the longest prefix wins. Addresses are 4 or 16
bytes in network order throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ipvsnl.consts import AF_INET, AF_INET6
from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.net.addresses import (
    ALL_ONES,
    ANY,
    Address,
    Prefix,
    anycast,
    common_bits,
    holds,
    is_host_only,
    is_link_local,
    is_unique_local,
    parse_address,
    parse_mac,
    parse_prefix,
    special_kind,
)
from ipvssim.net.routes import (
    BLACKHOLE,
    BROADCAST,
    DUMMY,
    ETHERNET,
    KINDS,
    LOCAL,
    LOOPBACK,
    MULTICAST,
    NONE,
    PROHIBIT,
    RAW,
    ROUTES,
    UNICAST,
    UNREACHABLE,
    Device,
    Path,
    Route,
    RouteTable,
)

_LINK: Final = b"\xfe\x80" + bytes(6)
_CACHE_LIMIT: Final = 1 << 16
_MOST_TYPES: Final = 1 << 18


@mypyc_attr(allow_interpreted_subclasses=True)
class Network(Part):
    """The devices and tables of one network namespace. It begins with ``lo``, as every Linux host has it up
    (``loopback=False``: with nothing, as the kernel makes a namespace)."""

    def __init__(self, *, loopback: bool = True) -> None:
        self.devices: dict[str, Device] = {}
        self.others: Callable[[str], bool] | None = None
        """Who knows whether there is a device that nobody described: ``ipvssim run`` asks the machine."""
        self.neighbours: dict[tuple[str, bytes], bytes] = {}
        """(device name, address) to link-layer address; what is not in it does not resolve."""
        self.forwards = {AF_INET: True, AF_INET6: True}
        """Of each family, whether the host forwards packets that are not its own; :meth:`forward` changes it."""
        self.local_marks: set[int] = set()
        """Firewall marks whose packets are the host's own, whatever their address (``ip rule add fwmark 5 table local``)."""
        self.listens: Callable[[int, int], bool] = _nobody
        """Whether a program of the host's own listens on a port of a protocol, both as numbers.

        A port on which nobody listens is refused (with a RST, or an ICMP error). A program that listens answers through the
        director's ``send``.
        """
        self._configured: list[tuple[bytes, int, Route, bool]] = []
        self._had_ipv4 = False
        self._tables: dict[int, tuple[RouteTable, RouteTable]] | None = None
        self._paths: dict[bytes, Path] = {}
        self._types: dict[bytes, str] = {}
        self.told: dict[bytes, tuple[int, bool]] = {}
        """What :meth:`learn_mtu` was given of each address."""
        if loopback:
            self.add_device("lo", LOOPBACK, "127.0.0.1/8", "::1/128", mtu=65536)

    @property
    def forwarding(self) -> bool:
        """Whether the host forwards packets that are not its own, of both families. Setting it is for both."""
        return all(self.forwards.values())

    @forwarding.setter
    def forwarding(self, on: bool) -> None:
        for family in self.forwards:
            self.forward(family, on=on)

    def forward(self, family: int, *, on: bool) -> None:
        """Forward packets of that family, or cease to (``net.ipv4.ip_forward``, ``net.ipv6.conf.all.forwarding``)."""
        self.forwards[family] = on
        self.changed()

    # --- configuration: addresses and prefixes as text, or as objects of ipaddress; ValueError for what is none ---

    def add_device(
        self, name: str, kind: str, *addresses: Prefix, up: bool = True, mtu: int = 1500, mac: str | bytes = b""
    ) -> Device:
        """A device with addresses, each as ``10.0.0.1/8``; ``mac`` is six bytes, or text as ``02:00:00:00:00:01``."""
        if kind not in KINDS:
            raise ValueError(f"device {name!r}: unknown kind {kind!r}: one of {', '.join(KINDS)}")
        device = self.devices[name] = Device(name, kind, up=up, mtu=mtu, mac=parse_mac(mac))
        for text in addresses:
            self.add_address(device, text)
        self.changed()
        return device

    def find_device(self, name: str) -> Device | None:
        """The device of that name; one that :attr:`others` knows is added when it is first asked for, as a dummy with the
        link-local address that every device has which is up."""
        found = self.devices.get(name)
        if found is None and self.others is not None and self.others(name):
            found = self.add_device(name, DUMMY, f"fe80::{len(self.devices):x}/64")
        return found

    def add_address(self, device: Device, text: Prefix) -> None:
        """One more address, as ``10.0.0.1/8``."""
        device.addresses.append(parse_prefix(text))
        self.changed()

    def add_route(
        self, prefix: Prefix, kind: str = UNICAST, device: str = "", *, via: Address = "", source: Address = "",
        mtu: int = 0,
    ) -> None:  # fmt: skip
        """A route of the main table; ``0.0.0.0/0`` or ``::/0`` is the default. ``kind`` is one of
        :data:`ipvssim.net.routes.ROUTES`; unicast goes by ``device``, ``via`` a gateway where one is given."""
        if kind not in ROUTES:
            raise ValueError(f"route to {prefix}: unknown kind {kind!r}: one of {', '.join(ROUTES)}")
        address, length = parse_prefix(prefix)
        where = self._device(device) if device else None
        route = Route(kind, where, gateway=parse_address(via), source=parse_address(source), mtu=mtu)
        self._configured.append((address, length, route, False))
        self.changed()

    def add_local(self, prefix: Prefix, device: str = "lo") -> None:
        """A prefix of the local table: every address in it is the host's own."""
        address, length = parse_prefix(prefix)
        self._configured.append((address, length, Route(LOCAL, self._device(device)), True))
        self.changed()

    def add_neighbour(self, device: str, address: Address, mac: str | bytes) -> None:
        """A permanent neighbour: the link-layer address (six bytes, or text) that ``address`` has on ``device``."""
        self.neighbours[self._device(device).name, parse_address(address)] = parse_mac(mac)
        self._paths.clear()

    def add_host(self, address: bytes, route: Route, *, local: bool = False) -> None:
        """A route to one address (4 or 16 bytes), of the main table or the local one. Costs the same however many there are:
        no other address is looked up anew."""
        self._configured.append((address, len(address) * 8, route, local))
        if self._tables is not None:
            self._tables[len(address)][0 if local else 1].add(address, len(address) * 8, route)
        self._paths.pop(address, None)
        self._types.pop(address, None)

    def changed(self) -> None:
        """Forget every lookup: call it after changing a device by hand (``device.up``, ``device.mtu``...)."""
        self._tables = None
        self._paths.clear()
        self._types.clear()
        if any(device.up and len(own) == 4 for device in self.devices.values() for own, _ in device.addresses):
            self._had_ipv4 = True

    # --- lookups (addresses as 4 or 16 bytes) ---

    def path(self, address: bytes) -> Path:
        """Where packets to ``address`` go (remembered until the configuration changes)."""
        found = self._paths.get(address)
        if found is None:
            if len(self._paths) >= _CACHE_LIMIT:
                self._paths.clear()
            found = self._paths[address] = self._look_up(address)
        return found

    def resolve(self, device: Device, address: bytes) -> bytes | None:
        """The link-layer address of a next hop: empty on devices that need none, None where it does not resolve."""
        if device.kind != ETHERNET:
            return b""
        return self.neighbours.get((device.name, address))

    def learn_mtu(self, address: bytes, mtu: int, *, for_all: bool = True) -> None:
        """A router on the way to ``address`` says that no more fits. Paths handed out before keep the size they had. Without
        ``for_all`` it does not hold for packets that are only forwarded."""
        self.told[address] = mtu, for_all
        self._paths.pop(address, None)

    def is_local(self, address: bytes) -> bool:
        """Whether ``address`` is the host's own."""
        return self.path(address).kind == LOCAL

    def kind_of(self, address: bytes) -> str:
        """The kind of the path to ``address``, for whoever asks once: the path itself is not looked up."""
        route = self._route(address)
        return special_kind(address) or (NONE if route is None else route.kind)

    def came_by(self, data: bytes) -> str:
        """The device by which an IP packet must have come in: the one that its source is reached by; else the first that is
        not the loopback."""
        source = data[12:16] if data[:1] < b"\x60" else data[8:24]
        if len(source) in (4, 16):
            device = self.path(source).device
            if device is not None and device.kind != LOOPBACK:
                return device.name
        return next(name for name, device in self.devices.items() if device.kind != LOOPBACK)

    def address_type(self, address: bytes) -> str:
        """The type of an IPv4 address by the local table alone, as inet_addr_type (net/ipv4/fib_frontend.c, 6.1) tells it.

        The table comes into being with the first address of the namespace; before that all is broadcast.
        """
        if address in (ANY, ALL_ONES):
            return BROADCAST
        if address[0] & 0xF0 == 0xE0:
            return MULTICAST
        if not self._had_ipv4:
            return BROADCAST
        found = self._types.get(address)
        if found is None:
            if len(self._types) >= _MOST_TYPES:
                self._types.clear()
            route = self._built()[4][0].find(address)
            found = self._types[address] = UNICAST if route is None else route.kind
        return found

    def tables4(self) -> tuple[RouteTable, RouteTable]:
        """IPv4's routes: the local table, which is asked first, and the main one. Other tables once something changed."""
        return self._built()[4]

    def narrowed(self) -> dict[bytes, int]:
        """The addresses of which a router said what fits on the way to them (:meth:`learn_mtu`), and that MTU."""
        return {address: mtu for address, (mtu, _) in self.told.items()}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(map(repr, self.devices.values()))}>"

    # --- inside ---

    def _device(self, name: str) -> Device:
        try:
            return self.devices[name]
        except KeyError:
            raise ValueError(f"no device {name!r}: one of {', '.join(self.devices)}") from None

    def _look_up(self, address: bytes) -> Path:
        route = self._route(address)
        special = special_kind(address)
        if special:
            return self._reached(special, address, Route(special, route.device if route is not None else None))
        if route is None:
            return Path(NONE, None, b"", address, b"", 0)
        return self._reached(route.kind, address, route)

    def _route(self, address: bytes) -> Route | None:
        local, main = self._built()[len(address)]
        route = local.find(address)
        return main.find(address) if route is None else route

    def _reached(self, kind: str, address: bytes, route: Route) -> Path:
        device = route.device
        if device is None:
            return Path(kind, None, b"", address, b"", 0)
        next_hop = route.gateway or address
        source = route.source or (address if kind == LOCAL else self.source_for(device, next_hop))
        width = route.mtu or device.mtu
        mtu, for_all = self.told.get(address, (width, True))
        path = Path(kind, device, route.gateway, next_hop, source, mtu)
        path.through = mtu if for_all else width
        path.told = address in self.told
        path.resolves = device.kind != ETHERNET or (device.name, next_hop) in self.neighbours
        return path

    def source_for(self, device: Device, target: bytes) -> bytes:
        """The address that the host sends from on ``device``: the one nearest to ``target`` (for IPv4 the first whose
        prefix holds it, else the first; for IPv6 the longest common prefix within the target's scope). Where it has none of
        that family, one of the other devices': for IPv6 one that is local as the target is, or as it is not, comes first."""
        size = len(target)
        mine = [(own, length) for own, length in device.addresses if len(own) == size]
        if not mine:
            every = [
                own for other in self.devices.values() if other.up for own, _ in other.addresses if len(own) == size
            ]
            usable = [own for own in every if not is_host_only(own) and not (size == 16 and is_link_local(own))]
            if size == 16 and usable:
                return max(
                    usable, key=lambda own: (is_unique_local(own) == is_unique_local(target), common_bits(own, target))
                )
            return next(iter(usable), b"")
        if size == 4:
            return next((own for own, length in mine if holds(own, length, target)), mine[0][0])
        scoped = [own for own, _ in mine if is_link_local(own) == is_link_local(target)] or [own for own, _ in mine]
        return max(scoped, key=lambda own: common_bits(own, target))

    def link_local(self, device: Device) -> bytes:
        """The link-local address of ``device``: one that it was given, else the one made of its link-layer address (EUI-64).

        A device without a link-layer address has fe80::1; a kernel draws one at random for it.
        """
        given = next((own for own, _ in device.addresses if len(own) == 16 and is_link_local(own)), b"")
        if given or not device.mac:
            return given or _LINK + bytes(7) + b"\x01"
        mac = device.mac
        return _LINK + bytes((mac[0] ^ 2,)) + mac[1:3] + b"\xff\xfe" + mac[3:]

    def _built(self) -> dict[int, tuple[RouteTable, RouteTable]]:
        if self._tables is None:
            self._tables = {4: (RouteTable(32), RouteTable(32)), 16: (RouteTable(128), RouteTable(128))}
            for device in self.devices.values():
                if device.up:
                    for address, length in device.addresses:
                        self._add_own(device, address, length)
            for address, length, route, is_local in self._configured:
                if route.device is None or route.device.up:
                    self._tables[len(address)][0 if is_local else 1].add(address, length, route)
        return self._tables

    def _add_own(self, device: Device, address: bytes, length: int) -> None:
        assert self._tables is not None
        local, main = self._tables[len(address)]
        bits = len(address) * 8
        own = Route(LOCAL, device, source=address)
        local.add(address, bits, own)
        if length == bits:
            return
        if device.kind == LOOPBACK and len(address) == 4:
            local.add(address, length, own)
        else:
            main.add(address, length, Route(UNICAST, device, source=address if len(address) == 4 else b""))
        if len(address) == 4 and length < 31:
            last = int.from_bytes(address, "big") | (1 << 32 - length) - 1
            local.add(last.to_bytes(4, "big"), 32, Route(BROADCAST, device, source=address))
        if len(address) == 16 and length < 127 and self.forwards[AF_INET6]:
            local.add(anycast(address, length), bits, own)


def _nobody(protocol: int, port: int) -> bool:
    del protocol, port
    return False


_ETHER_TYPES: Final = {4: b"\x08\x00", 6: b"\x86\xdd"}


def ether_type(data: bytes) -> bytes:
    """The EtherType of an IP packet; zero for bytes that are none."""
    return _ETHER_TYPES.get(data[0] >> 4 if data else 0, b"\0\0")


def framed(data: bytes, device: Device) -> bytes:
    """A bare IP packet in an Ethernet frame to the host, from a sender of address zero."""
    return device.mac + bytes(6) + ether_type(data) + data


__all__ = [
    "BLACKHOLE", "BROADCAST", "DUMMY", "ETHERNET", "LOCAL", "LOOPBACK", "MULTICAST", "NONE", "PROHIBIT", "RAW", "UNICAST",
    "UNREACHABLE", "Device", "Network", "Path", "Route", "ether_type", "framed",
]  # fmt: skip
