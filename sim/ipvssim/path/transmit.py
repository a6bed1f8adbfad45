"""Sending a request to its server: route, lifetime, MTU, then the forwarding method (ip_vs_xmit.c, Linux 6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvsnl.consts import AF_INET
from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.net.checksums import total
from ipvssim.net.network import LOCAL, UNICAST, Path
from ipvssim.net.packets import Packet, with_hops
from ipvssim.path.connections import (
    BYPASS,
    DIRECT,
    F_HELPED,
    F_NO_CPORT,
    LOCAL_NODE,
    MASQUERADE,
    METHOD,
    TUNNEL,
    ConnectionEntry,
)
from ipvssim.path.forwarding import nat, route, tunnel
from ipvssim.path.host import Host
from ipvssim.path.result import FORWARD, TO_HOST, Result

if TYPE_CHECKING:
    from ipvssim.behaviours import Behaviours
    from ipvssim.path.debug_log import PathLog
    from ipvssim.path.helpers.application import Helpers, Translate
    from ipvssim.path.tracking import Tracker
    from ipvssim.state.services import RealServer
    from ipvssim.state.sysctls import Sysctls

_LEAST_MTU4: Final = 68
_LEAST_MTU6: Final = 1280
_NOT_HELPED: Final = "the helper can't work on it: too short, or a wrong checksum"
_NOT_FORWARDED: Final = "a local server can't be reached from the forward hook"
_SERVED: Final = "the connection is served by the director itself"
_SPECIAL: Final = F_HELPED | F_NO_CPORT
_GUE_PORTS: Final = 32768, 60999
_LOOPBACK6: Final = bytes(15) + b"\x01"


@mypyc_attr(allow_interpreted_subclasses=True)
class Transmitter(Part):
    """The forwarding methods, with all that decides whether a packet leaves."""

    def __init__(
        self, behaviours: Behaviours, host: Host, sysctls: Sysctls, tracker: Tracker, helpers: Helpers,
        rerouted: set[RealServer],
    ) -> None:  # fmt: skip
        self._gre = behaviours.gre_tunnels
        self.host = host
        self.tracker = tracker
        self.network = host.network
        self.sysctls = sysctls
        self._helpers = helpers
        self._rerouted = rerouted
        self._narrowed = host.network.told
        self.log: PathLog | None = None

    def transmit(self, packet: Packet, connection: ConnectionEntry, result: Result) -> None:
        """Send a request on its way, as its connection says."""
        if packet.specimen:
            if self._is_unseen(packet, connection, result):
                result.verdict = FORWARD
                return
            packet = packet.whole()
        if self.log is None:
            self._transmit(packet, connection, result)
            return
        function = self.log.transmits(packet, connection)
        self._transmit(packet, connection, result)
        self.log.transmitted(function, sent=result.verdict is FORWARD, here=result.verdict is TO_HOST)

    def _transmit(self, packet: Packet, connection: ConnectionEntry, result: Result) -> None:
        method = connection.flags & 7
        if method == LOCAL_NODE or method > BYPASS:
            result.accept(_SERVED)
            return
        translated: Translate | None = None
        if connection.flags & _SPECIAL and method == MASQUERADE:
            translated = self._helpers.takes(packet, connection)
        path = self.network.path(packet.destination if method == BYPASS else connection.address)
        if self._rerouted or self._narrowed:
            path = self._kept_way(packet, connection, method, path)
        if path.kind != UNICAST:
            if path.kind == LOCAL:
                self._to_myself(packet, connection, method, result)
            else:
                self._no_way(packet, result)
            return
        plain = method != TUNNEL and packet.hops > 1 and len(packet.data) <= path.mtu and not packet.largest
        if not plain:
            mtu = self._room(packet, connection, method, path, result)
            if mtu is None or not self._fits(packet, method, mtu, result):
                return
        if method == MASQUERADE:
            hops = packet.hops - 1
            data = nat.request(packet, connection, hops) if translated is None else translated(packet, connection, hops)
            if data is None:
                result.drop(_NOT_HELPED if connection.flags & F_HELPED else "shorter than its transport header")
                return
        elif method in (DIRECT, BYPASS):
            data = route.forwarded(packet, packet.hops - 1)
            if method == DIRECT and connection.server is not None and connection.server.way is None:
                connection.server.way = path
        else:
            data = self._wrapped(packet, connection, path)
        if self.tracker.on:
            data = self.tracker.leaves(packet, data, connection, result)
            if data is None:
                return
        self.host.send(data, path, result, packet)

    def transmit_icmp(self, packet: Packet, connection: ConnectionEntry, result: Result, *, forwarded: bool) -> None:
        """Send an ICMP error of the client's side to its server; ``forwarded`` where it was not for the host itself."""
        if self.log is None:
            self._transmit_icmp(packet, connection, result, forwarded=forwarded)
            return
        self.log.enters_icmp(packet)
        self._transmit_icmp(packet, connection, result, forwarded=forwarded)
        self.log.leaves_icmp(packet, connection, sent=result.verdict is FORWARD)

    def _transmit_icmp(self, packet: Packet, connection: ConnectionEntry, result: Result, *, forwarded: bool) -> None:
        method = connection.flags & 7
        if method != MASQUERADE:
            self._icmp_as_it_is(packet, connection, method, result, forwarded=forwarded)
            return
        path = self._way(packet, connection, method, result)
        if path is None:
            return
        if path.kind == LOCAL:
            if forwarded:
                result.drop(_NOT_FORWARDED)
            elif _is_loopback(connection.address):
                result.drop("translation to a loopback address")
            elif nat.icmp(packet, connection, towards_client=False, hops=packet.hops) is None:
                result.drop(nat.CUT)
            else:
                result.accept("the server is the director itself")
            return
        if packet.hops <= 1:
            result.drop("lifetime ended")
            return
        if packet.family != AF_INET and len(packet.data) > path.mtu:
            result.drop("longer than the MTU")
            return
        data = nat.icmp(packet, connection, towards_client=False, hops=packet.hops - 1)
        if data is None:
            result.drop(nat.CUT)
            return
        self.host.send(data, path, result, packet)

    def _icmp_as_it_is(
        self, packet: Packet, connection: ConnectionEntry, method: int, result: Result, *, forwarded: bool
    ) -> None:
        if self.log is None:
            self._pass_icmp(packet, connection, method, result, forwarded=forwarded)
            return
        function = self.log.transmits(packet, connection)
        self._pass_icmp(packet, connection, method, result, forwarded=forwarded)
        self.log.transmitted(function, sent=result.verdict is FORWARD, here=result.verdict is TO_HOST)

    def _pass_icmp(
        self, packet: Packet, connection: ConnectionEntry, method: int, result: Result, *, forwarded: bool
    ) -> None:
        if method == LOCAL_NODE or method > BYPASS:
            result.accept(_SERVED)
            return
        path = self._way(packet, connection, method, result)
        if path is None:
            return
        if path.kind == LOCAL:
            if forwarded:
                result.drop(_NOT_FORWARDED)
            else:
                self._to_myself(packet, connection, method, result)
            return
        mtu = self._room(packet, connection, method, path, result)
        if mtu is None:
            return
        if packet.family != AF_INET and len(packet.data) > mtu:
            result.drop("longer than the MTU")
            return
        tunnelled = method not in (DIRECT, BYPASS)
        hops = packet.hops - 1
        data = self._wrapped(packet, connection, path) if tunnelled else route.forwarded(packet, hops)
        self.host.send(data, path, result, packet)

    # --- what decides ---

    def _is_unseen(self, packet: Packet, connection: ConnectionEntry, result: Result) -> bool:
        """Whether nothing hangs on a packet's bytes: it leaves whole by a way without an answer, and no chance is asked."""
        method = connection.flags & METHOD
        if connection.flags & _SPECIAL or method == LOCAL_NODE or method >= BYPASS or self._rerouted or self._narrowed:
            return False
        path = self.network.path(connection.address)
        if path.kind != UNICAST or packet.hops <= 1 or not path.resolves:
            return False
        room: int | None = path.mtu
        if method == TUNNEL:
            if len(connection.address) == 4 and not (packet.dont_fragment and self.sysctls.pmtu_disc):
                return False  # its identification is drawn
            room = self._room(packet, connection, method, path, result)
        return room is not None and len(packet.data) <= room

    def _way(self, packet: Packet, connection: ConnectionEntry, method: int, result: Result) -> Path | None:
        """The route to the server; without one, the client is told."""
        path = self.network.path(packet.destination if method == BYPASS else connection.address)
        if path.kind in (UNICAST, LOCAL):
            return self._kept_way(packet, connection, method, path) if self._rerouted or self._narrowed else path
        self._no_way(packet, result)
        return None

    def _kept_way(self, packet: Packet, connection: ConnectionEntry, method: int, path: Path) -> Path:
        """The way to a server whose connections are of several methods, or of which a router told what fits.

        The kernel keeps the route that the first packet after the server's last change asked for (``dest_dst``). Only where
        that was one of direct routing the route says that the server is the next hop (FLOWI_FLAG_KNOWN_NH). By any other
        route a packet of direct routing goes to whichever neighbour has its own destination address.
        """
        server = connection.server
        if server is None or path.kind != UNICAST:
            return path
        if server not in self._rerouted:
            return self._direct_way(server, path) if method == DIRECT else path
        if server.way is not path:
            server.way, server.way_direct = path, method == DIRECT
        if method != DIRECT or server.way_direct or path.gateway:
            return path
        return Path(path.kind, path.device, path.gateway, packet.destination, path.source, path.mtu)

    def _direct_way(self, server: RealServer, path: Path) -> Path:
        """The way of direct routing over IPv4. No table has the route that it asked for, so a router that then tells for the
        first time what fits does not make it stale: it stays until the server is changed (__mkroute_output and
        update_or_create_fnhe, net/ipv4/route.c, 6.1). Where a router had told before, the route is that one's."""
        way = server.way
        if (
            way is None
            or len(server.address) != 4
            or way.told
            or way.gateway
            or (way.device, way.next_hop, way.source) != (path.device, path.next_hop, path.source)
        ):
            way = server.way = path
        return way

    def _no_way(self, packet: Packet, result: Result) -> None:
        result.drop("no route to the server")
        self.host.host_unreachable(packet, result)

    def _to_myself(self, packet: Packet, connection: ConnectionEntry, method: int, result: Result) -> None:
        """The route says that the server is the director: no lifetime and no MTU is looked at. A bypass ends there."""
        if method == BYPASS:
            result.drop("a bypass to the director itself")
            return
        if method == MASQUERADE:
            if _is_loopback(connection.address):
                result.drop("translation to a loopback address")
                return
            make = self._helpers.request if connection.flags & F_HELPED else nat.request
            if make(packet, connection, packet.hops) is None:
                result.drop("shorter than its transport header")
                return
        result.accept("the server is the director itself")

    def _room(self, packet: Packet, connection: ConnectionEntry, method: int, path: Path, result: Result) -> int | None:
        """The MTU for this packet, its lifetime tested first; None where it is dropped."""
        if packet.hops <= 1:
            result.drop("lifetime ended")
            self.host.time_exceeded(packet, result, counts=False)
            return None
        if method in (MASQUERADE, DIRECT, BYPASS):
            return path.mtu
        server = connection.server
        if server is None:
            result.drop("a tunnel to no server")
            return None
        server.way = path
        four = len(connection.address) == 4
        mtu = path.mtu - (20 if four else 40) - tunnel.overhead(self._kind(server), server.tunnel_flags)
        if mtu < (_LEAST_MTU4 if four else _LEAST_MTU6):
            result.drop("the MTU leaves no room in the tunnel")
            return None
        return mtu

    def _fits(self, packet: Packet, method: int, mtu: int, result: Result) -> bool:
        """Whether the packet may leave whole or in fragments; if not, its sender is told the MTU."""
        if packet.family == AF_INET:
            if len(packet.data) <= mtu or not packet.dont_fragment:
                return True
            if method not in (MASQUERADE, DIRECT, BYPASS) and not self.sysctls.pmtu_disc:
                return True
        elif (packet.largest or len(packet.data)) <= mtu:
            return True
        result.drop("longer than the MTU")
        self.host.too_big(packet.replaced(with_hops(packet, packet.hops - 1)), result, mtu)
        if self.log is not None:
            self.log.too_big(packet)
        return False

    def _wrapped(self, packet: Packet, connection: ConnectionEntry, path: Path) -> bytes:
        server = connection.server
        assert server is not None
        hops = packet.hops - 1
        data = tunnel.inner(packet, hops)
        tos = tunnel.outer_tos(packet.tos)
        kind, flags, port = self._kind(server), server.tunnel_flags, server.tunnel_port
        protocol, payload = tunnel.wrap(
            data, packet.family, kind, flags, port, path.source, connection.address, _gue_port(packet)
        )
        if len(connection.address) == 4:
            df = packet.dont_fragment and bool(self.sysctls.pmtu_disc)
            ident = 0 if df else self.host.clock.random.getrandbits(16)
            return tunnel.outer4(protocol, payload, tos, hops, df, ident, path.source, connection.address)
        return tunnel.outer6(protocol, payload, tos, hops, path.source, connection.address)

    def _kind(self, server: RealServer) -> int:
        """The tunnel's type; one that the release does not know is IPIP."""
        kind = server.tunnel_type
        return kind if self._gre or kind != tunnel.KIND_GRE else tunnel.KIND_IPIP


def _gue_port(packet: Packet) -> int:
    """GUE's source port: one for each flow, from the kernel's range; its hash is random from boot to boot."""
    least, most = _GUE_PORTS
    number = total(packet.key or packet.source) * 0x9E3779B1 + packet.protocol
    return least + (number >> 7) % (most - least + 1)


def _is_loopback(address: bytes) -> bool:
    return address[0] == 127 if len(address) == 4 else address == _LOOPBACK6
