"""Which side a captured packet was seen on: does it come to the director, or did it leave the one that was captured?

The rules tell most of it: what goes to a virtual address is a request; what goes to a tunnel's server in a tunnel has left;
so has what goes from a virtual address, and what a known client sends to a server behind address translation. With direct
routing a request leaves as it came: there its second copy has left, the one with another receiver's MAC address, on another
interface, or with a lifetime reduced by one. What a link or the user says of a packet's direction goes before all that.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from ipvsnl.consts import AF_INET, AF_INET6
from ipvssim.clock import SECOND
from ipvssim.doors.captures.links import Link
from ipvssim.doors.captures.memory import First, Memory
from ipvssim.net.packets import GRE, IPIP, IPV6, TCP, UDP, WITH_PORTS, Packet, quote
from ipvssim.path.connections import DIRECT, MASQUERADE, TUNNEL

if TYPE_CHECKING:
    from ipvssim.doors.captures.flows import Flow
    from ipvssim.state.service_table import ServiceTable

_FINGERPRINT = 48
"""Bytes of a transport segment that tell packets apart: few, since captures may keep no more."""
_GUE = 12


class Role(Enum):
    """What a packet is: it came, it left towards a server, or towards a client, or it is the host's own, or one that came
    was seen on a second interface."""

    CAME = "came"
    LEFT = "left for a server"
    BACK = "left for a client"
    OWN = "the host's own"
    AGAIN = "seen again on another interface"


class Told(NamedTuple):
    """What the user says of the capture: the director's MAC addresses, the interfaces towards clients and servers (by name
    or number), and servers by their MAC addresses."""

    director: frozenset[bytes] = frozenset()
    client_side: frozenset[str] = frozenset()
    server_side: frozenset[str] = frozenset()
    servers: tuple[tuple[bytes, bytes], ...] = ()


class Seen(NamedTuple):
    """A packet's role. ``packet`` is the request that left, unwrapped; ``server`` the address and port (0: unknown) that it
    left for, where its bytes say so; ``flow`` the one that it belongs to; ``print`` what a request is to be remembered by
    (empty: it is none)."""

    role: Role
    packet: Packet
    print: bytes = b""
    server: tuple[bytes, int] | None = None
    flow: Flow | None = None


class Sides:
    """Tells the sides of one capture's packets by a table's rules."""

    def __init__(self, table: ServiceTable, told: Told, memory: Memory | None = None) -> None:
        self.told = told
        self.memory = memory if memory is not None else Memory()
        services = list(table.services())
        servers = [server for service in services for server in service.servers()]
        self.virtual = {service.address for service in services if not service.fwmark}
        self.marks = {service.fwmark for service in services if service.fwmark}
        self.translated = {server.address for server in servers if server.forwarding == MASQUERADE}
        self.direct = {server.address for server in servers if server.forwarding == DIRECT}
        self.tunnels = {
            (server.address, port)
            for server in servers if server.forwarding == TUNNEL
            for port in {0, server.tunnel_port}
        }  # fmt: skip

    def see(self, data: bytes, link: Link, when: int, mark: int) -> Seen | None:
        """The role of an IP packet that carries ``mark``; None where its header can't be read."""
        packet = quote(data, AF_INET if data[0] >> 4 == 4 else AF_INET6, reverse=False)
        if packet is None:
            return None
        seen = self._seen(packet, link, when, mark)
        if seen.role is Role.LEFT and len(link.source) == 6:
            self.memory.own_mac(link.source)
        elif seen.role is Role.OWN:
            self.memory.own_address(packet.source)
        return seen

    def _seen(self, packet: Packet, link: Link, when: int, mark: int) -> Seen:
        inner = self._unwrapped(packet)
        if inner is not None:
            print = _fingerprint(inner)
            first = self.memory.first(print)
            flow = first.flow if first is not None else self._flow_of(inner)
            return Seen(Role.LEFT, inner, server=(packet.destination, 0), flow=flow)
        outgoing = self._outgoing(link)
        if packet.destination in self.virtual or (mark in self.marks and self._is_fresh(packet)):
            return self._request(packet, link, when, outgoing)
        if packet.source in self.virtual or (packet.source not in self.translated and self._is_reply(packet)):
            return Seen(Role.BACK, packet)
        if packet.destination in self.translated and self._is_from_client(packet):
            return Seen(Role.LEFT, packet, server=(packet.destination, packet.port), flow=self._flow_of(packet))
        own = link.source in self.memory.own_macs and packet.source not in self.translated
        own = own or packet.destination in self.memory.own_addresses
        return Seen(Role.OWN if outgoing or own else Role.CAME, packet)

    def came(self, seen: Seen, link: Link, when: int, flow: Flow | None) -> None:
        """A request came in and was given to ``flow``: its copies will be known."""
        packet = seen.packet
        if flow is not None:
            address, port = flow.client
            self.memory.asked(flow.protocol, address + port.to_bytes(2, "big"), flow)
        self.memory.client(packet.source)
        self.memory.remember(seen.print, First(link.interface, link.target, packet.hops, when, flow))

    def answered(self, packet: Packet) -> Flow | None:
        """The flow that a packet from a server answers."""
        if not _has_ports(packet):
            return None
        return self.memory.flow(packet.protocol, packet.destination + packet.key[-2:])

    # --- inside ---

    def _outgoing(self, link: Link) -> bool | None:
        """Whether the packet left, as the user or the link says; None where neither does."""
        told = self.told
        if told.director:
            if link.source in told.director:
                return True
            if link.target in told.director:
                return False
        return {"out": True, "in": False}.get(link.direction)

    def _request(self, packet: Packet, link: Link, when: int, outgoing: bool | None) -> Seen:
        print = _fingerprint(packet)
        first = self.memory.first(print)
        if first is not None and abs(when - first.when) > SECOND:
            first = None
        flow = first.flow if first is not None else None
        left = Seen(Role.LEFT, packet, flow=flow if flow is not None else self._flow_of(packet))
        if link.interface in self.told.server_side and packet.source not in self.translated:
            return left
        if outgoing and self.memory.any_request:  # on a client's own host nothing but requests goes out
            return left
        if link.interface not in self.told.client_side and first is not None and not outgoing:
            other_way = bool(link.interface and first.interface and link.interface != first.interface)
            if outgoing is False:
                if other_way:  # a device, and the bridge or VLAN that it belongs to
                    return Seen(Role.AGAIN, packet)
            elif self._is_copy(first, packet, link, other_way):
                return left
        if not outgoing:
            self.memory.any_request = True
        return Seen(Role.CAME, packet, print)

    def _is_copy(self, first: First, packet: Packet, link: Link, other_way: bool) -> bool:
        if other_way or packet.hops == first.hops - 1:
            return True
        return packet.hops == first.hops and bool(link.target) and link.target != first.target

    def _is_reply(self, packet: Packet) -> bool:
        """Whether it goes back to a client from the address that this had sent to."""
        flow = self.answered(packet)
        return flow is not None and flow.virtual == (packet.source, packet.client_port)

    def _is_fresh(self, packet: Packet) -> bool:
        """Whether it is neither an answer to a known client nor what such a one's request became."""
        if self.answered(packet) is not None:
            return False
        return packet.destination not in self.translated or not self._is_from_client(packet)

    def _is_from_client(self, packet: Packet) -> bool:
        return self._flow_of(packet) is not None if _has_ports(packet) else self.memory.is_client(packet.source)

    def _flow_of(self, packet: Packet) -> Flow | None:
        if not _has_ports(packet):
            return None
        return self.memory.flow(packet.protocol, packet.source + packet.key[-4:-2])

    def _unwrapped(self, packet: Packet) -> Packet | None:
        """The packet in a tunnel to a server of the rules."""
        protocol, data, at = packet.protocol, packet.data, packet.offset
        port = packet.port if protocol == UDP else 0
        if (packet.destination, port) not in self.tunnels:
            return None
        if protocol == GRE:
            at += 8 if data[at : at + 1] >= b"\x80" else 4
        elif protocol == UDP:
            at += 8 + _gue(data[at + 8 : at + 10])
        elif protocol not in (IPIP, IPV6):
            return None
        inner = data[at:]
        version = inner[0] >> 4 if inner else 0
        return quote(inner, AF_INET if version == 4 else AF_INET6, reverse=False) if version in (4, 6) else None


def _has_ports(packet: Packet) -> bool:
    """Whether its ports can be read: what a later fragment has in their place is none, and the first goes as they do."""
    return packet.protocol in WITH_PORTS and bool(packet.key) and not packet.fragment


def _gue(head: bytes) -> int:
    """Bytes of a GUE header: its first byte counts the words behind the first."""
    return 4 + (head[0] & 31) * 4 if head else 4


def _fingerprint(packet: Packet) -> bytes:
    """What a request and its copy have in common, whatever way it is forwarded. capture.c writes the same."""
    data, at = packet.data, packet.offset
    ident = data[2:6] if packet.family == AF_INET else data[1:6]
    segment = data[at + 4 : at + _FINGERPRINT]
    check = 12 if packet.protocol == TCP else 2
    rest = segment[:check] + segment[check + 2 :]
    head = bytes((packet.protocol, len(packet.source))) + packet.source + ident + packet.fragment.to_bytes(4, "big")
    return head + data[at : at + 2] + rest


def told(
    director: Iterable[str] = (), client_side: Iterable[str] = (), server_side: Iterable[str] = (),
    servers: Iterable[tuple[bytes, bytes]] = (),
) -> Told:  # fmt: skip
    """What a user says, from words; ValueError names a MAC address that is none."""
    return Told(frozenset(map(mac, director)), frozenset(client_side), frozenset(server_side), tuple(servers))


def mac(text: str) -> bytes:
    """Six bytes from 02:00:00:00:00:01; ValueError where it is no MAC address."""
    try:
        found = bytes.fromhex(text.replace(":", "").replace("-", ""))
    except ValueError:
        found = b""
    if len(found) != 6:
        raise ValueError(f"{text!r} is no MAC address: write it as 02:00:00:00:00:01")
    return found
