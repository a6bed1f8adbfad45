"""What the packet path keeps books of: states, statistics, and which services and servers there are to be counted for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvsnl.consts import AF_INET, AF_INET6
from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.clock import SECOND
from ipvssim.net.packets import AH, ESP, SCTP, TCP, UDP, WITH_PORTS, Packet, parse4, parse6
from ipvssim.path import quoting
from ipvssim.path.connection_table import ConnectionTable
from ipvssim.path.connections import MASQUERADE, TUNNEL, ConnectionEntry
from ipvssim.path.forwarding import nat
from ipvssim.path.forwarding.tunnel import KIND_GRE
from ipvssim.path.protocols import ISAKMP, AhEsp, Machine, Sctp, Tcp, Udp, tcp

if TYPE_CHECKING:
    from ipvssim.state.namespace import Namespace
    from ipvssim.state.services import RealServer

_ARMED: Final = 1
"""The mode of ``secure_tcp`` that waits for memory to become short (:mod:`ipvssim.path.defence`)."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Accounts(Part):
    """The protocols' machines and the counters of one director."""

    def __init__(self, namespace: Namespace, entries: ConnectionTable) -> None:
        self.table = namespace.table
        self.sysctls = namespace.sysctls
        self._timeouts = namespace.timeouts
        self._entries = entries
        self._tcp, self._udp = Tcp(), Udp()
        following = AhEsp()
        self.machines: dict[int, Machine] = {
            TCP: self._tcp,
            UDP: self._udp,
            SCTP: Sctp(),
            AH: following,
            ESP: following,
        }
        self._tcp_timeout = self._fin_timeout = self._udp_timeout = -1
        self._fixed_offset6 = not namespace.behaviours.offsets6
        self.sound6 = namespace.behaviours.icmp_checksums
        """Whether the host's own ICMPv6 errors pass for replies; else a translated one is dropped."""
        self._quoted = quoting.of_replies(namespace.behaviours)
        self._always_hooked = not namespace.behaviours.hooks_follow_services
        self.sysctls.on_write("secure_tcp", self._choose_tcp_table)
        self._choose_tcp_table()

    # --- states ---

    def take_timeouts(self) -> None:
        """``ipvsadm --set`` counts from the next packet on: called before each."""
        timeouts = self._timeouts
        if (
            timeouts.tcp == self._tcp_timeout
            and timeouts.tcp_fin == self._fin_timeout
            and timeouts.udp == self._udp_timeout
        ):
            return
        self._tcp_timeout, self._fin_timeout, self._udp_timeout = timeouts.astuple()
        self._tcp.timeouts[tcp.ESTABLISHED] = timeouts.tcp * SECOND
        self._tcp.timeouts[tcp.FIN_WAIT] = timeouts.tcp_fin * SECOND
        self._udp.timeouts[0] = timeouts.udp * SECOND

    def follow(self, packet: Packet, connection: ConnectionEntry, direction: int) -> None:
        """Let the protocol's machine see a packet."""
        offset = 40 if self._fixed_offset6 and packet.family == AF_INET6 else packet.offset
        self.machines[packet.protocol].transition(connection, packet.data, offset, direction)

    def _choose_tcp_table(self) -> None:
        self._tcp.tables = Tcp.SECURE if self.sysctls.secure_tcp > _ARMED else Tcp.NORMAL

    # --- statistics ---

    def count_in(self, connection: ConnectionEntry, size: int) -> None:
        """A request of ``size`` bytes, for server, service and total; nothing for a server that is gone."""
        server = connection.server
        if server is not None and server.available:
            service = server.service
            assert service is not None
            counters = server.counters
            counters.inpkts += 1
            counters.inbytes += size
            counters = service.counters
            counters.inpkts += 1
            counters.inbytes += size
            counters = self.table.total
            counters.inpkts += 1
            counters.inbytes += size

    def count_out(self, connection: ConnectionEntry, size: int) -> None:
        """A reply of ``size`` bytes."""
        server = connection.server
        if server is not None and server.available:
            service = server.service
            assert service is not None
            counters = server.counters
            counters.outpkts += 1
            counters.outbytes += size
            counters = service.counters
            counters.outpkts += 1
            counters.outbytes += size
            counters = self.table.total
            counters.outpkts += 1
            counters.outbytes += size

    def leaves(self, raw: bytes) -> tuple[bytes | None, bool]:
        """The host's own ICMP error as it leaves (LOCAL_OUT), and whether it is about a request of a connection: then it is
        counted as its reply, and translated where that translates. None: it is dropped, since without ``icmp_checksums``
        IPv6's seems to be wrong."""
        four = raw[0] < 0x60
        family = AF_INET if four else AF_INET6
        body = raw[(raw[0] & 15) * 4 + 8 :] if four else raw[48:]
        quoted = self._quoted.followed(body, family)
        if quoted is None:
            return raw, False
        key, protocol = quoted.key, quoted.protocol
        if protocol not in WITH_PORTS:
            key, protocol = quoted.source + quoted.destination + ISAKMP, UDP
        connection = self._entries.replies[protocol].get(key)
        if self._entries.log is not None and self.is_hooked(family):
            self._entries.log.own_error(raw, quoted, connection)
        if connection is None or not self.is_hooked(family):
            return raw, False
        if connection.flags & 7 == MASQUERADE:
            packet = parse4(raw) if four else parse6(raw)
            if isinstance(packet, str) or not (four or self.sound6):
                return None, True
            changed = nat.icmp(packet, connection, towards_client=True, hops=packet.hops)
            if changed is None:
                return None, True
            raw = changed
        elif not self._entries.routed_replies:
            return raw, False
        self.count_out(connection, len(raw))
        return raw, True

    # --- who is there ---

    def is_hooked(self, family: int) -> bool:
        """Whether IPVS sees packets of that family: only while it has a service (kernels before 5.9: always)."""
        return self.table.service_count(family) > 0 or self._always_hooked

    def serves(self, protocol: int, address: bytes, port: int) -> bool:
        """Whether that is a real server behind address translation (``ip_vs_has_real_service``)."""
        for service in self.table.services():
            server = service.destinations.get((address, port))
            if (
                server is not None
                and server.forwarding == MASQUERADE
                and (service.fwmark or service.protocol == protocol)
            ):
                return True
        return False

    def tunnel_kind(self, address: bytes, port: int) -> int | None:
        """The type of the tunnel of ours that leads to an address, GUE's to a port of it, the others' to port 0
        (``ip_vs_find_tunnel``). Where there are several types it is that of the server that was added or changed last."""
        found: RealServer | None = None
        for service in self.table.services():
            for server in service.servers():
                leads = server.address == address and server.forwarding == TUNNEL and server.tunnel_port == port
                if leads and server.tunnel_type <= KIND_GRE and (found is None or server.hashed > found.hashed):
                    found = server
        return found.tunnel_type if found is not None else None
