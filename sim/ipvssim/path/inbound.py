"""Requests: what clients send to virtual addresses (ip_vs_in_hook, net/netfilter/ipvs/ip_vs_core.c, Linux 6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvsnl.consts import AF_INET
from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.net.checksums import is_valid, pseudo
from ipvssim.net.icmp import LARGEST4, LARGEST6
from ipvssim.net.packets import ICMP, ICMPV6, RST, SCTP, SYN, TCP, UDP, WITH_PORTS, Packet, parse4, parse6
from ipvssim.path.connections import (
    F_NO_OUTPUT,
    F_ONE_PACKET,
    F_TRACKED,
    MASQUERADE,
    METHOD,
    NO_PORTS,
    ConnectionEntry,
    reply_key,
)
from ipvssim.path.forwarding import nat
from ipvssim.path.protocols import INPUT, ISAKMP, OUTPUT, sctp, tcp
from ipvssim.path.result import TO_HOST, Result
from ipvssim.state.daemons import BACKUP

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipvssim.path.accounts import Accounts
    from ipvssim.path.connection_table import ConnectionTable
    from ipvssim.path.debug_log import PathLog
    from ipvssim.path.icmp_errors import IcmpErrors
    from ipvssim.path.selection import Selection
    from ipvssim.path.tracking import Tracker
    from ipvssim.path.transmit import Transmitter
    from ipvssim.state.namespace import Namespace

_RESET: Final = bytes(13) + b"\x14" + bytes(6)
"""A TCP header with RST, as far as states look at it."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Inbound(Part):
    """The hook for requests. ``expiring`` are connections that were told to go: they do once the packet is done."""

    def __init__(
        self, namespace: Namespace, connections: ConnectionTable, accounts: Accounts, selection: Selection,
        transmitter: Transmitter, errors: IcmpErrors, tracker: Tracker,
    ) -> None:  # fmt: skip
        self.table = namespace.table
        self.sysctls = namespace.sysctls
        self._reuse0_reschedules = namespace.behaviours.reuse0_reschedules
        self._nodest_reschedules = namespace.behaviours.nodest_reschedules
        self.connections = connections
        self.accounts = accounts
        self.errors = errors
        self.synced: Callable[[ConnectionEntry, int], object] | None = None
        """Called at every request with its connection and packet count, where a master would consider a message."""
        self._daemons = namespace.daemons
        self._selection = selection
        self._transmitter = transmitter
        self._tracker = tracker
        self.expiring: list[ConnectionEntry] = []
        self.log: PathLog | None = None

    def known(self, packet: Packet) -> ConnectionEntry | None:
        """The connection of a plain request that nothing stands in the way of: most packets, which is why they take this
        short way. Its addresses passed the routing's checks when it was opened, and nothing else of the order of work
        applies to it. None: the long way decides."""
        requests = self.connections.requests.get(packet.protocol)
        if requests is None or self.log is not None:  # the kernel tells of the long way
            return None
        key = packet.key
        connection = requests.get(key)
        if connection is None or packet.fragment or not packet.unicast or not (key[-4] or key[-3]):
            return None
        server, start = connection.server, packet.offset
        if server is None or not server.available or start != (20 if packet.family == AF_INET else 40):
            return None
        if packet.protocol != UDP and self._is_new(packet):
            return None
        return None if self.sysctls.backup_only or key in self.connections.replies[packet.protocol] else connection

    def handle(self, packet: Packet, result: Result) -> None:
        """The hook for requests: look up, schedule, count, follow, transmit."""
        protocol = packet.protocol
        if protocol not in self.accounts.machines or not packet.unicast or not self.watches():
            self._not_balanced(packet, result)
            return
        connection = self._find(packet)
        if connection is not None:
            connection = self._still_good(packet, connection, result)
            if connection is None and result.reason:
                return
        if connection is None:
            connection = self._selection.open(packet, result)
            if connection is None:
                connection = result.connection  # a bypass
                if connection is None:
                    return
        self.serve(packet, connection, result)

    def serve(self, packet: Packet, connection: ConnectionEntry, result: Result) -> None:
        """A request of a connection: counted, followed, transmitted; in this order, whatever becomes of it."""
        result.connection = connection
        result.server = connection.server
        self.accounts.count_in(connection, len(packet.data))
        self.accounts.follow(packet, connection, INPUT)
        self._transmitter.transmit(packet, connection, result)
        if not result.reason:
            result.reason = "opened a connection" if result.opened else "known connection"
        connection.in_packets += 1
        if self.synced is not None:
            self.synced(connection, connection.in_packets)
        if connection.flags & F_ONE_PACKET:
            if connection.control is not None:
                connection.control.in_packets += 1
            self.connections.expire(connection)
        else:
            connection.start(connection.timeout)

    def _not_balanced(self, packet: Packet, result: Result) -> None:
        if self.takes_error(packet) and self.errors.request(packet, result):
            return
        icmp = packet.protocol == (ICMP if packet.family == AF_INET else ICMPV6)
        result.accept("ICMP for the director itself" if icmp else "not balanced")

    def takes_error(self, packet: Packet) -> bool:
        """Whether it is an ICMP error that IPVS looks into."""
        if packet.protocol != (ICMP if packet.family == AF_INET else ICMPV6) or not packet.unicast:
            return False
        if self.log is not None and self.watches() and self.accounts.is_hooked(packet.family):
            self.log.icmp("Incoming", packet)
        return self.watches() and self.errors.is_handled(packet) and self.accounts.is_hooked(packet.family)

    def tell_server(self, data: bytes, result: Result) -> bytes | None:
        """What still leaves of the host's own ICMP error, at LOCAL_OUT (``ip_vs_in_icmp``). What came from the virtual
        address of another host was a reply of the service's: so the error goes to its server. Where that is this host, the
        error goes on where it went, translated."""
        packet = parse4(data) if data[0] < 0x60 else parse6(data)
        if not isinstance(packet, Packet) or not self.takes_error(packet):
            return data
        told = Result()
        if not self.errors.request(packet, told, leaves=True):
            return data
        result.out += told.out
        connection = told.connection
        if told.verdict is not TO_HOST:
            return None
        if connection is None or connection.flags & METHOD != MASQUERADE:
            return data
        return nat.icmp(packet, connection, towards_client=False, hops=packet.hops)

    def watches(self) -> bool:
        """Whether requests are looked at at all: a service was ever added, and this is no pure backup."""
        if not self.table.ever_used:
            return False
        if not self.sysctls.backup_only:
            return True
        return all(daemon.role != BACKUP for daemon in self._daemons.running())

    def _find(self, packet: Packet) -> ConnectionEntry | None:
        protocol, key = packet.protocol, packet.key
        if protocol not in WITH_PORTS:
            key, protocol = packet.source + packet.destination + ISAKMP, UDP
        found = self.connections.requests[protocol].get(key)
        if found is None or key[-4:-2] == NO_PORTS:
            # port 0 of a client stands for "any", and is never found (__ip_vs_conn_in_get)
            found = self.connections.known(protocol, key) if self.connections.waiting and key else None
        if self.log is not None:
            self.log.looked_up("in", protocol, key, found=found is not None)
        return found

    def _still_good(self, packet: Packet, connection: ConnectionEntry, result: Result) -> ConnectionEntry | None:
        """The connection, unless it has to make place for a new one (None) or its server is gone (None, with a reason)."""
        server = connection.server
        if not (server is not None and server.available) and not self.accounts.is_hooked(packet.family):
            result.accept("no service of this family is left")
            return None
        if self._is_new(packet) and self._is_to_be_replaced(connection):
            self._make_way(connection, result, going=not connection.controlled)
            return None
        if server is not None and not server.available:
            expires = bool(self.sysctls.expire_nodest_conn)
            if expires and self._nodest_reschedules:
                self._make_way(connection, result, going=True)
                return None
            result.connection, result.server = connection, server
            result.drop("its server is gone")
            if expires:
                self.expiring.append(connection)
            return None
        return connection

    def _make_way(self, connection: ConnectionEntry, result: Result, *, going: bool) -> None:
        """It goes, and the packet opens another; but not where the packet's connection-tracking entry leads to the old
        server: that entry goes first, with the connection, and a new one is opened when the client tries again."""
        if going:
            self.expiring.append(connection)
        if self._tracker.is_old:
            result.connection, result.server = connection, connection.server
            result.drop("its connection-tracking entry leads to the old server")
        else:
            connection.flags &= ~F_TRACKED

    def _is_new(self, packet: Packet) -> bool:
        data, start = packet.data, packet.offset
        if packet.protocol == TCP:
            return len(data) >= start + 20 and bool(data[start + 13] & SYN)
        return packet.protocol == SCTP and sctp.chunk_type(data, start) == sctp.CID_INIT

    def _is_to_be_replaced(self, connection: ConnectionEntry) -> bool:
        sysctls, server = self.sysctls, connection.server
        mode = sysctls.conn_reuse_mode
        if not mode and not self._reuse0_reschedules:
            return False
        if sysctls.expire_nodest_conn and server is not None and not server.weight:
            return True
        if not mode or connection.control is not None or (connection.controlled and self._tracker.is_old):
            return False
        if connection.protocol == SCTP:
            return connection.state == sctp.CLOSED
        if connection.state in (tcp.TIME_WAIT, tcp.CLOSE):
            return True
        return bool(mode & 2 and connection.state == tcp.FIN_WAIT and connection.flags & F_NO_OUTPUT)

    def refuse(self, packet: Packet, connection: ConnectionEntry | None) -> None:
        """The host, on which nobody listens, refuses a packet: with a RST, or an ICMP error.

        At LOCAL_OUT that is a reply of the connection that the packet belongs to; and it may look like one where there is
        none: of a connection whose client port is 0, say, which requests do not find.
        """
        protocol, key = packet.protocol, packet.key
        reply = packet.destination + packet.source + key[-2:] + key[-4:-2]
        if connection is not None and connection.flags & F_ONE_PACKET:  # it is in no table, and nothing is its reply
            reply, connection = reply_key(connection), None
        found = self.connections.replies[protocol].get(reply) if connection is None else connection
        if self.log is not None and self.accounts.is_hooked(packet.family):
            self.log.refused(packet, connection, self.connections.replies[protocol])
        if found is None or not self.accounts.is_hooked(packet.family) or not packet.unicast:
            return
        if found.method != MASQUERADE and not self.connections.routed_replies:
            return
        four, segment = packet.family == AF_INET, packet.data[packet.offset :]
        if protocol != SCTP and not is_valid(
            segment, pseudo(packet.source, packet.destination, protocol, len(segment))
        ):
            return
        if protocol == TCP:
            if len(segment) >= 20 and not segment[13] & RST:
                self.accounts.count_out(found, 40 if four else 60)
                self.accounts.machines[TCP].transition(found, _RESET, 0, OUTPUT)
                self.connections.used(found)
                if found in self.expiring:  # it was told to go, and its timer starts anew all the same
                    self.expiring.remove(found)
                if self.log is not None:
                    self.log.answered()
        elif four:
            self.accounts.count_out(found, min(28 + len(packet.data), LARGEST4))
        elif connection is None or found.method != MASQUERADE or self.accounts.sound6:
            self.accounts.count_out(found, min(48 + len(packet.data), LARGEST6))
