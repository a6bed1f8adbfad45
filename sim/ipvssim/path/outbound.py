"""What comes from servers: replies, translated back where their connection translates (ip_vs_out_hook, handle_response,
net/netfilter/ipvs/ip_vs_core.c, Linux 6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvsnl.consts import AF_INET
from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.net.fragments import REPLIES, Reassembler
from ipvssim.net.packets import AH, ESP, ICMP, ICMPV6, RST, TCP, UDP, WITH_PORTS, Packet
from ipvssim.path.connections import F_HELPED, MASQUERADE, METHOD, ConnectionEntry
from ipvssim.path.forwarding import nat
from ipvssim.path.initiated import Initiated
from ipvssim.path.protocols import ISAKMP, OUTPUT, sctp
from ipvssim.path.result import HELD, Result

if TYPE_CHECKING:
    from ipvssim.path.accounts import Accounts
    from ipvssim.path.connection_table import ConnectionTable
    from ipvssim.path.debug_log import PathLog
    from ipvssim.path.helpers.application import Helpers
    from ipvssim.path.host import Host
    from ipvssim.path.icmp_errors import IcmpErrors
    from ipvssim.path.selection import Selection
    from ipvssim.path.tracking import Tracker

_NOT_HELPED: Final = "the helper can't work on it: too short, a wrong checksum, or not part of what conntrack knows"


@mypyc_attr(allow_interpreted_subclasses=True)
class Outbound(Part):
    """The hook through which replies pass."""

    def __init__(
        self, connections: ConnectionTable, accounts: Accounts, reassembler: Reassembler, host: Host, errors: IcmpErrors,
        selection: Selection, tracker: Tracker, helpers: Helpers,
    ) -> None:  # fmt: skip
        self._connections = connections
        self._replies = connections.replies
        self._accounts = accounts
        self._reassembler = reassembler
        self._host = host
        self._errors = errors
        self._sysctls = selection.sysctls
        self._helpers = helpers
        self._initiated = Initiated(connections, selection)
        self._table = selection.table
        self._tracker = tracker
        self._inspects_all = connections.routed_replies
        self.log: PathLog | None = None

    def find(self, packet: Packet) -> ConnectionEntry | None:
        """The connection that a packet answers."""
        protocol, key = packet.protocol, packet.key
        if protocol not in WITH_PORTS:
            if protocol not in (AH, ESP):
                return None
            protocol, key = UDP, packet.source + packet.destination + ISAKMP
        found = self._replies[protocol].get(key)
        if self.log is not None:
            self.log.looked_up("out", protocol, key, found=found is not None)
        return found

    def pass_through(self, packet: Packet, result: Result, *, comes_in: bool = False) -> Packet | None:
        """The packet as it goes on: as it is, or translated. None: it is dropped, or waits for its other fragments.
        ``comes_in`` is a packet to the director itself (LOCAL_IN)."""
        if self.log is not None:
            self.log.passes_out(packet.family)
        if packet.protocol == (ICMP if packet.family == AF_INET else ICMPV6):
            return self._icmp(packet, result, comes_in=comes_in)
        if packet.protocol not in self._accounts.machines or not self._accounts.is_hooked(packet.family):
            return packet
        if packet.protocol in WITH_PORTS:
            gathered = self.gather(packet, result)
            if gathered is None:
                return None
            packet = gathered
        connection = self.find(packet)
        if (
            connection is None
            and packet.protocol == UDP
            and not comes_in
            and self._table.engine_services
            and packet.key
        ):
            connection = self._initiated.open(packet)
        if connection is not None:
            if not self._inspects_all and connection.flags & METHOD != MASQUERADE:
                return packet
            translated = self.translate(packet, connection, result, comes_in=comes_in)
            if self.log is not None and translated is not None:
                self.log.answered()
            return translated
        if self._sysctls.nat_icmp_send and self._is_stray(packet):
            result.drop("a server's packet of no connection")
            self._host.port_unreachable(packet, result)
            return None
        return packet

    def translate(
        self, packet: Packet, connection: ConnectionEntry, result: Result, *, comes_in: bool = False
    ) -> Packet | None:
        """A reply of a known connection: translated where it is to be, counted, and followed."""
        result.connection, result.server = connection, connection.server
        if connection.flags & F_HELPED:
            packet = packet.whole()
        translated = packet
        if connection.flags & METHOD == MASQUERADE:
            if not packet.specimen:  # whose length stays in either case
                helped = connection.flags & F_HELPED
                data = self._helpers.reply(packet, connection) if helped else nat.reply(packet, connection)
                if data is None:
                    result.drop(_NOT_HELPED if helped else "shorter than its transport header")
                    return None
                translated = packet.replaced(data)
            if connection.virtual[0] >= nat.GROUPS and not comes_in and self._strays(connection, result):
                return None
        self._accounts.count_out(connection, len(translated.data))
        self._accounts.follow(packet, connection, OUTPUT)
        if self._tracker.on:
            self._tracker.answered(connection)
        self._connections.used(connection)
        result.reason = "reply"
        return translated

    def _strays(self, connection: ConnectionEntry, result: Result) -> bool:
        """Whether a translated reply, which is routed anew, finds no way (``ip_vs_route_me_harder``)."""
        if not self._sysctls.snat_reroute or nat.leads_back(connection):
            return False
        self._connections.used(connection)
        result.drop(nat.NO_WAY_BACK)
        return True

    def gather(self, packet: Packet, result: Result) -> Packet | None:
        """The packet that an IPv4 fragment completes, any other packet as it is; None while others are missing."""
        if not packet.fragment or packet.family != AF_INET:
            return packet
        whole = self._reassembler.add(packet, REPLIES)
        if isinstance(whole, str):
            result.verdict, result.reason = HELD, whole
            return None
        result.meet(whole)
        return whole

    def _icmp(self, packet: Packet, result: Result, *, comes_in: bool) -> Packet | None:
        if self.log is not None and self._accounts.is_hooked(packet.family):
            self.log.icmp("Outgoing", packet)
        if not self._errors.is_handled(packet) or not self._accounts.is_hooked(packet.family):
            return packet
        if len(packet.data) < packet.offset + 8:
            result.drop("shorter than an ICMP header")
            return None
        return self._errors.reply(packet, result, comes_in=comes_in)

    def _is_stray(self, packet: Packet) -> bool:
        """Whether it comes from a server's port, belongs to no connection, and is not itself an end of one."""
        data, start, protocol = packet.data, packet.offset, packet.protocol
        if protocol not in WITH_PORTS or not packet.key:
            return False
        if not self._accounts.serves(protocol, packet.source, packet.client_port):
            return False
        if protocol == TCP:  # one that is too short for flags has none (is_tcp_reset)
            return len(data) < start + 20 or not data[start + 13] & RST
        return protocol != sctp.NUMBER or sctp.chunk_type(data, start) != sctp.CID_ABORT
