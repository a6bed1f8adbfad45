"""The packet path of a director: what happens to a packet, in the kernel's order (net/netfilter/ipvs/ip_vs_core.c, 6.1).

    receive ─► addresses, options, route
                 ├─ local ─► reassemble ─► replies (hook at 98) ─► requests (99) ─► the host itself
                 └─ other ─► lifetime, MTU ─► ICMP errors (99) ─► replies (100) ─► leave

A request is looked up, scheduled if it is new, counted, followed by its protocol's machine, and transmitted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ipvsnl.consts import AF_INET, AF_INET6
from ipvssim import fragments
from ipvssim.answers import Answers
from ipvssim.checksums import is_valid, pseudo
from ipvssim.clock import SECOND
from ipvssim.connections import MASQUERADE, NO_PORTS, TUNNEL, Connection, Connections
from ipvssim.daemons import BACKUP
from ipvssim.errors import Errors
from ipvssim.fragments import LOCAL_DELIVERY, Reassembler
from ipvssim.host import Host
from ipvssim.listing import Row, rows
from ipvssim.network import BROADCAST, ETHERNET, LOCAL, MULTICAST, Path
from ipvssim.packets import AH, ESP, ICMP, ICMPV6, RST, SCTP, SYN, TCP, UDP, WITH_PORTS, Packet, parse4, parse6, quote
from ipvssim.protocols import INPUT, ISAKMP, OUTPUT, AhEsp, Machine, Sctp, Tcp, Udp, sctp, tcp
from ipvssim.protocols.machine import F_NO_OUTPUT, F_ONE_PACKET
from ipvssim.result import DROP, HELD, LOCAL as HOST, Result
from ipvssim.schedule import Selection
from ipvssim.transmit import Transmitter

if TYPE_CHECKING:
    from ipvssim.namespace import Namespace
    from ipvssim.table import RealServer

_RIGHT_OFFSET6 = 178
"""From this 6.1 release on TCP and SCTP states look behind IPv6 extension headers; before, always at byte 40."""
_ALWAYS = 3
_TYPES = {b"\x08\x00": 4, b"\x86\xdd": 6}
_RESET = bytes(13) + b"\x14" + bytes(6)
"""A TCP header with RST, as far as states look at it."""


class Director:
    """One director: give it packets with :meth:`receive`. It works on the namespace that the netlink family works on.

    ``local_marks`` are firewall marks whose packets a routing rule makes local, whatever their address. ``synced`` is
    called at every request with its connection and packet count, where a master would consider a message.
    """

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.network = namespace.network
        self.table = namespace.table
        self.sysctls = namespace.sysctls
        self.clock = namespace.clock
        self.local_marks: set[int] = set()
        self.synced: Callable[[Connection, int], object] | None = None
        self.entries = Connections(self.clock, namespace.sublevel)
        """The connection table."""
        self.host = Host(self.network, self.clock)
        self.host.sent = self._count_own
        self.host.looped = self._loop
        self.reassembler = Reassembler(self.clock)
        self.transmitter = Transmitter(self.host, self.sysctls)
        self.selection = Selection(namespace, self.entries, self.host)
        self._tcp, self._udp = Tcp(), Udp()
        following = AhEsp()
        self.machines: dict[int, Machine] = {TCP: self._tcp, UDP: self._udp, SCTP: Sctp(), AH: following, ESP: following}
        for machine in self.machines.values():
            machine.activity_changed = self.entries.activity_changed
        self.errors = Errors(self)
        self.answers = Answers(self)
        self._expiring: list[Connection] = []
        self._sweeper = self.clock.timer(lambda _: self.entries.sweep())
        self._tcp_timeout = self._fin_timeout = self._udp_timeout = -1
        self._fixed_offset6 = namespace.sublevel < _RIGHT_OFFSET6
        self._defrag6 = False
        self.sysctls.on_write("secure_tcp", self._choose_tcp_table)
        self._choose_tcp_table()
        self.table.deleted_hook = self._servers_deleted

    # --- what users ask ---

    @property
    def explaining(self) -> bool:
        """Whether results tell what the scheduler looked at."""
        return self.selection.explaining

    @explaining.setter
    def explaining(self, on: bool) -> None:
        self.selection.explaining = on

    def connections(self) -> Iterator[Row]:
        """The rows of ``/proc/net/ip_vs_conn``, in no particular order."""
        return rows(self.entries, self.machines, self.clock.now)

    def receive(self, data: bytes, on: str = "client", mark: int = 0) -> Result:
        """One frame (on Ethernet devices) or packet comes in on a device, carrying a firewall mark.

        Whatever the bytes are, there is a result. KeyError for a device that does not exist.
        """
        result = Result()
        device = self.network.devices[on]
        unicast = True
        if device.kind == ETHERNET:
            to = data[:6]
            if to != device.mac:
                if not data or not data[0] & 1:
                    return result.drop("a frame for another host")
                unicast = False
            version = _TYPES.get(data[12:14], 0)
            data = data[14:]
        else:
            version = data[0] >> 4 if data else 0
        if version == 4:
            packet = parse4(data, on, mark, unicast)
        elif version == 6:
            packet = parse6(data, on, mark, unicast)
        else:
            return result.drop("no IP packet")
        if isinstance(packet, str):
            return result.drop(packet)
        result.packet = packet
        timeouts = self.namespace.timeouts
        if timeouts.tcp != self._tcp_timeout or timeouts.tcp_fin != self._fin_timeout or timeouts.udp != self._udp_timeout:
            self._take_timeouts()
        self._input(packet, result)
        if self._expiring:
            self._expire()
        return result

    def send(self, data: bytes, mark: int = 0) -> Result:
        """A packet of the director's own host: a client on it, or a server on it that answers (the hooks at LOCAL_OUT)."""
        result = Result()
        packet = parse4(data, mark=mark) if data[:1] < b"\x60" else parse6(data, mark=mark)
        if isinstance(packet, str):
            return result.drop(packet)
        result.packet = packet
        self._take_timeouts()
        passed = self.answers.pass_through(packet, result)
        if passed is not None:
            if result.connection is None and self.is_hooked(packet.family):
                self._request(passed, result)
                if result.verdict is HOST:
                    result.verdict = DROP
            if result.verdict is DROP and not result.out:
                self.host.send(passed.data, self.network.path(passed.destination), result, passed)
        if self._expiring:
            self._expire()
        return result

    # --- the way in ---

    def _input(self, packet: Packet, result: Result) -> None:
        path = self.network.path(packet.destination)
        if path.kind == LOCAL:
            connection = self._known(packet)
            if connection is not None:
                self._serve(packet, connection, result)
                return
        refused = self.host.martian(packet)
        if refused is not None:
            result.drop(refused)
            return
        arrived = packet
        if packet.offset > 20 and packet.family == AF_INET:
            taken = self.host.take_options(packet, result)
            if taken is None:
                return
            result.packet = packet = taken
        elif packet.fragment and packet.family == AF_INET6 and self._defragments6():
            whole = self.reassembler.add(packet, fragments.INPUT)
            if isinstance(whole, str):
                result.verdict, result.reason = HELD, whole
                return
            result.packet = packet = whole
        path = self.network.path(packet.destination)
        if path.kind == LOCAL or (packet.mark and packet.mark in self.local_marks):
            self._to_host(packet, result)
        elif path.kind == BROADCAST:
            result.accept("broadcast")
        elif path.kind == MULTICAST:
            result.drop("multicast")
        else:
            self._forward(packet, path, result, arrived)

    def _known(self, packet: Packet) -> Connection | None:
        """The connection of a plain request that nothing stands in the way of: most packets, which is why they take this
        short way. Its addresses passed the routing's checks when it was opened, and nothing else of the order of work
        applies to it. None: the long way decides."""
        requests = self.entries.requests.get(packet.protocol)
        if requests is None:
            return None
        key = packet.key
        connection = requests.get(key)
        if connection is None or packet.fragment or not packet.unicast or key[-4:-2] == NO_PORTS:
            return None
        server, start = connection.server, packet.offset
        if server is None or not server.available or start != (20 if packet.family == AF_INET else 40):
            return None
        if packet.protocol != UDP and self._is_new(packet):
            return None
        return None if self.sysctls.backup_only or key in self.entries.replies[packet.protocol] else connection

    def _to_host(self, packet: Packet, result: Result) -> None:
        """LOCAL_IN: replies to clients on the director, then requests."""
        if packet.fragment and packet.family == AF_INET:
            whole = self.reassembler.add(packet, LOCAL_DELIVERY)
            if isinstance(whole, str):
                result.verdict, result.reason = HELD, whole
                return
            result.packet = packet = whole
        index = self.entries.replies.get(packet.protocol)
        if index is None or packet.key in index or self.sysctls.nat_icmp_send:
            passed = self.answers.pass_through(packet, result)
            if passed is None:
                return
            if result.connection is not None and packet.protocol in self.machines:
                result.accept("a reply to a client on the director")
                return
            packet = passed
        self._request(packet, result)
        if result.verdict is HOST and packet.protocol == TCP and result.connection is None:
            self._refuse(packet)

    def _refuse(self, packet: Packet) -> None:
        """The host, on which nobody listens, refuses a segment with a RST. At LOCAL_OUT that may look like a reply: of a
        connection whose client port is 0, say, which requests do not find."""
        data, start, key = packet.data, packet.offset, packet.key
        if len(data) < start + 20 or data[start + 13] & RST:
            return
        found = self.entries.replies[TCP].get(packet.destination + packet.source + key[-2:] + key[-4:-2])
        if found is None or not self.is_hooked(packet.family):
            return
        segment = data[start:]
        if is_valid(segment, pseudo(packet.source, packet.destination, TCP, len(segment))):
            self.count_out(found, 40 if packet.family == AF_INET else 60)
            self._tcp.transition(found, _RESET, 0, OUTPUT)
            self.entries.used(found)

    def _forward(self, packet: Packet, path: Path, result: Result, arrived: Packet) -> None:
        """FORWARD: errors about requests, then replies, then what is none of IPVS's business. ``arrived`` is the packet
        with its IPv4 options as they were."""
        shorter = self.host.forwardable(packet, path, result)
        if shorter is None:
            return
        if shorter.protocol == (ICMP if shorter.family == AF_INET else ICMPV6) and self.is_hooked(shorter.family):
            if self.errors.is_handled(shorter) and self._watches() and shorter.unicast:
                if self.errors.request(shorter, result, forwarded=True):
                    return
                result.connection = result.server = None
        passed = self.answers.pass_through(shorter, result)
        if passed is not None:
            if packet is not arrived:
                rerouted = result.connection is not None and bool(self.sysctls.snat_reroute)
                passed = self.host.restamped(passed, arrived, path, rerouted=rerouted)
            self.host.forward(passed, path, result)

    # --- requests ---

    def _request(self, packet: Packet, result: Result) -> None:
        """The hook for requests: look up, schedule, count, follow, transmit."""
        protocol = packet.protocol
        if protocol not in self.machines or not packet.unicast or not self._watches():
            self._not_balanced(packet, result)
            return
        connection = self._find(packet)
        if connection is not None:
            connection = self._still_good(packet, connection, result)
            if connection is None and result.reason:
                return
        if connection is None:
            connection = self.selection.open(packet, result)
            if connection is None:
                connection = result.connection  # a bypass
                if connection is None:
                    return
        self._serve(packet, connection, result)

    def _serve(self, packet: Packet, connection: Connection, result: Result) -> None:
        """A request of a connection: counted, followed, transmitted; in this order, whatever becomes of it."""
        result.connection = connection
        result.server = connection.server
        self.count_in(connection, len(packet.data))
        offset = 40 if self._fixed_offset6 and packet.family == AF_INET6 else packet.offset
        self.machines[packet.protocol].transition(connection, packet.data, offset, INPUT)
        self.transmitter.transmit(packet, connection, result)
        if not result.reason:
            result.reason = "opened a connection" if result.opened else "known connection"
        connection.in_packets += 1
        if self.synced is not None:
            self.synced(connection, connection.in_packets)
        if connection.flags & F_ONE_PACKET:
            self.entries.expire(connection)
        else:
            connection.timer.start(connection.timeout)

    def _not_balanced(self, packet: Packet, result: Result) -> None:
        four = packet.family == AF_INET
        if packet.protocol == (ICMP if four else ICMPV6) and packet.unicast and self._watches():
            if self.errors.is_handled(packet) and self.is_hooked(packet.family) and self.errors.request(packet, result):
                return
            result.accept("ICMP for the director itself")
        else:
            result.accept("not balanced")

    def _watches(self) -> bool:
        """Whether requests are looked at at all: a service was ever added, and this is no pure backup."""
        if not self.table.ever_used:
            return False
        if not self.sysctls.backup_only:
            return True
        return all(daemon.role != BACKUP for daemon in self.namespace.daemons.running())

    def _find(self, packet: Packet) -> Connection | None:
        protocol, key = packet.protocol, packet.key
        if protocol not in WITH_PORTS:
            key, protocol = packet.source + packet.destination + ISAKMP, UDP
        found = self.entries.requests[protocol].get(key)
        # port 0 of a client stands for "any", and is never found (__ip_vs_conn_in_get)
        return None if found is None or key[-4:-2] == NO_PORTS else found

    def _still_good(self, packet: Packet, connection: Connection, result: Result) -> Connection | None:
        """The connection, unless it has to make place for a new one (None) or its server is gone (None, with a reason)."""
        server = connection.server
        if not (server is not None and server.available) and not self.is_hooked(packet.family):
            result.accept("no service of this family is left")
            return None
        if self._is_new(packet) and self._is_to_be_replaced(connection):
            if not connection.controlled:
                self._expiring.append(connection)
            return None
        if server is not None and not server.available:
            if not self.sysctls.expire_nodest_conn:
                result.connection, result.server = connection, server
                result.drop("its server is gone")
            else:
                self._expiring.append(connection)
            return None
        return connection

    def _is_new(self, packet: Packet) -> bool:
        data, start = packet.data, packet.offset
        if packet.protocol == TCP:
            return len(data) >= start + 20 and bool(data[start + 13] & SYN)
        return packet.protocol == SCTP and sctp.chunk_type(data, start) == sctp.CID_INIT

    def _is_to_be_replaced(self, connection: Connection) -> bool:
        sysctls, server = self.sysctls, connection.server
        if sysctls.expire_nodest_conn and server is not None and not server.weight:
            return True
        mode = sysctls.conn_reuse_mode
        if not mode or connection.control is not None:
            return False
        if connection.protocol == SCTP:
            return connection.state == sctp.CLOSED
        if connection.state in (tcp.TIME_WAIT, tcp.CLOSE):
            return True
        return bool(mode & 2 and connection.state == tcp.FIN_WAIT and connection.flags & F_NO_OUTPUT)

    # --- shared with the other rooms of the path ---

    def is_hooked(self, family: int) -> bool:
        """Whether IPVS sees packets of that family: only while it has a service."""
        return self.table.service_count(family) > 0

    def follow(self, packet: Packet, connection: Connection, direction: int) -> None:
        """Let the protocol's machine see a packet."""
        machine = self.machines[packet.protocol]
        machine.transition(connection, packet.data, self._state_offset(packet), direction)

    def count_in(self, connection: Connection, size: int) -> None:
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

    def count_out(self, connection: Connection, size: int) -> None:
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

    def serves(self, protocol: int, address: bytes, port: int) -> bool:
        """Whether that is a real server behind address translation (``ip_vs_has_real_service``)."""
        for service in self.table.services():
            server = service.destinations.get((address, port))
            if server is not None and server.forwarding == MASQUERADE and (service.fwmark or service.protocol == protocol):
                return True
        return False

    def tunnel_server(self, address: bytes, port: int, kind: int) -> RealServer | None:
        """The destination that a tunnel of ours leads to (``ip_vs_find_tunnel``)."""
        for service in self.table.services():
            for server in service.servers():
                if server.address == address and server.forwarding == TUNNEL and server.tunnel_type == kind:
                    if server.tunnel_port == port or not port:
                        return server
        return None

    # --- inside ---

    def _state_offset(self, packet: Packet) -> int:
        return 40 if self._fixed_offset6 and packet.family == AF_INET6 else packet.offset

    def _defragments6(self) -> bool:
        """Reassembly of IPv6 at the input begins with the first IPv6 service and stays."""
        self._defrag6 = self._defrag6 or self.is_hooked(AF_INET6)
        return self._defrag6

    def _expire(self) -> None:
        """What was told to go goes (the kernel's next tick)."""
        expiring, self._expiring = self._expiring, []
        for connection in expiring:
            self.entries.expire(connection)

    def _servers_deleted(self) -> None:
        """Connections of servers that are gone are swept away at the next tick."""
        if self.sysctls.expire_nodest_conn:
            self._sweeper.start(1)

    def _count_own(self, raw: bytes) -> None:
        """The host's own ICMP error, seen at LOCAL_OUT: it counts as a reply where the virtual address answers itself."""
        four = raw[0] < 0x60
        body = raw[(raw[0] & 15) * 4 + 8 :] if four else raw[48:]
        quoted = quote(body, AF_INET if four else AF_INET6, reverse=True)
        if quoted is None or quoted.protocol not in WITH_PORTS:
            return
        connection = self.answers.find(quoted)
        if connection is not None and connection.flags & 7 != MASQUERADE:
            self.count_out(connection, len(raw))

    def _loop(self, data: bytes, result: Result) -> None:
        """The host's own ICMP error to one of its own addresses comes in again: it may be about a reply that was translated."""
        packet = parse4(data, "lo") if data[0] < 0x60 else parse6(data, "lo")
        if isinstance(packet, Packet):
            self._request(packet, result)

    def _choose_tcp_table(self) -> None:
        self._tcp.tables = Tcp.SECURE if self.sysctls.secure_tcp == _ALWAYS else Tcp.NORMAL

    def _take_timeouts(self) -> None:
        """``ipvsadm --set`` counts from the next packet on."""
        timeouts = self.namespace.timeouts
        self._tcp_timeout, self._fin_timeout, self._udp_timeout = timeouts.astuple()
        self._tcp.timeouts[tcp.ESTABLISHED] = timeouts.tcp * SECOND
        self._tcp.timeouts[tcp.FIN_WAIT] = timeouts.tcp_fin * SECOND
        self._udp.timeouts[0] = timeouts.udp * SECOND
