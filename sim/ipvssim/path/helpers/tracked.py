"""The packets of tracked connections: looked into, rewritten, their sequence numbers moved, on the way in and out.

The order is the kernel's: conntrack sees a packet before IPVS does (PREROUTING), IPVS's handlers change it
(tcp_dnat_handler, tcp_snat_handler, net/netfilter/ipvs/ip_vs_proto_tcp.c), and at the end its sequence numbers are moved and
its entry is confirmed (nf_confirm, POSTROUTING). Linux 6.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipvsnl.consts import AF_INET, AF_INET6
from ipvssim.net.checksums import is_valid, pseudo, total, transport
from ipvssim.net.packets import TCP, Packet, sign4
from ipvssim.path.connections import F_NFCT, MASQUERADE, METHOD, ConnectionEntry
from ipvssim.path.forwarding import nat
from ipvssim.path.helpers.conntrack import AGAIN, ORIGINAL, VALID, Tracking
from ipvssim.path.helpers.entries import ACTIVE, HelpedEntry, TrackedEntry
from ipvssim.path.helpers.ftp import Ftp, Rewriting
from ipvssim.path.helpers.segment import Segment
from ipvssim.path.helpers.sequences import adjusted
from ipvssim.path.protocols import INPUT, OUTPUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipvssim.path.accounts import Accounts
    from ipvssim.path.connection_table import ConnectionTable
    from ipvssim.state.namespace import Namespace

FTP = 21
_CHECKED_RIGHT = 183
"""From this 6.1 release on a helper's check of an IPv6 packet's checksum leaves out what conntrack summed up already."""
_MANGLED_ZERO = b"\xff\xff"


class Tracked:
    """Tracking and helpers of one namespace."""

    def __init__(self, namespace: Namespace, connections: ConnectionTable, accounts: Accounts) -> None:
        self.checks = True
        """net.netfilter.nf_conntrack_checksum: whether tracking verifies checksums."""
        self._namespace = namespace
        self._table = namespace.table
        self.connections = connections
        self._ports = frozenset(port.to_bytes(2, "big") for port in namespace.modules.ftp_ports)
        self._ftp = Ftp(connections, accounts, namespace.sublevel)
        self._sums_twice = namespace.sublevel < _CHECKED_RIGHT
        self._packet: Packet | None = None
        self._entry: Tracking | None = None
        self._looks = 0
        """How often tracking looked at the present packet."""
        if self._ports:
            connections.made_as = self._kind
            namespace.applications = self.applications

    def _kind(self, protocol: int, virtual_port: bytes, flags: int) -> type[ConnectionEntry] | None:
        """What a new connection is: one of a helper's ports is looked into, if its addresses are translated."""
        helped = protocol == TCP and flags & METHOD == MASQUERADE and virtual_port in self._ports
        return HelpedEntry if helped else None

    def applications(self) -> Iterator[tuple[int, int]]:
        """The ports that are looked at, with the number of connections: the rows of ``/proc/net/ip_vs_app``."""
        used = [one.virtual_port for one in self.connections if isinstance(one, HelpedEntry)]
        for port in reversed(self._namespace.modules.ftp_ports):
            yield port, used.count(port.to_bytes(2, "big"))

    # --- the entry of a packet ---

    def is_held(self, packet: Packet, connection: ConnectionEntry) -> bool:
        """Whether a request belongs to a confirmed entry: then it makes no place for a new connection, it is dropped
        (``ip_vs_conn_uses_old_conntrack``). Where not, the connection's end leaves the entry alone."""
        if not connection.flags & F_NFCT or not isinstance(connection, TrackedEntry):
            return False
        entry = self._attached(packet, connection, INPUT)
        if entry is not None and entry.confirmed:
            return True
        connection.flags &= ~F_NFCT
        return False

    def _attached(self, packet: Packet, connection: TrackedEntry, direction: int) -> Tracking | None:
        """The entry that tracking gives a packet, once for each packet."""
        if self._packet is not packet:
            self._packet, self._looks = packet, 0
            self._entry = self._look(packet, connection, direction)
        return self._entry

    def _look(self, packet: Packet, connection: TrackedEntry, direction: int) -> Tracking | None:
        if not self._is_hooked(packet.family):
            return None
        now = self._namespace.clock.now
        entry = connection.tracking
        if entry is not None and entry.deadline <= now:
            entry = connection.tracking = None
        segment = Segment.of(packet, checks=self.checks)
        while True:
            self._looks += 1
            if segment is None:
                return None
            if entry is None:
                entry = Tracking.begin(segment, direction)
                if entry is None:
                    return None
            verdict = entry.judge(segment, direction, now)
            if verdict != AGAIN:
                break
            entry = connection.tracking = None
        if entry.deadline <= now:
            connection.tracking = None
        return entry if verdict == VALID else None

    def _clashes(self, packet: Packet, connection: TrackedEntry) -> bool:
        """Whether a request that its entry does not take is lost: tracking sees it again when it leaves for the server
        (LOCAL_OUT), begins an entry for it, and finds at its end that the replies belong to the other."""
        if connection.tracking is None or not self._is_hooked(packet.family):
            return False
        segment = Segment.of(packet, checks=False)
        return segment is not None and Tracking.begin(segment, INPUT) is not None

    def _is_hooked(self, family: int) -> bool:
        """Whether the namespace is tracked: a service at port 21 with a server by masquerading asks for that."""
        if not self._table.ftp_services:
            return False
        return any(service.tracked and service.family == family for service in self._table.services())

    # --- the way in and the way out ---

    def request(self, packet: Packet, connection: ConnectionEntry, hops: int) -> bytes | None:
        """A request as it goes to the server; None: it is dropped."""
        assert isinstance(connection, TrackedEntry)
        entry = self._attached(packet, connection, INPUT)
        if isinstance(connection, HelpedEntry):
            if len(packet.data) < packet.offset + 20 or not self._is_sound(packet):
                return None
            self._ftp.command(packet, connection)
        data = nat.request(packet, connection, hops)
        if data is None or (entry is None and self._clashes(packet, connection)):
            return None
        return self._leaves(data, packet.offset, connection, entry, INPUT)

    def reply(self, packet: Packet, connection: ConnectionEntry) -> bytes | None:
        """A reply as it goes to the client; None: it is dropped."""
        assert isinstance(connection, TrackedEntry)
        entry = self._attached(packet, connection, OUTPUT)
        rewritten = False
        if isinstance(connection, HelpedEntry):
            if len(packet.data) < packet.offset + 20 or not _is_right(packet):
                return None
            if connection.mode != ACTIVE:
                change = self._ftp.answer(packet, connection)
                if change is not None:
                    if entry is None:
                        return None
                    packet, rewritten = self._rewritten(packet, change, entry), True
        data = nat.reply(packet, connection)
        if data is None:
            return None
        left = self._leaves(data, packet.offset, connection, entry, OUTPUT)
        return _signed(left, packet) if rewritten and left is not None else left

    def _rewritten(self, packet: Packet, change: Rewriting, entry: Tracking) -> Packet:
        """The packet with its payload changed; its checksum is yet to be computed."""
        data, start = packet.data, packet.offset
        at = start + (data[start + 12] >> 4) * 4 + change.start
        data = data[:at] + change.new + data[at + change.old :]
        difference = len(change.new) - change.old
        if packet.family == AF_INET:
            data = sign4(data[:2] + len(data).to_bytes(2, "big") + data[4:start]) + data[start:]
        else:
            data = data[:4] + (len(data) - 40).to_bytes(2, "big") + data[6:]
        if difference and entry.can_shift:
            way = ORIGINAL if entry.origin == OUTPUT else 1 - ORIGINAL
            entry.moved[way].grow(int.from_bytes(data[start + 4 : start + 8], "big"), difference)
            entry.shifts = True
        return packet.replaced(data)

    def _leaves(
        self, data: bytes, offset: int, connection: TrackedEntry, entry: Tracking | None, direction: int
    ) -> bytes | None:
        """The end of the way: an entry that is new learns of the translation, sequence numbers move, it is confirmed."""
        if entry is None:
            return data
        original = entry.origin == direction
        if not entry.confirmed and original and isinstance(connection, HelpedEntry):
            entry.can_shift = True
        if entry.shifts:
            own, other = entry.moved if original else entry.moved[::-1]
            moved = adjusted(data, offset, own, other)
            if moved is None:
                return None
            data = moved
        if not entry.confirmed:
            entry.confirmed = True
            connection.tracking = entry
        return data

    def _is_sound(self, packet: Packet) -> bool:
        """Whether a request's checksum passes the helper's check.

        Before 6.1.183 the check took over what conntrack had summed up, IPv6 header included; then no request over IPv6
        passes. One that tracking looked at twice is not checked again.
        """
        if not self._looks or not self.checks or not self._sums_twice or packet.family != AF_INET6:
            return _is_right(packet)
        if self._looks > 1:
            return True
        data = packet.data
        return not (total(data) + pseudo(packet.source, packet.destination, TCP, len(data) - packet.offset)) % 0xFFFF


def _is_right(packet: Packet) -> bool:
    segment = packet.data[packet.offset :]
    return is_valid(segment, pseudo(packet.source, packet.destination, TCP, len(segment)))


def _signed(data: bytes, packet: Packet) -> bytes:
    """The packet with its TCP checksum computed anew."""
    start = packet.offset
    source, destination = (data[12:16], data[16:20]) if packet.family == AF_INET else (data[8:24], data[24:40])
    segment = data[start : start + 16] + b"\0\0" + data[start + 18 :]
    check = transport(source, destination, TCP, segment).to_bytes(2, "big")
    return data[: start + 16] + (check if any(check) else _MANGLED_ZERO) + data[start + 18 :]
