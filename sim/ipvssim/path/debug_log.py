"""What the kernel writes to its log about packets and connections, in its own words and at its own levels (Linux 6.1.176).

The parts of the path call it where things happen; they hold None in its place where there is no log.
"""

from __future__ import annotations

from collections.abc import Callable

from ipvsnl.address import shown
from ipvsnl.consts import AF_INET, AF_INET6
from ipvssim.net.checksums import is_valid, pseudo
from ipvssim.net.packets import RST, TCP, Packet, parse4, parse6
from ipvssim.path.connections import (
    BYPASS,
    DIRECT,
    F_ALIVE,
    F_ONE_PACKET,
    MASQUERADE,
    METHOD,
    TUNNEL,
    ConnectionEntry,
)
from ipvssim.path.debug_picks import tell_pick
from ipvssim.schedulers import Flow
from ipvssim.state.debug_log import DebugLog, address_text
from ipvssim.state.debug_places import PLACES
from ipvssim.state.procfs import protocol_name
from ipvssim.state.services import RealServer, VirtualService

_TAGS = "MLTRB???"
"""What stands for a forwarding method, by its number."""
_DIRECTIONS = ("input ", "output ", "input ")
_FLAGS = ((0x02, "S"), (0x01, "F"), (0x10, "A"), (0x04, "R"))
_TRANSMITS = {
    MASQUERADE: "ip_vs_nat_xmit",
    TUNNEL: "ip_vs_tunnel_xmit",
    DIRECT: "ip_vs_dr_xmit",
    BYPASS: "ip_vs_bypass_xmit",
}
"""What the kernel calls the function of a forwarding method; that of IPv6 ends with _v6."""
_FOUND = {True: "hit", False: "not hit"}


class PathLog:
    """The words for packets, on one kernel's log. ``is_hooked`` tells whether IPVS sees packets of an address family."""

    def __init__(self, log: DebugLog, is_hooked: Callable[[int], bool]) -> None:
        self.log = log
        self._is_hooked = is_hooked

    # --- lookups ---

    def looked_up(self, way: str, protocol: int, key: bytes, *, found: bool) -> None:
        """A connection is looked for: ``way`` is in or out, ``key`` what the packet carries."""
        half = len(key) - 4 >> 1
        one, other = _endpoint(key[:half], key[-4:-2]), _endpoint(key[half:-4], key[-2:])
        self.log.debug(9, f"lookup/{way} {protocol_name(protocol)} {one}->{other} {_FOUND[found]}")

    def template(self, protocol: int, key: bytes, *, found: bool) -> None:
        """A client's template is looked for."""
        half = len(key) - 4 >> 1
        one, other = _endpoint(key[:half], key[-4:-2]), _endpoint(key[half:-4], key[-2:])
        self.log.debug(9, f"template lookup/in {protocol_name(protocol)} {one}->{other} {_FOUND[found]}")

    def service(self, packet: Packet, *, found: bool) -> None:
        """A packet's virtual service is looked for."""
        where = shown(packet.destination, packet.port)
        name = protocol_name(packet.protocol)
        self.log.debug(9, f"lookup service: fwm {packet.mark} {name} {where} {_FOUND[found]}")

    def icmp(self, way: str, packet: Packet) -> None:
        """An ICMP message passes a hook: ``way`` is Incoming or Outgoing."""
        data, start = packet.data, packet.offset
        if len(data) < start + 8:
            return
        kind, ident = data[start], int.from_bytes(data[start + 4 : start + 6], "big")
        four = packet.family == AF_INET
        one, other = (address_text(address).strip("[]") for address in (packet.source, packet.destination))
        self.log.debug(12 if four else 8, f"{way} ICMP{'' if four else 'v6'} ({kind},{ident}) {one}->{other}")

    def bad_icmp(self, way: str, packet: Packet) -> None:
        """Its checksum is wrong: ``way`` is Incoming or Forward."""
        four = packet.family == AF_INET
        source = address_text(packet.source)
        source = source.strip("[]") if way == "Incoming" else source
        name = "ICMP" if four or way == "Forward" else "ICMPv6"
        self.log.debug(1, f"{way} {name}: failed checksum from {source}!")

    def own_error(self, raw: bytes, quoted: Packet, found: ConnectionEntry | None) -> None:
        """The host's own ICMP error passes the hook for replies."""
        packet = parse4(raw) if raw[0] < 0x60 else parse6(raw)
        if isinstance(packet, str):
            return
        self.passes_out(packet.family)
        self.icmp("Outgoing", packet)
        self.looked_up("out", quoted.protocol, quoted.key, found=found is not None)

    def refused(
        self, packet: Packet, connection: ConnectionEntry | None, replies: dict[bytes, ConnectionEntry]
    ) -> None:
        """The host answers a TCP segment with a RST, which passes the hooks as a reply, and if it is none as a request."""
        segment = packet.data[packet.offset :]
        if packet.protocol != TCP or len(segment) < 20 or segment[13] & RST or not packet.unicast:
            return
        if not is_valid(segment, pseudo(packet.source, packet.destination, TCP, len(segment))):
            return
        self.passes_out(packet.family)
        key = packet.destination + packet.source + packet.key[-2:] + packet.key[-4:-2]
        found = connection is not None or key in replies
        self.looked_up("out", TCP, key, found=found)
        if not found:
            self.looked_up("in", TCP, key, found=False)

    # --- functions ---

    def passes_out(self, family: int) -> None:
        """A packet passes one of the hooks at which it may be a reply, where IPVS has them."""
        if self._is_hooked(family):
            self.log.enter("ip_vs_out_hook")

    def answered(self) -> None:
        """A reply is on its way."""
        self.log.leave("handle_response")

    def transmits(self, packet: Packet, connection: ConnectionEntry) -> str:
        """A request is about to be sent: the function that does it (none for a server that is the director itself)."""
        method = connection.flags & METHOD
        function = _TRANSMITS.get(method, "")
        six = len(connection.address) == 16 if method == TUNNEL else packet.family != AF_INET
        function += "_v6" if function and six else ""
        if function in PLACES:
            self.log.enter(function)
        return function

    def transmitted(self, function: str, *, sent: bool, here: bool) -> None:
        """It was sent, or the director itself is the server (``here``: only translation tells its end then), or neither."""
        if function not in PLACES:
            return
        if sent:
            self.passes_out(AF_INET6 if function.endswith("_v6") else AF_INET)
        if sent or not here:
            self.log.leave(function, failed=not sent)
        elif function.startswith(_TRANSMITS[MASQUERADE]):
            self.log.leave(function)

    def too_big(self, packet: Packet) -> None:
        """A packet does not fit, and its sender has been told."""
        self.log.debug(1, f"frag needed for {address_text(packet.source).strip('[]')}")

    def enters_icmp(self, packet: Packet) -> None:
        """An ICMP error is about to go to a server."""
        self.log.enter("ip_vs_icmp_xmit" if packet.family == AF_INET else "ip_vs_icmp_xmit_v6")

    def leaves_icmp(self, packet: Packet, connection: ConnectionEntry, *, sent: bool) -> None:
        """It did, or did not."""
        if sent and connection.flags & METHOD == MASQUERADE:
            self.passes_out(packet.family)
        self.log.leave("ip_vs_icmp_xmit" if packet.family == AF_INET else "ip_vs_icmp_xmit_v6")

    # --- scheduling ---

    def picks(self, service: VirtualService, flow: Flow) -> None:
        """A scheduler is about to pick."""
        tell_pick(self.log, service, flow)

    def nobody(self, service: VirtualService) -> None:
        """There is no server."""
        self.log.debug(1, f"{'p-schedule' if service.persistent else 'Schedule'}: no dest found.")

    def port_zero(self) -> None:
        """A service of port 0 that is not persistent."""
        self.log.error("Schedule: port zero only supported in persistent services, check your ipvs configuration")

    def persistent(self, packet: Packet, key: bytes) -> None:
        """A persistent service looks for the client's server."""
        one, other = (
            shown(packet.source, int.from_bytes(packet.key[-4:-2], "big")), shown(packet.destination, packet.port)
        )  # fmt: skip
        self.log.debug(6, f"p-schedule: src {one} dest {other} mnet {address_text(key[: len(key) - 4 >> 1])}")

    def unusable(self, template: ConnectionEntry) -> None:
        """A template's server is gone."""
        client, virtual, server = _ends(template)
        name = protocol_name(template.protocol)
        self.log.debug(
            9, f"check_template: dest not available for protocol {name} s:{client} v:{virtual} -> d:{server}"
        )

    def scheduled(self, connection: ConnectionEntry) -> None:
        """A connection without a template is open."""
        client, virtual, server = _ends(connection)
        once = connection.flags & F_ONE_PACKET
        flags = connection.flags & ~F_ALIVE if once else connection.flags
        self.log.debug(
            6,
            f"Schedule fwd:{_TAGS[connection.flags & METHOD]} c:{client} v:{virtual} d:{server} conn->flags:{flags:X} "
            f"conn->refcnt:{1 if once else 2}",
        )

    def bypass(self) -> None:
        """A connection to where the packet goes anyway."""
        self.log.debug(6, "ip_vs_leave(): create a cache_bypass entry")

    # --- connections ---

    def bound(self, connection: ConnectionEntry, server: RealServer) -> None:
        """A connection gets its server, and is not counted yet. (Its state is not set yet, and the kernel shows what was in
        that memory before.)"""
        self._binding("Bind", connection, 1, references(server) + 1)

    def unbound(self, connection: ConnectionEntry, server: RealServer) -> None:
        """A connection leaves its server, and is still counted."""
        self._binding("Unbind", connection, 0, references(server))

    def _binding(self, what: str, connection: ConnectionEntry, own: int, count: int) -> None:
        client, virtual, real = _ends(connection)
        flags = connection.flags & ~F_ALIVE
        self.log.debug(
            7,
            f"{what}-dest {protocol_name(connection.protocol)} c:{client} v:{virtual} d:{real} "
            f"fwd:{_TAGS[flags & METHOD]} s:{connection.state} conn->flags:{flags:X} conn->refcnt:{own} "
            f"dest->refcnt:{count}",
        )

    def controls(self, what: str, connection: ConnectionEntry, control: ConnectionEntry) -> None:
        """A template begins to control a connection, or ends to: ``what`` is ADDing or DELeting."""
        one, other = (_endpoint(each.client, each.client_port) for each in (connection, control))
        self.log.debug(7, f"{what} control for: cp.dst={one} ctl_cp.dst={other}")

    def delayed(self, connection: ConnectionEntry) -> None:
        """A template's time is over, but it controls connections."""
        self.log.debug(7, f"delayed: conn->refcnt=1 conn->n_control={connection.controlled}")

    def drops(self, what: str) -> None:
        """Something goes before its time: ``what`` says what is done with which."""
        self.log.debug(4, what)

    def entered(
        self, connection: ConnectionEntry, data: bytes, offset: int, direction: int, name: str, old: str
    ) -> None:
        """A packet changed a connection's state."""
        client, virtual, server = _ends(connection)
        way, states = _DIRECTIONS[direction], f"state: {old}->{connection.state_name} conn->refcnt:2"
        if connection.protocol == TCP:
            flags = "".join(letter if data[offset + 13] & bit else "." for bit, letter in _FLAGS)
            self.log.debug(8, f"{name} {way} [{flags}] c:{client} v:{virtual} d:{server} {states}")
        else:
            self.log.debug(8, f"{name} {way}  {server}->{client} {states}", prefix="")


def references(server: RealServer) -> int:
    """The kernel's count for a server that is in a table: a scheduler's buckets refer to it, too."""
    service = server.service
    if service is None or service.scheduler is None or not server.available:
        return server.references
    return server.references + service.scheduler.buckets().count(server)


def _ends(connection: ConnectionEntry) -> tuple[str, str, str]:
    return (
        _endpoint(connection.client, connection.client_port),
        _endpoint(connection.virtual, connection.virtual_port),
        _endpoint(connection.address, connection.port),
    )


def _endpoint(address: bytes, port: bytes) -> str:
    return shown(address, int.from_bytes(port, "big"))
