"""The packet path of a director: what happens to a packet, in the kernel's order (net/netfilter/ipvs/ip_vs_core.c, 6.1).

    receive ─► addresses, options, route
                 ├─ local ─► reassemble ─► replies (hook at 98) ─► requests (99) ─► the host itself
                 └─ other ─► lifetime, MTU ─► ICMP errors (99) ─► replies (100) ─► leave

A request is looked up, scheduled if it is new, counted, followed by its protocol's machine, and transmitted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from ipvsnl.consts import AF_INET, AF_INET6
from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.net.fragments import INPUT, LOCAL_DELIVERY, Reassembler
from ipvssim.net.network import BROADCAST, ETHERNET, LOCAL, MULTICAST, Path, framed
from ipvssim.net.options6 import verify_hops, verify_older_hops
from ipvssim.net.packets import (
    AH,
    ANY_NUMBER,
    BROKEN,
    HOP_BY_HOP,
    ICMP,
    ICMPV6,
    MOST_HEADERS6,
    WITH_PORTS,
    Packet,
    ends_within,
    is_cut_fragment,
    parse4,
    parse6,
)
from ipvssim.net.specimens import Specimen
from ipvssim.path.accounts import Accounts
from ipvssim.path.connection_table import ConnectionTable
from ipvssim.path.connections import BYPASS, LOCAL_NODE, MASQUERADE
from ipvssim.path.debug_log import PathLog
from ipvssim.path.helpers.application import Helpers
from ipvssim.path.host import Host
from ipvssim.path.icmp_errors import IcmpErrors
from ipvssim.path.inbound import Inbound
from ipvssim.path.lessons import learn
from ipvssim.path.outbound import Outbound
from ipvssim.path.reasons import tell
from ipvssim.path.result import DROP, FORWARD, HELD, TO_HOST, Result
from ipvssim.path.rows import Row, rows
from ipvssim.path.selection import Selection
from ipvssim.path.tracking import Tracker
from ipvssim.path.transmit import Transmitter
from ipvssim.path.witness import Witness

if TYPE_CHECKING:
    from ipvssim.net.network import Device
    from ipvssim.path.connections import ConnectionEntry
    from ipvssim.state.namespace import Namespace

_TYPES: Final = {b"\x08\x00": 4, b"\x86\xdd": 6}
_JOINED: Final = frozenset(
    (
        bytes((224, 0, 0, 1)),
        *(bytes.fromhex(f"{group}{member:028x}") for group, member in (("ff01", 1), ("ff02", 1), ("ff02", 2))),
    )
)
"""The groups that a device of a router joins when it is made (ipv6_add_dev, net/ipv6/addrconf.c)."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Director(Part):
    """One director: give it packets with :meth:`receive`. It works on the namespace that the netlink family works on."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.network = namespace.network
        self.table = namespace.table
        self.sysctls = namespace.sysctls
        self.clock = namespace.clock
        self.connection_table = ConnectionTable(self.clock, namespace.behaviours)
        if namespace.rows.follow:
            self.connection_table.rows = namespace.rows
            namespace.rows.connections = self.connection_table
        self.accounts = Accounts(namespace, self.connection_table)
        self.host = Host(self.network, self.clock, namespace.behaviours, smp=namespace.smp)
        self.host.sent = self.accounts.leaves
        self.host.looped = self._loop
        self.host.unresolved.tell = self._unreached
        self.reassembler = Reassembler(
            self.clock, merges=namespace.behaviours.merged_fragments, small_head=namespace.small_head
        )
        self.reassembler.tell(self._gave_up)
        self.tracker = Tracker(namespace, self.connection_table, self.reassembler)
        self.helpers = Helpers(namespace, self.connection_table, self.accounts, self.tracker)
        self.transmitter = Transmitter(
            namespace.behaviours, self.host, self.sysctls, self.tracker, self.helpers, self.table.rerouted
        )
        self.selection = Selection(namespace, self.connection_table, self.host)
        self.errors = IcmpErrors(
            namespace.behaviours, self.connection_table, self.accounts, self.selection, self.transmitter, self.host,
            self.sysctls, self.tracker,
        )  # fmt: skip
        self.outbound = Outbound(
            self.connection_table, self.accounts, self.reassembler, self.host, self.errors, self.selection,
            self.tracker, self.helpers,
        )  # fmt: skip
        self.inbound = Inbound(
            namespace, self.connection_table, self.accounts, self.selection, self.transmitter, self.errors,
            self.tracker,
        )  # fmt: skip
        self.host.told = self.inbound.tell_server
        self._whole_headers = namespace.behaviours.whole_headers6
        self._most_headers = MOST_HEADERS6 if namespace.behaviours.header_limit6 else ANY_NUMBER
        self._verify_hops = verify_hops if namespace.behaviours.ioam_options else verify_older_hops
        self._witness: Witness | None = None
        self.unprompted: Callable[[Result], object] | None = None
        """Told what the host sends by itself, when time is over: errors about packets whose other fragments, or whose
        neighbour's answer, did not come."""
        self._sweeper = self.clock.timer(self._sweep)
        if namespace.behaviours.nodest_reschedules:
            self.table.deleted_hook = self._servers_deleted
        if namespace.log is not None:
            self._tell(PathLog(namespace.log, self.accounts.is_hooked))

    # --- what users ask ---

    @property
    def explaining(self) -> bool:
        """Whether results tell what the scheduler looked at, and what else decided (``Result.why``)."""
        return self._witness is not None

    @explaining.setter
    def explaining(self, on: bool) -> None:
        if on != self.explaining:
            self._witness = Witness(self.namespace, self.selection, self.inbound, self.outbound) if on else None
            self.connection_table.memory = self._witness.memory if self._witness is not None else None
        self.selection.explaining = on
        self.sysctls.watch(on=on)

    @property
    def unprivileged_port_start(self) -> int:
        """net.ipv4.ip_unprivileged_port_start: from there on a port may be that of passive FTP's data."""
        return self.selection.unprivileged

    @unprivileged_port_start.setter
    def unprivileged_port_start(self, port: int) -> None:
        self.selection.unprivileged = port

    def connections(self) -> Iterator[Row]:
        """The rows of ``/proc/net/ip_vs_conn``, in no particular order."""
        return rows(self.connection_table, self.clock.now)

    def receive(self, data: bytes | Any, on: str = "client", mark: int = 0) -> Result:
        """A packet comes in; the result says what became of it.

        ``data`` is bytes, or a scapy packet. On an Ethernet device the bytes are a frame, on any other an IP packet. ``on``
        names the device, ``mark`` is the firewall mark that the packet carries (0: none). There is a
        :class:`~ipvssim.path.result.Result` whatever the bytes are; KeyError where there is no such device.
        """
        result = Result() if self._witness is None else self._witness.result()
        result.network = self.network
        device = self.network.devices[on]
        raw: bytes = data if type(data) is bytes else _as_bytes(data, device)
        unicast = True
        if device.kind == ETHERNET:
            to = raw[:6]
            if to != device.mac:
                if not raw or not raw[0] & 1:
                    return result.drop("a frame for another host")
                unicast = False
            version = _TYPES.get(raw[12:14], 0)
            raw = raw[14:]
        else:
            version = raw[0] >> 4 if raw else 0
        if version == 4:
            packet = parse4(raw, on, mark, unicast)
        elif version == 6:
            packet = parse6(
                raw, on, mark, unicast, whole_headers=self._whole_headers, most_headers=self._most_headers,
            )  # fmt: skip
        else:
            return result.drop("no IP packet")
        if isinstance(packet, str):
            return result.drop(packet)
        result.meet(packet)
        if self.connection_table.elsewhere is not None:
            self.connection_table.elsewhere.seek(packet)
        self.accounts.take_timeouts()
        self._input(packet, result)
        if result.verdict is TO_HOST and version == 6:
            if packet.protocol == BROKEN and ends_within(packet.data) != AH:  # of which the host knows nothing
                result.drop("broken IPv6 extension headers")
            elif packet.offset > 40 and self.host.takes6(packet, result) and packet.fragment:
                self._gather6(packet, result)
        if self._witness is not None:
            tell(self._witness, result)
        if self.inbound.expiring:
            self._expire()
        return result

    def pass_flow(self, packet: Specimen, result: Result) -> Result:
        """A packet comes in of which only the flow is known. What becomes of it is what :meth:`receive` makes of its bytes,
        but that those which leave are not made, and ``Result.packet`` is not known. ``result`` is filled in and returned,
        but where somebody looks at the bytes: then it is another."""
        if self._witness is not None or self.tracker.on or self.inbound.log is not None:
            data, device = packet.raw(), self.network.devices[packet.device]
            return self.receive(framed(data, device) if device.kind == ETHERNET else data, device.name, packet.mark)
        result.begin()
        if self.connection_table.elsewhere is not None:
            self.connection_table.elsewhere.seek(packet)
        self.accounts.take_timeouts()
        self._input(packet, result)
        if self.inbound.expiring:
            self._expire()
        return result

    def send(self, data: bytes, mark: int = 0) -> Result:
        """A packet of the director's own host: a client on it, or a server on it that answers (the hooks at LOCAL_OUT)."""
        result = Result() if self._witness is None else self._witness.result()
        packet = parse4(data, mark=mark) if data[:1] < b"\x60" else self._parse6(data, mark)
        if isinstance(packet, str):
            return result.drop(packet)
        result.meet(packet)
        if self.connection_table.elsewhere is not None:
            self.connection_table.elsewhere.seek(packet)
        self.accounts.take_timeouts()
        if self.tracker.on:
            self.tracker.enters(packet, own=True)
        passed = self.outbound.pass_through(packet, result)
        if passed is not None:
            if result.connection is None and self.accounts.is_hooked(packet.family):
                self.inbound.handle(passed, result)
                if result.verdict is TO_HOST:
                    result.verdict = DROP
            if result.verdict is DROP and not result.out:
                passed = self.tracker.comes_through(passed, result)
                if passed is not None:
                    self.host.send(passed.data, self.network.path(passed.destination), result, passed)
        if self._witness is not None:
            tell(self._witness, result)
        if self.inbound.expiring:
            self._expire()
        return result

    # --- the way in ---

    def _input(self, packet: Packet, result: Result) -> None:
        if packet.offset > 40 and packet.family == AF_INET6 and packet.data[6] == HOP_BY_HOP:
            refused = self.host.martian(packet)
            if refused is not None:
                result.drop(refused)
                return
            if not self.host.takes_options6(packet, self._verify_hops, result):
                return
        if self.tracker.on:
            tracked = self.tracker.comes_in(packet, result)
            if tracked is None:
                return
            packet = tracked
        path = self.network.path(packet.destination)
        if path.kind == LOCAL:
            connection = self.inbound.known(packet)
            if connection is not None:
                self.inbound.serve(packet, connection, result)
                if result.verdict is TO_HOST:
                    self._answer(packet, connection, result)
                return
        refused = self.host.martian(packet)
        if refused is not None:
            result.drop(refused)
            return
        if packet.offset > 20 and packet.family == AF_INET:
            taken = self.host.take_options(packet, result)
            if taken is None:
                return
            packet = taken
            result.meet(packet)
        elif packet.fragment and packet.family == AF_INET6 and self._defragments6():
            whole = self.reassembler.add(packet, INPUT)
            if isinstance(whole, str):
                result.verdict, result.reason = HELD, whole
                return
            packet = whole
            result.meet(packet)
            self.tracker.enters(packet)
        elif packet.protocol == BROKEN and self._defragments6() and is_cut_fragment(packet.data):
            result.drop("it ends within its IPv6 fragment header")
            return
        path = self.network.path(packet.destination)
        if path.kind in (LOCAL, BROADCAST) or (packet.mark and packet.mark in self.network.local_marks):
            self._to_host(packet, result)
        elif path.kind == MULTICAST:
            if packet.destination in _JOINED:
                self._to_host(packet, result)
            else:
                result.drop("multicast to a group without members here")
        else:
            self._forward(packet, path, result)

    def _to_host(self, packet: Packet, result: Result) -> None:
        """LOCAL_IN: replies to clients on the director, then requests."""
        if packet.fragment and packet.family == AF_INET:
            whole = self.reassembler.add(packet, LOCAL_DELIVERY)
            if isinstance(whole, str):
                result.verdict, result.reason = HELD, whole
                return
            packet = whole
            result.meet(packet)
        index = self.connection_table.replies.get(packet.protocol)
        if index is None or packet.key in index or self.sysctls.nat_icmp_send or self.outbound.log is not None:
            passed = self.outbound.pass_through(packet.whole(), result, comes_in=True)
            if passed is None:
                return
            if result.connection is not None and packet.protocol in self.accounts.machines:
                result.accept("a reply to a client on the director")
                self.tracker.comes_through(passed, result)
                return
            packet = passed
        self.inbound.handle(packet, result)
        if result.verdict is TO_HOST:
            self._answer(packet, result.connection, result)

    def _gather6(self, packet: Packet, result: Result) -> None:
        """The host itself puts an IPv6 packet together, where nobody did so when it came in."""
        if self._defragments6() or self.tracker.watches(AF_INET6):
            return
        whole = self.reassembler.add(packet, LOCAL_DELIVERY)
        if isinstance(whole, str):
            result.verdict, result.reason = HELD, whole

    def _answer(self, packet: Packet, connection: ConnectionEntry | None, result: Result) -> None:
        """The host itself gets a packet: of a connection, it is the local server's. Where nobody listens it is refused."""
        if self.tracker.on and not self.tracker.is_taken(packet, connection, result):
            return
        if self.network.path(packet.destination).kind in (BROADCAST, MULTICAST):
            return
        if packet.protocol not in WITH_PORTS:
            if packet.protocol in (ICMP, ICMPV6):
                learn(self.network, packet, self.namespace.behaviours)
            self.host.unwanted(packet)
            return
        port = packet.key[-2:]
        if connection is not None:
            method = connection.method
            if LOCAL_NODE != method <= BYPASS and not self.network.is_local(connection.address):
                return  # what the host got was an error about the packet, from itself
            if method == MASQUERADE:
                port = connection.port
        if not self.network.listens(packet.protocol, int.from_bytes(port, "big")):
            packet = packet.whole()
            self.inbound.refuse(packet, connection)
            self.host.unwanted(packet)
            if self.tracker.on:
                self.tracker.refuses(packet, connection)

    def _forward(self, packet: Packet, path: Path, result: Result) -> None:
        """FORWARD: errors about requests, then replies, then what is none of IPVS's business."""
        told = path
        if path.through != path.mtu:
            path = path.beyond()
        if packet.specimen and not self.sysctls.nat_icmp_send and self.host.carries(packet, path):
            if self.outbound.pass_through(packet, result) is not None:
                result.verdict = FORWARD
            return
        shorter = self.host.forwardable(packet.whole(), path, result)
        if shorter is not None and shorter.protocol == ICMP and self.accounts.is_hooked(shorter.family):
            shorter = self.outbound.gather(shorter, result)
        if shorter is None:
            return
        if self.inbound.takes_error(shorter):
            if self.errors.request(shorter, result, forwarded=True) and result.verdict is not TO_HOST:
                return
            result.connection = result.server = None
        passed = self.outbound.pass_through(shorter, result)
        if passed is not None:
            if passed.recorded:
                rerouted = result.connection is not None and bool(self.sysctls.snat_reroute)
                passed = self.host.restamped(passed, path, rerouted=rerouted)
            leaving = self.tracker.comes_through(passed, result)
            if leaving is not None:
                self.host.forward(leaving, path if packet.family == AF_INET else told, result)

    # --- inside ---

    def _parse6(self, data: bytes, mark: int) -> Packet | str:
        return parse6(data, mark=mark, whole_headers=self._whole_headers, most_headers=self._most_headers)

    def _tell(self, log: PathLog) -> None:
        """Let all parts write to a log. Every packet then takes the long way, which the kernel tells of."""
        self.connection_table.log = self.selection.log = self.errors.log = self.outbound.log = self.inbound.log = log
        self.transmitter.log = log
        for machine in self.accounts.machines.values():
            machine.log = log

    def _defragments6(self) -> bool:
        """Reassembly of IPv6 at the input begins with the first IPv6 service and stays."""
        return self.table.ever_six or self.accounts.is_hooked(AF_INET6)

    def _expire(self) -> None:
        """What was told to go goes (the kernel's next tick)."""
        expiring, self.inbound.expiring = self.inbound.expiring, []
        for connection in expiring:
            self.connection_table.expire(connection)

    def _servers_deleted(self) -> None:
        """Connections of servers that are gone are swept away at the next tick."""
        if self.sysctls.expire_nodest_conn:
            self._sweeper.start(1)

    def _sweep(self, _: object) -> None:
        self.connection_table.sweep()

    def _gave_up(self, first: Packet) -> None:
        """The other fragments of a packet did not come in time. Of IPv4 only he is told whose packet was for this host
        (ip_expire, net/ipv4/ip_fragment.c, Linux 6.1)."""
        mine = self.network.is_local(first.destination) or (first.mark and first.mark in self.network.local_marks)
        if first.family == AF_INET6 or mine:
            self.connection_table.gather()
            result = Result()
            self.host.reassembly_exceeded(first, result)
            if self.unprompted is not None:
                self.unprompted(result)

    def _unreached(self, data: bytes) -> None:
        """A packet's neighbour did not answer; its sender is told."""
        self.connection_table.gather()
        packet = parse4(data) if data[0] < 0x60 else parse6(data)
        if isinstance(packet, Packet):
            result = Result()
            self.host.host_unreachable(packet, result, underway=True)
            if self.unprompted is not None:
                self.unprompted(result)

    def _loop(self, data: bytes, result: Result) -> None:
        """The host's own ICMP error to one of its own addresses comes in again: it may be about a translated reply."""
        packet = parse4(data, "lo") if data[0] < 0x60 else parse6(data, "lo")
        if isinstance(packet, Packet):
            self.inbound.handle(packet, result)


def _as_bytes(data: Any, device: Device) -> bytes:
    if isinstance(data, (bytearray, memoryview)):
        return bytes(data)
    from ipvssim.net.scapy_packets import packet_bytes

    return packet_bytes(data, device)
