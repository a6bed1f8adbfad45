"""The packets of connections that a helper looks into: what it does with them, on the way in and out.

IPVS's handlers hand them over (tcp_dnat_handler, tcp_snat_handler, net/netfilter/ipvs/ip_vs_proto_tcp.c, Linux 6.1). What
becomes of sequence numbers after a rewriting is connection tracking's (:mod:`ipvssim.path.tracking.sequences`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipvsnl.consts import AF_INET, AF_INET6
from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.net.checksums import is_valid, pseudo, total
from ipvssim.net.packets import TCP, Packet, sign4
from ipvssim.path.connections import F_HELPED, F_NO_CPORT, MASQUERADE, METHOD, ConnectionEntry
from ipvssim.path.forwarding import nat
from ipvssim.path.helpers.entries import ACTIVE, HelpedEntry
from ipvssim.path.helpers.ftp import Ftp, Rewriting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipvssim.path.accounts import Accounts
    from ipvssim.path.connection_table import ConnectionTable
    from ipvssim.path.tracking import Tracker
    from ipvssim.state.namespace import Namespace

    Translate = Callable[[Packet, ConnectionEntry, int], bytes | None]


@mypyc_attr(allow_interpreted_subclasses=True)
class Helpers(Part):
    """The application helpers of one namespace: FTP's, where it is loaded."""

    def __init__(
        self, namespace: Namespace, connections: ConnectionTable, accounts: Accounts, tracker: Tracker
    ) -> None:
        self._modules = namespace.modules
        self._connections = connections
        self._tracker = tracker
        self._ports = frozenset(port.to_bytes(2, "big") for port in namespace.modules.ftp_ports)
        self._ftp = Ftp(connections, accounts, namespace.behaviours)
        self._sums_twice = not namespace.behaviours.helper_checksums6
        self._skips_none = not namespace.behaviours.helper_offsets6
        if self._ports:
            connections.made_as = self._kind

    def _kind(self, protocol: int, virtual_port: bytes, flags: int) -> type[ConnectionEntry]:
        """What a new connection is: one of a helper's ports is looked into, if its addresses are translated."""
        helped = protocol == TCP and flags & METHOD == MASQUERADE and virtual_port in self._ports
        return HelpedEntry if helped else ConnectionEntry

    def applications(self) -> Iterator[tuple[int, int]]:
        """The ports that are looked at, with the number of connections: the rows of ``/proc/net/ip_vs_app``."""
        used = [one.virtual_port for one in self._connections if isinstance(one, HelpedEntry)]
        for port in reversed(self._modules.ftp_ports):
            yield port, used.count(port.to_bytes(2, "big"))

    def takes(self, packet: Packet, connection: ConnectionEntry) -> Translate:
        """What translates a request of a connection that is no ordinary one. If it waited for its client, that has come."""
        if connection.flags & F_NO_CPORT:
            self._connections.fill(connection, packet.key[-4:-2])
        return self.request if connection.flags & F_HELPED else nat.request

    def request(self, packet: Packet, connection: ConnectionEntry, hops: int) -> bytes | None:
        """A request as it goes to the server; None: it is dropped."""
        assert isinstance(connection, HelpedEntry)
        if len(packet.data) < packet.offset + 20 or not self._is_sound(packet):
            return None
        self._ftp.command(packet, connection)
        return nat.request(packet, connection, hops)

    def reply(self, packet: Packet, connection: ConnectionEntry) -> bytes | None:
        """A reply as it goes to the client; None: it is dropped. What is rewritten needs an entry of connection tracking."""
        assert isinstance(connection, HelpedEntry)
        if len(packet.data) < packet.offset + 20 or self._misses(packet) or not _is_right(packet):
            return None
        if connection.mode != ACTIVE:
            change = self._ftp.answer(packet, connection)
            if change is not None:
                if not self._tracker.has_entry:
                    return None
                start = packet.offset + 4
                sequence = int.from_bytes(packet.data[start : start + 4], "big")
                self._tracker.rewrites(sequence, len(change.new) - change.old)
                packet = _rewritten(packet, change)
        return nat.reply(packet, connection)

    def _misses(self, packet: Packet) -> bool:
        """Whether the check takes IPv6 extension headers for the segment."""
        return self._skips_none and packet.family == AF_INET6 and packet.offset > 40

    def _is_sound(self, packet: Packet) -> bool:
        """Whether a request's checksum passes the helper's check.

        Without ``helper_checksums6`` the check takes over what conntrack summed up, IPv6 header included; then no request
        over IPv6 passes. One that tracking looked at twice is not checked again.
        """
        looks = self._tracker.looks if self._tracker.checks else 0
        if looks <= 1 and self._misses(packet):
            return False
        if not looks or not self._sums_twice or packet.family != AF_INET6:
            return _is_right(packet)
        if looks > 1:
            return True
        data = packet.data
        return not (total(data) + pseudo(packet.source, packet.destination, TCP, len(data) - packet.offset)) % 0xFFFF


def _rewritten(packet: Packet, change: Rewriting) -> Packet:
    """The packet with its payload changed; its checksum is computed when it leaves."""
    data, start = packet.data, packet.offset
    at = start + (data[start + 12] >> 4) * 4 + change.start
    data = data[:at] + change.new + data[at + change.old :]
    if packet.family == AF_INET:
        data = sign4(data[:2] + len(data).to_bytes(2, "big") + data[4:start]) + data[start:]
    else:
        data = data[:4] + (len(data) - 40).to_bytes(2, "big") + data[6:]
    return packet.replaced(data)


def _is_right(packet: Packet) -> bool:
    segment = packet.data[packet.offset :]
    return is_valid(segment, pseudo(packet.source, packet.destination, TCP, len(segment)))
